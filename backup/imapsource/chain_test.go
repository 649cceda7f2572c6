package imapsource

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
	"restante/storage"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// patience is how long a test waits for what must happen soon. It decides
// nothing when all is well.
const patience = 5 * time.Minute

// password is what no error, note or log may show.
const password = rogue.Password

// A chain is an account on a server, a repository, and what is between them.
type chain struct {
	t       testing.TB
	name    string // of the account in the repository; empty: alice
	account *imaptest.Account
	repo    *storage.Repository
	temp    string // directory of the source's temporary files
	source  func(*Options)
	conn    func(*imapconn.Options)
	run     func(*backup.Options)

	commands []imaptest.Command // of the last backup
	pauses   int                // in it
}

// everything is what a server can have that Restante makes use of.
const everything = "NAMESPACE LIST-EXTENDED LIST-STATUS SPECIAL-USE CONDSTORE ESEARCH"

func newChain(t *testing.T, caps string) *chain {
	t.Helper()
	repo, err := storage.Init(t.Context(), objects.NewMemory(), storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	return &chain{t: t, account: imaptest.NewAccount(caps), repo: repo, temp: t.TempDir()}
}

// backup runs a backup from a server that follows the script; nil: the
// account's own.
func (c *chain) backup(script *imaptest.Script) (*backup.Result, error) {
	c.t.Helper()
	if script == nil {
		s := c.account.Script()
		script = &s
	}
	server := imaptest.Start(c.t, *script)
	defer func() {
		server.Close()
		c.commands = server.Commands()
		for _, cmd := range c.commands {
			if mayChange(cmd) {
				c.t.Errorf("the server got %s %s, which could change a mailbox", cmd.Name, cmd.Args)
			}
		}
	}()
	return c.from(server.Addr)
}

// mayChange says whether a command is any but those that are certain to leave
// a mailbox as it is.
func mayChange(cmd imaptest.Command) bool {
	switch cmd.Name {
	case "LOGIN", "CAPABILITY", "NAMESPACE", "LIST", "LSUB", "STATUS", "EXAMINE", "NOOP", "UID SEARCH", "LOGOUT",
		"MYRIGHTS", "GETACL", "GETQUOTAROOT", "GETMETADATA":
		return false
	case "UID FETCH":
		for _, item := range strings.FieldsFunc(fieldNames.ReplaceAllString(strings.ToUpper(cmd.Args), ""), func(r rune) bool { return strings.ContainsRune(" ()", r) })[1:] {
			switch {
			case slices.Contains([]string{"UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "MODSEQ", "CHANGEDSINCE", "X-GM-LABELS", "X-GM-MSGID"}, item),
				strings.HasPrefix(item, "BODY.PEEK["), strings.Trim(item, "0123456789") == "":
			default:
				return true
			}
		}
		return false
	}
	return true
}

// fieldNames are those of a part of a header that is asked for.
var fieldNames = regexp.MustCompile(` \("[A-Z-]+"( "[A-Z-]+")*\)\]`)

// sent counts the commands of the last backup, by name.
func (c *chain) sent() map[string]int {
	n := map[string]int{}
	for _, cmd := range c.commands {
		n[cmd.Name]++
	}
	return n
}

// bodies counts the messages that the last backup asked for whole.
func (c *chain) bodies() (n int) {
	for _, cmd := range c.commands {
		if set, items, _ := strings.Cut(cmd.Args, " "); cmd.Name == "UID FETCH" && strings.Contains(items, "BODY.PEEK[]") {
			for part := range strings.SplitSeq(set, ",") {
				var first, last int
				if k, _ := fmt.Sscanf(part, "%d:%d", &first, &last); k < 2 {
					last = first
				}
				n += 1 + last - first
			}
		}
	}
	return n
}

// from runs a backup from the server at an address.
func (c *chain) from(address string) (*backup.Result, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeoutCause(c.t.Context(), patience, errors.New("the backup hangs"))
	defer cancel()
	result, err := c.fromContext(ctx, address)
	if ctx.Err() != nil {
		c.t.Fatalf("%v: %v", context.Cause(ctx), err)
	}
	return result, err
}

func (c *chain) fromContext(ctx context.Context, address string) (*backup.Result, error) {
	c.t.Helper()
	o := Options{Parallel: 2, TempDir: c.temp, Dial: func(ctx context.Context, odd func(imapconn.Oddity)) (*imapconn.Conn, error) {
		o := imapconn.Options{Address: address, Security: imapconn.Insecure, User: "alice", Password: password, Odd: odd, Idle: patience}
		if c.conn != nil {
			c.conn(&o)
		}
		return imapconn.Dial(ctx, o)
	}}
	if c.source != nil {
		c.source(&o)
	}
	src := New(o)
	defer src.Close()
	vault, err := c.repo.VaultID(storage.DefaultVault)
	if err != nil {
		c.t.Fatal(err)
	}
	var pauses atomic.Int64
	ro := backup.Options{Account: c.accountName(), Vault: vault, Now: noon, Pause: func(ctx context.Context, _ int) error {
		pauses.Add(1)
		return ctx.Err()
	}}
	if c.run != nil {
		c.run(&ro)
	}
	result, err := backup.Run(ctx, c.repo, src, ro)
	c.pauses = int(pauses.Load())
	said := fmt.Sprint(err)
	if result != nil {
		said += fmt.Sprint(result.Snapshot.Notes, result.Missing)
	}
	if strings.Contains(said, password) {
		c.t.Errorf("the password is shown: %s", said)
	}
	return result, err
}

// noon is always of the same day: the first run of another one asks for more.
func noon() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

func (c *chain) accountName() string { return cmp.Or(c.name, "alice") }

// must runs a backup that must go well.
func (c *chain) must(script *imaptest.Script) *backup.Result {
	c.t.Helper()
	result, err := c.backup(script)
	if err != nil {
		c.t.Fatal(err)
	}
	return result
}

// whole runs a backup that must have all that the account has, and say nothing.
func (c *chain) whole(what string, script *imaptest.Script) *backup.Result {
	c.t.Helper()
	result := c.must(script)
	c.same(what, c.snapshot(result.Snapshot), c.view())
	if result.Snapshot.Marks.Has(ledger.Incomplete) || len(result.Missing) > 0 || len(result.Snapshot.Notes) > 0 {
		c.t.Errorf("%s: marked %v, missing %v, notes %q", what, result.Snapshot.Marks, result.Missing, result.Snapshot.Notes)
	}
	return result
}

// incomplete runs a backup that must say that it has not all, for a reason
// that the text is part of.
func (c *chain) incomplete(what string, script *imaptest.Script, reason string) *backup.Result {
	c.t.Helper()
	result := c.must(script)
	said := strings.Join(result.Snapshot.Notes, "; ")
	for _, m := range result.Missing {
		said += fmt.Sprintf("; %s/%d/%d: %s", m.Folder, m.UIDValidity, m.UID, m.Reason)
	}
	if !result.Snapshot.Marks.Has(ledger.Incomplete) || !strings.Contains(said, reason) {
		c.t.Errorf("%s: marked %v, and it says %q, not %q", what, result.Snapshot.Marks, said, reason)
	}
	return result
}

// with is the account's script with a command answered by another handler.
func (c *chain) with(command string, h func(own imaptest.Handler) imaptest.Handler) *imaptest.Script {
	s := c.account.Script()
	s.Handle[command] = h(s.Handle[command])
	return &s
}

// rewritten is the account's script with the answers to a command changed.
func (c *chain) rewritten(command string, change func(cmd imaptest.Command, answer string) string) *imaptest.Script {
	return c.with(command, func(own imaptest.Handler) imaptest.Handler { return imaptest.Rewrite(own, change) })
}

// refused is the account's script with a command answered so wherever when
// says so. "%T" stands for the tag.
func (c *chain) refused(command, answer string, when func(cmd imaptest.Command) bool) *imaptest.Script {
	return c.with(command, func(own imaptest.Handler) imaptest.Handler {
		return func(conn *imaptest.Conn, cmd imaptest.Command) {
			if when(cmd) {
				imaptest.Answer(answer)(conn, cmd)
				return
			}
			own(conn, cmd)
		}
	})
}

// wantsBody says whether a command asks for the whole of a message.
func wantsBody(cmd imaptest.Command, uid uint32) bool {
	set, items, _ := strings.Cut(cmd.Args, " ")
	return strings.Contains(items, "BODY.PEEK[]") && imaptest.InSet(set, uid)
}

// view is what an account holds, or a snapshot: folder → UIDVALIDITY and UID →
// flags, date and octets. What a folder is besides stands under "".
type view map[string]map[string]string

func line(flags []string, date time.Time, body string) string {
	when := "none"
	if !date.IsZero() {
		when = date.Format(time.RFC3339)
	}
	if len(body) > 1000 {
		body = fmt.Sprintf("%s… %d octets %x", body[:50], len(body), sha256.Sum256([]byte(body)))
	}
	return fmt.Sprintf("%q %s %q", slices.Sorted(slices.Values(flags)), when, body)
}

func folderLine(attributes, specialUse []string, subscribed bool) string {
	return fmt.Sprintf("%q %q %v", slices.Sorted(slices.Values(attributes)), slices.Sorted(slices.Values(specialUse)), subscribed)
}

// view is what the account holds now. Names are of an account with the
// delimiter "/" and no prefix.
func (c *chain) view() view {
	c.t.Helper()
	v := view{}
	for _, f := range c.account.Folders() {
		c.account.Do(func() {
			var attributes, use []string
			for _, a := range strings.Fields(f.Attrs) {
				if slices.Contains(specialUses, a) {
					use = append(use, a)
				} else {
					attributes = append(attributes, a)
				}
			}
			list := map[string]string{"": folderLine(attributes, use, f.Subscribed)}
			for _, m := range f.Messages {
				date, err := time.Parse(`"_2-Jan-2006 15:04:05 -0700"`, m.Date)
				if err != nil {
					date = time.Time{}
				}
				list[fmt.Sprintf("%d/%d", f.Validity, m.UID)] = line(strings.Fields(m.Flags), date, m.Body)
			}
			v[imapconn.DecodeName([]byte(f.Name))] = list
		})
	}
	return v
}

// snapshot is what a snapshot holds.
func (c *chain) snapshot(s storage.Snapshot) view {
	c.t.Helper()
	tree, err := c.repo.OpenSnapshot(c.t.Context(), s)
	if err != nil {
		c.t.Fatal(err)
	}
	v := view{}
	for _, f := range tree.Folders {
		list := map[string]string{"": folderLine(f.Attributes, f.SpecialUse, f.Subscribed)}
		for m, err := range f.All(c.t.Context()) {
			if err != nil {
				c.t.Fatal(err)
			}
			var b bytes.Buffer
			if err := c.repo.WriteMessage(c.t.Context(), &b, s.Vault, m.Recipe); err != nil {
				c.t.Fatal(err)
			}
			list[fmt.Sprintf("%d/%d", f.UIDValidity, m.UID)] = line(m.Flags, m.InternalDate, b.String())
		}
		v[f.Name()] = list
	}
	return v
}

// same fails the test unless both hold the same.
func (c *chain) same(what string, got, want view) {
	c.t.Helper()
	if diff := difference(got, want); len(diff) > 0 {
		c.t.Errorf("%s:\n%s", what, strings.Join(diff[:min(len(diff), 10)], "\n"))
	}
}

func difference(got, want view) (diff []string) {
	for _, folder := range slices.Sorted(maps.Keys(want)) {
		list, ok := got[folder]
		if !ok {
			diff = append(diff, fmt.Sprintf("there is no folder %q", folder))
			continue
		}
		for _, place := range slices.Sorted(maps.Keys(want[folder])) {
			if m, ok := list[place]; !ok {
				diff = append(diff, fmt.Sprintf("folder %q has no %s", folder, place))
			} else if m != want[folder][place] {
				diff = append(diff, fmt.Sprintf("folder %q, %s is\n\t%.200s, not\n\t%.200s", folder, place, m, want[folder][place]))
			}
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[folder]; !ok {
			diff = append(diff, fmt.Sprintf("there is a folder %q", folder))
			continue
		}
		for _, place := range slices.Sorted(maps.Keys(got[folder])) {
			if _, ok := want[folder][place]; !ok {
				diff = append(diff, fmt.Sprintf("folder %q has %s: %.200s", folder, place, got[folder][place]))
			}
		}
	}
	return diff
}

// letter is the text of a message.
func letter(n int) string {
	return fmt.Sprintf("From: ann@example.org\r\nSubject: letter %d\r\nMessage-ID: <%d@example.org>\r\n\r\nLine of letter %d\r\n", n, n, n)
}

// fill makes an account of three folders.
func (c *chain) fill() {
	for i := range 12 {
		c.account.Add("INBOX", letter(i), []string{"", `\Seen`, `\Seen $Forwarded`, `\Flagged \Answered`}[i%4])
	}
	for i := range 7 {
		c.account.Add("Sent", letter(100+i), `\Seen`)
	}
	sent, empty := c.account.Folder("Sent"), c.account.Folder("Lists/Empty")
	c.account.Do(func() { sent.Attrs, sent.Subscribed, empty.Subscribed = `\Sent`, true, false })
}
