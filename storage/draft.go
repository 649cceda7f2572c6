package storage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
)

const (
	messagesPerPage = 256
	flagsPerPage    = 2048
)

// A Draft is a folder of the next snapshot in the making: that of the parent,
// and what has changed since. What did not change is not read, and stays the
// same blobs. Its methods may be called from many goroutines.
type Draft struct {
	w *Writer

	mu sync.Mutex // guards what follows
	// folder is what the record will say.
	folder  Folder
	saved   []page    // new pages, full
	loose   []Message // new messages without a page
	sets    flagSets
	flags   []flagItem // new and changed
	removed []uint32
	bytes   int64 // octets of new messages
}

// Draft begins a folder. Parent is the folder as it was, or nil; it must be of
// a tree in the Writer's vault.
func (w *Writer) Draft(parent *Folder) *Draft {
	d := &Draft{w: w}
	if parent != nil {
		d.folder = *parent
	}
	d.folder.tree = &Tree{v: w.v, w: w}
	return d
}

// Describe sets what the source says of the folder. The messages stay.
func (d *Draft) Describe(set func(f *Folder)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.folder
	set(&f)
	f.MailList, f.FlagList, f.Messages, f.Bytes, f.tree = d.folder.MailList, d.folder.FlagList, d.folder.Messages, d.folder.Bytes, d.folder.tree
	d.folder = f
}

// Add adds messages, in ascending order of UIDs. One with a UID that the parent
// has takes its place.
func (d *Draft) Add(list []Message) error {
	var full []page
	rest := list
	for ; len(rest) >= messagesPerPage; rest = rest[messagesPerPage:] {
		p, err := d.saveMessages(rest[:messagesPerPage])
		if err != nil {
			return err
		}
		full = append(full, p)
	}
	// All of it at once: a Save in between must not see flags of messages
	// that are not there.
	d.mu.Lock()
	defer d.mu.Unlock()
	d.saved = append(d.saved, full...)
	d.loose = append(d.loose, rest...)
	for i := range list {
		d.flags = append(d.flags, flagItem{list[i].UID, d.sets.number(list[i].Flags)})
		d.bytes += list[i].Size
	}
	return nil
}

// SetFlags sets the flags of a message that the parent has.
func (d *Draft) SetFlags(uid uint32, flags []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flags = append(d.flags, flagItem{uid, d.sets.number(flags)})
}

// Remove takes messages out that are no longer in the folder.
func (d *Draft) Remove(uids []uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removed = append(d.removed, uids...)
}

// Save saves the folder as it is now. The Draft goes on from there.
func (d *Draft) Save(ctx context.Context) (SavedFolder, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.removed)
	d.loose = slices.DeleteFunc(d.loose, func(m Message) bool {
		_, gone := slices.BinarySearch(d.removed, m.UID)
		if gone {
			d.bytes -= m.Size
		}
		return gone
	})
	slices.SortFunc(d.loose, func(a, b Message) int { return cmp.Compare(a.UID, b.UID) })
	// Of several flags for one message, the last ones count.
	slices.SortStableFunc(d.flags, func(a, b flagItem) int { return cmp.Compare(a.uid, b.uid) })
	flags := d.flags[:0]
	for i, item := range d.flags {
		if _, gone := slices.BinarySearch(d.removed, item.uid); gone {
			continue
		}
		if i+1 == len(d.flags) || d.flags[i+1].uid != item.uid {
			flags = append(flags, item)
		}
	}

	f := &d.folder
	bytes := f.Bytes + d.bytes
	messagePages := pager[Message]{
		size: messagesPerPage, uid: func(m Message) uint32 { return m.UID },
		load: func(p page) ([]Message, error) { return f.messages(ctx, p) },
		save: d.saveMessages,
		drop: func(m Message) { bytes -= m.Size },
	}
	mailList, err := messagePages.rewriteList(ctx, d, f.MailList, d.saved, d.loose, d.removed)
	if err != nil {
		return SavedFolder{}, fmt.Errorf("folder %q: %w", f.Name(), err)
	}
	flagPages := pager[flagItem]{
		size: flagsPerPage, uid: func(i flagItem) uint32 { return i.uid },
		load: func(p page) ([]flagItem, error) { return f.flags(ctx, p, &d.sets) },
		save: func(list []flagItem) (page, error) {
			return d.savePage(list[0].uid, list[len(list)-1].uid, len(list), appendFlagPage(nil, list, &d.sets))
		},
	}
	flagList, err := flagPages.rewriteList(ctx, d, f.FlagList, nil, flags, d.removed)
	if err != nil {
		return SavedFolder{}, fmt.Errorf("folder %q: %w", f.Name(), err)
	}
	if flagList.count() != mailList.count() {
		// The next run would take flags for messages that it need not read.
		return SavedFolder{}, fmt.Errorf("folder %q: flags of %d messages for %d messages", f.Name(), flagList.count(), mailList.count())
	}
	f.MailList, f.FlagList, f.Messages, f.Bytes = mailList, flagList, mailList.count(), bytes
	d.saved, d.loose, d.flags, d.removed, d.bytes = nil, nil, nil, nil, 0

	b, err := canonical.Marshal(f)
	if err != nil {
		return SavedFolder{}, fmt.Errorf("folder %q: %w", f.Name(), err)
	}
	id, err := d.w.saveStructure(b)
	return SavedFolder{f.Levels, f.Messages, f.Bytes, id, b}, err
}

