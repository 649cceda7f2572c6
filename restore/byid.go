package restore

import (
	"crypto/sha256"
	"strconv"
)

// byID is a map from IDs of messages in a target. Most are UIDs, which take
// little room as numbers. Others are names of files and the like, of which a
// hash takes less.
type byID[T any] struct {
	numbers map[uint32]T
	others  map[idHash]T
}

// An idHash is so long that nobody finds two IDs that have the same one.
type idHash [16]byte

func hashOfID(id string) idHash {
	sum := sha256.Sum256([]byte(id))
	return idHash(sum[:16])
}

// number is an ID as a number, where that gives the ID back.
func number(id string) (uint32, bool) {
	if len(id) == 0 || len(id) > 10 || id[0] == '0' || id[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), err == nil
}

func (b *byID[T]) get(id string) (v T, ok bool) {
	if n, is := number(id); is {
		v, ok = b.numbers[n]
		return v, ok
	}
	v, ok = b.others[hashOfID(id)]
	return v, ok
}

func (b *byID[T]) put(id string, v T) {
	if n, is := number(id); is {
		if b.numbers == nil {
			b.numbers = map[uint32]T{}
		}
		b.numbers[n] = v
		return
	}
	if b.others == nil {
		b.others = map[idHash]T{}
	}
	b.others[hashOfID(id)] = v
}

func (b *byID[T]) remove(id string) {
	if n, is := number(id); is {
		delete(b.numbers, n)
		return
	}
	delete(b.others, hashOfID(id))
}

// A shortID stands for an ID: a number, or the number of another ID.
type shortID struct {
	n     uint32
	other bool
}

// shortIDs knows the IDs that are no numbers, each of which it is asked for
// once.
type shortIDs struct{ others []string }

func (s *shortIDs) short(id string) shortID {
	if n, is := number(id); is {
		return shortID{n, false}
	}
	s.others = append(s.others, id)
	return shortID{uint32(len(s.others) - 1), true}
}

func (s *shortIDs) long(id shortID) string {
	if id.other {
		return s.others[id.n]
	}
	return strconv.FormatUint(uint64(id.n), 10)
}
