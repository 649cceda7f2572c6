package imapconn

import (
	"bytes"
	"unicode/utf8"
)

// flags reads a list of flags or folder attributes and appends it to buf in
// the form that go-imap takes. What go-imap would choke on goes to odd, if
// anybody wants it, as the octets it stands for.
func (f *filter) flags(s *scan, odd func(raw []byte)) error {
	f.buf = append(f.buf, '(')
	start, n := len(f.buf), 0
	keep := func(flag []byte) {
		n++
		switch {
		case isFlag(flag), odd == nil && string(flag) == `\*`:
			if len(f.buf) > start {
				f.buf = append(f.buf, ' ')
			}
			f.buf = append(f.buf, flag...)
		case odd != nil && len(flag) > 0:
			odd(flag)
		}
	}
	s.spaces()
	if !s.special('(') {
		if w := s.word(); !is(w, "NIL") {
			return broken("%q in place of a list of flags", clip(w))
		}
		f.buf = append(f.buf, ')')
		return nil
	}
	for {
		switch s.spaces(); {
		case s.special(')'):
			f.buf = append(f.buf, ')')
			return nil
		case s.end():
			return broken("a list of flags without end")
		case n > f.limit.flags:
			return broken("more than %d flags in one list", f.limit.flags)
		case s.peek() == '(':
			raw, err := s.raw(nil)
			if err != nil {
				return err
			}
			keep(raw)
		default:
			flag, _, err := s.text()
			if err != nil {
				return err
			}
			keep(flag)
		}
	}
}

// flagsAnswer takes "* FLAGS" (RFC 9051 section 7.3.5).
func (f *filter) flagsAnswer(s *scan) error {
	f.buf = append(f.buf, "* FLAGS "...)
	if err := f.flags(s, nil); err != nil {
		return err
	}
	f.finish()
	return nil
}

// finish ends a line and shows it.
func (f *filter) finish() {
	f.buf = append(f.buf, "\r\n"...)
	f.show()
}

// folderName reads a folder's name in whatever form the server writes it:
// as a string, as an atom, or just so, spaces and all.
func (f *filter) folderName(s *scan) ([]byte, error) {
	s.spaces()
	start, inQuotes := s.i, s.peek() == '"'
	name, plain, err := s.text()
	switch {
	case err == nil && !plain && (!inQuotes || s.end() || s.peek() == ' '):
		return name, nil
	case inQuotes: // a quote within that is not escaped
		last := bytes.LastIndexByte(s.b, '"')
		if last == start {
			last = len(s.b)
		}
		s.i = min(last+1, len(s.b))
		return s.b[start+1 : last], nil
	case err != nil:
		return nil, err
	}
	s.i = start
	for !s.end() && !(s.peek() == ' ' && s.i+1 < len(s.b) && (s.b[s.i+1] == '(' || s.b[s.i+1] == '"')) {
		s.i++
	}
	if name = bytes.TrimRight(s.b[start:s.i], " "); len(name) == 0 {
		return nil, broken("an answer without a folder name: %q", clip(s.b))
	}
	return name, nil
}

// delimiter reads a hierarchy delimiter and appends it to buf.
func (f *filter) delimiter(s *scan) error {
	s.spaces()
	d, plain, err := s.text()
	if err != nil {
		return err
	}
	r, size := utf8.DecodeRune(d)
	if plain && is(d, "NIL") || r == utf8.RuneError || r < ' ' || size != len(d) {
		f.buf = append(f.buf, "NIL"...) // "" among them, which is how some servers say it
		return nil
	}
	f.buf = quote(f.buf, d)
	return nil
}

// list takes "* LIST" (RFC 9051 section 7.3.1), and "* LSUB" (RFC 3501 section
// 7.2.3), where that was asked for. A folder that cannot be read here is an
// error: it would be missing from the backup. Extended data, which nobody asks
// for, is left out.
func (f *filter) list(s *scan, verb string) error {
	cmd := f.pend.one(verb)
	if cmd == nil {
		return s.rest()
	}
	if cmd.folders++; cmd.folders > f.limit.folders {
		return broken("more than %d folders", f.limit.folders)
	}
	if cmd.listed += len(s.b); cmd.listed > f.limit.listing {
		return broken("a list of folders of more than %d octets", f.limit.listing)
	}
	f.buf = append(f.buf, "* LIST "...)
	if err := f.flags(s, nil); err != nil {
		return err
	}
	f.buf = append(f.buf, ' ')
	if err := f.delimiter(s); err != nil {
		return err
	}
	f.buf = append(f.buf, ' ')
	name, err := f.folderName(s)
	if err != nil {
		return err
	}
	cmd.listed += len(name)
	if f.buf, err = showName(f.buf, name); err != nil {
		return err
	}
	f.finish()
	return s.rest()
}

// statusBits are the items of STATUS that go-imap knows and the size of their
// numbers.
var statusBits = map[string]int{
	"MESSAGES": 32, "UIDNEXT": 32, "UIDVALIDITY": 32, "UNSEEN": 32, "DELETED": 32, "APPENDLIMIT": 32,
	"SIZE": 63, "DELETED-STORAGE": 63, "HIGHESTMODSEQ": 64,
}

// status takes "* STATUS" (RFC 9051 section 7.3.3). Items that go-imap does
// not know, or whose values are no numbers, are left out: unknown, not zero.
func (f *filter) status(s *scan) error {
	if f.pend.one("STATUS", "LIST") == nil {
		return s.rest()
	}
	f.buf = append(f.buf, "* STATUS "...)
	name, err := f.folderName(s)
	if err == nil {
		f.buf, err = showName(f.buf, name)
	}
	if err != nil {
		return err
	}
	f.buf = append(f.buf, " ("...)
	if s.spaces(); !s.special('(') {
		return broken("a STATUS answer with %q", clip(s.b))
	}
	for first := true; ; {
		if s.spaces(); s.special(')') {
			break
		}
		if s.end() {
			return broken("a STATUS answer without end")
		}
		item := string(bytes.ToUpper(s.word()))
		if s.spaces(); s.peek() == ')' || s.end() {
			continue
		}
		value, err := s.raw(nil)
		if err != nil {
			return err
		}
		bits, known := statusBits[item]
		_, isNumber := number(value, bits)
		if item == "APPENDLIMIT" && is(value, "NIL") {
			value, isNumber = []byte("NIL"), true
		}
		if !known || !isNumber {
			continue
		}
		if !first {
			f.buf = append(f.buf, ' ')
		}
		first = false
		f.buf = append(append(append(f.buf, item...), ' '), value...)
	}
	f.buf = append(f.buf, ')')
	f.finish()
	return s.rest()
}
