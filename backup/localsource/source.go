// Package localsource reads mail that lies in files on this computer:
// [OpenMaildir], [OpenMbox] and [OpenThunderbird] make a backup.Source of a
// directory, [OpenComputer] of all that [Find] found. It opens files for
// reading and changes nothing.
//
// Local mail has no UIDs, so a message is known by a key: in a Maildir its
// unique name and size, in an mbox a hash of its content. A key that the last snapshot
// has keeps its UID, and its octets are not stored again; a new key gets the
// next UID, in order of arrival. UIDVALIDITY is always 1, HIGHESTMODSEQ is not
// known: every run looks at every message's key and flags.
package localsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"restante/backup"
	"restante/storage"
	"restante/storage/mailfiles"
)

// A tree is a directory with mail in it, or a single mbox file.
type tree interface {
	// Folders lists the folders, and what was found beside them and left alone.
	Folders(ctx context.Context) ([]mailfiles.Folder, []mailfiles.Skipped, error)
	// subscribed returns what tells whether a folder is subscribed to.
	subscribed() (func(levels []string) bool, error)
	// specialUse tells what a folder is for, as far as its name does.
	specialUse(levels []string) []string
	// begin begins with a folder for a run; it does not open anything yet.
	begin(path string, known backup.Known, notes *notes) folder
	Close() error
}

// A folder is what all Mailboxes share that are opened of one folder in one
// run: which message has which UID.
type folder interface {
	open(ctx context.Context) (backup.Mailbox, error)
}

// A source is a tree as the backup sees it.
type source struct {
	kind, dir string
	tree      tree
	notes     notes

	mu    sync.Mutex        // guards what follows
	paths map[string]string // of the folders that List told of, by name
	begun map[string]folder // since then, by name
}

// OpenMaildir opens a directory with Maildir folders in it, in any layout that
// mailfiles.MaildirTree knows.
func OpenMaildir(dir string, log *slog.Logger) (backup.Source, error) {
	t, err := mailfiles.OpenMaildirTree(dir)
	if err != nil {
		return nil, err
	}
	return newSource("maildir", dir, &maildirTree{MaildirTree: t}, log), nil
}

// OpenMbox opens a directory with mbox files in it, as mailfiles.MboxTree
// knows them, or a single mbox file.
func OpenMbox(dir string, log *slog.Logger) (backup.Source, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the mbox: %w", err)
	}
	if !info.IsDir() {
		return newSource("mbox", dir, &mboxFile{name: dir}, log), nil
	}
	t, err := mailfiles.OpenMboxTree(dir)
	if err != nil {
		return nil, err
	}
	return newSource("mbox", dir, &mboxTree{t, func() {}}, log), nil
}

func newSource(kind, dir string, t tree, log *slog.Logger) *source {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &source{kind: kind, dir: dir, tree: t, notes: notes{log: log}}
}

// Kind is "maildir", "mbox", "thunderbird" or "computer".
func (s *source) Kind() string { return s.kind }

// what is the kind as people say it.
func (s *source) what() string {
	switch s.kind {
	case "thunderbird":
		return "mail of Thunderbird"
	case "computer":
		return "local mail"
	}
	return s.kind
}

// Parallel is how many folders are read at once. Cutting and compressing take
// the time, not reading.
func (s *source) Parallel() int { return 3 }

// Close lets go of the directory.
func (s *source) Close() error { return s.tree.Close() }

// List lists the folders. It begins a run: UIDs that were given before and are
// in no snapshot are forgotten.
func (s *source) List(ctx context.Context) ([]backup.Listed, error) {
	s.notes.clear()
	folders, skipped, err := s.tree.Folders(ctx)
	if err != nil {
		return nil, err
	}
	unseen := s.leftAlone(skipped)
	if len(folders) == 0 {
		// Rather the wrong directory, or a disk that is not there, than an
		// account without a folder.
		err := fmt.Errorf("there is no %s in %s", s.what(), s.dir)
		if len(skipped) > 0 {
			err = fmt.Errorf("%w (%s: %s)", err, skipped[0].Path, skipped[0].Reason)
		}
		return nil, err
	}
	subscribed, err := s.tree.subscribed()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths, s.begun = map[string]string{}, map[string]folder{}
	var list []backup.Listed
	mailfiles.InboxInCapitals(folders)
	for _, f := range folders {
		l := backup.Listed{Levels: f.Levels, Subscribed: subscribed(f.Levels), SpecialUse: s.tree.specialUse(f.Levels)}
		if f.Raw {
			l.Raw = []byte(f.Path)
		}
		list = append(list, l)
		s.paths[storage.FolderName(f.Levels)] = f.Path
	}
	if len(unseen) > 0 {
		return list, fmt.Errorf("%w: %s", backup.ErrEnumeration, strings.Join(unseen, ", "))
	}
	return list, nil
}

// leftAlone notes what a listing found beside the folders, and returns what of
// it could not be looked at: folders may be there that are not listed.
func (s *source) leftAlone(skipped []mailfiles.Skipped) (unseen []string) {
	for _, k := range skipped {
		switch {
		case !s.cannotBeSeen(k.Path):
			s.notes.leftAlone(k.Path, k.Reason)
		case len(unseen) < 10:
			unseen = append(unseen, fmt.Sprintf("%s: %s", k.Path, k.Reason))
		}
	}
	return unseen
}

// cannotBeSeen tells what is there and cannot be read from what is none of
// our business: links, pipes, files that are no mbox.
func (s *source) cannotBeSeen(path string) bool {
	name := filepath.FromSlash(path)
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.dir, name)
	}
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case err != nil:
		return true
	case info.IsDir():
		return true // it may not be read, or is nested too deep
	case !info.Mode().IsRegular():
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return true
	}
	defer f.Close()
	_, err = f.ReadAt(make([]byte, 1), 0)
	return err != nil
}

// Open opens a folder. What is true of it when it is opened for the first time
// in a run stays so for the run.
func (s *source) Open(ctx context.Context, l backup.Listed, known backup.Known) (backup.Mailbox, error) {
	name := storage.FolderName(l.Levels)
	s.mu.Lock()
	path, listed := s.paths[name]
	f := s.begun[name]
	if listed && f == nil {
		f = s.tree.begin(path, known, &s.notes)
		s.begun[name] = f
	}
	s.mu.Unlock()
	if !listed {
		return nil, fmt.Errorf("%w: it was not listed", backup.ErrGone)
	}
	m, err := f.open(ctx)
	if err != nil {
		return nil, ofFolder(err)
	}
	return m, nil
}

// Notes tells what the run found out and the snapshot does not show.
func (s *source) Notes() []string { return s.notes.sentences() }