// Folder is the folder as Save saved it last, to be read back.
func (d *Draft) Folder() *Folder {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.folder
	return &f
}

func (d *Draft) saveMessages(list []Message) (page, error) {
	return d.savePage(list[0].UID, list[len(list)-1].UID, len(list), appendMessagePage(nil, list))
}

func (d *Draft) savePage(first, last uint32, count int, octets []byte) (page, error) {
	id, err := d.w.saveStructure(octets)
	return page{First: first, Last: last, Count: count, ID: id}, err
}

// SavedFolder is a folder that Save or Keep gave, for SaveTree.
type SavedFolder struct {
	Levels          []string
	Messages, Bytes int64
	id              BlobID
	octets          []byte // of the record; nil where they are not at hand
}

// Valid says that it is the result of a Save or Keep, not a zero value.
func (f SavedFolder) Valid() bool { return f.Levels != nil }

// Same says that nothing in the saved folder differs from one in a snapshot.
func (f SavedFolder) Same(as *Folder) bool { return f.id == as.id }

// Keep takes a folder over into the next snapshot as it is. It must be of a
// tree in the Writer's vault.
func (f *Folder) Keep() SavedFolder {
	return SavedFolder{f.Levels, f.Messages, f.Bytes, f.id, f.octets}
}

// SaveTree saves the top of a snapshot's tree and sets what the snapshot says
// of it: vault, root, folders, messages and bytes.
func (w *Writer) SaveTree(kind string, folders []SavedFolder, s *Snapshot) error {
	return w.SaveTreeWith(kind, folders, SavedDetails{}, s)
}

// mostCopied is how many octets of folder records and details a root repeats, so
// that reading it is enough to begin with: those of some hundreds of folders. As
// sealed they mostly fit in the padding of the pack that brings the root.
const mostCopied = 48 << 10

// SaveTreeWith is SaveTree for a snapshot that has details.
func (w *Writer) SaveTreeWith(kind string, folders []SavedFolder, details SavedDetails, s *Snapshot) error {
	top := root{Kind: kind, Folders: []folderRef{}, Details: details.pieces}
	copies := 0
	for _, f := range folders {
		copies += len(f.octets)
	}
	s.Vault, s.Folders, s.Messages, s.Bytes = w.v.id, len(folders), 0, 0
	for _, f := range folders {
		ref := folderRef{Levels: f.Levels, ID: f.id}
		if copies <= mostCopied {
			ref.Record = f.octets
		}
		top.Folders = append(top.Folders, ref)
		s.Messages += f.Messages
		s.Bytes += f.Bytes
	}
	for i := range details.pieces {
		octets := details.piece(i)
		if copies += len(octets); copies > mostCopied {
			top.Pieces = nil
			break
		}
		top.Pieces = append(top.Pieces, octets)
	}
	b, err := canonical.Marshal(top)
	if err != nil {
		return err
	}
	s.Root, err = w.saveStructure(b)
	return err
}

// A pager changes lists of pages, which are sorted by UID and do not overlap.
type pager[T any] struct {
	size int // items aimed at in a page
	uid  func(T) uint32
	load func(page) ([]T, error)
	save func([]T) (page, error)
	drop func(T) // told of items removed and replaced; may be nil
}

// A leaf is a page while it is changed: its items are loaded when needed.
type leaf[T any] struct {
	page
	items   []T
	changed bool
}

// rewriteList is rewrite for the pages of a list, with more that are new.
func (p *pager[T]) rewriteList(ctx context.Context, d *Draft, l pageList, more []page, put []T, removed []uint32) (pageList, error) {
	if len(more)+len(put)+len(removed) == 0 {
		return l, nil
	}
	pages, err := l.pages(d.folder.load(ctx))
	if err != nil {
		return l, err
	}
	if pages, err = p.rewrite(slices.Concat(pages, more), put, removed); err != nil {
		return l, err
	}
	return listPages(pages, d.w.saveStructure)
}

