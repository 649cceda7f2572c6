package storage

import (
	"context"
	"fmt"

	"restante/storage/ledger"
	"restante/storage/messages"
)

// losses finds out what snapshots of one vault lack. Folders and pages that
// snapshots share are gone through once.
type losses struct {
	x       *repairer
	v       *vault
	folders map[BlobID]*folderLoss
	pages   map[BlobID]*pageLoss
}

// A snapshotLoss is what a snapshot lacks.
type snapshotLoss struct {
	unreadable bool // its root
	kind       string
	details    []BlobID // that can be read
	lacking    int      // details that cannot
	folders    []*folderLoss
}

// A folderLoss is a folder of a snapshot, and what it lacks.
type folderLoss struct {
	levels []string
	folder *Folder // nil: its record cannot be read
	mail   []*pageLoss
	flags  []page // that can be read
	lost   []page // pages of messages that cannot, or lists of them
	nFlags int    // pages of flags that cannot
}

// A pageLoss is a page of messages, and which of them cannot be put together.
type pageLoss struct {
	page
	lost []Message
	why  string // of the first
	bad  bool   // the page itself cannot be read
}

func (l *snapshotLoss) whole() bool {
	if l.unreadable || l.lacking > 0 {
		return false
	}
	for _, f := range l.folders {
		if !f.whole() {
			return false
		}
	}
	return true
}

func (f *folderLoss) whole() bool {
	if f.folder == nil || len(f.lost) > 0 || f.nFlags > 0 {
		return false
	}
	for _, p := range f.mail {
		if len(p.lost) > 0 {
			return false
		}
	}
	return true
}

// messages is how many are lost, as far as is known.
func (f *folderLoss) messages() (n int64) {
	for _, p := range f.lost {
		n += int64(p.Count)
	}
	for _, p := range f.mail {
		n += int64(len(p.lost))
	}
	return n
}

func (l *snapshotLoss) messages(of Snapshot) (n int64) {
	if l.unreadable {
		return of.Messages
	}
	kept := int64(0)
	for _, f := range l.folders {
		if f.folder != nil {
			kept += f.folder.Messages - f.messages()
		}
	}
	return of.Messages - kept
}

// snapshot finds out what a snapshot lacks. The error is none of those.
func (c *losses) snapshot(ctx context.Context, s Snapshot) (*snapshotLoss, error) {
	b, err := c.v.load(ctx, s.Root, structureDomain)
	if gone(err) {
		return &snapshotLoss{unreadable: true}, nil
	}
	if err != nil {
		return nil, err
	}
	var top root
	if err := decode.Unmarshal(b, &top); err != nil {
		return &snapshotLoss{unreadable: true}, nil
	}
	l := &snapshotLoss{kind: top.Kind}
	for _, id := range top.Details {
		if _, there, err := c.x.has(ctx, c.v, id, structureDomain); err != nil {
			return nil, err
		} else if there {
			l.details = append(l.details, id)
		} else {
			l.lacking++
		}
	}
	for _, ref := range top.Folders {
		f := c.folders[ref.ID]
		if f == nil {
			if f, err = c.folder(ctx, s, ref); err != nil {
				return nil, err
			}
			c.folders[ref.ID] = f
		}
		l.folders = append(l.folders, f)
	}
	return l, nil
}

func (c *losses) folder(ctx context.Context, s Snapshot, ref folderRef) (*folderLoss, error) {
	l := &folderLoss{levels: ref.Levels}
	tree := &Tree{Snapshot: s, v: c.v}
	f := &Folder{tree: tree, id: ref.ID}
	b, err := tree.load(ctx, ref.ID)
	if err == nil {
		err = parseBlob(ref.ID, b, f)
	}
	if f.octets = b; gone(err) {
		return l, nil
	} else if err != nil {
		return nil, err
	}
	l.folder = f
	pages, lost, err := c.list(ctx, f, f.MailList)
	if err != nil {
		return nil, err
	}
	l.lost = lost
	for _, p := range pages {
		found := c.pages[p.ID]
		if found == nil {
			if found, err = c.page(ctx, f, p); err != nil {
				return nil, err
			}
			c.pages[p.ID] = found
		}
		if found.bad {
			l.lost = append(l.lost, p)
		} else {
			l.mail = append(l.mail, found)
		}
	}
	flags, lost, err := c.list(ctx, f, f.FlagList)
	if err != nil {
		return nil, err
	}
	l.nFlags = len(lost)
	for _, p := range flags {
		if _, err := f.flags(ctx, p, new(flagSets)); gone(err) {
			l.nFlags++
		} else if err != nil {
			return nil, err
		} else {
			l.flags = append(l.flags, p)
		}
	}
	return l, nil
}

