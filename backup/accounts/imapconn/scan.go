package imapconn

import (
	"bytes"
	"strconv"
)

// scan reads the elements of a response (RFC 9051 section 9) from a line and,
// across literals, from the lines after it. Slices it returns are good until
// it reads on past a literal.
type scan struct {
	in *input
	b  []byte // the line
	i  int    // where in it
}

func (s *scan) end() bool { return s.i >= len(s.b) }

// peek returns the next octet, 0 at the end of the line.
func (s *scan) peek() byte {
	if s.end() {
		return 0
	}
	return s.b[s.i]
}

// spaces skips spaces, which servers put where none or one belongs.
func (s *scan) spaces() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.i++
	}
}

// special skips c where it comes next.
func (s *scan) special(c byte) bool {
	if s.peek() != c || s.end() {
		return false
	}
	s.i++
	return true
}

// word returns the octets up to a space, a parenthesis or the end: an atom or
// what a server takes for one.
func (s *scan) word() []byte {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] != ' ' && s.b[s.i] != '(' && s.b[s.i] != ')' {
		s.i++
	}
	return s.b[start:s.i]
}

// number reads a decimal number that fits into bits.
func (s *scan) number(bits int) (uint64, bool) { return number(s.word(), bits) }

func number(b []byte, bits int) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b), 10, bits)
	return n, err == nil
}

// literal reads the header of a literal, which ends the line: {n}, {n+}, ~{n}
// (RFC 3516) or ~{n+}.
func (s *scan) literal() (n int64, ok bool) {
	b := bytes.TrimPrefix(s.b[min(s.i, len(s.b)):], []byte("~"))
	if len(b) < 3 || b[0] != '{' || b[len(b)-1] != '}' {
		return 0, false
	}
	u, ok := number(bytes.TrimSuffix(b[1:len(b)-1], []byte("+")), 63)
	if ok {
		s.i = len(s.b)
	}
	return int64(u), ok
}

// next goes on in the line after a literal.
func (s *scan) next() error {
	b, err := s.in.line()
	s.b, s.i = b, 0
	return err
}

// quoted reads a quoted string and returns what it stands for.
func (s *scan) quoted() ([]byte, bool) {
	if s.peek() != '"' {
		return nil, false
	}
	start := s.i + 1
	var out []byte // only where something is escaped
	for i := start; i < len(s.b); i++ {
		switch s.b[i] {
		case '"':
			s.i = i + 1
			if out == nil {
				return s.b[start:i], true
			}
			return append(out, s.b[start:i]...), true
		case '\\':
			out = append(out, s.b[start:i]...)
			i++
			start = i
		}
	}
	return nil, false
}

// text reads a string in any form, or a word, and returns what it stands for.
// plain says that it was a word, so that NIL can be told from "NIL".
func (s *scan) text() (b []byte, plain bool, err error) {
	switch s.peek() {
	case '"':
		b, ok := s.quoted()
		if !ok {
			return nil, false, broken("a quoted string without end")
		}
		return b, false, nil
	case '{', '~':
		if n, ok := s.literal(); ok {
			if b, err = s.in.inline(nil, n); err != nil {
				return nil, false, err
			}
			return b, false, s.next()
		}
	}
	return s.word(), true, nil
}

// raw appends the next value to dst as it stands, literals and all, however
// deep its lists are. It does not recurse: a server chooses the depth.
func (s *scan) raw(dst []byte) ([]byte, error) {
	depth := 0
	for {
		switch c := s.peek(); {
		case s.end() && depth > 0:
			return dst, broken("a list without end")
		case c == ' ' && depth > 0:
			s.i++
			dst = append(dst, c)
			continue
		case c == '(':
			if depth++; depth > s.in.limit.depth {
				return dst, broken("lists nested deeper than %d", s.in.limit.depth)
			}
			s.i++
			dst = append(dst, c)
			continue
		case c == ')' && depth > 0:
			depth--
			s.i++
			dst = append(dst, c)
		case c == '"':
			start := s.i
			if _, ok := s.quoted(); !ok {
				return dst, broken("a quoted string without end")
			}
			dst = append(dst, s.b[start:s.i]...)
		default:
			start := s.i
			if n, ok := s.literal(); ok {
				dst = append(dst, s.b[start:]...)
				dst = append(dst, "\r\n"...)
				var err error
				if dst, err = s.in.inline(dst, n); err == nil {
					err = s.next()
				}
				if err != nil {
					return dst, err
				}
			} else if w := s.word(); len(w) == 0 {
				return dst, broken("a value is missing")
			} else {
				dst = append(dst, w...)
			}
		}
		if depth == 0 {
			return dst, nil
		}
	}
}

// rest skips what is left of the response, literals included.
func (s *scan) rest() error {
	for {
		open := bytes.LastIndexByte(s.b, '{')
		if open > s.i && s.b[open-1] == '~' {
			open--
		}
		if open < s.i || open > 0 && s.b[open-1] != ' ' && s.b[open-1] != '(' {
			return nil
		}
		s.i = open
		n, ok := s.literal()
		if !ok {
			return nil
		}
		if n > s.in.limit.inline {
			return broken("a literal of %d octets outside a message", n)
		}
		if err := s.in.spend(n); err != nil {
			return err
		}
		if err := s.in.discard(n); err != nil {
			return err
		}
		if err := s.next(); err != nil {
			return err
		}
	}
}

// Atoms. The strict form is RFC 9051's ATOM-CHAR: printable ASCII without
// "(){ %*\"\\]". What go-imap takes for one is wider.
func atomChar(c byte) bool {
	switch c {
	case '(', ')', '{', '%', '*', '"', '\\', ']':
		return false
	}
	return c > ' ' && c < 0x7f
}

func isAtom(b []byte) bool {
	for _, c := range b {
		if !atomChar(c) {
			return false
		}
	}
	return len(b) > 0
}

// isFlag reports whether b is a flag that go-imap takes in and puts out
// unchanged: an atom, or a backslash and an atom.
func isFlag(b []byte) bool { return isAtom(bytes.TrimPrefix(b, []byte(`\`))) }

func is(b []byte, word string) bool { return bytes.EqualFold(b, []byte(word)) }

// quote appends b as a quoted string. CR, LF and NUL, which cannot stand in
// one, must not be in b.
func quote(dst, b []byte) []byte {
	dst = append(dst, '"')
	for _, c := range b {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
