package index

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"restante/storage/internal/pack"
)

// BenchmarkPruneOfManyBlobs does with an index what a prune does: takes in the
// directories of packs, marks every blob that is needed in an order of chance,
// tells of the recipes, and counts. RESTANTE_BLOBS is how many blobs; a million
// if it is not set. Memory is what is in use after a collection, less what the
// benchmark itself took before.
func BenchmarkPruneOfManyBlobs(b *testing.B) {
	blobs, err := strconv.Atoi(os.Getenv("RESTANTE_BLOBS"))
	if err != nil {
		blobs = 1_000_000
	}
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse) / (1 << 20)
	}
	const perPack, perSegment = 4000, 200
	for range b.N {
		empty := heap()
		dir := b.TempDir()
		s := OpenSet(dir)
		// The i-th blob's id can be had again without keeping all of them.
		id := func(i int) (id pack.ID) {
			r := rand.NewPCG(1, uint64(i))
			binary.BigEndian.PutUint64(id[:], r.Uint64())
			binary.BigEndian.PutUint64(id[8:], r.Uint64())
			return id
		}
		began := time.Now()
		for from := 0; from < blobs; {
			var batch []Pack
			for range 16 {
				p := Pack{Size: 16 << 20}
				binary.BigEndian.PutUint64(p.ID[:], uint64(from))
				for offset := int64(16); len(p.Directory) < perPack/perSegment && from < blobs; offset += 700_000 {
					seg := pack.Segment{Class: pack.Class(1 + len(p.Directory)%3), Offset: offset, Box: 700_000, Raw: perSegment * 4000}
					for range min(perSegment, blobs-from) {
						seg.IDs = append(seg.IDs, id(from))
						seg.Lengths = append(seg.Lengths, 4000)
						from++
					}
					p.Directory = append(p.Directory, seg)
				}
				batch = append(batch, p)
			}
			if err := s.Add(batch, all); err != nil {
				b.Fatal(err)
			}
		}
		m, err := s.Marks()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s-to-index")
		began = time.Now()
		step := blobs*2/3 | 1 // through all of them, far from one to the next
		needed := 0
		for i, at := 0, 0; i < blobs; i, at = i+1, (at+step)%blobs {
			if i%10 == 0 {
				continue
			}
			if _, _, first, err := m.Mark(id(at), all); err != nil {
				b.Fatal(err)
			} else if first {
				needed++
			}
		}
		b.ReportMetric(time.Since(began).Seconds(), "s-to-mark")
		began = time.Now()
		told := 0
		if err := m.Pending(pack.Recipes, func(_ Location, places []Place) error { told += len(places); return nil }); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s-to-tell")
		began = time.Now()
		uses, err := m.Uses()
		if err != nil {
			b.Fatal(err)
		}
		count := 0
		for _, u := range uses {
			count += u.Needed
		}
		if count != needed || told == 0 {
			b.Fatalf("%d needed, %d marked, told of %d", count, needed, told)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s-to-count")
		b.ReportMetric(heap()-empty, "MiB-memory")
		var disk int64
		for _, t := range s.tables {
			if info, err := os.Stat(t.path); err == nil {
				disk += info.Size()
			}
		}
		b.ReportMetric(float64(disk)/(1<<20), "MiB-disk")
		b.ReportMetric(float64(len(s.tables)), "tables")
		runtime.KeepAlive(uses)
		s.Close()
	}
}
