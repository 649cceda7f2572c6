package oauth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lock waits until nobody else, in this process or another one, has the lock
// of the token file. The lock is on a file beside it, since the token file
// itself is replaced; the system takes it back when a process ends.
func lock(ctx context.Context, path string) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the token file: %w", err)
	}
	l := flock.New(path+".lock", flock.SetPermissions(0o600))
	ok, err := l.TryLockContext(ctx, 20*time.Millisecond)
	switch {
	case ctx.Err() != nil && !ok:
		return nil, fmt.Errorf("wait for the lock of the token file: %w", context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("lock the token file: %w", err)
	}
	return func() { l.Close() }, nil
}
