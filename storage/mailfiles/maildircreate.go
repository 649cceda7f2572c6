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

// CreateMaildirTree makes dir a Maildir tree, with the INBOX in it, and opens
// it. If it is one already nothing changes.
func CreateMaildirTree(dir string) (*MaildirTree, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the Maildir tree: %w", err)
	}
	t, err := OpenMaildirTree(dir)
	if err != nil {
		return nil, err
	}
	if err := makeMaildir(t.root, "."); err != nil {
		t.Close()
		return nil, fmt.Errorf("creating the Maildir tree: %w", err)
	}
	return t, nil
}

// CreateFolder makes the folder with the given name, in the layout that the
// tree is to have, unless it is there. ErrName says that this name cannot be
// a file name.
//
// File systems that do not tell large letters from small ones cannot hold two
// folders that differ in nothing else. There the second one is refused, since
// both would become one.
func (t *MaildirTree) CreateFolder(levels []string, layout Layout) (Folder, error) {
	dir, err := folderPath(levels, layout)
	if err != nil {
		return Folder{}, err
	}
	if err := t.createFolder(dir, layout); err != nil {
		return Folder{}, fmt.Errorf("creating the folder %q: %w", levels, err)
	}
	return Folder{Levels: slices.Clone(levels), Path: dir, Inbox: isInbox(levels)}, nil
}

func (t *MaildirTree) createFolder(dir string, layout Layout) error {
	parent := "."
	for name := range strings.SplitSeq(dir, "/") {
		if dir == "." {
			break
		}
		err := t.root.Mkdir(path.Join(parent, name), 0o700)
		if errors.Is(err, fs.ErrExist) {
			err = hasEntry(t.root, parent, name)
		} else if err == nil {
			err = syncDirOf(t.root, parent)
		}
		if err != nil {
			return err
		}
		parent = path.Join(parent, name)
	}
	if layout == MaildirPlusPlus && dir != "." {
		// Courier and the programs that count quotas know a folder by this file.
		// It comes first: what has no cur or new yet is no folder, and who is
		// interrupted makes it again.
		file, err := t.root.OpenFile(dir+"/maildirfolder", os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			return err
		}
	}
	return makeMaildir(t.root, dir)
}

// hasEntry looks for a name among a directory's entries, exactly as written.
func hasEntry(root *os.Root, dir, name string) error {
	d, err := root.OpenFile(dir, os.O_RDONLY|onlyDirectory, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	if !slices.Contains(names, name) {
		return fmt.Errorf("%w: the file system has a folder there that differs only in large and small letters", ErrName)
	}
	return nil
}

// subscriptionFile lists the folders that clients are to show. Dovecot writes
// version 2, a header and one folder per line with tabs between levels; up to
// 2.2 there was no header and the layout's separator between levels.
const (
	subscriptionFile   = "subscriptions"
	subscriptionHeader = "V\t2\n\n"
)

// Subscriptions returns the names of the folders that are subscribed to,
// which need not exist. It returns nil if the tree has no such file.
func (t *MaildirTree) Subscriptions() ([][]string, error) {
	data, err := readSmall(t.root, subscriptionFile)
	if err != nil {
		return nil, fmt.Errorf("reading the subscriptions: %w", err)
	}
	if data == nil {
		return nil, nil
	}
	names := [][]string{}
	text, version2 := strings.CutPrefix(string(data), subscriptionHeader)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		var levels []string
		for _, raw := range t.splitSubscription(line, version2) {
			level, _ := decodeLevel(raw)
			levels = append(levels, level)
		}
		names = append(names, levels)
	}
	return names, nil
}

// tabUnescape undoes what Dovecot does to octets that would end a field.
var tabUnescape = strings.NewReplacer("\x010", "\x00", "\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n")

func (t *MaildirTree) splitSubscription(line string, version2 bool) []string {
	if version2 {
		levels := strings.Split(line, "\t")
		for i := range levels {
			levels[i] = tabUnescape.Replace(levels[i])
		}
		return levels
	}
	// No Maildir++ name has a '/' in it. Without one, a '.' separates levels
	// unless there is a nested folder of just that name.
	if strings.Contains(line, "/") {
		return strings.Split(line, "/")
	}
	if info, err := t.root.Lstat(line); err == nil && info.IsDir() {
		return []string{line}
	}
	return strings.Split(line, ".")
}

// Subscribe adds folders to those that are subscribed to.
func (t *MaildirTree) Subscribe(ctx context.Context, folders [][]string, layout Layout) error {
	err := replaceSmall(ctx, t.root, subscriptionFile, func(old []byte) ([]byte, error) {
		text, separator := string(old), "\t"
		switch {
		case text == "":
			text = subscriptionHeader
		case strings.HasPrefix(text, subscriptionHeader):
		case layout == MaildirPlusPlus:
			separator = "."
		default:
			separator = "/"
		}
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		have := make(map[string]bool)
		for line := range strings.Lines(text) {
			have[strings.TrimRight(line, "\r\n")] = true
		}
		for _, levels := range folders {
			line, err := subscriptionLine(levels, layout, separator)
			if err != nil {
				return nil, err
			}
			if !have[line] {
				have[line] = true
				text += line + "\n"
			}
		}
		if text == string(old) {
			return nil, nil
		}
		return []byte(text), nil
	})
	if err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	return nil
}

func subscriptionLine(levels []string, layout Layout, separator string) (string, error) {
	if len(levels) == 0 {
		return "", fmt.Errorf("%w: it has no levels", ErrName)
	}
	if isInbox(levels) {
		return "INBOX", nil
	}
	names := make([]string, len(levels))
	for i, level := range levels {
		name, err := encodeLevel(level, layout)
		if err != nil {
			return "", err
		}
		names[i] = name
	}
	return strings.Join(names, separator), nil
}
