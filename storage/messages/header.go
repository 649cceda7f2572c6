package messages

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"slices"
)

// ReadHeader returns the header block of the message of size octets in m, up
// to and with the empty line that ends it, or the first limit octets if it is
// longer. It reads little more than it returns.
func ReadHeader(m io.ReaderAt, size int64, limit int) ([]byte, error) {
	all := int(min(max(size, 0), int64(max(limit, 0))))
	var header []byte
	for ahead := 4 << 10; ; ahead *= 2 {
		have := len(header)
		want := min(all, ahead)
		header = slices.Grow(header, want-have)[:want]
		if err := readFull(m, header[have:], int64(have)); err != nil {
			return nil, fmt.Errorf("reading a header: %w", err)
		}
		if end := headerEnd(header, max(have-2, 0)); end >= 0 {
			return header[:end], nil
		}
		if want == all {
			return header, nil
		}
	}
}

// headerEnd returns where the body begins, or -1. No header ends before from.
func headerEnd(p []byte, from int) int {
	if from == 0 {
		if n := emptyLine(p); n > 0 {
			return n
		}
	}
	for i := from; ; {
		n := bytes.IndexByte(p[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		if n := emptyLine(p[i:]); n > 0 {
			return i + n
		}
	}
}

// emptyLine returns the octets of the empty line that p begins with, or 0.
func emptyLine(p []byte) int {
	switch {
	case len(p) > 0 && p[0] == '\n':
		return 1
	case len(p) > 1 && p[0] == '\r' && p[1] == '\n':
		return 2
	}
	return 0
}

// fields goes through the fields of a header: a field's first line, which has
// its name, and all its octets with those of the lines folded behind it.
func fields(header []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(line, field []byte) bool) {
		end := byte('\n')
		if bytes.IndexByte(header, '\n') < 0 {
			end = '\r' // from a Macintosh of the last century
		}
		for len(header) > 0 && emptyLine(header) == 0 && header[0] != end {
			first := nextLine(header, end)
			n := first
			for n < len(header) && (header[n] == ' ' || header[n] == '\t') {
				n += nextLine(header[n:], end)
			}
			if !yield(header[:first], header[:n]) {
				return
			}
			header = header[n:]
		}
	}
}

// nextLine returns the octets of the line that p begins with, and of its end.
func nextLine(p []byte, end byte) int {
	if i := bytes.IndexByte(p, end); i >= 0 {
		return i + 1
	}
	return len(p)
}
