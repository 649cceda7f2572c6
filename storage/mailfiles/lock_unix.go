//go:build unix

package mailfiles

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// tryLock takes both kinds of lock that mail programs use on a file. It
// reports false if another program has it.
func tryLock(file *os.File) (bool, error) {
	fd := file.Fd()
	if err := syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	// Any other error means that there is no flock on this file system.
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err := syscall.FcntlFlock(fd, syscall.F_SETLK, &lock)
	if isBusy(err) {
		// On NFS both are the same lock, and ours may be in our own way.
		syscall.Flock(int(fd), syscall.LOCK_UN)
		err = syscall.FcntlFlock(fd, syscall.F_SETLK, &lock)
	}
	if isBusy(err) {
		return false, nil
	}
	return err == nil, err
}

func isBusy(err error) bool { return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) }

// isDead reports whether there is no process of that number.
func isDead(pid int) bool { return pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// isLocked reports whether another program has a lock to write. It asks for
// the one kind, and for the other takes one to read that is let go of at once,
// since there is no way to ask.
func isLocked(file *os.File) bool {
	fd := file.Fd()
	lock := syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(fd, syscall.F_GETLK, &lock); err == nil && lock.Type != syscall.F_UNLCK {
		return true
	}
	// Any error above and below means that there is no such lock on this file
	// system.
	err := syscall.Flock(int(fd), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		err = syscall.Flock(int(fd), syscall.LOCK_UN)
	}
	return errors.Is(err, syscall.EWOULDBLOCK)
}
