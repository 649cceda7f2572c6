// Package index finds blobs: [Set.Lookup] tells in which pack, segment and
// place a blob stands. It works on sorted tables in files, so that an index of
// many millions of blobs takes a few megabytes of memory. It also knows the
// octets of the index objects in the store ([Append], [Parse]; FORMAT.md
// section 6), which are gatherings of packs' directories.
package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
)

// A Pack is a pack with its directory.
type Pack struct {
	ID        ulid.ULID
	Size      int64 // octets
	Directory pack.Directory
}

var errObject = errors.New("index is damaged")

// Append appends an index object's data to b.
func Append(b []byte, packs []Pack) []byte {
	// An index may have a million blobs: it is made where it will stand.
	size, largest := binary.MaxVarintLen64, 0
	for _, p := range packs {
		d := p.Directory.MostOctets()
		size += len(p.ID) + 2*binary.MaxVarintLen64 + d
		largest = max(largest, d)
	}
	b = slices.Grow(b, size)
	d := make([]byte, 0, largest)
	b = binary.AppendUvarint(b, uint64(len(packs)))
	for _, p := range packs {
		d = p.Directory.Append(d[:0])
		b = append(b, p.ID[:]...)
		b = binary.AppendUvarint(b, uint64(p.Size))
		b = binary.AppendUvarint(b, uint64(len(d)))
		b = append(b, d...)
	}
	return b
}

// Parse reads an index object's data.
func Parse(b []byte) ([]Pack, error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b))/16 {
		return nil, errObject
	}
	b = b[k:]
	packs := make([]Pack, 0, n)
	for range n {
		var p Pack
		if len(b) < len(p.ID) {
			return nil, errObject
		}
		b = b[copy(p.ID[:], b):]
		size, k := binary.Uvarint(b)
		if k <= 0 || size > 1<<40 {
			return nil, errObject
		}
		p.Size, b = int64(size), b[k:]
		length, k := binary.Uvarint(b)
		if k <= 0 || length > uint64(len(b)-k) {
			return nil, errObject
		}
		b = b[k:]
		var err error
		if p.Directory, err = pack.ParseDirectory(b[:length], p.Size); err != nil {
			return nil, fmt.Errorf("pack %s: %w", p.ID, err)
		}
		b = b[length:]
		packs = append(packs, p)
	}
	if len(b) != 0 {
		return nil, errObject
	}
	return packs, nil
}
