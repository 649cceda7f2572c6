package messages

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"sync"
)

// Join writes the message that recipe builds to w. It asks load for the parts
// one after the other, in the order of the message, and keeps none of them;
// load's slices are only read.
//
// Whatever recipe and load give, w gets no more octets than [Size] says, and
// memory depends on nothing that a recipe announces. After an error w may have
// got the beginning of the message.
func Join(w io.Writer, recipe []byte, load func(ID) ([]byte, error)) error {
	j := joiners.Get().(*joiner)
	defer joiners.Put(j)
	operations, err := j.begin(w, recipe)
	if err == nil {
		err = j.build(operations, load)
	}
	if err == nil {
		err = j.end()
	}
	j.w = nil
	return err
}

var joiners = sync.Pool{New: func() any { return new(joiner) }}

// joinBuffer is how many octets base64 and line ends are written at once in.
const joinBuffer = 32 << 10

// A joiner builds one message. Split proves with it while it cuts, giving it
// the operations as they come to be.
type joiner struct {
	w      io.Writer
	crlf   bool   // every LF becomes CRLF
	length int64  // octets of the message
	left   int64  // octets not written yet
	buf    []byte // on their way to w; grows as needed up to joinBuffer
}

// begin reads what recipe begins with and returns its operations.
func (j *joiner) begin(w io.Writer, recipe []byte) (operations []byte, err error) {
	form, length, operations, err := readHeader(recipe)
	if err != nil {
		return nil, err
	}
	j.w, j.crlf, j.length, j.left = w, form == formCRLF, length, length
	return operations, nil
}

// build writes what operations give.
func (j *joiner) build(operations []byte, load func(ID) ([]byte, error)) error {
	var op operation
	for len(operations) > 0 {
		rest, err := op.read(operations)
		if err != nil {
			return err
		}
		operations = rest
		if op.what == doLiteral {
			if err := j.text(op.literal); err != nil {
				return err
			}
			continue
		}
		// Before load is bothered: can the part have its place?
		if octets, _ := op.gives(); octets > uint64(j.left) {
			return j.tooLong()
		}
		part, err := load(op.id)
		if err != nil {
			return fmt.Errorf("loading part %x: %w", op.id, err)
		}
		if uint64(len(part)) != op.octets {
			return fmt.Errorf("%w: part %x has %d octets, not %d", ErrRecipe, op.id, len(part), op.octets)
		}
		if op.what == doContent {
			err = j.text(part)
		} else {
			err = j.base64(part, op.line, op.crlf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end says whether the message is complete.
func (j *joiner) end() error {
	if j.left != 0 {
		return fmt.Errorf("%w: it gives %d of the %d octets it announces", ErrRecipe, j.length-j.left, j.length)
	}
	return nil
}

// text writes octets in which line ends may have to change.
func (j *joiner) text(p []byte) error {
	if !j.crlf {
		return j.write(p)
	}
	out := j.buf[:0]
	for len(p) > 0 {
		line := p[:min(len(p), joinBuffer)]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
			out = append(append(out, line...), '\r', '\n')
			p = p[i+1:]
		} else {
			out = append(out, line...)
			p = p[len(line):]
		}
		if len(out) >= joinBuffer {
			if err := j.write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	j.buf = out
	return j.write(out)
}

// base64 writes part in standard base64 with padding (RFC 4648 section 4), in
// lines of so many characters, without an end after the last.
func (j *joiner) base64(part []byte, line uint64, crlf bool) error {
	if crlf && j.crlf {
		return errTwiceCRLF
	}
	end := "\n"
	if crlf || j.crlf {
		end = "\r\n"
	}
	out := j.buf[:0]
	var column uint64 // characters in the current line
	for len(part) > 0 {
		if line > 0 && column == line {
			out = append(out, end...)
			column = 0
		}
		n := uint64(joinBuffer / 4 * 3)
		if line > 0 {
			n = min(n, (line-column)/4*3)
		}
		n = min(n, uint64(len(part)))
		out = base64.StdEncoding.AppendEncode(out, part[:n])
		column += (n + 2) / 3 * 4
		part = part[n:]
		if len(out) >= joinBuffer {
			if err := j.write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	j.buf = out
	return j.write(out)
}

// write writes octets of the message as they are.
func (j *joiner) write(p []byte) error {
	if int64(len(p)) > j.left {
		return j.tooLong()
	}
	if len(p) == 0 {
		return nil
	}
	j.left -= int64(len(p))
	if _, err := j.w.Write(p); err != nil {
		return fmt.Errorf("writing the message: %w", err)
	}
	return nil
}

func (j *joiner) tooLong() error {
	return fmt.Errorf("%w: it gives more than the %d octets it announces", ErrRecipe, j.length)
}
