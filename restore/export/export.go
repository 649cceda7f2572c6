// Package export writes mail to files: [OpenMaildir] and [OpenMbox] make a
// restore.Target of a directory, which need not be there yet. Messages keep
// their octets, so that what is backed up from such a directory is what was
// restored to it. Nothing that is there is changed or deleted.
package export

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"syscall"

	"restante/restore"
)

// parallel is how many folders are written at once; most of the time goes
// into waiting for the disk.
const parallel = 4

// cannotKeep says that files have no place for a folder's special use.
func cannotKeep(use []string) (notes []string) {
	if len(use) > 0 {
		notes = append(notes, fmt.Sprintf("files have no place for its special use, %s", strings.Join(use, " ")))
	}
	return notes
}

// Windows' own numbers for a full disk.
const (
	windowsHandleDiskFull = syscall.Errno(39)
	windowsDiskFull       = syscall.Errno(112)
)

// explain says what an error of the file system means for a restore.
func explain(err error) error {
	is := func(numbers ...syscall.Errno) bool {
		for _, n := range numbers {
			if errors.Is(err, n) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return nil
	case is(syscall.ENOSPC, syscall.EDQUOT), runtime.GOOS == "windows" && is(windowsHandleDiskFull, windowsDiskFull):
		return fmt.Errorf("%w: %w", restore.ErrRoom, err)
	case errors.Is(err, fs.ErrPermission), is(syscall.EROFS):
		return fmt.Errorf("%w: %w", restore.ErrAccess, err)
	}
	return err
}
