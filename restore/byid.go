package restore

import "strconv"

// byID is a map from IDs of messages in a target. Most are UIDs, which take
// little room as numbers.
type byID[T any] struct {
	numbers map[uint32]T
	others  map[string]T
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
	v, ok = b.others[id]
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
		b.others = map[string]T{}
	}
	b.others[id] = v
}

func (b *byID[T]) remove(id string) {
	if n, is := number(id); is {
		delete(b.numbers, n)
		return
	}
	delete(b.others, id)
}

// A shortID stands for an ID: a number, or the number of another ID.
type shortID struct {
	n     uint32
	other bool
}

// shortIDs knows the IDs that are no numbers.
type shortIDs struct {
	others []string
	number map[string]uint32
}

func (s *shortIDs) short(id string) shortID {
	if n, is := number(id); is {
		return shortID{n, false}
	}
	n, ok := s.number[id]
	if !ok {
		if s.number == nil {
			s.number = map[string]uint32{}
		}
		n = uint32(len(s.others))
		s.number[id] = n
		s.others = append(s.others, id)
	}
	return shortID{n, true}
}

func (s *shortIDs) long(id shortID) string {
	if id.other {
		return s.others[id.n]
	}
	return strconv.FormatUint(uint64(id.n), 10)
}
