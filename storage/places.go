package storage

import (
	"context"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/ledger"
)

// place notes in the snapshots of a commit where their roots are.
func (w *Writer) place(c *ledger.Commit, written []index.Pack) {
	for i := range c.Snapshots {
		s := &c.Snapshots[i]
		if s.Where = placeIn(written, s.Root); s.Where != nil {
			continue
		}
		// Nothing changed, most often.
		w.repo.ledger.View(func(st *ledger.State) {
			for _, before := range st.Snapshots[s.Account] {
				if before.Root == s.Root && before.Where != nil && before.Vault == w.v.id {
					if _, live := st.Packs[before.Where.Pack]; live {
						s.Where = before.Where
					}
				}
			}
		})
		if s.Where != nil {
			continue
		}
		// What the local index has is enough: a reader can do without.
		if l, found, err := w.v.index.Lookup(s.Root, w.v.live); err == nil && found {
			s.Where = &ledger.Place{Pack: l.Pack, Offset: l.Offset, Box: l.Box, Raw: l.Raw, Start: l.Start, Length: l.Length}
		}
	}
}

// placeIn finds a blob of a tree in packs; nil if it is in none.
func placeIn(packs []index.Pack, id BlobID) *ledger.Place {
	for _, p := range packs {
		for _, s := range p.Directory {
			if s.Class != pack.Structure {
				continue
			}
			start := 0
			for i, length := range s.Lengths {
				if s.IDs[i] == id {
					return &ledger.Place{Pack: p.ID, Offset: s.Offset, Box: s.Box, Raw: s.Raw, Start: start, Length: int(length)}
				}
				start += int(length)
			}
		}
	}
	return nil
}

// loadRoot returns the root of a snapshot's tree: from where the ledger says
// that it is, without any index, or else as any other blob.
func (v *vault) loadRoot(ctx context.Context, s Snapshot) ([]byte, error) {
	if p := s.Where; p != nil && v.live(p.Pack) && p.Start >= 0 && p.Length >= 0 && p.Length <= p.Raw-p.Start {
		raw, err := v.segment(ctx, index.Location{Pack: p.Pack, Class: pack.Structure, Offset: p.Offset, Box: p.Box, Raw: p.Raw})
		if err == nil && p.Start+p.Length <= len(raw) {
			if octets := raw[p.Start:][:p.Length:p.Length]; v.blobID(structureDomain, octets) == s.Root {
				return octets, nil
			}
		}
	}
	return v.load(ctx, s.Root, structureDomain)
}
