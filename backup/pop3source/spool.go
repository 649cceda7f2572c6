package pop3source

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"

	"restante/backup"
)

// inMemory is how many octets of a message are kept in memory until all of it
// has come; a larger one is kept in a file.
const inMemory = 1 << 20

// A spool takes one message after another. Its errors are our own, not the
// server's.
type spool struct {
	tempDir string
	buf     bytes.Buffer
	file    *os.File      // nil: all is in buf
	out     *bufio.Writer // to file: a message may come in pieces of two octets
	size    int64
	sum     backup.Sum
}

// clear makes room for the next message.
func (s *spool) clear() {
	s.drop()
	s.buf.Reset()
	s.size, s.sum = 0, backup.Sum{}
}

// drop lets go of the message at hand.
func (s *spool) drop() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
}

func (s *spool) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	s.sum.Write(p)
	if s.file == nil && s.buf.Len()+len(p) <= inMemory {
		return s.buf.Write(p)
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.tempDir, "restante-message-*")
		if err != nil {
			return 0, ours(err)
		}
		if runtime.GOOS != "windows" {
			os.Remove(f.Name()) // so that nothing of it is left, whatever happens
		}
		s.file = f
		s.out = bufio.NewWriterSize(f, 64<<10)
		if _, err := s.out.Write(s.buf.Bytes()); err != nil {
			return 0, ours(err)
		}
	}
	n, err := s.out.Write(p)
	if err != nil {
		err = ours(err)
	}
	return n, err
}

func ours(err error) error {
	return &backup.LocalError{Err: fmt.Errorf("keep a message while it is read: %w", err)}
}

// reader reads the message at hand, until the next one.
func (s *spool) reader() (io.ReaderAt, error) {
	if s.file == nil {
		return bytes.NewReader(s.buf.Bytes()), nil
	}
	if err := s.out.Flush(); err != nil {
		return nil, ours(err)
	}
	return s.file, nil
}

// A dotted is a message with a dot put before it.
type dotted struct{ io.ReaderAt }

func (d dotted) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 || len(p) == 0 {
		return d.ReaderAt.ReadAt(p, off-1)
	}
	p[0] = '.'
	n, err := d.ReaderAt.ReadAt(p[1:], 0)
	return n + 1, err
}
