package mailfiles

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
)

// undo is what has to be done to a message's octets on the way out.
type undo struct {
	unquote bool // take one '>' off every line of '>'s and "From "
	crlf    bool // each LF stands for CRLF
	open    bool // the last LF was added
}

// Open returns a reader of the message: what the writer of the file was given
// if m.Exact, otherwise its octets as they stand. The last error is ErrChanged
// and not io.EOF if these are no longer the octets that Messages saw.
func (b *Mbox) Open(m MboxMessage) io.Reader {
	r := &checkedReader{r: io.NewSectionReader(b.r, m.Start, m.Length), left: m.Length, hash: sha256.New(), want: m.Sum}
	if m.undo == (undo{}) {
		return r
	}
	return &unquoter{src: bufio.NewReaderSize(r, int(min(m.Length+1, 64<<10))), undo: m.undo, left: m.size, lineStart: true}
}

// checkedReader reads what was hashed before and compares.
type checkedReader struct {
	r    io.Reader
	left int64
	hash hash.Hash
	want [32]byte
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.hash.Write(p[:n])
	c.left -= int64(n)
	if err == io.EOF || c.left == 0 && err == nil {
		if c.left > 0 || [32]byte(c.hash.Sum(nil)) != c.want {
			return n, fmt.Errorf("reading a message of an mbox: %w", ErrChanged)
		}
		err = io.EOF
	}
	return n, err
}

// unquoter undoes what a writer did, line by line; a line may be of any
// length.
type unquoter struct {
	src *bufio.Reader
	undo
	left  int64 // octets still to give; what comes after them was added
	added int64 // octets found to have been added

	lineStart bool
	held      bool   // a '>' that is to be given unless a writer put it there
	out       []byte // to give next: a part of src's buffer, or a constant
	then      []byte // to give after out
	err       error  // after both
}

var (
	greater = []byte(">")
	crlfEnd = []byte("\r\n")
)

func (u *unquoter) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(u.out) > 0 {
			c := copy(p[n:], u.out[:min(int64(len(u.out)), u.left)])
			if c == 0 {
				u.added += int64(len(u.out))
				u.out = nil
			}
			u.out = u.out[c:]
			u.left -= int64(c)
			n += c
			continue
		}
		u.out, u.then = u.then, nil
		if len(u.out) > 0 {
			continue
		}
		if u.err == io.EOF {
			u.err = u.end()
		}
		if u.err != nil {
			break
		}
		u.more()
	}
	if n == 0 && len(p) > 0 {
		return 0, u.err
	}
	return n, nil
}

// end checks that exactly what was added stayed away.
func (u *unquoter) end() error {
	want := int64(0)
	if u.open {
		want = 1
		if u.crlf {
			want = 2
		}
	}
	if u.left != 0 || u.added != want {
		return fmt.Errorf("reading a message of an mbox: undoing the quoting gave %d octets too many", u.added-want-u.left)
	}
	return io.EOF
}

// more finds the next octets to give.
func (u *unquoter) more() {
	if u.lineStart {
		u.quoted()
		return
	}
	line, err := u.src.ReadSlice('\n')
	u.out = line
	switch {
	case err == bufio.ErrBufferFull:
	case err != nil:
		u.err = err
	default:
		u.lineStart = true
		if u.crlf {
			u.out, u.then = line[:len(line)-1], crlfEnd
		}
	}
}

// quoted reads the '>'s at the beginning of a line. One of them is held back
// until it is clear whether "From " follows.
func (u *unquoter) quoted() {
	run, err := greaters(u.src)
	if err != nil {
		u.err = err
		return
	}
	if len(run) > 0 {
		if !u.held {
			run = run[1:]
		}
		u.out, u.held = run, true
		return
	}
	if u.held {
		p, err := u.src.Peek(len(fromPrefix))
		if err != nil && err != io.EOF {
			u.err = err
			return
		}
		if string(p) != string(fromPrefix) {
			u.out = greater
		}
	}
	u.held, u.lineStart = false, false
}

// greaters reads as many '>' as come next in the buffer; if it returns none,
// there are no more. The result is good until the next read.
func greaters(in *bufio.Reader) ([]byte, error) {
	if _, err := in.Peek(1); err != nil && err != io.EOF {
		return nil, err
	}
	p, _ := in.Peek(in.Buffered())
	p = p[:len(p)-len(bytes.TrimLeft(p, ">"))]
	in.Discard(len(p))
	return p, nil
}
