package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
)

const (
	tableSuffix = ".table"
	// mostTables is how many tables a Set has before it merges some: each
	// costs a lookup one read.
	mostTables = 8
)

// A Set is the local index of one vault: tables in a directory of its own,
// which is a cache and may be deleted at any time. Processes may share the
// directory; each adds what it misses. Where the directory cannot be written,
// or there is none, new tables are kept in memory.
type Set struct {
	dir string // empty: tables are in memory

	mu     sync.RWMutex // guards what follows
	tables []*table
	marked bool // Marks refer to the tables: they stay

	dropped atomic.Int64 // changes under mu

	// covers guards packs, which change under mu as well. It is taken last, and
	// so Covers waits for nobody who waits: Add and Lookup ask others which packs
	// are live, and those may be asking, just then, what is covered.
	covers sync.RWMutex
	packs  map[ulid.ULID]bool // covered by a table
}

// OpenSet opens the tables in dir; there may be no such directory yet. Tables
// that are damaged are removed; the packs in them are then not covered. An
// empty dir is none.
func OpenSet(dir string) *Set {
	s := &Set{dir: dir, packs: map[ulid.ULID]bool{}}
	if dir == "" {
		return s
	}
	entries, _ := os.ReadDir(dir) // what cannot be read is not covered
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !strings.HasSuffix(e.Name(), tableSuffix) {
			removeOld(path) // left by a process that died while it wrote
			continue
		}
		t, err := openTable(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // another process merged it away
		}
		if err != nil {
			os.Remove(path)
			continue
		}
		s.add(t)
	}
	return s
}

func removeOld(path string) {
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
		os.Remove(path)
	}
}

func (s *Set) add(t *table) {
	s.tables = append(s.tables, t)
	s.covers.Lock()
	defer s.covers.Unlock()
	for _, p := range t.packs {
		s.packs[p.ID] = true
	}
}

// Close lets go of the files.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, t := range s.tables {
		errs = append(errs, t.close())
	}
	s.tables = nil
	return errors.Join(errs...)
}

// Covers says whether the blobs of a pack are in the Set. It does not wait for
// other methods, and may be called with locks held that their callbacks take.
func (s *Set) Covers(id ulid.ULID) bool {
	s.covers.RLock()
	defer s.covers.RUnlock()
	return s.packs[id]
}

// Add puts packs with their directories into the Set, and merges tables where
// there are many, leaving out packs that keep refuses. The error is ErrDamaged
// where a table could not be read for that: what was given is covered then,
// but other packs may no longer be.
func (s *Set) Add(packs []Pack, keep func(ulid.ULID) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	packs = slices.DeleteFunc(slices.Clone(packs), func(p Pack) bool { return s.packs[p.ID] })
	if len(packs) == 0 {
		return nil
	}
	t, err := tableOf(s.dir, packs)
	if err != nil {
		return fmt.Errorf("make an index table: %w", err)
	}
	s.add(t)
	if len(s.tables) <= mostTables || s.marked {
		return nil
	}
	if err := s.merge(keep); errors.Is(err, ErrDamaged) {
		s.dropDamaged(err)
		return fmt.Errorf("merge index tables: %w", err)
	}
	return nil // not merged for want of room: lookups are slower
}

// merge makes one table of the small ones: those that together are no larger
// than the next larger one stay few, and each record is written a logarithmic
// number of times. The caller holds mu.
func (s *Set) merge(keep func(ulid.ULID) bool) error {
	slices.SortFunc(s.tables, func(a, b *table) int { return a.records - b.records })
	n, sum := 1, s.tables[0].records
	for n < len(s.tables) && (s.tables[n].records <= 2*sum || n < mostTables/2) {
		sum += s.tables[n].records
		n++
	}
	return s.mergeFirst(n, keep)
}

// mergeFirst makes one table of the first n. The caller holds mu.
func (s *Set) mergeFirst(n int, keep func(ulid.ULID) bool) error {
	merged, err := mergeTables(s.dir, s.tables[:n], keep)
	if err != nil {
		return err
	}
	old := slices.Clone(s.tables[:n])
	s.tables = append(slices.Clone(s.tables[n:]), merged)
	for _, t := range old {
		t.remove() // whoever else has it open keeps reading it
	}
	s.recount()
	return nil
}

