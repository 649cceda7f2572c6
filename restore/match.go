package restore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"restante/storage"
)

// A matcher finds out which of some messages a folder has. It remembers what
// it read, so that looking again after a lost connection costs little.
type matcher struct {
	repo  *storage.Repository
	vault storage.ID
	// known tells the recipes of messages in the folder that need not be read.
	known map[string]storage.BlobID
	// read are digests of messages in the folder, archived of those in the
	// archive.
	read     map[string]digest
	archived map[storage.BlobID]digest
}

type digest struct {
	sum  [sha256.Size]byte
	size int64
}

func newMatcher(repo *storage.Repository, vault storage.ID) *matcher {
	return &matcher{repo: repo, vault: vault, known: map[string]storage.BlobID{}, read: map[string]digest{}, archived: map[storage.BlobID]digest{}}
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
	var candidates, toRead []string
	err := box.Present(ctx, func(p Present) error {
		if recipe, ok := m.known[p.ID]; ok {
			there[recipe]++
			return nil
		}
		if byID[storage.HashMessageID(p.MessageID)] || bare[p.Size] || p.MessageID == "" && (len(bare) > 0 || bySize[p.Size]) {
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
		h := sha256.New()
		n, err := io.Copy(h, octets)
		if err == nil && n == size {
			m.read[id] = digest{[sha256.Size]byte(h.Sum(nil)), n}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	digests, sizes := map[digest]int{}, map[int64]bool{}
	for _, id := range candidates {
		if d, ok := m.read[id]; ok {
			digests[d]++
			sizes[d.size] = true
		}
	}

	var rest []storage.Message
	for i := range selected {
		s := &selected[i]
		if there[s.Recipe] > 0 {
			there[s.Recipe]--
			continue
		}
		if sizes[s.Size] {
			d, err := m.digest(ctx, s)
			if err != nil {
				return nil, err
			}
			if digests[d] > 0 {
				digests[d]--
				continue
			}
		}
		rest = append(rest, *s)
	}
	return rest, nil
}

func (m *matcher) digest(ctx context.Context, s *storage.Message) (digest, error) {
	if d, ok := m.archived[s.Recipe]; ok {
		return d, nil
	}
	h := sha256.New()
	if err := m.repo.WriteMessage(ctx, h, m.vault, s.Recipe); err != nil {
		return digest{}, fmt.Errorf("UID %d: %w", s.UID, err)
	}
	d := digest{[sha256.Size]byte(h.Sum(nil)), s.Size}
	m.archived[s.Recipe] = d
	return d, nil
}
