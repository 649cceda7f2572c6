package imapconn

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Answers about the server and the account, not about folders or messages.

// namespace takes "* NAMESPACE" (RFC 2342 section 5). go-imap
// does not decode the prefixes, unlike all other names; so it is done here.
func (f *filter) namespace(s *scan) error {
	if f.pend.one("NAMESPACE") == nil {
		return s.rest()
	}
	f.buf = append(f.buf, "* NAMESPACE"...)
	for range 3 {
		f.buf = append(f.buf, ' ')
		if s.spaces(); !s.special('(') {
			if w := s.word(); len(w) > 0 && !is(w, "NIL") {
				return broken("a NAMESPACE answer with %q", clip(w))
			}
			f.buf = append(f.buf, "NIL"...)
			continue
		}
		f.buf = append(f.buf, '(')
		for {
			if s.spaces(); s.special(')') {
				break
			}
			if !s.special('(') {
				return broken("a NAMESPACE answer with %q", clip(s.b))
			}
			s.spaces()
			prefix, _, err := s.text()
			if err != nil {
				return err
			}
			f.buf = append(f.buf, '(')
			f.buf = quote(f.buf, shownPrefix(prefix))
			f.buf = append(f.buf, ' ')
			if err := f.delimiter(s); err != nil {
				return err
			}
			f.buf = append(f.buf, ')')
			for s.spaces(); !s.special(')'); s.spaces() { // extensions
				if _, err := s.raw(nil); err != nil {
					return err
				}
			}
		}
		f.buf = append(f.buf, ')')
	}
	f.finish()
	return nil
}

func shownPrefix(prefix []byte) []byte {
	switch {
	case isModifiedUTF7(prefix):
		return []byte(fromModifiedUTF7(prefix))
	case utf8.Valid(prefix) && bytes.IndexFunc(prefix, func(r rune) bool { return r < ' ' }) < 0:
		return prefix
	}
	return []byte(AliasName(prefix))
}

// capability takes "* CAPABILITY", which go-imap asks for only where a caller
// makes it.
func (f *filter) capability(s *scan) error {
	if f.pend.one("CAPABILITY") == nil {
		return s.rest()
	}
	f.buf = append(f.buf, "* CAPABILITY"...)
	for _, c := range shownCaps(capsOf(s.b[s.i:])) {
		f.buf = append(append(f.buf, ' '), c...)
	}
	f.finish()
	return nil
}

// quota takes "* QUOTA" (RFC 9208 section 4.2.1).
func (f *filter) quota(s *scan) error {
	if f.pend.one("GETQUOTA", "GETQUOTAROOT", "SETQUOTA") == nil {
		return s.rest()
	}
	s.spaces()
	root, _, err := s.text()
	if err != nil {
		return err
	}
	f.buf = quote(append(f.buf, "* QUOTA "...), oneLine(root))
	f.buf = append(f.buf, " ("...)
	s.spaces()
	if s.end() { // Courier's way of saying that nothing is limited
		f.buf = append(f.buf, ')')
		f.finish()
		return nil
	}
	if !s.special('(') {
		return broken("a QUOTA answer with %q", clip(s.b))
	}
	for first := true; ; {
		if s.spaces(); s.special(')') {
			break
		}
		name := s.word()
		s.spaces()
		used, ok := s.number(63)
		s.spaces()
		limit, okLimit := s.number(63)
		if !ok || !okLimit || !isAtom(name) {
			return broken("a QUOTA answer with %q", clip(s.b))
		}
		if !first {
			f.buf = append(f.buf, ' ')
		}
		first = false
		f.buf = append(append(f.buf, bytes.ToUpper(name)...), ' ')
		f.buf = strconv.AppendUint(f.buf, used, 10)
		f.buf = append(f.buf, ' ')
		f.buf = strconv.AppendUint(f.buf, limit, 10)
	}
	f.buf = append(f.buf, ')')
	f.finish()
	return nil
}

// quotaRoot takes "* QUOTAROOT" (RFC 9208 section 4.2.2).
func (f *filter) quotaRoot(s *scan) error {
	return f.aboutFolder(s, "QUOTAROOT", "GETQUOTAROOT", 0, 1000)
}

