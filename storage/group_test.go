package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"restante/storage/ledger"
	"restante/storage/objects"
)

// save saves the next snapshot of an account, and commits nothing.
func save(t *testing.T, w *Writer, account string, mail [][]byte) Snapshot {
	t.Helper()
	s, err := saveNext(t.Context(), w, account, 1, mail)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// join makes a group that waits for as long as it takes.
func join(t *testing.T, r *Repository, members int) (g *Group, list []*Writer) {
	t.Helper()
	g = r.Group(t.Context())
	g.wait = time.Hour
	for range members {
		w, err := g.Writer(t.Context(), mustVault(t, r))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Close)
		list = append(list, w)
	}
	return g, list
}

func entries(r *Repository) (n uint64) {
	r.ledger.View(func(s *ledger.State) { n = s.Next })
	return n
}

func TestMembersOfAGroupShareAPackAndAnEntry(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	const members = 20
	_, list := join(t, r, members)
	random := rand.New(rand.NewPCG(50, 1))
	common := testMail(random, 3)
	mails := make([][][]byte, members)
	for i := range mails {
		mails[i] = append(testMail(random, 4), common...)
	}
	before := entries(r)
	snapshots := make([]Snapshot, members)
	var wg sync.WaitGroup
	for i, w := range list {
		wg.Go(func() {
			one := []Snapshot{save(t, w, fmt.Sprint("account", i), mails[i])}
			if err := w.Commit(t.Context(), one, nil, nil); err != nil {
				t.Error(err)
			}
			snapshots[i] = one[0]
		})
	}
	wg.Wait()
	if n := entries(r) - before; n != 1 {
		t.Errorf("%d ledger entries for commits of one moment", n)
	}
	packs, octets := stored(t, store)
	if packs != 1 {
		t.Errorf("%d packs", packs)
	}
	var sum int64
	for i, s := range snapshots {
		sum += s.Stats.Stored
		wantMail(t, openRepository(t, store, Options{}), s, mails[i])
	}
	if sum > octets || sum < octets-members {
		t.Errorf("the members say that they stored %d octets, of %d", sum, octets)
	}
	wantClean(t, store)
}

func TestAMemberThatGivesUpTakesNothingFromTheOthers(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	_, list := join(t, r, 3)
	random := rand.New(rand.NewPCG(50, 2))
	mail := testMail(random, 5)
	lost := save(t, list[0], "lost", testMail(random, 5))
	kept, late := save(t, list[1], "kept", mail), save(t, list[2], "late", mail)
	// One gives up while it waits for the others.
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() { gaveUp <- list[0].Commit(ctx, []Snapshot{lost}, nil, nil) }()
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	list[0].Close()
	var wg sync.WaitGroup
	for i, s := range []Snapshot{kept, late} {
		wg.Go(func() {
			if err := list[i+1].Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	reader := openRepository(t, store, Options{})
	wantMail(t, reader, kept, mail)
	wantMail(t, reader, late, mail)
	if _, ok := reader.Latest("lost"); ok {
		t.Error("a snapshot is there whose commit was given up")
	}
	wantClean(t, store)
}

func TestOfAGroupOnlyWhoeverNeedsARemovedPackBeginsAgain(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	pruner := openRepository(t, store, Options{})
	random := rand.New(rand.NewPCG(50, 3))
	old, fresh := testMail(random, 30), testMail(random, 5)
	first := backUp(t, r, "gone", 1, old)
	_, list := join(t, r, 2)
	needs := save(t, list[0], "needs", old)
	free := save(t, list[1], "free", fresh)
	if err := pruner.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	forget(t, pruner, first)
	condemn(t, pruner, pruner.packs(), nil)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i, s := range []Snapshot{needs, free} {
		wg.Go(func() { errs[i] = list[i].Commit(t.Context(), []Snapshot{s}, nil, nil) })
	}
	wg.Wait()
	if !errors.Is(errs[0], ErrPruned) || errs[1] != nil {
		t.Fatalf("the one that needs what is gone: %v; the other one: %v", errs[0], errs[1])
	}
	wantMail(t, openRepository(t, store, Options{}), free, fresh)
	wantMail(t, r, backUp(t, r, "needs", 1, old), old)
}

func TestAMemberDoesNotWaitForOthersForEver(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	g, list := join(t, r, 2)
	g.wait = time.Millisecond
	mail := testMail(rand.New(rand.NewPCG(50, 4)), 5)
	s := save(t, list[0], "one", mail)
	if err := list[0].Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	// The other one has blobs in the pack that was committed, and goes on.
	other := save(t, list[1], "two", mail)
	list[0].Close()
	if err := list[1].Commit(t.Context(), []Snapshot{other}, nil, nil); err != nil {
		t.Fatal(err)
	}
	reader := openRepository(t, store, Options{})
	wantMail(t, reader, s, mail)
	wantMail(t, reader, other, mail)
}

func TestAGroupGoesOnAfterTheStoreFailed(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	broken := &failing{Store: store}
	r := newRepository(t, broken, t.TempDir())
	g, list := join(t, r, 1)
	mail := testMail(rand.New(rand.NewPCG(50, 5)), 5)
	s := save(t, list[0], "one", mail)
	broken.fail.Store(true)
	if err := list[0].Commit(t.Context(), []Snapshot{s}, nil, nil); !errors.Is(err, objects.ErrRefused) {
		t.Fatalf("the store refuses: %v", err)
	}
	broken.fail.Store(false)
	w, err := g.Writer(t.Context(), mustVault(t, r))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	list[0].Close()
	again := save(t, w, "one", mail)
	if err := w.Commit(t.Context(), []Snapshot{again}, nil, nil); err != nil {
		t.Fatal(err)
	}
	wantMail(t, openRepository(t, store, Options{}), again, mail)
	if n := len(g.rooms); n != 1 {
		t.Errorf("%d rooms", n)
	}
	w.Close()
	if n := len(g.rooms); n != 0 {
		t.Errorf("%d rooms after the last member left", n)
	}
}

// failing refuses to write when it is told to.
type failing struct {
	objects.Store
	fail atomic.Bool
}

func (f *failing) Put(ctx context.Context, name string, octets []byte) error {
	if f.fail.Load() {
		return objects.ErrRefused
	}
	return f.Store.Put(ctx, name, octets)
}
