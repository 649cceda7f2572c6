package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"restante/storage/ledger"
	"restante/storage/objects"
)

// PruneOptions say how a prune is done. The zero value is careful about what
// is removed, and not about who is made to wait.
type PruneOptions struct {
	// DryRun has nothing changed.
	DryRun bool
	// AllowMuch allows to remove more than a tenth of what packs hold.
	AllowMuch bool
	// Grace is how old packs must be before they are removed or rewritten.
	// Nothing depends on it but work: a backup that wants a younger one, its
	// own or another's, would have to begin again.
	Grace time.Duration
	// KeepPacks has no packs rewritten.
	KeepPacks bool
	// Progress is told from time to time how far it is; may be nil.
	Progress func(PruneProgress)

	batch int // blobs that are rewritten before an entry is appended; 0 for batchBlobs
}

// PruneProgress says what a prune is doing and how far it is.
type PruneProgress struct {
	Step        string
	Done, Total int64 // packs, snapshots or segments; a total of 0: not known
}

// An Amount is a number of packs and their octets.
type Amount struct {
	Packs int   `json:"packs"`
	Bytes int64 `json:"bytes"`
}

func (a *Amount) add(size int64) {
	a.Packs++
	a.Bytes += size
}

// Pruned is what a prune did, or, of a dry run, would do.
type Pruned struct {
	Snapshots int    `json:"snapshots"`
	Before    Amount `json:"before"`       // packs of the ledger
	Blobs     int64  `json:"blobs"`        // in them; one in two packs counts twice
	Needed    int64  `json:"needed_blobs"` // of them

	// Unneeded packs hold nothing that a snapshot needs.
	Unneeded Amount `json:"unneeded"`
	// Stray packs are unknown to the ledger: of runs that were interrupted.
	Stray Amount `json:"stray"`
	// Leftover packs were condemned by a prune that did not come to removing
	// them.
	Leftover Amount `json:"leftover"`
	// Young packs are unneeded or stray, and left for the next time.
	Young Amount `json:"young"`
	// Rewritten packs hold little that is needed, or are small: what is needed
	// of them goes into new ones.
	Rewritten Amount `json:"rewritten"`
	// Written are octets of new packs and indexes.
	Written int64 `json:"written_bytes"`
	// Freed are octets of removed packs and indexes, less what was written.
	Freed int64 `json:"freed_bytes"`
	// Dropped is the share of what packs hold, in octets, that no snapshot
	// needs and that goes, from 0 to 1. Above a tenth it takes AllowMuch.
	Dropped float64 `json:"dropped"`
	// Findings are packs that could not be rewritten because they are damaged.
	// They stay as they are.
	Findings []Finding `json:"findings"`
}

// TooMuch says that the prune takes AllowMuch.
func (p *Pruned) TooMuch() bool { return p.Dropped > mostDropped }

// mostDropped is the share of octets that goes without being told so. It is
// counted in octets, not in packs: most packs are small, those of nights in
// which little came, and go by the dozen.
const mostDropped = 0.1

var (
	// ErrTooMuch says that a prune would remove more than a tenth of what the
	// packs hold. Nothing was removed.
	ErrTooMuch = errors.New("that is more than a tenth of the repository")
	// ErrImplausible says that a prune found the repository to be other than
	// it must be. Nothing was removed.
	ErrImplausible = errors.New("nothing was removed, because the repository is not as it must be")
	// errAgain says that another prune changed what this one has found out.
	errAgain = errors.New("another prune is at work")
)

// pruneAgain is how often a prune begins again because of another one.
const pruneAgain = 5

// Prune removes from the store what no snapshot needs, by the protocol of
// FORMAT.md section 8: other machines may back up, restore and prune at the
// same time, and it may be interrupted at any point. The next one does what
// was left undone.
//
// What is needed it finds out from the ledger and the snapshots' trees as the
// store has them, and from nothing that this machine has kept. The error is
// ErrTooMuch or ErrImplausible where that gives what cannot be right.
func (r *Repository) Prune(ctx context.Context, o PruneOptions) (*Pruned, error) {
	if o.Progress == nil {
		o.Progress = func(PruneProgress) {}
	}
	if o.batch == 0 {
		o.batch = batchBlobs
	}
	var abandoned []ulid.ULID
	for i := 0; ; i++ {
		p := &pruner{o: o, unnamed: map[ulid.ULID]bool{}, abandoned: abandoned}
		err := p.open(ctx, r)
		if err == nil {
			err = p.run(ctx)
		}
		p.close()
		if errors.Is(err, errAgain) && i < pruneAgain && ctx.Err() == nil {
			r.log.Info("the prune begins again", "reason", err)
			abandoned = p.abandoned
			continue
		}
		if err == nil && !o.DryRun {
			err = r.ledger.Refresh(ctx)
		}
		return &p.result, err
	}
}

