package pop3conn

import (
	"bytes"
	"io"
)

// An Oddity is a sequence of octets in a message that no server sends that
// does as RFC 1939 section 3 says. What it stands for is not certain; the
// message is read as the RFC has it all the same.
type Oddity uint8

const (
	// DotAfterLF: a line of one dot behind a bare LF. A server that does not
	// know bare LFs from line ends may have meant the end of the message.
	DotAfterLF Oddity = 1 << iota
	// DotLF: a dot and a bare LF behind a CRLF. It may have been meant as the
	// end, or as a dot that was not doubled.
	DotLF
	// LoneDot: a line that begins with a dot that is not doubled, which is
	// taken out. It may have been part of the message.
	LoneDot
	// DotFirst: the message begins with a dot on the wire. Dovecot (2.3) does not
	// double a dot at the very beginning, so the one that was taken out may have
	// been the message's. The size that the server tells shows it.
	DotFirst
)

// Where an unstuffer is in a line. Only CRLF ends one.
const (
	lineStart = iota // also at the very beginning
	inLine
	afterCR
	afterDot   // at the start of a line; the dot is held back
	afterDotCR // and so is the CR
)

// An unstuffer takes the octets behind the status line of a multi-line answer
// and writes the message that they stand for (RFC 1939 section 3): of lines
// that begin with a dot it takes the dot out; CRLF, a dot and CRLF end it.
// Bare CR, bare LF, NUL and lines of any length are part of the message. The
// zero value is ready.
type unstuffer struct {
	at     int
	tail   int // how far the last octets look like an end behind a bare LF
	oddity Oddity
	size   int64 // octets written
	begun  bool  // something came
}

// The values of tail.
const (
	noTail = iota
	tailLF
	tailLFDot
	tailLFDotCR
	tailFalse // bare LF, dot, CRLF: a false end, if nothing follows
)

// falseEnd reports whether the octets so far end with what some servers may
// take for an end.
func (u *unstuffer) falseEnd() bool { return u.tail == tailFalse }

// write takes octets and writes what they stand for to w, in runs. It returns
// how many it took; those behind the end are not taken.
func (u *unstuffer) write(w io.Writer, p []byte) (n int, done bool, err error) {
	from := 0 // what is not written yet begins here
	flush := func(to int) {
		if err == nil && to > from {
			_, err = w.Write(p[from:to])
			u.size += int64(to - from)
		}
	}
	for i := 0; i < len(p) && err == nil; u.begun = true {
		switch c := p[i]; u.at {
		case lineStart:
			u.at = inLine
			if c == '.' {
				if !u.begun {
					u.oddity |= DotFirst
				}
				flush(i)
				u.at, u.tail = afterDot, noTail
				i++
				from = i
			}
		case inLine:
			i += u.run(p[i:])
		case afterCR:
			u.at = inLine
			if c == '\n' {
				u.endLine()
				i++
			}
		case afterDot:
			u.at = inLine
			switch c {
			case '\r':
				u.at = afterDotCR
				i++
				from = i
			case '.': // the message's; it begins no line
				i++
			case '\n':
				u.oddity |= DotLF
				u.tail = tailFalse
				i++
			default:
				u.oddity |= LoneDot
			}
		case afterDotCR:
			if c == '\n' {
				return i + 1, true, nil
			}
			// The dot was a lone one, and the CR is the message's.
			u.oddity |= LoneDot
			if _, err = w.Write([]byte{'\r'}); err == nil {
				u.size++
			}
			u.at = afterCR
		}
	}
	flush(len(p))
	return len(p), false, err
}

// endLine takes note of a CRLF.
func (u *unstuffer) endLine() {
	u.at = lineStart
	if u.tail == tailLFDotCR {
		u.tail = tailFalse
		u.oddity |= DotAfterLF
	} else {
		u.tail = noTail
	}
}

// run goes on within a line, to behind its first CR, and watches for false
// ends. It returns how many octets it took.
func (u *unstuffer) run(p []byte) int {
	cr := bytes.IndexByte(p, '\r')
	n := len(p)
	if cr >= 0 {
		n = cr + 1
		u.at = afterCR
	}
	u.watch(p[:n])
	return n
}

// watch looks at octets in a line for a dot alone behind a bare LF.
func (u *unstuffer) watch(p []byte) {
	for len(p) > 0 {
		c := p[0]
		switch {
		case c == '\n':
			u.tail = tailLF
		case u.tail == tailLF && c == '.':
			u.tail = tailLFDot
		case u.tail == tailLFDot && c == '\r':
			u.tail = tailLFDotCR
		default:
			u.tail = noTail
			if i := bytes.IndexByte(p, '\n'); i >= 0 {
				p = p[i:]
				continue
			}
			return
		}
		p = p[1:]
	}
}
