package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/index"
	"restante/storage/internal/seal"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// ErrPruned says that something a snapshot builds on was removed while it was
// being made. The run must start again, from a parent that is there.
var ErrPruned = errors.New("what this run builds on was removed meanwhile")

func final(err error) bool {
	return errors.Is(err, objects.ErrRefused) || errors.Is(err, objects.ErrFull) || errors.Is(err, context.Canceled)
}

// NewID returns a new random id.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// mostUncovered is how many packs no index may cover: a reader with nothing
// at hand reads each one's directory.
const mostUncovered = 8

// Commit makes all that was saved durable and then brings the snapshots into
// the repository, all at once; superseded are partial snapshots that they
// complete. When it returns nil, and not before, they are there. It sets what
// was stored in the first snapshot's Stats.
//
// Bases are the snapshots, other than parents and superseded ones, whose trees
// the new ones share. The error is ErrPruned where one of them, or a pack, is
// no longer there.
//
// A member of a group waits a moment for others that commit, too. If ctx ends
// before they begin, nothing is committed.
func (w *Writer) Commit(ctx context.Context, snapshots []Snapshot, superseded, bases []ID) error {
	r := &commitRequest{member: w, snapshots: snapshots, superseded: superseded, bases: bases}
	if w.room != nil {
		return w.room.commit(ctx, r)
	}
	return w.commit(ctx, []*commitRequest{r})
}

// A commitRequest is what one member wants to have committed.
type commitRequest struct {
	member            *Writer
	snapshots         []Snapshot
	superseded, bases []ID
	begun             bool       // guarded by the room's mutex
	done              chan error // of a member of a group
}

// commit does what several members ask for in one entry.
func (w *Writer) commit(ctx context.Context, requests []*commitRequest) error {
	w.gate.Lock()
	defer w.gate.Unlock()
	if err := w.flush(); err != nil {
		return err
	}
	c := &ledger.Commit{}
	var bases []ID
	used := map[ulid.ULID]struct{}{}
	w.mu.Lock()
	written := w.written
	w.spread(written)
	for _, r := range requests {
		maps.Copy(used, r.member.used)
		if len(r.snapshots) > 0 {
			r.snapshots[0].Stats.Stored = r.member.stored
		}
		for i := range r.snapshots {
			if !r.snapshots[i].Parent.IsZero() {
				bases = append(bases, r.snapshots[i].Parent)
			}
		}
		c.Snapshots = append(c.Snapshots, r.snapshots...)
		c.Superseded = append(c.Superseded, r.superseded...)
		bases = append(bases, r.bases...)
		bases = append(bases, r.superseded...)
	}
	w.mu.Unlock()
	for _, p := range written {
		c.Packs = append(c.Packs, ledger.Pack{ID: p.ID, Vault: w.v.id, Size: p.Size, Blobs: p.Directory.Blobs()})
	}
	w.place(c, written)
	if err := w.gather(ctx, c, written); err != nil {
		return err
	}
	err := w.repo.ledger.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
		return c, check(s, c, bases, used)
	})
	if err != nil {
		return err
	}

	// The commit stands. What follows makes the next one cheaper.
	w.mu.Lock()
	w.written = w.written[len(written):]
	w.mu.Unlock()
	if err := w.v.index.Add(written, w.v.live); err != nil {
		w.v.uncover()
		w.repo.log.Warn("a table of the local index was damaged; it is made again", "error", err)
	}
	w.mu.Lock()
	clear(w.pending)
	clear(w.recent)
	w.mu.Unlock()
	for _, id := range c.Dropped {
		if err := w.repo.store.Delete(ctx, indexName(id)); err != nil {
			w.repo.log.Debug("an index that is no longer needed was not removed", "index", id, "error", err)
		}
	}
	octets := int64(0)
	for _, p := range written {
		octets += p.Size
	}
	if err := w.repo.ledger.Checkpoint(ctx, octets); err != nil {
		w.repo.log.Warn("no checkpoint was written; the next reader reads more", "error", err)
	}
	return nil
}

