package storage

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fxamacker/cbor/v2"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/internal/seal"
	"restante/storage/ledger"
	"restante/storage/objects"
)

func vaultName(id ID) string       { return "vaults/" + id.String() }
func packName(id ulid.ULID) string { return "packs/" + id.String() }
func indexName(id ulid.ULID) string {
	return "indexes/" + id.String()
}

// vaultPlain is what a vault's box holds. FORMAT.md section 3.
type vaultPlain struct {
	ID   ID       `cbor:"1,keyasint"`
	Name string   `cbor:"2,keyasint"`
	Key  seal.Key `cbor:"3,keyasint"`
}

// makeVault puts a new vault's key into the store.
func (r *Repository) makeVault(ctx context.Context, name string) (ledger.Vault, error) {
	p := vaultPlain{Name: name}
	rand.Read(p.ID[:])
	rand.Read(p.Key[:])
	plain, err := cbor.Marshal(p)
	if err != nil {
		return ledger.Vault{}, err
	}
	box, err := r.sealer.Seal(nil, &r.key, seal.Vault, p.ID[:], plain, seal.Options{})
	if err != nil {
		return ledger.Vault{}, err
	}
	if err := r.store.Put(ctx, vaultName(p.ID), box); err != nil {
		return ledger.Vault{}, fmt.Errorf("write the vault's key: %w", err)
	}
	return ledger.Vault{ID: p.ID, Name: name}, nil
}

// A vault is an open vault: its keys, and where its blobs are.
type vault struct {
	id    ID
	name  string
	repo  *Repository
	scope pack.Scope
	index *index.Set

	idKey seal.Key
	macs  sync.Pool // of hash.Hash

	// covered is the number of ledger entries whose packs the index covers.
	covered atomic.Uint64
	gather  sync.Mutex // one coverPacks at a time

	mu sync.Mutex // guards unreadable
	// unreadable are live packs whose directory cannot be had, and why. What
	// only they hold is lost; all else must stay readable.
	unreadable map[ulid.ULID]error
}

