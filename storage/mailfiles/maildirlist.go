package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// A MaildirFolder is one Maildir: call List to see its messages, Open to read
// one, Writer to add some. Its methods may be called at the same time, and
// mail programs may go on using the folder meanwhile.
type MaildirFolder struct {
	root *os.Root
	// reading is called before new or cur is read; tests change the folder in
	// it, where it hurts most.
	reading func(dir string)

	mu    sync.Mutex
	known *MaildirListing // the newest listing; nil before the first
}

// OpenFolder opens the folder at a path that Folders returned.
func (t *MaildirTree) OpenFolder(path string) (*MaildirFolder, error) {
	root, err := t.root.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening the Maildir folder %q: %w", path, err)
	}
	return &MaildirFolder{root: root, reading: func(string) {}}, nil
}

// Close lets go of the folder. Messages that were opened stay open.
func (f *MaildirFolder) Close() error { return f.root.Close() }

// A MaildirListing is what one call of List saw.
type MaildirListing struct {
	// Settled says that the folder held still for the last look at it. Where
	// it is false, a message that is not listed is unknown, not gone.
	Settled bool
	// Skipped are entries of cur and new that are no regular files, and the
	// folder's keyword file if it cannot be read.
	Skipped []Skipped

	keywords keywordTable
	places   map[string]place // by key
	keys     []string         // sorted
}

// place is where a message was last seen.
type place struct {
	name  string
	pass  int32 // the pass of List that saw it last
	isNew bool  // in new, not in cur
}

func (p place) path() string {
	if p.isNew {
		return "new/" + p.name
	}
	return "cur/" + p.name
}

// A MaildirMessage is a message in a Maildir folder.
type MaildirMessage struct {
	// Key names the message as long as it is in the folder: the unique name.
	// Where several files have one unique name, which no mail program wants,
	// all but one have their path, such as "cur/name:2,S", as the key.
	Key string
	// Flags are IMAP's flags and keywords.
	Flags []string
	// LostLetters are letters of the file's name that mean nothing: keywords
	// that the folder has no name for, or flags of some other program.
	LostLetters string
	// New says that the message is in new, no mail program has seen it yet.
	New bool

	// Size, in octets, and Date are known from Open and Stat; a listing has
	// names only. Date is the internal date: the file's time in whole seconds,
	// as with Dovecot, and UTC. A size in the file's name is not relied on.
	Size int64
	Date time.Time
}

// Len returns the number of messages.
func (l *MaildirListing) Len() int { return len(l.keys) }

// Messages goes through the messages, sorted by key, which is about the order
// in which they arrived.
func (l *MaildirListing) Messages() iter.Seq[MaildirMessage] {
	return func(yield func(MaildirMessage) bool) {
		for _, key := range l.keys {
			if !yield(l.message(key, l.places[key])) {
				return
			}
		}
	}
}

func (l *MaildirListing) message(key string, p place) MaildirMessage {
	_, letters := splitName(p.name)
	m := MaildirMessage{Key: key, New: p.isNew}
	m.Flags, m.LostLetters = flagsOf(letters, l.keywords)
	return m
}

// idlePasses is how many passes in a row must find nothing that was not known
// before a folder that does not settle is taken as it is; busyPasses is how
// many are made in any case, since what they find may be new mail.
const (
	idlePasses = 3
	busyPasses = 8
	maxPasses  = 40
)

// List looks at new and cur until they hold still.
//
// Reading a directory while files are renamed in it can miss a file under
// both its names. So List reads new before cur, since messages move that way,
// and reads both again until cur did not change from before the first read
// until after the last. In new, where messages only come and go, it is enough
// that nothing disappeared from one pass to the next. Where a folder never
// holds still, everything that any pass saw is listed, after several passes
// have found nothing more, and Settled is false.
func (f *MaildirFolder) List(ctx context.Context) (*MaildirListing, error) {
	l := &MaildirListing{places: make(map[string]place)}
	var last dirTimes
	var since time.Time // when the times in last were first seen
	busy, idle := 0, 0
	for pass := int32(1); ; pass++ {
		before, err := f.times()
		if err != nil {
			return nil, err
		}
		started := time.Now()
		if before != last || pass == 1 {
			last, since = before, started
		}
		seen, err := f.pass(ctx, l, pass)
		if err != nil {
			return nil, err
		}
		after, err := f.times()
		if err != nil {
			return nil, err
		}
		still := before.cur == after.cur
		sure := before.proves(started) || started.Sub(since) > before.grain()
		calm := before.new == after.new || pass > 1 && seen.missing == 0
		if l.Settled = still && sure && calm; l.Settled {
			maps.DeleteFunc(l.places, func(_ string, p place) bool { return p.pass != pass })
		}
		if idle++; seen.found > 0 {
			idle = 0
		}
		if !still {
			busy++
		}
		if l.Settled || busy >= busyPasses || !still && idle >= idlePasses || pass >= maxPasses {
			return f.remember(l, seen.twins), nil
		}
		if err := sleep(ctx, min(before.grain(), 100*time.Millisecond)); err != nil {
			return nil, err
		}
	}
}

