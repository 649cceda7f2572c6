package restore

import (
	"context"
	"errors"
)

// A server goes on with what it was sent when the connection is gone, or the
// program at its other end: a restore that looks at once, and then adds what it
// misses, would find that it came after all, and is there twice. So where
// messages were sent and not answered, by this restore or by one before that did
// not come to its end, it waits until nothing more comes.
type late struct {
	doubt bool   // something was sent, and nobody knows what came of it
	quiet uint32 // how far the folder had come when it was opened before; 0: it was not
	waits int
}

// mostWaits is how often it waits, at most: somebody else may add messages all
// the time.
const mostWaits = 10

// errLate says that something may come yet.
var errLate = errors.New("the server may still be taking what it was sent before")

// wait is errLate as long as something may come to a folder that has come so far
// now; 0: not known, and not waited for.
func (l *late) wait(now uint32) error {
	if !l.doubt || now == 0 || now == l.quiet || l.waits == mostWaits {
		*l = late{}
		return nil
	}
	l.quiet = now
	l.waits++
	return errLate
}

// pause lets the server take what it was sent.
func (f *folder) pause(ctx context.Context) error {
	f.o.Log.Info("waiting for the server to take what it was sent before", "folder", f.report.Place)
	return f.o.Pause(ctx, 1)
}
