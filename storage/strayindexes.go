package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"restante/storage/ledger"
)

// removeDropped deletes indexes that an entry of the ledger dropped.
func (p *pruner) removeDropped(ctx context.Context, ids []ulid.ULID) error {
	for _, id := range ids {
		if err := p.delete(ctx, indexName(id)); err != nil {
			return fmt.Errorf("remove index %s: %w", id, err)
		}
		for _, info := range p.loose {
			if info.Name == indexName(id) {
				p.result.Freed += info.Size
			}
		}
	}
	return nil
}

// removeIndexes deletes indexes in the store that the ledger does not name and
// never will. Whoever writes an index names it in the same entry as a pack
// that is new: if the ledger knows all packs of an index, live or condemned,
// and not the index, then it was dropped, or that entry cannot come any more.
func (p *pruner) removeIndexes(ctx context.Context) error {
	for _, info := range p.loose {
		id, err := ulid.ParseStrict(info.Name[len("indexes/"):])
		if err != nil || indexName(id) != info.Name {
			continue
		}
		named := false
		p.repo.ledger.View(func(s *ledger.State) { _, named = s.Indexes[id] })
		if named {
			continue
		}
		packs, err := p.coveredBy(ctx, id)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			p.repo.log.Debug("an index that the ledger does not name cannot be read; it is left alone", "index", id, "error", err)
			continue
		}
		over := len(packs) > 0
		p.repo.ledger.View(func(s *ledger.State) {
			_, named := s.Indexes[id]
			over = over && !named
			for _, pack := range packs {
				_, live := s.Packs[pack]
				_, condemned := s.Condemned[pack]
				over = over && (live || condemned)
			}
		})
		if !over {
			continue
		}
		if err := p.delete(ctx, info.Name); err != nil {
			return fmt.Errorf("remove index %s: %w", id, err)
		}
		p.result.Freed += info.Size
	}
	return nil
}

// coveredBy reads which packs an index in the store covers, of whichever vault
// it is.
func (p *pruner) coveredBy(ctx context.Context, id ulid.ULID) (ids []ulid.ULID, err error) {
	err = errors.New("it is of a vault that no snapshot is in")
	for vault, v := range p.vaults {
		packs, readErr := v.v.readIndex(ctx, ledger.Index{ID: id, Vault: vault})
		if readErr != nil {
			err = readErr
			continue
		}
		for _, pack := range packs {
			ids = append(ids, pack.ID)
		}
		return ids, nil
	}
	return nil, err
}
