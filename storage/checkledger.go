package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"restante/storage/ledger"
	"restante/storage/objects"
)

// ledger reads the whole ledger, whatever caches and checkpoints say.
func (c *checker) ledger(ctx context.Context) error {
	c.o.Progress(CheckProgress{Step: "ledger"})
	b, err := c.repo.store.Get(ctx, configName, 0, -1)
	switch {
	case errors.Is(err, objects.ErrNotFound):
		c.found(configName, "it is missing; without it nobody can open the repository who has no cache of it")
	case err != nil:
		return fmt.Errorf("read %s: %w", configName, err)
	}
	// Entry 0 says which config it is; the one at hand may be out of a damaged
	// cache.
	l := ledger.New(c.repo.store, boxes{c.repo}, sha256.Sum256(b), "check")
	err = l.Complete(ctx)
	if sha256.Sum256(b) != c.repo.configSum && errors.Is(err, ledger.ErrChain) && l.Entries() == 0 {
		if b != nil {
			c.found(configName, "it is not the config that this repository was made with")
		}
		l = ledger.New(c.repo.store, boxes{c.repo}, c.repo.configSum, "check")
		err = l.Complete(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		damaged, damagedErr := l.Damaged(ctx)
		if damagedErr != nil {
			return damagedErr
		}
		for name, why := range damaged {
			c.found(name, "%v", why)
		}
		c.found(ledger.Slot(l.Entries()), "%v; it and all after it are not proven", err)
	}
	if l.Entries() < c.known.Entries() {
		// A checkpoint or cache knows more: what it says of the rest is better
		// than nothing.
		l = c.known
	} else if l.Entries() == c.known.Entries() && !ledger.Equal(l, c.known) {
		c.found("checkpoints", "the state kept in a checkpoint or cache is not what the ledger gives")
	}
	if err := c.leap(ctx, l); err != nil {
		return err
	}
	c.repo.ledger = l
	damaged, err := l.DamagedCheckpoints(ctx)
	if err != nil {
		return err
	}
	for name, why := range damaged {
		c.found(name, "%v; readers pass it over, and it can be deleted", why)
	}
	if c.state, err = l.Clone(); err != nil {
		return err
	}
	c.result.Entries, c.result.Bridged = c.state.Next, c.state.Bridged
	for _, v := range c.state.Violations {
		c.found("ledger", "%s", v)
	}
	return nil
}

// leap proves that whoever has nothing at hand comes to the same state: from the
// last checkpoint, and what the last entries repeat of those before them.
func (c *checker) leap(ctx context.Context, whole *ledger.Ledger) error {
	l := whole.Anew(c.repo.configSum)
	if err := l.Leap(ctx); err != nil {
		return err
	}
	if l.Entries() == whole.Entries() && !ledger.Equal(l, whole) {
		c.found("checkpoints", "the last checkpoint, or what the last entries of the ledger repeat of those before, is not what the ledger gives")
	}
	return nil
}

func (c *checker) keys(ctx context.Context) error {
	there := map[string]bool{}
	for info, err := range c.repo.store.List(ctx, keysPrefix, "") {
		if err != nil {
			return fmt.Errorf("list key slots: %w", err)
		}
		there[info.Name] = true
	}
	for id, k := range c.state.Keys {
		name := keysPrefix + id.String()
		switch {
		case !k.Removed && !there[name]:
			c.found(name, "the key slot is missing")
		case k.Removed && there[name]:
			c.found(name, "the key slot was removed, but its object is still there; remove it again")
		case !k.Removed:
			want := k.Sum
			if id == c.repo.slot {
				want = c.repo.slotSum[:]
			}
			var getErr error
			err := objects.Proven(func() (b []byte, err error) {
				b, getErr = c.repo.store.Get(ctx, name, 0, -1)
				return b, getErr
			}, func(b []byte) error {
				if sum := sha256.Sum256(b); len(want) > 0 && !bytes.Equal(sum[:], want) {
					return ErrDamaged
				}
				return nil
			})
			if getErr != nil && !errors.Is(getErr, objects.ErrNotFound) {
				return fmt.Errorf("read key slot %s: %w", id.Short(), getErr)
			}
			if err != nil {
				c.found(name, "the key slot is damaged; nobody can open the repository with it")
			}
		}
	}
	c.vaults = map[ID]*vault{}
	for id := range c.state.Vaults {
		v, err := c.repo.vault(ctx, id)
		if err != nil && !gone(err) {
			return err // with nothing of the vault looked at, it would be no check
		}
		if err != nil {
			c.found(vaultName(id), "%v; nothing of this vault can be read", err)
			continue
		}
		c.vaults[id] = v
	}
	return nil
}