// vault opens a vault.
func (r *Repository) vault(ctx context.Context, id ID) (*vault, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v := r.vaults[id]; v != nil {
		return v, nil
	}
	var p vaultPlain
	err := objects.Proven(func() ([]byte, error) {
		box, err := r.store.Get(ctx, vaultName(id), 0, -1)
		if errors.Is(err, objects.ErrNotFound) {
			return nil, fmt.Errorf("vault %s: its key is %w: the vault was destroyed, or the store has lost it", id.Short(), ErrMissing)
		}
		if err != nil {
			return nil, fmt.Errorf("read the key of vault %s: %w", id.Short(), err)
		}
		return box, nil
	}, func(box []byte) error {
		plain, err := r.sealer.Open(&r.key, seal.Vault, id[:], box, -1)
		if err != nil {
			return fmt.Errorf("vault %s: %w: %w", id.Short(), ErrDamaged, err)
		}
		if err := decode.Unmarshal(plain, &p); err != nil || p.ID != id {
			return fmt.Errorf("vault %s: %w", id.Short(), ErrDamaged)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	v := &vault{id: id, name: p.Name, repo: r, scope: pack.Scope{Sealer: r.sealer, Key: &p.Key, Vault: id}, unreadable: map[ulid.ULID]error{}}
	if v.idKey, err = seal.Derive(&p.Key, "blob ids"); err != nil {
		return nil, err
	}
	v.macs.New = func() any { return hmac.New(sha256.New, v.idKey[:]) }
	v.index = index.OpenSet(r.cache.below("index", id.Short()))
	r.vaults[id] = v
	return v, nil
}

// VaultID finds a vault by its name.
func (r *Repository) VaultID(name string) (id ID, err error) {
	found := false
	r.ledger.View(func(s *ledger.State) {
		for _, v := range s.Vaults {
			if v.Name == name {
				id, found = v.ID, true
			}
		}
	})
	if !found {
		return id, fmt.Errorf("there is no vault %q", name)
	}
	return id, nil
}

// A domain keeps blobs of different purposes apart. FORMAT.md section 4.
type domain byte

const (
	contentDomain   domain = 1
	recipeDomain    domain = 2
	structureDomain domain = 3
)

func domainOf(c pack.Class) domain {
	switch c {
	case pack.Recipes:
		return recipeDomain
	case pack.Structure:
		return structureDomain
	}
	return contentDomain
}

// blobID names octets.
func (v *vault) blobID(d domain, octets []byte) (id BlobID) {
	mac := v.macs.Get().(hash.Hash)
	defer v.macs.Put(mac)
	mac.Reset()
	mac.Write([]byte{byte(d)})
	mac.Write(octets)
	var sum [sha256.Size]byte
	copy(id[:], mac.Sum(sum[:0]))
	return id
}

// live says whether a pack may be read.
func (v *vault) live(id ulid.ULID) (ok bool) {
	v.repo.ledger.View(func(s *ledger.State) {
		p, found := s.Packs[id]
		ok = found && p.Vault == v.id
	})
	return ok
}

// locate finds a blob that is in a live pack.
func (v *vault) locate(ctx context.Context, id BlobID) (index.Location, bool, error) {
	return v.locateOutside(ctx, id, nil)
}

// locateOutside finds a blob that is in a live pack other than these.
func (v *vault) locateOutside(ctx context.Context, id BlobID, bad map[ulid.ULID]bool) (index.Location, bool, error) {
	var where index.Location
	var found bool
	err := v.withIndex(ctx, func() (err error) {
		where, found, err = v.index.Lookup(id, func(p ulid.ULID) bool { return !bad[p] && v.live(p) })
		return err
	})
	return where, found, err
}

// withIndex does something with the local index, which covers all live packs.
// A table that turns out to be damaged is made again, and so is what was done,
// be it that another goroutine has met the damage meanwhile.
func (v *vault) withIndex(ctx context.Context, do func() error) error {
	for damaged := 0; ; damaged++ {
		before := v.index.Dropped()
		err := v.coverPacks(ctx)
		if err == nil {
			err = do()
		}
		mine := errors.Is(err, index.ErrDamaged)
		if !mine && v.index.Dropped() == before || damaged == 16 {
			return err
		}
		v.uncover()
		if mine {
			v.repo.log.Warn("a table of the local index was damaged; it is made again")
		}
	}
}

// uncover has the next use of the index look for packs that it does not cover.
// Who is at that already may have looked before a table was dropped, and says
// that all is covered when it is done: so it is waited for.
func (v *vault) uncover() {
	v.gather.Lock()
	defer v.gather.Unlock()
	v.covered.Store(0)
}

// coverPacks brings the directories of all live packs of the vault into the
// local index, from indexes where they cover them, else from the packs.
func (v *vault) coverPacks(ctx context.Context) error {
	if v.covered.Load() == v.repo.ledger.Entries() {
		return nil
	}
	v.gather.Lock()
	defer v.gather.Unlock()
	var indexes []ledger.Index
	var packs []ledger.Pack
	var upTo uint64
	v.repo.ledger.View(func(s *ledger.State) {
		upTo = s.Next
		missing := map[ulid.ULID]bool{}
		for id, p := range s.Packs {
			if p.Vault == v.id && !v.index.Covers(id) {
				missing[id] = true
			}
		}
		if len(missing) == 0 {
			return
		}
		for _, id := range slices.SortedFunc(maps.Keys(s.Indexes), ulid.ULID.Compare) {
			i, useful := s.Indexes[id], false
			for _, p := range i.Packs {
				if missing[p] {
					useful = true
					delete(missing, p)
				}
			}
			if useful && i.Vault == v.id {
				indexes = append(indexes, i)
			}
		}
		for _, id := range slices.SortedFunc(maps.Keys(missing), ulid.ULID.Compare) {
			packs = append(packs, s.Packs[id])
		}
	})
	for _, i := range indexes {
		got, err := v.readIndex(ctx, i)
		if err != nil {
			// Indexes can be lost: their packs have the same.
			v.repo.log.Warn("an index cannot be read; the packs' own directories are read instead", "index", i.ID, "error", err)
			v.repo.ledger.View(func(s *ledger.State) {
				for _, id := range i.Packs {
					if p, ok := s.Packs[id]; ok && !v.index.Covers(id) {
						packs = append(packs, p)
					}
				}
			})
			continue
		}
		if err := v.index.Add(got, v.live); err != nil {
			return err
		}
	}
	if err := v.coverFromPacks(ctx, packs); err != nil {
		return err
	}
	v.covered.Store(upTo)
	return nil
}

func (v *vault) readIndex(ctx context.Context, i ledger.Index) (packs []index.Pack, err error) {
	err = objects.Proven(func() ([]byte, error) { return v.repo.store.Get(ctx, indexName(i.ID), 0, -1) }, func(box []byte) error {
		data, err := v.repo.sealer.Open(v.scope.Key, seal.Index, append(v.id[:], i.ID[:]...), box, -1)
		if err != nil {
			return err
		}
		packs, err = index.Parse(data)
		return err
	})
	return packs, err
}

// coverFromPacks brings the directories that stand in packs into the index.
func (v *vault) coverFromPacks(ctx context.Context, packs []ledger.Pack) error {
	// A few at a time: memory stays small, and the work done stays done.
	for batch := range slices.Chunk(packs, 16) {
		var mu sync.Mutex
		var got []index.Pack
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(8)
		for _, p := range batch {
			g.Go(func() error {
				d, err := v.readDirectory(ctx, p)
				if errors.Is(err, ErrMissing) || errors.Is(err, ErrDamaged) {
					v.repo.log.Error("a pack cannot be read; what only it holds is lost", "pack", p.ID, "error", err)
					v.mu.Lock()
					v.unreadable[p.ID] = err
					v.mu.Unlock()
					return nil
				}
				if err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, index.Pack{ID: p.ID, Size: p.Size, Directory: d})
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if err := v.index.Add(got, v.live); err != nil {
			return err
		}
	}
	return nil
}

// lost explains why a blob is in no pack that can be read.
func (v *vault) lost(id BlobID) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range slices.SortedFunc(maps.Keys(v.unreadable), ulid.ULID.Compare) {
		return fmt.Errorf("blob %x is %w: no pack has it that can be read; %w", id, ErrMissing, v.unreadable[p])
	}
	return fmt.Errorf("blob %x is %w: no pack has it", id, ErrMissing)
}

// readDirectory reads a pack's own directory.
func (v *vault) readDirectory(ctx context.Context, p ledger.Pack) (pack.Directory, error) {
	var whole []byte // a small pack comes in one piece
	read := func() (pack.Directory, error) {
		return pack.ReadDirectory(&v.scope, p.ID, p.Size, func(offset, length int64) ([]byte, error) {
			b, err := v.repo.store.Get(ctx, packName(p.ID), offset, length)
			if offset == 0 && length == p.Size {
				whole = b
			}
			return b, err
		})
	}
	d, err := read()
	for i := 0; i < 2 && (errors.Is(err, seal.ErrOpen) || errors.Is(err, pack.ErrNotPack)); i++ {
		d, err = read() // as in [objects.Proven]
	}
	switch {
	case errors.Is(err, objects.ErrNotFound):
		return nil, fmt.Errorf("pack %s is %w: %w", p.ID, ErrMissing, err)
	case errors.Is(err, objects.ErrRange), errors.Is(err, seal.ErrOpen), errors.Is(err, pack.ErrNotPack):
		return nil, fmt.Errorf("pack %s is %w: %w", p.ID, ErrDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("read the directory of pack %s: %w", p.ID, err)
	}
	if whole != nil {
		for _, s := range d {
			if s.Class == pack.Structure { // what is looked at next, most likely
				v.repo.cache.put(structureName(p.ID, s.Offset), whole[s.Offset:][:s.Box])
			}
		}
	}
	return d, nil
}
