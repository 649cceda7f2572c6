package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"restante/storage/internal/index"
	"restante/storage/ledger"
)

// packs proves that every live pack is there with the right size and a
// directory that opens, and indexes them anew.
func (c *checker) packs(ctx context.Context) error {
	sizes := map[string]int64{}
	for info, err := range c.repo.store.List(ctx, "packs/", "") {
		if err != nil {
			return fmt.Errorf("list packs: %w", err)
		}
		sizes[info.Name] = info.Size
	}
	var list []ledger.Pack
	for _, id := range slices.SortedFunc(maps.Keys(c.state.Packs), ulid.ULID.Compare) {
		p := c.state.Packs[id]
		name := packName(id)
		size, there := sizes[name]
		delete(sizes, name)
		c.result.Packs++
		c.result.PackBytes += p.Size
		switch {
		case !there:
			c.found(name, "the pack is missing; %d blobs are in it", p.Blobs)
		case size != p.Size:
			c.found(name, "the pack has %d octets where it should have %d", size, p.Size)
		case c.vaults[p.Vault] != nil:
			list = append(list, p)
		}
	}
	for name := range sizes {
		id, err := ulid.ParseStrict(name[len("packs/"):])
		if _, condemned := c.state.Condemned[id]; err != nil || !condemned {
			c.result.Unneeded++
		}
	}
	var mu sync.Mutex
	read := map[*vault][]index.Pack{}
	add := func(v *vault) error {
		mu.Lock()
		batch := read[v]
		delete(read, v)
		mu.Unlock()
		err := v.index.Add(batch, func(ulid.ULID) bool { return true })
		if errors.Is(err, index.ErrDamaged) { // of the temporary index; it is made again
			return nil
		}
		return err
	}
	err := c.eachPack(ctx, "packs", list, func(ctx context.Context, v *vault, p ledger.Pack) error {
		d, err := v.readDirectory(ctx, p)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.found(packName(p.ID), "%v", err)
			return nil
		}
		if d.Blobs() != p.Blobs {
			c.found(packName(p.ID), "its directory lists %d blobs where the ledger says %d", d.Blobs(), p.Blobs)
		}
		mu.Lock()
		read[v] = append(read[v], index.Pack{ID: p.ID, Size: p.Size, Directory: d})
		full := len(read[v]) == 16 // a table for each pack would be many files
		mu.Unlock()
		if full {
			return add(v)
		}
		return nil
	})
	for _, v := range c.vaults {
		err = errors.Join(err, add(v))
	}
	return err
}

// eachPack does something for each pack, several at a time.
func (c *checker) eachPack(ctx context.Context, step string, list []ledger.Pack, do func(context.Context, *vault, ledger.Pack) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	var done atomic.Int64
	for _, p := range list {
		g.Go(func() error {
			if err := do(ctx, c.vaults[p.Vault], p); err != nil {
				return err
			}
			c.o.Progress(CheckProgress{step, done.Add(1), int64(len(list))})
			return nil
		})
	}
	return g.Wait()
}

// indexes proves that indexes say what the packs' directories say.
func (c *checker) indexes(ctx context.Context) error {
	for id, i := range c.state.Indexes {
		c.result.Indexes++
		v := c.vaults[i.Vault]
		if v == nil {
			continue
		}
		packs, err := v.readIndex(ctx, i)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.found(indexName(id), "%v; the packs' own directories are used instead", err)
			continue
		}
		var want []index.Pack
		err = v.withIndex(ctx, func() (err error) {
			want, err = v.index.Directories(i.Packs)
			return err
		})
		if err != nil {
			return err
		}
		same := map[ulid.ULID][]byte{}
		for _, p := range want {
			same[p.ID] = p.Directory.Append(nil)
		}
		for _, p := range packs {
			if d, ok := same[p.ID]; ok && !slices.Equal(d, p.Directory.Append(nil)) {
				c.found(indexName(id), "what it says of pack %s is not what the pack says", p.ID)
			}
		}
	}
	return nil
}
