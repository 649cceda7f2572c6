package restore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"restante/storage"
)

// A matcher finds out which of some messages a folder has. It remembers what
// it read, so that looking again after a lost connection costs little.
type matcher struct {
	repo  *storage.Repository
	vault storage.ID
	// known tells the recipes of messages in the folder that need not be read.
	known map[string]Known
	// read are digests of messages in the folder, archived of those in the
	// archive.
	read     map[string]digest
	archived map[storage.BlobID]digest
	// lasting is the Box's, if it is a ChangingBox.
	lasting func(io.Writer) io.WriteCloser
}

// A digest is what a message is recognised by. Loose is that of what any target
// keeps: some turn a bare LF into CRLF, a NUL into something else, or lose the
// CR that a message ends with, and what they have changed must not be added
// anew each time.
type digest struct{ exact, loose [sha256.Size]byte }

// digestOf reads octets to their end.
func (m *matcher) digestOf(read func(io.Writer) error) (d digest, size int64, err error) {
	exact, loose := sha256.New(), &looseWriter{w: sha256.New()}
	n := &counter{w: io.MultiWriter(exact, loose)}
	var lasting io.WriteCloser
	if m.lasting != nil {
		lasting = m.lasting(loose)
		n.w = io.MultiWriter(exact, lasting)
	}
	err = read(n)
	if err == nil && lasting != nil {
		err = lasting.Close()
	}
	if err != nil {
		return d, n.n, err
	}
	return digest{[sha256.Size]byte(exact.Sum(nil)), [sha256.Size]byte(loose.w.Sum(nil))}, n.n, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// A looseWriter hashes octets without CRs, without line ends at the end, and
// with 0x80 for NUL, as Dovecot writes it.
type looseWriter struct {
	w    hash.Hash
	ends int // line ends that are not hashed yet
	buf  []byte
}

func (l *looseWriter) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	for _, c := range p {
		switch c {
		case '\r':
			continue
		case '\n':
			l.ends++
			continue
		case 0:
			c = 0x80
		}
		for ; l.ends > 0; l.ends-- {
			l.buf = append(l.buf, '\n')
		}
		l.buf = append(l.buf, c)
	}
	l.w.Write(l.buf)
	return len(p), nil
}

func newMatcher(repo *storage.Repository, vault storage.ID) *matcher {
	return &matcher{repo: repo, vault: vault, known: map[string]Known{}, read: map[string]digest{}, archived: map[storage.BlobID]digest{}}
}

// Known is what a message in the target is known to be without reading it.
type Known struct {
	Recipe storage.BlobID
	// MessageID must be the message's there, too, or it is read after all.
	MessageID [4]byte
}

// missing returns the messages that the folder does not have. Each message in
// the folder stands for one, octet for octet: where the selection has two that
// are equal and the folder one, one is missing.
//
// Only candidates are read: those with the same Message-ID, those with none
// where some of the selection have none, and, since two parsers need not agree
// on what a Message-ID is, those of the same size where one side has none.
// Whether they are the same only their octets decide.
func (m *matcher) missing(ctx context.Context, box Box, selected []storage.Message) ([]storage.Message, error) {
	if c, ok := box.(ChangingBox); ok {
		m.lasting = c.Lasting
	}
	byID, bySize := map[[4]byte]bool{}, map[int64]bool{}
	bare := map[int64]bool{} // sizes of those without a Message-ID
	for i := range selected {
		bySize[selected[i].Size] = true
		if id := selected[i].MessageID; id != ([4]byte{}) {
			byID[id] = true
		} else {
			bare[selected[i].Size] = true
		}
	}
	there := map[storage.BlobID]int{}
	ids, sizes := map[[4]byte]bool{}, map[int64]bool{} // of what is there
	var candidates, toRead []string
	err := box.Present(ctx, func(p Present) error {
		id := storage.HashMessageID(p.MessageID)
		if k, ok := m.known[p.ID]; ok && k.MessageID == id {
			there[k.Recipe]++
			return nil
		}
		ids[id], sizes[p.Size] = true, true
		if byID[id] || bare[p.Size] || p.MessageID == "" && (len(bare) > 0 || bySize[p.Size]) {
			candidates = append(candidates, p.ID)
			if _, done := m.read[p.ID]; !done {
				toRead = append(toRead, p.ID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = box.Read(ctx, toRead, func(id string, size int64, octets io.Reader) error {
		d, n, err := m.digestOf(func(w io.Writer) error { _, err := io.Copy(w, octets); return err })
		if err == nil && n == size {
			m.read[id] = d
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	exact, loose := map[[sha256.Size]byte]int{}, map[[sha256.Size]byte]int{}
	for _, id := range candidates {
		if d, ok := m.read[id]; ok {
			exact[d.exact]++
			loose[d.loose]++
		}
	}

	// First what is the same octet for octet, then what the server has changed.
	var rest, missing []storage.Message
	for i := range selected {
		s := &selected[i]
		if there[s.Recipe] > 0 {
			there[s.Recipe]--
			continue
		}
		if len(exact) > 0 && (s.MessageID == ([4]byte{}) || ids[s.MessageID] || sizes[s.Size]) {
			d, err := m.digest(ctx, s)
			if err != nil {
				return nil, err
			}
			if exact[d.exact] > 0 {
				exact[d.exact]--
				loose[d.loose]--
				continue
			}
		}
		rest = append(rest, *s)
	}
	for i := range rest {
		if d, ok := m.archived[rest[i].Recipe]; ok && loose[d.loose] > 0 {
			loose[d.loose]--
			continue
		}
		missing = append(missing, rest[i])
	}
	return missing, nil
}

func (m *matcher) digest(ctx context.Context, s *storage.Message) (digest, error) {
	if d, ok := m.archived[s.Recipe]; ok {
		return d, nil
	}
	d, _, err := m.digestOf(func(w io.Writer) error { return m.repo.WriteMessage(ctx, w, m.vault, s.Recipe) })
	if errors.Is(err, storage.ErrMissing) || errors.Is(err, storage.ErrDamaged) {
		return digest{}, nil // like no message; it is named when it cannot be written
	}
	if err != nil {
		return digest{}, &archiveError{fmt.Errorf("UID %d: %w", s.UID, err)}
	}
	m.archived[s.Recipe] = d
	return d, nil
}
