package storage

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sync/errgroup"
)

// A Tree is what a snapshot holds: the account's folders and what is in them.
type Tree struct {
	Snapshot Snapshot
	Kind     string // of the source: imap, maildir, mbox
	Folders  []*Folder

	details SavedDetails
	v       *vault
	w       *Writer // of a draft: blobs that are not committed yet are there
}

// load returns a structure blob.
func (t *Tree) load(ctx context.Context, id BlobID) ([]byte, error) {
	if t.w != nil {
		if b, ok := t.w.recentStructure(id); ok {
			return b, nil
		}
	}
	return t.v.load(ctx, id, structureDomain)
}

// A Folder is a folder in a snapshot. FORMAT.md section 7.
type Folder struct {
	Levels     []string `cbor:"1,keyasint"`
	Raw        []byte   `cbor:"2,keyasint,omitempty"` // the server's octets, where Levels do not give them
	Delimiter  string   `cbor:"3,keyasint,omitempty"`
	Attributes []string `cbor:"4,keyasint,omitempty"`
	SpecialUse []string `cbor:"5,keyasint,omitempty"`
	Subscribed bool     `cbor:"6,keyasint,omitempty"`
	// UIDValidity is 0 where the folder holds no messages, as \Noselect.
	UIDValidity   uint32 `cbor:"7,keyasint,omitempty"`
	UIDNext       uint32 `cbor:"8,keyasint,omitempty"`
	HighestModSeq uint64 `cbor:"9,keyasint,omitempty"` // 0: none, or not to be relied on
	Messages      int64  `cbor:"10,keyasint,omitempty"`
	Bytes         int64  `cbor:"11,keyasint,omitempty"` // octets of its messages
	// Counted is how many messages the server said there were.
	Counted  int64     `cbor:"12,keyasint,omitempty"`
	MailList pageList  `cbor:"13,keyasint,omitempty"`
	FlagList pageList  `cbor:"14,keyasint,omitempty"`
	Missing  []Missing `cbor:"15,keyasint,omitempty"`

	tree   *Tree
	id     BlobID
	octets []byte // of the record
}

// Missing is a message that could not be had.
type Missing struct {
	_      struct{} `cbor:",toarray"`
	UID    uint32
	Tries  int
	Reason string
}

// root is the blob at a tree's top.
type root struct {
	Kind    string      `cbor:"1,keyasint"`
	Folders []folderRef `cbor:"2,keyasint"`
	Details []BlobID    `cbor:"3,keyasint,omitempty"`
	// Pieces are copies of those of the details, where they are small.
	Pieces [][]byte `cbor:"4,keyasint,omitempty"`
}

type folderRef struct {
	Levels []string `cbor:"1,keyasint"`
	ID     BlobID   `cbor:"2,keyasint"`
	Record []byte   `cbor:"3,keyasint,omitempty"` // a copy, where all are small
}

