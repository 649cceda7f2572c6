package storage

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/singleflight"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/internal/seal"
	"restante/storage/messages"
	"restante/storage/objects"
)

// segmentCache keeps opened segments, those used last.
type segmentCache struct {
	limit  int64
	flight singleflight.Group

	mu    sync.Mutex // guards what follows
	size  int64
	order *list.List // of *openSegment, used last first
	byKey map[segmentKey]*list.Element
}

type segmentKey struct {
	pack   ulid.ULID
	offset int64
}

type openSegment struct {
	key segmentKey
	raw []byte
}

func newSegmentCache(limit int64) *segmentCache {
	return &segmentCache{limit: limit, order: list.New(), byKey: map[segmentKey]*list.Element{}}
}

func (c *segmentCache) get(k segmentKey) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[k]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*openSegment).raw, true
}

func (c *segmentCache) put(k segmentKey, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[k]; ok {
		return
	}
	c.byKey[k] = c.order.PushFront(&openSegment{k, raw})
	c.size += int64(len(raw))
	for c.size > c.limit && c.order.Len() > 1 {
		old := c.order.Remove(c.order.Back()).(*openSegment)
		delete(c.byKey, old.key)
		c.size -= int64(len(old.raw))
	}
}

func (c *segmentCache) forget(k segmentKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[k]; ok {
		c.order.Remove(e)
		delete(c.byKey, k)
		c.size -= int64(len(e.Value.(*openSegment).raw))
	}
}

// A givenUp error is of somebody who reads no longer, since its context ended.
type givenUp struct{ error }

func (e *givenUp) Unwrap() error { return e.error }

// segment returns the blobs of a segment. They must not be changed. Of several
// that want it at the same time one reads it; where that one gives up, another
// does.
func (v *vault) segment(ctx context.Context, l index.Location) ([]byte, error) {
	k := segmentKey{l.Pack, l.Offset}
	if raw, ok := v.repo.segments.get(k); ok {
		return raw, nil
	}
	for {
		got, err, _ := v.repo.segments.flight.Do(fmt.Sprint(k), func() (any, error) {
			if raw, ok := v.repo.segments.get(k); ok {
				return raw, nil
			}
			raw, err := v.readSegment(ctx, l)
			switch {
			case err == nil:
				v.repo.segments.put(k, raw)
			case ctx.Err() != nil:
				err = &givenUp{err}
			}
			return raw, err
		})
		if err == nil {
			return got.([]byte), nil
		}
		if _, up := errors.AsType[*givenUp](err); !up || ctx.Err() != nil {
			return nil, err
		}
	}
}

func structureName(p ulid.ULID, offset int64) string {
	return fmt.Sprintf("structure/%s-%d", p, offset)
}

func (v *vault) readSegment(ctx context.Context, l index.Location) ([]byte, error) {
	if l.Class == pack.Structure {
		name := structureName(l.Pack, l.Offset)
		if box, err := v.repo.cache.get(name); err == nil {
			if raw, err := v.scope.OpenSegment(l.Class, box, l.Raw); err == nil {
				v.repo.cache.used(name)
				return raw, nil
			}
			v.repo.cache.remove(name)
		}
	}
	var box, raw []byte
	err := objects.Proven(func() (_ []byte, err error) {
		if box, err = v.repo.store.Get(ctx, packName(l.Pack), l.Offset, int64(l.Box)); err == nil {
			return box, nil
		}
		if errors.Is(err, objects.ErrRange) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, fmt.Errorf("pack %s: %w", l.Pack, err)
	}, func(box []byte) (err error) {
		if raw, err = v.scope.OpenSegment(l.Class, box, l.Raw); err == nil {
			return nil
		}
		if errors.Is(err, seal.ErrOpen) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return fmt.Errorf("pack %s, segment at %d: %w", l.Pack, l.Offset, err)
	})
	if err != nil {
		return nil, err
	}
	if l.Class == pack.Structure {
		v.repo.cache.put(structureName(l.Pack, l.Offset), box)
	}
	return raw, nil
}

// mostMoves is how often a blob is looked for anew because it was moved.
const mostMoves = 8

// load returns a blob's octets, proven to be those that its id names. They
// must not be changed.
func (v *vault) load(ctx context.Context, id BlobID, d domain) ([]byte, error) {
	for i := 0; ; i++ {
		known := v.repo.ledger.Entries()
		octets, err := v.loadOnce(ctx, id, d)
		if err == nil || i == mostMoves || !errors.Is(err, ErrMissing) && !errors.Is(err, objects.ErrNotFound) {
			return octets, err
		}
		// Somebody may have moved it; the ledger knows where to. It may be
		// moved again before it is read there. Where nothing was appended
		// since, it is gone.
		if refreshErr := v.repo.ledger.Refresh(ctx); refreshErr != nil {
			return nil, errors.Join(err, refreshErr)
		}
		if i > 0 && v.repo.ledger.Entries() == known {
			return nil, err
		}
	}
}

func (v *vault) loadOnce(ctx context.Context, id BlobID, d domain) ([]byte, error) {
	bad := map[ulid.ULID]bool{}
	var first error
	for {
		octets, l, err := v.read(ctx, id, d, bad)
		if err == nil {
			return octets, nil
		}
		first = cmp.Or(first, err)
		if l.Pack.IsZero() || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMissing) {
			return nil, first
		}
		if l.Class == pack.Structure && v.repo.cache.remove(structureName(l.Pack, l.Offset)) {
			// A box in the cache opens in the place of any other of its vault
			// and length. What counts is in the store.
			v.repo.segments.forget(segmentKey{l.Pack, l.Offset})
			continue
		}
		// Two machines may have stored it at the same time: another pack may
		// have it, too.
		bad[l.Pack] = true
	}
}

// read returns a blob's octets and where they are, which is in none of the bad
// packs.
func (v *vault) read(ctx context.Context, id BlobID, d domain, bad map[ulid.ULID]bool) ([]byte, index.Location, error) {
	l, found, err := v.locateOutside(ctx, id, bad)
	if err != nil {
		return nil, l, err
	}
	if !found || domainOf(l.Class) != d {
		return nil, l, v.lost(id)
	}
	raw, err := v.segment(ctx, l)
	if errors.Is(err, objects.ErrNotFound) {
		return nil, l, fmt.Errorf("blob %x is %w: %w", id, ErrMissing, err)
	}
	if err != nil {
		return nil, l, fmt.Errorf("blob %x: %w", id, err)
	}
	if l.Start+l.Length > len(raw) {
		return nil, l, fmt.Errorf("blob %x: pack %s, segment at %d: %w", id, l.Pack, l.Offset, ErrDamaged)
	}
	octets := raw[l.Start:][:l.Length:l.Length]
	if v.blobID(d, octets) != id {
		return nil, l, fmt.Errorf("blob %x: pack %s, segment at %d: %w", id, l.Pack, l.Offset, ErrDamaged)
	}
	return octets, l, nil
}

// WriteMessage writes the octets of the message with this recipe to w. After
// an error, what was written is not the message.
func (r *Repository) WriteMessage(ctx context.Context, w io.Writer, vaultID ID, recipe BlobID) error {
	v, err := r.vault(ctx, vaultID)
	if err != nil {
		return err
	}
	octets, err := v.load(ctx, recipe, recipeDomain)
	if err != nil {
		return err
	}
	return messages.Join(w, octets, func(id BlobID) ([]byte, error) { return v.load(ctx, id, contentDomain) })
}
