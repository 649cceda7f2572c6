package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/storage/ledger"
	"restante/storage/objects"
)

// simNow is the schedule that runs. What production code takes from
// crypto/rand comes from the stream of the actor whose code runs, so that an
// actor that is told the same does the same, whatever others do meanwhile.
var simNow atomic.Pointer[simWorld]

type simRandom struct {
	mu   sync.Mutex
	real io.Reader
}

func (r *simRandom) Read(b []byte) (int, error) {
	w := simNow.Load()
	if w == nil || w.running == nil {
		return r.real.Read(b)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	octets, rest := &w.running.octets, b
	for ; len(rest) >= 8; rest = rest[8:] {
		binary.LittleEndian.PutUint64(rest, octets.Uint64())
	}
	if len(rest) > 0 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], octets.Uint64())
		copy(rest, word[:])
	}
	return len(b), nil
}

// simNoCache is where no cache can be: everything that a process keeps ends
// with it.
const simNoCache = "/dev/null/cache"

// A simImage is a repository that every schedule begins with.
type simImage struct {
	objects map[string]simObject
	truth   *simTruth
	pool    [][]byte // mail that is in it, needed or not, and comes again
}

// makeSimImage makes a repository in which a prune has something of everything
// to do: a pack that nobody needs and whose mail writers bring again, two of
// which little is needed, a stray one, and one that was condemned and not
// removed.
//
// With nights it has some more small packs and an index, and some mail twice.
//
// It is the same for every run of the test: its random octets and its clock are
// those of a schedule, too.
func makeSimImage(t *testing.T, nights int) (image *simImage) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &simWorld{running: &simActor{}}
		w.running.octets.Seed(5, uint64(nights))
		simNow.Store(w)
		defer simNow.Store(nil)
		image = fillSimImage(t, nights)
	})
	return image
}

