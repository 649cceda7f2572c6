package storage

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// A page is a reference to a page blob.
type page struct {
	First, Last uint32 // UIDs
	Count       int    // messages
	ID          BlobID
}

// A pageList is the pages of a folder in ascending order, or, where there are
// many, lists of them, so that a change writes one short list and not all.
// FORMAT.md section 7.
type pageList struct {
	refs  []page
	lists bool // refs are to blobs with lists of pages
}

const (
	// inRecord is how many pages a folder record lists itself.
	inRecord = 8
	// perList is how many pages a list blob has, the last one but fewer.
	perList = 32
)

var errPageList = errors.New("list of pages is damaged")

func appendPages(b []byte, pages []page) []byte {
	last := uint32(0)
	for _, p := range pages {
		b = binary.AppendUvarint(b, uint64(p.First-last))
		b = binary.AppendUvarint(b, uint64(p.Last-p.First))
		b = binary.AppendUvarint(b, uint64(p.Count))
		b = append(b, p.ID[:]...)
		last = p.Last
	}
	return b
}

func parsePages(b []byte) ([]page, error) {
	c := &cursor{b: b}
	var pages []page
	last := uint64(0)
	for len(c.b) > 0 && !c.bad {
		first := last + c.uvarint(1<<32-1)
		last = first + c.uvarint(1<<32-1)
		p := page{First: uint32(first), Last: uint32(last), Count: int(c.uvarint(1 << 32))}
		copy(p.ID[:], c.take(len(p.ID)))
		if last >= 1<<32 || len(pages) > 0 && p.First <= pages[len(pages)-1].Last {
			c.bad = true
		}
		pages = append(pages, p)
	}
	if c.bad {
		return nil, errPageList
	}
	return pages, nil
}

// MarshalCBOR gives an octet string: whether the pages are lists, and they.
func (l pageList) MarshalCBOR() ([]byte, error) {
	return cbor.Marshal(appendPages([]byte{flag(l.lists)}, l.refs))
}

// UnmarshalCBOR reads what MarshalCBOR gave.
func (l *pageList) UnmarshalCBOR(b []byte) error {
	var octets []byte
	if err := decode.Unmarshal(b, &octets); err != nil {
		return err
	}
	if len(octets) == 0 || octets[0] > 1 {
		return errPageList
	}
	l.lists = octets[0] == 1
	var err error
	l.refs, err = parsePages(octets[1:])
	return err
}

// pages returns the pages themselves.
func (l pageList) pages(load func(BlobID) ([]byte, error)) ([]page, error) {
	if !l.lists {
		return l.refs, nil
	}
	var all []page
	for _, ref := range l.refs {
		b, err := load(ref.ID)
		if err != nil {
			return nil, err
		}
		part, err := parsePages(b)
		if err != nil || len(part) == 0 || part[0].First != ref.First || part[len(part)-1].Last != ref.Last {
			return nil, fmt.Errorf("blob %x: %w: %w", ref.ID, ErrDamaged, errPageList)
		}
		all = append(all, part...)
	}
	return all, nil
}

// listPages makes a pageList. Lists are cut by position, so those before a
// change stay the same blobs.
func listPages(pages []page, save func([]byte) (BlobID, error)) (pageList, error) {
	if len(pages) <= inRecord {
		return pageList{refs: pages}, nil
	}
	l := pageList{lists: true}
	for len(pages) > 0 {
		part := pages[:min(perList, len(pages))]
		id, err := save(appendPages(nil, part))
		if err != nil {
			return l, err
		}
		ref := page{First: part[0].First, Last: part[len(part)-1].Last, ID: id}
		for _, p := range part {
			ref.Count += p.Count
		}
		l.refs = append(l.refs, ref)
		pages = pages[len(part):]
	}
	return l, nil
}

// count is how many messages the pages hold.
func (l pageList) count() (n int64) {
	for _, p := range l.refs {
		n += int64(p.Count)
	}
	return n
}
