package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"restante/restore"
	"restante/storage"
	"restante/storage/mailfiles"
)

// OpenMbox opens a directory that mbox files are written to, one for each
// folder. If there is none, it is made with the first folder. dir may also be
// an mbox file, which is one folder then. Messages are written as
// mailfiles.MboxWriter does: other mail programs read them, but do not see the
// flags. In a profile of Thunderbird it may only be a new folder.
func OpenMbox(dir string) (restore.Target, error) {
	t := &mboxTarget{dir: dir, paths: map[string]string{}}
	var err error
	if t.folder, err = inProfile(dir, true); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		t.file = storage.FolderName(mailfiles.FileFolder(dir).Levels)
	case err == nil:
		t.tree, err = mailfiles.OpenMboxTree(dir)
	case dir != "" && errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the mbox: %w", err)
	}
	return t, nil
}

type mboxTarget struct {
	dir  string
	file string // the place, if dir is a file
	// folder is what dir is in a profile of Thunderbird, nil if it is in none.
	folder *newFolder

	mu   sync.Mutex          // guards what follows
	tree *mailfiles.MboxTree // nil: the directory is not there yet, or a file
	// What Folders found out, and Create:
	paths map[string]string // of the folders that are there, by place
	inbox string            // how INBOX is written there, "" if not at all
}

// Location is the address of the directory.
func (t *mboxTarget) Location() string { return "mbox:" + t.dir }

// Parallel is how many folders may be written at once.
func (t *mboxTarget) Parallel() int { return parallel }

// Room is not known.
func (t *mboxTarget) Room(context.Context) (int64, bool, error) { return 0, false, nil }

// Close lets go of the directory.
func (t *mboxTarget) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tree == nil {
		return nil
	}
	return t.tree.Close()
}

// Folders lists the folders that are there. Mail programs show all mbox files.
func (t *mboxTarget) Folders(ctx context.Context) ([]restore.Folder, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file != "" {
		t.paths[t.file] = filepath.Base(t.dir)
		return []restore.Folder{{Place: t.file, Subscribed: true}}, nil
	}
	if t.tree == nil {
		return nil, nil
	}
	folders, _, err := t.tree.Folders(ctx)
	if err != nil {
		return nil, explain(err)
	}
	clear(t.paths)
	for _, f := range folders {
		if f.Inbox {
			t.inbox = f.Levels[0]
		}
	}
	mailfiles.InboxInCapitals(folders)
	var list []restore.Folder
	for _, f := range folders {
		place := storage.FolderName(f.Levels)
		t.paths[place] = f.Path
		list = append(list, restore.Folder{Place: place, Subscribed: true})
	}
	return list, nil
}

// Place names a folder by its levels.
func (t *mboxTarget) Place(levels []string, _ []byte, _ string) (string, []string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	place := storage.FolderName(levels)
	switch {
	case t.paths[place] != "":
		return place, nil, nil
	case t.file != "":
		return "", nil, fmt.Errorf("%s is a file, and has no folder but %q", t.Location(), t.file)
	}
	fitting, notes, err := fit(levels, mailfiles.MboxPath)
	return storage.FolderName(fitting), notes, err
}

// Create makes an empty mbox file.
func (t *mboxTarget) Create(ctx context.Context, place string, f restore.Folder) (notes []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tree == nil {
		if err := restore.MakeDir(t.dir); err != nil {
			return nil, explain(fmt.Errorf("creating the directory: %w", err))
		}
		if t.tree, err = mailfiles.OpenMboxTree(t.dir); err != nil {
			return nil, explain(err)
		}
	}
	if err := t.folder.begin(ctx); err != nil {
		return nil, explain(err)
	}
	levels := storage.FolderLevels(place)
	if levels[0] == "INBOX" && t.inbox != "" {
		levels[0] = t.inbox // as Thunderbird has it: Inbox.sbd
	}
	path, err := mailfiles.MboxPath(levels)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(filepath.Join(t.dir, filepath.FromSlash(path)))
	if isEmpty := err == nil && info.Mode().IsRegular() && info.Size() == 0; err == nil && !isEmpty && !t.tree.Unfinished(path) {
		return nil, fmt.Errorf("%w: %s is there, and is no mbox file", restore.ErrAccess, path)
	}
	from := len(levels)
	if t.folder != nil {
		from = 1 // Thunderbird shows nothing below what is no folder
	}
	for n := from; n <= len(levels); n++ {
		if err := t.touch(ctx, levels[:n]); err != nil {
			return nil, explain(err)
		}
	}
	t.paths[place] = path
	return cannotKeep(f.SpecialUse), nil
}

// touch makes an empty mbox file unless there is one.
func (t *mboxTarget) touch(ctx context.Context, levels []string) error {
	a, err := t.tree.Append(ctx, levels)
	if err != nil {
		return err
	}
	return a.Close()
}

