package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// A change is sure to show in a directory's time only when that time is older
// than the clock's grain, which is 10 ms at most on Linux, and up to two
// seconds on file systems that keep whole seconds.
const (
	grain       = 20 * time.Millisecond
	coarseGrain = 2 * time.Second
)

// dirTimes are the modification times of cur and new, in nanoseconds.
type dirTimes struct{ cur, new int64 }

func (f *MaildirFolder) times() (t dirTimes, err error) {
	for _, d := range []struct {
		name string
		time *int64
	}{{"cur", &t.cur}, {"new", &t.new}} {
		info, err := f.root.Lstat(d.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return t, fmt.Errorf("looking at %s of a Maildir folder: %w", d.name, err)
		}
		*d.time = info.ModTime().UnixNano()
	}
	return t, nil
}

func (t dirTimes) newest() time.Time { return time.Unix(0, max(t.cur, t.new)) }

// grain is how far apart two changes must be to have different times.
func (t dirTimes) grain() time.Duration {
	if t.newest().Nanosecond() == 0 {
		return coarseGrain
	}
	return grain
}

// proves reports whether any change from started on shows in the times.
func (t dirTimes) proves(started time.Time) bool { return started.Sub(t.newest()) > t.grain() }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
