package localsource

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"

	"restante/backup"
)

// inMemory is how many octets of a message are kept in memory while it is
// saved; a larger one is kept in a file.
const inMemory = 1 << 20

// A spool holds one message after another, each whole, so that what is saved
// is one state of it, whatever happens to its file meanwhile.
type spool struct {
	buf  []byte
	file *os.File // of the message at hand, or nil
}

// read reads a message to its end. The result is good until the next call.
func (s *spool) read(r io.Reader) (io.ReaderAt, int64, error) {
	s.drop()
	if s.buf == nil {
		s.buf = make([]byte, 64<<10)
	}
	n := 0
	for {
		got, err := r.Read(s.buf[n:])
		n += got
		switch {
		case err == io.EOF:
			return bytes.NewReader(s.buf[:n]), int64(n), nil
		case err != nil:
			return nil, 0, err
		case n < len(s.buf):
		case n < inMemory:
			s.buf = append(s.buf, make([]byte, n)...)
		default:
			return s.readFile(r)
		}
	}
}

// readFile goes on where the buffer is full.
func (s *spool) readFile(r io.Reader) (_ io.ReaderAt, _ int64, err error) {
	if s.file, err = os.CreateTemp("", "restante-message-*"); err != nil {
		return nil, 0, &backup.LocalError{Err: fmt.Errorf("keep a large message: %w", err)}
	}
	if runtime.GOOS != "windows" {
		os.Remove(s.file.Name()) // so that nothing of it is left, whatever happens
	}
	size, err := io.Copy(localWriter{s.file}, io.MultiReader(bytes.NewReader(s.buf), r))
	if err != nil {
		return nil, 0, err
	}
	return s.file, size, nil
}

// drop lets go of the message at hand.
func (s *spool) drop() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
}

// A localWriter marks errors of writing as our own, not the mail's.
type localWriter struct{ w io.Writer }

func (l localWriter) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if err != nil {
		err = &backup.LocalError{Err: fmt.Errorf("keep a large message: %w", err)}
	}
	return n, err
}
