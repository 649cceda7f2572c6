package localsource

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"restante/backup"
	"restante/storage"
	"restante/storage/mailfiles"
)

// A part is one of several trees that are one account.
type part struct {
	name string // the first level of its folders' names; "" for none
	path string // where it is, below the account's directory or absolute
	tree tree
}

// A joinedTree is several trees, such as the servers of a Thunderbird profile.
type joinedTree struct {
	parts []part

	mu    sync.Mutex // guards what follows
	where map[string]located
}

// A located folder is in a part, at a path there.
type located struct {
	part *part
	path string
}

// partPath is where a directory is, as a part has it.
func partPath(root, dir string) string {
	below, err := filepath.Rel(root, dir)
	if err != nil || below == ".." || strings.HasPrefix(below, ".."+string(filepath.Separator)) {
		below = dir
	}
	return filepath.ToSlash(below)
}

func (p *part) below(path string) string {
	switch {
	case path == ".":
		return p.path
	case filepath.IsAbs(filepath.FromSlash(path)):
		return path
	}
	return p.path + "/" + path
}

// Folders lists the folders of all parts. A part that cannot be read keeps no
// other one from being read.
func (t *joinedTree) Folders(ctx context.Context) (list []mailfiles.Folder, skipped []mailfiles.Skipped, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.where = map[string]located{}
	taken := map[string]bool{}
	for i := range t.parts {
		p := &t.parts[i]
		folders, left, err := p.tree.Folders(ctx)
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if err != nil {
			skipped = append(skipped, mailfiles.Skipped{Path: p.path, Reason: err.Error()})
			continue
		}
		for _, k := range left {
			skipped = append(skipped, mailfiles.Skipped{Path: p.below(k.Path), Reason: k.Reason})
		}
		for _, f := range folders {
			path := p.below(f.Path)
			t.where[path] = located{p, f.Path}
			f.Levels = unlike(taken, p.levels(f.Levels))
			f.Path, f.Inbox = path, false
			list = append(list, f)
		}
	}
	return list, skipped, nil
}

// levels are those of a folder of the part.
func (p *part) levels(levels []string) []string {
	if p.name == "" {
		return levels
	}
	return append([]string{p.name}, levels...)
}

// unlike gives a folder a name that no other one has taken.
func unlike(taken map[string]bool, levels []string) []string {
	last := len(levels) - 1
	name := levels[last]
	for n := 2; taken[storage.FolderName(levels)]; n++ {
		levels = slices.Clone(levels)
		levels[last] = fmt.Sprintf("%s (%d)", name, n)
	}
	taken[storage.FolderName(levels)] = true
	return levels
}

// within finds the part that a folder of this name is in, and its name there.
func (t *joinedTree) within(levels []string) (*part, []string) {
	for i := range t.parts {
		switch p := &t.parts[i]; {
		case p.name == "" && len(levels) == 1:
			return p, levels
		case p.name != "" && p.name == levels[0] && len(levels) > 1:
			return p, levels[1:]
		}
	}
	return nil, nil
}

func (t *joinedTree) subscribed() (func([]string) bool, error) {
	is := map[*part]func([]string) bool{}
	for i := range t.parts {
		f, err := t.parts[i].tree.subscribed()
		if err != nil {
			return nil, err
		}
		is[&t.parts[i]] = f
	}
	return func(levels []string) bool {
		p, below := t.within(levels)
		return p == nil || is[p](below)
	}, nil
}

func (t *joinedTree) specialUse(levels []string) []string {
	if p, below := t.within(levels); p != nil {
		return p.tree.specialUse(below)
	}
	return nil
}

func (t *joinedTree) begin(path string, known backup.Known, notes *notes) folder {
	t.mu.Lock()
	f := t.where[path]
	t.mu.Unlock()
	return f.part.tree.begin(f.path, known, notes)
}

// Close lets go of all parts.
func (t *joinedTree) Close() error {
	var all []error
	for _, p := range t.parts {
		all = append(all, p.tree.Close())
	}
	return errors.Join(all...)
}
