package index

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/oklog/ulid/v2"
)

// FuzzTable: a table in the cache, with sums that are right whatever stands there,
// as a program that is wrong would write it. It is refused, or gives records that
// all can be found, and marks have room for.
func FuzzTable(f *testing.F) {
	for _, blobs := range []int{1, 300} {
		dir := f.TempDir()
		s := OpenSet(dir)
		if err := s.Add(somePacks(rand.New(rand.NewPCG(1, 1)), 2, blobs), all); err != nil {
			f.Fatal(err)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "*"+tableSuffix))
		for _, name := range files {
			octets, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(octets)
			more := bytes.Clone(octets)
			more[len(more)-footerSize+8+3*8+4] = 1 // 2^32 records more
			f.Add(more)
		}
		s.Close()
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		rightSums(octets)
		table, err := readTable("", bytes.NewReader(octets), int64(len(octets)))
		if err != nil {
			return
		}
		if table.records*recordSize > len(octets) {
			t.Fatalf("%d records in %d octets", table.records, len(octets))
		}
		m := markedTable{table: table, needed: newBits(table.records)}
		n := 0
		for r, err := range table.all() {
			if err != nil {
				return
			}
			if err := table.find(r.id, func(i int, _ record) bool { m.needed.set(i); return false }); err != nil {
				return
			}
			table.location(r)
			n++
		}
		if n > table.records {
			t.Errorf("%d records, and %d are said", n, table.records)
		}
		table.directories(map[ulid.ULID]bool{{}: true})
	})
}

// rightSums puts the checksums of a table right.
func rightSums(b []byte) {
	if len(b) < footerSize {
		return
	}
	footer := b[len(b)-footerSize:]
	blocks := binary.LittleEndian.Uint64(footer[8:])
	if blocks > uint64(len(b)/blockSize) {
		return
	}
	for i := range int(blocks) {
		block := b[i*blockSize:][:blockSize]
		binary.LittleEndian.PutUint32(block[blockSize-4:], crc32.Checksum(block[:blockSize-4], castagnoli))
	}
	tail := b[int(blocks)*blockSize:]
	binary.LittleEndian.PutUint32(tail[len(tail)-4:], crc32.Checksum(tail[:len(tail)-4], castagnoli))
}
