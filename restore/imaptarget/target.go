// Package imaptarget writes to an IMAP account: [New] makes a restore.Target
// of a function that connects. It creates folders, subscribes to them and
// appends messages, and gives labels at Gmail; it never deletes, expunges or
// stores a flag.
package imaptarget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn"
	"restante/restore"
)

// Options say how an account is written to. Dial is needed.
type Options struct {
	// Location is how people know the account.
	Location string
	// Dial connects and logs in.
	Dial func(ctx context.Context) (*imapconn.Conn, error)
	// Parallel is how many connections there may be; 0 for 2.
	Parallel int
	Log      *slog.Logger
}

// A Target is an IMAP account.
type Target struct {
	o Options

	mu       sync.Mutex // guards what follows
	idle     []*imapconn.Conn
	inUse    int
	released chan struct{} // closed when a connection has been given back
	// What Folders found out:
	spaces    imapconn.Namespaces
	delimiter rune
	limit     int64             // octets of a message; 0: not known
	uses      map[string]string // special use, lower case → folder that has it
}

// New returns the account that o.Dial connects to.
func New(o Options) *Target {
	if o.Parallel <= 0 {
		o.Parallel = 2
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Target{o: o, uses: map[string]string{}, released: make(chan struct{})}
}

// Location is how people know the account.
func (t *Target) Location() string { return t.o.Location }

// Parallel is how many connections there may be.
func (t *Target) Parallel() int { return t.o.Parallel }

// SizeLimit is what APPENDLIMIT says (RFC 7889).
func (t *Target) SizeLimit() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limit
}

// Close says goodbye on the connections that are idle.
func (t *Target) Close() error {
	t.mu.Lock()
	idle := t.idle
	t.idle = nil
	t.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range idle {
		wg.Go(func() { c.Logout(context.Background()) }) // waits ten seconds at most
	}
	wg.Wait()
	return nil
}

// connect takes an idle connection or makes a new one. Where the server wants
// no more connections than there are, it waits for one of them.
func (t *Target) connect(ctx context.Context) (*imapconn.Conn, error) {
	for {
		c, released := t.take()
		if c != nil {
			return c, nil
		}
		c, err := t.o.Dial(ctx)
		if err == nil {
			return c, nil
		}
		others := t.drop()
		if !errors.Is(err, imapconn.ErrBusy) || others == 0 {
			return nil, classify(err)
		}
		t.o.Log.Info("the server wants no more connections", "connections", others, "error", err)
		select {
		case <-released:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take counts a connection as in use and returns an idle one, if there is one,
// and what is closed when another becomes idle.
func (t *Target) take() (*imapconn.Conn, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inUse++
	for len(t.idle) > 0 {
		c := t.idle[len(t.idle)-1]
		t.idle = t.idle[:len(t.idle)-1]
		if c.Err() == nil {
			return c, nil
		}
		c.Close()
	}
	return nil, t.released
}

// drop counts a connection as no longer in use and returns how many are.
func (t *Target) drop() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inUse--
	return t.inUse
}

// release gives a connection back.
func (t *Target) release(c *imapconn.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inUse--
	if c.Err() != nil {
		c.Close()
	} else {
		t.idle = append(t.idle, c)
	}
	close(t.released)
	t.released = make(chan struct{})
}

// explain says what a command's error means.
func explain(c *imapconn.Conn, what string, err error) error {
	return fmt.Errorf("%s: %w", what, classify(c.Explain(err)))
}

// aboutFolder is explain for a command that needs nothing but the folder: where
// the server says no, the others may be well.
func aboutFolder(c *imapconn.Conn, what string, err error) error {
	err = explain(c, what, err)
	if refused(c, err) {
		return &marked{err, restore.ErrFolder}
	}
	return err
}

// refused says whether the server said no, for good, and the connection is
// well.
func refused(c *imapconn.Conn, err error) bool {
	_, no := errors.AsType[*imap.Error](err)
	return no && c.Err() == nil && !errors.Is(err, restore.ErrBusy) && !errors.Is(err, imapconn.ErrBusy)
}

func classify(err error) error {
	switch {
	case errors.Is(err, imapconn.ErrLogin), errors.Is(err, imapconn.ErrTLS):
		return &marked{err, restore.ErrAccess}
	case errors.Is(err, imapconn.ErrBusy):
		return &marked{err, restore.ErrBusy}
	}
	return err
}

// A marked error says what it says, and is something else besides.
type marked struct {
	error
	mark error
}

func (m *marked) Unwrap() []error { return []error{m.error, m.mark} }

// Room asks for the quota of INBOX (RFC 9208).
func (t *Target) Room(ctx context.Context) (octets int64, known bool, err error) {
	c, err := t.connect(ctx)
	if err != nil {
		return 0, false, err
	}
	defer t.release(c)
	defer c.Bind(ctx)()
	if !c.Caps().Has(imap.CapQuota) {
		return 0, false, nil
	}
	data, err := c.GetQuotaRoot("INBOX").Wait()
	if c.Err() != nil {
		return 0, false, explain(c, "GETQUOTAROOT", err)
	}
	if err != nil {
		return 0, false, nil // no quota that we may see
	}
	for _, root := range data {
		storage, ok := root.Resources[imap.QuotaResourceStorage]
		if !ok {
			continue
		}
		// Units of 1024 octets (RFC 9208 section 5.1). Some servers write a
		// number beyond all disks for no limit.
		room := max(0, storage.Limit-storage.Usage)
		if room > math.MaxInt64/1024 {
			continue
		}
		if room *= 1024; !known || room < octets {
			octets, known = room, true
		}
	}
	return octets, known, nil
}
