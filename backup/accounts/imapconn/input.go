package imapconn

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
)

// input reads lines and literals of bounded size. Where the octets come from
// can be changed under way: first the socket, later a source that can be
// waited for together with other things.
type input struct {
	br    *bufio.Reader
	from  io.Reader
	limit limits
	spent int64 // octets of this answer, messages and lists of numbers apart
}

func newInput(from io.Reader, limit limits) *input {
	in := &input{from: from, limit: limit}
	in.br = bufio.NewReaderSize(readerFunc(func(p []byte) (int, error) { return in.from.Read(p) }), limit.line+2)
	return in
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// line returns the next line without its end, which may be CRLF or a lone LF.
// The slice is good until the next read. Of lines, only those that list the
// messages of a mailbox may be longer than the limit; with errMore it is the
// beginning of one.
func (in *input) line() ([]byte, error) {
	b, err := in.br.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		if begins(b, "* SEARCH ", "* ESEARCH ", "* SORT ", "* VANISHED ") {
			return b, errMore
		}
		return nil, broken("a line of more than %d octets", in.limit.line)
	}
	if err != nil {
		if errors.Is(err, io.EOF) && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if len(b) <= in.limit.line+2 {
		err = in.spend(int64(len(b)))
	}
	b = b[:len(b)-1]
	return bytes.TrimSuffix(b, []byte("\r")), err
}

// spend counts what an answer consists of, whatever it is made up from.
func (in *input) spend(n int64) error {
	if in.spent += n; in.spent > 2*in.limit.inline {
		return broken("an answer of more than %d octets", 2*in.limit.inline)
	}
	return nil
}

// errMore says that a line goes on, and is one of numbers that need not be put
// together. Where nobody expects one it is an error.
var errMore = broken("a list of numbers that nobody asked for")

func begins(line []byte, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return len(line) > len(w) && is(line[:len(w)], w) })
}

// inline appends a literal of n octets to dst. It is for all literals that
// are not messages.
func (in *input) inline(dst []byte, n int64) ([]byte, error) {
	if n > in.limit.inline {
		return dst, broken("a literal of %d octets outside a message", n)
	}
	if err := in.spend(n); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = append(dst, make([]byte, n)...)
	if _, err := io.ReadFull(in.br, dst[start:]); err != nil {
		return dst, err
	}
	return dst, nil
}

// discard reads n octets of a literal and forgets them.
func (in *input) discard(n int64) error {
	_, err := io.CopyN(io.Discard, in.br, n)
	return err
}
