package storage

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
	"restante/storage/ledger"
)

// FoundAccount is the account of snapshots that a repair found in packs, and
// whose entry in the ledger is lost.
const FoundAccount = "found"

// openLedger reads the ledger from its first entry on, past those that are
// lost.
func (x *repairer) openLedger(ctx context.Context) error {
	known, err := x.opened.ledger.Export()
	if err != nil {
		return err
	}
	x.repo.ledger = x.opened.ledger.Anew(x.opened.configSum)
	rebuilt, err := x.repo.ledger.Rebuild(ctx, known)
	if err != nil {
		return err
	}
	x.result.Entries, x.result.Skipped = append(x.result.Entries, rebuilt.Lost...), append(x.result.Skipped, rebuilt.Skipped...)
	if len(rebuilt.Skipped) == 0 {
		return nil
	}
	if err := x.findPacks(ctx); err != nil || len(x.adopted) == 0 {
		return err
	}
	x.repo.ledger.Suppose(&ledger.Commit{Packs: x.adopted})
	if x.found, err = x.findRoots(ctx); err != nil {
		return err
	}
	for _, s := range x.found {
		x.result.Found = append(x.result.Found, FoundSnapshot{s, s.ID.String(), s.StartedAt(), s.Messages, s.Folders})
	}
	if x.o.DryRun {
		x.repo.ledger.Suppose(&ledger.Commit{Snapshots: x.found})
	}
	return nil
}

// findPacks looks for packs that no entry names which can be read. Most are
// those of a lost commit; a run that is at work may have written others, and
// those of one that was interrupted do no harm.
func (x *repairer) findPacks(ctx context.Context) error {
	vaults, err := x.vaults(ctx)
	if err != nil {
		return err
	}
	for info, err := range x.repo.store.List(ctx, "packs/", "") {
		if err != nil {
			return fmt.Errorf("list packs: %w", err)
		}
		id, err := ulid.ParseStrict(strings.TrimPrefix(info.Name, "packs/"))
		named := false
		x.repo.ledger.View(func(s *ledger.State) {
			_, live := s.Packs[id]
			_, condemned := s.Condemned[id]
			named = live || condemned
		})
		if err != nil || named {
			continue
		}
		for _, v := range vaults {
			p := ledger.Pack{ID: id, Vault: v.id, Size: info.Size}
			dir, err := v.readDirectory(ctx, p)
			if err != nil && !gone(err) {
				return err
			}
			if err == nil {
				p.Blobs = dir.Blobs()
				x.adopted = append(x.adopted, p)
				break
			}
		}
	}
	x.result.Adopted = len(x.adopted)
	return nil
}

// bridge names what was found, and has everybody go on without the entries that
// are lost.
func (x *repairer) bridge(ctx context.Context) error {
	if len(x.result.Entries) == 0 {
		return nil
	}
	if len(x.adopted) > 0 {
		c := &ledger.Commit{Snapshots: x.found}
		err := x.repo.ledger.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
			c.Packs = slices.DeleteFunc(slices.Clone(x.adopted), func(p ledger.Pack) bool {
				_, condemned := s.Condemned[p.ID]
				return condemned
			})
			return c, nil
		})
		if err != nil {
			return fmt.Errorf("name the packs that were found: %w", err)
		}
	}
	if err := x.repo.ledger.Bridge(ctx, x.result.Entries); err != nil {
		return fmt.Errorf("bridge the lost entries of the ledger: %w", err)
	}
	return nil
}

// findRoots finds snapshots in the packs that were found: roots of trees all of
// whose folders are there, and that no snapshot has.
func (x *repairer) findRoots(ctx context.Context) (found []Snapshot, err error) {
	known := map[BlobID]bool{}
	x.repo.ledger.View(func(s *ledger.State) {
		for _, list := range s.Snapshots {
			for _, snap := range list {
				known[snap.Root] = true
			}
		}
	})
	for _, p := range x.adopted {
		v, err := x.repo.vault(ctx, p.Vault)
		if err != nil {
			return nil, err
		}
		dir, err := v.readDirectory(ctx, p)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, s := range dir {
			if s.Class != pack.Structure {
				continue
			}
			for _, id := range s.IDs {
				if known[id] {
					continue
				}
				snap, ok, err := x.rootOf(ctx, v, p, id)
				if err != nil {
					return nil, err
				}
				if ok {
					known[id] = true
					found = append(found, snap)
				}
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Snapshot) int { return int(a.Started - b.Started) })
	return found, nil
}

// rootOf makes a snapshot of a blob, if it is the root of a tree. Other blobs of
// trees do not pass: encoded again, a root gives its very octets.
func (x *repairer) rootOf(ctx context.Context, v *vault, p ledger.Pack, id BlobID) (s Snapshot, ok bool, err error) {
	b, err := v.load(ctx, id, structureDomain)
	if gone(err) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	var top root
	if decode.Unmarshal(b, &top) != nil || top.Kind == "" {
		return s, false, nil
	}
	if again, err := canonical.Marshal(top); err != nil || !bytes.Equal(again, b) {
		return s, false, nil
	}
	at := int64(p.ID.Time() / 1000)
	s = Snapshot{ID: NewID(), Account: FoundAccount, Vault: v.id, Root: id, Started: at, Finished: at, Marks: Incomplete,
		Notes: []string{"repair: its entry in the ledger was lost, and with it whose account it is of and when it was begun; this is when it was stored"}}
	tree, err := x.repo.OpenSnapshot(ctx, s)
	if gone(err) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	for _, f := range tree.Folders {
		s.Folders, s.Messages, s.Bytes = s.Folders+1, s.Messages+f.Messages, s.Bytes+f.Bytes
	}
	return s, true, nil
}
