package restore

import (
	"encoding/binary"
	"time"

	"restante/storage"
)

// An item is what is kept of a message that is to be restored, 48 octets:
// there may be a million of them.
type item struct {
	recipe    storage.BlobID
	size      int64
	at        int64 // internal date, seconds since 1970
	uid       uint32
	messageID [4]byte
	zone      int32 // of the internal date, seconds east of UTC; noDate: there is none
	flags     uint32
}

const noDate = -1 << 31

// items are the messages of one folder.
type items struct {
	list []item
	// Sets of flags: most messages have one of a few.
	sets   [][]string
	number map[string]uint32
}

func (s *items) add(m *storage.Message) {
	it := item{recipe: m.Recipe, size: m.Size, uid: m.UID, messageID: m.MessageID, zone: noDate, flags: s.setOf(m.Flags)}
	if !m.InternalDate.IsZero() {
		it.at = m.InternalDate.Unix()
		_, zone := m.InternalDate.Zone()
		it.zone = int32(zone)
	}
	s.list = append(s.list, it)
}

// known tells of each message what tells it from others.
func (s *items) known(yield func(Known) bool) {
	for i := range s.list {
		if !yield(Known{s.list[i].recipe, s.list[i].messageID}) {
			return
		}
	}
}

func (s *items) setOf(flags []string) uint32 {
	var key []byte
	for _, f := range flags {
		key = append(binary.AppendUvarint(key, uint64(len(f))), f...)
	}
	n, ok := s.number[string(key)]
	if !ok {
		if s.number == nil {
			s.number = map[string]uint32{}
		}
		n = uint32(len(s.sets))
		s.number[string(key)] = n
		s.sets = append(s.sets, flags)
	}
	return n
}

// internalDate is zero where there is none.
func (it *item) internalDate() time.Time {
	if it.zone == noDate {
		return time.Time{}
	}
	return time.Unix(it.at, 0).In(time.FixedZone("", int(it.zone)))
}

// A set is a set of numbers of items.
type set []uint64

func newSet(list []uint32) set {
	var s set
	for _, i := range list {
		s.put(i, true)
	}
	return s
}

func (s set) has(i uint32) bool {
	return int(i/64) < len(s) && s[i/64]&(1<<(i%64)) != 0
}

func (s *set) put(i uint32, in bool) {
	for int(i/64) >= len(*s) {
		*s = append(*s, 0)
	}
	if in {
		(*s)[i/64] |= 1 << (i % 64)
	} else {
		(*s)[i/64] &^= 1 << (i % 64)
	}
}
