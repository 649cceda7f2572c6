package imapconn

import "bytes"

// Names of data items in FETCH answers.

// itemName appends the name of a data item, section and all, in upper case.
func itemName(dst []byte, s *scan) ([]byte, error) {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] != ' ' && s.b[s.i] != '(' && s.b[s.i] != ')' {
		if s.b[s.i] == '[' { // a section may hold a list of header fields
			end := bytes.IndexByte(s.b[s.i:], ']')
			if end < 0 {
				return nil, broken("a section without end in a FETCH answer")
			}
			s.i += end
		}
		s.i++
	}
	if s.i == start {
		return nil, broken("a FETCH answer with %q", clip(s.b[start:]))
	}
	for _, c := range s.b[start:s.i] {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// bodySection tells what go-imap calls an item that is a message or a part of
// one. It returns "" for all other items.
func bodySection(name []byte) string {
	switch string(name) {
	case "BODY[]", "RFC822":
		return "BODY[]"
	case "RFC822.HEADER":
		return "BODY[HEADER]"
	case "RFC822.TEXT":
		return "BODY[TEXT]"
	}
	if rest, ok := bytes.CutPrefix(name, []byte("BODY[")); ok && goodSection(rest) {
		return string(name)
	}
	return ""
}

// goodSection accepts what can stand behind "BODY[" and go-imap can read:
// "]", "1.2.MIME]", "HEADER.FIELDS (FROM TO)]", with "<0>" behind or without.
func goodSection(b []byte) bool {
	spec, partial, ok := bytes.Cut(b, []byte("]"))
	if !ok {
		return false
	}
	if len(partial) > 0 {
		n := len(partial) - 1
		if _, isNumber := number(bytes.TrimPrefix(partial[:n], []byte("<")), 32); !isNumber || partial[0] != '<' || partial[n] != '>' {
			return false
		}
	}
	for len(spec) > 0 && spec[0] >= '1' && spec[0] <= '9' {
		part, rest, dot := bytes.Cut(spec, []byte("."))
		if _, isNumber := number(part, 31); !isNumber || dot && len(rest) == 0 {
			return false
		}
		spec = rest
	}
	what, fields, _ := bytes.Cut(spec, []byte(" "))
	switch string(what) {
	case "", "HEADER", "TEXT", "MIME":
		return len(fields) == 0
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		n := len(fields)
		if n < 3 || fields[0] != '(' || fields[n-1] != ')' {
			return false
		}
		for _, name := range bytes.Split(fields[1:n-1], []byte(" ")) {
			if len(name) > 2 && name[0] == '"' && name[len(name)-1] == '"' {
				name = name[1 : len(name)-1]
			}
			if !isAtom(name) {
				return false
			}
		}
		return true
	}
	return false
}
