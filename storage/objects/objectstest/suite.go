// Package objectstest is what every object store must pass: call [Suite] from
// the test of a store and [Benchmark] from its benchmark. [Faulty] is a store
// that fails on purpose, for tests of what is built on stores.
package objectstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"restante/storage/objects"
)

// Suite checks every promise of [objects.Store]. open returns an empty store
// of its own for each call, and cleans up with t.Cleanup; it is called from
// parallel tests. With -short the largest objects are left out.
func Suite(t *testing.T, open func(t *testing.T) objects.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, objects.Store)
	}{
		{"location says something", testLocation},
		{"what is put comes back", testPutAndGet},
		{"large objects come back", testLargeObjects},
		{"put replaces", testPutReplaces},
		{"byte slices are not shared", testSlicesAreNotShared},
		{"ranges are exact", testRanges},
		{"an absent object is not found", testAbsent},
		{"names at the limits are taken", testGoodNames},
		{"bad names and sizes are refused", testBadNames},
		{"put if absent leaves what is there", testPutIfAbsent},
		{"one writer of many wins", testOneWinner},
		{"list is in byte order", testListOrder},
		{"list takes any prefix and any after", testListPrefixAndAfter},
		{"list of thousands is complete", testListThousands},
		{"list can be left early", testListLeftEarly},
		{"delete removes", testDelete},
		{"readers never see half an object", testReadersDuringWrites},
		{"list is complete during writes", testListDuringWrites},
		{"an ended context ends everything", testEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

func testLocation(t *testing.T, store objects.Store) {
	if store.Location() == "" {
		t.Error("Location is empty")
	}
}

func testPutAndGet(t *testing.T, store objects.Store) {
	for _, size := range []int{0, 1, 2, 255, 4095, 4096, 70_001, 1 << 20} {
		name, data := fmt.Sprintf("packs/%d", size), octets(size, byte(size))
		must(t, store.Put(t.Context(), name, data))
		wantObject(t, store, name, data)
	}
}

func testLargeObjects(t *testing.T, store objects.Store) {
	sizes := []int{32 << 20}
	if !testing.Short() {
		sizes = append(sizes, objects.MaxSize)
	}
	for _, size := range sizes {
		data := octets(size, 7)
		must(t, store.Put(t.Context(), "packs/large", data))
		must(t, store.PutIfAbsent(t.Context(), fmt.Sprintf("ledger/%d", size), data))
		for _, name := range []string{"packs/large", fmt.Sprintf("ledger/%d", size)} {
			got, err := store.Get(t.Context(), name, 0, -1)
			must(t, err)
			if sha256.Sum256(got) != sha256.Sum256(data) {
				t.Errorf("Get(%s) returned %d other octets than those %d that were put", name, len(got), size)
			}
		}
		tail, err := store.Get(t.Context(), "packs/large", int64(size)-1000, 1000)
		must(t, err)
		if !bytes.Equal(tail, data[size-1000:]) {
			t.Error("Get of the last 1000 octets returned others")
		}
	}
}

func testPutReplaces(t *testing.T, store objects.Store) {
	for i, size := range []int{100, 200, 50, 0, 5000} {
		data := octets(size, byte(i))
		must(t, store.Put(t.Context(), "checkpoints/1", data))
		wantObject(t, store, "checkpoints/1", data)
	}
	wantList(t, store, "", "", "checkpoints/1")
}

func testSlicesAreNotShared(t *testing.T, store objects.Store) {
	want := octets(100, 1)
	data := slices.Clone(want)
	must(t, store.Put(t.Context(), "a", data))
	must(t, store.PutIfAbsent(t.Context(), "b", data))
	clear(data)
	for _, name := range []string{"a", "b"} {
		got := wantObject(t, store, name, want)
		clear(got)
		wantObject(t, store, name, want)
	}
}

func testRanges(t *testing.T, store objects.Store) {
	const size = 1000
	data := octets(size, 3)
	must(t, store.Put(t.Context(), "packs/x", data))
	must(t, store.Put(t.Context(), "packs/empty", nil))
	for _, r := range []struct{ offset, length int64 }{
		{0, -1}, {0, size}, {0, 0}, {0, 1}, {0, size - 1}, {1, 1}, {1, -1}, {500, 1}, {500, 0}, {123, 456},
		{size - 1, 1}, {size - 1, -1}, {size - 1, 0}, {size, 0}, {size, -1},
	} {
		end := r.offset + r.length
		if r.length < 0 {
			end = size
		}
		got, err := store.Get(t.Context(), "packs/x", r.offset, r.length)
		if err != nil || !bytes.Equal(got, data[r.offset:end]) {
			t.Errorf("Get(%d, %d) = %d octets, %v; want those from %d to %d", r.offset, r.length, len(got), err, r.offset, end)
		}
	}
	const huge = 1<<63 - 1
	for _, r := range []struct{ offset, length int64 }{
		{0, size + 1}, {1, size}, {size - 1, 2}, {size, 1}, {size + 1, -1}, {size + 1, 0}, {size + 1, 1}, {5000, 5000},
		{0, huge}, {1, huge}, {huge, 1}, {huge, huge}, {huge, -1},
	} {
		if got, err := store.Get(t.Context(), "packs/x", r.offset, r.length); !errors.Is(err, objects.ErrRange) {
			t.Errorf("Get(%d, %d) of %d octets = %d octets, %v; want ErrRange", r.offset, r.length, size, len(got), err)
		}
	}
	if _, err := store.Get(t.Context(), "packs/x", -1, 1); err == nil {
		t.Error("Get from offset -1 returned no error")
	}
	for _, length := range []int64{0, -1} {
		if got, err := store.Get(t.Context(), "packs/empty", 0, length); err != nil || len(got) != 0 {
			t.Errorf("Get(0, %d) of an empty object = %d octets, %v", length, len(got), err)
		}
	}
	for _, r := range [][2]int64{{0, 1}, {1, -1}, {1, 0}} {
		if _, err := store.Get(t.Context(), "packs/empty", r[0], r[1]); !errors.Is(err, objects.ErrRange) {
			t.Errorf("Get(%d, %d) of an empty object: %v; want ErrRange", r[0], r[1], err)
		}
	}
}

func testAbsent(t *testing.T, store objects.Store) {
	must(t, store.Put(t.Context(), "packs/there", octets(10, 1)))
	for _, name := range []string{"packs/absent", "absent/x", "absent", "packs", "packs/there/below", "packs/ther", "packs/there2"} {
		for _, r := range [][2]int64{{0, -1}, {0, 5}, {3, -1}, {3, 0}, {3, 4}, {100, 1}} {
			_, err := store.Get(t.Context(), name, r[0], r[1])
			if !errors.Is(err, objects.ErrNotFound) || errors.Is(err, objects.ErrRange) {
				t.Errorf("Get(%s, %d, %d): %v; want ErrNotFound", name, r[0], r[1], err)
			}
		}
	}
}

func testGoodNames(t *testing.T, store objects.Store) {
	names := []string{
		"a", "A0", "config", "0", "-", "_", "-a-", "a.b", "a..b", "__/-/0", "a-/b_",
		strings.Repeat("n", 200),
		"deep/" + strings.Repeat("x/", 97) + "z",
		"packs/01JDFX7Z0K3Q5V9W8Y6T4R2P0N",
	}
	for _, name := range names {
		must(t, store.Put(t.Context(), name, []byte(name)))
	}
	for _, name := range names {
		wantObject(t, store, name, []byte(name))
	}
	slices.Sort(names)
	wantList(t, store, "", "", names...)
	for _, name := range names {
		must(t, store.Delete(t.Context(), name))
	}
	wantList(t, store, "", "")
}

func testBadNames(t *testing.T, store objects.Store) {
	ctx := t.Context()
	refused := func(what, name string, err error) {
		t.Helper()
		if !errors.Is(err, objects.ErrRefused) {
			t.Errorf("%s of name %q: %v; want ErrRefused", what, name, err)
		}
	}
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a/.", ".tmp/x", "a/.hidden",
		"a.", "a./b", "a b", "a\\b", "a\x00b", "a\nb", "ü", "a:b", "a*", "a~", "C:\\a", strings.Repeat("n", 201),
	} {
		refused("Put", name, store.Put(ctx, name, nil))
		refused("PutIfAbsent", name, store.PutIfAbsent(ctx, name, nil))
		refused("Delete", name, store.Delete(ctx, name))
		_, err := store.Get(ctx, name, 0, -1)
		refused("Get", name, err)
	}
	for _, prefix := range []string{"/", "..", "../", "a//", ".", "a b", strings.Repeat("n", 201)} {
		for _, err := range store.List(ctx, prefix, "") {
			refused("List", prefix, err)
		}
		for _, err := range store.List(ctx, "", prefix) {
			refused("List after", prefix, err)
		}
	}
	large := make([]byte, objects.MaxSize+1)
	refused("Put of too much", "large", store.Put(ctx, "large", large))
	refused("PutIfAbsent of too much", "large", store.PutIfAbsent(ctx, "large", large))
	wantList(t, store, "", "")
}

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

func testDelete(t *testing.T, store objects.Store) {
	ctx := t.Context()
	for _, name := range []string{"packs/absent", "absent/absent", "packs"} {
		must(t, store.Delete(ctx, name))
	}
	for round := range 2 {
		must(t, store.Put(ctx, "packs/a", octets(10, byte(round))))
		must(t, store.Put(ctx, "packs/b", octets(10, byte(round))))
		must(t, store.Delete(ctx, "packs")) // a folder is no object
		must(t, store.Delete(ctx, "packs/a/b"))
		wantList(t, store, "", "", "packs/a", "packs/b")
		must(t, store.Delete(ctx, "packs/a"))
		if _, err := store.Get(ctx, "packs/a", 0, -1); !errors.Is(err, objects.ErrNotFound) {
			t.Errorf("Get after Delete: %v; want ErrNotFound", err)
		}
		wantList(t, store, "", "", "packs/b")
		must(t, store.Delete(ctx, "packs/a"))
		must(t, store.Delete(ctx, "packs/b"))
		wantList(t, store, "packs/", "")
	}
	// Deleting the last object of a folder while others come into it.
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			name := fmt.Sprintf("busy/folder/%d", i)
			for range 10 {
				if err := errors.Join(store.Put(ctx, name, []byte{1}), store.Delete(ctx, name)); err != nil {
					t.Error(err)
				}
			}
			if err := store.PutIfAbsent(ctx, name, []byte{2}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i := range 8 {
		wantObject(t, store, fmt.Sprintf("busy/folder/%d", i), []byte{2})
	}
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
}

// octets returns n octets that differ from those of every other seed from the
// first to the last.
func octets(n int, seed byte) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i*7+i>>8+i>>16) ^ seed*37
	}
	return data
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantObject(t *testing.T, store objects.Store, name string, want []byte) []byte {
	t.Helper()
	got, err := store.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("Get(%s) returned %d octets that are not the %d that were put", name, len(got), len(want))
	}
	return got
}