var canonical = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// decode reads what canonical wrote, all of it: texts that are no UTF-8, as a
// server's or a file's name can be, and lists as long as folders are.
var decode = func() cbor.DecMode {
	m, err := cbor.DecOptions{MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 20, MaxNestedLevels: 16, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// Name is the folder's name as people see it.
func (f *Folder) Name() string { return FolderName(f.Levels) }

// FolderName joins the levels of a folder's name with '/', and writes '/' and
// '\' within a level with a '\' before.
func FolderName(levels []string) string {
	escaped := make([]string, len(levels))
	for i, l := range levels {
		escaped[i] = strings.NewReplacer(`\`, `\\`, `/`, `\/`).Replace(l)
	}
	return strings.Join(escaped, "/")
}

// FolderLevels is the reverse of FolderName.
func FolderLevels(name string) []string {
	levels := []string{""}
	last := &levels[0]
	escaped := false
	for _, r := range name {
		switch {
		case r == '\\' && !escaped:
			escaped = true
			continue
		case r == '/' && !escaped:
			levels = append(levels, "")
			last = &levels[len(levels)-1]
		default:
			*last += string(r)
		}
		escaped = false
	}
	return levels
}

// OpenSnapshot reads what a snapshot holds, without its messages.
func (r *Repository) OpenSnapshot(ctx context.Context, s Snapshot) (*Tree, error) {
	v, err := r.vault(ctx, s.Vault)
	if err != nil {
		return nil, err
	}
	t := &Tree{Snapshot: s, v: v}
	b, err := v.loadRoot(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", s.ID.Short(), err)
	}
	var top root
	if err := parseBlob(s.Root, b, &top); err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", s.ID.Short(), err)
	}
	t.Kind, t.details = top.Kind, SavedDetails{top.Details, top.Pieces}
	t.Folders = make([]*Folder, len(top.Folders))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, ref := range top.Folders {
		g.Go(func() error {
			f := &Folder{tree: t, id: ref.ID}
			b, err := t.copied(ctx, ref.ID, ref.Record)
			if err == nil {
				err = parseBlob(ref.ID, b, f)
			}
			if f.octets = b; err != nil {
				return fmt.Errorf("snapshot %s, folder %q: %w", s.ID.Short(), FolderName(ref.Levels), err)
			}
			t.Folders[i] = f
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return t, nil
}

// copied returns a structure blob of which the root may have a copy.
func (t *Tree) copied(ctx context.Context, id BlobID, octets []byte) ([]byte, error) {
	if len(octets) > 0 && t.v.blobID(structureDomain, octets) == id {
		return octets, nil
	}
	return t.load(ctx, id)
}

func parseBlob(id BlobID, octets []byte, into any) error {
	if err := decode.Unmarshal(octets, into); err != nil {
		return fmt.Errorf("blob %x: %w: %w", id, ErrDamaged, err)
	}
	return nil
}

// Folder finds a folder by its levels; nil if there is none.
func (t *Tree) Folder(levels []string) *Folder {
	for _, f := range t.Folders {
		if slices.Equal(f.Levels, levels) {
			return f
		}
	}
	return nil
}

// All goes through the folder's messages, with their flags, in the order of
// their UIDs. It ends after the first error.
func (f *Folder) All(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		flags, stop := iter.Pull2(f.Flags(ctx))
		defer stop()
		at, err, more := flags()
		for list, listErr := range f.PageWise(ctx, nil) {
			if listErr != nil {
				yield(Message{}, listErr)
				return
			}
			for _, m := range list {
				for more && err == nil && at.UID < m.UID {
					at, err, more = flags()
				}
				if err != nil {
					yield(Message{}, err)
					return
				}
				if more && at.UID == m.UID {
					m.Flags = at.Flags
				}
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}

// Message finds the message with a UID.
func (f *Folder) Message(ctx context.Context, uid uint32) (m Message, found bool, err error) {
	pages, err := f.MailList.pages(f.load(ctx))
	if err != nil {
		return m, false, err
	}
	for _, p := range pages {
		if uid < p.First || uid > p.Last {
			continue
		}
		list, err := f.messages(ctx, p)
		if err != nil {
			return m, false, err
		}
		for _, m := range list {
			if m.UID == uid {
				return m, true, nil
			}
		}
	}
	return m, false, nil
}

// Flagged is a message's flags.
type Flagged struct {
	UID   uint32
	Flags []string
}

// Flags goes through the UIDs of the folder's messages and their flags, in
// ascending order, which takes much less reading than All.
func (f *Folder) Flags(ctx context.Context) iter.Seq2[Flagged, error] {
	return func(yield func(Flagged, error) bool) {
		pages, err := f.FlagList.pages(f.load(ctx))
		if err != nil {
			yield(Flagged{}, err)
			return
		}
		sets := new(flagSets)
		for _, p := range pages {
			list, err := f.flags(ctx, p, sets)
			if err != nil {
				yield(Flagged{}, err)
				return
			}
			for _, item := range list {
				if !yield(Flagged{item.uid, sets.sets[item.set]}, nil) {
					return
				}
			}
		}
	}
}

// PageWise goes through the folder's messages page by page, without flags,
// leaving out the pages that skip, told each page's id, says are known.
// Snapshots share pages, so whoever looks at many of them reads each once.
func (f *Folder) PageWise(ctx context.Context, skip func(id BlobID) bool) iter.Seq2[[]Message, error] {
	return func(yield func([]Message, error) bool) {
		pages, err := f.MailList.pages(f.load(ctx))
		if err != nil {
			yield(nil, err)
			return
		}
		for _, p := range pages {
			if skip != nil && skip(p.ID) {
				continue
			}
			list, err := f.messages(ctx, p)
			if !yield(list, err) || err != nil {
				return
			}
		}
	}
}

// load returns a function that loads structure blobs for this folder.
func (f *Folder) load(ctx context.Context) func(BlobID) ([]byte, error) {
	return func(id BlobID) ([]byte, error) {
		b, err := f.tree.load(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("folder %q: %w", f.Name(), err)
		}
		return b, nil
	}
}

func (f *Folder) messages(ctx context.Context, p page) ([]Message, error) {
	b, err := f.load(ctx)(p.ID)
	if err != nil {
		return nil, err
	}
	list, err := parseMessagePage(b)
	if err != nil {
		return nil, fmt.Errorf("folder %q: blob %x: %w: %w", f.Name(), p.ID, ErrDamaged, err)
	}
	return list, nil
}

func (f *Folder) flags(ctx context.Context, p page, sets *flagSets) ([]flagItem, error) {
	b, err := f.load(ctx)(p.ID)
	if err != nil {
		return nil, err
	}
	list, err := parseFlagPage(b, sets)
	if err != nil {
		return nil, fmt.Errorf("folder %q: blob %x: %w: %w", f.Name(), p.ID, ErrDamaged, err)
	}
	return list, nil
}
