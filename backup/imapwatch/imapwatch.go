// Package imapwatch waits until something changes in an IMAP account: [Watch]
// keeps a connection for as long as it is let, and calls back.
//
// Where the server has NOTIFY (RFC 5465), one connection hears of all folders
// of the account's own, and no folder is opened. Otherwise one folder is opened
// for each connection, with EXAMINE, INBOX first, and IDLE (RFC 2177) tells of
// it. What changed is not asked for: a backup finds out.
package imapwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/peer"
)

// Dial connects and logs in; news is told of what the server says without
// being asked.
type Dial func(ctx context.Context, news func(imapconn.News)) (*imapconn.Conn, error)

// Options say how an account is watched. The zero value is for INBOX alone
// where the server has no NOTIFY.
type Options struct {
	// Folders are watched beside INBOX where the server has no NOTIFY, the first
	// ones first, as far as Connections goes: names as a backup has them,
	// storage.FolderName.
	Folders []string
	// Connections is how many there may be, 1 or more; 0 for 1. NOTIFY needs one.
	Connections int
	// Hold, where it is not nil, is asked before each connection is made, and
	// waits until there may be one more: for limits that several accounts share.
	// Release gives the place back; it is called once.
	Hold func(ctx context.Context) (release func(), err error)
	// Debounce is how long nothing more must be heard before changed is called,
	// which is done after twelve times that at the latest. After ten calls, each
	// other one waits for twelve times that since the last, but for what calm gives
	// back. 0 for 5 s.
	Debounce time.Duration
	// Renew is how often the server has to show that it is still there: IDLE is
	// ended and begun again. 0 for 9 minutes; RFC 2177 wants less than 29.
	Renew time.Duration
	// Answer is how long the server may take over anything it is asked. 0 for a
	// minute.
	Answer time.Duration
	Log    *slog.Logger
	// Pause waits before the i-th try in a row to connect again; nil: 1 s,
	// doubled each time, at most 5 minutes; where the server is busy, at least a
	// minute.
	Pause func(ctx context.Context, i int, err error) error
}

const (
	patience = 12 // times Debounce
	// burst is how many calls may follow as closely on each other as changes do.
	// After that, patience passes between two of them: a server that has
	// something to tell every few seconds would have backups made without end.
	burst = 10
	// mostRenew is a little less than RFC 2177 lets a client idle, and than what
	// go-imap itself begins again after.
	mostRenew = 27 * time.Minute
)

func (o *Options) defaults() {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&o.Debounce, 5*time.Second)
	set(&o.Renew, 9*time.Minute)
	set(&o.Answer, time.Minute)
	o.Renew = min(o.Renew, mostRenew)
	o.Connections = max(1, o.Connections)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pause == nil {
		o.Pause = pause
	}
}

// ErrCannot says that the server has neither NOTIFY nor IDLE.
var ErrCannot = errors.New("the server does not tell of changes: it has neither NOTIFY nor IDLE")

// Watch calls changed when something may have changed in the account, until
// ctx ends. It calls it as well when a connection stands, first of all when the
// first one does: nobody knows what happened before. Calls follow each other,
// from one goroutine; what is heard during one makes another one.
//
// A connection that is lost, or does not answer any more, is made again. It
// ends with the cause of ctx, with ErrCannot, or with an error that wraps
// [imapconn.ErrLogin] or [imapconn.ErrTLS], which another try would not mend.
// Whoever waits for Watch alone misses changes: servers forget to tell.
func Watch(ctx context.Context, dial Dial, o Options, changed func()) error {
	o.defaults()
	w := &watch{dial: dial, o: o, heard: make(chan struct{}, 1)}
	w.group, w.ctx = errgroup.WithContext(ctx)
	w.group.Go(func() error { w.tell(changed); return nil })
	w.group.Go(func() error { return (&post{watch: w, folder: inbox, first: true}).keep() })
	err := w.group.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

const inbox = "INBOX"

// A watch is one Watch.
type watch struct {
	dial   Dial
	o      Options
	ctx    context.Context
	group  *errgroup.Group
	heard  chan struct{} // holds one word that something was heard
	others sync.Once     // the posts at other folders
}

// hear notes that something may have changed. It does not wait.
func (w *watch) hear() {
	select {
	case w.heard <- struct{}{}:
	default: // it is noted already
	}
}

// tell calls changed once it has become calm.
func (w *watch) tell(changed func()) {
	each := patience * w.o.Debounce
	var paid time.Time // the calls so far have their time until then
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.heard:
		}
		latest := time.Now().Add(patience * w.o.Debounce)
		calm := time.NewTimer(w.o.Debounce)
		for waiting := true; waiting; {
			select {
			case <-w.ctx.Done():
				calm.Stop()
				return
			case <-w.heard:
				calm.Reset(min(w.o.Debounce, time.Until(latest)))
			case <-calm.C:
				waiting = false
			}
		}
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(time.Until(paid.Add(-(burst - 1) * each))):
		}
		select {
		case <-w.heard: // this call is for that as well
		default:
		}
		if now := time.Now(); now.After(paid) {
			paid = now
		}
		paid = paid.Add(each)
		changed()
	}
}

// more begins to watch the other folders, as many as there may be connections.
func (w *watch) more() {
	w.others.Do(func() {
		left := w.o.Connections - 1
		for _, folder := range w.o.Folders {
			if folder == inbox {
				continue
			}
			if left == 0 {
				w.o.Log.Info("a folder is not watched: there are no more connections", "folder", peer.Text(folder))
				continue
			}
			left--
			w.group.Go(func() error { return (&post{watch: w, folder: folder}).keep() })
		}
	})
}

// hopeless says that another try would not mend it.
func hopeless(err error) bool {
	return errors.Is(err, ErrCannot) || errors.Is(err, imapconn.ErrLogin) || errors.Is(err, imapconn.ErrTLS)
}

// within gives the server time to answer; when it is over, the connection is.
func (w *watch) within(conn *imapconn.Conn, what string, do func() error) error {
	ctx, cancel := context.WithTimeoutCause(w.ctx, w.o.Answer, fmt.Errorf("%w: no answer to %s within %v", imapconn.ErrTimeout, what, w.o.Answer))
	defer cancel()
	defer conn.Bind(ctx)()
	if err := conn.Explain(do()); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
