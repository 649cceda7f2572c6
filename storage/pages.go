package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
	"time"
)

// A Message is a message at its place in a folder of a snapshot.
type Message struct {
	UID uint32
	// InternalDate is when the server received the message (RFC 9051 section
	// 2.3.3), to the second, with the zone it said; zero if it said nothing.
	InternalDate time.Time
	Size         int64 // octets
	// Date is what the Date header says, to the second, in UTC; zero if nothing
	// readable. It may be any instant at all.
	Date              time.Time
	From, To, Subject string // decoded, shortened
	// Key is what the source knows the message by, where that is no UID, or, at
	// Gmail, beside it: there it is the same in all folders.
	Key string
	// MessageID is the first octets of the SHA-256 of the Message-ID's value,
	// zero if there is none: good for finding candidates, no identity.
	MessageID [4]byte
	Recipe    BlobID
	Flags     []string // flags and keywords, without \Recent
}

// pageVersion is the first octet of a page.
const pageVersion = 1

var errPage = errors.New("page is damaged")

const noZone = 1441 // minutes; no zone is a day away

// appendMessagePage appends the octets of a page. FORMAT.md section 7.
func appendMessagePage(b []byte, list []Message) []byte {
	b = append(b, pageVersion)
	b = binary.AppendUvarint(b, uint64(len(list)))
	last := uint32(0)
	for i := range list {
		b = binary.AppendUvarint(b, uint64(list[i].UID-last))
		last = list[i].UID
	}
	before := int64(0)
	for i := range list {
		at := seconds(list[i].InternalDate)
		b = binary.AppendVarint(b, at-before)
		before = at
	}
	for i := range list {
		zone := noZone
		if !list[i].InternalDate.IsZero() {
			_, offset := list[i].InternalDate.Zone()
			zone = offset / 60
		}
		b = binary.AppendVarint(b, int64(zone))
	}
	for i := range list {
		b = binary.AppendUvarint(b, uint64(list[i].Size))
	}
	for i := range list {
		at := int64(0)
		if !list[i].Date.IsZero() {
			at = list[i].Date.Unix() - seconds(list[i].InternalDate)
		}
		b = binary.AppendVarint(b, at)
	}
	for i := range list {
		b = append(b, flag(!list[i].Date.IsZero()))
	}
	for _, column := range textColumns {
		for i := range list {
			text := *column(&list[i])
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
	}
	for i := range list {
		b = append(b, list[i].MessageID[:]...)
	}
	for i := range list {
		b = append(b, list[i].Recipe[:]...)
	}
	return b
}

var textColumns = [...]func(*Message) *string{
	func(m *Message) *string { return &m.From },
	func(m *Message) *string { return &m.To },
	func(m *Message) *string { return &m.Subject },
	func(m *Message) *string { return &m.Key },
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// A cursor reads numbers and texts; the first thing that does not fit makes
// it bad for good.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uvarint(limit uint64) uint64 {
	n, k := binary.Uvarint(c.b)
	if k <= 0 || n > limit {
		c.bad = true
		return 0
	}
	c.b = c.b[k:]
	return n
}

func (c *cursor) varint() int64 {
	n, k := binary.Varint(c.b)
	if k <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[k:]
	return n
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) || c.bad {
		c.bad = true
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) text() string { return string(c.take(int(c.uvarint(uint64(len(c.b)))))) }

// What a message takes in a page at least, in octets: one for each number, its
// length for each text, and what is always as long.
const (
	leastMessage = 6 + len(textColumns) + len(Message{}.MessageID) + len(BlobID{})
	leastFlags   = 2
)

// head reads what both kinds of page begin with: version, count and UIDs. Least
// is what a message takes at least, so that memory is made for what can be there.
func (c *cursor) head(least int) []uint32 {
	if v := c.take(1); v == nil || v[0] != pageVersion {
		c.bad = true
		return nil
	}
	uids := make([]uint32, c.uvarint(uint64(len(c.b)/least)))
	last := uint64(0)
	for i := range uids {
		last += c.uvarint(1<<32 - 1)
		if last >= 1<<32 {
			c.bad = true
		}
		uids[i] = uint32(last)
	}
	return uids
}

func parseMessagePage(b []byte) ([]Message, error) {
	c := &cursor{b: b}
	uids := c.head(leastMessage)
	list := make([]Message, len(uids))
	if c.bad {
		return nil, errPage
	}
	internal := make([]int64, len(list))
	before := int64(0)
	for i := range list {
		list[i].UID = uids[i]
		before += c.varint()
		internal[i] = before
	}
	for i := range list {
		zone := c.varint()
		if zone < -noZone || zone > noZone {
			return nil, errPage
		}
		if zone != noZone {
			list[i].InternalDate = time.Unix(internal[i], 0).In(time.FixedZone("", int(zone)*60))
		}
	}
	for i := range list {
		list[i].Size = int64(c.uvarint(1 << 62))
	}
	dates := make([]int64, len(list))
	for i := range list {
		dates[i] = internal[i] + c.varint()
	}
	for i := range list {
		if has := c.take(1); has != nil && has[0] == 1 {
			list[i].Date = time.Unix(dates[i], 0).UTC()
		}
	}
	for _, column := range textColumns {
		for i := range list {
			*column(&list[i]) = c.text()
		}
	}
	for i := range list {
		copy(list[i].MessageID[:], c.take(len(list[i].MessageID)))
	}
	for i := range list {
		copy(list[i].Recipe[:], c.take(len(list[i].Recipe)))
	}
	if c.bad || len(c.b) != 0 {
		return nil, errPage
	}
	return list, nil
}

// A flagItem is a message's flags: the number of a set of names.
type flagItem struct {
	uid uint32
	set uint32
}

// flagSets numbers sets of flags, so that a million messages with the same
// few sets take eight octets each. Not safe for concurrent use.
type flagSets struct {
	sets  [][]string
	byKey map[string]uint32 // by the numbers of the names
	names map[string]uint32
}

// number finds or adds a set. Names are kept in the order given.
func (f *flagSets) number(names []string) uint32 {
	if f.byKey == nil {
		f.byKey, f.names = map[string]uint32{}, map[string]uint32{}
	}
	var room [32]byte // enough for most
	key := room[:0]
	for _, n := range names {
		number, known := f.names[n]
		if !known {
			number = uint32(len(f.names))
			f.names[n] = number
		}
		key = binary.AppendUvarint(key, uint64(number))
	}
	if i, ok := f.byKey[string(key)]; ok {
		return i
	}
	i := uint32(len(f.sets))
	f.byKey[string(key)] = i
	f.sets = append(f.sets, append([]string(nil), names...))
	return i
}

// inMask is how many names of a page fit into its bit masks.
const inMask = 64

// appendFlagPage appends the octets of a page. FORMAT.md section 7.
func appendFlagPage(b []byte, list []flagItem, sets *flagSets) []byte {
	b = append(b, pageVersion)
	b = binary.AppendUvarint(b, uint64(len(list)))
	last := uint32(0)
	var names []string
	position := map[string]int{}
	for _, item := range list {
		b = binary.AppendUvarint(b, uint64(item.uid-last))
		last = item.uid
		for _, n := range sets.sets[item.set] {
			if _, ok := position[n]; !ok {
				position[n] = len(names)
				names = append(names, n)
			}
		}
	}
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, n := range names {
		b = binary.AppendUvarint(b, uint64(len(n)))
		b = append(b, n...)
	}
	var rare []byte
	rareCount := uint64(0)
	for i, item := range list {
		mask := uint64(0)
		var more []int
		for _, n := range sets.sets[item.set] {
			if p := position[n]; p < inMask {
				mask |= 1 << p
			} else {
				more = append(more, p)
			}
		}
		b = binary.AppendUvarint(b, mask)
		if more != nil {
			rareCount++
			rare = binary.AppendUvarint(rare, uint64(i))
			rare = binary.AppendUvarint(rare, uint64(len(more)))
			for _, p := range more {
				rare = binary.AppendUvarint(rare, uint64(p))
			}
		}
	}
	b = binary.AppendUvarint(b, rareCount)
	return append(b, rare...)
}

func parseFlagPage(b []byte, sets *flagSets) ([]flagItem, error) {
	c := &cursor{b: b}
	uids := c.head(leastFlags)
	list := make([]flagItem, len(uids))
	names := make([]string, c.uvarint(uint64(len(c.b))))
	for i := range names {
		names[i] = c.text()
	}
	if c.bad {
		return nil, errPage
	}
	masks := make([]uint64, len(list))
	for i := range masks {
		masks[i] = c.uvarint(1<<64 - 1)
		if bits.Len64(masks[i]) > len(names) {
			return nil, errPage
		}
	}
	more := map[int][]string{}
	for range c.uvarint(uint64(len(list))) {
		i := int(c.uvarint(uint64(max(0, len(list)-1))))
		for range c.uvarint(uint64(len(names))) {
			p := c.uvarint(uint64(max(0, len(names)-1)))
			if c.bad {
				return nil, errPage
			}
			more[i] = append(more[i], names[p])
		}
	}
	if c.bad || len(c.b) != 0 {
		return nil, errPage
	}
	// Most messages of a page share a few masks.
	byMask := map[uint64]uint32{}
	var set []string
	for i := range list {
		list[i].uid = uids[i]
		number, known := byMask[masks[i]]
		if extra := more[i]; extra != nil || !known {
			set = set[:0]
			for m := masks[i]; m != 0; m &= m - 1 {
				set = append(set, names[bits.TrailingZeros64(m)])
			}
			number = sets.number(append(set, extra...))
			if extra == nil {
				byMask[masks[i]] = number
			}
		}
		list[i].set = number
	}
	return list, nil
}

// HashMessageID is what a page keeps of a Message-ID's value; zero for none.
func HashMessageID(value string) (h [4]byte) {
	if value != "" {
		sum := sha256.Sum256([]byte(value))
		copy(h[:], sum[:])
	}
	return h
}
