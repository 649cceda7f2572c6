package mailfiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// leftLock is how old a lock file may be. Mail programs hold one while they
// write, which takes seconds; an older one was left by a program that died.
const leftLock = 10 * time.Minute

// InUse reports whether a mail program has the file locked, and so is writing
// to it or about to: then the file may hold still and be half written all the
// same, such as one that is written anew in its place. Nothing is locked.
func (b *Mbox) InUse() (bool, error) {
	if b.file == nil {
		return false, nil
	}
	dotlock, err := hasLockFile(b.name + ".lock")
	if err != nil {
		return false, fmt.Errorf("looking for a lock of the mbox %s: %w", b.name, err)
	}
	return dotlock || isLocked(b.file), nil
}

// hasLockFile reports whether there is a lock file that counts.
func hasLockFile(name string) (bool, error) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case time.Since(info.ModTime()).Abs() >= leftLock:
		return false, nil
	case !info.Mode().IsRegular():
		return true, nil
	}
	file, err := os.OpenFile(name, os.O_RDONLY|noWaiting, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist), nil // nobody but its owner may need to read it
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, 1<<10)) // what cannot be read names nobody
	return !isOfTheDead(string(text)), nil
}
