package index

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
)

// marksOf makes a Set of packs, in several tables, and marks for it.
func marksOf(t *testing.T, packs []Pack) (*Set, *Marks) {
	t.Helper()
	s := OpenSet(t.TempDir())
	t.Cleanup(func() { s.Close() })
	for part := range slices.Chunk(packs, 3) {
		if err := s.Add(part, all); err != nil {
			t.Fatal(err)
		}
	}
	m, err := s.Marks()
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

// withCopies puts some blobs of each pack into the next one, too.
func withCopies(packs []Pack) {
	for i := range packs[1:] {
		from, to := &packs[i].Directory[0], &packs[i+1].Directory[0]
		to.IDs = append(to.IDs, from.IDs[0])
		to.Lengths = append(to.Lengths, from.Lengths[0])
		to.Raw += int(from.Lengths[0])
	}
}

func TestMarksCountJustWhatWasMarked(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 1))
	packs := somePacks(r, 30, 400)
	withCopies(packs)
	_, m := marksOf(t, packs)
	wanted := map[pack.ID]bool{}
	for _, p := range packs {
		for _, seg := range p.Directory {
			for _, id := range seg.IDs {
				if r.IntN(3) == 0 {
					wanted[id] = true
				}
			}
		}
	}
	// Several at once, each blob by all of them: one is the first.
	var firsts atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for id := range wanted {
				_, found, first, err := m.Mark(id, all)
				if err != nil || !found {
					t.Errorf("%x: %v, %v", id, found, err)
				}
				if first {
					firsts.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if int(firsts.Load()) != len(wanted) {
		t.Errorf("%d blobs were marked for the first time, %d were marked", firsts.Load(), len(wanted))
	}

	marked := map[pack.ID]int{}
	needed := map[ulid.ULID]int{}
	for _, p := range packs {
		for _, seg := range p.Directory {
			start := 0
			for i, id := range seg.IDs {
				ok, err := m.Marked(id, p.ID, seg.Offset, start)
				if err != nil {
					t.Fatal(err)
				}
				if ok {
					marked[id]++
					needed[p.ID]++
				}
				start += int(seg.Lengths[i])
			}
		}
	}
	for id := range wanted {
		if marked[id] != 1 {
			t.Errorf("blob %x is marked %d times", id, marked[id])
		}
		holders, err := m.Holders(id)
		if err != nil || len(holders) == 0 {
			t.Fatalf("%x: %v", id, err)
		}
		lowest := slices.MinFunc(holders, ulid.ULID.Compare)
		if where, _, first, _ := m.Mark(id, all); first || where.Pack != lowest {
			t.Errorf("blob %x is marked in %s, not in the pack with the lowest name", id, where.Pack)
		}
	}
	if len(marked) != len(wanted) {
		t.Errorf("%d blobs are marked, %d were", len(marked), len(wanted))
	}
	uses, err := m.Uses()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uses {
		needed[u.Pack] -= u.Needed
	}
	for id, n := range needed {
		if n != 0 {
			t.Errorf("pack %s: the count is wrong by %d", id, n)
		}
	}
}

func TestMarkTakesOnlyUsablePacks(t *testing.T) {
	t.Parallel()
	packs := somePacks(rand.New(rand.NewPCG(5, 2)), 2, 50)
	packs[0].ID[0], packs[1].ID[0] = 1, 2 // the first would be taken
	withCopies(packs)
	_, m := marksOf(t, packs)
	twice, once := packs[0].Directory[0].IDs[0], packs[0].Directory[0].IDs[1]
	notFirst := func(id ulid.ULID) bool { return id != packs[0].ID }
	if _, found, _, err := m.Mark(once, notFirst); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	where, found, first, err := m.Mark(twice, notFirst)
	if !found || !first || err != nil || where.Pack != packs[1].ID {
		t.Errorf("%v %v %v %v", where, found, first, err)
	}
	if where, _, first, _ := m.Mark(twice, all); first || where.Pack != packs[1].ID {
		t.Error("a second copy is marked")
	}
	if _, found, _, err := m.Mark(pack.ID{1}, all); found || err != nil {
		t.Errorf("a blob that is nowhere: %v, %v", found, err)
	}
}

func TestPendingTellsOfEachMarkOnce(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 3))
	packs := somePacks(r, 12, 300)
	s, m := marksOf(t, packs[:9])
	seen := map[pack.ID]int{}
	round := func() {
		t.Helper()
		segments := map[Location]bool{}
		err := m.Pending(pack.Recipes, func(l Location, places []Place) error {
			l.Start, l.Length = 0, 0
			if segments[l] {
				t.Errorf("a segment is told of twice")
			}
			segments[l] = true
			if l.Class != pack.Recipes {
				t.Errorf("a segment of %s", l.Class)
			}
			if !slices.IsSortedFunc(places, func(a, b Place) int { return a.Start - b.Start }) {
				t.Errorf("blobs out of their order")
			}
			for _, p := range places {
				seen[p.ID]++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[pack.ID]int{}
	mark := func(packs []Pack) {
		for _, p := range packs {
			for _, seg := range p.Directory {
				for _, id := range seg.IDs {
					if r.IntN(2) == 0 {
						continue
					}
					if _, found, _, err := m.Mark(id, all); !found || err != nil {
						t.Fatal(found, err)
					}
					if seg.Class == pack.Recipes {
						want[id] = 1
					}
				}
			}
		}
	}
	mark(packs[:9])
	round()
	mark(packs[2:5]) // more of the same segments
	if err := s.Add(packs[9:], all); err != nil {
		t.Fatal(err)
	}
	m.Extend()
	mark(packs[9:])
	round()
	round()
	if len(seen) != len(want) {
		t.Errorf("told of %d blobs, %d were marked", len(seen), len(want))
	}
	for id, n := range seen {
		if n != 1 || want[id] != 1 {
			t.Errorf("told of blob %x %d times", id, n)
		}
	}
}

func TestSetKeepsItsTablesForMarks(t *testing.T) {
	t.Parallel()
	packs := somePacks(rand.New(rand.NewPCG(5, 4)), 40, 20)
	s, m := marksOf(t, packs[:1])
	id := packs[0].Directory[0].IDs[0]
	if _, _, first, err := m.Mark(id, all); !first || err != nil {
		t.Fatal(first, err)
	}
	for _, p := range packs[1:] {
		if err := s.Add([]Pack{p}, all); err != nil {
			t.Fatal(err)
		}
	}
	m.Extend()
	if _, found, first, err := m.Mark(id, all); !found || first || err != nil {
		t.Errorf("after many more packs: %v %v %v", found, first, err)
	}
	mustFind(t, s, packs)
}
