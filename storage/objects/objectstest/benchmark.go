package objectstest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"restante/storage/objects"
)

// Benchmark measures a store: small objects one after the other and 16 at a
// time, packs of 32 MiB, ranges of 1 MiB out of one, and a list of 1,000.
func Benchmark(b *testing.B, open func(b *testing.B) objects.Store) {
	const small, large, segment = 4 << 10, 32 << 20, 1 << 20
	var next atomic.Int64
	fresh := func(folder string) string { return fmt.Sprintf("%s/%012d", folder, next.Add(1)) }
	check := func(b *testing.B, err error) {
		if err != nil {
			b.Error(err)
		}
	}

	put := func(size, workers int, put func(objects.Store) func(*testing.B, string, []byte)) func(*testing.B) {
		return func(b *testing.B) {
			store, data := open(b), octets(size, 1)
			b.SetBytes(int64(size))
			b.ResetTimer()
			inWorkers(b, workers, func() { put(store)(b, fresh("packs"), data) })
		}
	}
	plain := func(store objects.Store) func(*testing.B, string, []byte) {
		return func(b *testing.B, name string, data []byte) { check(b, store.Put(b.Context(), name, data)) }
	}
	ifAbsent := func(store objects.Store) func(*testing.B, string, []byte) {
		return func(b *testing.B, name string, data []byte) { check(b, store.PutIfAbsent(b.Context(), name, data)) }
	}
	b.Run("Put/4KiB", put(small, 1, plain))
	b.Run("Put/4KiB/16 at a time", put(small, 16, plain))
	b.Run("PutIfAbsent/4KiB", put(small, 1, ifAbsent))
	b.Run("Put/32MiB", put(large, 1, plain))
	b.Run("Put/32MiB/4 at a time", put(large, 4, plain))

	get := func(size int, length int64, workers int) func(*testing.B) {
		return func(b *testing.B) {
			store := open(b)
			check(b, store.Put(b.Context(), "packs/x", octets(size, 1)))
			offset, want := int64(0), size
			if length > 0 {
				offset, want = int64(size)/2, int(length)
			}
			b.SetBytes(int64(want))
			b.ResetTimer()
			inWorkers(b, workers, func() {
				data, err := store.Get(b.Context(), "packs/x", offset, length)
				if err != nil || len(data) != want {
					b.Errorf("%d octets, %v", len(data), err)
				}
			})
		}
	}
	b.Run("Get/4KiB", get(small, -1, 1))
	b.Run("Get/4KiB/16 at a time", get(small, -1, 16))
	b.Run("Get/1MiB of 32MiB", get(large, segment, 1))
	b.Run("Get/32MiB", get(large, -1, 1))

	b.Run("List/1000", func(b *testing.B) {
		store := open(b)
		inParallel(b, 1000, func(int) error { return store.Put(b.Context(), fresh("packs"), nil) })
		for b.Loop() {
			var count int
			for _, err := range store.List(b.Context(), "packs/", "") {
				check(b, err)
				count++
			}
			if count != 1000 {
				b.Errorf("%d objects", count)
			}
		}
	})
}

// inWorkers calls do b.N times in all, from so many goroutines.
func inWorkers(b *testing.B, workers int, do func()) {
	if workers == 1 {
		for range b.N {
			do()
		}
		return
	}
	free := make(chan struct{}, workers)
	for range b.N {
		free <- struct{}{}
		go func() {
			do()
			<-free
		}()
	}
	for range workers {
		free <- struct{}{}
	}
}
