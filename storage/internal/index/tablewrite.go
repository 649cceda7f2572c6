package index

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	mathbits "math/bits"
	"os"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"
)

// How tables are made: of packs, and of other tables.

// tableOctets is how long a table is.
func tableOctets(packs, segments, records int) int {
	blocks := (records + perBlock - 1) / perBlock
	return blocks*(blockSize+8) + packs*packSize + segments*segmentSize + footerSize
}

// newTable makes a table of at most so many octets: in a file, or in memory
// where there is no directory.
func newTable(dir string, octets int, write func(io.Writer) error) (*table, error) {
	if dir == "" {
		return memoryTable(octets, write)
	}
	return fileTable(dir, octets, write)
}

func memoryTable(octets int, write func(io.Writer) error) (*table, error) {
	var b bytes.Buffer
	b.Grow(octets)
	if err := write(&b); err != nil {
		return nil, err
	}
	return readTable("", bytes.NewReader(b.Bytes()), int64(b.Len()))
}

// fileTable writes a table into a file and opens it.
func fileTable(dir string, octets int, write func(io.Writer) error) (_ *table, err error) {
	// The cache may be deleted at any time, under our feet, too.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, min(octets, 1<<20)) // most tables are small
	if err := errors.Join(write(w), w.Flush()); err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, rand.Text()+tableSuffix)
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	return openTable(path)
}

// writeTable writes a table of what the records refer to in packs and
// segments. Records come sorted by id. Its errors are those of the records; w
// is to keep its own.
func writeTable(w io.Writer, packs []Pack, segments []segmentRef, records iter.Seq2[record, error]) error {
	var block [blockSize]byte
	var firsts []byte
	inBlock, total := 0, 0
	flush := func() {
		clear(block[inBlock*recordSize : blockSize-6])
		binary.LittleEndian.PutUint16(block[blockSize-6:], uint16(inBlock))
		binary.LittleEndian.PutUint32(block[blockSize-4:], crc32.Checksum(block[:blockSize-4], castagnoli))
		w.Write(block[:])
		firsts = append(firsts, block[:8]...)
		inBlock = 0
	}
	for r, err := range records {
		if err != nil {
			return err
		}
		b := block[inBlock*recordSize:]
		copy(b, r.id[:])
		binary.LittleEndian.PutUint32(b[16:], r.segment)
		binary.LittleEndian.PutUint32(b[20:], r.offset)
		binary.LittleEndian.PutUint32(b[24:], r.length)
		total++
		if inBlock++; inBlock == perBlock {
			flush()
		}
	}
	if inBlock > 0 {
		flush()
	}
	tail := firsts
	for _, p := range packs {
		tail = append(tail, p.ID[:]...)
		tail = binary.LittleEndian.AppendUint64(tail, uint64(p.Size))
	}
	for _, s := range segments {
		tail = binary.LittleEndian.AppendUint32(tail, s.pack)
		tail = append(tail, byte(s.class))
		tail = binary.LittleEndian.AppendUint32(tail, s.offset)
		tail = binary.LittleEndian.AppendUint32(tail, s.box)
		tail = binary.LittleEndian.AppendUint32(tail, s.raw)
	}
	blocks := len(firsts) / 8
	tail = append(tail, tableMagic...)
	for _, n := range []int{blocks, len(packs), len(segments), total} {
		tail = binary.LittleEndian.AppendUint64(tail, uint64(n))
	}
	tail = binary.LittleEndian.AppendUint32(tail, crc32.Checksum(tail, castagnoli))
	w.Write(tail)
	return nil
}

// tableOf makes a table of packs with their directories: in a file, or where
// that cannot be had (the disk is full, the cache was deleted or is not ours)
// in memory.
func tableOf(dir string, packs []Pack) (*table, error) {
	segments, records := sortedRecords(packs)
	write := func(w io.Writer) error {
		return writeTable(w, packs, segments, func(yield func(record, error) bool) {
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
		})
	}
	octets := tableOctets(len(packs), len(segments), len(records))
	if t, err := newTable(dir, octets, write); err == nil || dir == "" {
		return t, err
	}
	return memoryTable(octets, write)
}

