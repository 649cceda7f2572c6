package localsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"restante/backup"
	"restante/storage"
	"restante/storage/mailfiles"
)

type maildirTree struct {
	*mailfiles.MaildirTree
	// headers says that flags stand in the messages' headers, as Thunderbird
	// has it, and not in the files' names.
	headers bool
}

// specialUse is not known: a Maildir has no place for it.
func (*maildirTree) specialUse([]string) []string { return nil }

// subscribed goes by the tree's file of subscriptions. Where there is none,
// mail programs show all folders, and so they count as subscribed to.
func (t *maildirTree) subscribed() (func([]string) bool, error) {
	names, err := t.Subscriptions()
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for _, levels := range names {
		listed[storage.FolderName(inboxFirst(levels))] = true
	}
	return func(levels []string) bool {
		return names == nil || listed[storage.FolderName(inboxFirst(levels))]
	}, nil
}

func (t *maildirTree) begin(path string, known backup.Known, notes *notes) folder {
	return &maildirFolder{tree: t.MaildirTree, path: path, headers: t.headers, known: known, notes: notes}
}

// inboxFirst writes INBOX as one does.
func inboxFirst(levels []string) []string {
	if len(levels) > 0 && strings.EqualFold(levels[0], "INBOX") {
		return append([]string{"INBOX"}, levels[1:]...)
	}
	return levels
}

// A maildirFolder is a Maildir in a run.
type maildirFolder struct {
	tree    *mailfiles.MaildirTree
	path    string
	headers bool
	known   backup.Known
	notes   *notes

	mu     sync.Mutex // guards what follows
	census *census    // nil until it was opened; then it stays
	keys   []string   // the messages' unique names; an entry's at is where
}

func (f *maildirFolder) open(ctx context.Context) (backup.Mailbox, error) {
	dir, err := f.tree.OpenFolder(f.path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.census == nil {
		if err := f.count(ctx, dir); err != nil {
			dir.Close()
			return nil, err
		}
	}
	return &maildirMailbox{census: f.census, keys: f.keys, headers: f.headers, dir: dir}, nil
}

// keywordFile is where a folder names its keywords.
const keywordFile = "dovecot-keywords"

// count lists the folder and gives every message its UID.
func (f *maildirFolder) count(ctx context.Context, dir *mailfiles.MaildirFolder) error {
	listing, err := dir.List(ctx)
	if err != nil {
		return err
	}
	numbers, err := newNumbering(f.known)
	if err != nil {
		return err
	}
	c := newCounter()
	for _, k := range listing.Skipped {
		if k.Path == keywordFile {
			c.flagsUnknown = true
			c.doubt = fmt.Errorf("%w: its keywords cannot be read: %s", backup.ErrEnumeration, k.Reason)
			continue
		}
		f.notes.leftAlone(f.path+"/"+k.Path, k.Reason)
	}
	if !listing.Settled {
		c.doubt = fmt.Errorf("%w: a mail program kept renaming files all the while", backup.ErrEnumeration)
	}
	keys := make([]string, 0, listing.Len())
	var unknown []mailfiles.MaildirMessage
	for m := range listing.Messages() {
		file, err := dir.Stat(ctx, m.Key)
		switch {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, fs.ErrNotExist): // of all of it
			return err
		case errors.Is(err, mailfiles.ErrGone):
			continue
		default:
			c.doubt = fmt.Errorf("%w: %w", backup.ErrEnumeration, err)
			continue
		}
		m.Size = file.Size
		if f.headers {
			if m.Flags, err = headerFlags(ctx, dir, m); err != nil {
				if ctx.Err() != nil {
					return err
				}
				c.flagsUnknown = true // and if it cannot be read at all, that shows later
			}
		}
		if uid := numbers.known[keyOf(&m)]; uid != 0 {
			c.add(uid, uint32(len(keys)), m.Flags)
			keys = append(keys, m.Key)
		} else {
			unknown = append(unknown, m)
		}
	}
	slices.SortFunc(unknown, func(a, b mailfiles.MaildirMessage) int { return compareArrival(a.Key, b.Key) })
	for _, m := range unknown {
		uid, err := numbers.fresh()
		if err != nil {
			return err
		}
		c.add(uid, uint32(len(keys)), m.Flags)
		keys = append(keys, m.Key)
	}
	f.census, f.keys = c.finish(numbers.next), keys
	return nil
}

// keyOf is what a message is known by: its unique name, and its size, since a
// file that was written anew under its name is another message. Times are not
// asked: programs put them back.
func keyOf(m *mailfiles.MaildirMessage) string {
	return m.Key + " " + strconv.FormatInt(m.Size, 10)
}

// A maildirMailbox reads a Maildir for one worker.
type maildirMailbox struct {
	*census
	keys    []string
	headers bool
	dir     *mailfiles.MaildirFolder
	spool   spool
}

func (m *maildirMailbox) Close() error {
	m.spool.drop()
	return m.dir.Close()
}

// Fetch reads messages, wherever their files are by now. One that is gone is
// left out, and one that cannot be read: asked for alone, its error tells why.
func (m *maildirMailbox) Fetch(ctx context.Context, uids []uint32, each func(*backup.Fetched) error) error {
	for _, uid := range uids {
		i, ok := m.find(uid)
		if !ok {
			continue
		}
		fetched, err := m.read(ctx, uid, m.keys[m.entries[i].at])
		switch {
		case err == nil:
			if err := each(fetched); err != nil {
				return err
			}
		case isOurs(err):
			return err
		case errors.Is(err, mailfiles.ErrGone):
			m.vanished(uid)
		case errors.Is(err, fs.ErrNotExist):
			return ofFolder(err) // of all of it
		case len(uids) == 1:
			return &fault{err, backup.ErrRefused}
		}
	}
	return nil
}

func (m *maildirMailbox) read(ctx context.Context, uid uint32, key string) (*backup.Fetched, error) {
	file, err := m.dir.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	body, size, err := m.spool.read(file)
	if err != nil {
		return nil, fmt.Errorf("reading the message %q: %w", key, err)
	}
	flags := file.Flags
	if m.headers {
		if flags, err = withHeaderFlags(flags, io.NewSectionReader(body, 0, size)); err != nil {
			return nil, err
		}
	}
	return &backup.Fetched{UID: uid, Key: keyOf(&file.MaildirMessage), Flags: flags, InternalDate: file.Date, Body: body, Size: size}, nil
}
