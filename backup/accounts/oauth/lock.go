package oauth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lock waits until nobody else, in this process or another one, has the lock
// of the token file. The lock is on a file beside it, since the token file
// itself is replaced; the system takes it back when a process ends.
func lock(ctx context.Context, path string) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the token file: %w", err)
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the token file: %w", err)
	}
	for {
		ok, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock the token file: %w", err)
		}
		if ok {
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for the lock of the token file: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
