package objectstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"restante/storage/objects"
)

func testPutIfAbsent(t *testing.T, store objects.Store) {
	ctx := t.Context()
	for i, first := range [][]byte{octets(100, 1), nil} {
		byPut, byItself := fmt.Sprintf("ledger/%d", i), fmt.Sprintf("ledger/1%d", i)
		must(t, store.Put(ctx, byPut, first))
		must(t, store.PutIfAbsent(ctx, byItself, first))
		for _, name := range []string{byPut, byItself} {
			for _, second := range [][]byte{octets(100, 2), octets(3, 2), nil, first} {
				if err := store.PutIfAbsent(ctx, name, second); !errors.Is(err, objects.ErrExists) {
					t.Errorf("PutIfAbsent(%s) of an object that is there: %v; want ErrExists", name, err)
				}
				wantObject(t, store, name, first)
			}
		}
	}
}

func testOneWinner(t *testing.T, store objects.Store) {
	const writers, races = 16, 8
	for race := range races {
		name := fmt.Sprintf("ledger/%012d", race)
		size := []int{50, 5000, 300_000}[race%3]
		start := make(chan struct{})
		won := make(chan int, writers)
		seen := make([][]byte, writers)
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				<-start
				err := store.PutIfAbsent(t.Context(), name, octets(size, byte(w)))
				switch {
				case err == nil:
					won <- w
				case !errors.Is(err, objects.ErrExists):
					t.Errorf("PutIfAbsent: %v; want nil or ErrExists", err)
					return
				}
				// A loser reads the winner's object at once.
				if seen[w], err = store.Get(t.Context(), name, 0, -1); err != nil {
					t.Errorf("Get right after PutIfAbsent: %v", err)
				}
			})
		}
		close(start)
		group.Wait()
		close(won)
		var winners []int
		for w := range won {
			winners = append(winners, w)
		}
		if len(winners) != 1 {
			t.Fatalf("%d writers of %d won, want 1", len(winners), writers)
		}
		for w := range seen {
			if !bytes.Equal(seen[w], octets(size, byte(winners[0]))) {
				t.Errorf("writer %d read %d octets that are not the winner's", w, len(seen[w]))
			}
		}
	}
}

func testReadersDuringWrites(t *testing.T, store objects.Store) {
	const size, writes, readers = 200_000, 20, 4
	must(t, store.Put(t.Context(), "checkpoints/1", octets(size, 0)))
	whole := make(map[[sha256.Size]byte]bool)
	middle := make(map[[sha256.Size]byte]bool)
	for i := range writes + 1 {
		data := octets(size, byte(i))
		whole[sha256.Sum256(data)] = true
		middle[sha256.Sum256(data[size/4:size/2])] = true
	}
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range readers {
		group.Go(func() {
			for ctx.Err() == nil {
				// Not with ctx, since a read that ends with it proves nothing.
				got, err := store.Get(t.Context(), "checkpoints/1", 0, -1)
				if err != nil || !whole[sha256.Sum256(got)] {
					t.Errorf("Get during a Put = %d octets of no single object, %v", len(got), err)
					return
				}
				got, err = store.Get(t.Context(), "checkpoints/1", size/4, size/4)
				if err != nil || !middle[sha256.Sum256(got)] {
					t.Errorf("Get of a range during a Put = %d octets of no single object, %v", len(got), err)
					return
				}
			}
		})
	}
	for i := range writes {
		if err := store.Put(t.Context(), "checkpoints/1", octets(size, byte(i+1))); err != nil {
			t.Error(err)
		}
	}
	stop()
	group.Wait()
}

func testEndedContext(t *testing.T, store objects.Store) {
	must(t, store.Put(t.Context(), "packs/x", octets(100, 1)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v; want context.Canceled", what, err)
		}
	}
	ended("Put", store.Put(ctx, "packs/x", octets(200, 2)))
	ended("Put", store.Put(ctx, "packs/y", nil))
	ended("PutIfAbsent", store.PutIfAbsent(ctx, "packs/z", nil))
	ended("Delete", store.Delete(ctx, "packs/x"))
	_, err := store.Get(ctx, "packs/x", 0, -1)
	ended("Get", err)
	for _, prefix := range []string{"", "absent/"} {
		err = nil
		for _, err = range store.List(ctx, prefix, "") {
		}
		ended("List of "+prefix, err)
	}
	wantObject(t, store, "packs/x", octets(100, 1))
	wantList(t, store, "", "", "packs/x")

	// One that ends in the middle of a list.
	for i := range 5 {
		must(t, store.Put(t.Context(), fmt.Sprintf("packs/%d", i), nil))
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	err = nil
	for _, err = range store.List(ctx, "", "") {
		cancel()
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("List whose context ends meanwhile: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	for range store.List(ctx, "", "") {
		cancel() // whoever leaves for this reason is not called again
		break
	}
	cancel()
}
