package storage

import (
	"context"
	"slices"
)

// A Change is what became of a message between two snapshots.
type Change struct {
	Message Message
	// Folder is where the message is, or was last; To where it went, for those
	// that moved.
	Folder, To string
	// Before are the flags it had, for those whose flags changed.
	Before []string
}

// A Difference is what changed between two snapshots of an account. A message
// is the same if its octets are, wherever it stands.
type Difference struct {
	Added, Removed, Moved, Flagged []Change
	FoldersAdded, FoldersRemoved   []string
}

// A spot is a message in a folder.
type spot struct {
	folder  *Folder
	message Message
}

// Compare tells what changed from one snapshot of an account to another. It
// reads only what the two do not share.
func Compare(ctx context.Context, from, to *Tree) (*Difference, error) {
	d := new(Difference)
	old, now := map[string]*Folder{}, map[string]*Folder{}
	for _, f := range from.Folders {
		old[f.Name()] = f
	}
	for _, f := range to.Folders {
		now[f.Name()] = f
		if old[f.Name()] == nil {
			d.FoldersAdded = append(d.FoldersAdded, f.Name())
		}
	}
	for _, f := range from.Folders {
		if now[f.Name()] == nil {
			d.FoldersRemoved = append(d.FoldersRemoved, f.Name())
		}
	}

	// By folder, what stands on one side only.
	gone := map[BlobID][]spot{}
	var left []BlobID // the keys of gone, in order
	var came []spot
	pairs := map[string]bool{}
	for _, f := range slices.Concat(from.Folders, to.Folders) {
		a, b := old[f.Name()], now[f.Name()]
		if pairs[f.Name()] || a != nil && b != nil && a.id == b.id {
			continue
		}
		pairs[f.Name()] = true
		lost, found, flagged, err := compareFolders(ctx, a, b)
		if err != nil {
			return nil, err
		}
		d.Flagged = append(d.Flagged, flagged...)
		for _, s := range lost {
			if gone[s.message.Recipe] == nil {
				left = append(left, s.message.Recipe)
			}
			gone[s.message.Recipe] = append(gone[s.message.Recipe], s)
		}
		came = append(came, found...)
	}

	for _, s := range came {
		where := gone[s.message.Recipe]
		if len(where) == 0 {
			d.Added = append(d.Added, Change{Message: s.message, Folder: s.folder.Name()})
			continue
		}
		was := where[0]
		gone[s.message.Recipe] = where[1:]
		switch {
		case was.folder.Name() != s.folder.Name():
			d.Moved = append(d.Moved, Change{Message: s.message, Folder: was.folder.Name(), To: s.folder.Name()})
		case !sameNames(was.message.Flags, s.message.Flags): // under another UID
			d.Flagged = append(d.Flagged, Change{Message: s.message, Folder: s.folder.Name(), Before: was.message.Flags})
		}
	}
	for _, id := range left {
		for _, s := range gone[id] {
			d.Removed = append(d.Removed, Change{Message: s.message, Folder: s.folder.Name()})
		}
	}
	return d, nil
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// compareFolders compares two folders, either of which may be nil.
func compareFolders(ctx context.Context, a, b *Folder) (lost, found []spot, flagged []Change, err error) {
	epoch := a != nil && b != nil && a.UIDValidity == b.UIDValidity
	before := map[uint32]Message{}
	if a != nil {
		for m, err := range a.All(ctx) {
			if err != nil {
				return nil, nil, nil, err
			}
			before[m.UID] = m
		}
	}
	if b != nil {
		for m, err := range b.All(ctx) {
			if err != nil {
				return nil, nil, nil, err
			}
			was, there := before[m.UID]
			if !epoch || !there || was.Recipe != m.Recipe {
				found = append(found, spot{b, m})
				continue
			}
			delete(before, m.UID)
			if !sameNames(was.Flags, m.Flags) {
				flagged = append(flagged, Change{Message: m, Folder: b.Name(), Before: was.Flags})
			}
		}
	}
	for _, m := range before {
		lost = append(lost, spot{a, m})
	}
	slices.SortFunc(lost, func(x, y spot) int { return int(int64(x.message.UID) - int64(y.message.UID)) })
	return lost, found, flagged, nil
}

// Vanished is a message that was in an account and is not any more.
type Vanished struct {
	Message Message
	// Folder is where it was last.
	Folder *Folder
	// Origin is where it was before it went to the trash or the junk; the same
	// as Folder if it was not there.
	Origin *Folder
	// Seen is the last snapshot that has it.
	Seen Snapshot
}

// FindVanished tells what is in any of the snapshots of an account and not in
// the last of them, each distinct message once. Snapshots come oldest first.
// Messages that were moved are not among them.
func (r *Repository) FindVanished(ctx context.Context, snapshots []Snapshot) ([]Vanished, error) {
	if len(snapshots) == 0 {
		return nil, nil
	}
	latest, err := r.OpenSnapshot(ctx, snapshots[len(snapshots)-1])
	if err != nil {
		return nil, err
	}
	there := map[BlobID]bool{}
	type key struct {
		folder string
		page   BlobID
	}
	seen := map[key]bool{}
	for _, f := range latest.Folders {
		for list, err := range f.PageWise(ctx, func(id BlobID) bool { seen[key{f.Name(), id}] = true; return false }) {
			if err != nil {
				return nil, err
			}
			for i := range list {
				there[list[i].Recipe] = true
			}
		}
	}

	// From the newest to the oldest: where a message turns up first is where
	// it was last.
	found := map[BlobID]*Vanished{}
	var order []BlobID
	for _, s := range slices.Backward(snapshots[:len(snapshots)-1]) {
		tree, err := r.OpenSnapshot(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, f := range tree.Folders {
			fresh := map[uint32]*Vanished{}
			skip := func(id BlobID) bool {
				known := seen[key{f.Name(), id}]
				seen[key{f.Name(), id}] = true
				return known
			}
			for list, err := range f.PageWise(ctx, skip) {
				if err != nil {
					return nil, err
				}
				for _, m := range list {
					v := found[m.Recipe]
					switch {
					case there[m.Recipe]:
					case v == nil:
						v = &Vanished{Message: m, Folder: f, Origin: f, Seen: s}
						found[m.Recipe], fresh[m.UID] = v, v
						order = append(order, m.Recipe)
					case v.Origin.discards() && !f.discards():
						v.Origin = f
					}
				}
			}
			if len(fresh) == 0 {
				continue
			}
			for flagged, err := range f.Flags(ctx) {
				if err != nil {
					return nil, err
				}
				if v := fresh[flagged.UID]; v != nil {
					v.Message.Flags = flagged.Flags
				}
			}
		}
	}
	list := make([]Vanished, len(order))
	for i, id := range order {
		list[i] = *found[id]
	}
	return list, nil
}

// discards says that mail is put into the folder to be got rid of.
func (f *Folder) discards() bool {
	return slices.Contains(f.SpecialUse, `\Trash`) || slices.Contains(f.SpecialUse, `\Junk`)
}
