package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"syscall"

	"restante/restore"
	"restante/storage"
	"restante/storage/mailfiles"
)

// OpenMaildir opens a directory that Maildir folders are written to. If there
// is none, it is made with the first folder. New folders are laid out as
// Maildir++, or nested where all that are there are nested. It may not be in a
// profile of Thunderbird.
func OpenMaildir(dir string) (restore.Target, error) {
	t := &maildirTarget{dir: dir, paths: map[string]string{}}
	_, err := inProfile(dir, false)
	if err != nil {
		return nil, err
	}
	if t.tree, err = mailfiles.OpenMaildirTree(dir); err != nil && (dir == "" || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	return t, nil
}

type maildirTarget struct {
	dir string

	mu   sync.Mutex             // guards what follows
	tree *mailfiles.MaildirTree // nil: the directory is not there yet
	// What Folders found out, and Create:
	paths      map[string]string // of the folders that are there, by place
	nested     bool              // and all of them are nested
	subscribes bool              // there is a file of subscriptions, or there will be
}

// Location is the address of the directory.
func (t *maildirTarget) Location() string { return "maildir:" + t.dir }

// Parallel is how many folders may be written at once.
func (t *maildirTarget) Parallel() int { return parallel }

// Room is not known: what the file system says of itself need not be what it
// lets us have, and a full one takes nothing away.
func (t *maildirTarget) Room(context.Context) (int64, bool, error) { return 0, false, nil }

// Close lets go of the directory.
func (t *maildirTarget) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tree == nil {
		return nil
	}
	return t.tree.Close()
}

// Folders lists the folders that are there. Without a file of subscriptions
// mail programs show all folders, which is as if they were subscribed to.
func (t *maildirTarget) Folders(ctx context.Context) ([]restore.Folder, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tree == nil {
		return nil, nil
	}
	folders, _, err := t.tree.Folders(ctx)
	if err != nil {
		return nil, explain(err)
	}
	names, err := t.tree.Subscriptions()
	if err != nil {
		return nil, explain(err)
	}
	t.subscribes = names != nil || len(folders) == 0
	subscribed := map[string]bool{}
	for _, levels := range names {
		if strings.EqualFold(levels[0], "INBOX") {
			levels[0] = "INBOX"
		}
		subscribed[storage.FolderName(levels)] = true
	}
	mailfiles.InboxInCapitals(folders)
	clear(t.paths)
	below, nested := 0, 0
	var list []restore.Folder
	for _, f := range folders {
		place := storage.FolderName(f.Levels)
		t.paths[place] = f.Path
		list = append(list, restore.Folder{Place: place, Subscribed: names == nil || subscribed[place]})
		if f.Path != "." {
			below++
			if !strings.HasPrefix(f.Path, ".") {
				nested++
			}
		}
	}
	t.nested = below > 0 && nested == below
	return list, nil
}

func (t *maildirTarget) layout() mailfiles.Layout {
	if t.nested {
		return mailfiles.MaildirNested
	}
	return mailfiles.MaildirPlusPlus
}

// Place names a folder by its levels.
func (t *maildirTarget) Place(levels []string, _ []byte, _ string) (string, []string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if place := storage.FolderName(levels); t.paths[place] != "" {
		return place, nil, nil
	}
	fitting, notes, err := fit(levels, func(l []string) (string, error) { return mailfiles.MaildirPath(l, t.layout()) })
	return storage.FolderName(fitting), notes, err
}

// Create makes a folder. It is subscribed to first: if that is all that comes
// to pass, the next restore makes the folder.
func (t *maildirTarget) Create(ctx context.Context, place string, f restore.Folder) (notes []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.paths) == 0 {
		if err := t.begin(ctx); err != nil {
			return nil, explain(err)
		}
	}
	levels := storage.FolderLevels(place)
	if f.Subscribed && t.subscribes {
		if err := t.tree.Subscribe(ctx, [][]string{levels}, t.layout()); err != nil {
			return nil, explain(err)
		}
	}
	made, err := t.tree.CreateFolder(levels, t.layout())
	if err != nil {
		return nil, explain(err)
	}
	t.paths[place] = made.Path
	return cannotKeep(f.SpecialUse), nil
}

