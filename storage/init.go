package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"restante/storage/ledger"
	"restante/storage/objects"
)

const (
	// segmentTarget is how many octets of recipes or text go into a segment.
	// On four corpora 4 MiB stored 3 to 9 % less than 1 MiB, and 16 MiB
	// another 0 to 3 % less, which its memory and its slower single reads do
	// not pay for.
	segmentTarget = 4 << 20
	packTarget    = 16 << 20

	// DefaultVault is the vault that Init makes.
	DefaultVault = "default"
)

// Init makes a repository in a store, with one vault and one key slot, and
// opens it. An Init that was interrupted can be run again.
//
// It does not ask whether the store keeps its word: objects.Probe does.
func Init(ctx context.Context, store objects.Store, lock Lock, o Options) (*Repository, error) {
	o.defaults()
	b, err := initConfig(ctx, store)
	if err != nil {
		return nil, err
	}
	c := openCache(o, store.Location())
	c.clear()
	r := &Repository{store: store, cache: c, log: o.Log, segments: newSegmentCache(o.SegmentMemory), vaults: map[ID]*vault{}}
	if r.config, r.id, err = parseConfig(b); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.sealer, r.configSum = newSealer(r.id), sha256.Sum256(b)
	rand.Read(r.key[:])
	l := ledger.New(store, boxes{r}, sha256.Sum256(b), o.Writer)

	made, err := r.first(ctx, l, lock)
	if err != nil {
		// Whoever was faster needs none of this.
		for _, name := range made {
			store.Delete(context.WithoutCancel(ctx), name)
		}
		return nil, errors.Join(err, r.Close())
	}
	r.ledger = l
	c.put(configName, b)
	return r, nil
}

// initConfig puts the config into the store or finds the one that an
// interrupted Init left.
func initConfig(ctx context.Context, store objects.Store) ([]byte, error) {
	var id [16]byte
	rand.Read(id[:])
	b, err := json.Marshal(config{"repository", format, hex.EncodeToString(id[:]), segmentTarget, packTarget})
	if err != nil {
		return nil, err
	}
	err = store.PutIfAbsent(ctx, configName, b)
	if err == nil {
		return b, nil
	}
	if !errors.Is(err, objects.ErrExists) {
		return nil, fmt.Errorf("write %s: %w", configName, err)
	}
	if b, err = store.Get(ctx, configName, 0, -1); err != nil {
		return nil, fmt.Errorf("read %s: %w", configName, err)
	}
	switch _, err := store.Get(ctx, ledger.First, 0, 1); {
	case err == nil:
		return nil, fmt.Errorf("%s: %w", store.Location(), ErrExists)
	case !errors.Is(err, objects.ErrNotFound):
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return b, nil
}

// first makes the vault, the key slot and entry 0, and names the objects it
// made on the way.
func (r *Repository) first(ctx context.Context, l *ledger.Ledger, lock Lock) (made []string, err error) {
	v, err := r.makeVault(ctx, DefaultVault)
	if err != nil {
		return nil, err
	}
	made = append(made, vaultName(v.ID))
	k, slot, err := r.makeSlot(ctx, lock)
	if err != nil {
		return made, err
	}
	made = append(made, keysPrefix+k.ID.String())
	r.slot, r.slotSum = k.ID, sha256.Sum256(slot)
	r.cacheSlot(k.ID.String(), slot)
	err = l.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
		if s.Next != 0 {
			return nil, fmt.Errorf("%s: %w", r.store.Location(), ErrExists)
		}
		return &ledger.Init{Vault: v, Key: k}, nil
	})
	if errors.Is(err, ledger.ErrUnknown) {
		return nil, err // the entry may be there and need them
	}
	if err != nil && !errors.Is(err, ErrExists) && errors.Is(err, ErrDamaged) {
		// Entry 0 is there, under a key that is not ours.
		err = fmt.Errorf("%s: %w", r.store.Location(), ErrExists)
	}
	return made, err
}
