package localsource

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"restante/backup"
)

// A fault is an error of a file, and what the backup is to take it for.
type fault struct {
	err error
	as  error // one of the backup's errors
}

func (f *fault) Error() string        { return f.err.Error() }
func (f *fault) Unwrap() error        { return f.err }
func (f *fault) Is(target error) bool { return target == f.as }

// ofFolder says what an error means for a whole folder. One that is there and
// cannot be read must not keep the others from being read.
func ofFolder(err error) error {
	switch {
	case err == nil || isOurs(err):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return &fault{err, backup.ErrGone}
	case errors.Is(err, fs.ErrPermission):
		return &fault{err, backup.ErrAccess}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return &fault{err, backup.ErrBusy} // too many open files
	}
	return &fault{err, backup.ErrRefused}
}

// isOurs says that an error is not one of the mail that is read.
func isOurs(err error) bool {
	_, local := errors.AsType[*backup.LocalError](err)
	return local || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
