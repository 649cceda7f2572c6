package objectstest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"restante/storage/objects"
)

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
