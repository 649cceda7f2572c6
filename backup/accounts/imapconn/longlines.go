package imapconn

import (
	"bufio"
	"bytes"
	"slices"
)

// Lines that list the messages of a mailbox and are longer than lines may be.
// They are read piece by piece, so that they take as much memory as what they
// tell, which may be the same a million times.

// longAnswer deals with a line that begins so.
func (f *filter) longAnswer(begin []byte) error {
	l := &longLine{f: f, octets: len(begin)}
	switch {
	case begins(begin, "* SEARCH "):
		return f.longSearch(l, bytes.Clone(begin))
	case begins(begin, "* ESEARCH "):
		return f.longESearch(l, bytes.Clone(begin))
	}
	for { // it tells nothing that is made use of
		if _, last, err := l.more(nil); last || err != nil {
			return err
		}
	}
}

// A longLine is the rest of one.
type longLine struct {
	f      *filter
	octets int // so far
}

// more appends the next piece of the line to held, without the line's end.
func (l *longLine) more(held []byte) (_ []byte, last bool, err error) {
	part, err := l.f.in.br.ReadSlice('\n')
	if l.octets += len(part); l.octets > l.f.limit.numbers {
		return nil, false, broken("a list of numbers of more than %d octets", l.f.limit.numbers)
	}
	if err != nil && err != bufio.ErrBufferFull {
		return nil, false, err
	}
	held = append(held, part...)
	if last = err == nil; last { // the CR may have come with the last piece
		held = bytes.TrimSuffix(held[:len(held)-1], []byte("\r"))
	}
	return held, last, nil
}

// longSearch takes one SEARCH answer for several.
func (f *filter) longSearch(l *longLine, held []byte) error {
	const search = "* SEARCH"
	for last := false; ; {
		end := len(held)
		if !last {
			end = bytes.LastIndexByte(held, ' ')
			if open := bytes.IndexByte(held, '('); open > 0 { // of the MODSEQ at the end
				end = bytes.LastIndexByte(held[:open], ' ')
			}
			if end <= len(search) && len(held) > f.limit.line {
				return broken("a SEARCH answer with %q", clip(held))
			}
		}
		if err := f.answer(held[:end]); err != nil || last {
			return err
		}
		held = append([]byte(search), held[end:]...)
		var err error
		if held, last, err = l.more(held); err != nil {
			return err
		}
	}
}

// longESearch brings the set of an ESEARCH answer into its shortest form.
func (f *filter) longESearch(l *longLine, held []byte) error {
	head, held, ok := bytes.Cut(held, []byte(" ALL "))
	if !ok {
		return broken("an ESEARCH answer with %q", clip(head))
	}
	var set numbers
	distinct, inSet, last := 0, true, false
	for {
		end := bytes.IndexByte(held, ' ')
		switch {
		case end >= 0, last:
			if inSet = false; end < 0 {
				end = len(held)
			}
		default:
			end = max(0, bytes.LastIndexByte(held, ','))
		}
		part, ok := parseNumbers(held[:end], false)
		if !ok {
			return broken("an ESEARCH answer with %q", clip(held))
		}
		if set = append(set, part...); len(set) >= max(mostRepeated, 2*distinct) {
			set = set.sorted()
			distinct = len(set)
		}
		if held = held[end:]; !inSet {
			break
		}
		var err error
		if held, last, err = l.more(bytes.TrimPrefix(held, []byte(","))); err != nil {
			return err
		}
		if len(held) > 2*f.limit.line {
			return broken("an ESEARCH answer with %q", clip(held))
		}
	}
	for !last { // what stands behind the set
		var err error
		if held, last, err = l.more(held); err != nil {
			return err
		}
		if len(held) > f.limit.line {
			return broken("an ESEARCH answer with %q", clip(held))
		}
	}
	return f.answer(slices.Concat(set.sorted().append(append(head, " ALL "...)), held))
}
