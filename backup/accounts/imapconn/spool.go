package imapconn

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spool keeps bodies that came before their UID: the first octets in memory,
// the others in a temporary file that has no name where the system allows it.
// A nil spool is empty.
type spool struct {
	dir    string
	limit  int64
	mem    bytes.Buffer
	file   *os.File
	bodies []*spooled
	size   int64 // of all bodies
	taken  int
}

// maxSpool bounds what a server can put into the temporary directory. No
// message is larger: RFC 3501 has 32 bits for RFC822.SIZE.
const maxSpool = 1 << 32

// spooled is a body in a spool.
type spooled struct {
	io.Reader
	section string
	n       int64
}

func newSpool(dir string, limit int64) *spool { return &spool{dir: dir, limit: limit} }

// add reads a body of n octets. Nothing is allocated because n says so.
func (s *spool) add(section string, from io.Reader, n int64) error {
	if n > maxSpool-s.size {
		return broken("%d octets of a message whose UID has not come", n)
	}
	if s.file == nil && n > s.limit-s.size {
		if err := s.open(); err != nil {
			return fmt.Errorf("keep a message whose UID has not come: %w", err)
		}
	}
	var to io.Writer = &s.mem
	if s.file != nil {
		to = fileWriter{s.file}
	}
	if k, err := io.CopyN(to, from, n); err != nil {
		return fmt.Errorf("keep a message whose UID has not come: %d of %d octets: %w", k, n, err)
	}
	b := &spooled{section: section, n: n}
	if s.file != nil {
		b.Reader = io.NewSectionReader(s.file, s.size, n)
	} else {
		b.Reader = io.LimitReader(&s.mem, n)
	}
	s.bodies = append(s.bodies, b)
	s.size += n
	return nil
}

// open moves what is in memory to a file.
func (s *spool) open() error {
	file, err := os.CreateTemp(s.dir, "restante-message-*")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	// Removed at once where an open file may be; otherwise in Close.
	os.Remove(file.Name())
	s.file = file
	if _, err := (fileWriter{file}).Write(s.mem.Bytes()); err != nil {
		return err
	}
	var at int64
	for _, b := range s.bodies {
		b.Reader = io.NewSectionReader(file, at, b.n)
		at += b.n
	}
	s.mem = bytes.Buffer{}
	return nil
}

// A fileWriter marks errors of writing as our own.
type fileWriter struct{ file *os.File }

func (w fileWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrFile, err)
	}
	return n, err
}

// take returns the bodies one after the other.
func (s *spool) take() (*spooled, bool) {
	if s == nil || s.taken == len(s.bodies) {
		return nil, false
	}
	s.taken++
	return s.bodies[s.taken-1], true
}

// Close gives up the file.
func (s *spool) Close() error {
	if s == nil || s.file == nil {
		return nil
	}
	err := s.file.Close()
	os.Remove(s.file.Name())
	s.file = nil
	return err
}
