package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"
)

// lockWait is how long to wait for another program's lock, and staleLock how
// old a lock on a small file must be to belong to a program that died;
// Dovecot waits as long.
const (
	lockWait  = 30 * time.Second
	staleLock = 2 * time.Minute
)

// replaceSmall changes one of the small files beside the messages the way
// Dovecot does, so that both can do it at the same time: the new text goes
// into name.lock, which can be created by one program only, and that is
// renamed over the file. change gets the present text and returns the new one;
// nil means that there is nothing to change.
func replaceSmall(ctx context.Context, root *os.Root, name string, change func([]byte) ([]byte, error)) error {
	lock := name + ".lock"
	file, err := createLock(ctx, root, lock)
	if err != nil {
		return fmt.Errorf("changing %s: %w", name, err)
	}
	err = func() error {
		defer file.Close()
		old, err := readSmall(root, name)
		if err != nil {
			return err
		}
		text, err := change(old)
		if err != nil || text == nil {
			return err
		}
		if _, err := file.Write(text); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		// Windows renames no open file.
		if err := file.Close(); err != nil {
			return err
		}
		if err := root.Rename(lock, name); err != nil {
			return err
		}
		lock = "" // from here on a file of that name is somebody else's
		return syncDirOf(root, path.Dir(name))
	}()
	if lock != "" {
		if removed := root.Remove(lock); err == nil {
			err = removed
		}
	}
	if err != nil {
		return fmt.Errorf("changing %s: %w", name, err)
	}
	return nil
}

// createLock creates the lock file, waiting for another program to be done.
func createLock(ctx context.Context, root *os.Root, lock string) (*os.File, error) {
	deadline := time.Now().Add(lockWait)
	for {
		file, err := root.OpenFile(lock, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
		if info, err := root.Lstat(lock); err == nil && time.Since(info.ModTime()) > staleLock {
			if err := root.Remove(lock); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s is there: %w", lock, ErrLocked)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// syncDirOf makes the names in a directory below root durable.
func syncDirOf(root *os.Root, dir string) error {
	d, err := root.OpenFile(dir, os.O_RDONLY|onlyDirectory, 0)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(d), d.Close())
}
