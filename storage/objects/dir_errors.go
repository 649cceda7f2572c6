package objects

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// meaning wraps what the operating system said with what it means for a store.
// It is for errors that came before an object got its name, when it is certain
// that nothing was stored.
func meaning(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrRefused), errors.Is(err, ErrFull), errors.Is(err, ErrExists):
		return err
	case isAny(err, syscall.ENOSPC, syscall.EDQUOT), runtime.GOOS == "windows" && isAny(err, windowsDiskFull, windowsHandleDiskFull):
		return fmt.Errorf("%w: %w", ErrFull, err)
	// EXDEV: a folder is a mount point of its own, so nothing can be moved there.
	case isAny(err, fs.ErrPermission, syscall.EROFS, syscall.ENOTDIR, syscall.EISDIR, syscall.ENAMETOOLONG, syscall.EXDEV):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// ERROR_DISK_FULL and ERROR_HANDLE_DISK_FULL, which mean other things elsewhere.
const (
	windowsDiskFull       = syscall.Errno(112)
	windowsHandleDiskFull = syscall.Errno(39)
)

// isAbsent tells whether there is no file because there is none, or because a
// part of its name is a file and not a folder.
func isAbsent(err error) bool {
	return isAny(err, fs.ErrNotExist, syscall.ENOTDIR)
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// flush makes a file or the entries of a directory durable. (On macOS Go's
// Sync asks for F_FULLFSYNC, which alone reaches the disk there.)
//
// Some network file systems cannot flush a directory and say so with EINVAL,
// ENOTTY or ENOTSUP: they have nothing to flush, the server has done it.
// Windows cannot flush one at all.
func flush(file *os.File) error {
	err := file.Sync()
	if err == nil {
		return nil
	}
	info, e := file.Stat()
	if e == nil && info.IsDir() && (runtime.GOOS == "windows" || isAny(err, syscall.EINVAL, syscall.ENOTTY, errors.ErrUnsupported)) {
		return nil
	}
	return err
}
