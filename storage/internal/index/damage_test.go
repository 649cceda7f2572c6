package index

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
)

// damageBlocks flips a bit in the first block of every table in dir that has
// one. An open Set reads it later.
func damageBlocks(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+tableSuffix))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if _, err := f.ReadAt(b[:], 100); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 8
		if _, err := f.WriteAt(b[:], 100); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// TestDamageFoundByWhateverReadsATableDropsIt: a table that nobody drops makes
// every merge fail from then on.
func TestDamageFoundByWhateverReadsATableDropsIt(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 4))
	packs := somePacks(r, 3, 300)
	var ids []ulid.ULID
	for _, p := range packs {
		ids = append(ids, p.ID)
	}
	for what, use := range map[string]func(*Set) error{
		"merge": func(s *Set) error {
			for range mostTables {
				if err := s.Add(somePacks(r, 1, 300), all); err != nil {
					return err
				}
			}
			return nil
		},
		"directories": func(s *Set) error { _, err := s.Directories(ids); return err },
		"segments": func(s *Set) error {
			return s.Segments(all, func(pack.Class, int64, int64, int64) {})
		},
	} {
		dir := t.TempDir()
		s := OpenSet(dir)
		if err := s.Add(packs, all); err != nil {
			t.Fatal(err)
		}
		damageBlocks(t, dir)
		if err := use(s); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if s.Covers(packs[0].ID) {
			t.Errorf("%s: the damaged table was not dropped", what)
		}
		if err := s.Add(packs, all); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := use(s); err != nil {
			t.Errorf("%s, again: %v", what, err)
		}
		mustFind(t, s, packs)
		s.Close()
	}
}

func TestTablesAreInMemoryWhereTheyCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(4, 5))
	s := OpenSet(dir)
	defer s.Close()
	var packs []Pack
	for range 3 * mostTables {
		packs = append(packs, somePacks(r, 1, 100)...)
		if err := s.Add(packs[len(packs)-1:], all); err != nil {
			t.Fatal(err)
		}
	}
	mustFind(t, s, packs)
}
