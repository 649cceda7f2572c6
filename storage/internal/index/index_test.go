package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
)

func all(ulid.ULID) bool { return true }

// somePacks makes n packs with blobs whose ids come from r.
func somePacks(r *rand.Rand, n, blobs int) []Pack {
	packs := make([]Pack, n)
	for i := range packs {
		p := Pack{Size: 32 << 20}
		binary.BigEndian.PutUint64(p.ID[:], r.Uint64())
		offset := int64(16)
		for left := blobs; left > 0; {
			s := pack.Segment{Class: pack.Class(1 + r.IntN(4)), Offset: offset, Box: 100 + r.IntN(1000)}
			for range min(left, 1+r.IntN(100)) {
				var id pack.ID
				binary.BigEndian.PutUint64(id[:], r.Uint64())
				s.IDs = append(s.IDs, id)
				s.Lengths = append(s.Lengths, uint32(r.IntN(500)))
				s.Raw += int(s.Lengths[len(s.Lengths)-1])
				left--
			}
			offset += int64(s.Box)
			p.Directory = append(p.Directory, s)
		}
		packs[i] = p
	}
	return packs
}

// mustFind looks up every blob of the packs.
func mustFind(t *testing.T, s *Set, packs []Pack) {
	t.Helper()
	for _, p := range packs {
		for _, seg := range p.Directory {
			start := 0
			for i, id := range seg.IDs {
				want := Location{Pack: p.ID, PackSize: p.Size, Class: seg.Class, Offset: seg.Offset, Box: seg.Box, Raw: seg.Raw,
					Start: start, Length: int(seg.Lengths[i])}
				got, found, err := s.Lookup(id, all)
				if err != nil || !found || got != want {
					t.Fatalf("blob %x: %+v %v %v, want %+v", id, got, found, err, want)
				}
				start += want.Length
			}
		}
	}
}

func TestObjectGivesBackThePacks(t *testing.T) {
	t.Parallel()
	packs := somePacks(rand.New(rand.NewPCG(1, 1)), 5, 300)
	b := Append(nil, packs)
	got, err := Parse(b)
	if err != nil || !reflect.DeepEqual(got, packs) {
		t.Fatalf("%v", err)
	}
	for i := range b {
		if _, err := Parse(b[:i]); err == nil {
			t.Fatalf("cut to %d of %d octets and still read", i, len(b))
		}
	}
}

func TestEveryBlobIsFoundThroughMergesAndReopening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	s := OpenSet(dir)
	var packs []Pack
	for range 40 {
		more := somePacks(r, 1+r.IntN(3), 1+r.IntN(700))
		if err := s.Add(more, all); err != nil {
			t.Fatal(err)
		}
		packs = append(packs, more...)
		if len(s.tables) > mostTables {
			t.Fatalf("%d tables", len(s.tables))
		}
	}
	mustFind(t, s, packs)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = OpenSet(dir)
	defer s.Close()
	mustFind(t, s, packs)
	some := map[ulid.ULID]pack.Directory{packs[3].ID: packs[3].Directory, packs[len(packs)-1].ID: packs[len(packs)-1].Directory}
	again, err := s.Directories(slices.Collect(maps.Keys(some)))
	if err != nil || len(again) != len(some) {
		t.Fatalf("%d directories, %v", len(again), err)
	}
	for _, p := range again {
		if !bytes.Equal(p.Directory.Append(nil), some[p.ID].Append(nil)) {
			t.Errorf("the directory of pack %s is not what was added", p.ID)
		}
	}
	blobs := 0
	for _, p := range packs {
		blobs += p.Directory.Blobs()
		if !s.Covers(p.ID) {
			t.Errorf("pack %s is not covered", p.ID)
		}
	}
	if s.Blobs() != blobs {
		t.Errorf("%d records for %d blobs", s.Blobs(), blobs)
	}
	for range 10_000 {
		var id pack.ID
		binary.BigEndian.PutUint64(id[:], r.Uint64())
		if _, found, err := s.Lookup(id, all); found || err != nil {
			t.Fatalf("found what is not there: %v", err)
		}
	}
}

func TestPackThatIsNotLiveIsPassedOverAndMergedAway(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{t.TempDir(), ""} { // the latter: in memory
		passOverAndMergeAway(t, dir)
	}
}

