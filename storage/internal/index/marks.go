package index

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
)

// Marks note which blobs of a Set are needed: one copy of each, two bits of
// memory for every record, so that they work for many millions. From when they
// are made the Set merges no tables. Mark and what only reads may be called
// from many goroutines; Extend and Pending stand alone.
type Marks struct {
	set    *Set
	tables []*markedTable
}

type markedTable struct {
	*table
	needed bits // by number of the record
	passed bits // Pending has told of it
}

type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) has(n int) bool { return atomic.LoadUint64(&b[n/64])&(1<<(n%64)) != 0 }

// set sets a bit and says whether it was not set before.
func (b bits) set(n int) bool {
	bit := uint64(1) << (n % 64)
	return atomic.OrUint64(&b[n/64], bit)&bit == 0
}

// Marks returns marks of which none is set. It merges all tables first, where
// there is room for that: to mark a blob takes one read of each.
func (s *Set) Marks() (*Marks, error) {
	if err := s.mergeAll(); errors.Is(err, ErrDamaged) {
		return nil, err
	}
	m := &Marks{set: s}
	m.Extend()
	return m, nil
}

func (s *Set) mergeAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tables) < 2 {
		return nil
	}
	return s.mergeFirst(len(s.tables), func(ulid.ULID) bool { return true })
}

// Extend takes in the packs that were added to the Set since.
func (m *Marks) Extend() {
	m.set.mu.Lock()
	defer m.set.mu.Unlock()
	m.set.marked = true
	for _, t := range m.set.tables {
		if !slices.ContainsFunc(m.tables, func(old *markedTable) bool { return old.table == t }) {
			m.tables = append(m.tables, &markedTable{t, newBits(t.records), newBits(t.records)})
		}
	}
}

// A copyOf is one record of a blob.
type copyOf struct {
	table  *markedTable
	number int
	where  Location
}

// copies finds all copies of a blob.
func (m *Marks) copies(id pack.ID) (list []copyOf, err error) {
	for _, t := range m.tables {
		err := t.find(id, func(n int, r record) bool {
			list = append(list, copyOf{t, n, t.location(r)})
			return false
		})
		if err != nil {
			return nil, fmt.Errorf("find blob %x: %w", id, err)
		}
	}
	return list, nil
}

// Mark marks one copy of a blob, in a pack that usable accepts, unless one is
// marked already. It says where the marked copy is, whether there is any, and
// whether it is the first time.
func (m *Marks) Mark(id pack.ID, usable func(ulid.ULID) bool) (where Location, found, first bool, err error) {
	list, err := m.copies(id)
	if err != nil {
		return where, false, false, err
	}
	var best *copyOf
	for i := range list {
		c := &list[i]
		if c.table.needed.has(c.number) {
			return c.where, true, false, nil
		}
		// Everybody must choose alike: the pack with the lowest name.
		if (best == nil || c.before(best)) && usable(c.where.Pack) {
			best = c
		}
	}
	if best == nil {
		return where, false, false, nil
	}
	return best.where, true, best.table.needed.set(best.number), nil
}

func (c *copyOf) before(other *copyOf) bool {
	return cmp.Or(c.where.Pack.Compare(other.where.Pack), cmp.Compare(c.where.Offset, other.where.Offset), cmp.Compare(c.where.Start, other.where.Start)) < 0
}

// Marked says whether the copy of a blob in a pack, in the segment at offset,
// is the one that is marked.
func (m *Marks) Marked(id pack.ID, p ulid.ULID, offset int64, start int) (bool, error) {
	list, err := m.copies(id)
	for _, c := range list {
		if c.where.Pack == p && c.where.Offset == offset && c.where.Start == start && c.table.needed.has(c.number) {
			return true, err
		}
	}
	return false, err
}

// Holders are the packs that have a copy of a blob.
func (m *Marks) Holders(id pack.ID) (packs []ulid.ULID, err error) {
	list, err := m.copies(id)
	for _, c := range list {
		packs = append(packs, c.where.Pack)
	}
	return packs, err
}

// A Use is how much of a segment is marked.
type Use struct {
	Pack          ulid.ULID
	Class         pack.Class
	Box, Raw      int // octets, as in Location
	Blobs, Needed int
	NeededRaw     int64 // octets of marked blobs
}

// Uses tells of every segment how much of it is marked. A pack that is in two
// tables is told of once.
func (m *Marks) Uses() ([]Use, error) {
	var all []Use
	seen := map[ulid.ULID]bool{}
	for _, t := range m.tables {
		uses := make([]Use, len(t.segments))
		for i, s := range t.segments {
			uses[i] = Use{Pack: t.packs[s.pack].ID, Class: s.class, Box: int(s.box), Raw: int(s.raw)}
		}
		n := 0
		for r, err := range t.all() {
			if err != nil {
				return nil, err
			}
			u := &uses[r.segment]
			u.Blobs++
			if t.needed.has(n) {
				u.Needed++
				u.NeededRaw += int64(r.length)
			}
			n++
		}
		for _, u := range uses {
			if !seen[u.Pack] {
				all = append(all, u)
			}
		}
		for _, p := range t.packs {
			seen[p.ID] = true
		}
	}
	return all, nil
}

// A Place is where in an opened segment a marked blob is.
type Place struct {
	ID            pack.ID
	Start, Length int
}

// mostPending is how many blobs Pending gathers at once.
const mostPending = 1 << 20

// Pending tells of every segment of a class its blobs that were marked since
// Pending told of them last, in the order in which they stand. Segments come
// in no order of their own; each is told of by one call of each. It goes
// through the tables once for every million of such blobs.
func (m *Marks) Pending(c pack.Class, each func(segment Location, blobs []Place) error) error {
	for _, t := range m.tables {
		counts := make([]int, len(t.segments))
		if err := t.pending(c, func(_ int, r record) { counts[r.segment]++ }); err != nil {
			return err
		}
		for from := 0; from < len(counts); {
			to, sum := from, 0
			for to < len(counts) && (sum == 0 || sum+counts[to] <= mostPending) {
				sum += counts[to]
				to++
			}
			if sum > 0 {
				if err := t.tell(c, uint32(from), uint32(to), sum, each); err != nil {
					return err
				}
			}
			from = to
		}
	}
	return nil
}

// pending calls do for each record of a class that is marked and was not
// passed.
func (t *markedTable) pending(c pack.Class, do func(n int, r record)) error {
	n := 0
	for r, err := range t.all() {
		if err != nil {
			return err
		}
		if t.segments[r.segment].class == c && t.needed.has(n) && !t.passed.has(n) {
			do(n, r)
		}
		n++
	}
	return nil
}

// tell gathers what is pending in some of the segments, and passes it on.
func (t *markedTable) tell(c pack.Class, from, to uint32, number int, each func(Location, []Place) error) error {
	list := make([]record, 0, number)
	err := t.pending(c, func(n int, r record) {
		if r.segment >= from && r.segment < to {
			t.passed.set(n)
			list = append(list, r)
		}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.offset, b.offset))
	})
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].segment == list[0].segment {
			n++
		}
		places := make([]Place, n)
		for i, r := range list[:n] {
			places[i] = Place{r.id, int(r.offset), int(r.length)}
		}
		if err := each(t.location(list[0]), places); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}
