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
	"maps"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/storage"
)

// ErrNoScripts says that no server of filter scripts was found where none was
// said to be.
var ErrNoScripts = errors.New("there is no server of filter scripts")

// Options say how an account is read. Dial is needed.
type Options struct {
	// Dial connects and logs in; odd is told what the library cannot show.
	Dial func(ctx context.Context, odd func(imapconn.Oddity)) (*imapconn.Conn, error)
	// Parallel is how many connections there may be; 0 for 3.
	Parallel int
	// TempDir is where large messages are kept while they are read; empty for
	// the system's.
	TempDir string
	// Scripts reads the account's filter scripts, which IMAP knows nothing of; the
	// error is ErrNoScripts where nothing says that there is a server of them. Nil:
	// there are none to read.
	Scripts func(ctx context.Context) ([]storage.Script, error)
	Log     *slog.Logger
}

// A Source is an IMAP account.
type Source struct {
	o Options

	mu      sync.Mutex        // guards what follows
	idle    []*connection     // connected, no folder in use
	names   map[string]string // folder, as backup names it → as the library does
	notes   []string          // of this run
	noFlag  map[string]int    // messages whose flags the server did not tell, by folder
	sharing bool              // the server is Gmail
}

// A connection is one that has logged in, with what it was told beside the
// library.
type connection struct {
	*imapconn.Conn
	odd oddities
}

// New returns the account that o.Dial connects to.
func New(o Options) *Source {
	if o.Parallel <= 0 {
		o.Parallel = 3
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Source{o: o, names: map[string]string{}, noFlag: map[string]int{}}
}

// Kind is "imap".
func (s *Source) Kind() string { return "imap" }

// Parallel is how many connections there may be.
func (s *Source) Parallel() int { return s.o.Parallel }

// Sharing says whether the server tells which messages of several folders are
// one.
func (s *Source) Sharing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sharing
}

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

// hangUp drops the idle connections.
func (s *Source) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.idle {
		c.Close()
	}
	s.idle = nil
}

// Notes says what of the run people should know and the snapshot does not show.
func (s *Source) Notes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes := slices.Clone(s.notes)
	for _, folder := range slices.Sorted(maps.Keys(s.noFlag)) {
		notes = append(notes, fmt.Sprintf("folder %q: the server did not tell the flags of %d new messages; they are kept without", folder, s.noFlag[folder]))
	}
	return notes
}

// noteNoFlags notes that the flags of a message could not be had.
func (s *Source) noteNoFlags(folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noFlag[folder]++
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
	c := new(connection)
	conn, err := s.o.Dial(ctx, c.odd.remember)
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
	c.odd.clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, c)
}

// explain turns what the library returns into what a backup needs to know.
func (c *connection) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	err = classify(c.Explain(err))
	if _, isNo := errors.AsType[*imap.Error](err); isNo && c.Err() == nil && !errors.Is(err, backup.ErrBusy) {
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
	case errors.Is(err, imapconn.ErrFile):
		return &backup.LocalError{Err: err}
	}
	return err
}

// A marked error says what it says, and is something else besides.
type marked struct {
	error
	mark error
}

func (m *marked) Unwrap() []error { return []error{m.error, m.mark} }