// ErrDamaged says that a table could not be read and was dropped: its packs
// are no longer covered and must be added again.
var ErrDamaged = errTable

// Dropped is how many tables were dropped because they could not be read. Where
// it changes between two looks, packs may have been uncovered in between.
func (s *Set) Dropped() int64 { return s.dropped.Load() }

// Lookup finds a blob in a pack that live accepts.
func (s *Set) Lookup(id pack.ID, live func(ulid.ULID) bool) (where Location, found bool, err error) {
	s.mu.RLock()
	for i := len(s.tables) - 1; i >= 0 && !found; i-- {
		err = s.tables[i].lookup(id, func(l Location) bool {
			if live(l.Pack) {
				where, found = l, true
			}
			return found
		})
		if err != nil {
			break
		}
	}
	s.mu.RUnlock()
	if err != nil {
		return Location{}, false, s.giveUp(err)
	}
	return where, found, nil
}

// giveUp gives up the table that an error is about, and returns the error. The
// caller does not hold mu.
func (s *Set) giveUp(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropDamaged(err)
	return err
}

// dropDamaged gives up the table that an error is about. The caller holds mu.
func (s *Set) dropDamaged(err error) {
	damaged, ok := errors.AsType[*damagedTable](err)
	if !ok {
		return
	}
	i := slices.Index(s.tables, damaged.table)
	if i < 0 {
		return
	}
	s.tables = slices.Delete(s.tables, i, i+1)
	s.dropped.Add(1)
	damaged.table.remove()
	s.recount()
}

// recount derives packs from tables. The caller holds mu.
func (s *Set) recount() {
	s.covers.Lock()
	defer s.covers.Unlock()
	clear(s.packs)
	for _, t := range s.tables {
		for _, p := range t.packs {
			s.packs[p.ID] = true
		}
	}
}

// Blobs counts the records; a blob in two packs counts twice.
func (s *Set) Blobs() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, t := range s.tables {
		n += t.records
	}
	return n
}

// Directories puts the directories of covered packs together again. A pack
// that is not covered is left out. After ErrDamaged more packs may be.
func (s *Set) Directories(ids []ulid.ULID) ([]Pack, error) {
	packs, err := s.directories(ids)
	if err != nil {
		return nil, s.giveUp(err)
	}
	return packs, nil
}

func (s *Set) directories(ids []ulid.ULID) ([]Pack, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	want := make(map[ulid.ULID]bool, len(ids))
	for _, id := range ids {
		want[id] = true
	}
	var packs []Pack
	for _, t := range s.tables {
		part, err := t.directories(want)
		if err != nil {
			return nil, err
		}
		for _, p := range part {
			delete(want, p.ID) // it may stand in two tables
		}
		packs = append(packs, part...)
	}
	return packs, nil
}

// Segments tells of every segment of the packs that live accepts: its class,
// how many blobs it has, and its octets opened and sealed. After ErrDamaged
// what was told is not all.
func (s *Set) Segments(live func(ulid.ULID) bool, each func(c pack.Class, blobs, raw, box int64)) error {
	err := s.eachSegment(live, each)
	if err != nil {
		return s.giveUp(err)
	}
	return nil
}

func (s *Set) eachSegment(live func(ulid.ULID) bool, each func(c pack.Class, blobs, raw, box int64)) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	seen := map[ulid.ULID]bool{}
	for _, t := range s.tables {
		blobs := make([]int64, len(t.segments))
		for r, err := range t.all() {
			if err != nil {
				return err
			}
			blobs[r.segment]++
		}
		wanted := make([]bool, len(t.packs))
		for i, p := range t.packs {
			wanted[i] = !seen[p.ID] && live(p.ID)
			seen[p.ID] = true
		}
		for i, seg := range t.segments {
			if wanted[seg.pack] {
				each(seg.class, blobs[i], int64(seg.raw), int64(seg.box))
			}
		}
	}
	return nil
}
