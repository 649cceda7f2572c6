package backup

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A Sum is the CRC-32C of octets as they come from a server. What keeps them
// until they are in the archive, memory most often, may change a bit meanwhile,
// and from then on nobody could tell: the server is not asked again, and all
// that follows is proven against what was kept. It is no protection against
// people. Octets are written to it; the zero value is that of none.
type Sum struct{ crc uint32 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *Sum) Write(p []byte) (int, error) {
	s.crc = crc32.Update(s.crc, castagnoli, p)
	return len(p), nil
}

// errChanged says that a message is not what came any more.
var errChanged = errors.New("it is not what the server sent any more: a bit changed on this machine before it was saved; is its memory sound?")

// unchanged proves that the body of a message is what came.
func (f *Fetched) unchanged() error {
	if f.Sum == nil {
		return nil
	}
	var now Sum
	if _, err := io.Copy(&now, io.NewSectionReader(f.Body, 0, f.Size)); err != nil {
		return fmt.Errorf("read it once more: %w", err)
	}
	if now != *f.Sum {
		return errChanged
	}
	return nil
}
