package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"restante/storage/ledger"
	"restante/storage/objects"
)

// mostNamed is how many lost messages a folder's record names.
const mostNamed = 10_000

// perRepair is how many snapshots an entry of a repair brings.
const perRepair = 64

// trees finds out what snapshots lack, and makes new ones.
func (x *repairer) trees(ctx context.Context) error {
	vaults, err := x.vaults(ctx)
	if err != nil {
		return err
	}
	for _, v := range vaults {
		if err := x.treesOf(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// treesOf is trees for one vault.
func (x *repairer) treesOf(ctx context.Context, v *vault) (err error) {
	accounts, held := x.snapshotsOf(v)
	c := &losses{x: x, v: v, folders: map[BlobID]*folderLoss{}, pages: map[BlobID]*pageLoss{}}
	m := &mending{x: x, v: v}
	defer m.close()
	for i, account := range slices.Sorted(maps.Keys(accounts)) {
		x.o.Progress(CheckProgress{"accounts", int64(i), int64(len(accounts))})
		list := accounts[account]
		found := make([]*snapshotLoss, len(list))
		for k, s := range list {
			if found[k], err = c.snapshot(ctx, s); err != nil {
				return fmt.Errorf("snapshot %s of %q: %w", s.ID.Short(), account, err)
			}
		}
		c.tell(account, list, found)
		if err := m.account(ctx, list, found, held[account]); err != nil {
			return fmt.Errorf("make snapshots of %q again: %w", account, err)
		}
	}
	return m.commit(ctx)
}

// A mending is the new snapshots of one vault.
type mending struct {
	x *repairer
	v *vault
	w *Writer

	made       []Snapshot
	superseded []ID
}

func (m *mending) close() {
	if m.w != nil {
		m.w.Close()
	}
}

// account makes the snapshots of an account again that lack something: the
// newest, or all.
func (m *mending) account(ctx context.Context, list []Snapshot, found []*snapshotLoss, held bool) error {
	for k, s := range list {
		l := found[k]
		if l.whole() {
			continue
		}
		newest := k == len(list)-1
		d := DamagedSnapshot{Snapshot: s, ID: s.ID.String(), Account: s.Account, Newest: newest, Held: held, Lost: l.messages(s), Unreadable: l.unreadable}
		replace := m.x.o.GiveUp && !held
		if !m.x.o.DryRun && (newest || replace) {
			from := k
			for from >= 0 && found[from].unreadable && newest {
				from--
			}
			id, err := m.again(ctx, s, list, found, from, replace)
			if err != nil {
				return err
			}
			if !id.IsZero() {
				d.Replacement = id.String()
			}
		}
		m.x.result.Snapshots = append(m.x.result.Snapshots, d)
	}
	return nil
}

// again makes a snapshot again out of what can be read of list[from]; with from
// below 0 out of nothing, which only the newest needs: the next backup builds on
// it. One that is replaced and of which nothing can be read is only forgotten.
func (m *mending) again(ctx context.Context, old Snapshot, list []Snapshot, found []*snapshotLoss, from int, replace bool) (id ID, err error) {
	if m.w == nil {
		m.w = m.x.repo.writer(ctx, m.v)
	}
	if replace {
		m.superseded = append(m.superseded, old.ID)
	}
	if from >= 0 && found[from].unreadable {
		return id, nil
	}
	s := Snapshot{ID: NewID(), Account: old.Account, Started: old.Started, Finished: old.Finished, Marks: old.Marks | Incomplete, Host: old.Host, Stats: old.Stats}
	s.Notes = slices.Clone(old.Notes)
	if k := slices.IndexFunc(list, func(other Snapshot) bool { return other.ID == old.ID }); k < len(list)-1 && list[k+1].Started == s.Started && list[k+1].Finished == s.Finished {
		s.Finished-- // it must not come behind what was made in the same second
	}
	kind, lost := "imap", old.Messages
	var saved []SavedFolder
	var details SavedDetails
	if from >= 0 {
		l := found[from]
		kind, lost, details.pieces = l.kind, l.messages(list[from]), l.details
		for _, f := range l.folders {
			if f.folder == nil {
				continue
			}
			folder := f.folder.Keep()
			if !f.whole() {
				if folder, err = m.folder(ctx, f); err != nil {
					return id, err
				}
			}
			saved = append(saved, folder)
		}
	}
	s.Stats.Missing += lost
	what := "snapshot " + old.ID.Short()
	if from >= 0 && list[from].ID != old.ID {
		s.Notes = append(s.Notes, fmt.Sprintf("repair: nothing of %s can be read; this is what snapshot %s had, of %s", what, list[from].ID.Short(), list[from].StartedAt().UTC().Format(time.DateTime)))
	} else {
		s.Notes = append(s.Notes, fmt.Sprintf("repair: made of %s; %d of its messages, and perhaps flags and rights, were lost from the repository", what, lost))
	}
	if err := m.w.SaveTreeWith(kind, saved, details, &s); err != nil {
		return id, err
	}
	if !replace {
		s.Parent = old.ID
	}
	m.made = append(m.made, s)
	if len(m.made)+len(m.superseded) >= perRepair {
		return s.ID, m.commit(ctx)
	}
	return s.ID, nil
}

// folder makes a folder again out of what can be read of it. It says of itself
// that it is not as the server has it, so that the next backup looks at all of
// it.
func (m *mending) folder(ctx context.Context, l *folderLoss) (SavedFolder, error) {
	d := m.w.Draft(nil)
	gone := slices.Clone(l.folder.Missing)
	for _, p := range l.mail {
		for _, lost := range p.lost {
			if len(gone) < mostNamed {
				gone = append(gone, Missing{UID: lost.UID, Reason: "lost from the repository: " + p.why})
			}
		}
	}
	slices.SortFunc(gone, func(a, b Missing) int { return cmp.Compare(a.UID, b.UID) })
	d.Describe(func(f *Folder) {
		*f = *l.folder
		f.HighestModSeq, f.Counted, f.Missing = 0, 0, gone
	})
	flags := &flagsInOrder{f: l.folder, pages: l.flags, sets: new(flagSets)}
	for _, p := range l.mail {
		list, err := l.folder.messages(ctx, p.page)
		if err != nil {
			return SavedFolder{}, err
		}
		list = slices.DeleteFunc(list, func(m Message) bool {
			return slices.ContainsFunc(p.lost, func(lost Message) bool { return lost.UID == m.UID })
		})
		for i := range list {
			if list[i].Flags, err = flags.at(ctx, list[i].UID); err != nil {
				return SavedFolder{}, err
			}
		}
		if err := d.Add(list); err != nil {
			return SavedFolder{}, err
		}
	}
	return d.Save(ctx)
}

// flagsInOrder gives the flags of messages in ascending order of their UIDs,
// out of pages some of which are lost.
type flagsInOrder struct {
	f     *Folder
	pages []page
	sets  *flagSets
	items []flagItem
}

func (o *flagsInOrder) at(ctx context.Context, uid uint32) ([]string, error) {
	for {
		for len(o.items) > 0 && o.items[0].uid < uid {
			o.items = o.items[1:]
		}
		if len(o.items) > 0 {
			if o.items[0].uid == uid {
				return o.sets.sets[o.items[0].set], nil
			}
			return nil, nil
		}
		if len(o.pages) == 0 || o.pages[0].First > uid {
			return nil, nil
		}
		var err error
		if o.items, err = o.f.flags(ctx, o.pages[0], o.sets); err != nil {
			return nil, err
		}
		o.pages = o.pages[1:]
	}
}

// commit brings the new snapshots into the repository.
func (m *mending) commit(ctx context.Context) error {
	switch {
	case len(m.made) > 0:
		if err := m.w.Commit(ctx, m.made, m.superseded, nil); err != nil {
			return fmt.Errorf("commit repaired snapshots: %w", err)
		}
	case len(m.superseded) > 0:
		if err := m.x.repo.Forget(ctx, m.superseded, "repair: nothing of them can be read"); err != nil {
			return fmt.Errorf("forget snapshots that cannot be read: %w", err)
		}
	}
	m.made, m.superseded = nil, nil
	return nil
}

// canPutBack says whether an object that is missing is in this machine's cache
// as the ledger knows it. One that is there and damaged has to be removed first:
// a repair overwrites nothing.
func (x *repairer) canPutBack(ctx context.Context, name string, keys map[ID]ledger.Key) bool {
	if _, err := x.repo.store.Get(ctx, name, 0, -1); !errors.Is(err, objects.ErrNotFound) {
		return false
	}
	b, err := x.opened.cache.get(name)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(b)
	if name == configName {
		return sum == x.opened.configSum
	}
	for id, k := range keys {
		if strings.TrimPrefix(name, keysPrefix) == id.String() {
			want := k.Sum
			if id == x.opened.slot {
				want = x.opened.slotSum[:]
			}
			return !k.Removed && bytes.Equal(sum[:], want)
		}
	}
	return false
}

// putBack puts the objects back that are missing and in this machine's cache.
func (x *repairer) putBack(ctx context.Context) error {
	for _, name := range x.missing {
		b, err := x.opened.cache.get(name)
		if err == nil {
			err = x.repo.store.PutIfAbsent(ctx, name, b)
		}
		if err != nil {
			return fmt.Errorf("put %s back: %w", name, err)
		}
	}
	return nil
}
