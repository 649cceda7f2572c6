package storage

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"restante/storage/ledger"
)

// CheckOptions say how much is checked.
type CheckOptions struct {
	// ReadData is the share of the packs whose every blob is read, from 0 to
	// 1; which packs is left to chance.
	ReadData float64
	// ReadShare, where it is not nil, is the packs whose every blob is read
	// besides: those whose turn it is.
	ReadShare *DayShare
	// Progress is told from time to time how far it is; may be nil.
	Progress func(CheckProgress)
}

// CheckProgress says what is being checked and how far it is.
type CheckProgress struct {
	Step        string
	Done, Total int64 // packs, or snapshots
}

// A Finding is something that is wrong.
type Finding struct {
	Object  string `json:"object"`  // the object's name, or what else it is about
	Problem string `json:"problem"` // a sentence
}

// Checked is what a check went through and found.
type Checked struct {
	Entries uint64 `json:"ledger_entries"`
	// Bridged are entries that a repair could not read, and went on without.
	Bridged   []uint64 `json:"lost_ledger_entries,omitempty"`
	Packs     int      `json:"packs"`
	PackBytes int64    `json:"pack_bytes"`
	Indexes   int      `json:"indexes"`
	Snapshots int      `json:"snapshots"`
	Messages  int64    `json:"messages"` // distinct places: a message in two snapshots counts once
	PacksRead int      `json:"packs_read"`
	BytesRead int64    `json:"bytes_read"`
	// ReadShare is what was asked for, if it was.
	ReadShare *DayShare `json:"read_share,omitempty"`
	Unneeded  int       `json:"unneeded_packs"` // in the store, unknown to the ledger: of runs that were interrupted
	Findings  []Finding `json:"findings"`
}

// Check proves the ledger from its first entry on, and that what it says is
// there: keys, vaults, packs with their directories, indexes that agree with
// them, and the tree of every snapshot down to the recipe of every message.
// With ReadData or ReadShare it also opens every segment of a share of the
// packs, proves every blob in them and what their recipes refer to.
//
// It changes nothing. The error says that the check could not be done; what is
// wrong with the repository is in the Findings.
func (r *Repository) Check(ctx context.Context, o CheckOptions) (*Checked, error) {
	return r.check(ctx, o, r.ledger)
}

// check is Check of a repository of whose ledger so much is known.
func (r *Repository) check(ctx context.Context, o CheckOptions, known *ledger.Ledger) (*Checked, error) {
	c := &checker{opened: r, known: known, o: o, result: Checked{ReadShare: o.ReadShare, Findings: []Finding{}}, seen: map[BlobID]bool{}}
	if c.o.Progress == nil {
		c.o.Progress = func(CheckProgress) {}
	}
	// What a cache or this process has read before proves nothing of the
	// store: the check begins with nothing at hand.
	c.repo = r.bare()
	defer c.repo.Close()
	for _, step := range []func(context.Context) error{c.ledger, c.keys, c.packs, c.indexes, c.snapshots, c.data} {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	c.settle(ctx)
	slices.SortStableFunc(c.result.Findings, func(a, b Finding) int { return slices.Compare([]byte(a.Object), []byte(b.Object)) })
	return &c.result, nil
}

type checker struct {
	opened *Repository    // as the caller has it
	known  *ledger.Ledger // what the caller knows of it
	repo   *Repository    // the same with nothing at hand
	o      CheckOptions

	mu     sync.Mutex // guards result and seen
	result Checked
	seen   map[BlobID]bool // structure blobs that were gone through

	state  *ledger.State // what the ledger gives; not changed any more
	vaults map[ID]*vault // their index is made of the packs' own directories and nothing else
}

// bare returns the same repository with a temporary cache, or none, and no
// ledger. It must be closed.
func (r *Repository) bare() *Repository {
	return &Repository{store: r.store, config: r.config, id: r.id, configSum: r.configSum, sealer: r.sealer, key: r.key,
		slot: r.slot, slotSum: r.slotSum, cache: openCache(Options{NoCache: r.cache.none()}, ""), log: slog.New(slog.DiscardHandler), // what is wrong becomes a finding
		segments: newSegmentCache(r.segments.limit), vaults: map[ID]*vault{}}
}

func (c *checker) found(object, format string, a ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Findings = append(c.result.Findings, Finding{object, fmt.Sprintf(format, a...)})
}

// settle drops findings about what others removed while the check ran.
func (c *checker) settle(ctx context.Context) {
	if len(c.result.Findings) == 0 || c.repo.ledger.Refresh(ctx) != nil {
		return
	}
	c.repo.ledger.View(func(s *ledger.State) {
		gone := map[string]bool{}
		for id := range s.Condemned {
			gone[packName(id)] = true
		}
		for id := range c.state.Indexes {
			if _, there := s.Indexes[id]; !there {
				gone[indexName(id)] = true
			}
		}
		for _, list := range c.state.Snapshots {
			for _, snap := range list {
				if _, there := s.Snapshot(snap.ID); !there {
					gone[snapshotName(snap)] = true
				}
			}
		}
		c.result.Findings = slices.DeleteFunc(c.result.Findings, func(f Finding) bool { return gone[f.Object] })
	})
}

func snapshotName(s Snapshot) string { return "snapshot " + s.ID.Short() + " of " + s.Account }
