package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"restante/storage/ledger"
)

// RepairOptions say what a repair may do. The zero value changes the
// repository.
type RepairOptions struct {
	// DryRun has nothing changed: it only finds out what would be done.
	DryRun bool
	// GiveUp also replaces the older snapshots that lack something, and forgets
	// those of which nothing can be read. Without it only the newest of each
	// account gets a successor that lacks what is lost, and the older ones become
	// whole again where a backup brings what they lack.
	GiveUp bool
	// Progress is told from time to time how far it is; may be nil.
	Progress func(CheckProgress)
}

// Repaired is what a repair found and did, or, of a dry run, would do.
type Repaired struct {
	// Findings are what a check of all data found.
	Findings []Finding `json:"findings"`
	// Packs are those that are damaged or missing.
	Packs []DamagedPack `json:"packs"`
	// Entries are those of the ledger that are missing or cannot be opened, and
	// Skipped those of them of which nobody knows what they said.
	Entries []uint64 `json:"lost_ledger_entries"`
	Skipped []uint64 `json:"unknown_ledger_entries"`
	// Adopted are packs that no entry that can be read names.
	Adopted int `json:"packs_adopted"`
	// Found are snapshots that no entry that can be read names.
	Found []FoundSnapshot `json:"snapshots_found"`
	// Indexes is how many are written anew.
	Indexes int `json:"indexes"`
	// Put are objects that are put back from this machine's cache.
	Put []string `json:"put_back"`
	// Written are octets of new packs and indexes, without those of snapshots.
	Written int64 `json:"written_bytes"`
	// Losses are what snapshots lack, of those that share it once.
	Losses []Loss `json:"losses"`
	// Snapshots are those that lack something, oldest first of each account.
	Snapshots []DamagedSnapshot `json:"snapshots"`
	// ByHand are findings about objects that a repair does not put right.
	ByHand []Finding `json:"by_hand"`
}

// A FoundSnapshot is one of FoundAccount that a repair made, or, of a dry run,
// would make under another id.
type FoundSnapshot struct {
	Snapshot Snapshot  `json:"-"`
	ID       string    `json:"id"`
	Stored   time.Time `json:"stored"`
	Messages int64     `json:"messages"`
	Folders  int       `json:"folders"`
}

// A DamagedPack is a pack that is not as it must be.
type DamagedPack struct {
	Pack    string `json:"pack"` // the object's name
	Problem string `json:"problem"`
	Saved   int    `json:"blobs_saved"` // that can be read, and go into new packs
	Lost    int    `json:"blobs_lost"`  // that cannot; another pack may have them
	Unknown bool   `json:"unknown"`     // nobody knows which blobs were in it
}

// A Loss is a message that cannot be put together, or a part of a folder's list
// that cannot be read.
type Loss struct {
	Account string `json:"account"`
	Folder  string `json:"folder,omitempty"` // empty: all of the snapshot's
	// UID is the message; 0 where the list is lost, of as many messages.
	UID      uint32 `json:"uid,omitempty"`
	Subject  string `json:"subject,omitempty"`
	Messages int64  `json:"messages"`
	Problem  string `json:"problem"`
	// Snapshots is how many of the account's lack it.
	Snapshots int `json:"snapshots"`
}

// A DamagedSnapshot is one that lacks something.
type DamagedSnapshot struct {
	Snapshot Snapshot `json:"-"`
	ID       string   `json:"id"`
	Account  string   `json:"account"`
	Newest   bool     `json:"newest"` // of its account
	Held     bool     `json:"held"`   // and for that neither replaced nor forgotten
	// Lost is how many messages cannot be had; Unreadable says that nothing of
	// it can be.
	Lost       int64 `json:"lost"`
	Unreadable bool  `json:"unreadable"`
	// Replacement is the id of what was made of it; empty: nothing was.
	Replacement string `json:"replacement,omitempty"`
}

// Clean says that there is nothing to repair.
func (r *Repaired) Clean() bool {
	return len(r.Findings) == 0 && len(r.Snapshots) == 0 && len(r.Entries) == 0
}

