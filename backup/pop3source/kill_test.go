package pop3source

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"restante/backup"
	"restante/backup/accounts/pop3conn"
	"restante/backup/accounts/pop3conn/pop3test"
	"restante/storage"
	"restante/storage/objects"
)

// A mortal is a store as a process sees it that is killed after so many
// operations: the last one may or may not have happened, and there are no more.
type mortal struct {
	objects.Store

	mu   sync.Mutex // guards what follows
	left int
	late bool // the last one happens
	dead func()
}

var errKilled = errors.New("killed")

func (m *mortal) do(f func() error) error {
	m.mu.Lock()
	m.left--
	left := m.left
	m.mu.Unlock()
	if left > 0 {
		return f()
	}
	if left == 0 && m.late {
		f()
	}
	m.dead()
	return errKilled
}

func (m *mortal) Put(ctx context.Context, name string, data []byte) error {
	return m.do(func() error { return m.Store.Put(ctx, name, data) })
}

func (m *mortal) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	return m.do(func() error { return m.Store.PutIfAbsent(ctx, name, data) })
}

func (m *mortal) Get(ctx context.Context, name string, offset, length int64) (b []byte, err error) {
	err = m.do(func() (err error) { b, err = m.Store.Get(ctx, name, offset, length); return err })
	return b, err
}

func (m *mortal) List(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
	if err := m.do(func() error { return nil }); err != nil {
		return func(yield func(objects.Info, error) bool) { yield(objects.Info{}, err) }
	}
	return m.Store.List(ctx, prefix, after)
}

func (m *mortal) Delete(ctx context.Context, name string) error {
	return m.do(func() error { return m.Store.Delete(ctx, name) })
}

// A world is a maildrop, a repository, and nights in which everything goes
// wrong.
type world struct {
	t      *testing.T
	seed   uint64
	rand   *rand.Rand
	store  objects.Store
	drop   *pop3test.Maildrop
	number int

	mu      sync.Mutex      // guards deleted, while a server runs
	deleted []string        // by the server, because it was told to
	removed map[string]bool // by another client
}

// uidls are ways in which servers give unique-ids; nil: each message has one.
var uidls = []func(session, number int, m *pop3test.Message) string{
	nil, nil, nil,
	func(_, number int, _ *pop3test.Message) string { return fmt.Sprint("msg", number) },
	func(session, number int, _ *pop3test.Message) string { return fmt.Sprint(session, ".", number) },
	func(_, number int, m *pop3test.Message) string {
		if number%3 == 0 {
			return "same"
		}
		return m.UIDL
	},
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), store: objects.NewMemory(), drop: new(pop3test.Maildrop), removed: map[string]bool{}}
	w.drop.UIDL = uidls[w.rand.IntN(len(uidls))]
	if w.rand.IntN(8) == 0 {
		w.drop.Unknown = "UIDL"
	}
	if w.rand.IntN(3) == 0 {
		w.drop.Caps = "none"
	}
	r, err := storage.Init(t.Context(), w.store, storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	return w
}

// day is what happens between two nights: mail comes, and a client may remove
// some.
func (w *world) day() {
	for range 1 + w.rand.IntN(8) {
		w.deliver()
	}
	if w.rand.IntN(2) == 0 {
		w.remove()
	}
}

// deliver puts a message into the maildrop; most have the same size.
func (w *world) deliver() {
	w.number++
	body := "nothing to report\r\n"
	if w.rand.IntN(4) == 0 {
		body = fmt.Sprint(".\r\n..\r\n", string(make([]byte, w.rand.IntN(3000))), "\r\n")
	}
	w.drop.Add(fmt.Sprintf("Subject: %05d\r\n\r\n%s", w.number, body))
}

// remove is what another client does to a message.
func (w *world) remove() {
	w.drop.Do(func() {
		if n := len(w.drop.Messages); n > 0 {
			i := w.rand.IntN(n)
			w.removed[w.drop.Messages[i].Octets] = true
			w.drop.Messages = slices.Delete(slices.Clone(w.drop.Messages), i, i+1)
		}
	})
}

