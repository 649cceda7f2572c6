package messages

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// windowSize is how much of a message is in memory at once. A message up to
// that size is read once and then looked at in memory; a larger one is read
// anew for every pass.
const windowSize = 1 << 20

// A window goes over the text of a message from the beginning to the end. The
// text is the message, without its CRs where every line ends with CRLF
// (formCRLF). All offsets are offsets in the text.
type window struct {
	limit  int // octets of buf; windowSize but in tests
	m      io.ReaderAt
	size   int64 // octets of m
	form   byte
	length int64 // octets of the text

	buf  []byte // octets of the text from base on
	base int64
	pos  int   // buf[pos] is the next octet
	next int64 // how much of m is in buf or before it

	// What line returned last:
	first bool // it begins a line
	end   int  // octets of the line end after it; 0 where a piece follows
}

// open puts the window at the beginning of m and finds out its form.
func (w *window) open(m io.ReaderAt, size int64) error {
	if size < 0 {
		return fmt.Errorf("a size of %d octets", size)
	}
	*w = window{limit: w.limit, m: m, size: size, length: size, buf: w.buf[:0]}
	if err := w.fill(); err != nil {
		return err
	}
	lines := lineEnds{}
	for {
		lines.add(w.buf[w.pos:])
		if lines.mixed || w.next == size {
			break
		}
		w.pos = len(w.buf)
		if err := w.fill(); err != nil {
			return err
		}
	}
	if lines.crlf() {
		w.form = formCRLF
		w.length = size - lines.count
		if w.inMemory() {
			w.buf = dropCR(w.buf)
		}
	}
	w.rewind()
	return nil
}

// openRaw puts the window at the beginning of m, and leaves its line ends be.
func (w *window) openRaw(m io.ReaderAt, size int64) error {
	if size < 0 {
		return fmt.Errorf("a size of %d octets", size)
	}
	*w = window{limit: w.limit, m: m, size: size, length: size, buf: w.buf[:0]}
	return nil
}

// close lets go of m and keeps the buffer for the next message.
func (w *window) close() { *w = window{limit: w.limit, buf: w.buf[:0]} }

// inMemory says that the whole text is in buf.
func (w *window) inMemory() bool { return w.base == 0 && w.next == w.size }

// rewind goes back to the beginning.
func (w *window) rewind() {
	if !w.inMemory() {
		w.buf, w.base, w.next = w.buf[:0], 0, 0
	}
	w.pos = 0
}

// offset is where the next octet stands in the text.
func (w *window) offset() int64 { return w.base + int64(w.pos) }

// fill reads on. It forgets what stands before pos, but for two octets that
// say how the line before ended.
func (w *window) fill() error {
	if gone := w.pos - 2; gone > 0 {
		w.buf = w.buf[:copy(w.buf, w.buf[gone:])]
		w.base += int64(gone)
		w.pos = 2
	}
	have := len(w.buf)
	n := int(min(w.size-w.next, int64(w.limit-have)))
	w.buf = slices.Grow(w.buf, n)[:have+n]
	if err := readFull(w.m, w.buf[have:], w.next); err != nil {
		w.buf = w.buf[:have]
		return err
	}
	w.next += int64(n)
	if w.form == formCRLF {
		w.buf = w.buf[:have+len(dropCR(w.buf[have:]))]
	}
	return nil
}

// readFull is ReadAt that ends early only with an error.
func readFull(m io.ReaderAt, p []byte, off int64) error {
	n, err := m.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading the message at octet %d: %w", off+int64(n), err)
}

// need returns the next n octets of the text and goes behind them; n is at
// most half a window. There are fewer where the text ends before.
func (w *window) need(n int) ([]byte, error) {
	for len(w.buf)-w.pos < n && w.next < w.size {
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
	p := w.buf[w.pos:min(w.pos+n, len(w.buf))]
	w.pos += len(p)
	return p, nil
}

// fragment is how many octets line returns at most. It is a multiple of 4, so
// that base64 is not torn.
func (w *window) fragment() int { return w.limit / 16 }

// line returns the next line without its end, or a fragment of a longer one,
// and goes behind it. At the end of the text it returns io.EOF.
func (w *window) line() ([]byte, error) {
	fragment := w.fragment()
	w.first = w.pos == 0 && w.base == 0 || w.pos > 0 && w.buf[w.pos-1] == '\n'
	for {
		ahead := w.buf[w.pos:]
		if len(ahead) > fragment {
			ahead = ahead[:fragment]
		}
		i := bytes.IndexByte(ahead, '\n')
		if i < 0 {
			if len(ahead) < fragment && w.next < w.size {
				if err := w.fill(); err != nil {
					return nil, err
				}
				continue
			}
			if len(ahead) == 0 {
				return nil, io.EOF
			}
			w.pos += len(ahead)
			w.end = 0
			return ahead, nil
		}
		w.pos += i + 1
		w.end = 1
		if i > 0 && ahead[i-1] == '\r' {
			i--
			w.end = 2
		}
		return ahead[:i], nil
	}
}

// endBefore is how many octets the line end has that stands before the next
// octet.
func (w *window) endBefore() int64 {
	switch p := w.buf[:w.pos]; {
	case bytes.HasSuffix(p, []byte("\r\n")):
		return 2
	case bytes.HasSuffix(p, []byte("\n")):
		return 1
	}
	return 0
}

// lineEnds finds out whether all lines of a message end with CRLF, and no CR
// or LF stands anywhere else.
type lineEnds struct {
	count int64 // line ends
	after bool  // a CR stands before what comes next
	mixed bool  // there are others
}

func (l *lineEnds) add(p []byte) {
	for len(p) > 0 && !l.mixed {
		lf := bytes.IndexByte(p, '\n')
		if lf < 0 {
			cr := bytes.IndexByte(p, '\r')
			l.mixed = l.after || cr >= 0 && cr < len(p)-1
			l.after = cr >= 0
			return
		}
		if l.after {
			l.mixed = lf > 0
		} else {
			l.mixed = lf == 0 || bytes.IndexByte(p[:lf], '\r') != lf-1
		}
		l.after = false
		l.count++
		p = p[lf+1:]
	}
}

func (l *lineEnds) crlf() bool { return l.count > 0 && !l.mixed && !l.after }

// dropCR leaves the CRs out, in place.
func dropCR(p []byte) []byte {
	to := bytes.IndexByte(p, '\r')
	if to < 0 {
		return p
	}
	for from := to + 1; from < len(p); {
		rest := p[from:]
		if i := bytes.IndexByte(rest, '\r'); i >= 0 {
			rest = rest[:i]
		}
		to += copy(p[to:], rest)
		from += len(rest) + 1
	}
	return p[:to]
}
