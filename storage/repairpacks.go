package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// A wreck is a live pack that is damaged or missing, and what can be had of it.
type wreck struct {
	pack ledger.Pack
	dir  pack.Directory // its own, or what an index says of it; nil: unknown
	good map[int64]bool // offsets of segments that can be read
}

// survey finds out what can be read of the packs that the check found
// something in.
func (x *repairer) survey(ctx context.Context) error {
	x.sizes = map[string]int64{}
	for info, err := range x.repo.store.List(ctx, "packs/", "") {
		if err != nil {
			return fmt.Errorf("list packs: %w", err)
		}
		x.sizes[info.Name] = info.Size
	}
	for i, p := range x.suspects {
		x.o.Progress(CheckProgress{"damaged packs", int64(i), int64(len(x.suspects))})
		v, err := x.repo.vault(ctx, p.Vault)
		if errors.Is(err, ErrMissing) || errors.Is(err, ErrDamaged) {
			continue // nothing of the vault can be read
		}
		if err == nil {
			// Now, since reading directories brings boxes into the cache as the store
			// has them, and a survey those that are better.
			err = v.withIndex(ctx, func() error { return nil })
		}
		if err == nil {
			err = x.surveyPack(ctx, v, p)
		}
		if err != nil {
			return fmt.Errorf("look through pack %s: %w", p.ID, err)
		}
	}
	return nil
}

// surveyPack finds out what can be read of one pack; if that is all, and the
// pack is as the ledger says, it is no wreck.
func (x *repairer) surveyPack(ctx context.Context, v *vault, p ledger.Pack) error {
	w := &wreck{pack: p, good: map[int64]bool{}}
	problem := ""
	size, there := x.sizes[packName(p.ID)]
	if !there {
		problem = "it is missing"
	} else if size != p.Size {
		problem = fmt.Sprintf("it has %d octets where it should have %d", size, p.Size)
	}
	var err error
	if w.dir, err = v.readDirectory(ctx, p); err != nil && !gone(err) {
		return err
	}
	if err != nil {
		if problem == "" {
			problem = "its directory cannot be read"
		}
		if w.dir, err = x.directoryElsewhere(ctx, v, p.ID); err != nil {
			return err
		}
	}
	lost, bad := 0, 0
	for _, s := range w.dir {
		box, kept, err := x.box(ctx, v, p.ID, s)
		if err != nil {
			return err
		}
		w.good[s.Offset] = box != nil
		if box == nil {
			lost += len(s.IDs)
		}
		if box == nil || kept {
			bad++
		}
	}
	if problem == "" && bad > 0 {
		problem = fmt.Sprintf("%d of %d segments cannot be read", bad, len(w.dir))
	}
	if problem == "" {
		head, err := x.repo.store.Get(ctx, packName(p.ID), 0, 16)
		if err != nil {
			return fmt.Errorf("read the head: %w", err)
		}
		if pack.CheckHead(head) != nil {
			problem = "its head is damaged"
		}
	}
	if problem == "" {
		return nil
	}
	x.wrecks[p.ID] = w
	d := DamagedPack{Pack: packName(p.ID), Problem: problem, Saved: w.dir.Blobs() - lost, Lost: lost, Unknown: w.dir == nil}
	if d.Unknown {
		d.Lost = p.Blobs
	}
	x.result.Packs = append(x.result.Packs, d)
	return nil
}

// gone says that an error is about what the store has, not about reaching it.
func gone(err error) bool { return errors.Is(err, ErrMissing) || errors.Is(err, ErrDamaged) }

// directoryElsewhere is a pack's directory as an index repeats it; nil where no
// index has it that can be read.
func (x *repairer) directoryElsewhere(ctx context.Context, v *vault, id ulid.ULID) (pack.Directory, error) {
	var indexes []ledger.Index
	x.repo.ledger.View(func(s *ledger.State) {
		for _, i := range s.Indexes {
			if slices.Contains(i.Packs, id) {
				indexes = append(indexes, i)
			}
		}
	})
	for _, i := range indexes {
		packs, err := v.readIndex(ctx, i)
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		for _, p := range packs { // none after an error
			if p.ID == id {
				return p.Directory, nil
			}
		}
	}
	return nil, nil
}

// box is a segment's box, from the pack or, which it says, from what this
// machine has kept, proven to hold what the directory says; nil where that is
// not to be had.
func (x *repairer) box(ctx context.Context, v *vault, id ulid.ULID, s pack.Segment) (box []byte, kept bool, err error) {
	proven := func(box []byte) bool {
		raw, err := v.scope.OpenSegment(s.Class, box, s.Raw)
		return err == nil && v.proveBlobs(s, raw) == nil
	}
	err = objects.Proven(func() (_ []byte, err error) {
		box, err = x.repo.store.Get(ctx, packName(id), s.Offset, int64(s.Box))
		return box, err
	}, func(box []byte) error {
		if !proven(box) {
			return ErrDamaged
		}
		return nil
	})
	if err == nil {
		return box, false, nil
	}
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, objects.ErrNotFound) && !errors.Is(err, objects.ErrRange) {
		return nil, false, err
	}
	if s.Class == pack.Structure {
		if box, err := x.opened.cache.get(structureName(id, s.Offset)); err == nil && proven(box) {
			x.repo.cache.put(structureName(id, s.Offset), box) // a plan reads it there
			return box, true, nil
		}
	}
	return nil, false, nil
}

// salvage copies what can be read of wrecks into new packs, and condemns them.
func (x *repairer) salvage(ctx context.Context) error {
	vaults, err := x.vaults(ctx)
	if err != nil {
		return err
	}
	for _, v := range vaults {
		s := &salvage{x: x, v: v, w: &Writer{repo: x.repo, v: v}, to: map[ulid.ULID][]ulid.ULID{}}
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("save what can be read of damaged packs: %w", err)
		}
	}
	return nil
}