// A pruner is one try of a prune.
type pruner struct {
	o      PruneOptions
	repo   *Repository // with nothing kept
	result Pruned

	listed map[ulid.ULID]objects.Info // packs in the store
	loose  []objects.Info             // indexes in the store
	vaults map[ID]*reach

	// upTo is the number of ledger entries that all of this takes account of.
	upTo      uint64
	known     map[ulid.ULID]bool // condemned packs in them
	walked    map[ID]bool        // snapshots
	use       map[ulid.ULID]*packUse
	unneeded  []ulid.ULID // to condemn
	strays    []ulid.ULID // likewise
	leftovers []ulid.ULID // condemned already, to delete
	rewrite   map[ID][]ulid.ULID
	planned   bool               // what is found to be needed now was not counted on
	spared    map[ulid.ULID]bool // not to be condemned after all

	mu sync.Mutex // guards spared, and result while packs are removed

	// unnamed are packs that this prune wrote and the ledger does not name yet.
	unnamed map[ulid.ULID]bool
	// abandoned are packs that this prune wrote and never named in the ledger.
	abandoned []ulid.ULID
}

// open opens the repository anew, with nothing that this machine has kept.
func (p *pruner) open(ctx context.Context, r *Repository) error {
	p.o.Progress(PruneProgress{Step: "reading the ledger"})
	kept := &cache{}
	if !r.cache.none() {
		removeStale(r.cache.dir)
		dir, err := os.MkdirTemp(r.cache.dir, prunePrefix)
		if err != nil {
			// It was deleted, and is made again, or nothing can be written there,
			// and what a prune finds out stays in memory.
			dir = filepath.Join(r.cache.dir, prunePrefix+rand.Text())
		}
		kept = &cache{dir: dir, temporary: true}
	}
	p.repo = &Repository{store: r.store, config: r.config, id: r.id, sealer: r.sealer, key: r.key, slot: r.slot, log: r.log,
		cache: kept, segments: newSegmentCache(32 << 20), vaults: map[ID]*vault{}}
	b, err := r.store.Get(ctx, configName, 0, -1)
	if err != nil {
		return fmt.Errorf("read %s: %w", configName, err)
	}
	if _, id, err := parseConfig(b); err != nil || id != r.id {
		return fmt.Errorf("%s is not the one that the repository was opened with: %w", configName, ErrImplausible)
	}
	before := r.ledger.Entries() // others may use r meanwhile
	p.repo.ledger = r.ledger.Anew(sha256.Sum256(b))
	if err := p.repo.ledger.Complete(ctx); err != nil {
		return err
	}
	now := p.repo.ledger.Entries()
	if now < before {
		return fmt.Errorf("%d entries, %d were known: %w", now, before, ledger.ErrShorter)
	}
	if same := ledger.Equal(r.ledger, p.repo.ledger); !same && now == before && r.ledger.Entries() == before {
		return fmt.Errorf("what this machine or a checkpoint keeps of the ledger is not what the ledger gives: %w", ErrImplausible)
	}
	return nil
}

const prunePrefix = "prune-"

// removeStale removes what prunes left in the cache that were killed.
func removeStale(cacheDir string) {
	old, _ := filepath.Glob(filepath.Join(cacheDir, prunePrefix+"*"))
	for _, dir := range old {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 7*24*time.Hour {
			os.RemoveAll(dir)
		}
	}
}

func (p *pruner) close() {
	if p.repo == nil {
		return
	}
	for _, v := range p.repo.vaults {
		v.index.Close()
	}
	p.repo.cache.close()
}

func (p *pruner) run(ctx context.Context) error {
	if err := p.list(ctx); err != nil {
		return err
	}
	if err := p.findNeeded(ctx); err != nil {
		return err
	}
	if err := p.plan(); err != nil {
		return err
	}
	if p.o.DryRun {
		return nil
	}
	if p.result.TooMuch() && !p.o.AllowMuch {
		return fmt.Errorf("%.1f %% of what the packs hold is needed by no snapshot and would go: %w", 100*p.result.Dropped, ErrTooMuch)
	}
	// From here on the result counts what is done.
	planned := p.result
	p.result.Unneeded, p.result.Stray, p.result.Leftover, p.result.Rewritten = Amount{}, Amount{}, Amount{}, Amount{}
	p.result.Written, p.result.Freed = 0, 0
	if err := p.remove(ctx, p.leftovers, &p.result.Leftover); err != nil {
		return err
	}
	if err := p.condemnUnneeded(ctx); err != nil {
		return err
	}
	if err := p.repack(ctx, int64(planned.Rewritten.Packs)); err != nil {
		return err
	}
	if err := p.removeIndexes(ctx); err != nil {
		return err
	}
	if err := p.repo.ledger.Checkpoint(ctx, 0); err != nil {
		p.repo.log.Warn("no checkpoint was written; the next reader reads more", "error", err)
	}
	return nil
}

