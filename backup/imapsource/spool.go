package imapsource

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"

	"restante/backup"
)

// inMemory is how large a message may be, in octets, to be kept in memory
// while it is saved; a larger one is kept in a file.
const inMemory = 4 << 20

// maxMessage is how large a message may be at all: RFC822.SIZE has 32 bits in
// RFC 3501.
const maxMessage = 1 << 32

// A spool is a message on its way from the server into the archive.
type spool struct {
	io.ReaderAt
	size int64
	sum  backup.Sum
	file *os.File // nil: in memory
}

// readSpool reads size octets, whatever else the reader would give. Memory is
// taken as octets come, not as they are announced.
func readSpool(r io.Reader, size int64, tempDir string) (*spool, error) {
	if size > maxMessage {
		return nil, fmt.Errorf("the server announces a message of %d octets", size)
	}
	s := &spool{size: size}
	r = io.TeeReader(io.LimitReader(r, size), &s.sum)
	if size <= inMemory {
		var b bytes.Buffer
		b.Grow(int(min(size, 64<<10)))
		n, err := io.Copy(&b, r)
		if err == nil && n != size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		s.ReaderAt = bytes.NewReader(b.Bytes())
		return s, nil
	}
	f, err := os.CreateTemp(tempDir, "restante-message-*")
	if err != nil {
		return nil, &backup.LocalError{Err: fmt.Errorf("keep a message of %d octets: %w", size, err)}
	}
	if runtime.GOOS != "windows" {
		os.Remove(f.Name()) // so that nothing of it is left, whatever happens
	}
	s.ReaderAt, s.file = f, f
	n, err := io.Copy(localWriter{f}, r)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *spool) close() {
	if s != nil && s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}

// A localWriter marks errors of writing as our own, not the server's.
type localWriter struct{ w io.Writer }

func (l localWriter) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if err != nil {
		err = &backup.LocalError{Err: fmt.Errorf("keep a large message: %w", err)}
	}
	return n, err
}