// rewrite returns the pages with the items of put in their places and without
// the removed ones. Pages may come in any order and overlap; put and removed
// are sorted.
func (p *pager[T]) rewrite(pages []page, put []T, removed []uint32) ([]page, error) {
	slices.SortFunc(pages, func(a, b page) int { return cmp.Compare(a.First, b.First) })
	var leaves []*leaf[T]
	for _, ref := range pages {
		l := &leaf[T]{page: ref}
		if n := len(leaves); n > 0 && leaves[n-1].Last >= ref.First {
			if err := p.open(l); err != nil {
				return nil, err
			}
			if err := p.put(leaves[n-1], l.items); err != nil {
				return nil, err
			}
			continue
		}
		leaves = append(leaves, l)
	}
	for _, l := range leaves {
		if err := p.remove(l, removed); err != nil {
			return nil, err
		}
	}
	for len(put) > 0 {
		// The last page that begins at or before the item takes it and those
		// before the next page, unless it is full and ends before them.
		uid := p.uid(put[0])
		i := sort.Search(len(leaves), func(i int) bool { return leaves[i].First > uid }) - 1
		n := len(put)
		if i+1 < len(leaves) {
			n = sort.Search(len(put), func(k int) bool { return p.uid(put[k]) >= leaves[i+1].First })
		}
		if i < 0 || uid > leaves[i].Last && leaves[i].Count >= p.size {
			i++
			leaves = slices.Insert(leaves, i, &leaf[T]{changed: true, page: page{First: uid, Last: uid}})
		}
		if err := p.put(leaves[i], put[:n]); err != nil {
			return nil, err
		}
		put = put[n:]
	}
	return p.close(leaves)
}

func (p *pager[T]) open(l *leaf[T]) (err error) {
	if l.items == nil && l.Count > 0 {
		l.items, err = p.load(l.page)
	}
	return err
}

// put merges sorted items into a leaf; one with a UID that is there replaces.
func (p *pager[T]) put(l *leaf[T], items []T) error {
	if err := p.open(l); err != nil {
		return err
	}
	merged := make([]T, 0, len(l.items)+len(items))
	old := l.items
	for _, item := range items {
		for len(old) > 0 && p.uid(old[0]) < p.uid(item) {
			merged, old = append(merged, old[0]), old[1:]
		}
		if len(old) > 0 && p.uid(old[0]) == p.uid(item) {
			p.dropped(old[0])
			old = old[1:]
		}
		merged = append(merged, item)
	}
	p.set(l, append(merged, old...))
	return nil
}

func (p *pager[T]) dropped(item T) {
	if p.drop != nil {
		p.drop(item)
	}
}

func (p *pager[T]) remove(l *leaf[T], removed []uint32) error {
	from, _ := slices.BinarySearch(removed, l.First)
	if from == len(removed) || removed[from] > l.Last {
		return nil
	}
	if err := p.open(l); err != nil {
		return err
	}
	kept := make([]T, 0, len(l.items))
	for _, item := range l.items {
		if _, gone := slices.BinarySearch(removed, p.uid(item)); gone {
			p.dropped(item)
		} else {
			kept = append(kept, item)
		}
	}
	if len(kept) < len(l.items) {
		p.set(l, kept)
	}
	return nil
}

func (p *pager[T]) set(l *leaf[T], items []T) {
	l.items, l.Count, l.changed = items, len(items), true
	if len(items) > 0 {
		l.First, l.Last = p.uid(items[0]), p.uid(items[len(items)-1])
	}
}

// close saves the leaves that changed: in pieces where they are too large, and
// together with the one before where they have become small.
func (p *pager[T]) close(leaves []*leaf[T]) ([]page, error) {
	var kept []*leaf[T]
	for _, l := range leaves {
		if l.Count == 0 {
			continue
		}
		if n := len(kept); n > 0 && l.changed && l.Count < p.size/4 && kept[n-1].Count+l.Count <= p.size {
			if err := p.put(kept[n-1], l.items); err != nil {
				return nil, err
			}
			continue
		}
		kept = append(kept, l)
	}
	pages := make([]page, 0, len(kept))
	for _, l := range kept {
		if !l.changed {
			pages = append(pages, l.page)
			continue
		}
		for items := l.items; len(items) > 0; {
			n := len(items)
			if n > p.size*3/2 {
				n = p.size
			}
			ref, err := p.save(items[:n])
			if err != nil {
				return nil, err
			}
			pages = append(pages, ref)
			items = items[n:]
		}
	}
	return pages, nil
}
