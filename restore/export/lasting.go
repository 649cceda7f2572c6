package export

import (
	"bytes"
	"io"

	"restante/storage/mailfiles"
)

// lasting passes on what of a message in an mbox mail programs do not change:
// all but the header fields of its state, and the '>'s before "From ".
type lasting struct {
	w      io.Writer
	begun  []byte // of the line at hand, not passed on yet
	within bool   // the beginning of the line was passed on, or left out
	header bool   // the header is not over
	state  bool   // this line, and those that continue it, are state
}

// enough is how much of a line tells what becomes of it.
const enough = 1 << 10

func (l *lasting) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece, ended := rest, false
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			piece, ended = rest[:i+1], true
		}
		rest = rest[len(piece):]
		if err := l.piece(piece, ended); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// piece takes a piece of a line; ended says that it is the last one.
func (l *lasting) piece(piece []byte, ended bool) error {
	if !l.within {
		l.begun = append(l.begun, piece...)
		if !ended && len(l.begun) < enough {
			return nil
		}
		piece, l.begun = l.beginning(l.begun), l.begun[:0]
	}
	l.within = !ended
	if l.state {
		return nil
	}
	_, err := l.w.Write(piece)
	return err
}

// beginning looks at the beginning of a line, and returns what is left of it.
func (l *lasting) beginning(line []byte) []byte {
	switch {
	case !l.header:
	case len(bytes.TrimRight(line, "\r\n")) == 0:
		l.header, l.state = false, false
	case line[0] != ' ' && line[0] != '\t':
		name, _, isField := bytes.Cut(line, []byte(":"))
		l.state = isField && mailfiles.IsState(bytes.TrimRight(name, " \t"))
	}
	if from := bytes.TrimLeft(line, ">"); bytes.HasPrefix(from, []byte("From ")) {
		return from
	}
	return line
}

// Close passes on a line that has no end.
func (l *lasting) Close() error {
	if len(l.begun) == 0 {
		return nil
	}
	return l.piece(nil, true)
}
