package imapconn

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"sort"
	"strconv"
)

// numbers is a set of message numbers or UIDs: ranges in ascending order that
// neither overlap nor touch.
type numbers []span

type span struct{ lo, hi uint32 }

func (s numbers) at(n uint32) int {
	return sort.Search(len(s), func(i int) bool { return s[i].hi >= n })
}

func (s numbers) has(n uint32) bool {
	i := s.at(n)
	return i < len(s) && s[i].lo <= n
}

// add puts n into the set and returns how many spans it had to move, which is
// none as long as numbers come in ascending order.
func (s *numbers) add(n uint32) (work int) {
	v := *s
	i := v.at(n)
	switch {
	case i < len(v) && v[i].lo <= n:
		return 0
	case i > 0 && v[i-1].hi+1 == n:
		v[i-1].hi = n
		if i < len(v) && v[i].lo == n+1 {
			v[i-1].hi = v[i].hi
			*s = slices.Delete(v, i, i+1)
			return len(v) - i
		}
	case i < len(v) && v[i].lo == n+1:
		v[i].lo = n
	default:
		*s = slices.Insert(v, i, span{n, n})
		return len(v) - i
	}
	return 0
}

// sorted brings spans in any order into the form that the type promises.
func (s numbers) sorted() numbers {
	inOrder := true
	for i := 1; i < len(s) && inOrder; i++ {
		inOrder = s[i-1].hi < s[i].lo && s[i-1].hi != s[i].lo-1
	}
	if inOrder {
		return s
	}
	slices.SortFunc(s, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi))
	})
	out := s[:1]
	for _, x := range s[1:] {
		last := &out[len(out)-1]
		if x.lo <= last.hi || x.lo-1 == last.hi {
			last.hi = max(last.hi, x.hi)
		} else {
			out = append(out, x)
		}
	}
	return out
}

func (s numbers) append(dst []byte) []byte {
	for i, x := range s {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(x.lo), 10)
		if x.hi != x.lo {
			dst = append(dst, ':')
			dst = strconv.AppendUint(dst, uint64(x.hi), 10)
		}
	}
	return dst
}

// mostRepeated is how many numbers or ranges are gathered before it is looked
// whether they are the same ones again and again.
const mostRepeated = 1 << 20

// parseNumbers reads a sequence-set (RFC 9051 section 9). "*" may stand at
// the end of a range only where a client writes the set, never in an answer.
func parseNumbers(b []byte, fromClient bool) (numbers, bool) {
	var s numbers
	for len(b) > 0 {
		var part []byte
		if part, b, _ = bytes.Cut(b, []byte(",")); len(part) == 0 {
			return nil, false
		}
		first, last, isRange := bytes.Cut(part, []byte(":"))
		if fromClient && string(part) == "*" {
			continue // go-imap holds that no number is in it
		}
		lo, ok := number(first, 32)
		if !ok || lo == 0 {
			return nil, false
		}
		hi := lo
		if isRange {
			if fromClient && string(last) == "*" {
				hi = math.MaxUint32
			} else if hi, ok = number(last, 32); !ok || hi == 0 {
				return nil, false
			}
		}
		x := span{uint32(min(lo, hi)), uint32(max(lo, hi))}
		if k := len(s) - 1; k >= 0 && s[k].lo <= x.lo && x.lo <= s[k].hi {
			s[k].hi = max(s[k].hi, x.hi) // it says the same again
			continue
		}
		if s = append(s, x); len(s)%mostRepeated == 0 {
			s = s.sorted()
		}
	}
	return s.sorted(), true
}

// found gathers the answers to a SEARCH command until its tagged answer, so
// that go-imap gets their numbers in ascending order, whatever the server's:
// it inserts them one by one, and numbers that descend cost it the square of
// their count.
type found struct {
	any      bool // an answer has come
	due      bool // the tagged answer has, too
	numbers  []uint32
	sorted   bool
	octets   int
	distinct int // numbers, when that was last looked at
	modseq   uint64
}

// add adds a number, unless it is the last one again. Of others that come
// again and again no more than half is kept, for long.
func (r *found) add(n uint32) {
	k := len(r.numbers)
	if k > 0 && r.numbers[k-1] == n {
		return
	}
	if r.numbers = append(r.numbers, n); len(r.numbers) >= max(mostRepeated, 2*r.distinct) {
		slices.Sort(r.numbers)
		r.numbers = slices.Compact(r.numbers)
		r.distinct = len(r.numbers)
	}
}

