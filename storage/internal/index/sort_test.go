package index

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRecordsAreSorted: of any number of blobs, with ids that are spread evenly
// or begin alike, and with one blob in several places.
func TestRecordsAreSorted(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 1))
	for _, blobs := range []int{0, 1, 2, 15, 16, 17, 1000, 70_000} {
		for what, change := range map[string]func(id *[16]byte){
			"evenly": func(*[16]byte) {},
			"alike":  func(id *[16]byte) { *id = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, id[0] % 8} },
			"ends":   func(id *[16]byte) { *id = [16]byte{id[0] % 2 * 255, id[1] % 2 * 255, id[2] % 2 * 255, 15: id[3]} },
		} {
			packs := somePacks(r, 2, blobs)
			n := 0
			for _, p := range packs {
				for _, s := range p.Directory {
					for i := range s.IDs {
						change(&s.IDs[i])
						n++
					}
				}
			}
			segments, records := sortedRecords(packs)
			if len(records) != n || len(segments) != len(packs[0].Directory)+len(packs[1].Directory) {
				t.Fatalf("%d records of %d", len(records), n)
			}
			if !slices.IsSortedFunc(records, compareRecords) {
				t.Errorf("%d blobs, %s: they are not sorted", blobs, what)
			}
			seen := map[[2]uint32]bool{}
			for _, rec := range records {
				s := segments[rec.segment]
				d := packs[s.pack].Directory
				at := uint32(0)
				for _, seg := range d {
					if uint32(seg.Offset) != s.offset {
						continue
					}
					for i, id := range seg.IDs {
						if id == rec.id && at == rec.offset && seg.Lengths[i] == rec.length {
							seen[[2]uint32{rec.segment, uint32(i)}] = true
						}
						at += seg.Lengths[i]
					}
				}
			}
			if len(seen) != n {
				t.Errorf("%d blobs, %s: %d of %d are where they were", blobs, what, len(seen), n)
			}
		}
	}
}

func BenchmarkSort(b *testing.B) {
	packs := somePacks(rand.New(rand.NewPCG(7, 2)), 128, 8192)
	for b.Loop() {
		sortedRecords(packs)
	}
}
