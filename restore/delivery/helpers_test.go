package delivery

import (
	"context"
	"strings"
	"testing"

	"restante/backup/accounts/smtpconn"
	"restante/backup/accounts/smtpconn/smtptest"
	"restante/restore"
	"restante/storage"
	"restante/storage/objects"
)

func noPause(ctx context.Context, _ int) error { return ctx.Err() }

// A desk is an archive and a server to deliver to.
type desk struct {
	t       *testing.T
	repo    *storage.Repository
	tree    *storage.Tree
	server  *smtptest.Server
	address string
	journal string // directory
	o       Options
}

// newDesk has one folder, INBOX, with letters.
func newDesk(t *testing.T, server *smtptest.Server, letters ...string) *desk {
	t.Helper()
	repo, err := storage.Init(t.Context(), objects.NewMemory(), storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	d := &desk{t: t, repo: repo, server: server, address: smtptest.Start(t, server), journal: t.TempDir()}
	d.o.To = []string{"anna@example.org"}
	d.archive(letters)
	return d
}

func (d *desk) archive(letters []string) {
	d.t.Helper()
	fail := func(err error) {
		if err != nil {
			d.t.Helper()
			d.t.Fatal(err)
		}
	}
	vault, err := d.repo.VaultID(storage.DefaultVault)
	fail(err)
	w, err := d.repo.Writer(d.t.Context(), vault)
	fail(err)
	defer w.Close()
	draft := w.Draft(nil)
	draft.Describe(func(f *storage.Folder) { f.Levels, f.UIDValidity = []string{"INBOX"}, 1 })
	var list []storage.Message
	for i, octets := range letters {
		saved, err := w.SaveMessage(strings.NewReader(octets), int64(len(octets)))
		fail(err)
		list = append(list, storage.Message{UID: uint32(i + 1), Size: int64(len(octets)), Recipe: saved.Recipe, Flags: []string{`\Seen`}})
	}
	fail(draft.Add(list))
	folder, err := draft.Save(d.t.Context())
	fail(err)
	snapshot := storage.Snapshot{ID: storage.NewID(), Account: "a"}
	fail(w.SaveTree("imap", []storage.SavedFolder{folder}, &snapshot))
	fail(w.Commit(d.t.Context(), []storage.Snapshot{snapshot}, nil, nil))
	d.tree, err = d.repo.OpenSnapshot(d.t.Context(), snapshot)
	fail(err)
}

// run delivers everything.
func (d *desk) run(o restore.Options) (*restore.Report, error) {
	d.t.Helper()
	to := d.o
	to.Location, to.JournalDir, to.Pause = "test", d.journal, noPause
	to.Dial = func(ctx context.Context) (*smtpconn.Conn, error) {
		return smtpconn.Dial(ctx, smtpconn.Options{Address: d.address, Security: smtpconn.Insecure, LMTP: d.server.LMTP})
	}
	target := New(to)
	defer target.Close()
	groups, err := new(restore.Selection).Groups(d.t.Context(), d.tree)
	if err != nil {
		d.t.Fatal(err)
	}
	o.Pause = noPause
	return restore.Run(d.t.Context(), d.repo, groups, target, o)
}

// do is run where nothing may go wrong.
func (d *desk) do(o restore.Options) restore.FolderReport {
	d.t.Helper()
	report, err := d.run(o)
	if err != nil {
		d.t.Fatal(err)
	}
	return report.Totals()
}

// got are the octets that were delivered to anna, in order.
func (d *desk) got() (list []string) {
	for _, m := range d.server.Got() {
		if m.To == "anna@example.org" {
			list = append(list, m.Octets)
		}
	}
	return list
}