// sortedRecords gives what the directories of packs say of each blob, sorted as
// compareRecords does. That takes a quarter of the time that sorting them all
// at once takes: ids are spread evenly, so that each record can be put near its
// place at once.
func sortedRecords(packs []Pack) ([]segmentRef, []record) {
	ofSegments, ofRecords := 0, 0
	for _, p := range packs {
		ofSegments += len(p.Directory)
		ofRecords += p.Directory.Blobs()
	}
	// Some 16 records begin with the same bits.
	shift := 64 - min(max(mathbits.Len(uint(ofRecords))-4, 0), 16)
	next := make([]int, 1<<(64-shift)+1) // place of the next record that begins with these bits
	for _, p := range packs {
		for _, s := range p.Directory {
			for i := range s.IDs {
				next[binary.BigEndian.Uint64(s.IDs[i][:])>>shift+1]++
			}
		}
	}
	for i := range len(next) - 1 {
		next[i+1] += next[i]
	}
	// An index has up to a million blobs: a slice that grows to that size
	// leaves four times as much behind.
	segments := make([]segmentRef, 0, ofSegments)
	records := make([]record, ofRecords)
	for i, p := range packs {
		for _, s := range p.Directory {
			at := uint32(0)
			for j, id := range s.IDs {
				place := &next[binary.BigEndian.Uint64(id[:])>>shift]
				records[*place] = record{id: id, segment: uint32(len(segments)), offset: at, length: s.Lengths[j]}
				*place++
				at += s.Lengths[j]
			}
			segments = append(segments, segmentRef{pack: uint32(i), class: s.Class, offset: uint32(s.Offset), box: uint32(s.Box), raw: uint32(s.Raw)})
		}
	}
	from := 0
	for _, to := range next[:len(next)-1] { // by now the end of those
		slices.SortFunc(records[from:to], compareRecords)
		from = to
	}
	return segments, records
}

// compareRecords orders records by id, and those of one id by where they stand.
func compareRecords(a, b record) int {
	x, y := binary.BigEndian.Uint64(a.id[:]), binary.BigEndian.Uint64(b.id[:])
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return cmp.Or(bytes.Compare(a.id[8:], b.id[8:]), cmp.Compare(a.segment, b.segment), cmp.Compare(a.offset, b.offset))
}

// mergeTables writes one table of what several hold, without the packs that
// keep refuses.
func mergeTables(dir string, tables []*table, keep func(ulid.ULID) bool) (*table, error) {
	var packs []Pack
	var segments []segmentRef
	packAt := map[ulid.ULID]uint32{}
	const dropped = ^uint32(0)
	renumber := make([][]uint32, len(tables)) // table, its segment → segment in the new one
	records := 0
	for i, t := range tables {
		records += t.records
		numbers := make([]uint32, len(t.packs))
		for j, p := range t.packs {
			if _, double := packAt[p.ID]; double || !keep(p.ID) {
				numbers[j] = dropped
				continue
			}
			numbers[j] = uint32(len(packs))
			packAt[p.ID] = numbers[j]
			packs = append(packs, p)
		}
		renumber[i] = make([]uint32, len(t.segments))
		for j, s := range t.segments {
			if s.pack = numbers[s.pack]; s.pack == dropped {
				renumber[i][j] = dropped
				continue
			}
			renumber[i][j] = uint32(len(segments))
			segments = append(segments, s)
		}
	}
	return newTable(dir, tableOctets(len(packs), len(segments), records), func(w io.Writer) error {
		return writeTable(w, packs, segments, mergeRecords(tables, renumber, dropped))
	})
}

// mergeRecords goes through the records of all tables in order. Renumber gives
// a table's segments their new numbers, or dropped.
func mergeRecords(tables []*table, renumber [][]uint32, dropped uint32) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		type head struct {
			record
			from int
			next func() (record, error, bool)
		}
		var heads []*head
		advance := func(h *head) (more bool, err error) {
			for {
				r, err, ok := h.next()
				if err != nil || !ok {
					return false, err
				}
				if r.segment = renumber[h.from][r.segment]; r.segment != dropped {
					h.record = r
					return true, nil
				}
			}
		}
		for i, t := range tables {
			next, stop := iter.Pull2(t.all())
			defer stop()
			h := &head{from: i, next: next}
			more, err := advance(h)
			if err != nil {
				yield(record{}, err)
				return
			}
			if more {
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			least := 0
			for i, h := range heads[1:] {
				if bytes.Compare(h.id[:], heads[least].id[:]) < 0 {
					least = i + 1
				}
			}
			h := heads[least]
			if !yield(h.record, nil) {
				return
			}
			more, err := advance(h)
			if err != nil {
				yield(record{}, err)
				return
			}
			if !more {
				heads = slices.Delete(heads, least, least+1)
			}
		}
	}
}
