package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// lockMbox opens the file for writing, creating it if need be, and locks it in
// the ways that mail programs use: a file name.lock beside it, then flock and
// fcntl. dotlock is "" where the directory lets nobody create files; then the
// other two have to do.
func lockMbox(ctx context.Context, root *os.Root, name string) (file *os.File, dotlock string, err error) {
	deadline := time.Now().Add(lockWait)
	if dotlock, err = createDotlock(ctx, root, name+".lock", deadline); err != nil {
		return nil, "", err
	}
	if file, err = lockFile(ctx, root, name, deadline); err != nil {
		if dotlock != "" {
			removeDotlock(root, dotlock)
		}
		return nil, "", err
	}
	return file, dotlock, nil
}

// lockFile opens the file and takes the other two locks.
func lockFile(ctx context.Context, root *os.Root, name string, deadline time.Time) (*os.File, error) {
	for {
		file, err := openForAppend(root, name)
		if err != nil {
			return nil, err
		}
		locked, err := tryLock(file)
		if err == nil && locked && isStillThere(root, name, file) {
			return file, nil
		}
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("locking: %w", err)
		}
		if time.Now().After(deadline) {
			return nil, ErrLocked
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// openForAppend opens a regular file for reading and writing.
func openForAppend(root *os.Root, name string) (*os.File, error) {
	if info, err := root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return root.OpenFile(name, os.O_RDWR|os.O_CREATE|noWaiting, 0o600)
}

// isStillThere reports whether the name still leads to the file: a mail
// program may have put a compacted one in its place while we waited.
func isStillThere(root *os.Root, name string, file *os.File) bool {
	named, err := root.Lstat(name)
	if err != nil {
		return false
	}
	info, err := file.Stat()
	return err == nil && os.SameFile(named, info)
}

// createDotlock creates the lock file. One that was left by a process of this
// host that is no more is removed; others are respected for as long as we
// wait.
func createDotlock(ctx context.Context, root *os.Root, lock string, deadline time.Time) (string, error) {
	host, _ := os.Hostname()
	for {
		err := writeDotlock(root, lock, fmt.Sprintf("%d:%s", os.Getpid(), host))
		switch {
		case err == nil:
			return lock, nil
		case errors.Is(err, fs.ErrPermission):
			return "", nil
		case !errors.Is(err, fs.ErrExist):
			return "", err
		}
		if text, err := readSmall(root, lock); err == nil && isOfTheDead(string(text)) {
			if err := root.Remove(lock); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			continue
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("%s is there: %w", lock, ErrLocked)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return "", err
		}
	}
}

// removeDotlock removes our lock file. One that stays would keep this process out
// as well, for as long as it runs, so an error is not the end.
func removeDotlock(root *os.Root, lock string) error {
	err := root.Remove(lock)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if again := root.Remove(lock); again != nil && !errors.Is(again, fs.ErrNotExist) {
		return err
	}
	return nil
}

// isOfTheDead reports whether a lock file's text names a process of this host
// that is no more.
func isOfTheDead(text string) bool {
	host, _ := os.Hostname() // without a name, no lock is known to be of this host
	pid, of, ok := strings.Cut(strings.TrimSpace(text), ":")
	if !ok || of != host || host == "" {
		return false
	}
	n, err := strconv.Atoi(pid)
	return err == nil && isDead(n)
}

// writeDotlock creates the lock file, with its text in it from the first
// moment on, and on the disk: neither a process that dies in between nor a power
// cut must leave a lock that nobody knows the owner of, as some mail programs'
// are. It returns fs.ErrExist if there is one.
func writeDotlock(root *os.Root, lock, text string) error {
	host, _ := os.Hostname()
	whole := fmt.Sprintf(".restante-lock-%s-%d-%d", hostPart(host), os.Getpid(), deliveries.Add(1))
	root.Remove(whole) // of a process that had our number and died
	defer root.Remove(whole)
	if err := writeExclusive(root, whole, text); err != nil {
		return err
	}
	err := root.Link(whole, lock)
	if err != nil && isSame(root, whole, lock) {
		return nil // over NFS it may be done and fail all the same (link(2))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = writeExclusive(root, lock, text) // the file system has no links
	}
	return err
}

func isSame(root *os.Root, one, other string) bool {
	a, err := root.Lstat(one)
	if err != nil {
		return false
	}
	b, err := root.Lstat(other)
	return err == nil && os.SameFile(a, b)
}

func writeExclusive(root *os.Root, name, text string) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, text)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
