package pop3source

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"restante/backup"
	"restante/backup/accounts/pop3conn"
	"restante/backup/accounts/pop3conn/pop3test"
	"restante/storage"
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

// now is a pause that does not wait.
func now(ctx context.Context, _ int) error { return ctx.Err() }

// A line is how a test's source gets to its maildrop.
type line struct {
	drop *pop3test.Maildrop

	mu sync.Mutex // guards what follows
	// cuts are after how many octets of the server's the next connections are
	// lost; those behind the last are not.
	cuts  []int
	dials int
}

func (l *line) dial(ctx context.Context, oneByOne bool) (*pop3conn.Conn, error) {
	l.mu.Lock()
	cut := -1
	if l.dials < len(l.cuts) {
		cut = l.cuts[l.dials]
	}
	l.dials++
	l.mu.Unlock()
	return pop3conn.Dial(ctx, pop3conn.Options{
		Address: "maildrop:110", Security: pop3conn.Insecure, User: "alice", Password: "secret", OneByOne: oneByOne,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return l.drop.Pipe(func(c net.Conn) net.Conn {
				if cut < 0 {
					return c
				}
				return &cutConn{Conn: c, left: cut}
			}), nil
		},
	})
}

// A cutConn is a server's connection that is lost when so many octets have been
// written to it.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:c.left])
	c.left = 0
	c.Conn.Close()
	return n, net.ErrClosed
}

func newSource(l *line) *Source { return New(Options{Dial: l.dial}) }

func options(t testing.TB, repo *storage.Repository) backup.Options {
	t.Helper()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	return backup.Options{Account: "alice/laptop", Vault: vault, Pause: now}
}

// run backs a maildrop up, with a new source, as from one night to the next.
func run(t testing.TB, repo *storage.Repository, d *pop3test.Maildrop, cuts ...int) *backup.Result {
	t.Helper()
	src := newSource(&line{drop: d, cuts: cuts})
	defer src.Close()
	result, err := backup.Run(t.Context(), repo, src, options(t, repo))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A seen is a message in a snapshot.
type seen struct {
	uid    uint32
	octets string
	key    string
}

func messagesOf(t testing.TB, repo *storage.Repository, s storage.Snapshot) (list []seen) {
	t.Helper()
	tree, err := repo.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tree.Folders {
		for m, err := range f.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := repo.WriteMessage(t.Context(), &b, s.Vault, m.Recipe); err != nil {
				t.Fatal(err)
			}
			if int64(b.Len()) != m.Size {
				t.Errorf("UID %d has %d octets, and its record says %d", m.UID, b.Len(), m.Size)
			}
			list = append(list, seen{m.UID, b.String(), m.Key})
		}
	}
	return list
}

// wantHeld fails the test unless the snapshot holds what the maildrop does.
func wantHeld(t testing.TB, repo *storage.Repository, r *backup.Result, d *pop3test.Maildrop) {
	t.Helper()
	var got, want []string
	for _, m := range messagesOf(t, repo, r.Snapshot) {
		got = append(got, m.octets)
	}
	d.Do(func() {
		for _, m := range d.Messages {
			want = append(want, m.Octets)
		}
	})
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the snapshot holds %d messages %.500q\nwant %d %.500q", len(got), got, len(want), want)
	}
	if len(r.Missing) > 0 || r.Snapshot.Marks.Has(storage.Incomplete) {
		t.Errorf("missing %v, marked %v, %q", r.Missing, r.Snapshot.Marks, r.Snapshot.Notes)
	}
}

// wantStats checks what a run found new and gone.
func wantStats(t testing.TB, r *backup.Result, added, gone int64) {
	t.Helper()
	if s := r.Snapshot.Stats; s.New != added || s.Gone != gone {
		t.Errorf("%d new, %d gone; want %d, %d; %q", s.New, s.Gone, added, gone, r.Snapshot.Notes)
	}
}

func wantNote(t testing.TB, r *backup.Result, text string) {
	t.Helper()
	if !slices.ContainsFunc(r.Snapshot.Notes, func(n string) bool { return strings.Contains(n, text) }) {
		t.Errorf("no note says %q: %q", text, r.Snapshot.Notes)
	}
}

// mail makes messages that differ; those with one size have one size.
func mail(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("From: cron@example.org\r\nSubject: %05d\r\n\r\nnothing to report\r\n", i))
	}
	return list
}

func drop(octets ...string) *pop3test.Maildrop {
	d := new(pop3test.Maildrop)
	d.Add(octets...)
	return d
}

// retrieved counts the messages that were read.
func retrieved(d *pop3test.Maildrop) (n int) {
	for _, c := range d.Commands() {
		if strings.HasPrefix(c, "RETR") {
			n++
		}
	}
	return n
}