// check is what must hold in the state before a commit. FORMAT.md section 8,
// Writers.
func check(s *ledger.State, c *ledger.Commit, bases []ID, used map[ulid.ULID]struct{}) error {
	if len(bases) > 0 {
		there := map[ID]bool{}
		for _, list := range s.Snapshots {
			for i := range list {
				there[list[i].ID] = true
			}
		}
		for _, id := range bases {
			if !there[id] {
				return fmt.Errorf("snapshot %s: %w", id.Short(), ErrPruned)
			}
		}
	}
	fresh := map[ulid.ULID]bool{}
	for _, p := range c.Packs {
		fresh[p.ID] = true
	}
	for id := range used {
		_, condemned := s.Condemned[id]
		_, live := s.Packs[id]
		if condemned || !live && !fresh[id] {
			return fmt.Errorf("pack %s: %w", id, ErrPruned)
		}
	}
	return nil
}

// gather writes an index where many packs have none, and has it take the
// place of small ones, so that their number stays small, too.
func (w *Writer) gather(ctx context.Context, c *ledger.Commit, written []index.Pack) error {
	if len(written) == 0 {
		return nil
	}
	var old []ulid.ULID // packs to cover that are in the repository already
	var candidates []ledger.Index
	blobs := 0
	w.repo.ledger.View(func(s *ledger.State) {
		covered := map[ulid.ULID]bool{}
		for _, i := range s.Indexes {
			if i.Vault == w.v.id {
				candidates = append(candidates, i)
				for _, p := range i.Packs {
					covered[p] = true
				}
			}
		}
		for id, p := range s.Packs {
			if p.Vault == w.v.id && !covered[id] {
				old = append(old, id)
				blobs += p.Blobs
			}
		}
	})
	if len(old)+len(written) <= mostUncovered {
		return nil
	}
	for _, p := range written {
		blobs += p.Directory.Blobs()
	}
	slices.SortFunc(candidates, func(a, b ledger.Index) int { return cmp.Or(cmp.Compare(a.Size, b.Size), a.ID.Compare(b.ID)) })
	for _, i := range candidates {
		n := int(i.Size / blobCost)
		if n > 2*blobs || blobs+n > mostBlobs {
			break
		}
		blobs += n
		old = append(old, i.Packs...)
		c.Dropped = append(c.Dropped, i.ID)
	}
	old = slices.DeleteFunc(old, func(id ulid.ULID) bool { return !w.v.live(id) })
	var packs []index.Pack
	err := w.v.withIndex(ctx, func() (err error) {
		packs, err = w.v.index.Directories(old)
		return err
	})
	if err != nil {
		return fmt.Errorf("gather an index: %w", err)
	}
	i, err := w.writeIndex(ctx, append(packs, written...))
	if err != nil {
		return err
	}
	c.Indexes = append(c.Indexes, i)
	return nil
}

const (
	blobCost  = 19      // octets of an index per blob, about
	mostBlobs = 1 << 20 // in one index, so that it stays well below an object's limit
)

func (w *Writer) writeIndex(ctx context.Context, packs []index.Pack) (ledger.Index, error) {
	i := ledger.Index{ID: newName(), Vault: w.v.id}
	for _, p := range packs {
		i.Packs = append(i.Packs, p.ID)
	}
	box, err := w.repo.sealer.Seal(nil, w.v.scope.Key, seal.Index, append(w.v.id[:], i.ID[:]...), index.Append(nil, packs), seal.Options{})
	if err != nil {
		return i, fmt.Errorf("seal an index: %w", err)
	}
	if err := w.repo.put(ctx, indexName(i.ID), box); err != nil {
		return i, fmt.Errorf("write an index: %w", err)
	}
	i.Size = int64(len(box))
	w.mu.Lock()
	w.stored += i.Size
	w.mu.Unlock()
	return i, nil
}