// list resolves a list of pages as far as it can be read.
func (c *losses) list(ctx context.Context, f *Folder, l pageList) (pages, lost []page, err error) {
	for _, ref := range l.refs {
		part, err := pageList{refs: []page{ref}, lists: l.lists}.pages(f.load(ctx))
		switch {
		case gone(err):
			lost = append(lost, ref)
		case err != nil:
			return nil, nil, err
		default:
			pages = append(pages, part...)
		}
	}
	return pages, lost, nil
}

// page finds out which messages of a page cannot be put together.
func (c *losses) page(ctx context.Context, f *Folder, p page) (*pageLoss, error) {
	l := &pageLoss{page: p}
	list, err := f.messages(ctx, p)
	if gone(err) {
		l.bad = true
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		why, err := c.message(ctx, m.Recipe)
		if err != nil {
			return nil, err
		}
		if why != "" {
			l.lost = append(l.lost, m)
			if l.why == "" {
				l.why = why
			}
		}
	}
	return l, nil
}

// message says why a message cannot be put together; "" where it can.
func (c *losses) message(ctx context.Context, recipe BlobID) (why string, err error) {
	octets, err := c.v.load(ctx, recipe, recipeDomain)
	if gone(err) {
		return "its recipe is lost", nil
	}
	if err != nil {
		return "", err
	}
	refs, err := messages.References(octets)
	if err != nil {
		return fmt.Sprintf("its recipe cannot be read: %v", err), nil
	}
	for _, ref := range refs {
		l, there, err := c.x.has(ctx, c.v, ref.ID, contentDomain)
		if err != nil {
			return "", err
		}
		if !there || int64(l.Length) != ref.Size {
			return fmt.Sprintf("a part of %d octets is lost", ref.Size), nil
		}
	}
	return "", nil
}

// tell puts what the snapshots of an account lack into the result.
func (c *losses) tell(account string, list []Snapshot, found []*snapshotLoss) {
	type place struct {
		folder string
		uid    uint32
		id     BlobID
	}
	at := map[place]int{}
	note := func(k place, l Loss) {
		i, known := at[k]
		if !known {
			i = len(c.x.result.Losses)
			at[k] = i
			l.Account, l.Folder = account, k.folder
			c.x.result.Losses = append(c.x.result.Losses, l)
		}
		c.x.result.Losses[i].Snapshots++
	}
	for i, l := range found {
		if l.unreadable {
			note(place{id: list[i].Root}, Loss{Messages: list[i].Messages, Problem: "the list of folders of snapshot " + list[i].ID.Short() + " cannot be read"})
		}
		if l.lacking > 0 {
			note(place{folder: "", uid: 1}, Loss{Problem: "rights, quota or scripts cannot be read"})
		}
		for _, f := range l.folders {
			name := FolderName(f.levels)
			if f.folder == nil {
				note(place{folder: name}, Loss{Problem: "what is known of the folder cannot be read"})
			}
			for _, p := range f.lost {
				note(place{folder: name, id: p.ID}, Loss{Messages: int64(p.Count), Problem: fmt.Sprintf("a page of the list, UIDs %d to %d, cannot be read", p.First, p.Last)})
			}
			if f.nFlags > 0 {
				note(place{folder: name, uid: 1}, Loss{Problem: "flags cannot be read"})
			}
			for _, p := range f.mail {
				for _, m := range p.lost {
					note(place{folder: name, uid: m.UID, id: m.Recipe}, Loss{UID: m.UID, Subject: m.Subject, Messages: 1, Problem: p.why})
				}
			}
		}
	}
}

// snapshotsOf are the snapshots in a vault, by account.
func (x *repairer) snapshotsOf(v *vault) (accounts map[string][]Snapshot, held map[string]bool) {
	accounts, held = map[string][]Snapshot{}, map[string]bool{}
	x.repo.ledger.View(func(s *ledger.State) {
		for account, list := range s.Snapshots {
			held[account] = s.Held(account)
			for _, snap := range oldestFirst(list) {
				if snap.Vault == v.id {
					accounts[account] = append(accounts[account], snap)
				}
			}
		}
	})
	return accounts, held
}
