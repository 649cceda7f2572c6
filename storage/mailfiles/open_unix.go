//go:build unix

package mailfiles

import (
	"errors"
	"os"
	"syscall"
)

const (
	// noWaiting keeps an open from waiting for the other end of a named pipe
	// that somebody put where a file is expected.
	noWaiting = syscall.O_NONBLOCK
	// onlyDirectory lets an open fail on everything else.
	onlyDirectory = syscall.O_DIRECTORY
)

// syncDir makes the names in a directory durable.
func syncDir(dir *os.File) error {
	err := dir.Sync()
	// Some file systems cannot sync directories and say so; there is nothing
	// better to do on them.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
