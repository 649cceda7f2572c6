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