// glance is one pass of List and nothing more: the quick way to find out what
// a message is called by now. It does not tell what is gone.
func (f *MaildirFolder) glance(ctx context.Context) (*MaildirListing, error) {
	l := &MaildirListing{places: make(map[string]place)}
	seen, err := f.pass(ctx, l, 1)
	if err != nil {
		return nil, err
	}
	return f.remember(l, seen.twins), nil
}

// remember finishes a listing and keeps it for Open.
func (f *MaildirFolder) remember(l *MaildirListing, twins map[string][]place) *MaildirListing {
	for unique, places := range twins {
		f.separate(l, unique, places)
	}
	l.keys = slices.Sorted(maps.Keys(l.places))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = l
	return l
}

// passed is what one pass saw.
type passed struct {
	found   int                // messages that no pass saw before
	missing int                // messages that the pass before saw and this one did not
	twins   map[string][]place // unique names that it met more than once
}

// pass reads new and cur once and enters what it sees.
func (f *MaildirFolder) pass(ctx context.Context, l *MaildirListing, pass int32) (passed, error) {
	seen := passed{twins: make(map[string][]place)}
	keywords, err := f.readKeywords()
	l.keywords, l.Skipped = keywords, nil
	if err != nil {
		l.Skipped = append(l.Skipped, Skipped{keywordFile, err.Error()})
	}
	for _, p := range l.places {
		if p.pass == pass-1 {
			seen.missing++
		}
	}
	absent := 0
	for _, dir := range []string{"new", "cur"} {
		f.reading(dir)
		there, err := f.eachEntry(ctx, dir, func(e fs.DirEntry) {
			name := e.Name()
			if strings.HasPrefix(name, ".") {
				return // no message, by convention
			}
			if !e.Type().IsRegular() {
				l.Skipped = append(l.Skipped, Skipped{dir + "/" + name, "not a regular file"})
				return
			}
			unique, _ := splitName(name)
			old, known := l.places[unique]
			now := place{name: name, pass: pass, isNew: dir == "new"}
			switch {
			case !known:
				seen.found++
			case old.pass == pass-1:
				seen.missing--
			case old.pass == pass && old != now:
				if seen.twins[unique] == nil {
					seen.twins[unique] = []place{old}
				}
				seen.twins[unique] = append(seen.twins[unique], now)
			}
			l.places[unique] = now
		})
		if err != nil {
			return seen, fmt.Errorf("listing %s of a Maildir folder: %w", dir, err)
		}
		if !there {
			absent++
		}
	}
	if absent == 2 {
		return seen, fmt.Errorf("listing a Maildir folder: it has neither cur nor new: %w", fs.ErrNotExist)
	}
	return seen, nil
}

// separate decides about several files with one unique name. Mostly they are
// one that was renamed between two looks: then only one is there, or all are
// links to the same file. Several that differ are several messages, and none
// of them may be lost.
func (f *MaildirFolder) separate(l *MaildirListing, unique string, places []place) {
	slices.SortFunc(places, func(a, b place) int { return strings.Compare(a.path(), b.path()) })
	var files []fs.FileInfo // not all of them if there are absurdly many
	first := true
	for _, p := range places {
		info, err := f.root.Lstat(p.path())
		if err != nil || slices.ContainsFunc(files, func(o fs.FileInfo) bool { return os.SameFile(o, info) }) {
			continue
		}
		if len(files) < 100 {
			files = append(files, info)
		}
		key := p.path()
		if first {
			key, first = unique, false
		}
		l.places[key] = p
	}
}

// eachEntry calls do for every entry of the directory dir, and reports
// whether that is there.
func (f *MaildirFolder) eachEntry(ctx context.Context, dir string, do func(fs.DirEntry)) (there bool, err error) {
	info, err := f.root.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return false, err
	}
	d, err := f.root.OpenFile(dir, os.O_RDONLY|onlyDirectory, 0)
	if err != nil {
		return false, err
	}
	defer d.Close()
	for {
		if err := ctx.Err(); err != nil {
			return true, err
		}
		entries, err := d.ReadDir(4096)
		for _, e := range entries {
			do(e)
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return true, err
		}
	}
}