// list lists the packs and indexes in the store. The ledger was read before:
// every pack that it names and that is not condemned must be there.
func (p *pruner) list(ctx context.Context) error {
	p.o.Progress(PruneProgress{Step: "listing"})
	p.listed = map[ulid.ULID]objects.Info{}
	for info, err := range p.repo.store.List(ctx, "packs/", "") {
		if err != nil {
			return fmt.Errorf("list packs: %w", err)
		}
		id, err := ulid.ParseStrict(strings.TrimPrefix(info.Name, "packs/"))
		if err != nil || packName(id) != info.Name {
			p.repo.log.Warn("something that is no pack lies among the packs", "object", info.Name)
			continue
		}
		p.listed[id] = info
	}
	for info, err := range p.repo.store.List(ctx, "indexes/", "") {
		if err != nil {
			return fmt.Errorf("list indexes: %w", err)
		}
		p.loose = append(p.loose, info)
	}
	return nil
}

// findNeeded marks every blob that a snapshot needs.
func (p *pruner) findNeeded(ctx context.Context) error {
	p.vaults, p.walked, p.known, p.spared = map[ID]*reach{}, map[ID]bool{}, map[ulid.ULID]bool{}, map[ulid.ULID]bool{}
	p.repo.ledger.View(func(s *ledger.State) {
		for id := range s.Condemned {
			p.known[id] = true
		}
		p.result.Before.Packs = len(s.Packs)
		for _, pack := range s.Packs {
			p.result.Before.Bytes += pack.Size
		}
	})
	if err := p.takeIn(ctx); err != nil {
		return err
	}
	p.result.Snapshots = len(p.walked)
	return nil
}

// takeIn goes through all snapshots of the ledger as it is known that were not
// gone through yet.
func (p *pruner) takeIn(ctx context.Context) error {
	var snapshots []Snapshot
	var upTo uint64
	p.repo.ledger.View(func(s *ledger.State) {
		upTo = s.Next
		for _, account := range slices.Sorted(maps.Keys(s.Snapshots)) {
			for _, snap := range s.Snapshots[account] {
				if !p.walked[snap.ID] {
					snapshots = append(snapshots, snap)
				}
			}
		}
	})
	// A vault without snapshots needs no pack, and its key may be destroyed.
	for _, s := range snapshots {
		if p.vaults[s.Vault] != nil {
			continue
		}
		v, err := p.repo.vault(ctx, s.Vault)
		if err != nil {
			return p.lost(ctx, upTo, fmt.Errorf("snapshot %s of %q: %w", s.ID.Short(), s.Account, err))
		}
		p.vaults[s.Vault] = newReach(v)
	}
	for _, v := range p.vaults {
		if err := v.cover(ctx, p.o.Progress); err != nil {
			return err
		}
		if p.planned {
			v.first = p.spareHolders(v)
		}
	}
	for i, s := range snapshots {
		p.o.Progress(PruneProgress{"going through snapshots", int64(i), int64(len(snapshots))})
		if err := p.vaults[s.Vault].snapshot(ctx, s); err != nil {
			return p.lost(ctx, upTo, fmt.Errorf("snapshot %s of %q: %w", s.ID.Short(), s.Account, err))
		}
		p.walked[s.ID] = true
	}
	for _, v := range p.vaults {
		if err := v.contents(ctx, p.o.Progress); err != nil {
			return p.lost(ctx, upTo, err)
		}
	}
	p.upTo = upTo
	return nil
}

// lost explains an error of going through trees: where something is missing,
// either another prune moved it meanwhile, or this one must not go on.
func (p *pruner) lost(ctx context.Context, upTo uint64, err error) error {
	if !errors.Is(err, ErrMissing) && !errors.Is(err, ErrDamaged) || ctx.Err() != nil {
		return err
	}
	if refreshErr := p.repo.ledger.Refresh(ctx); refreshErr != nil {
		return errors.Join(err, refreshErr)
	}
	if p.repo.ledger.Entries() > upTo {
		return fmt.Errorf("%w: %w", err, errAgain)
	}
	return fmt.Errorf("%w: %w", err, ErrImplausible)
}