// begin makes a new tree, with a file of subscriptions: what is not in it is
// not subscribed to.
func (t *maildirTarget) begin(ctx context.Context) (err error) {
	if err := restore.MakeDir(t.dir); err != nil {
		return fmt.Errorf("creating the directory: %w", err)
	}
	if t.tree == nil {
		if t.tree, err = mailfiles.OpenMaildirTree(t.dir); err != nil {
			return err
		}
	}
	if err := t.tree.Subscribe(ctx, nil, t.layout()); err != nil {
		return err
	}
	t.subscribes = true
	tree, err := mailfiles.CreateMaildirTree(t.dir)
	if err != nil {
		return err
	}
	return tree.Close()
}

// Subscribe subscribes to a folder that is there.
func (t *maildirTarget) Subscribe(ctx context.Context, place string) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.subscribes {
		return nil, nil
	}
	return nil, explain(t.tree.Subscribe(ctx, [][]string{storage.FolderLevels(place)}, t.layout()))
}

// Open opens a folder.
func (t *maildirTarget) Open(_ context.Context, place string) (restore.Box, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	path, ok := t.paths[place]
	if !ok {
		return nil, fmt.Errorf("there is no folder %q: %w", place, fs.ErrNotExist)
	}
	f, err := t.tree.OpenFolder(path)
	if err != nil {
		return nil, explain(err)
	}
	return &maildirBox{f}, nil
}

type maildirBox struct{ folder *mailfiles.MaildirFolder }

func (b *maildirBox) Close() error { return b.folder.Close() }

// Epoch is 0: keys are good for as long as the file is there, and files can be
// changed.
func (b *maildirBox) Epoch() uint32 { return 0 }

// Limits are none that are known beforehand. A folder keeps 26 keywords.
func (b *maildirBox) Limits() restore.Limits { return restore.Limits{} }

// Present tells of the messages by their keys. A message that cannot be read
// is not the one that is missing.
func (b *maildirBox) Present(ctx context.Context, each func(restore.Present) error) error {
	list, err := b.folder.List(ctx)
	if err != nil {
		return explain(err)
	}
	if !list.Settled {
		return errors.New("mail programs kept renaming its files all the while")
	}
	for m := range list.Messages() {
		p, err := b.look(ctx, m.Key)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, mailfiles.ErrUnsettled):
			return err
		case err != nil:
			continue
		}
		if err := each(p); err != nil {
			return err
		}
	}
	return nil
}

func (b *maildirBox) look(ctx context.Context, key string) (restore.Present, error) {
	file, err := b.folder.Open(ctx, key)
	if err != nil {
		return restore.Present{}, err
	}
	defer file.Close()
	return present(key, file.Size, file)
}

// Read reads messages whole.
func (b *maildirBox) Read(ctx context.Context, ids []string, each func(id string, size int64, octets io.Reader) error) error {
	for _, id := range ids {
		file, err := b.folder.Open(ctx, id)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			continue
		}
		octets := &watched{r: file}
		err = each(id, file.Size, octets)
		file.Close()
		if err != nil && octets.err == nil {
			return err
		}
	}
	return nil
}

// Append writes messages into tmp and then makes all of them durable and
// visible together. What it tells of can neither be half there nor be lost.
func (b *maildirBox) Append(ctx context.Context, list []restore.Outgoing, done func(i int, id string, err error)) error {
	w := b.folder.Writer(len(list) + 1) // so that Flush is ours to call
	delivered := make(map[int]mailfiles.Delivered, len(list))
	var failed error
	for i := range list {
		d, err := deliver(ctx, &list[i], func(d mailfiles.Delivery, r io.Reader) (mailfiles.Delivered, error) { return w.Deliver(ctx, d, r) })
		if errors.Is(err, syscall.EFBIG) {
			done(i, "", fmt.Errorf("%w: %w", restore.ErrNotTaken, err))
			continue
		}
		if err != nil {
			failed = explain(err)
			break
		}
		delivered[i] = d
	}
	if err := w.Flush(); err != nil {
		return errors.Join(failed, explain(err))
	}
	for i := range list {
		if d, ok := delivered[i]; ok {
			list[i].NotKept(d.NotKept)
			done(i, d.Key, nil)
		}
	}
	return failed
}
