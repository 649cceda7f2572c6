// Package imapsource reads an IMAP account: [New] makes a backup.Source of a
// function that connects. It opens folders with EXAMINE and reads bodies with
// BODY.PEEK[], so that it cannot change anything (RFC 9051 sections 6.3.3 and
// 6.4.5), and it names messages by UID only.
package imapsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/emersion/go-imap/v2"

	"restante/backup"
	"restante/backup/accounts/imapconn"
)

// Options say how an account is read. Dial is needed.
type Options struct {
	// Dial connects and logs in; odd is told what the library cannot show.
	Dial func(ctx context.Context, odd func(imapconn.Oddity)) (*imapconn.Conn, error)
	// Parallel is how many connections there may be; 0 for 3.
	Parallel int
	// TempDir is where large messages are kept while they are read; empty for
	// the system's.
	TempDir string
	Log     *slog.Logger
}

// A Source is an IMAP account.
type Source struct {
	o Options

	mu    sync.Mutex        // guards what follows
	idle  []*connection     // connected, no folder in use
	names map[string]string // folder, as backup names it → as the library does
}

// A connection is one that has logged in, with what it was told beside the
// library.
type connection struct {
	*imapconn.Conn

	mu  sync.Mutex // guards odd
	odd map[uint32][]imapconn.Oddity
}

// New returns the account that o.Dial connects to.
func New(o Options) *Source {
	if o.Parallel <= 0 {
		o.Parallel = 3
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Source{o: o, names: map[string]string{}}
}

// Kind is "imap".
func (s *Source) Kind() string { return "imap" }

// Parallel is how many connections there may be.
func (s *Source) Parallel() int { return s.o.Parallel }

// Close says goodbye on the connections that are idle.
func (s *Source) Close() error {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range idle {
		wg.Go(func() { c.Logout(context.Background()) }) // waits ten seconds at most
	}
	wg.Wait()
	return nil
}

// connect takes an idle connection or makes a new one.
func (s *Source) connect(ctx context.Context) (*connection, error) {
	s.mu.Lock()
	for len(s.idle) > 0 {
		c := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if c.Err() == nil {
			s.mu.Unlock()
			return c, nil
		}
	}
	s.mu.Unlock()
	c := &connection{odd: map[uint32][]imapconn.Oddity{}}
	conn, err := s.o.Dial(ctx, c.remember)
	if err != nil {
		return nil, classify(err)
	}
	c.Conn = conn
	return c, nil
}

// release gives a connection back.
func (s *Source) release(c *connection) {
	if c.Err() != nil {
		c.Close()
		return
	}
	c.mu.Lock()
	clear(c.odd)
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, c)
}

// mostOddities is how many messages' odd values are kept until somebody asks:
// those of one FETCH, or, from a server that sends them unasked, some of them.
const mostOddities = 4096

func (c *connection) remember(o imapconn.Oddity) {
	if o.Item != "INTERNALDATE" && o.Item != "FLAGS" || o.UID == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.odd) < mostOddities {
		c.odd[o.UID] = append(c.odd[o.UID], o)
	}
}

// take returns what was told of a message beside the library.
func (c *connection) take(uid uint32) []imapconn.Oddity {
	c.mu.Lock()
	defer c.mu.Unlock()
	odd := c.odd[uid]
	delete(c.odd, uid)
	return odd
}

// explain turns what the library returns into what a backup needs to know.
func (c *connection) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	err = classify(c.Explain(err))
	if no, ok := errors.AsType[*imap.Error](err); ok && c.Err() == nil && !errors.Is(err, backup.ErrBusy) {
		switch no.Code {
		case imap.ResponseCodeNonExistent:
			return fmt.Errorf("%s: %w", what, &marked{err, backup.ErrGone})
		case imap.ResponseCodeNoPerm:
			return fmt.Errorf("%s: %w", what, &marked{err, backup.ErrAccess})
		}
		return fmt.Errorf("%s: %w", what, &marked{err, backup.ErrRefused})
	}
	return fmt.Errorf("%s: %w", what, err)
}

func classify(err error) error {
	switch {
	case errors.Is(err, imapconn.ErrLogin), errors.Is(err, imapconn.ErrTLS):
		return &marked{err, backup.ErrAccess}
	case errors.Is(err, imapconn.ErrBusy):
		return &marked{err, backup.ErrBusy}
	}
	return err
}

// A marked error says what it says, and is something else besides.
type marked struct {
	error
	mark error
}

func (m *marked) Unwrap() []error { return []error{m.error, m.mark} }
