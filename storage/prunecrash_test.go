package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// copyStore makes another store with the same objects.
func copyStore(t *testing.T, from objects.Store) *objects.Memory {
	t.Helper()
	to := objects.NewMemory()
	for info, err := range from.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		b, err := from.Get(t.Context(), info.Name, 0, -1)
		if err == nil {
			err = to.Put(t.Context(), info.Name, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// crashScene is a repository in which a forget and a prune have something of
// everything to do: packs to drop, to write anew and to gather, a stray one, a
// leftover, indexes.
type crashScene struct {
	store  *objects.Memory
	forget []ID
	kept   map[ID][][]byte // what each kept snapshot holds
	all    map[ID]Snapshot
}

func newCrashScene(t *testing.T) *crashScene {
	t.Helper()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(50, 1))
	c := &crashScene{store: store, kept: map[ID][][]byte{}, all: map[ID]Snapshot{}}
	keep := func(s Snapshot, mail [][]byte) { c.kept[s.ID], c.all[s.ID] = mail, s }
	mail := testMail(rnd, 300)
	c.forget = append(c.forget, backUp(t, r, "bob", 1, mail).ID)
	keep(backUp(t, r, "alice", 1, mail[:30]), mail[:30])
	c.forget = append(c.forget, backUp(t, r, "carol", 1, testMail(rnd, 80)).ID)
	var nights [][]byte
	for i := range 10 {
		more := testMail(rnd, 3)
		s := backUp(t, r, "dora", uint32(3*i+1), more)
		nights = append(nights, more...)
		if i%3 == 0 {
			keep(s, slices.Clone(nights))
		} else {
			c.forget = append(c.forget, s.ID)
		}
	}
	// A prune died after its entry, and a writer after its pack.
	lost := backUp(t, r, "erna", 1, testMail(rnd, 20))
	forget(t, r, lost)
	refusing := objectstest.NewFaulty(store, 1, objectstest.Rule{Fault: objectstest.Refuse, On: objectstest.Delete})
	if _, err := openRepository(t, refusing, Options{}).Prune(t.Context(), PruneOptions{AllowMuch: true, KeepPacks: true}); !errors.Is(err, objects.ErrRefused) {
		t.Fatalf("%v", err)
	}
	w, err := r.Writer(t.Context(), mustVault(t, r))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.SaveMessage(strings.NewReader("From: a\r\n\r\nnever committed\r\n"), 28); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return c
}

// work forgets and prunes; what was forgotten before is no error.
func (c *crashScene) work(ctx context.Context, r *Repository) (*Pruned, error) {
	err := r.Forget(ctx, c.forget, "test")
	if err != nil && !errors.Is(err, ErrNoSnapshot) {
		return nil, err
	}
	return r.Prune(ctx, everything)
}

// wantWhole proves that every kept snapshot is there to the octet.
func (c *crashScene) wantWhole(t *testing.T, store objects.Store) {
	t.Helper()
	r := openRepository(t, store, Options{})
	for id, mail := range c.kept {
		wantMail(t, r, c.all[id], mail)
	}
	if f := mustFindings(t, r); len(f) > 0 {
		t.Fatalf("%v", f)
	}
}

// TestEveryCrashPointOfForgetAndPrune has the store fail at the k-th operation:
// every write before it, after it, late, and for good from then on; of the
// operations that only read, after which a machine that is gone leaves what it
// left before, every eighth.
func TestEveryCrashPointOfForgetAndPrune(t *testing.T) {
	t.Parallel()
	scene := newCrashScene(t)
	var operations []objectstest.Op
	{
		store := objectstest.NewFaulty(copyStore(t, scene.store), 1)
		r := openRepository(t, store, Options{})
		var mu sync.Mutex
		store.Before(func(_ context.Context, op objectstest.Op, _ string) {
			mu.Lock()
			defer mu.Unlock()
			operations = append(operations, op)
		})
		p, err := scene.work(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if p.Unneeded.Packs == 0 || p.Stray.Packs == 0 || p.Leftover.Packs == 0 || p.Rewritten.Packs < 5 {
			t.Fatalf("the scene has not everything in it: %+v", p)
		}
		store.Before(nil)
		scene.wantWhole(t, store)
		wantClean(t, store)
	}
	ends := map[string]int{}
	for k, op := range operations {
		if op&objectstest.Write == 0 {
			if k%8 == 0 {
				ends[scene.crash(t, k, objectstest.FailBefore, true)]++
			}
			continue
		}
		ends[scene.crash(t, k, objectstest.FailBefore, true)]++
		for _, fault := range []objectstest.Fault{objectstest.FailBefore, objectstest.FailAfter, objectstest.FailLate} {
			ends[scene.crash(t, k, fault, false)]++
		}
	}
	for _, end := range slices.Sorted(maps.Keys(ends)) {
		t.Logf("%s: %d times", end, ends[end])
	}
	t.Logf("%d operations", len(operations))
}

// crash forgets and prunes on a copy of the scene whose k-th operation fails;
// dead says that all fail from then on. It proves that nothing is lost, and
// that the next prune does the rest, and tells how it ended.
func (c *crashScene) crash(t *testing.T, k int, fault objectstest.Fault, dead bool) string {
	t.Helper()
	memory := copyStore(t, c.store)
	store := objectstest.NewFaulty(memory, uint64(k))
	r, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, die := context.WithCancel(t.Context())
	rule := objectstest.Rule{Fault: fault, Skip: k, Times: 1}
	if dead {
		rule.Times = 0
		var n atomic.Int64
		store.Before(func(context.Context, objectstest.Op, string) {
			if n.Add(1) > int64(k) {
				die() // nobody waits for the store to come back
			}
		})
	}
	store.Add(rule)
	_, err = c.work(ctx, r)
	die()
	if dead && err == nil {
		t.Fatalf("operation %d, %s: no error, though the store was gone", k, fault)
	}
	r.Close()
	store.Heal()
	store.Before(nil)
	c.wantWhole(t, memory)
	if store.Late() > 0 {
		store.Settle() // what was late comes now
		c.wantWhole(t, memory)
	}

	after := openRepository(t, memory, Options{})
	for range 2 { // the second removes what was written in vain, and indexes of it
		if _, err := c.work(t.Context(), after); err != nil {
			t.Fatalf("operation %d, %s, dead %v: the next prune: %v", k, fault, dead, err)
		}
	}
	for id, mail := range c.kept {
		wantMail(t, after, c.all[id], mail)
	}
	wantClean(t, memory)
	after.Close()
	return fmt.Sprintf("%s, dead %v: done %v", fault, dead, err == nil)
}
