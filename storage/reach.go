package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/ledger"
	"restante/storage/messages"
	"restante/storage/objects"
)

// A reach finds out which blobs of a vault snapshots need: it marks them in an
// index of the packs' own directories. Trees are gone through from the top, and
// what is marked was gone through; recipes are read afterwards, segment by
// segment in the order of the packs, so that each is fetched once. Memory does
// not grow with the number of blobs but by their marks.
type reach struct {
	v     *vault
	marks *index.Marks

	mu     sync.Mutex         // guards proven
	proven map[ulid.ULID]bool // packs whose own directory was read

	// first is told of blobs when they are marked; may be nil.
	first func(id BlobID) error
}

func newReach(v *vault) *reach { return &reach{v: v, proven: map[ulid.ULID]bool{}} }

// cover reads the directories of the live packs that were not read yet, from
// the packs themselves.
func (r *reach) cover(ctx context.Context, progress func(PruneProgress)) error {
	var packs []ledger.Pack
	var upTo uint64
	r.v.repo.ledger.View(func(s *ledger.State) {
		upTo = s.Next
		for id, p := range s.Packs {
			if p.Vault == r.v.id && !r.v.index.Covers(id) {
				packs = append(packs, p)
			}
		}
	})
	slices.SortFunc(packs, func(a, b ledger.Pack) int { return a.ID.Compare(b.ID) })
	const atOnce = 64
	for done := 0; done < len(packs); done += atOnce {
		progress(PruneProgress{"reading directories of packs", int64(done), int64(len(packs))})
		if err := r.v.coverFromPacks(ctx, packs[done:min(done+atOnce, len(packs))]); err != nil {
			return err
		}
	}
	r.v.covered.Store(upTo) // what cannot be read is not looked for in indexes
	r.mu.Lock()
	for _, p := range packs {
		if r.v.index.Covers(p.ID) {
			r.proven[p.ID] = true
		}
	}
	r.mu.Unlock()
	if r.marks == nil {
		var err error
		r.marks, err = r.v.index.Marks()
		return err
	}
	r.marks.Extend()
	return nil
}

// usable says whether a pack may be what keeps a blob.
func (r *reach) usable(id ulid.ULID) bool {
	r.mu.Lock()
	proven := r.proven[id]
	r.mu.Unlock()
	return proven && r.v.live(id)
}

// need marks a blob and says whether that is the first time.
func (r *reach) need(id BlobID, d domain) (first bool, err error) {
	where, found, first, err := r.marks.Mark(id, r.usable)
	if err != nil {
		return false, err
	}
	if !found || domainOf(where.Class) != d {
		return false, r.v.lost(id)
	}
	if first && r.first != nil {
		err = r.first(id)
	}
	return first, err
}

// tree returns a structure blob that was not gone through yet, or nil.
func (r *reach) tree(ctx context.Context, id BlobID) ([]byte, error) {
	first, err := r.need(id, structureDomain)
	if err != nil || !first {
		return nil, err
	}
	return r.v.load(ctx, id, structureDomain)
}

// snapshot marks what a snapshot's tree needs, but what its recipes name.
func (r *reach) snapshot(ctx context.Context, s Snapshot) error {
	b, err := r.tree(ctx, s.Root)
	if b == nil || err != nil {
		return err
	}
	var top root
	if err := decode.Unmarshal(b, &top); err != nil {
		return fmt.Errorf("blob %x: %w: %w", s.Root, ErrDamaged, err)
	}
	for _, id := range top.Details {
		if _, err := r.need(id, structureDomain); err != nil {
			return fmt.Errorf("details: %w", err)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, f := range top.Folders {
		g.Go(func() error {
			if err := r.folder(ctx, f.ID); err != nil {
				return fmt.Errorf("folder %q: %w", FolderName(f.Levels), err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (r *reach) folder(ctx context.Context, id BlobID) error {
	b, err := r.tree(ctx, id)
	if b == nil || err != nil {
		return err
	}
	f := new(Folder)
	if err := decode.Unmarshal(b, f); err != nil {
		return fmt.Errorf("blob %x: %w: %w", id, ErrDamaged, err)
	}
	if err := r.pages(ctx, f.MailList, r.messages); err != nil {
		return err
	}
	return r.pages(ctx, f.FlagList, func(_ context.Context, id BlobID) error {
		_, err := r.need(id, structureDomain)
		return err
	})
}

// pages goes through the pages of a list.
func (r *reach) pages(ctx context.Context, l pageList, each func(context.Context, BlobID) error) error {
	for _, ref := range l.refs {
		if !l.lists {
			if err := each(ctx, ref.ID); err != nil {
				return err
			}
			continue
		}
		b, err := r.tree(ctx, ref.ID)
		if err != nil {
			return err
		}
		part, err := parsePages(b)
		if err != nil {
			return fmt.Errorf("blob %x: %w: %w", ref.ID, ErrDamaged, err)
		}
		for _, p := range part {
			if err := each(ctx, p.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// messages marks the recipes of a page.
func (r *reach) messages(ctx context.Context, id BlobID) error {
	b, err := r.tree(ctx, id)
	if b == nil || err != nil {
		return err
	}
	list, err := parseMessagePage(b)
	if err != nil {
		return fmt.Errorf("blob %x: %w: %w", id, ErrDamaged, err)
	}
	for i := range list {
		if _, err := r.need(list[i].Recipe, recipeDomain); err != nil {
			return fmt.Errorf("UID %d: %w", list[i].UID, err)
		}
	}
	return nil
}

// contents marks what the recipes name that were marked since it was called
// last.
func (r *reach) contents(ctx context.Context, progress func(PruneProgress)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	var done atomic.Int64
	err := r.marks.Pending(pack.Recipes, func(segment index.Location, blobs []index.Place) error {
		g.Go(func() error {
			if err := r.recipes(ctx, segment, blobs); err != nil {
				return fmt.Errorf("pack %s, segment at %d: %w", segment.Pack, segment.Offset, err)
			}
			progress(PruneProgress{Step: "reading recipes", Done: done.Add(1)})
			return nil
		})
		return ctx.Err()
	})
	if waitErr := g.Wait(); waitErr != nil {
		return waitErr
	}
	return err
}

// recipes marks what recipes of one segment name. The segment is not kept: it
// is needed once.
func (r *reach) recipes(ctx context.Context, segment index.Location, blobs []index.Place) error {
	raw, err := r.v.readSegment(ctx, segment)
	if errors.Is(err, objects.ErrNotFound) {
		err = fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if err != nil {
		return err
	}
	for _, b := range blobs {
		if b.Start+b.Length > len(raw) || r.v.blobID(recipeDomain, raw[b.Start:][:b.Length]) != b.ID {
			return fmt.Errorf("recipe %x: %w", b.ID, ErrDamaged)
		}
		refs, err := messages.References(raw[b.Start:][:b.Length])
		if err != nil {
			return fmt.Errorf("recipe %x: %w: %w", b.ID, ErrDamaged, err)
		}
		for _, ref := range refs {
			if _, err := r.need(ref.ID, contentDomain); err != nil {
				return fmt.Errorf("recipe %x: %w", b.ID, err)
			}
		}
	}
	return nil
}
