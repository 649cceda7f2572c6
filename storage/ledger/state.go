package ledger

import (
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
)

// State is what the entries of a ledger up to one of them amount to. See
// [Ledger.View] for when it may be read.
type State struct {
	// Next is the number of the first entry that is not in the state.
	Next uint64
	// Head is the SHA-256 of the object before Next.
	Head [32]byte

	Vaults map[ID]Vault
	Keys   map[ID]Key
	// Packs are those that may be read; a condemned one is not among them.
	Packs map[ulid.ULID]Pack
	// Condemned packs, and those that hold what was live in them.
	Condemned map[ulid.ULID][]ulid.ULID
	Indexes   map[ulid.ULID]Index
	// Snapshots by account, in the order of the entries that brought them.
	Snapshots map[string][]Snapshot
	Holds     map[ID]Hold
	// Bridged are entries that a repair could not read. What they did is in the
	// state as far as the repair knew of it.
	Bridged []uint64

	// Violations are sentences about entries that break a rule of the
	// protocol. There are none unless a program is wrong; check reports them.
	Violations []string
}

func newState() *State {
	return &State{
		Vaults: map[ID]Vault{}, Keys: map[ID]Key{}, Packs: map[ulid.ULID]Pack{}, Condemned: map[ulid.ULID][]ulid.ULID{},
		Indexes: map[ulid.ULID]Index{}, Snapshots: map[string][]Snapshot{}, Holds: map[ID]Hold{},
	}
}

// Snapshot finds a snapshot by its id.
func (s *State) Snapshot(id ID) (Snapshot, bool) {
	for _, list := range s.Snapshots {
		for _, snap := range list {
			if snap.ID == id {
				return snap, true
			}
		}
	}
	return Snapshot{}, false
}

// Held says whether a hold keeps the account's snapshots.
func (s *State) Held(account string) bool {
	for _, h := range s.Holds {
		if h.Account == "" || h.Account == account {
			return true
		}
	}
	return false
}

// apply changes the state by an entry. An entry that breaks a rule still has
// all the effect it can have: acknowledged mail must not become unreachable
// because a program was wrong.
func (s *State) apply(n uint64, at int64, body Body) {
	violation := func(format string, a ...any) {
		s.Violations = append(s.Violations, fmt.Sprintf("ledger entry %d: ", n)+fmt.Sprintf(format, a...))
	}
	if _, isInit := body.(*Init); isInit != (n == 0) {
		violation("%s where it cannot be", body.kind())
	}
	switch b := body.(type) {
	case *Init:
		s.Vaults[b.Vault.ID] = b.Vault
		b.Key.Added = at
		s.Keys[b.Key.ID] = b.Key
	case *Vault:
		s.Vaults[b.ID] = *b
	case *Key:
		b.Added = at
		if old, ok := s.Keys[b.ID]; ok {
			b.Added = old.Added
		}
		s.Keys[b.ID] = *b
	case *Commit:
		s.addPacks(b.Packs, b.Indexes, b.Dropped, violation)
		for _, snap := range b.Snapshots {
			s.Snapshots[snap.Account] = append(slices.Clip(s.Snapshots[snap.Account]), snap)
		}
		s.dropSnapshots(b.Superseded)
	case *Forget:
		s.dropSnapshots(b.Snapshots)
	case *Condemn:
		for _, c := range b.Condemned {
			if _, again := s.Condemned[c.Pack]; again {
				violation("pack %s is condemned a second time", c.Pack)
			}
			s.Condemned[c.Pack] = c.Relocated
			delete(s.Packs, c.Pack)
		}
		s.addPacks(b.Packs, b.Indexes, b.Dropped, violation)
	case *Hold:
		b.Added = at
		s.Holds[b.ID] = *b
	case *Release:
		delete(s.Holds, b.ID)
	case *Bridge:
		s.Bridged = append(slices.Clip(s.Bridged), b.Lost...)
	}
}

func (s *State) addPacks(packs []Pack, indexes []Index, dropped []ulid.ULID, violation func(string, ...any)) {
	for _, p := range packs {
		if _, condemned := s.Condemned[p.ID]; condemned {
			violation("brings pack %s, which is condemned", p.ID)
			continue
		}
		s.Packs[p.ID] = p
	}
	for _, id := range dropped {
		delete(s.Indexes, id)
	}
	for _, i := range indexes {
		s.Indexes[i.ID] = i
	}
}

func (s *State) dropSnapshots(ids []ID) {
	if len(ids) == 0 {
		return
	}
	drop := make(map[ID]bool, len(ids))
	for _, id := range ids {
		drop[id] = true
	}
	for account, list := range s.Snapshots {
		if !slices.ContainsFunc(list, func(snap Snapshot) bool { return drop[snap.ID] }) {
			continue
		}
		kept := make([]Snapshot, 0, len(list))
		for _, snap := range list {
			if !drop[snap.ID] {
				kept = append(kept, snap)
			}
		}
		if len(kept) == 0 {
			delete(s.Snapshots, account)
		} else {
			s.Snapshots[account] = kept
		}
	}
}
