package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/internal/seal"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// BenchmarkLargeRepository opens a repository of many millions of blobs, of
// which there are only indexes, and looks some up: with nothing at hand, with
// a cache, and then commits a little so that an index is gathered. It reports
// the memory at its peak, in MiB: of the process where the system tells, else
// of Go's heap. RESTANTE_LONG adds 20 million, which take some minutes and
// 1 GB of disk.
func BenchmarkLargeRepository(b *testing.B) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(200 << 20)) // as the program has it
	sizes := []int{5_000_000}
	if os.Getenv("RESTANTE_LONG") != "" {
		sizes = append(sizes, 20_000_000)
	}
	for _, blobs := range sizes {
		dir := b.TempDir()
		store, err := objects.CreateDir(filepath.Join(dir, "repository"))
		if err != nil {
			b.Fatal(err)
		}
		ids := makeLarge(b, store, blobs)
		cache := filepath.Join(dir, "cache")
		for _, what := range []string{"cold", "warm"} {
			b.Run(fmt.Sprintf("%d/%s", blobs, what), func(b *testing.B) {
				peak := watchMemory()
				for b.Loop() {
					if what == "cold" {
						if err := os.RemoveAll(cache); err != nil {
							b.Fatal(err)
						}
					}
					r, err := Open(b.Context(), store, Passphrase(testPassphrase), Options{CacheDir: cache})
					if err != nil {
						b.Fatal(err)
					}
					lookUp(b, r, ids)
					r.Close()
				}
				b.ReportMetric(float64(peak())/(1<<20), "MiB-peak")
				b.ReportMetric(float64(diskUse(b, cache))/(1<<20), "MiB-cache")
			})
		}
		b.Run(fmt.Sprintf("%d/lookup", blobs), func(b *testing.B) {
			r := openRepository(b, store, Options{CacheDir: cache})
			v := lookUp(b, r, ids)
			for i := 0; b.Loop(); i++ {
				if _, found, err := v.locate(b.Context(), ids[i%len(ids)]); err != nil || !found {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/gather", blobs), func(b *testing.B) {
			peak := watchMemory()
			for b.Loop() {
				r := openRepository(b, store, Options{CacheDir: cache})
				for range 10 {
					commitLittle(b, r)
				}
				r.Close()
			}
			b.ReportMetric(float64(peak())/(1<<20), "MiB-peak")
		})
	}
}

// makeLarge puts a ledger and indexes of many blobs into a store, as the
// writer's gathering leaves them, and returns some of the ids.
func makeLarge(b *testing.B, store objects.Store, blobs int) (some []BlobID) {
	b.Helper()
	ctx := context.Background()
	r := newRepository(b, store, "")
	defer r.Close()
	vaultID, err := r.VaultID(DefaultVault)
	if err != nil {
		b.Fatal(err)
	}
	v, err := r.vault(ctx, vaultID)
	if err != nil {
		b.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	const perPack = 8192 // at about 2 KB a blob as stored, 16 MiB
	for blobs > 0 {
		var packs []index.Pack
		c := &ledger.Commit{}
		for n := 0; n < mostBlobs-perPack && blobs > 0; {
			p := index.Pack{Size: 16 << 20}
			p.ID.SetTime(ulid.Now())
			random.Read(p.ID[6:])
			offset := int64(16)
			for in := 0; in < perPack; in += 1024 {
				s := pack.Segment{Class: pack.Class(1 + in/1024%4), Offset: offset, Box: 1 << 20, IDs: make([]BlobID, 1024), Lengths: make([]uint32, 1024)}
				for i := range s.IDs {
					random.Read(s.IDs[i][:])
					s.Lengths[i] = uint32(300 + i)
					s.Raw += 300 + i
				}
				some = append(some, s.IDs[in/1024])
				offset += int64(s.Box)
				p.Directory = append(p.Directory, s)
			}
			packs = append(packs, p)
			c.Packs = append(c.Packs, ledger.Pack{ID: p.ID, Vault: vaultID, Size: p.Size, Blobs: perPack})
			n += perPack
			blobs -= perPack
		}
		i := ledger.Index{ID: newName(), Vault: vaultID}
		for _, p := range packs {
			i.Packs = append(i.Packs, p.ID)
		}
		box, err := r.sealer.Seal(nil, v.scope.Key, seal.Index, append(vaultID[:], i.ID[:]...), index.Append(nil, packs), seal.Options{})
		if err != nil {
			b.Fatal(err)
		}
		i.Size = int64(len(box))
		if err := store.Put(ctx, indexName(i.ID), box); err != nil {
			b.Fatal(err)
		}
		c.Indexes = []ledger.Index{i}
		if err := r.ledger.Append(ctx, func(*ledger.State) (ledger.Body, error) { return c, nil }); err != nil {
			b.Fatal(err)
		}
	}
	return some
}

func lookUp(b *testing.B, r *Repository, ids []BlobID) *vault {
	b.Helper()
	vaultID, err := r.VaultID(DefaultVault)
	if err != nil {
		b.Fatal(err)
	}
	v, err := r.vault(b.Context(), vaultID)
	if err != nil {
		b.Fatal(err)
	}
	for _, id := range ids[:100] {
		if _, found, err := v.locate(b.Context(), id); err != nil || !found {
			b.Fatal(found, err)
		}
	}
	return v
}

// commitLittle commits a snapshot of one new message.
func commitLittle(b *testing.B, r *Repository) {
	b.Helper()
	vaultID, _ := r.VaultID(DefaultVault)
	w, err := r.Writer(b.Context(), vaultID)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	octets := binary.BigEndian.AppendUint64([]byte("Subject: x\r\n\r\n"), rand.Uint64())
	if _, err := w.SaveMessage(bytes.NewReader(octets), int64(len(octets))); err != nil {
		b.Fatal(err)
	}
	if err := w.Commit(b.Context(), nil, nil, nil); err != nil {
		b.Fatal(err)
	}
}

// watchMemory gives what memory was in use at its peak, in octets, from now
// until the function it returns is called.
func watchMemory() func() uint64 {
	debug.FreeOSMemory()
	var peak atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			n := m.Sys - m.HeapReleased
			if pages, err := os.ReadFile("/proc/self/statm"); err == nil {
				var size, resident uint64
				if _, err := fmt.Sscan(string(pages), &size, &resident); err == nil {
					n = resident * uint64(os.Getpagesize())
				}
			}
			peak.Store(max(peak.Load(), n))
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return peak.Load()
	}
}

func diskUse(b *testing.B, dir string) (n int64) {
	b.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
