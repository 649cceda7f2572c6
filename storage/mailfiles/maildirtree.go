package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// A MaildirTree is a directory with Maildir folders in it, in either layout
// or in both mixed. Call Folders to see them, OpenFolder to go into one. Its
// methods may be called at the same time.
//
//	root/cur root/new root/tmp      INBOX
//	root/.Lists.go/cur …            Lists/go, Maildir++
//	root/Lists/go/cur …             Lists/go, nested
//	root/Lists.sbd/go/cur …         Lists/go, as Thunderbird nests
//	root/subscriptions              which folders a client subscribed to
type MaildirTree struct {
	root *os.Root
}

// OpenMaildirTree opens the directory dir for reading and writing. Nothing
// outside it will be touched, whatever symbolic links are in it.
func OpenMaildirTree(dir string) (*MaildirTree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the Maildir tree: %w", err)
	}
	return &MaildirTree{root: root}, nil
}

// Close lets go of the directory. Folders that were opened stay open.
func (t *MaildirTree) Close() error { return t.root.Close() }

// Folders returns the folders of the tree, sorted by path, and what it found
// and left alone: symbolic links to directories, directories it may not read.
// A directory is a folder when it has a directory cur or new.
func (t *MaildirTree) Folders(ctx context.Context) ([]Folder, []Skipped, error) {
	w := maildirWalk{ctx: ctx, root: t.root}
	if err := w.visit(".", nil, false); err != nil {
		return nil, nil, fmt.Errorf("looking for Maildir folders in %s: %w", t.root.Name(), err)
	}
	return distinct(w.folders, isCanonical), w.skipped, nil
}

func isCanonical(f Folder) bool {
	for _, layout := range []Layout{MaildirPlusPlus, MaildirNested} {
		if p, err := folderPath(f.Levels, layout); err == nil && p == f.Path {
			return true
		}
	}
	return false
}

// maildirWalk is one walk through a tree.
type maildirWalk struct {
	ctx     context.Context
	root    *os.Root
	folders []Folder
	skipped []Skipped
}

// visit looks at the directory dir, whose name as a folder is levels. With
// onlyMaildir, a directory that is no folder is not gone into: that is for
// hidden directories, which are Maildir++ folders or none of our business.
func (w *maildirWalk) visit(dir string, raw []string, onlyMaildir bool) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := readDir(w.root, dir)
	if err != nil {
		if dir == "." {
			return err
		}
		w.skipped = append(w.skipped, Skipped{dir, err.Error()})
		return nil
	}
	isMaildir := slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return (e.Name() == "cur" || e.Name() == "new") && e.IsDir() && !w.isFolder(path.Join(dir, e.Name()))
	})
	if isMaildir {
		if len(w.folders) == maxFolders {
			return errTooManyFolders
		}
		w.folders = append(w.folders, folderAt(dir, raw))
	} else if onlyMaildir {
		return nil
	}
	if strings.Count(dir, "/") >= maxDepth {
		w.skipped = append(w.skipped, Skipped{dir, fmt.Sprintf("nested more than %d deep", maxDepth)})
		return nil
	}
	for _, e := range entries {
		if err := w.child(dir, raw, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *maildirWalk) child(dir string, raw []string, e fs.DirEntry) error {
	name := e.Name()
	below := path.Join(dir, name)
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		if reason := linkReason(w.root, below); reason != "" {
			w.skipped = append(w.skipped, Skipped{below, reason})
		}
		return nil
	case !e.IsDir():
		return nil
	case isMessageDir(name):
		// Here are messages, or whatever a mail program left here; unless
		// somebody has a nested folder of that name.
		if !w.isFolder(below) {
			return nil
		}
	case strings.HasPrefix(name, "."):
		levels := append(slices.Clone(raw), strings.Split(name[1:], ".")...)
		return w.visit(below, levels, true)
	}
	// "Foo.sbd" holds the subfolders of "Foo", unless it is a folder itself.
	if parent, ok := strings.CutSuffix(name, ".sbd"); ok && parent != "" && !w.isFolder(below) {
		name = parent
	}
	return w.visit(below, append(slices.Clone(raw), name), false)
}

// isFolder reports whether the directory has a directory cur or new.
func (w *maildirWalk) isFolder(dir string) bool {
	for _, name := range []string{"cur", "new"} {
		if info, err := w.root.Lstat(path.Join(dir, name)); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

func isMessageDir(name string) bool { return name == "cur" || name == "new" || name == "tmp" }

// folderAt makes a Folder of a path and the octets of its levels.
func folderAt(dir string, raw []string) Folder {
	f := Folder{Path: dir}
	for _, name := range raw {
		level, isRaw := decodeLevel(name)
		f.Levels = append(f.Levels, level)
		f.Raw = f.Raw || isRaw
	}
	if dir == "." {
		f.Levels = []string{"INBOX"}
	}
	return f
}

// linkReason says why a symbolic link is left alone, or "" where nobody needs
// to know: it leads to no directory.
func linkReason(root *os.Root, name string) string {
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.IsDir():
		return ""
	case err != nil:
		return "a symbolic link that leads out of the tree, or nowhere"
	default:
		return "a symbolic link to a directory of the same tree"
	}
}

// readDir reads a directory below root whole, sorted by name.
func readDir(root *os.Root, dir string) ([]fs.DirEntry, error) {
	d, err := root.OpenFile(dir, os.O_RDONLY|onlyDirectory, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}
