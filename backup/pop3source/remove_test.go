package pop3source

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/backup"
	"restante/backup/accounts/pop3conn/pop3test"
	"restante/storage"
	"restante/storage/objects"
)

func TestPolicies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Policy{
		"": {}, "keep": {text: "keep"}, "delete-after-backup": {rule: deleteAfterBackup}, "delete-after: 30d": {rule: deleteAfter, age: 720 * time.Hour},
		"delete-after:12h": {rule: deleteAfter, age: 12 * time.Hour}, "delete-after: 2w": {rule: deleteAfter, age: 336 * time.Hour},
		"delete-over: 5GB": {rule: deleteOver, limit: 5e9}, "delete-over: 5 GiB oldest first": {rule: deleteOver, limit: 5 << 30},
	} {
		got, err := ParsePolicy(text)
		want.text = text
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
		if again, err := ParsePolicy(got.String()); err != nil || again.rule != got.rule || again.age != got.age || again.limit != got.limit {
			t.Errorf("%q comes back as %+v, %v", got.String(), again, err)
		}
		if got.Keeps() != (want.rule == keep) {
			t.Errorf("%q keeps: %v", text, got.Keeps())
		}
	}
	for _, text := range []string{"delete", "keep: 3d", "delete-after-backup: 3d", "delete-after", "delete-after: 0d", "delete-after: -1d", "delete-after: 30", "delete-after: 30x",
		"delete-over: 5", "delete-over: 5d", "delete-over: 99999999999TB", "delete-over: 5GB newest first", "delete-after: 30d, keep"} {
		if p, err := ParsePolicy(text); err == nil {
			t.Errorf("%q is taken for %+v", text, p)
		}
	}
}