func passOverAndMergeAway(t *testing.T, dir string) {
	t.Helper()
	s := OpenSet(dir)
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 3))
	packs := somePacks(r, 2, 200)
	packs[1].Directory = packs[0].Directory // the same blobs in both
	if err := s.Add(packs, all); err != nil {
		t.Fatal(err)
	}
	live := func(id ulid.ULID) bool { return id != packs[1].ID }
	for _, id := range packs[0].Directory[0].IDs {
		got, found, err := s.Lookup(id, live)
		if err != nil || !found || got.Pack != packs[0].ID {
			t.Fatalf("%+v %v %v", got, found, err)
		}
		if _, found, _ := s.Lookup(id, func(ulid.ULID) bool { return false }); found {
			t.Fatal("found in a pack that is not live")
		}
	}
	for range 2 * mostTables {
		if err := s.Add(somePacks(r, 1, 200), live); err != nil {
			t.Fatal(err)
		}
	}
	if s.Covers(packs[1].ID) || !s.Covers(packs[0].ID) {
		t.Error("the pack that is not live was not merged away, or the other was")
	}
	mustFind(t, s, packs[:1])
}

func TestDamagedTableIsDroppedAndCanBeAddedAgain(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 4))
	packs := somePacks(r, 3, 300)
	for bit := range 200 {
		dir := t.TempDir()
		s := OpenSet(dir)
		if err := s.Add(packs, all); err != nil {
			t.Fatal(err)
		}
		s.Close()
		files, _ := filepath.Glob(filepath.Join(dir, "*"+tableSuffix))
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		at := r.IntN(len(b) * 8)
		b[at/8] ^= 1 << (at % 8)
		if bit%3 == 0 {
			b = b[:r.IntN(len(b))]
		}
		if err := os.WriteFile(files[0], b, 0o600); err != nil {
			t.Fatal(err)
		}

		s = OpenSet(dir)
		damaged := !s.Covers(packs[0].ID)
		for _, p := range packs {
			for _, seg := range p.Directory {
				for _, id := range seg.IDs {
					_, _, err := s.Lookup(id, all)
					damaged = damaged || errors.Is(err, ErrDamaged)
				}
			}
		}
		if !damaged {
			t.Fatalf("flipped bit %d of %d was not found", at, len(b)*8)
		}
		if s.Covers(packs[0].ID) {
			t.Fatal("a damaged table still counts as covering its packs")
		}
		if err := s.Add(packs, all); err != nil {
			t.Fatal(err)
		}
		mustFind(t, s, packs)
		s.Close()
	}
}

func TestBlobsWithTheSameFirstOctetsAreToldApart(t *testing.T) {
	t.Parallel()
	s := OpenSet(t.TempDir())
	defer s.Close()
	seg := pack.Segment{Class: pack.Text, Offset: 16, Box: 50}
	for i := range 1000 { // several blocks that begin alike
		var id pack.ID
		binary.BigEndian.PutUint32(id[12:], uint32(i))
		seg.IDs = append(seg.IDs, id)
		seg.Lengths = append(seg.Lengths, 1)
		seg.Raw++
	}
	packs := []Pack{{ID: ulid.ULID{1}, Size: 1 << 20, Directory: pack.Directory{seg}}}
	if err := s.Add(packs, all); err != nil {
		t.Fatal(err)
	}
	mustFind(t, s, packs)
}

func FuzzParse(f *testing.F) {
	f.Add(Append(nil, somePacks(rand.New(rand.NewPCG(1, 1)), 2, 5)))
	f.Fuzz(func(t *testing.T, in []byte) {
		packs, err := Parse(in)
		if err != nil {
			return
		}
		again, err := Parse(Append(nil, packs))
		if err != nil || !reflect.DeepEqual(again, packs) {
			t.Fatalf("written again it reads differently: %v", err)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	s := OpenSet(b.TempDir())
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 5))
	var ids []pack.ID
	for range 20 {
		packs := somePacks(r, 1, 100_000)
		if err := s.Add(packs, all); err != nil {
			b.Fatal(err)
		}
		for _, seg := range packs[0].Directory {
			ids = append(ids, seg.IDs[0])
		}
	}
	b.Run("present", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, found, _ := s.Lookup(ids[i%len(ids)], all); !found {
				b.Fatal("not found")
			}
		}
	})
	b.Run("absent", func(b *testing.B) {
		var id pack.ID
		for b.Loop() {
			binary.BigEndian.PutUint64(id[:], r.Uint64())
			s.Lookup(id, all)
		}
	})
}