// A salvage is the new packs of one vault.
type salvage struct {
	x       *repairer
	v       *vault
	w       *Writer // for the octets of its objects; it saves nothing
	open    *pack.Builder
	written []index.Pack
	to      map[ulid.ULID][]ulid.ULID // new packs of a wreck
}

func (s *salvage) run(ctx context.Context) error {
	for _, p := range s.x.suspects { // in order
		w := s.x.wrecks[p.ID]
		if w == nil || p.Vault != s.v.id {
			continue
		}
		s.to[p.ID] = []ulid.ULID{}
		for _, segment := range w.dir {
			if !w.good[segment.Offset] {
				continue
			}
			box, _, err := s.x.box(ctx, s.v, p.ID, segment)
			if err != nil {
				return err
			}
			if box == nil {
				return fmt.Errorf("pack %s, segment at %d: it could be read before: %w", p.ID, segment.Offset, ErrDamaged)
			}
			if err := s.add(ctx, p.ID, segment, box); err != nil {
				return err
			}
		}
	}
	if len(s.to) == 0 {
		return nil
	}
	if s.open != nil {
		if err := s.finish(ctx); err != nil {
			return err
		}
	}
	body := &ledger.Condemn{}
	if len(s.written) > 0 {
		i, err := s.w.writeIndex(ctx, s.written)
		if err != nil {
			return err
		}
		s.x.result.Written += i.Size
		body.Indexes = append(body.Indexes, i)
	}
	for _, p := range s.written {
		body.Packs = append(body.Packs, ledger.Pack{ID: p.ID, Vault: s.v.id, Size: p.Size, Blobs: p.Directory.Blobs()})
	}
	return s.x.repo.ledger.Append(ctx, func(state *ledger.State) (ledger.Body, error) {
		body.Condemned = nil
		for id, to := range s.to {
			if _, live := state.Packs[id]; !live {
				return nil, fmt.Errorf("pack %s was condemned meanwhile: %w", id, errAgain)
			}
			body.Condemned = append(body.Condemned, ledger.Condemned{Pack: id, Relocated: to})
		}
		slices.SortFunc(body.Condemned, func(a, b ledger.Condemned) int { return a.Pack.Compare(b.Pack) })
		body.Dropped = emptied(state, body)
		return body, nil
	})
}

// add copies a segment's very box, which its associated data allow on purpose.
func (s *salvage) add(ctx context.Context, from ulid.ULID, segment pack.Segment, box []byte) error {
	if s.open == nil {
		s.open = pack.NewBuilder(&s.v.scope, newName())
	}
	s.open.Add(segment.Class, box, segment.Raw, segment.IDs, segment.Lengths)
	if to := s.to[from]; len(to) == 0 || to[len(to)-1] != s.open.ID() {
		s.to[from] = append(to, s.open.ID())
	}
	if s.open.Full(s.x.repo.config.Pack) {
		return s.finish(ctx)
	}
	return nil
}

// finish writes a new pack and reads it back.
func (s *salvage) finish(ctx context.Context) error {
	id := s.open.ID()
	octets, _, err := s.open.Finish()
	s.open = nil
	if err != nil {
		return fmt.Errorf("finish a pack: %w", err)
	}
	if err := s.x.repo.put(ctx, packName(id), octets); err != nil {
		return fmt.Errorf("write pack %s: %w", id, err)
	}
	dir, err := s.x.repo.prove(ctx, s.v, id, int64(len(octets)))
	if err != nil {
		return fmt.Errorf("pack %s cannot be read as it was written: %w", id, err)
	}
	s.written = append(s.written, index.Pack{ID: id, Size: int64(len(octets)), Directory: dir})
	s.x.result.Written += int64(len(octets))
	return nil
}

// renewIndexes writes the damaged indexes anew, from the packs' own
// directories.
func (x *repairer) renewIndexes(ctx context.Context) error {
	for _, old := range x.indexes {
		v, err := x.repo.vault(ctx, old.Vault)
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		var packs []index.Pack
		live := slices.DeleteFunc(slices.Clone(old.Packs), func(id ulid.ULID) bool { return !v.live(id) })
		err = v.withIndex(ctx, func() (err error) {
			packs, err = v.index.Directories(live)
			return err
		})
		if err != nil {
			return fmt.Errorf("write index %s anew: %w", old.ID, err)
		}
		body := &ledger.Condemn{Dropped: []ulid.ULID{old.ID}}
		if len(packs) > 0 {
			i, err := (&Writer{repo: x.repo, v: v}).writeIndex(ctx, packs)
			if err != nil {
				return err
			}
			x.result.Written += i.Size
			body.Indexes = append(body.Indexes, i)
		}
		err = x.repo.ledger.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
			if _, there := s.Indexes[old.ID]; !there {
				return nil, errNothing // somebody else was faster
			}
			return body, nil
		})
		if err != nil && !errors.Is(err, errNothing) {
			return fmt.Errorf("name a new index: %w", err)
		}
	}
	return nil
}

// dead says that a segment is known to be unreadable.
func (x *repairer) dead(l index.Location) bool {
	w := x.wrecks[l.Pack]
	return w != nil && !w.good[l.Offset]
}

// has says whether a blob can be read, as far as is known.
func (x *repairer) has(ctx context.Context, v *vault, id BlobID, d domain) (index.Location, bool, error) {
	bad := map[ulid.ULID]bool{}
	for {
		l, found, err := v.locateOutside(ctx, id, bad)
		if err != nil || !found || domainOf(l.Class) != d {
			return l, false, err
		}
		if !x.dead(l) {
			return l, true, nil
		}
		bad[l.Pack] = true
	}
}
