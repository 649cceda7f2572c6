package localsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"restante/backup"
	"restante/storage/mailfiles"
	"restante/storage/mailfiles/thunderbird"
)

// OpenThunderbird opens the profile of Thunderbird in a directory: the mail of
// all its accounts, which are the first levels of the folders' names, and what
// is left of accounts that were removed.
//
// Of an IMAP account it has what was kept for offline use, which need not be
// all there is on the server.
func OpenThunderbird(dir string, log *slog.Logger) (backup.Source, error) {
	s := newSource("thunderbird", dir, nil, log)
	t, err := openProfile(dir, dir, &s.notes)
	if err != nil {
		return nil, err
	}
	s.tree = t
	return s, nil
}

// openProfile opens a profile. root is what the paths of its parts go from.
func openProfile(root, dir string, notes *notes) (*joinedTree, error) {
	stores, err := thunderbird.Stores(dir)
	if err != nil {
		return nil, err
	}
	t := &joinedTree{}
	for _, s := range stores {
		parts, err := openStore(root, s, notes)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// An account that was never used has none.
			notes.log.Info("an account of Thunderbird has no directory", "account", s.Name, "directory", s.Dir)
		case err != nil:
			t.parts = append(t.parts, part{s.Name, partPath(root, s.Dir), &closedTree{err}})
		default:
			t.parts = append(t.parts, parts...)
		}
	}
	return t, nil
}

// openStore opens a store. Where nothing says which format it has, there may
// be folders of both; where something does, those of the other one are what
// Thunderbird does not show either, and are told of.
func openStore(root string, s thunderbird.Store, notes *notes) ([]part, error) {
	path := partPath(root, s.Dir)
	files, err := mailfiles.OpenMboxTree(s.Dir)
	if err != nil {
		return nil, err
	}
	dirs, err := mailfiles.OpenMaildirTree(s.Dir)
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	mbox := &storeTree{tree: &mboxTree{files, func() {}}, compacting: func(below string) bool {
		if !isCompacting(s.Dir, below) {
			return false
		}
		notes.leftAlone(path+"/"+below, "Thunderbird seems to be compacting a folder into it; if not, the next run reads it")
		return true
	}}
	maildir := &storeTree{tree: &maildirTree{MaildirTree: dirs, headers: true}}
	alone := func(what string) func(string) {
		return func(below string) {
			notes.leftAlone(path+"/"+below, what+", which the account of Thunderbird there does not use")
		}
	}
	switch s.Format {
	case thunderbird.Mbox:
		maildir.alone = alone("a Maildir")
	case thunderbird.Maildir:
		mbox.alone = alone("an mbox file")
	}
	return []part{{s.Name, path, mbox}, {s.Name, path, maildir}}, nil
}

// A storeTree is one of the formats of a store.
type storeTree struct {
	tree
	alone      func(path string)      // what its folders are told to, if they are left alone
	compacting func(path string) bool // whether a file is one that Thunderbird compacts into; nil: none is
}

func (t *storeTree) Folders(ctx context.Context) ([]mailfiles.Folder, []mailfiles.Skipped, error) {
	folders, skipped, err := t.tree.Folders(ctx)
	if t.compacting != nil {
		folders = slices.DeleteFunc(folders, func(f mailfiles.Folder) bool { return t.compacting(f.Path) })
	}
	if err != nil || t.alone == nil {
		return folders, skipped, err
	}
	for _, f := range folders {
		t.alone(f.Path)
	}
	return nil, nil, nil
}

// specialNames are the names that Thunderbird gives to folders on a disk,
// whatever language it shows them in, with their special use (RFC 6154). It
// has Templates, too, which IMAP has no use for.
var specialNames = map[string]string{
	"sent": `\Sent`, "drafts": `\Drafts`, "trash": `\Trash`, "junk": `\Junk`, "archives": `\Archive`,
}

// specialUse goes by well-known names: beside the INBOX, or below it where an
// IMAP server has them so.
func (*storeTree) specialUse(levels []string) []string {
	if len(levels) == 2 && strings.EqualFold(levels[0], "INBOX") {
		levels = levels[1:]
	}
	if len(levels) == 1 {
		if use, ok := specialNames[strings.ToLower(levels[0])]; ok {
			return []string{use}
		}
	}
	return nil
}

// A closedTree is a directory that cannot be opened.
type closedTree struct{ err error }

func (t *closedTree) Folders(context.Context) ([]mailfiles.Folder, []mailfiles.Skipped, error) {
	return nil, nil, t.err
}
func (*closedTree) subscribed() (func([]string) bool, error) { return all, nil }
func (*closedTree) specialUse([]string) []string             { return nil }
func (*closedTree) Close() error                             { return nil }

func (t *closedTree) begin(path string, _ backup.Known, _ *notes) folder {
	panic(fmt.Sprintf("the folder %s of a directory that cannot be opened was listed", path))
}
