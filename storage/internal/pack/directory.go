// Package pack knows the octets of a pack: sealed segments of blobs and, at
// the end, a sealed directory of them. A [Builder] makes one; [ReadDirectory]
// finds the directory of one. FORMAT.md section 5 has the octets.
package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/oklog/ulid/v2"
)

// An ID is a blob's: a keyed hash of its domain and octets.
type ID = [16]byte

// A Class is a kind of blobs that are compressed together.
type Class uint8

const (
	Recipes Class = iota + 1
	Text
	Attachments
	Structure
)

func (c Class) String() string {
	switch c {
	case Recipes:
		return "recipes"
	case Text:
		return "text"
	case Attachments:
		return "attachments"
	case Structure:
		return "structure"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Valid says whether this program knows the class.
func (c Class) Valid() bool { return c >= Recipes && c <= Structure }

// A Segment is what a directory tells of one segment.
type Segment struct {
	Class  Class
	Offset int64 // of its box, from the start of the pack, in octets
	Box    int   // length of its box, in octets
	Raw    int   // length of its blobs together, in octets
	IDs    []ID
	// Lengths of the blobs, in octets, in the order in which they stand.
	Lengths []uint32
}

// A Directory lists the segments of a pack in their order.
type Directory []Segment

// Blobs counts the blobs.
func (d Directory) Blobs() int {
	n := 0
	for i := range d {
		n += len(d[i].IDs)
	}
	return n
}

// MostOctets is how many octets Append appends at most.
func (d Directory) MostOctets() int {
	n := binary.MaxVarintLen32
	for i := range d {
		n += d[i].mostOctets()
	}
	return n
}

// mostOctets is how many a segment takes in a directory at most: no blob is so
// large that its length takes more than four.
func (s *Segment) mostOctets() int {
	return 1 + 3*binary.MaxVarintLen32 + len(s.IDs)*(len(ID{})+4)
}

// Append appends the directory's octets to b.
func (d Directory) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(d)))
	for i := range d {
		s := &d[i]
		b = append(b, byte(s.Class))
		b = binary.AppendUvarint(b, uint64(s.Box))
		b = binary.AppendUvarint(b, uint64(s.Raw))
		b = binary.AppendUvarint(b, uint64(len(s.IDs)))
		for j := range s.IDs {
			b = append(b, s.IDs[j][:]...)
		}
		for _, n := range s.Lengths {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	return b
}

var errDirectory = errors.New("directory is damaged")

// ParseDirectory reads the directory of a pack of size octets.
func ParseDirectory(b []byte, size int64) (Directory, error) {
	number := func(limit uint64) (int, error) {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > limit {
			return 0, errDirectory
		}
		b = b[k:]
		return int(n), nil
	}
	segments, err := number(uint64(len(b)) / 4) // a segment takes four octets at least
	if err != nil {
		return nil, err
	}
	d := make(Directory, 0, segments)
	offset := int64(len(magic))
	for range segments {
		if len(b) == 0 {
			return nil, errDirectory
		}
		s := Segment{Class: Class(b[0]), Offset: offset}
		b = b[1:]
		if s.Box, err = number(uint64(size)); err != nil {
			return nil, err
		}
		if s.Raw, err = number(math.MaxInt32); err != nil {
			return nil, err
		}
		blobs, err := number(uint64(len(b)) / (16 + 1))
		if err != nil {
			return nil, err
		}
		if offset += int64(s.Box); offset > size {
			return nil, errDirectory
		}
		s.IDs = make([]ID, blobs)
		for i := range s.IDs {
			b = b[copy(s.IDs[i][:], b):]
		}
		s.Lengths = make([]uint32, blobs)
		sum := 0
		for i := range s.Lengths {
			n, err := number(uint64(s.Raw - sum))
			if err != nil {
				return nil, err
			}
			s.Lengths[i] = uint32(n)
			sum += n
		}
		if sum != s.Raw || !s.Class.Valid() {
			return nil, errDirectory
		}
		d = append(d, s)
	}
	if len(b) != 0 {
		return nil, errDirectory
	}
	return d, nil
}

// Info is what the ledger tells of a pack.
type Info struct {
	ID    ulid.ULID
	Size  int64 // octets, padding included
	Blobs int
}
