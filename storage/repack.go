package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/internal/seal"
	"restante/storage/ledger"
	"restante/storage/objects"
)

const (
	// A batch of packs is rewritten before its entry is appended: what an
	// interruption costs, and what is remembered of each blob.
	batchBytes = 256 << 20
	batchBlobs = 1 << 19
)

// repack writes what is needed of packs that hold little of it into new packs,
// and then condemns the old ones, naming the new ones in the same entry. It
// does so batch by batch.
func (p *pruner) repack(ctx context.Context, total int64) error {
	done := int64(0)
	for _, vault := range slices.SortedFunc(maps.Keys(p.rewrite), func(a, b ID) int { return slices.Compare(a[:], b[:]) }) {
		for list := p.condemnable(p.rewrite[vault]); len(list) > 0; {
			n, size, blobs := 0, int64(0), 0
			for n < len(list) && (n == 0 || size < batchBytes && blobs < p.o.batch) {
				u := p.use[list[n]]
				size, blobs = size+u.neededBoxes, blobs+u.needed
				n++
			}
			v := p.vaults[vault]
			b := &batch{p: p, v: v, w: &Writer{repo: p.repo, v: v.v}, from: map[ulid.ULID]map[ulid.ULID]bool{}}
			for _, id := range list[:n] {
				p.o.Progress(PruneProgress{"rewriting packs", done, total})
				if err := b.take(ctx, p.use[id].Pack); err != nil {
					b.giveUp()
					return err
				}
				done++
			}
			if err := b.commit(ctx); err != nil {
				b.giveUp()
				return err
			}
			list = p.condemnable(list[n:])
		}
	}
	return nil
}

// A batch is packs that are rewritten together.
type batch struct {
	p *pruner
	v *reach
	w *Writer // for the octets of its objects; it saves nothing

	// from says of each old pack which new ones have its blobs.
	from   map[ulid.ULID]map[ulid.ULID]bool
	wanted []BlobID // of all of them: what the new packs must hold

	open    [pack.Structure + 1]movedDraft
	pack    *pack.Builder
	written []index.Pack
	index   *ledger.Index
	dropped []ulid.ULID
}

// A movedDraft is a segment in the making, and the packs its blobs come from.
type movedDraft struct {
	segmentDraft
	from map[ulid.ULID]bool
}

// take copies what is needed of a pack. One that is damaged is left as it is.
func (b *batch) take(ctx context.Context, old ledger.Pack) error {
	dir, err := b.v.v.readDirectory(ctx, old)
	if err != nil {
		return b.damaged(ctx, old, err)
	}
	wanted := len(b.wanted)
	b.from[old.ID] = map[ulid.ULID]bool{}
	for _, s := range dir {
		needed := make([]bool, len(s.IDs))
		count, start := 0, 0
		for i, id := range s.IDs {
			if needed[i], err = b.v.marks.Marked(id, old.ID, s.Offset, start); err != nil {
				return err
			}
			if needed[i] {
				count++
			}
			start += int(s.Lengths[i])
		}
		if count == 0 {
			continue
		}
		if err := b.move(ctx, old, s, needed, count); err != nil {
			b.wanted = b.wanted[:wanted]
			delete(b.from, old.ID)
			return b.damaged(ctx, old, err)
		}
	}
	return nil
}

// damaged notes a pack that cannot be copied, unless another prune has removed
// it; other errors it returns.
func (b *batch) damaged(ctx context.Context, old ledger.Pack, err error) error {
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMissing) {
		return err
	}
	if refreshErr := b.p.repo.ledger.Refresh(ctx); refreshErr != nil {
		return errors.Join(err, refreshErr)
	}
	if !b.v.v.live(old.ID) {
		return fmt.Errorf("%w: %w", err, errAgain)
	}
	b.p.repo.log.Error("a pack that should be written anew is damaged; it is left alone", "pack", old.ID, "error", err)
	b.p.result.Findings = append(b.p.result.Findings, Finding{packName(old.ID), err.Error()})
	return nil
}

