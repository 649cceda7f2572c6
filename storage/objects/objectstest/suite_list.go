package objectstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"restante/storage/objects"
)

// awkward names sort otherwise in a walk of folders, in a case-blind or in a
// natural order. None is the folder of another or differs in case alone.
var awkward = []string{
	"Z", "a-b", "a-b.c/d", "a.b", "a/b", "a/b-c", "a/b.c", "a/b0", "a/c/d", "a/c0", "a0", "a_b",
	"ab/0", "ab/1", "ab/10", "ab/2", "ab/B", "ab/a", "ab0", "b/-", "b/_", "b-/x", "b.0/x", "c",
}

func testListOrder(t *testing.T, store objects.Store) {
	wantList(t, store, "", "")
	for i, name := range awkward {
		must(t, store.Put(t.Context(), name, octets(i, 1)))
	}
	want := slices.Sorted(slices.Values(awkward))
	wantList(t, store, "", "", want...)
	for info, err := range store.List(t.Context(), "", "") {
		must(t, err)
		if size := slices.Index(awkward, info.Name); info.Size != int64(size) {
			t.Errorf("List says that %s has %d octets; want %d", info.Name, info.Size, size)
		}
		if info.Modified.IsZero() {
			t.Errorf("List says nothing of when %s was put", info.Name)
		}
	}
}

func testListPrefixAndAfter(t *testing.T, store objects.Store) {
	for _, name := range awkward {
		must(t, store.Put(t.Context(), name, nil))
	}
	sorted := slices.Sorted(slices.Values(awkward))
	prefixes := []string{"", "a", "a/", "a/b", "a/b-", "a/c", "a/c/", "a/c/d", "a/c/d/", "a-", "ab", "ab/", "ab/1", "b", "c", "c/", "d", "absent/", "Z", "z"}
	afters := append([]string{"", "0", "a", "a-", "a/", "a/bb", "a/c/", "a/c/d/", "a0a", "ab/", "ab/10", "b", "zz"}, sorted...)
	for _, prefix := range prefixes {
		for _, after := range afters {
			var want []string
			for _, name := range sorted {
				if strings.HasPrefix(name, prefix) && name > after {
					want = append(want, name)
				}
			}
			wantList(t, store, prefix, after, want...)
		}
	}
}

func testListThousands(t *testing.T, store objects.Store) {
	const count = 2500
	names := make([]string, count)
	for i := range names {
		// Not in order, in two folders and beside them.
		names[i] = fmt.Sprintf("%s%05d", []string{"packs/", "packs/a/", "packs-"}[i%3], i*7919%100_000)
	}
	inParallel(t, count, func(i int) error { return store.Put(t.Context(), names[i], nil) })
	slices.Sort(names)
	wantList(t, store, "", "", names...)
	for _, at := range []int{0, 999, 1000, 1001, 1999, 2000, 2498, 2499} {
		wantList(t, store, "packs", names[at], names[at+1:]...)
	}
	inParallel(t, count, func(i int) error {
		if i%5 == 0 {
			return store.Delete(t.Context(), names[i])
		}
		return nil
	})
	var left []string
	for i, name := range names {
		if i%5 != 0 {
			left = append(left, name)
		}
	}
	wantList(t, store, "", "", left...)
}

func testListLeftEarly(t *testing.T, store objects.Store) {
	for i := range 10 {
		must(t, store.Put(t.Context(), fmt.Sprintf("a/%d", i), nil))
	}
	list := store.List(t.Context(), "", "")
	for range 2 { // the same iterator can be gone through again
		var seen int
		for _, err := range list {
			must(t, err)
			if seen++; seen == 3 {
				break
			}
		}
		if seen != 3 {
			t.Errorf("List showed %d objects before it was left; want 3", seen)
		}
	}
	// A list that deletes what it shows, as cleaning up does.
	for info, err := range list {
		must(t, err)
		must(t, store.Delete(t.Context(), info.Name))
	}
	wantList(t, store, "", "")
}

func testListDuringWrites(t *testing.T, store objects.Store) {
	var steady []string
	for i := range 50 {
		name := fmt.Sprintf("packs/steady%02d", i)
		steady = append(steady, name)
		must(t, store.Put(t.Context(), name, octets(5, 1)))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	for w := range 2 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("packs/passing%d-%d", w, i)
				if err := store.Put(t.Context(), name, octets(5, 1)); err != nil {
					t.Error(err)
				}
				if err := store.Delete(t.Context(), name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		// What has been put is in the very next list.
		fresh := fmt.Sprintf("packs/fresh%02d", i)
		must(t, store.Put(t.Context(), fresh, octets(5, 1)))
		steady = append(steady, fresh)
		got := list(t, store, "packs/", "")
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatal("List during writes is out of order or shows an object twice")
		}
		for _, name := range steady {
			if !slices.Contains(got, name) {
				t.Fatalf("List during writes left out %s, which had been put", name)
			}
		}
	}
	stop()
	group.Wait()
}

func list(t *testing.T, store objects.Store, prefix, after string) []string {
	t.Helper()
	var names []string
	for info, err := range store.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("List(%q, %q): %v", prefix, after, err)
		}
		names = append(names, info.Name)
	}
	return names
}

func wantList(t *testing.T, store objects.Store, prefix, after string, want ...string) {
	t.Helper()
	got := list(t, store, prefix, after)
	if slices.Equal(got, want) {
		return
	}
	if len(got)+len(want) > 100 {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("List(%q, %q) has %s in place %d of %d; want %s of %d", prefix, after, got[i], i, len(got), want[i], len(want))
			}
		}
		t.Fatalf("List(%q, %q) has %d names; want %d", prefix, after, len(got), len(want))
	}
	t.Fatalf("List(%q, %q) = %q; want %q", prefix, after, got, want)
}

// inParallel calls do for 0 to n-1, several at a time.
func inParallel(t testing.TB, n int, do func(i int) error) {
	t.Helper()
	free := make(chan struct{}, 16)
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		free <- struct{}{}
		group.Go(func() {
			errs[i] = do(i)
			<-free
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
