package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/servers"
)

// A bench is a person's desk in a test: a repository, a cache, a password.
type bench struct {
	t    *testing.T
	args []string // said to every command
}

// newBench makes a repository, in a directory or at the URL of a bucket.
func newBench(t *testing.T, where string) *bench {
	t.Helper()
	dir := t.TempDir()
	// An identity opens at once, where a passphrase takes half a second.
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if where == "" {
		where = filepath.Join(dir, "repository")
	}
	b := &bench{t: t, args: []string{
		"--config", write("restante.toml", ""), "--repository", where, "--cache-dir", filepath.Join(dir, "cache"),
		"--identity", write("identity", id.String()+"\n"),
	}}
	write("password", servers.Password)
	b.do("init", "--recipient", id.Recipient().String())
	return b
}

// write writes a file on the desk: "password" is that of all accounts.
func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(b.args[1]), name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// exec runs a command and returns its exit code and what it printed.
func (b *bench) exec(command string, args ...string) (code int, out, errOut string) {
	b.t.Helper()
	var stdout, stderr bytes.Buffer
	password := filepath.Join(filepath.Dir(b.args[1]), "password")
	all := append([]string{command}, b.args...)
	if command == "backup" || command == "restore" {
		all = append(all, "--password-file", password)
	}
	code = run(append(all, args...), strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// do runs a command that must succeed.
func (b *bench) do(command string, args ...string) string {
	b.t.Helper()
	code, out, errOut := b.exec(command, args...)
	if code != exitDone {
		b.t.Fatalf("restante %s %q: exit code %d\n%s%s", command, args, code, out, errOut)
	}
	return out
}

// backup backs an account up and returns what the run says of itself.
func (b *bench) backup(account string, args ...string) backupJSON {
	b.t.Helper()
	var runs []backupJSON
	out := b.do("backup", append([]string{account, "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &runs); err != nil || len(runs) != 1 {
		b.t.Fatalf("%v in %s", err, out)
	}
	return runs[0]
}

func accountURL(s servers.Server, user string) string {
	return fmt.Sprintf("imaps://%s@%s?ca=%s", user, s.TLSAddress, s.CA)
}

func letter(subject, body string, flags ...string) servers.Message {
	octets := fmt.Sprintf("From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: %s\r\nMessage-ID: <%x@example.org>\r\n\r\n%s\r\n", subject, subject+body, body)
	return servers.Message{Octets: []byte(octets), Flags: flags, Date: time.Date(2024, 2, 29, 12, 30, 45, 0, time.FixedZone("", 2*3600))}
}

// oddNames are folder names that have broken programs.
func oddNames(s servers.Server) []string {
	names := []string{
		"R&D", "Entwürfe & Co", "日本語", "emoji 📬", `quo"te`, `back\slash`, "a]b[c", "trailing space ", "(paren)", "per%cent", "st*r", "{5}",
		strings.Repeat("x", 200), "Üñïçødé", "NIL", "a'b", "#hash", "~tilde",
		"nested" + s.Delimiter + "deeper" + s.Delimiter + "deepest",
		"Lists" + s.Delimiter + "R&D" + s.Delimiter + "日本",
		"Empty", "Sent", "Trash", "Drafts", "Archive",
	}
	if s.Delimiter == "." {
		names = append(names, "a/b", "with / slash")
	} else {
		names = append(names, "a.b", "v1.2")
	}
	return names
}

// fillOdd makes an account with odd folders and messages.
func fillOdd(t *testing.T, s servers.Server, user string, messages []servers.Message) {
	t.Helper()
	session := servers.Login(t, s, user)
	for i, name := range oddNames(s) {
		wire := rawimap.Quote(rawimap.EncodeName(s.Prefix + name))
		if _, err := session.Conn.Do("CREATE " + wire); err != nil {
			if _, refused := err.(*rawimap.Refused); !refused || !s.Choosy {
				t.Fatal(err)
			}
			t.Logf("no folder %q here: %v", name, err)
			continue
		}
		if i%2 == 0 {
			session.Do("SUBSCRIBE " + wire)
		}
		if name == "Empty" {
			continue
		}
		session.Append(rawimap.EncodeName(s.Prefix+name), letter("in "+name, "body", `\Seen`, "$Forwarded", "custom-keyword"), letter("two in "+name, "body", `\Flagged`, `\Deleted`))
	}
	for i, m := range messages {
		flags := [][]string{nil, {`\Seen`}, {`\Seen`, `\Answered`}, {`\Draft`, "$Junk"}, {"NonJunk", `\Flagged`}}[i%5]
		m.Flags = flags
		// Dovecot loses a CR at the very end of what is appended, so nobody can
		// put it back.
		m.Octets = bytes.TrimRight(m.Octets, "\r")
		m.Date = time.Date(1999+i%25, time.Month(1+i%12), 1+i%28, i%24, i%60, (7*i)%60, 0, time.FixedZone("", (i%27-13)*3600))
		if err := session.Conn.Append("INBOX", m.Flags, m.Date, m.Octets); err != nil {
			if _, refused := err.(*rawimap.Refused); !refused {
				t.Fatal(err)
			}
		}
	}
	session.Close()
}

// edgeMessages are messages that have broken programs: of the corpus where it
// is at hand, and some of our own anywhere.
func edgeMessages(t *testing.T) []servers.Message {
	t.Helper()
	var list []servers.Message
	add := func(octets string) { list = append(list, servers.Message{Octets: []byte(octets)}) }
	add("no header at all")
	add("\r\nonly a body\r\n")
	add("Subject: only a header\r\n")
	add("Subject: no final line end\r\n\r\nbody")
	add("Subject: long line\r\n\r\n" + strings.Repeat("x", 100_000) + "\r\n")
	add("Subject: 8-bit \xe4\xf6\xfc header\r\n\r\n\xff\xfe\r\n")
	add("Subject: bare CR\r\n\r\na\rb\rc\r\n")
	add("Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nFrom here\r\n>From there\r\n")
	add("Subject: broken mime\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!\r\nQUJD\r\n--b")
	add("From nobody Mon Jan  1 00:00:00 2024\r\nSubject: an mbox line first\r\n\r\nbody\r\n")
	add("Subject: twice\r\n\r\nthe same\r\n")
	add("Subject: twice\r\n\r\nthe same\r\n")
	corpus := os.Getenv("RESTANTE_CORPUS")
	if corpus == "" {
		t.Log("RESTANTE_CORPUS is not set: only the messages that stand in this test are used")
		return list
	}
	for _, set := range edgeSets {
		filepath.WalkDir(filepath.Join(corpus, set), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, servers.Message{Octets: b})
			return nil
		})
	}
	return list
}

var edgeSets = strings.Fields("cpython enmime flanker gluon gmime james-project kmime mail-auth mail-parser mailcore2 mime-tools mime4j mimekit mu " +
	"nodemailer-mailparser notmuch nylas php-mime-mail-parser public-inbox ruby-mail sisimai spamassassin-tests spamscope-mail-parser thunderbird tika " +
	"zb-mail-mime-parser grepmail git-mailinfo imaptest mail-box mbox-messageparser neomutt")

func TestRestoredAccountIsTheOneThatWasBackedUp(t *testing.T) {
	t.Parallel()
	messages := edgeMessages(t)
	for _, c := range []struct {
		name   string
		server func(testing.TB) servers.Server
		where  func(testing.TB) string
	}{
		{"slash, directory", servers.IMAP, func(testing.TB) string { return "" }},
		{"slash, S3", servers.IMAP, servers.S3},
		{"dot and prefix, directory", servers.IMAPDot, func(testing.TB) string { return "" }},
		{"Cyrus", servers.Cyrus, func(testing.TB) string { return "" }},
		{"Cyrus, dot and prefix", servers.CyrusDot, func(testing.TB) string { return "" }},
		{"Courier", servers.Courier, func(testing.TB) string { return "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.server(t)
			alice, bob := servers.NewUser(t), servers.NewUser(t)
			fillOdd(t, s, alice, messages)
			before := servers.Dump(t, s, alice)
			b := newBench(t, c.where(t))
			first := b.backup(accountURL(s, alice))
			if len(first.Missing) > 0 {
				t.Errorf("missing: %+v", first.Missing)
			}
			servers.Same(t, before, servers.Dump(t, s, alice)) // a backup changes nothing
			name := first.Account
			b.do("restore", name, "--to", accountURL(s, bob))
			after := servers.Dump(t, s, bob)
			servers.Same(t, before, after)
			out := b.do("restore", name, "--to", accountURL(s, bob))
			if !strings.Contains(out, "0 messages restored") {
				t.Errorf("the second restore says:\n%s", out)
			}
			servers.Same(t, after, servers.Dump(t, s, bob))
			if out := b.do("check", "--read-data"); !strings.Contains(out, "no errors were found") {
				t.Errorf("%s", out)
			}
			t.Logf("%d messages in %d folders", first.Snapshot.Messages, first.Snapshot.Folders)
		})
	}
}

func TestFoldersThatAnotherDelimiterForbidsAreRenamedAndSaidSo(t *testing.T) {
	t.Parallel()
	slash, dot := servers.IMAP(t), servers.IMAPDot(t)
	alice, bob := servers.NewUser(t), servers.NewUser(t)
	servers.Load(t, dot, alice, "INBOX.a/b", letter("one", "x"))
	servers.Load(t, dot, alice, "INBOX.c.d", letter("two", "x"))
	b := newBench(t, "")
	name := b.backup(accountURL(dot, alice)).Account
	out := b.do("restore", name, "--to", accountURL(slash, bob))
	if !strings.Contains(out, "a_b") {
		t.Errorf("the renaming is not told:\n%s", out)
	}
	got := servers.Dump(t, slash, bob)
	for _, folder := range []string{"a_b", "c/d"} {
		if f := got.Folder(folder); f == nil || len(f.Messages) != 1 {
			t.Errorf("folder %q: %+v", folder, f)
		}
	}
}

func TestNothingChangedCostsNoSelectAndThreeRequests(t *testing.T) {
	t.Parallel()
	s := servers.IMAP(t)
	alice := servers.NewUser(t)
	session := servers.Login(t, s, alice)
	for i := range 200 {
		session.Do(fmt.Sprintf("CREATE folder%d", i))
		if i%10 == 0 {
			session.Append(fmt.Sprintf("folder%d", i), letter("m", "x"))
		}
	}
	b := newBench(t, "")
	b.backup(accountURL(s, alice))
	second := b.backup(accountURL(s, alice))
	if second.Requests > 3 || second.Sent > 10_000 {
		t.Errorf("%d store requests, %d octets written", second.Requests, second.Sent)
	}
	if second.Snapshot.Folders != 201 {
		t.Errorf("%d folders", second.Snapshot.Folders)
	}
	session.Append("folder7", letter("new", "x"))
	if third := b.backup(accountURL(s, alice)); third.Requests > 5 || third.Snapshot.New != 1 {
		t.Errorf("one new message took %d store requests; %d new", third.Requests, third.Snapshot.New)
	}
	// No cache at all: another machine.
	for i := range b.args {
		if b.args[i] == "--cache-dir" {
			b.args[i+1] = t.TempDir()
		}
	}
	if cold := b.backup(accountURL(s, alice)); cold.Requests > 15 {
		t.Errorf("without a cache it took %d store requests", cold.Requests)
	}
}

func TestVanishedMailComesBackWhereItWas(t *testing.T) {
	t.Parallel()
	s := servers.IMAP(t)
	alice := servers.NewUser(t)
	servers.Load(t, s, alice, "INBOX", letter("stays", "a"), letter("deleted", "b"), letter("thrown away", "c", `\Seen`), letter("moved", "d"))
	servers.Load(t, s, alice, "Trash")
	servers.Load(t, s, alice, "Archive")
	b := newBench(t, "")
	account := b.backup(accountURL(s, alice)).Account
	before := servers.Dump(t, s, alice)
	session := servers.Login(t, s, alice)
	session.Do("SELECT INBOX")
	session.Do("UID MOVE 3 Trash")
	session.Do("UID MOVE 4 Archive")
	b.backup(accountURL(s, alice))
	session.Do(`UID STORE 2 +FLAGS (\Deleted)`)
	b.backup(accountURL(s, alice))
	session.Do("EXPUNGE")
	session.Do("SELECT Trash")
	session.Do(`STORE 1:* +FLAGS (\Deleted)`)
	session.Do("EXPUNGE")
	b.backup(accountURL(s, alice))
	out := b.do("vanished", account, "--since", "7d")
	for text, want := range map[string]bool{"deleted": true, "thrown away": true, "before that in INBOX": true, "2 messages vanished": true, "moved": false, "stays": false} {
		if strings.Contains(out, text) != want {
			t.Errorf("%q is there: %v\n%s", text, !want, out)
		}
	}
	b.do("restore", account, "--vanished", "--since", "7d", "--to", accountURL(s, alice))
	b.do("restore", account, "--vanished", "--since", "7d", "--to", accountURL(s, alice))
	got := servers.Dump(t, s, alice).Folder("INBOX")
	want := before.Folder("INBOX")
	if len(got.Messages) != 3 {
		t.Fatalf("INBOX has %d messages", len(got.Messages))
	}
	for _, m := range got.Messages {
		found := false
		for _, w := range want.Messages {
			found = found || bytes.Equal(w.Octets, m.Octets) && fmt.Sprint(w.Flags) == fmt.Sprint(m.Flags) && w.InternalDate == m.InternalDate
		}
		if !found {
			t.Errorf("message %d has flags %v and date %s, or other octets than before", m.UID, m.Flags, m.InternalDate)
		}
	}
}

func TestSomeOfASnapshotCanBeRestored(t *testing.T) {
	t.Parallel()
	s := servers.IMAP(t)
	alice := servers.NewUser(t)
	servers.Load(t, s, alice, "INBOX", letter("invoice 1", "a"), letter("other", "b"), letter("Invoice 2", "c"))
	servers.Load(t, s, alice, "Lists/go", letter("in go", "d"))
	servers.Load(t, s, alice, "Lists/c", letter("in c", "e"))
	b := newBench(t, "")
	account := b.backup(accountURL(s, alice)).Account
	for _, c := range []struct {
		args []string
		want map[string]int
	}{
		{[]string{"--message", "INBOX#2"}, map[string]int{"INBOX": 1}},
		{[]string{"Lists/*"}, map[string]int{"Lists/go": 1, "Lists/c": 1}},
		{[]string{"Lists/go", "--into", "Back"}, map[string]int{"Back/Lists/go": 1}},
		{[]string{"--subject", "INVOICE"}, map[string]int{"INBOX": 2}},
		{[]string{"--sender", "nobody"}, map[string]int{"INBOX": 0}},
		{[]string{"--dry-run"}, map[string]int{"INBOX": 0}},
	} {
		bob := servers.NewUser(t)
		b.do("restore", append([]string{account, "--to", accountURL(s, bob)}, c.args...)...)
		got := servers.Dump(t, s, bob)
		total := 0
		for _, f := range got.Folders {
			total += len(f.Messages)
		}
		for folder, n := range c.want {
			f := got.Folder(folder)
			if n > 0 && (f == nil || len(f.Messages) != n) {
				t.Errorf("%q: folder %q: %+v", c.args, folder, f)
			}
			total -= n
		}
		if total != 0 {
			t.Errorf("%q: %d messages too many", c.args, total)
		}
	}
	if out := b.do("cat", account, "INBOX#2"); out != string(letter("other", "b").Octets) {
		t.Errorf("cat gives %q", out)
	}
	if out := b.do("ls", account, "--subject", "invoice"); strings.Count(out, "nvoice") != 2 {
		t.Errorf("ls gives %s", out)
	}
}

func TestStartTLSAndClearTextWorkAsTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	s := servers.IMAP(t)
	alice := servers.NewUser(t)
	servers.Load(t, s, alice, "INBOX", letter("one", "a"))
	b := newBench(t, "")
	for _, url := range []string{
		fmt.Sprintf("imap://%s@%s?ca=%s", alice, s.Address, s.CA),
		fmt.Sprintf("imap+insecure://%s@%s", alice, s.Address),
	} {
		if r := b.backup(url, "--name", "alice"); r.Snapshot.Messages != 1 {
			t.Errorf("%s: %+v", url, r)
		}
	}
}
