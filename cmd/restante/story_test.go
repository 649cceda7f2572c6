package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/servers"
	"restante/storage/objects"
	"restante/storage/objects/s3"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"restante": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// storyNumber gives each story a user of its own, also with -count.
var storyNumber atomic.Int64

// TestStories runs testdata/*.txt: each a story of somebody at the command
// line. What stories can say beside testscript's own words stands in words.
func TestStories(t *testing.T) {
	imap, pop3 := servers.IMAP(t), servers.POP3(t)
	oauth, serviceAccount := servers.OAuth(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			user := fmt.Sprintf("story%d-%d", os.Getpid(), storyNumber.Add(1))
			for name, value := range map[string]string{
				"HOME": e.WorkDir, "XDG_CACHE_HOME": filepath.Join(e.WorkDir, "cache"), "XDG_CONFIG_HOME": filepath.Join(e.WorkDir, "config"),
				"RESTANTE_REPOSITORY": filepath.Join(e.WorkDir, "repository"), "RESTANTE_CACHE_DIR": filepath.Join(e.WorkDir, "cache"),
				"RESTANTE_ACCOUNT_PASSWORD": servers.Password, "USER": user, "OTHER": user + "b",
				"RECIPIENT": id.Recipient().String(), "RESTANTE_IDENTITY": filepath.Join(e.WorkDir, "identity"),
				"URL": accountURL(imap, user), "OTHERURL": accountURL(imap, user+"b"), "ACCOUNT": user + "@127.0.0.1", "IMAP": imap.Address, "IMAPS": imap.TLSAddress, "CA": imap.CA, "LMTP": servers.LMTP(t), "SIEVE": servers.Sieve(t),
				"POP3URL": fmt.Sprintf("pop3://%s@%s?ca=%s", user, pop3.Address, pop3.CA), "OTHERPOP3URL": fmt.Sprintf("pop3://%s@%s?ca=%s", user+"b", pop3.Address, pop3.CA), "POP3SURL": fmt.Sprintf("pop3s://%s@%s?ca=%s", user, pop3.TLSAddress, pop3.CA),
				"S3": servers.S3(t), "AWS_ACCESS_KEY_ID": os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY": os.Getenv("AWS_SECRET_ACCESS_KEY"),
				"OAUTH": oauth, "SERVICE_ACCOUNT": serviceAccount,
				"NOON": noonZone(time.Now()), "#": "#", "BELL": "be\all", "STEERS": `[\x00-\x09\x0b-\x1f\x7f-\x{9f}\x{202a}-\x{202e}]`,
			} {
				e.Setenv(name, value)
			}
			e.Setenv("READER_KEY", "")
			if key, secret := servers.S3ReadOnly(t); key != "" {
				e.Setenv("READER_KEY", key)
				e.Setenv("READER_SECRET", secret)
			}
			for what, address := range servers.BadCertificates(t) {
				e.Setenv("BADCERT_"+strings.ToUpper(strings.ReplaceAll(what, " ", "_")), address)
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "identity"), []byte(id.String()+"\n"), 0o600)
		},
		Cmds: words,
		Condition: func(condition string) (bool, error) {
			if condition == "mount" {
				return canMount(t), nil
			}
			return false, fmt.Errorf("no condition %q", condition)
		},
	})
}

// noonZone is a time zone in which it is about noon, so that no day ends while a
// story is told. (The sign in such a name is that of POSIX: west of Greenwich.)
func noonZone(now time.Time) string { return fmt.Sprintf("Etc/GMT%+d", now.UTC().Hour()-12) }

// canMount says whether small file systems can be mounted; where everything
// must run, they must.
func canMount(t *testing.T) bool {
	unmount, err := mountTiny(t.TempDir(), "65536")
	if err == nil {
		unmount()
		return true
	}
	if os.Getenv("CI") == "true" && os.Getenv("RESTANTE_TESTBED") != "" && os.Getuid() == 0 {
		t.Errorf("a small file system cannot be mounted: %v", err)
	}
	t.Logf("a small file system cannot be mounted here: %v", err)
	return false
}

// words are what stories can say.
var words = map[string]func(*testscript.TestScript, bool, []string){
	"code": wordCode, "snapshot": wordSnapshot, "hostile": wordHostile, "imap": wordIMAP, "append": wordAppend, "damage": wordDamage, "tinydisk": wordTinyDisk,
	"oauth": wordOAuth, "eventually": wordEventually, "signal": wordSignal, "post": wordPost, "plans": wordPlans, "sieve": wordSieve,
}

// code N COMMAND…: the command ends with this exit code.
func wordCode(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if (got == want) == neg {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// eventually COMMAND…: the command ends well, if not at once.
func wordEventually(ts *testscript.TestScript, neg bool, args []string) {
	const limit = 3 * time.Minute // for a busy machine; whoever waits for what does not come waits once
	deadline := time.Now().Add(limit)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %v: %v", limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// signal HUP|TERM: tells all commands in the background.
func wordSignal(ts *testscript.TestScript, neg bool, args []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}[args[0]]))
	}
}

// snapshot VARIABLE ACCOUNT N: sets a variable to the id of an account's N-th
// snapshot, from 0 on.
func wordSnapshot(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("restante", "snapshots", args[1], "--json"))
	var list []snapshotJSON
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Setenv(args[0], list[n].ID)
}

