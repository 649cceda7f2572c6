package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// snapshots goes through every tree, each blob of which once.
func (c *checker) snapshots(ctx context.Context) error {
	var list []Snapshot
	for _, account := range slices.Sorted(maps.Keys(c.state.Snapshots)) {
		list = append(list, c.state.Snapshots[account]...)
	}
	c.result.Snapshots = len(list)
	for i, s := range list {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		c.o.Progress(CheckProgress{"snapshots", int64(i), int64(len(list))})
		if c.vaults[s.Vault] == nil {
			continue
		}
		if err := c.snapshot(ctx, s); err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.found(snapshotName(s), "%v", err)
		}
	}
	return nil
}

func (c *checker) snapshot(ctx context.Context, s Snapshot) error {
	if c.seen[s.Root] {
		return nil
	}
	t, err := c.repo.OpenSnapshot(ctx, s)
	if err != nil {
		return err
	}
	v := c.vaults[s.Vault]
	var errs []error
	var counted int64
	if _, err := t.Details(ctx); err != nil {
		errs = append(errs, err)
	}
	for _, f := range t.Folders {
		counted += f.Messages
		if c.seen[f.id] {
			continue
		}
		if err := c.folder(ctx, v, f); err != nil {
			errs = append(errs, err)
			continue
		}
		c.seen[f.id] = true
	}
	if counted != s.Messages {
		errs = append(errs, fmt.Errorf("its folders hold %d messages where it says %d", counted, s.Messages))
	}
	if errs == nil {
		c.seen[s.Root] = true
	}
	return errors.Join(errs...)
}

func (c *checker) folder(ctx context.Context, v *vault, f *Folder) error {
	lost := 0
	var current BlobID // of the page at hand
	for list, err := range f.PageWise(ctx, func(id BlobID) bool { current = id; return c.seen[id] }) {
		if err != nil {
			return err
		}
		before := lost
		for _, m := range list {
			c.result.Messages++
			_, found, err := v.locate(ctx, m.Recipe)
			if err != nil {
				return err
			}
			if !found {
				lost++
			}
		}
		c.seen[current] = lost == before
	}
	flags := int64(0)
	for _, err := range f.Flags(ctx) {
		if err != nil {
			return err
		}
		flags++
	}
	if flags != f.Messages {
		return fmt.Errorf("folder %q: flags of %d messages where it says %d", f.Name(), flags, f.Messages)
	}
	if lost > 0 {
		return fmt.Errorf("folder %q: no pack has the recipes of %d messages", f.Name(), lost)
	}
	return nil
}
