package storage

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
	"restante/storage/ledger"
	"restante/storage/messages"
	"restante/storage/objects"
)

// data reads every blob of a share of the packs.
func (c *checker) data(ctx context.Context) error {
	if c.o.ReadData <= 0 && c.o.ReadShare == nil {
		return nil
	}
	bad := map[string]bool{}
	for _, f := range c.result.Findings {
		bad[f.Object] = true
	}
	var list []ledger.Pack
	for id, p := range c.state.Packs {
		if c.vaults[p.Vault] != nil && !bad[packName(id)] && c.reads(id) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b ledger.Pack) int { return a.ID.Compare(b.ID) })
	return c.eachPack(ctx, "data", list, func(ctx context.Context, v *vault, p ledger.Pack) error {
		read := 0
		err := objects.Proven(func() ([]byte, error) {
			b, err := c.repo.store.Get(ctx, packName(p.ID), 0, -1)
			read = len(b)
			return b, err
		}, func(b []byte) error { return v.checkPack(ctx, p, b) })
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if read > 0 {
			c.mu.Lock()
			c.result.PacksRead++
			c.result.BytesRead += int64(read)
			c.mu.Unlock()
		}
		if err != nil {
			c.found(packName(p.ID), "%v", err)
		}
		return nil
	})
}

// reads says whether a pack is to be read.
func (c *checker) reads(id ulid.ULID) bool {
	return c.o.ReadShare != nil && c.o.ReadShare.turn(id) || c.o.ReadData > 0 && chance() < c.o.ReadData
}

// chance is a random number from 0 to 1.
func chance() float64 {
	var b [8]byte
	rand.Read(b[:])
	return float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
}

// checkPack proves every segment and blob of a pack, and that what its recipes
// refer to is in a live pack.
func (v *vault) checkPack(ctx context.Context, p ledger.Pack, b []byte) error {
	if err := pack.CheckHead(b); err != nil {
		return err
	}
	d, err := pack.ReadDirectory(&v.scope, p.ID, int64(len(b)), func(offset, length int64) ([]byte, error) {
		if offset < 0 || offset+length > int64(len(b)) {
			return nil, objects.ErrRange
		}
		return b[offset:][:length], nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range d {
		raw, err := v.scope.OpenSegment(s.Class, b[s.Offset:][:s.Box], s.Raw)
		if err != nil {
			errs = append(errs, fmt.Errorf("%d blobs of %s at %d: %w", len(s.IDs), s.Class, s.Offset, err))
			continue
		}
		for i, id := range s.IDs {
			blob := raw[:s.Lengths[i]]
			raw = raw[s.Lengths[i]:]
			if v.blobID(domainOf(s.Class), blob) != id {
				errs = append(errs, fmt.Errorf("blob %x: %w", id, ErrDamaged))
				continue
			}
			if s.Class == pack.Recipes {
				if err := v.checkRecipe(ctx, blob); err != nil {
					errs = append(errs, fmt.Errorf("recipe %x: %w", id, err))
				}
			}
		}
	}
	return errors.Join(errs...)
}

func (v *vault) checkRecipe(ctx context.Context, recipe []byte) error {
	refs, err := messages.References(recipe)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		l, found, err := v.locate(ctx, ref.ID)
		if err != nil {
			return err
		}
		if !found || domainOf(l.Class) != contentDomain {
			return fmt.Errorf("part %x is %w", ref.ID, ErrMissing)
		}
		if int64(l.Length) != ref.Size {
			return fmt.Errorf("part %x has %d octets where the recipe says %d: %w", ref.ID, l.Length, ref.Size, ErrDamaged)
		}
	}
	return nil
}