// hostile DIR: makes a Maildir whose names and messages mean to steer a
// terminal, and whose folders' names hold what patterns mean something by.
func wordHostile(ts *testscript.TestScript, neg bool, args []string) {
	const escapes = "\x1b[31m\x1b]0;pwned\a\u009b2J\u202e"
	letter := "From: =?utf-8?q?Eve=1b[2J?= <eve@example.org>\r\nTo: bob\x1b[5m@example.org\r\nSubject: =?utf-8?q?new=0a=1b[31mline?= raw " + escapes +
		"\r\nDate: Fri, 20 Nov 2026 10:00:00 +0100\r\nMessage-ID: <" + escapes + "@example.org>\r\n\r\nbody " + escapes + "\r\n"
	for i, folder := range []string{"", ".red" + escapes, ".two\nlines\tand a tab", ".work [old", ".a.deep*"} {
		for _, sub := range []string{"cur", "new", "tmp"} {
			ts.Check(os.MkdirAll(filepath.Join(ts.MkAbs(args[0]), folder, sub), 0o755))
		}
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), folder, "cur", "1700000000.M1.example:2,S"), fmt.Appendf(nil, "%s%d\r\n", letter, i), 0o644))
	}
}

func dialStory(ts *testscript.TestScript, user string) *rawimap.Conn {
	c, err := rawimap.Dial(context.Background(), ts.Getenv("IMAP"))
	ts.Check(err)
	ts.Check(c.Login(user, servers.Password))
	return c
}

// imap USER COMMAND…: does IMAP commands on a user's account, in one session.
func wordIMAP(ts *testscript.TestScript, neg bool, args []string) {
	c := dialStory(ts, args[0])
	defer c.Close()
	for _, command := range args[1:] {
		_, err := c.Do(command)
		if (err == nil) == neg {
			ts.Fatalf("%s: %v", command, err)
		}
	}
}

// append USER FOLDER FROM TO: adds messages with these numbers to a folder,
// each of about a kilobyte that does not compress.
func wordAppend(ts *testscript.TestScript, neg bool, args []string) {
	c := dialStory(ts, args[0])
	defer c.Close()
	if args[1] != "INBOX" {
		c.Do("CREATE " + rawimap.Quote(rawimap.EncodeName(args[1]))) // it may be there
	}
	from, err := strconv.Atoi(args[2])
	ts.Check(err)
	to, err := strconv.Atoi(args[3])
	ts.Check(err)
	for i := from; i <= to; i++ {
		noise := uint64(i)
		body := new(strings.Builder)
		for range 40 {
			noise = noise*6364136223846793005 + 1442695040888963407
			fmt.Fprintf(body, "%016x%016x\r\n", noise, noise*2862933555777941757)
		}
		octets := fmt.Sprintf("From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: letter %d\r\nDate: Fri, 20 Nov 2026 10:00:00 +0100\r\nMessage-ID: <%s.%d@example.org>\r\n\r\n%s", i, args[1], i, body)
		ts.Check(c.Append(rawimap.EncodeName(args[1]), []string{`\Seen`}, time.Date(2026, 11, 20, 10, i%60, 0, 0, time.UTC), []byte(octets)))
	}
}

// post USER FOLDER FILE: adds the message in a file, with CRLF at the ends of its
// lines.
func wordPost(ts *testscript.TestScript, neg bool, args []string) {
	c := dialStory(ts, args[0])
	defer c.Close()
	octets := strings.ReplaceAll(ts.ReadFile(args[2]), "\n", "\r\n")
	ts.Check(c.Append(rawimap.EncodeName(args[1]), nil, time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC), []byte(octets)))
}

// plans FILE: writes a message with an attachment of 1.5 MB that does not compress.
func wordPlans(ts *testscript.TestScript, neg bool, args []string) {
	noise := make([]byte, 1_500_000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	const head = "From: Anna <anna@example.org>\nTo: anna@example.org\nSubject: the plans\nDate: Fri, 20 Nov 2026 10:00:00 +0100\n" +
		"Message-ID: <plans@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n" +
		"--x\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n"
	text := []byte(head)
	for line := range slices.Chunk(noise, 57) {
		text = append(base64.StdEncoding.AppendEncode(text, line), '\n')
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(text, "--x--\n"...), 0o644))
}

// damage HOW PREFIX [N]: flips a bit of, cuts, empties or removes the N-th
// (from the first: 0, from the last: -1) object of the repository whose name
// begins so.
func wordDamage(ts *testscript.TestScript, neg bool, args []string) {
	store := openStoryStore(ts)
	ctx := context.Background()
	var names []string
	for info, err := range store.List(ctx, args[1], "") {
		ts.Check(err)
		names = append(names, info.Name)
	}
	n := 0
	if len(args) > 2 {
		var err error
		n, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	if n < 0 {
		n += len(names)
	}
	if n >= len(names) {
		ts.Fatalf("%d objects begin with %q", len(names), args[1])
	}
	b, err := store.Get(ctx, names[n], 0, -1)
	ts.Check(err)
	switch args[0] {
	case "flip":
		b[len(b)/5] ^= 4
	case "fliplast": // the directory of a pack is at its end
		b[len(b)-100] ^= 4
	case "cut":
		b = b[:len(b)/2]
	case "empty":
		b = nil
	case "remove":
		ts.Check(store.Delete(ctx, names[n]))
		return
	default:
		ts.Fatalf("no such damage: %s", args[0])
	}
	ts.Check(store.Put(ctx, names[n], b))
}

func openStoryStore(ts *testscript.TestScript) objects.Store {
	where := ts.Getenv("RESTANTE_REPOSITORY")
	if !strings.HasPrefix(where, "s3:") {
		store, err := objects.OpenDir(where)
		ts.Check(err)
		return store
	}
	store, err := s3.Open(context.Background(), where, nil)
	ts.Check(err)
	return store
}

// tinydisk DIR OCTETS: mounts a file system of that size.
func wordTinyDisk(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	unmount, err := mountTiny(dir, args[1])
	ts.Check(err)
	ts.Defer(unmount)
}