// A place is a repository that can be opened anew.
type place struct {
	store objects.Store
	repo  *storage.Repository
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{store: objects.NewMemory()}
	r, err := storage.Init(t.Context(), p.store, storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p.repo = r
	t.Cleanup(func() { r.Close() })
	return p
}

var unlock = storage.Unlock{Passphrase: func() (string, error) { return "x", nil }}

// proof opens the repository with nothing but what is in the store.
func (p *place) proof(t testing.TB) *storage.Repository {
	t.Helper()
	r, err := storage.Open(t.Context(), p.store, unlock, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// tonight is when removals are, unless a test says otherwise.
var tonight = time.Now()

// remove removes what a policy says.
func (p *place) remove(t testing.TB, d *pop3test.Maildrop, policy string, change func(*Removal)) (*Report, error) {
	t.Helper()
	parsed, err := ParsePolicy(policy)
	if err != nil {
		t.Fatal(err)
	}
	src := newSource(&line{drop: d})
	defer src.Close()
	o := Removal{Account: "alice/laptop", Policy: parsed, Repo: p.repo, Proof: p.proof(t), Now: tonight, Pause: now}
	if change != nil {
		change(&o)
	}
	return src.Remove(t.Context(), o)
}

func (p *place) mustRemove(t testing.TB, d *pop3test.Maildrop, policy string, change func(*Removal)) *Report {
	t.Helper()
	r, err := p.remove(t, d, policy, change)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func subjects(list []Verdict) (s []string) {
	for _, v := range list {
		s = append(s, v.Subject)
	}
	return s
}

func left(d *pop3test.Maildrop) (list []string) {
	d.Do(func() {
		for _, m := range d.Messages {
			list = append(list, m.Octets)
		}
	})
	return list
}

func deletions(d *pop3test.Maildrop) (n int) {
	for _, c := range d.Commands() {
		if strings.HasPrefix(c, "DELE") {
			n++
		}
	}
	return n
}

func TestKeepDeletesNothing(t *testing.T) {
	t.Parallel()
	p, d := newPlace(t), drop(mail(3)...)
	run(t, p.repo, d)
	sessions := d.Sessions()
	if r := p.mustRemove(t, d, "keep", nil); len(r.Deleted)+len(r.Kept)+len(r.Unknown) > 0 || d.Sessions() != sessions {
		t.Errorf("%+v", r)
	}
}

func TestDeleteAfterBackup(t *testing.T) {
	t.Parallel()
	p, d := newPlace(t), drop(mail(4)[:3]...)
	first := run(t, p.repo, d)
	d.Add(mail(4)[3]) // after the backup
	dry := p.mustRemove(t, d, "delete-after-backup", func(o *Removal) { o.DryRun = true })
	if len(left(d)) != 4 || deletions(d) != 0 {
		t.Fatalf("a dry run deletes: %q", d.Commands())
	}
	r := p.mustRemove(t, d, "delete-after-backup", nil)
	if got := subjects(r.Deleted); !slices.Equal(got, []string{"00000", "00001", "00002"}) || len(r.Kept)+len(r.Unknown) > 0 || r.Problems() || r.Left != 1 {
		t.Errorf("%+v", r)
	}
	if !slices.Equal(subjects(dry.Deleted), subjects(r.Deleted)) || dry.Left != 1 || !dry.DryRun || r.DryRun || dry.Deleted[0].Reason != "it is backed up" {
		t.Errorf("dry run: %+v", dry)
	}
	if !slices.Equal(left(d), mail(4)[3:]) {
		t.Errorf("left: %q", left(d))
	}
	second := run(t, p.repo, d)
	wantHeld(t, p.repo, second, d)
	wantStats(t, second, 1, 3)
	if len(messagesOf(t, p.repo, first.Snapshot)) != 3 {
		t.Error("the first snapshot has lost mail")
	}
}

// Age is counted from the first snapshot that has a message.
func TestDeleteAfter(t *testing.T) {
	t.Parallel()
	p, d := newPlace(t), drop("Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nSubject: old\r\n\r\n")
	first := run(t, p.repo, d)
	later := func(after time.Duration) func(*Removal) {
		return func(o *Removal) { o.Now = first.Snapshot.StartedAt().Add(after) }
	}
	if r := p.mustRemove(t, d, "delete-after: 30d", later(720*time.Hour-time.Second)); len(r.Deleted) != 0 {
		t.Errorf("%+v", r)
	}
	d.Add("Subject: new\r\n\r\n")
	time.Sleep(time.Until(first.Snapshot.StartedAt().Add(1100 * time.Millisecond))) // snapshots have seconds
	second := run(t, p.repo, d)
	if !second.Snapshot.StartedAt().After(first.Snapshot.StartedAt()) {
		t.Fatal("both snapshots are of one second")
	}
	r := p.mustRemove(t, d, "delete-after: 30d", later(720*time.Hour))
	if got := subjects(r.Deleted); !slices.Equal(got, []string{"old"}) || !r.Deleted[0].FirstSeen.Equal(first.Snapshot.StartedAt()) || !strings.Contains(r.Deleted[0].Reason, "first seen") {
		t.Errorf("%+v", r)
	}
	if len(left(d)) != 1 {
		t.Errorf("left: %q", left(d))
	}
}

func TestDeleteOver(t *testing.T) {
	t.Parallel()
	p, d := newPlace(t), new(pop3test.Maildrop)
	for i := range 5 {
		d.Add(fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("x", 1000)))
	}
	run(t, p.repo, d)
	slices.Reverse(d.Messages) // numbers say nothing of age
	if r := p.mustRemove(t, d, "delete-over: 6kB oldest first", nil); len(r.Deleted) != 0 || r.Left != 5 {
		t.Errorf("%+v", r)
	}
	r := p.mustRemove(t, d, "delete-over: 3kB oldest first", nil)
	if got := subjects(r.Deleted); !slices.Equal(got, []string{"0", "1", "2"}) || r.Left != 2 || r.LeftOctets > 3000 || len(left(d)) != 2 || !strings.Contains(r.Deleted[0].Reason, "the oldest") {
		t.Errorf("%+v", r)
	}
}

// What is not proven stays, whatever the policy is.
func TestWhatIsNotProvenStays(t *testing.T) {
	t.Parallel()
	const odd = "Subject: odd\r\n\r\na\n.\r\nb\r\n"
	for _, test := range []struct {
		name   string
		change func(d *pop3test.Maildrop) // between the backup and the removal
		again  bool                       // there is another backup between
		want   string                     // the reason; empty: it is not spoken of
		sure   int                        // how many others are deleted
	}{
		{"another message of the same size under its unique-id", func(d *pop3test.Maildrop) {
			d.Messages[1].Octets = mail(9)[8]
		}, false, "another message under its unique-id", 2},
		{"the same, and no TOP", func(d *pop3test.Maildrop) {
			d.Unknown = "TOP"
			d.Messages[1].Octets = strings.Replace(d.Messages[1].Octets, "nothing", "NOTHING", 1)
		}, false, "another message under its unique-id", 2},
		{"another size", func(d *pop3test.Maildrop) { d.Messages[1].Size = 7 }, false, "tells of 7 octets", 2},
		{"unique-ids that moved", func(d *pop3test.Maildrop) {
			d.Messages[0].UIDL, d.Messages[1].UIDL, d.Messages[2].UIDL = d.Messages[1].UIDL, d.Messages[2].UIDL, "new"
		}, false, "another message under its unique-id", 0},
		{"a unique-id given twice", func(d *pop3test.Maildrop) {
			d.Messages[0].UIDL = d.Messages[1].UIDL
		}, false, "", 1},
		{"no unique-ids", func(d *pop3test.Maildrop) { d.Unknown = "UIDL" }, false, "", 0},
		{"DELE refused", func(d *pop3test.Maildrop) {
			d.Handle = map[string]func(*pop3test.Conn, string){"DELE": func(c *pop3test.Conn, command string) {
				if command == "DELE 2" {
					c.Say("-ERR not this one\r\n")
				} else {
					c.Default(command)
				}
			}}
		}, false, "not this one", 2},
		{"a message that looked odd", func(d *pop3test.Maildrop) {
			d.Messages[1].Octets = odd
		}, true, "leaves something uncertain", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, d := newPlace(t), drop(mail(3)...)
			run(t, p.repo, d)
			d.Do(func() { test.change(d) })
			if test.again {
				run(t, p.repo, d)
			}
			before := left(d)
			r := p.mustRemove(t, d, "delete-after-backup", nil)
			if len(r.Deleted) != test.sure || len(left(d)) != 3-test.sure || len(r.Unknown) != 0 {
				t.Errorf("%+v, left: %q", r, left(d))
			}
			if test.sure < 3 && !slices.Contains(left(d), before[1]) {
				t.Errorf("deleted: %q", before[1])
			}
			if test.want != "" && (len(r.Kept) == 0 || !strings.Contains(r.Kept[0].Reason, test.want)) {
				t.Errorf("kept: %+v", r.Kept)
			}
		})
	}
}

// A repository that cannot give a message back is no reason to delete it.
func TestWhatCannotBeReadBackStays(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(b []byte) []byte{
		"damaged": func(b []byte) []byte {
			for i := range b { // but for the end, where the directory is
				if i < len(b)/2 {
					b[i] ^= 1
				}
			}
			return b
		},
		"missing": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, d := newPlace(t), drop(mail(3)...)
			run(t, p.repo, d)
			for info, err := range p.store.List(t.Context(), "packs/", "") {
				if err != nil {
					t.Fatal(err)
				}
				b, err := p.store.Get(t.Context(), info.Name, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				if harm == nil {
					err = p.store.Delete(t.Context(), info.Name)
				} else {
					err = p.store.Put(t.Context(), info.Name, harm(b))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			r, err := p.remove(t, d, "delete-after-backup", nil)
			if err == nil && (len(r.Deleted) > 0 || !r.Problems()) || len(left(d)) != 3 || deletions(d) != 0 {
				t.Errorf("%+v, %v, left: %q", r, err, left(d))
			}
		})
	}
}

// What the snapshot's record says is compared with what the store gives: a
// message whose recipe leads to another one is not proven.
func TestWrongRecipe(t *testing.T) {
	t.Parallel()
	p, d := newPlace(t), drop(mail(2)...)
	run(t, p.repo, d)
	policy, _ := ParsePolicy("delete-after-backup")
	x := &removal{Removal: Removal{Proof: p.proof(t), Policy: policy}, report: new(Report)}
	held, snapshot, err := candidates(t.Context(), &Removal{Account: "alice/laptop", Repo: p.repo, Proof: x.Proof})
	if err != nil || len(held) != 2 {
		t.Fatal(held, err)
	}
	x.snapshot = snapshot
	var list []*candidate
	for _, c := range held {
		c.listed.Size = c.key.size
		if why, err := x.unproven(t.Context(), c); why != "" || err != nil {
			t.Errorf("%q, %v", why, err)
		}
		list = append(list, c)
	}
	list[0].recipe = list[1].recipe
	if why, err := x.unproven(t.Context(), list[0]); !strings.Contains(why, "not what the server sent") || err != nil || !list[0].Problem {
		t.Errorf("%q, %v", why, err)
	}
}

// QUIT is when the server deletes. What it does not confirm is not known.
func TestTheEndOfASession(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		verb  string
		what  func(c *pop3test.Conn, command string)
		fails bool // nothing was deleted, for certain
		left  int
	}{
		{"lost between DELE and QUIT", "DELE", func(c *pop3test.Conn, _ string) { c.Close() }, true, 3},
		{"lost at QUIT", "QUIT", func(c *pop3test.Conn, _ string) { c.Close() }, false, 3},
		{"no answer to QUIT, which has deleted", "QUIT", func(c *pop3test.Conn, _ string) { c.Quit(); c.Close() }, false, 0},
		{"-ERR to QUIT", "QUIT", func(c *pop3test.Conn, _ string) {
			io.WriteString(c, "-ERR some deleted messages not removed\r\n")
			c.Close()
		}, false, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, d := newPlace(t), drop(mail(3)...)
			run(t, p.repo, d)
			d.Do(func() { d.Handle = map[string]func(*pop3test.Conn, string){test.verb: test.what} })
			r, err := p.remove(t, d, "delete-after-backup", nil)
			if (err != nil) != test.fails || len(left(d)) != test.left {
				t.Fatalf("%+v, %v, left: %q", r, err, left(d))
			}
			if err != nil && !strings.Contains(err.Error(), "nothing was deleted") {
				t.Error(err)
			}
			if err == nil && (len(r.Unknown) != 3 || len(r.Deleted) != 0 || !r.Problems() || r.Left != 3) {
				t.Errorf("%+v", r)
			}
			// The next night looks again.
			d.Do(func() { d.Handle = nil })
			next := run(t, p.repo, d)
			wantHeld(t, p.repo, next, d)
			r = p.mustRemove(t, d, "delete-after-backup", nil)
			if len(r.Deleted) != test.left || len(left(d)) != 0 {
				t.Errorf("%+v, left: %q", r, left(d))
			}
		})
	}
}

func TestBusyMaildropAtTheRemoval(t *testing.T) {
	t.Parallel()
	p, d := newPlace(t), drop(mail(3)...)
	run(t, p.repo, d)
	d.Do(func() { d.InUse = 1000 })
	if _, err := p.remove(t, d, "delete-after-backup", nil); !errors.Is(err, backup.ErrBusy) {
		t.Error(err)
	}
	d.Do(func() { d.InUse = 2 })
	if r := p.mustRemove(t, d, "delete-after-backup", nil); len(r.Deleted) != 3 {
		t.Errorf("%+v", r)
	}
}

func TestNothingIsDeletedWithoutASnapshot(t *testing.T) {
	t.Parallel()
	p, d := newPlace(t), drop(mail(3)...)
	if r, err := p.remove(t, d, "delete-after-backup", nil); err == nil || len(left(d)) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// The session of the backup is over before the one that deletes begins: a
// maildrop is open to one at a time.
func TestRemovalAfterABackupWithTheSameSource(t *testing.T) {
	t.Parallel()
	p, d := newPlace(t), drop(mail(3)...)
	d.Locks = true
	src := newSource(&line{drop: d})
	if _, err := backup.Run(t.Context(), p.repo, src, options(t, p.repo)); err != nil {
		t.Fatal(err)
	}
	policy, _ := ParsePolicy("delete-after-backup")
	r, err := src.Remove(t.Context(), Removal{Account: "alice/laptop", Policy: policy, Repo: p.repo, Proof: p.proof(t), Now: tonight})
	if err != nil || len(r.Deleted) != 3 || len(left(d)) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	src.Close()
}