// move copies a segment: the very box where all of it is needed, which its
// associated data allow on purpose, else the blobs that are.
func (b *batch) move(ctx context.Context, old ledger.Pack, s pack.Segment, needed []bool, count int) error {
	scope := &b.v.v.scope
	var box, raw []byte
	err := objects.Proven(func() (_ []byte, err error) {
		box, err = b.p.repo.store.Get(ctx, packName(old.ID), s.Offset, int64(s.Box))
		switch {
		case errors.Is(err, objects.ErrNotFound):
			return nil, fmt.Errorf("pack %s is %w: %w", old.ID, ErrMissing, err)
		case errors.Is(err, objects.ErrRange):
			return nil, fmt.Errorf("pack %s is %w: %w", old.ID, ErrDamaged, err)
		case err != nil:
			return nil, fmt.Errorf("read pack %s: %w", old.ID, err)
		}
		return box, nil
	}, func(box []byte) (err error) {
		if raw, err = scope.OpenSegment(s.Class, box, s.Raw); err != nil {
			return fmt.Errorf("pack %s, segment at %d: %w: %w", old.ID, s.Offset, ErrDamaged, err)
		}
		if err := b.v.v.proveBlobs(s, raw); err != nil {
			return fmt.Errorf("pack %s, segment at %d: %w", old.ID, s.Offset, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if count == len(s.IDs) {
		b.wanted = append(b.wanted, s.IDs...)
		return b.add(ctx, s.Class, box, s.Raw, s.IDs, s.Lengths, map[ulid.ULID]bool{old.ID: true})
	}
	d := &b.open[s.Class]
	for i, id := range s.IDs {
		blob := raw[:s.Lengths[i]]
		raw = raw[s.Lengths[i]:]
		if !needed[i] {
			continue
		}
		b.wanted = append(b.wanted, id)
		if len(d.raw) > 0 && len(d.raw)+len(blob) > b.w.target(s.Class) {
			if err := b.seal(ctx, s.Class); err != nil {
				return err
			}
		}
		if d.from == nil {
			d.from = map[ulid.ULID]bool{}
		}
		d.raw = append(d.raw, blob...)
		d.ids = append(d.ids, id)
		d.lengths = append(d.lengths, s.Lengths[i])
		d.from[old.ID] = true
	}
	return nil
}

// proveBlobs proves that the blobs of an opened segment are what their ids say.
func (v *vault) proveBlobs(s pack.Segment, raw []byte) error {
	for i, id := range s.IDs {
		if v.blobID(domainOf(s.Class), raw[:s.Lengths[i]]) != id {
			return fmt.Errorf("blob %x: %w", id, ErrDamaged)
		}
		raw = raw[s.Lengths[i]:]
	}
	return nil
}

// seal ends the segment of a class that is in the making.
func (b *batch) seal(ctx context.Context, c pack.Class) error {
	d := b.open[c]
	if len(d.ids) == 0 {
		return nil
	}
	b.open[c] = movedDraft{}
	box, err := b.v.v.scope.SealSegment(c, d.raw, seal.Good)
	if err != nil {
		return fmt.Errorf("seal %s: %w", c, err)
	}
	return b.add(ctx, c, box, len(d.raw), d.ids, d.lengths, d.from)
}

// add puts a segment into the new pack.
func (b *batch) add(ctx context.Context, c pack.Class, box []byte, raw int, ids []BlobID, lengths []uint32, from map[ulid.ULID]bool) error {
	if b.pack == nil {
		b.pack = pack.NewBuilder(&b.v.v.scope, newName())
	}
	b.pack.Add(c, box, raw, ids, lengths)
	for id := range from {
		if to := b.from[id]; to != nil { // else it turned out to be damaged, and stays
			to[b.pack.ID()] = true
		}
	}
	if b.pack.Full(b.p.repo.config.Pack) {
		return b.finish(ctx)
	}
	return nil
}

// finish writes the new pack and reads it back.
func (b *batch) finish(ctx context.Context) error {
	id := b.pack.ID()
	octets, _, err := b.pack.Finish()
	b.pack = nil
	if err != nil {
		return fmt.Errorf("finish a pack: %w", err)
	}
	size := int64(len(octets))
	b.written = append(b.written, index.Pack{ID: id, Size: size})
	b.p.unnamed[id] = true
	if err := b.p.repo.put(ctx, packName(id), octets); err != nil {
		return fmt.Errorf("write pack %s: %w", id, err)
	}
	dir, err := b.p.repo.prove(ctx, b.v.v, id, size)
	if err != nil {
		return b.p.taken(ctx, id, fmt.Errorf("pack %s cannot be read as it was written: %w", id, err))
	}
	b.written[len(b.written)-1].Directory = dir
	b.p.result.Written += size
	b.p.result.Freed -= size
	return nil
}

// taken explains the error of reading a pack that this prune wrote: where it is
// gone, another prune may have taken it for a stray.
func (p *pruner) taken(ctx context.Context, id ulid.ULID, err error) error {
	if !errors.Is(err, objects.ErrNotFound) {
		return err
	}
	if refreshErr := p.repo.ledger.Refresh(ctx); refreshErr != nil {
		return errors.Join(err, refreshErr)
	}
	condemned := false
	p.repo.ledger.View(func(s *ledger.State) { _, condemned = s.Condemned[id] })
	if condemned {
		return fmt.Errorf("%w: %w", err, errAgain)
	}
	return err
}

// prove reads a pack from the store, opens all that is in it, and returns its
// directory as it stands there.
func (r *Repository) prove(ctx context.Context, v *vault, id ulid.ULID, size int64) (dir pack.Directory, err error) {
	err = objects.Proven(func() ([]byte, error) { return r.store.Get(ctx, packName(id), 0, -1) }, func(octets []byte) (err error) {
		dir, err = v.prove(id, size, octets)
		return err
	})
	return dir, err
}

// prove opens all that is in a pack and returns its directory.
func (v *vault) prove(id ulid.ULID, size int64, octets []byte) (pack.Directory, error) {
	if int64(len(octets)) != size {
		return nil, fmt.Errorf("%d octets where there should be %d: %w", len(octets), size, ErrDamaged)
	}
	if err := pack.CheckHead(octets); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	dir, err := pack.ReadDirectory(&v.scope, id, size, func(offset, length int64) ([]byte, error) {
		if offset < 0 || offset+length > size {
			return nil, objects.ErrRange
		}
		return octets[offset:][:length], nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	for _, s := range dir {
		raw, err := v.scope.OpenSegment(s.Class, octets[s.Offset:][:s.Box], s.Raw)
		if err != nil {
			return nil, fmt.Errorf("segment at %d: %w: %w", s.Offset, ErrDamaged, err)
		}
		if err := v.proveBlobs(s, raw); err != nil {
			return nil, fmt.Errorf("segment at %d: %w", s.Offset, err)
		}
	}
	return dir, nil
}

// commit finishes the new packs, proves that they hold all that they must,
// indexes them, and condemns the old ones.
func (b *batch) commit(ctx context.Context) error {
	for c := range b.open {
		if err := b.seal(ctx, pack.Class(c)); err != nil {
			return err
		}
	}
	if b.pack != nil {
		if err := b.finish(ctx); err != nil {
			return err
		}
	}
	there := map[BlobID]bool{}
	for _, w := range b.written {
		for _, s := range w.Directory {
			for _, id := range s.IDs {
				there[id] = true
			}
		}
	}
	for _, id := range b.wanted {
		if !there[id] {
			return fmt.Errorf("blob %x is in none of the packs that it was moved to: %w", id, ErrMissing)
		}
	}
	if len(b.written) == 0 {
		return nil
	}
	if err := b.makeIndex(ctx); err != nil {
		return err
	}
	body, err := b.p.condemn(ctx, b.entry)
	if err != nil {
		return err
	}
	if body == nil {
		b.giveUp() // snapshots that came meanwhile need more of all of them
		return nil
	}
	for _, w := range b.written {
		b.p.use[w.ID] = &packUse{Pack: ledger.Pack{ID: w.ID, Vault: b.v.v.id, Size: w.Size}, needed: w.Directory.Blobs()}
	}
	for _, w := range b.written {
		delete(b.p.unnamed, w.ID)
	}
	b.written = nil
	var old []ulid.ULID
	for _, c := range body.Condemned {
		old = append(old, c.Pack)
	}
	if err := b.p.remove(ctx, old, &b.p.result.Rewritten); err != nil {
		return err
	}
	return b.p.removeDropped(ctx, body.Dropped)
}

// entry is what the ledger is told of the batch.
func (b *batch) entry(*ledger.State) *ledger.Condemn {
	body := &ledger.Condemn{Indexes: []ledger.Index{*b.index}, Dropped: slices.Clone(b.dropped)}
	for _, id := range b.p.condemnable(slices.SortedFunc(maps.Keys(b.from), ulid.ULID.Compare)) {
		relocated := slices.SortedFunc(maps.Keys(b.from[id]), ulid.ULID.Compare)
		body.Condemned = append(body.Condemned, ledger.Condemned{Pack: id, Relocated: relocated})
	}
	for _, w := range b.written {
		body.Packs = append(body.Packs, ledger.Pack{ID: w.ID, Vault: b.v.v.id, Size: w.Size, Blobs: w.Directory.Blobs()})
	}
	return body
}

// makeIndex writes an index of the new packs. It takes the place of those of
// whose packs more than half are condemned by then.
func (b *batch) makeIndex(ctx context.Context) error {
	var candidates []ledger.Index
	alive := map[ulid.ULID]bool{}
	b.p.repo.ledger.View(func(s *ledger.State) {
		for _, i := range s.Indexes {
			if i.Vault != b.v.v.id {
				continue
			}
			rest := 0
			for _, id := range i.Packs {
				if _, live := s.Packs[id]; live && b.from[id] == nil {
					alive[id] = true
					rest++
				}
			}
			if rest > 0 && rest < len(i.Packs)/2 {
				candidates = append(candidates, i)
			}
		}
	})
	slices.SortFunc(candidates, func(a, b ledger.Index) int { return cmp.Or(cmp.Compare(a.Size, b.Size), a.ID.Compare(b.ID)) })
	packs := slices.Clone(b.written)
	blobs := 0
	for _, w := range b.written {
		blobs += w.Directory.Blobs()
	}
	for _, i := range candidates {
		if blobs += int(i.Size / blobCost); blobs > mostBlobs {
			break
		}
		old, err := b.v.v.readIndex(ctx, i)
		if err != nil {
			b.p.repo.log.Warn("an index cannot be read; it is left as it is", "index", i.ID, "error", err)
			continue
		}
		for _, p := range old {
			if alive[p.ID] {
				packs = append(packs, p)
				delete(alive, p.ID)
			}
		}
		b.dropped = append(b.dropped, i.ID)
	}
	i, err := b.w.writeIndex(ctx, packs)
	if err != nil {
		return err
	}
	b.index = &i
	b.p.result.Written += i.Size
	b.p.result.Freed -= i.Size
	return nil
}

// giveUp leaves packs that were written and not named in the ledger to the
// next try, which condemns them before it removes them, as others' that were
// interrupted.
func (b *batch) giveUp() {
	for _, w := range b.written {
		b.p.abandoned = append(b.p.abandoned, w.ID)
		delete(b.p.unnamed, w.ID)
	}
	b.written = nil
}
