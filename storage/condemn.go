package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"restante/storage/ledger"
)

// perCondemn is how many packs one entry condemns.
const perCondemn = 4096

// errMoved ends an append: the ledger has entries that were not gone through.
var errMoved = errors.New("the ledger has grown")

// condemn appends a condemn entry that takes account of every entry before it.
// Propose makes it from the state, and is asked again each time that others
// were faster; with nothing to condemn nothing is appended, and the entry is
// nil.
func (p *pruner) condemn(ctx context.Context, propose func(s *ledger.State) *ledger.Condemn) (*ledger.Condemn, error) {
	for {
		var body *ledger.Condemn
		err := p.repo.ledger.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
			if s.Next != p.upTo {
				return nil, errMoved
			}
			if body = propose(s); len(body.Condemned) == 0 {
				return nil, errNothing
			}
			body.Dropped = append(body.Dropped, emptied(s, body)...)
			return body, nil
		})
		switch {
		case err == nil:
			p.upTo = p.repo.ledger.Entries()
			for _, c := range body.Condemned {
				p.known[c.Pack] = true
			}
			return body, nil
		case errors.Is(err, errNothing):
			return nil, nil
		case !errors.Is(err, errMoved):
			return nil, err
		}
		if err := p.catchUp(ctx); err != nil {
			return nil, err
		}
	}
}

// emptied are the indexes all of whose packs are condemned by then.
func emptied(s *ledger.State, body *ledger.Condemn) (ids []ulid.ULID) {
	going := map[ulid.ULID]bool{}
	for _, c := range body.Condemned {
		going[c.Pack] = true
	}
	for id, i := range s.Indexes {
		alive := func(p ulid.ULID) bool {
			_, there := s.Packs[p]
			return there && !going[p]
		}
		if !slices.ContainsFunc(i.Packs, alive) && !slices.Contains(body.Dropped, id) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, ulid.ULID.Compare)
	return ids
}

// catchUp takes in what others appended to the ledger. Packs that hold a blob
// which was not needed before, and is now, are spared; strays that their writer
// has committed are among them.
func (p *pruner) catchUp(ctx context.Context) error {
	if err := p.repo.ledger.Refresh(ctx); err != nil {
		return err
	}
	var moved ulid.ULID
	p.repo.ledger.View(func(s *ledger.State) {
		for id := range s.Condemned {
			if p.known[id] {
				continue
			}
			// Another prune was faster. What it condemned is not condemned
			// again; where it moved or dropped what this one counts on, all
			// that was found out is void.
			p.known[id], p.spared[id] = true, true
			if p.countsOn(id) {
				moved = id
			}
		}
	})
	if moved != (ulid.ULID{}) {
		return fmt.Errorf("pack %s was condemned meanwhile: %w", moved, errAgain)
	}
	return p.takeIn(ctx)
}

// spareHolders spares the packs that have a copy of a blob.
func (p *pruner) spareHolders(v *reach) func(BlobID) error {
	return func(id BlobID) error {
		holders, err := v.marks.Holders(id)
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, pack := range holders {
			p.spared[pack] = true
		}
		return err
	}
}

// countsOn says whether a pack keeps blobs that this prune has marked, or
// wrote.
func (p *pruner) countsOn(id ulid.ULID) bool {
	if u := p.use[id]; u != nil {
		return u.needed > 0
	}
	if p.unnamed[id] {
		return true // to another prune it was a stray
	}
	for _, v := range p.vaults {
		if v.proven[id] {
			return true // it came in since, and was gone through
		}
	}
	return false
}

// condemnable leaves out what was spared.
func (p *pruner) condemnable(ids []ulid.ULID) (list []ulid.ULID) {
	for _, id := range ids {
		if !p.spared[id] {
			list = append(list, id)
		}
	}
	return list
}

// condemnUnneeded condemns and removes the packs that nobody needs, and those
// that the ledger does not name: if their writer is alive, it learns from the
// entry that it must begin again.
func (p *pruner) condemnUnneeded(ctx context.Context) error {
	stray := map[ulid.ULID]bool{}
	for _, id := range p.strays {
		stray[id] = true
	}
	all := slices.Concat(p.unneeded, p.strays)
	for part := range slices.Chunk(all, perCondemn) {
		body, err := p.condemn(ctx, func(*ledger.State) *ledger.Condemn {
			body := new(ledger.Condemn)
			for _, id := range p.condemnable(part) {
				body.Condemned = append(body.Condemned, ledger.Condemned{Pack: id})
			}
			return body
		})
		if body == nil || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		var unneeded, strays []ulid.ULID
		for _, c := range body.Condemned {
			if stray[c.Pack] {
				strays = append(strays, c.Pack)
			} else {
				unneeded = append(unneeded, c.Pack)
			}
		}
		if err := errors.Join(p.remove(ctx, unneeded, &p.result.Unneeded), p.remove(ctx, strays, &p.result.Stray)); err != nil {
			return err
		}
		if err := p.removeDropped(ctx, body.Dropped); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes packs that are condemned, and counts them. One that is not
// removed now is a leftover for the next prune.
func (p *pruner) remove(ctx context.Context, ids []ulid.ULID, count *Amount) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, id := range ids {
		p.o.Progress(PruneProgress{"removing packs", int64(i), int64(len(ids))})
		g.Go(func() error {
			if err := p.delete(ctx, packName(id)); err != nil {
				return fmt.Errorf("remove pack %s: %w", id, err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if info, listed := p.listed[id]; listed {
				count.add(info.Size)
				p.result.Freed += info.Size
			}
			return nil
		})
	}
	return g.Wait()
}

// delete deletes an object that nobody needs any more. To do it twice is as
// good as once.
func (p *pruner) delete(ctx context.Context, name string) error {
	var err error
	for i := range 4 {
		if err = p.repo.store.Delete(ctx, name); err == nil || final(err) {
			return err
		}
		if waitErr := ledger.Pause(ctx, i); waitErr != nil {
			return errors.Join(err, waitErr)
		}
	}
	return err
}
