package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"slices"
	"sort"
	"sync"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
)

// A table is a file of records sorted by blob id, in blocks with a checksum
// each, and behind them what the records refer to: segments and packs. It is
// written once. Lookup reads one block, mostly.
//
//	blocks:   4096 octets: up to 145 records | zeros | number (2) | CRC-32C (4)
//	tail:     firsts: first 8 octets of each block's first id
//	          packs: id (16) size (8) each
//	          segments: pack (4) class (1) offset (4) box (4) raw (4) each
//	footer:   magic (8) blocks, packs, segments, records (8 each), CRC-32C of tail and footer (4)
//
// A record is id (16) segment (4) offset in it (4) length (4).
const (
	recordSize  = 16 + 4 + 4 + 4
	blockSize   = 4096
	perBlock    = (blockSize - 6) / recordSize
	packSize    = 16 + 8
	segmentSize = 4 + 1 + 4 + 4 + 4
	tableMagic  = "rsttab01"
	footerSize  = 8 + 4*8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTable says that a table is no use; it is a cache, so it is made again.
var errTable = errors.New("index table is damaged")

// A damagedTable says which table is no use.
type damagedTable struct {
	table *table
	why   error // wraps errTable
}

func (d *damagedTable) Error() string { return d.why.Error() }
func (d *damagedTable) Unwrap() error { return d.why }

// A Location is where a blob stands.
type Location struct {
	Pack     ulid.ULID
	PackSize int64 // octets
	Class    pack.Class
	// Offset and Box say where in the pack the segment's box is, Raw how long
	// the segment is when opened, all in octets.
	Offset   int64
	Box, Raw int
	// Start and Length say where in the opened segment the blob is.
	Start, Length int
}

type segmentRef struct {
	pack     uint32
	class    pack.Class
	offset   uint32
	box, raw uint32
}

type record struct {
	id             pack.ID
	segment        uint32
	offset, length uint32
}

type table struct {
	path     string // empty: it is in memory
	file     io.ReaderAt
	firsts   []uint64 // first eight octets of each block's first id
	packs    []Pack   // without directories
	segments []segmentRef
	records  int
}

// openTable opens a table and proves all of it but the blocks, which are
// proven when they are read.
func openTable(path string) (_ *table, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return readTable(path, f, info.Size())
}

// readTable reads all of a table of size octets but the blocks.
func readTable(path string, f io.ReaderAt, size int64) (*table, error) {
	if size < footerSize {
		return nil, errTable
	}
	footer := make([]byte, footerSize)
	if _, err := f.ReadAt(footer, size-footerSize); err != nil {
		return nil, err
	}
	var n [4]uint64 // blocks, packs, segments, records
	for i := range n {
		if n[i] = binary.LittleEndian.Uint64(footer[8+8*i:]); n[i] > 1<<40 {
			return nil, errTable
		}
	}
	tail := n[0]*8 + n[1]*packSize + n[2]*segmentSize
	if string(footer[:8]) != tableMagic || n[0]*blockSize+tail+footerSize != uint64(size) || (n[3]+perBlock-1)/perBlock != n[0] {
		return nil, errTable
	}
	b := make([]byte, tail)
	if _, err := f.ReadAt(b, int64(n[0]*blockSize)); err != nil {
		return nil, err
	}
	sum := crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, footer[:footerSize-4])
	if sum != binary.LittleEndian.Uint32(footer[footerSize-4:]) {
		return nil, errTable
	}

	t := &table{path: path, file: f, records: int(n[3]),
		firsts: make([]uint64, n[0]), packs: make([]Pack, n[1]), segments: make([]segmentRef, n[2])}
	for i := range t.firsts {
		t.firsts[i], b = binary.BigEndian.Uint64(b), b[8:]
	}
	for i := range t.packs {
		copy(t.packs[i].ID[:], b)
		t.packs[i].Size, b = int64(binary.LittleEndian.Uint64(b[16:])), b[packSize:]
	}
	for i := range t.segments {
		t.segments[i] = segmentRef{
			pack: binary.LittleEndian.Uint32(b), class: pack.Class(b[4]), offset: binary.LittleEndian.Uint32(b[5:]),
			box: binary.LittleEndian.Uint32(b[9:]), raw: binary.LittleEndian.Uint32(b[13:]),
		}
		if b = b[segmentSize:]; int(t.segments[i].pack) >= len(t.packs) {
			return nil, errTable
		}
	}
	return t, nil
}

func (t *table) close() error {
	if f, ok := t.file.(io.Closer); ok {
		return f.Close()
	}
	return nil
}

