package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// A MaildirFile is a message that was opened. What Read gives is what the
// file holds; no line end is touched.
type MaildirFile struct {
	MaildirMessage // as it was when it was opened

	file *os.File
	left int64
}

// Read reads the message. If the file turns out longer or shorter than it was
// when it was opened, the last error is ErrChanged and not io.EOF: messages in
// a Maildir are written once.
func (m *MaildirFile) Read(p []byte) (int, error) {
	n, err := m.file.Read(p)
	m.left -= int64(n)
	if m.left < 0 || err == io.EOF && m.left > 0 {
		return n, fmt.Errorf("reading the message %q: %w", m.Key, ErrChanged)
	}
	return n, err
}

// Close closes the file.
func (m *MaildirFile) Close() error { return m.file.Close() }

// Open opens a message by its key. It finds it wherever it is by now: moved
// from new to cur, or renamed for another flag. ErrGone says that it is not in
// the folder any longer.
func (f *MaildirFolder) Open(ctx context.Context, key string) (*MaildirFile, error) {
	var m *MaildirFile
	err := f.find(ctx, key, func(l *MaildirListing, p place) error {
		file, info, err := openRegular(f.root, p.path())
		if err != nil {
			return err
		}
		m = &MaildirFile{MaildirMessage: l.message(key, p), file: file, left: info.Size()}
		m.fromFile(info)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("opening the message %q: %w", key, err)
	}
	return m, nil
}

// Stat is Open without reading: it tells what a message is like by now.
func (f *MaildirFolder) Stat(ctx context.Context, key string) (MaildirMessage, error) {
	var m MaildirMessage
	err := f.find(ctx, key, func(l *MaildirListing, p place) error {
		info, err := f.root.Lstat(p.path())
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return errors.New("not a regular file")
		}
		m = l.message(key, p)
		m.fromFile(info)
		return nil
	})
	if err != nil {
		return m, fmt.Errorf("looking at the message %q: %w", key, err)
	}
	return m, nil
}

func (m *MaildirMessage) fromFile(info fs.FileInfo) {
	m.Size, m.Date = info.Size(), info.ModTime().UTC().Truncate(time.Second)
}

// How often find looks again: cheaply while it sees the message and always
// comes too late, and thoroughly where it does not see it.
const (
	quickLooks    = 20
	thoroughLooks = 3
)

// find calls try with the place of a message until it does not answer that
// there is nothing. First comes the place where the message was last seen,
// then where a quick look at the folder finds it, since mail programs rename
// many files in one go; one such look is good for all of them. Only a listing
// that settled tells that a message is gone.
func (f *MaildirFolder) find(ctx context.Context, key string, try func(*MaildirListing, place) error) error {
	l := f.newest()
	quick, thorough := 0, 0
	for {
		seen := false
		if l != nil {
			var p place
			if p, seen = l.places[key]; seen {
				if err := try(l, p); !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			} else if thorough > 0 && l.Settled {
				return ErrGone
			}
		}
		var err error
		switch newer := f.newest(); {
		case newer != l && quick < quickLooks:
			quick++
			l = newer // another caller has looked meanwhile
		case (seen || quick == 0) && quick < quickLooks:
			quick++
			l, err = f.glance(ctx)
		case thorough < thoroughLooks:
			thorough++
			l, err = f.List(ctx)
		default:
			return ErrUnsettled
		}
		if err != nil {
			return err
		}
	}
}

// newest returns the newest listing, nil if there is none.
func (f *MaildirFolder) newest() *MaildirListing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known
}

// openRegular opens a file for reading if it is a regular one, and not a
// symbolic link, a device, or a pipe that would keep us waiting.
func openRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := root.OpenFile(name, os.O_RDONLY|noWaiting, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(before, info) {
		// Somebody put another file there between the two calls.
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}