// Subscribe has nothing to do.
func (t *mboxTarget) Subscribe(context.Context, string) ([]string, error) { return nil, nil }

// Open opens a folder.
func (t *mboxTarget) Open(_ context.Context, place string) (restore.Box, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	path, ok := t.paths[place]
	if !ok {
		return nil, fmt.Errorf("there is no folder %q: %w", place, fs.ErrNotExist)
	}
	b := &mboxBox{}
	if t.file != "" {
		b.name = t.dir
		b.open = func() (*mailfiles.Mbox, error) { return mailfiles.OpenMbox(t.dir, mailfiles.MboxOptions{}) }
	} else {
		// The path is one that was listed or made, whatever its folder's name.
		b.name = filepath.Join(t.dir, filepath.FromSlash(path))
		b.open = func() (*mailfiles.Mbox, error) { return t.tree.Open(path, mailfiles.MboxOptions{}) }
	}
	return b, nil
}

// An mboxBox is an mbox file, which is locked from the first Append to Close.
type mboxBox struct {
	name string
	open func() (*mailfiles.Mbox, error)
	file *mailfiles.MboxAppender // nil: nothing was added yet
}

func (b *mboxBox) Close() error {
	if b.file == nil {
		return nil
	}
	return explain(b.file.Close())
}

// Epoch is 0: there is no such thing.
func (b *mboxBox) Epoch() uint32 { return 0 }

// Limits are none. Which flags are kept is known when a message was written.
func (b *mboxBox) Limits() restore.Limits { return restore.Limits{} }

// Lasting leaves out what mail programs change of messages in an mbox.
func (b *mboxBox) Lasting(w io.Writer) io.WriteCloser { return &lasting{w: w, header: true} }

// Present tells of the messages. What a mail program has deleted and not yet
// removed nobody sees, so it is not there.
func (b *mboxBox) Present(ctx context.Context, each func(restore.Present) error) error {
	return b.messages(ctx, func(file *mailfiles.Mbox, m mailfiles.MboxMessage) error {
		if m.Expunged || m.Internal {
			return nil
		}
		p, err := present(identify(&m), m.Size(), file.Open(m))
		if err != nil {
			return err
		}
		return each(p)
	})
}

// Read reads messages whole.
func (b *mboxBox) Read(ctx context.Context, ids []string, each func(id string, size int64, octets io.Reader) error) error {
	if len(ids) == 0 {
		return nil
	}
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	return b.messages(ctx, func(file *mailfiles.Mbox, m mailfiles.MboxMessage) error {
		if id := identify(&m); wanted[id] {
			return each(id, m.Size(), file.Open(m))
		}
		return nil
	})
}

// identify names a message by where it is and what it is.
func identify(m *mailfiles.MboxMessage) string { return fmt.Sprintf("%d-%x", m.Offset, m.Sum[:8]) }

// messages goes through the file. A file that changes meanwhile proves nothing.
func (b *mboxBox) messages(ctx context.Context, do func(*mailfiles.Mbox, mailfiles.MboxMessage) error) error {
	file, err := b.open()
	if err != nil {
		return explain(err)
	}
	defer file.Close()
	for m, err := range file.Messages(ctx) {
		if err == nil {
			err = do(file, m)
		}
		if err != nil {
			return explain(err)
		}
	}
	return file.Check()
}

// Append adds messages to the file and then makes all of them durable. The
// file is locked as long as the Box is open.
func (b *mboxBox) Append(ctx context.Context, list []restore.Outgoing, done func(i int, id string, err error)) error {
	if b.file == nil {
		if err := b.lock(ctx); err != nil {
			return err
		}
	}
	var notKept [][]string
	var failed error
	for i := range list {
		d, err := deliver(ctx, &list[i], func(d mailfiles.Delivery, r io.Reader) (mailfiles.Delivered, error) { return b.file.Write(ctx, d, r) })
		if err != nil {
			failed = explain(err)
			break
		}
		notKept = append(notKept, d.NotKept)
	}
	if err := b.file.Sync(); err != nil {
		return errors.Join(failed, explain(err))
	}
	for i := range notKept {
		list[i].NotKept(notKept[i])
		done(i, "", nil)
	}
	return failed
}

// lock begins to add. If a restore that was interrupted had left something
// that had to be cut off, whoever looked before has seen more than there is.
func (b *mboxBox) lock(ctx context.Context) error {
	file, err := mailfiles.AppendMbox(ctx, b.name)
	if err != nil {
		return explain(err)
	}
	if file.Repaired > 0 {
		return errors.Join(fmt.Errorf("%d octets that an interrupted restore had left were taken back", file.Repaired), file.Close())
	}
	b.file = file
	return nil
}