// remove lets go of the table and removes its file.
func (t *table) remove() {
	t.close()
	if t.path != "" {
		os.Remove(t.path)
	}
}

// damaged says that this table is no use.
func (t *table) damaged(why error) error { return &damagedTable{t, why} }

// block reads block i and returns its records' octets.
func (t *table) block(i int, buf *[blockSize]byte) ([]byte, error) {
	if _, err := t.file.ReadAt(buf[:], int64(i)*blockSize); err != nil {
		return nil, t.damaged(fmt.Errorf("%w: %w", errTable, err))
	}
	n := int(binary.LittleEndian.Uint16(buf[blockSize-6:]))
	if n != min(perBlock, t.records-i*perBlock) || crc32.Checksum(buf[:blockSize-4], castagnoli) != binary.LittleEndian.Uint32(buf[blockSize-4:]) {
		return nil, t.damaged(errTable)
	}
	return buf[:n*recordSize], nil
}

func (t *table) parse(b []byte) (r record, err error) {
	copy(r.id[:], b)
	r.segment = binary.LittleEndian.Uint32(b[16:])
	r.offset = binary.LittleEndian.Uint32(b[20:])
	r.length = binary.LittleEndian.Uint32(b[24:])
	if int(r.segment) >= len(t.segments) {
		return r, t.damaged(errTable)
	}
	return r, nil
}

func (t *table) location(r record) Location {
	s := &t.segments[r.segment]
	p := &t.packs[s.pack]
	return Location{Pack: p.ID, PackSize: p.Size, Class: s.class, Offset: int64(s.offset), Box: int(s.box), Raw: int(s.raw),
		Start: int(r.offset), Length: int(r.length)}
}

// blocks are buffers that a file is read into, which is why they would be made
// anew for each lookup.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// lookup calls found for each record of the blob until it returns true.
func (t *table) lookup(id pack.ID, found func(Location) bool) error {
	return t.find(id, func(_ int, r record) bool { return found(t.location(r)) })
}

// find calls found for each record of the blob, with its number in the table,
// until it returns true.
func (t *table) find(id pack.ID, found func(n int, r record) bool) error {
	first := binary.BigEndian.Uint64(id[:])
	// The last block that begins below the id may hold it, as may those that
	// begin with the same octets.
	i := max(0, sort.Search(len(t.firsts), func(i int) bool { return t.firsts[i] >= first })-1)
	buf := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(buf)
	for ; i < len(t.firsts) && t.firsts[i] <= first; i++ {
		b, err := t.block(i, buf)
		if err != nil {
			return err
		}
		n := len(b) / recordSize
		j := sort.Search(n, func(j int) bool { return bytes.Compare(b[j*recordSize:][:16], id[:]) >= 0 })
		for ; j < n && pack.ID(b[j*recordSize:][:16]) == id; j++ {
			r, err := t.parse(b[j*recordSize:])
			if err != nil {
				return err
			}
			if found(i*perBlock+j, r) {
				return nil
			}
		}
	}
	return nil
}

// all goes through the records in order.
func (t *table) all() iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		var buf [blockSize]byte
		for i := range t.firsts {
			b, err := t.block(i, &buf)
			for ; err == nil && len(b) > 0; b = b[recordSize:] {
				var r record
				if r, err = t.parse(b); err == nil && !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(record{}, err)
				return
			}
		}
	}
}

// directories puts the directories of the wanted packs together.
func (t *table) directories(want map[ulid.ULID]bool) ([]Pack, error) {
	var packs []Pack
	packAt := map[uint32]int{} // number in the table → in packs
	for i, p := range t.packs {
		if want[p.ID] {
			packAt[uint32(i)] = len(packs)
			packs = append(packs, Pack{ID: p.ID, Size: p.Size})
		}
	}
	if len(packs) == 0 {
		return nil, nil
	}
	members := map[uint32][]record{} // of each segment
	for r, err := range t.all() {
		if err != nil {
			return nil, err
		}
		if _, ok := packAt[t.segments[r.segment].pack]; ok {
			members[r.segment] = append(members[r.segment], r)
		}
	}
	for i, s := range t.segments {
		at, ok := packAt[s.pack]
		if !ok {
			continue
		}
		seg := pack.Segment{Class: s.class, Offset: int64(s.offset), Box: int(s.box), Raw: int(s.raw)}
		list := members[uint32(i)]
		slices.SortFunc(list, func(a, b record) int { return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.length, b.length)) })
		for _, r := range list {
			seg.IDs = append(seg.IDs, r.id)
			seg.Lengths = append(seg.Lengths, r.length)
		}
		packs[at].Directory = append(packs[at].Directory, seg)
	}
	return packs, nil
}