// Repair reads the whole repository and makes the best of what is damaged. It
// writes new objects and removes none:
//
//   - What can be read of damaged packs goes into new ones, and the damaged ones
//     are condemned. Their blobs that are lost count as absent from then on, so
//     that the next backup stores them again where the source still has them.
//   - Damaged indexes are written anew.
//   - The newest snapshot of an account, where it lacks something, gets a
//     successor without it, from which the next backup knows what to read again.
//   - Entries of the ledger that are missing or damaged are bridged: everybody goes
//     on from the state that a checkpoint or this machine's cache has, or, where
//     there is none, without what they said. Packs that only they named come back,
//     and snapshots, whose accounts nobody knows then, as those of FoundAccount.
//   - The config and key slots that are missing are put back from the cache of
//     this machine, where it has them.
//
// A store may give wrong octets today and right ones tomorrow, and a version of
// the object or a copy of the bucket is better than any repair: what is to be
// condemned is read several times, and a prune removes it only when all that
// snapshots need is there.
func (r *Repository) Repair(ctx context.Context, o RepairOptions) (*Repaired, error) {
	if o.Progress == nil {
		o.Progress = func(CheckProgress) {}
	}
	x := &repairer{opened: r, o: o, wrecks: map[ulid.ULID]*wreck{}, result: Repaired{
		Packs: []DamagedPack{}, Put: []string{}, Losses: []Loss{}, Snapshots: []DamagedSnapshot{}, ByHand: []Finding{},
		Entries: []uint64{}, Skipped: []uint64{}, Found: []FoundSnapshot{}}}
	x.repo = r.bare()
	defer x.repo.Close()
	if err := x.openLedger(ctx); err != nil {
		return nil, err
	}
	checked, err := r.check(ctx, CheckOptions{ReadData: 1, Progress: o.Progress}, x.repo.ledger)
	if err != nil {
		return nil, err
	}
	x.result.Findings = checked.Findings
	steps := []func(context.Context) error{x.sort, x.survey}
	if !o.DryRun {
		steps = append(steps, x.bridge, x.putBack, x.salvage, x.renewIndexes)
	}
	for _, step := range append(steps, x.trees) {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if !o.DryRun {
		err = r.ledger.Adopt(x.repo.ledger)
	}
	return &x.result, err
}

// A repairer is a repair at work.
type repairer struct {
	opened *Repository // as the caller has it
	repo   *Repository // with nothing at hand
	o      RepairOptions
	result Repaired

	suspects []ledger.Pack    // packs that the check found something in, or near
	indexes  []ledger.Index   // damaged ones
	missing  []string         // config and key slots
	sizes    map[string]int64 // of packs in the store
	wrecks   map[ulid.ULID]*wreck
	adopted  []ledger.Pack // that no entry names
	found    []Snapshot    // in them
}

// sort looks what the findings are about.
func (x *repairer) sort(ctx context.Context) error {
	var packs map[ulid.ULID]ledger.Pack
	var indexes map[ulid.ULID]ledger.Index
	var keys map[ID]ledger.Key
	x.repo.ledger.View(func(s *ledger.State) { // nobody waits for it while the store is asked
		packs, indexes, keys = maps.Clone(s.Packs), maps.Clone(s.Indexes), maps.Clone(s.Keys)
	})
	seen := map[string]bool{}
	for _, f := range x.result.Findings {
		kind, rest, _ := strings.Cut(f.Object, "/")
		id, _ := ulid.ParseStrict(rest)
		p, live := packs[id]
		i, named := indexes[id]
		switch {
		case seen[f.Object]:
		case kind == "packs" && live:
			x.suspects = append(x.suspects, p)
		case kind == "indexes" && named:
			x.indexes = append(x.indexes, i)
		case (f.Object == configName || kind == "keys") && x.canPutBack(ctx, f.Object, keys):
			x.missing = append(x.missing, f.Object)
		case kind == "ledger" && len(x.result.Entries) > 0:
			// They are bridged.
		case kind == "packs", kind == "indexes", kind == "checkpoints", strings.HasPrefix(f.Object, "snapshot "):
			// Of others, that came meanwhile; or shown by what follows.
		default:
			x.result.ByHand = append(x.result.ByHand, f)
		}
		seen[f.Object] = true
	}
	x.result.Indexes, x.result.Put = len(x.indexes), append(x.result.Put, x.missing...)
	return nil
}

// vaults are those that can be opened, in order of their ids.
func (x *repairer) vaults(ctx context.Context) (list []*vault, err error) {
	var ids []ID
	x.repo.ledger.View(func(s *ledger.State) { ids = slices.Collect(maps.Keys(s.Vaults)) })
	slices.SortFunc(ids, func(a, b ID) int { return cmp.Compare(a.String(), b.String()) })
	for _, id := range ids {
		v, err := x.repo.vault(ctx, id)
		if errors.Is(err, ErrMissing) || errors.Is(err, ErrDamaged) {
			continue // the check names it; nothing can be done
		}
		if err != nil {
			return nil, fmt.Errorf("vault %s: %w", id.Short(), err)
		}
		list = append(list, v)
	}
	return list, nil
}