// night backs up and deletes, and is killed or loses connections; quiet: it
// does not.
func (w *world) night(quiet bool) (err error) {
	ctx, kill := context.WithCancelCause(w.t.Context())
	defer kill(nil)
	store := &mortal{Store: w.store, left: 1 << 30, late: w.rand.IntN(2) == 0, dead: func() { kill(errKilled) }}
	l := &line{drop: w.drop}
	handle := map[string]func(*pop3test.Conn, string){"QUIT": w.quit("")}
	if !quiet {
		switch w.rand.IntN(4) {
		case 0: // the process
			store.left = 1 + w.rand.IntN(40)
		case 1: // connections, one after the other
			for range 1 + w.rand.IntN(4) {
				l.cuts = append(l.cuts, 1+w.rand.IntN(6000))
			}
		case 2: // in one command, whichever
			verb := []string{"RETR", "TOP", "DELE", "UIDL", "PASS"}[w.rand.IntN(5)]
			var n atomic.Int64
			n.Store(int64(1 + w.rand.IntN(12)))
			handle[verb] = func(c *pop3test.Conn, command string) {
				if n.Add(-1) == 0 {
					c.Close()
					return
				}
				c.Default(command)
			}
		case 3: // at the end
			handle["QUIT"] = w.quit([]string{"before", "after", "refused"}[w.rand.IntN(3)])
		}
	}
	w.drop.Do(func() { w.drop.Handle = handle })
	repo, err := storage.Open(ctx, store, unlock, storage.Options{})
	if err != nil {
		return err
	}
	defer repo.Close()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		return err
	}
	src := newSource(l)
	src.o.Dial = func(ctx context.Context, oneByOne bool) (*pop3conn.Conn, error) {
		if !quiet && w.rand.IntN(3) == 0 { // between two sessions of a night
			w.remove()
			w.deliver()
		}
		return l.dial(ctx, oneByOne)
	}
	defer src.Close()
	o := backup.Options{Account: "alice/laptop", Vault: vault, Pause: now}
	if w.rand.IntN(3) == 0 {
		o.CommitBytes = 1 // partial snapshots
	}
	if _, err := backup.Run(ctx, repo, src, o); err != nil {
		return err
	}
	policy, _ := ParsePolicy([]string{"delete-after-backup", "delete-over: 2kB"}[w.rand.IntN(2)])
	proof, err := storage.Open(ctx, store, unlock, storage.Options{})
	if err != nil {
		return err
	}
	defer proof.Close()
	_, err = src.Remove(ctx, Removal{Account: "alice/laptop", Policy: policy, Repo: repo, Proof: proof, Now: time.Now()})
	return err
}

// quit ends sessions, and writes down what the server deletes.
func (w *world) quit(how string) func(*pop3test.Conn, string) {
	return func(c *pop3test.Conn, command string) {
		if how == "before" {
			c.Close()
			return
		}
		if how == "refused" {
			c.Say("-ERR some deleted messages not removed\r\n")
			c.Close()
			return
		}
		w.mu.Lock()
		for n := range c.Deleted {
			w.deleted = append(w.deleted, c.Messages[n-1].Octets)
		}
		w.mu.Unlock()
		if how == "after" {
			c.Quit()
			c.Close()
			return
		}
		c.Default(command)
	}
}

// archived reads everything that all snapshots hold, from the store alone.
func (w *world) archived() map[string]bool {
	repo, err := storage.Open(w.t.Context(), w.store, unlock, storage.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer repo.Close()
	all := map[string]bool{}
	for _, s := range repo.Snapshots("alice/laptop") {
		for _, m := range messagesOf(w.t, repo, s) {
			all[m.octets] = true
		}
	}
	return all
}

// Whatever is cut off, and wherever: no message is lost, and none is deleted
// that is not in the repository. Most of the time goes by waiting for the disk,
// so many worlds are on their way at once.
func TestKills(t *testing.T) {
	t.Parallel()
	const worlds, nights, atOnce = 50, 10, 10
	var failed, deleted atomic.Int64
	var wg sync.WaitGroup
	for first := range uint64(atOnce) {
		wg.Go(func() {
			for seed := first; seed < worlds; seed += atOnce {
				w := newWorld(t, seed)
				failed.Add(w.live(nights))
				deleted.Add(w.judge())
			}
		})
	}
	wg.Wait()
	if failed.Load() < worlds*nights/8 || deleted.Load() < worlds {
		t.Errorf("%d of %d nights failed, %d messages were deleted: this tries nothing", failed.Load(), worlds*nights, deleted.Load())
	}
	t.Logf("%d of %d nights failed, %d messages were deleted", failed.Load(), worlds*nights, deleted.Load())
}

// live lets nights go by, and returns how many of them failed. The last one
// does not.
func (w *world) live(nights int) (failed int64) {
	for range nights {
		w.day()
		if err := w.night(false); err != nil {
			failed++
		}
	}
	w.day()
	if err := w.night(true); err != nil {
		w.t.Errorf("world %d: a quiet night: %v", w.seed, err)
	}
	return failed
}

// judge looks at what is left, and returns how many messages were deleted.
func (w *world) judge() int64 {
	all := w.archived()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.deleted {
		if !all[m] {
			w.t.Errorf("world %d: deleted, and in no snapshot: %q", w.seed, m)
		}
	}
	have := map[string]bool{}
	for m := range all {
		have[subject(m)] = true
	}
	for m := range w.removed { // perhaps before it could be backed up
		have[subject(m)] = true
	}
	for n := 1; n <= w.number; n++ {
		if s := fmt.Sprintf("Subject: %05d", n); !have[s] {
			w.t.Errorf("world %d: lost: %s", w.seed, s)
		}
	}
	return int64(len(w.deleted))
}

func subject(octets string) string {
	s, _, _ := strings.Cut(octets, "\r\n")
	return s
}
