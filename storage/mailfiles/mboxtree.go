package mailfiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// An MboxTree is a directory with mbox files in it: a Thunderbird account, or
// the mail directory of a Unix mail program. Call Folders to see them, Open to
// read one. Its methods may be called at the same time.
//
//	root/Inbox               Inbox
//	root/Inbox.msf           Thunderbird's index of it, ignored
//	root/Lists.sbd/go        Lists/go, as Thunderbird nests
//	root/lists/go            lists/go, as others do
//	root/Old.mbox            Old
//	root/Old.mbox/mbox       Old, as Apple Mail exports
type MboxTree struct {
	root *os.Root
}

// OpenMboxTree opens the directory dir. Nothing outside it will be touched,
// whatever symbolic links are in it.
func OpenMboxTree(dir string) (*MboxTree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the mbox tree: %w", err)
	}
	return &MboxTree{root: root}, nil
}

// Close lets go of the directory. Files that were opened stay open.
func (t *MboxTree) Close() error { return t.root.Close() }

// Open opens the folder at a path that Folders returned.
func (t *MboxTree) Open(path string, options MboxOptions) (*Mbox, error) {
	file, _, err := openRegular(t.root, path)
	if err != nil {
		return nil, fmt.Errorf("opening the mbox: %w", err)
	}
	return newMbox(file, filepath.Join(t.root.Name(), filepath.FromSlash(path)), options)
}

// Append opens a folder for adding messages, and makes it, with the folders it
// is in, where there is none. ErrName says that this name cannot be a file
// name. Folders are laid out as Thunderbird has them.
func (t *MboxTree) Append(ctx context.Context, levels []string) (*MboxAppender, error) {
	p, err := folderPath(levels, thunderbird)
	if err != nil {
		return nil, err
	}
	dir := path.Dir(p)
	if err := t.root.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the folder %q: %w", levels, err)
	}
	for d := dir; d != "."; d = path.Dir(d) {
		if err := syncDirOf(t.root, path.Dir(d)); err != nil {
			return nil, fmt.Errorf("creating the folder %q: %w", levels, err)
		}
	}
	root, err := t.root.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("creating the folder %q: %w", levels, err)
	}
	a, err := appendMbox(ctx, root, path.Base(p))
	if err != nil {
		return nil, err
	}
	for ; p != "."; p = path.Dir(p) {
		if err := hasEntry(t.root, path.Dir(p), path.Base(p)); err != nil {
			return nil, errors.Join(fmt.Errorf("creating the folder %q: %w", levels, err), a.Close())
		}
	}
	return a, nil
}

// Folders returns the folders of the tree, sorted by path, and what it found
// and left alone: symbolic links, files that are no mbox, directories it may
// not read. Whether a file is an mbox is told by how it begins; an empty one
// is an empty folder. Hidden files and the index files of mail programs are
// passed over, and so are Maildirs.
func (t *MboxTree) Folders(ctx context.Context) ([]Folder, []Skipped, error) {
	w := mboxWalk{ctx: ctx, root: t.root}
	if err := w.visit(".", nil); err != nil {
		return nil, nil, fmt.Errorf("looking for mbox files in %s: %w", t.root.Name(), err)
	}
	return distinct(w.folders, func(f Folder) bool {
		p, err := folderPath(f.Levels, thunderbird)
		return err == nil && p == f.Path
	}), w.skipped, nil
}

type mboxWalk struct {
	ctx     context.Context
	root    *os.Root
	folders []Folder
	skipped []Skipped
}

func (w *mboxWalk) skip(path, reason string) { w.skipped = append(w.skipped, Skipped{path, reason}) }

func (w *mboxWalk) visit(dir string, raw []string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := readDir(w.root, dir)
	if err != nil {
		if dir == "." {
			return err
		}
		w.skip(dir, err.Error())
		return nil
	}
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && e.Name() == name })
	}
	isMaildir := has("cur") && (has("new") || has("tmp"))
	for _, e := range entries {
		if isMaildir && isMessageDir(e.Name()) {
			continue
		}
		if err := w.entry(dir, raw, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *mboxWalk) entry(dir string, raw []string, e fs.DirEntry) error {
	name := e.Name()
	below := path.Join(dir, name)
	switch {
	case strings.HasPrefix(name, "."):
	case e.Type()&fs.ModeSymlink != 0:
		w.skip(below, "a symbolic link")
	case e.IsDir():
		if strings.Count(below, "/") >= maxDepth {
			w.skip(below, fmt.Sprintf("nested more than %d deep", maxDepth))
			return nil
		}
		if parent, ok := strings.CutSuffix(name, ".sbd"); ok && parent != "" {
			name = parent
		}
		return w.visit(below, append(slices.Clone(raw), name))
	case !e.Type().IsRegular():
		w.skip(below, "not a regular file")
	default:
		return w.file(below, raw, name)
	}
	return nil
}

// file takes a regular file if it is an mbox.
func (w *mboxWalk) file(below string, raw []string, name string) error {
	is, empty, err := w.isMbox(below)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		w.skip(below, err.Error())
		return nil
	case (empty || !is) && isIndexFile(path.Ext(name)):
		return nil
	case !is:
		w.skip(below, "not an mbox file")
		return nil
	case len(w.folders) == maxFolders:
		return errTooManyFolders
	}
	levels := append(slices.Clone(raw), name)
	if last := len(levels) - 1; name == "mbox" && last > 0 && strings.HasSuffix(levels[last-1], ".mbox") {
		levels = levels[:last]
	}
	last := len(levels) - 1
	if short := strings.TrimSuffix(levels[last], ".mbox"); short != "" {
		levels[last] = short
	}
	w.folders = append(w.folders, folderAt(below, levels))
	return nil
}

// isMbox reports whether a file is empty or begins as an mbox does: with a
// From_ line, after no more than a byte order mark and white space.
func (w *mboxWalk) isMbox(name string) (is, empty bool, err error) {
	file, info, err := openRegular(w.root, name)
	if err != nil {
		return false, false, err
	}
	defer file.Close()
	if info.Size() == 0 {
		return true, true, nil
	}
	head := make([]byte, min(info.Size(), 2*lookahead))
	n, err := io.ReadFull(file, head)
	if err != nil && err != io.ErrUnexpectedEOF {
		return false, false, err
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head[:n], byteOrderMark), " \t\r\n")
	line, _ := cutLine(head)
	if len(line) > maxFromLine || !bytes.HasPrefix(line, fromPrefix) {
		return false, false, nil
	}
	_, shape := parseFromLine(bytes.TrimRight(line, "\r\n"), time.UTC)
	return shape == fromDated || shape == fromUndated && knownFields(head[len(line):]) >= 2, false, nil
}

// isIndexFile reports whether files whose names end so are those of mail
// programs beside their mbox files: Thunderbird, Evolution, Balsa, locks.
func isIndexFile(ext string) bool {
	return slices.Contains([]string{".msf", ".dat", ".html", ".json", ".xml", ".sqlite", ".cmeta", ".ev-summary",
		".ibex", ".index", ".data", ".summary", ".lock"}, strings.ToLower(ext))
}
