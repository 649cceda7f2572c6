//go:build unix

package delivery

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock on a file, or reports false if it is taken. It ends
// when the file is closed.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}