// myRights takes "* MYRIGHTS" (RFC 4314 section 3.8).
func (f *filter) myRights(s *scan) error { return f.aboutFolder(s, "MYRIGHTS", "MYRIGHTS", 1, 1) }

// acl takes "* ACL" (RFC 4314 section 3.6). An identifier without rights behind
// it has none.
func (f *filter) acl(s *scan) error { return f.aboutFolder(s, "ACL", "GETACL", 0, 2000) }

// mostAbout is how many octets an answer about a folder may have, its name apart.
const mostAbout = 64 << 10

// metadata takes "* METADATA" with values (RFC 5464 section 4.4.1), which go-imap
// is shown as literals, whatever they came as. Values that are beyond mostAbout
// are left out, with those behind them; so is an answer that tells names only,
// which nobody asked for.
func (f *filter) metadata(s *scan) error {
	if f.pend.one("GETMETADATA") == nil {
		return s.rest()
	}
	f.buf = append(f.buf, "* METADATA "...)
	s.spaces()
	name, _, err := s.text()
	if err == nil {
		f.buf, err = showName(f.buf, name)
	}
	if err != nil {
		return err
	}
	if s.spaces(); !s.special('(') {
		f.buf = f.buf[:f.queued]
		return s.rest()
	}
	f.buf = append(f.buf, " ("...)
	kept := 0
	for first := true; ; {
		if s.spaces(); s.special(')') {
			break
		}
		entry, _, err := s.text()
		if err != nil {
			return err
		}
		if len(entry) == 0 {
			return broken("a METADATA answer with %q", clip(s.b))
		}
		entry = oneLine(entry) // a copy: the next value may be a literal
		s.spaces()
		value, plain, err := s.text()
		if err != nil {
			return err
		}
		if kept += len(entry) + len(value); plain && (is(value, "NIL") || len(value) == 0) || kept > mostAbout {
			continue
		}
		if !first {
			f.buf = append(f.buf, ' ')
		}
		first = false
		f.buf = append(quote(f.buf, entry), ' ')
		f.buf = append(fmt.Appendf(f.buf, "{%d}\r\n", len(value)), value...)
	}
	f.buf = append(f.buf, ')')
	f.finish()
	return s.rest()
}

// withDepthFirst puts the depth that a GETMETADATA asks for in front of the folder,
// where the grammar has it (RFC 5464 section 5) and Dovecot wants it. go-imap has
// it behind, as the examples do.
func withDepthFirst(line []byte) []byte {
	const depth, verb = " (DEPTH infinity)", " GETMETADATA"
	head, entries, ok := bytes.Cut(line, []byte(depth+" ("))
	tag, folder, begins := bytes.Cut(head, []byte(verb))
	if !ok || !begins {
		return line
	}
	return bytes.Join([][]byte{tag, []byte(verb + depth), folder, []byte(" ("), entries}, nil)
}

// aboutFolder takes an answer that is a folder's name and some strings.
func (f *filter) aboutFolder(s *scan, kind, verb string, least, most int) error {
	if f.pend.one(verb) == nil {
		return s.rest()
	}
	f.buf = append(append(append(f.buf, "* "...), kind...), ' ')
	s.spaces()
	name, _, err := s.text()
	if err == nil {
		f.buf, err = showName(f.buf, name)
	}
	if err != nil {
		return err
	}
	n, octets := 0, 0
	for s.spaces(); !s.end() && n < most; s.spaces() {
		value, plain, err := s.text()
		if err != nil {
			return err
		}
		if plain && len(value) == 0 {
			break
		}
		if octets += len(value); octets > mostAbout {
			return broken("a %s answer of more than %d octets", kind, mostAbout)
		}
		f.buf = quote(append(f.buf, ' '), oneLine(value))
		n++
	}
	if kind == "ACL" && n%2 == 1 {
		f.buf = append(f.buf, ` ""`...)
	}
	if n < least || !s.end() {
		return broken("a %s answer with %q", kind, clip(s.b))
	}
	f.finish()
	return nil
}

// oneLine makes octets fit for a quoted string.
func oneLine(b []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == 0 || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, b)
}
