package imaptarget

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
	"restante/storage"
	"restante/storage/messages"
	"restante/storage/objects"
)

func newRepository(t testing.TB) *storage.Repository {
	t.Helper()
	r, err := storage.Init(t.Context(), objects.NewMemory(), storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// A letter is a message.
type letter struct {
	octets string
	flags  []string
	at     time.Time
}

var noon = time.Date(2024, 2, 29, 12, 30, 45, 0, time.FixedZone("", -(3*3600+30*60)))

func someLetters(name string, n int) (list []letter) {
	for i := range n {
		id := fmt.Sprintf("Message-ID: <%s.%d@x>\r\n", name, i)
		if i%10 == 9 {
			id = "" // some have none
		}
		list = append(list, letter{fmt.Sprintf("Subject: %s %d\r\n%s\r\nbody %d\r\n", name, i, id, i), [][]string{nil, {`\Seen`}, {`\Seen`, "$Forwarded"}}[i%3], noon.Add(time.Duration(i) * time.Minute)})
	}
	return list
}

// A folder is one of a snapshot.
type folder struct {
	levels     []string
	raw        string // octets of the name, where levels do not give them
	delimiter  string
	subscribed bool
	use        []string
	letters    []letter
}

func named(name string, letters ...letter) folder {
	return folder{levels: storage.FolderLevels(name), letters: letters}
}

// archive makes a snapshot of folders.
func archive(t testing.TB, repo *storage.Repository, folders ...folder) *storage.Tree {
	t.Helper()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	w, err := repo.Writer(t.Context(), vault)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var saved []storage.SavedFolder
	for _, f := range folders {
		d := w.Draft(nil)
		d.Describe(func(r *storage.Folder) {
			r.Levels, r.UIDValidity, r.Subscribed, r.SpecialUse, r.Delimiter = f.levels, 1, f.subscribed, f.use, f.delimiter
			if f.raw != "" {
				r.Raw = []byte(f.raw)
			}
		})
		var list []storage.Message
		for i, l := range f.letters {
			s, err := w.SaveMessage(strings.NewReader(l.octets), int64(len(l.octets)))
			if err != nil {
				t.Fatal(err)
			}
			header, err := messages.ReadHeader(strings.NewReader(l.octets), int64(len(l.octets)), 64<<10)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, storage.Message{UID: uint32(i + 1), Size: int64(len(l.octets)), Recipe: s.Recipe, Flags: l.flags, InternalDate: l.at,
				MessageID: storage.HashMessageID(messages.Summarize(header).MessageID)})
		}
		if err := d.Add(list); err != nil {
			t.Fatal(err)
		}
		one, err := d.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, one)
	}
	s := storage.Snapshot{ID: storage.NewID(), Account: "alice"}
	if err := w.SaveTree("imap", saved, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []storage.Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	tree, err := repo.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// A desk has all that a restore takes: a snapshot, and a server with a script.
type desk struct {
	t       testing.TB
	repo    *storage.Repository
	tree    *storage.Tree
	account *imaptest.Account
	server  *imaptest.Server
	journal string // directory; empty: none
}

// atDesk starts a server with an account that change has had its way with. It
// fails the test if anything is ever sent that could change or delete what an
// account has.
func atDesk(t testing.TB, caps string, change func(*imaptest.Account, *imaptest.Script), folders ...folder) *desk {
	t.Helper()
	d := &desk{t: t, repo: newRepository(t), account: imaptest.NewAccount(caps)}
	d.tree = archive(t, d.repo, folders...)
	script := d.account.Script()
	if change != nil {
		change(d.account, &script)
	}
	d.server = imaptest.Start(t, script)
	t.Cleanup(func() { wantHarmless(t, d.server.Commands()) })
	return d
}

// harmless are the commands that a restore may send. None of them changes or
// deletes what is there.
var harmless = strings.Fields("CAPABILITY STARTTLS COMPRESS LOGIN AUTHENTICATE ID NOOP LOGOUT NAMESPACE LIST LSUB STATUS GETQUOTAROOT SELECT CREATE SUBSCRIBE APPEND")

func wantHarmless(t testing.TB, commands []imaptest.Command) {
	t.Helper()
	for _, c := range commands {
		switch {
		case c.Name == "UID SEARCH", slices.Contains(harmless, c.Name):
		case c.Name == "UID STORE" && strings.Contains(c.Args, " +X-GM-LABELS.SILENT ("): // a message may get some, and loses none
		case c.Name == "UID FETCH" && strings.Count(c.Args, "BODY") == strings.Count(c.Args, "BODY.PEEK"): // without setting \Seen
		default:
			t.Errorf("%s %.80q was sent to the server", c.Name, c.Args)
		}
	}
}

// target is the account, over connections of the test's choice.
func (d *desk) target(dial func(ctx context.Context) (*imapconn.Conn, error)) *Target {
	d.t.Helper()
	if dial == nil {
		dial = d.dial
	}
	target := New(Options{Location: "imap://alice@test", Dial: dial})
	d.t.Cleanup(func() { target.Close() })
	return target
}

func (d *desk) dial(ctx context.Context) (*imapconn.Conn, error) {
	return imapconn.Dial(ctx, imapconn.Options{Address: d.server.Addr, Security: imapconn.Insecure, User: "alice", Password: "secret"})
}

func (d *desk) groups() []restore.Group {
	d.t.Helper()
	groups, err := new(restore.Selection).Groups(d.t.Context(), d.tree)
	if err != nil {
		d.t.Fatal(err)
	}
	return groups
}

func noPause(ctx context.Context, _ int) error { return ctx.Err() }

// try restores the snapshot.
func (d *desk) try(o restore.Options) (*restore.Report, error) {
	d.t.Helper()
	return d.over(d.t.Context(), d.target(nil), o)
}

func (d *desk) over(ctx context.Context, target restore.Target, o restore.Options) (*restore.Report, error) {
	d.t.Helper()
	o.Pause, o.JournalDir = noPause, d.journal
	return restore.Run(ctx, d.repo, d.groups(), target, o)
}

// restore is a try that must do well.
func (d *desk) restore() *restore.Report {
	d.t.Helper()
	report, err := d.try(restore.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	return report
}

// twice restores, and once more, which must add nothing; it returns the first
// report.
func (d *desk) twice() *restore.Report {
	d.t.Helper()
	first := d.restore()
	if sum := d.restore().Totals(); sum.Appended != 0 {
		d.t.Errorf("the second restore appended %d messages", sum.Appended)
	}
	return first
}

func describe(octets, flags string, at string) string {
	list := strings.Fields(flags)
	slices.Sort(list)
	return fmt.Sprintf("%q %s %s", list, at, octets)
}

// want fails the test unless the account has these folders, named as on the
// wire, with these messages and no others.
func (d *desk) want(want map[string][]letter) {
	d.t.Helper()
	got := map[string][]string{}
	folders := d.account.Folders()
	d.account.Do(func() {
		for _, f := range folders {
			got[f.Name] = []string{}
			for _, m := range f.Messages {
				got[f.Name] = append(got[f.Name], describe(m.Body, m.Flags, strings.Trim(m.Date, `"`)))
			}
			slices.Sort(got[f.Name])
		}
	})
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		d.t.Fatalf("the account has the folders %q, want %q", g, w)
	}
	for name, letters := range want {
		list := []string{}
		for _, l := range letters {
			list = append(list, describe(l.octets, strings.Join(l.flags, " "), l.at.Format("_2-Jan-2006 15:04:05 -0700")))
		}
		slices.Sort(list)
		if !slices.Equal(got[name], list) {
			d.t.Errorf("folder %q has %d messages, want %d, or others:\n%.2000q\nwant\n%.2000q", name, len(got[name]), len(list), got[name], list)
		}
	}
}

// sent returns the commands of a name, with what follows the name.
func (d *desk) sent(name string) (args []string) {
	for _, c := range d.server.Commands() {
		if c.Name == name {
			args = append(args, c.Args)
		}
	}
	return args
}

func notes(r *restore.Report) string {
	var b bytes.Buffer
	for _, f := range r.Folders {
		for _, n := range f.Notes {
			fmt.Fprintf(&b, "%s: %s\n", f.Place, n)
		}
	}
	return b.String()
}

// wantText fails the test unless text holds all of the parts.
func wantText(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in %q", p, text)
		}
	}
}