func fillSimImage(t *testing.T, nights int) *simImage {
	store := objects.NewMemory()
	putSmallConfig(t, store)
	r := newRepository(t, store, t.TempDir())
	defer r.Close()
	rnd := rand.New(rand.NewPCG(5, 5))
	mail := map[ID][][]byte{}
	save := func(account string, list [][]byte) Snapshot {
		latest, _ := r.Latest(account)
		s := backUp(t, r, account, uint32(1+len(mail[latest.ID])), list)
		mail[s.ID] = slices.Concat(mail[latest.ID], list)
		return s
	}
	pool := simMail(rnd, 12)
	gone := []Snapshot{save("gone", pool[:4])}
	for i, account := range []string{"first", "second"} {
		large := simMail(rnd, 8)
		copy(large, pool[4+2*i:6+2*i])
		gone = append(gone, save("large", large))
		save(account, slices.Concat(large[:1], pool[8+i:9+i]))
	}
	lost := save("lost", simMail(rnd, 1))
	forget(t, r, lost)
	refusing := &refuseDelete{store}
	if _, err := openRepository(t, refusing, Options{}).Prune(t.Context(), PruneOptions{AllowMuch: true, KeepPacks: true}); !errors.Is(err, objects.ErrRefused) {
		t.Fatalf("%v", err)
	}
	for i := range nights {
		s := save("nights", simMail(rnd, 1))
		if i%2 == 0 {
			gone = append(gone, s)
		}
	}
	if nights > 0 { // two machines store the same mail at the same time
		other := openRepository(t, store, Options{})
		list := append(simMail(rnd, 2), pool[11])
		var one, two *Writer
		for _, m := range []struct {
			r *Repository
			w **Writer
		}{{r, &one}, {other, &two}} {
			var err error
			if *m.w, err = m.r.Writer(t.Context(), mustVault(t, m.r)); err != nil {
				t.Fatal(err)
			}
			defer (*m.w).Close()
		}
		saved, again := saveAll(t, one, list), saveAll(t, two, list)
		mail[commitAll(t, one, "twice", saved).ID] = list
		gone = append(gone, commitAll(t, two, "again", again))
		mail[gone[len(gone)-1].ID] = list
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	forget(t, r, gone...)
	w, err := r.Writer(t.Context(), mustVault(t, r))
	if err != nil {
		t.Fatal(err)
	}
	saveAll(t, w, pool[10:11])
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	w.Close()

	image := imageOf(t, r, store, mail)
	image.pool = pool
	return image
}

// putSmallConfig has the repository have small segments: their buffers are most
// of what a writer takes.
func putSmallConfig(t *testing.T, store objects.Store) {
	t.Helper()
	b, err := json.Marshal(config{"repository", format, "73696d756c6174696f6e000000000000", 8 << 10, 1 << 20})
	if err == nil {
		err = store.Put(t.Context(), configName, b)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// imageOf takes a repository as what schedules begin with. Mail is what its
// snapshots hold, forgotten ones too.
func imageOf(t *testing.T, r *Repository, store objects.Store, mail map[ID][][]byte) *simImage {
	t.Helper()
	image := &simImage{objects: map[string]simObject{}}
	v, err := r.vault(t.Context(), mustVault(t, r))
	if err != nil {
		t.Fatal(err)
	}
	image.truth = newSimTruth(r, v)
	image.truth.w = &simWorld{counts: map[string]int{}}
	image.truth.mail = mail
	for id := range mail {
		image.truth.forgettable[id] = true
	}
	for _, prefix := range []string{"config", "keys/", "vaults/", "checkpoints/", "indexes/", "packs/", "ledger/"} {
		for info, err := range store.List(t.Context(), prefix, "") {
			if err != nil {
				t.Fatal(err)
			}
			b, err := store.Get(t.Context(), info.Name, 0, -1)
			if err == nil {
				image.objects[info.Name] = simObject{b, time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC)}
				err = image.truth.put("the image", info.Name, b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for id := range image.truth.snapshots {
		delete(image.truth.forgettable, id)
		image.truth.acknowledged[id] = true
	}
	image.truth.w = nil
	return image
}

// simMail makes short messages: some are all in their recipe, some have a body
// that is a blob of its own.
func simMail(r *rand.Rand, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		var b bytes.Buffer
		fmt.Fprintf(&b, "From: sender@example.org\r\nMessage-ID: <%d@example.org>\r\n\r\n", r.Uint64())
		for range 1 + r.IntN(24) {
			fmt.Fprintf(&b, "words %d and %d\r\n", r.IntN(1000), r.IntN(1000))
		}
		list[i] = b.Bytes()
	}
	return list
}

// refuseDelete is a store that removes nothing.
type refuseDelete struct{ *objects.Memory }

func (refuseDelete) Delete(context.Context, string) error { return objects.ErrRefused }

// open opens the actor's repository, as a new process would, unless it is
// open already and the process stays.
func (a *simActor) open() error {
	if a.repo != nil && (a.keep || a.random.IntN(3) > 0) {
		return nil
	}
	if a.repo != nil {
		a.repo.Close()
		a.repo = nil
	}
	r, err := Open(a.life.ctx, simStore{a, a.life}, Passphrase(testPassphrase), Options{CacheDir: a.cache, NoCache: a.cache == "", Writer: a.name, Stale: a.random.IntN(2) == 0})
	if err != nil {
		return err
	}
	a.repo = r
	return nil
}

// excused says whether something went wrong with the actor's store, so that it
// may fail.
func (a *simActor) excused() bool { return a.life.dead || a.life.faults > 0 || a.w.trouble.broken }

// wantExcuse fails where an actor could not do its work though nothing went
// wrong with its store.
func (a *simActor) wantExcuse(what string, err error) {
	if err != nil && !a.excused() {
		a.w.fail(fmt.Errorf("%s: %s: %w", a.name, what, err))
	}
	if err != nil {
		a.w.counts["failed"]++
	}
}

// backUp saves a snapshot of the actor's account with some mail more, most of
// it out of the pool.
func (a *simActor) backUp(pool [][]byte) {
	a.backUpMore(3, func() (more [][]byte) {
		for range 1 + a.random.IntN(2) {
			if len(pool) > 0 && a.random.IntN(4) > 0 {
				more = append(more, pool[a.random.IntN(len(pool))])
			} else {
				more = append(more, simMail(a.random, 1)...)
			}
		}
		return more
	})
}

// backUpMore backs up, and begins again where something was pruned meanwhile.
func (a *simActor) backUpMore(tries int, choose func() [][]byte) {
	t := a.w.truth
	if err := a.open(); err != nil {
		a.wantExcuse("open", err)
		return
	}
	for range tries {
		latest, _ := a.repo.Latest(a.name)
		before, known := t.mail[latest.ID]
		if !latest.ID.IsZero() && !known {
			a.w.fail(fmt.Errorf("%s finds a snapshot that nobody saved", a.name))
			return
		}
		more := choose()
		snap, err := a.save(uint32(len(before)+1), more, func(s Snapshot) { t.mail[s.ID] = slices.Concat(before, more) })
		if err == nil {
			if !a.life.dead {
				a.w.counts["commits"]++
				a.w.fail(t.acknowledge(a.name, snap.ID))
			}
			return
		}
		// What it builds on may be forgotten and deleted while it is read.
		lost := errors.Is(err, ErrMissing) && t.forgettable[latest.ID]
		if !errors.Is(err, ErrPruned) && !lost {
			a.wantExcuse("backup", err)
			return
		}
		a.w.counts["pruned while saving"]++
		if err := a.repo.Refresh(a.life.ctx); err != nil {
			a.wantExcuse("refresh", err)
			return
		}
	}
}

// save is tryBackUp with segments that are sealed one after another: what
// goes on side by side must not draw from the same random source.
func (a *simActor) save(first uint32, mail [][]byte, before func(Snapshot)) (Snapshot, error) {
	var none Snapshot
	ctx, r := a.life.ctx, a.repo
	vaultID, err := r.VaultID(DefaultVault)
	if err != nil {
		return none, err
	}
	w, err := r.Writer(ctx, vaultID)
	if err != nil {
		return none, err
	}
	defer w.Close()
	w.sealers = make(chan struct{}, 1)
	s, err := saveNext(ctx, w, a.name, first, mail)
	if err != nil {
		return none, err
	}
	before(s)
	return s, w.Commit(ctx, []Snapshot{s}, nil, nil)
}

// forget drops some snapshots of the accounts, perhaps all.
func (a *simActor) forget() {
	if err := a.open(); err != nil {
		a.wantExcuse("open", err)
		return
	}
	if err := a.repo.Refresh(a.life.ctx); err != nil {
		a.wantExcuse("refresh", err)
		return
	}
	var ids []ID
	for _, account := range a.repo.Accounts() {
		for _, s := range a.repo.Snapshots(account) {
			if a.random.IntN(2) == 0 {
				ids = append(ids, s.ID)
				a.w.truth.forgettable[s.ID] = true
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	err := a.repo.Forget(a.life.ctx, ids, "simulation")
	if err == nil {
		a.w.counts["forgets"]++
	} else if !errors.Is(err, ErrNoSnapshot) {
		a.wantExcuse("forget", err)
	}
}

// prune prunes, with grace or without.
func (a *simActor) prune() {
	if err := a.open(); err != nil {
		a.wantExcuse("open", err)
		return
	}
	o := PruneOptions{AllowMuch: true, KeepPacks: a.random.IntN(4) == 0}
	if a.random.IntN(3) == 0 {
		o.Grace = 24 * time.Hour
	}
	a.pruneWith(o)
}

func (a *simActor) pruneWith(o PruneOptions) {
	_, err := a.repo.Prune(a.life.ctx, o)
	switch {
	case err == nil:
		a.w.counts["prunes"]++
	case errors.Is(err, errAgain):
		a.w.counts["prunes that gave way"]++
	default:
		a.wantExcuse("prune", err)
	}
}

// restore restores a snapshot, some time after it looked which ones there are.
func (a *simActor) restore() {
	if err := a.open(); err != nil {
		a.wantExcuse("open", err)
		return
	}
	t := a.w.truth
	var list []Snapshot
	for _, account := range a.repo.Accounts() {
		list = append(list, a.repo.Snapshots(account)...)
	}
	if len(list) == 0 {
		return
	}
	s := list[a.random.IntN(len(list))]
	err := sameMail(a.life.ctx, a.repo, s, t.mail[s.ID])
	switch {
	case err == nil:
		a.w.counts["restores"]++
	case errors.Is(err, ErrMissing) && t.forgettable[s.ID]:
		a.w.counts["restores of what was forgotten"]++
	default:
		a.wantExcuse("restore of "+s.ID.Short(), err)
		if errors.Is(err, errOtherMail) {
			a.w.fail(fmt.Errorf("%s restores wrong octets: %w", a.name, err))
		}
	}
}

// judge reads, as a new machine with nothing at hand, all that must be there.
func (w *simWorld) judge() error {
	if err := errors.Join(w.truth.all(), w.sameShared()); err != nil {
		return err
	}
	a := &simActor{name: "judge", w: w}
	a.begin()
	a.life.direct = true
	w.running = nil
	r, err := Open(a.life.ctx, simStore{a, a.life}, Passphrase(testPassphrase), Options{NoCache: true})
	if err != nil {
		return fmt.Errorf("open in the end: %w", err)
	}
	defer r.Close()
	for id := range w.truth.snapshots {
		s := w.truth.records[id]
		if err := sameMail(a.life.ctx, r, s, w.truth.mail[id]); err != nil {
			return fmt.Errorf("restore of %s of %q in the end: %w", id.Short(), s.Account, err)
		}
	}
	var violations []string
	r.ledger.View(func(s *ledger.State) { violations = s.Violations })
	if len(violations) > 0 {
		return fmt.Errorf("in the end: %q", violations)
	}
	return nil
}

// simCaches gives every actor an empty directory for its cache.
func simCaches(root string, w *simWorld) {
	for _, a := range w.actors {
		a.cache = filepath.Join(root, a.name)
		os.RemoveAll(a.cache)
	}
}