// search takes the arguments of "* SEARCH" (RFC 3501 section 7.2.5) with the
// MODSEQ that RFC 7162 section 3.1.5 may add. What cannot be understood is an
// error, never an omission: the numbers say which messages exist.
func (f *filter) search(s *scan) error {
	if f.pend.one("SEARCH") == nil {
		return s.rest()
	}
	f.found.any = true
	if f.found.octets += len(s.b); f.found.octets > f.limit.numbers {
		return broken("a list of numbers of more than %d octets", f.limit.numbers)
	}
	for s.spaces(); !s.end(); s.spaces() {
		if s.special('(') {
			s.spaces()
			name := s.word()
			s.spaces()
			modseq, ok := s.number(64)
			s.spaces()
			if !is(name, "MODSEQ") || !ok || !s.special(')') {
				return broken("a SEARCH answer with %q", clip(s.b))
			}
			f.found.modseq = modseq
			continue
		}
		n, ok := s.number(32)
		if !ok || n == 0 {
			return broken("a SEARCH answer with %q", clip(s.b[max(0, s.i-20):]))
		}
		f.found.add(uint32(n))
	}
	return nil
}

// showFound hands go-imap a batch of what was gathered.
func (f *filter) showFound() {
	const batch = 4000
	r := &f.found
	if !r.sorted {
		slices.Sort(r.numbers)
		r.numbers = slices.Compact(r.numbers)
		r.sorted = true
	}
	f.buf = append(f.buf, "* SEARCH"...)
	n := min(batch, len(r.numbers))
	for _, x := range r.numbers[:n] {
		f.buf = append(f.buf, ' ')
		f.buf = strconv.AppendUint(f.buf, uint64(x), 10)
	}
	if r.numbers = r.numbers[n:]; len(r.numbers) == 0 {
		if r.modseq != 0 {
			f.buf = append(f.buf, " (MODSEQ "...)
			f.buf = strconv.AppendUint(f.buf, r.modseq, 10)
			f.buf = append(f.buf, ')')
		}
		*r = found{}
	}
	f.buf = append(f.buf, "\r\n"...)
	f.show()
}

// esearch takes the arguments of "* ESEARCH" (RFC 9051 section 7.3.4).
func (f *filter) esearch(s *scan) error {
	cmd := f.pend.one("SEARCH")
	if cmd == nil {
		return s.rest()
	}
	bad := func() error { return broken("an ESEARCH answer with %q", clip(s.b[max(0, s.i-20):])) }
	tag := []byte(cmd.tag) // go-imap cannot do without one
	s.spaces()
	if s.special('(') {
		s.spaces()
		if !is(s.word(), "TAG") {
			return bad()
		}
		s.spaces()
		var err error
		if tag, _, err = s.text(); err != nil {
			return err
		}
		if s.spaces(); !isAtom(tag) || !s.special(')') {
			return bad()
		}
	}
	f.buf = append(append(append(f.buf, `* ESEARCH (TAG "`...), tag...), `")`...)
	first := true
	for s.spaces(); !s.end(); s.spaces() {
		name := bytes.ToUpper(s.word())
		if first && string(name) == "UID" {
			f.buf = append(f.buf, " UID"...)
			first = false
			continue
		}
		first = false
		bits := 32
		s.spaces()
		switch string(name) {
		case "MODSEQ":
			bits = 64
			fallthrough
		case "MIN", "MAX", "COUNT":
			n, ok := s.number(bits)
			if !ok {
				return bad()
			}
			f.buf = append(append(append(f.buf, ' '), name...), ' ')
			f.buf = strconv.AppendUint(f.buf, n, 10)
		case "ALL":
			set, ok := parseNumbers(s.word(), false)
			if !ok || len(set) == 0 {
				return bad()
			}
			f.buf = set.append(append(f.buf, " ALL "...))
		default:
			if len(name) == 0 {
				return bad()
			}
			if _, err := s.raw(nil); err != nil {
				return err
			}
		}
	}
	f.buf = append(f.buf, "\r\n"...)
	f.show()
	return nil
}

// clip shortens what an error quotes.
func clip(b []byte) []byte { return b[:min(len(b), 60)] }
