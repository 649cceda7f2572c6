package messages

import (
	"bytes"
	"strings"
)

// What a header says of the body, as far as cutting asks.
type entity struct {
	message  bool   // the body is a message
	boundary []byte // the body is a multipart with this boundary
	digest   bool   // its parts are messages where they do not say otherwise
}

// describe reads the values of Content-Type and Content-Transfer-Encoding.
// It takes what senders write, not only what RFC 2045 section 5.1 allows.
// The boundary is appended to scratch.
func describe(contentType, encoding []byte, inDigest bool, scratch []byte) (e entity) {
	contentType = skipSpace(contentType)
	name := token(contentType, ";(")
	major, minor, _ := bytes.Cut(name, []byte("/"))
	switch {
	case equalFold(major, "multipart"):
		e.boundary = boundary(contentType[len(name):], scratch)
		e.digest = equalFold(minor, "digest")
	case equalFold(major, "message"):
		// RFC 2046 section 5.2.1, RFC 6532 section 3.7. The others of this
		// type (delivery-status, partial, external-body) hold no message.
		e.message = equalFold(minor, "rfc822") || equalFold(minor, "global") || equalFold(minor, "news")
	case len(name) == 0:
		e.message = inDigest // RFC 2046 section 5.1.5
	}
	if e.message {
		encoding = token(skipSpace(encoding), ";(")
		e.message = !equalFold(encoding, "base64") && !equalFold(encoding, "quoted-printable")
	}
	return e
}

// boundary returns the boundary parameter among params, appended to out, or
// nothing.
func boundary(params, out []byte) []byte {
	var whole []byte
	var sections [10][]byte // boundary*0 to boundary*9 (RFC 2231 section 3)
	var extended [10]bool   // boundary*0* (RFC 2231 section 4)
	for len(params) > 0 {
		var name, value []byte
		name, value, params = parameter(params)
		if len(name) < len("boundary") || !equalFold(name[:len("boundary")], "boundary") {
			continue
		}
		name = name[len("boundary"):]
		percent := len(name) > 0 && name[len(name)-1] == '*'
		if percent {
			name = name[:len(name)-1]
		}
		section := 0
		switch {
		case len(name) == 0 && !percent:
			if whole == nil {
				whole = value
			}
			continue
		case len(name) == 2 && name[0] == '*' && '0' <= name[1] && name[1] <= '9':
			section = int(name[1] - '0')
		case len(name) > 0:
			continue
		}
		if sections[section] == nil {
			sections[section], extended[section] = value, percent
		}
	}
	start := len(out)
	if whole != nil {
		out = appendUnquoted(out, whole)
	} else {
		for i, value := range sections {
			if value == nil {
				break
			}
			if !extended[i] {
				out = appendUnquoted(out, value)
				continue
			}
			if i == 0 { // charset'language'value
				value = value[1+bytes.LastIndexByte(value, '\''):]
			}
			out = appendUnescaped(out, value)
		}
	}
	// What ends with a space cannot be told from padding (RFC 2046 section
	// 5.1.1), and delimiter leaves padding out.
	return bytes.TrimRight(out[start:], " \t\r\n")
}

// parameter takes the next parameter. The value keeps its quotes.
func parameter(p []byte) (name, value, rest []byte) {
	p = skipSpace(p)
	for len(p) > 0 && p[0] == ';' {
		p = skipSpace(p[1:])
	}
	name = token(p, ";=(")
	p = skipSpace(p[len(name):])
	if len(p) == 0 || p[0] != '=' {
		return name, nil, p
	}
	p = skipSpace(p[1:])
	if len(p) == 0 || p[0] != '"' {
		value = token(p, ";")
		return name, value, p[len(value):]
	}
	for i := 1; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return name, p[:i+1], p[i+1:]
		}
	}
	return name, p, nil
}

// token returns what p begins with, up to white space or one of ends.
func token(p []byte, ends string) []byte {
	for i, c := range p {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' || strings.IndexByte(ends, c) >= 0 {
			return p[:i]
		}
	}
	return p
}

// skipSpace goes over white space and comments (RFC 5322 section 3.2.2).
func skipSpace(p []byte) []byte {
	depth := 0
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0:
			i++
		case depth > 0, c == ' ', c == '\t', c == '\r', c == '\n':
		default:
			return p[i:]
		}
	}
	return nil
}

// appendUnquoted appends the value of a token or quoted string.
func appendUnquoted(out, value []byte) []byte {
	if len(value) == 0 || value[0] != '"' {
		return append(out, value...)
	}
	value = value[1:]
	for i := 0; i < len(value) && value[i] != '"'; i++ {
		if value[i] == '\\' && i+1 < len(value) {
			i++
		}
		out = append(out, value[i])
	}
	return out
}

// appendUnescaped appends a value in which %XX stands for an octet.
func appendUnescaped(out, value []byte) []byte {
	for i := 0; i < len(value); i++ {
		if value[i] == '%' && i+2 < len(value) {
			if high, low := unhex(value[i+1]), unhex(value[i+2]); high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low))
				i += 2
				continue
			}
		}
		out = append(out, value[i])
	}
	return out
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// equalFold compares with a lower-case ASCII name.
func equalFold(p []byte, name string) bool {
	if len(p) != len(name) {
		return false
	}
	for i, c := range p {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}
