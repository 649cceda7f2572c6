// Package delivery hands mail over as if it came in anew: [New] makes a
// restore.Target of a function that connects to a server that speaks LMTP or
// SMTP. Messages keep their octets, and nothing is put in front of them; what a
// server cannot take as it is, is refused and not changed.
//
// Delivering is not idempotent, and nobody can look into what was delivered. So
// a journal remembers it: what a server has accepted is not delivered again, and
// what was sent and never answered is told of and left alone.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"restante/backup/accounts/smtpconn"
	"restante/restore"
	"restante/storage"
)

// Options say where mail is delivered, and to whom. Dial, To and JournalDir are
// needed.
type Options struct {
	// Location is how people know the server.
	Location string
	Dial     func(ctx context.Context) (*smtpconn.Conn, error)
	From     string   // return path; empty: the null one, so that nobody gets bounces
	To       []string // envelope recipients
	// CRLF allows to change line ends of messages that the server cannot take as
	// they are: each LF becomes CRLF where none is one yet, and the last line is
	// ended.
	CRLF bool
	// JournalDir is a directory that lasts.
	JournalDir string
	Log        *slog.Logger
	// Pause waits before the i-th try again of a message that the server refused
	// for now; nil: 1 s, doubled each time.
	Pause func(ctx context.Context, i int) error
}

// A Target is a server that mail is delivered to.
type Target struct {
	o Options

	mu    sync.Mutex // guards what follows
	conn  *smtpconn.Conn
	limit int64 // octets of a message; 0: not known
	tired bool  // the last message was refused for now, to the last try
}

// New returns the server that o.Dial connects to.
func New(o Options) *Target {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pause == nil {
		o.Pause = func(ctx context.Context, i int) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second << i):
				return nil
			}
		}
	}
	return &Target{o: o}
}

// Location is how people know the server, and for whom it is.
func (t *Target) Location() string { return t.o.Location + " for " + strings.Join(t.o.To, ", ") }

// Losses says what mail loses that is delivered.
func (t *Target) Losses() []string {
	return []string{
		"delivered mail goes where the server puts new mail, whatever folder it was in",
		"its internal date is when it is delivered, and it is unread",
		"servers add header fields of their own, such as Return-Path and Received, in front of what was sent",
	}
}

// Parallel is 1: mail arrives in the order in which it is sent.
func (t *Target) Parallel() int { return 1 }

// Room is not known.
func (t *Target) Room(context.Context) (int64, bool, error) { return 0, false, nil }

// Folders are none that can be seen.
func (t *Target) Folders(context.Context) ([]restore.Folder, error) { return nil, nil }

// Place is the name that a folder had: all are delivered to one place.
func (t *Target) Place(levels []string, _ []byte, _ string) (string, []string, error) {
	return storage.FolderName(levels), nil, nil
}

// Create does nothing.
func (t *Target) Create(context.Context, string, restore.Folder) ([]string, error) { return nil, nil }

// Subscribe does nothing.
func (t *Target) Subscribe(context.Context, string) ([]string, error) { return nil, nil }

// Open opens the journal of a folder, and connects where that is not done yet.
func (t *Target) Open(ctx context.Context, place string) (restore.Box, error) {
	if len(t.o.To) == 0 {
		return nil, fmt.Errorf("%w: there is no recipient", restore.ErrAccess)
	}
	if _, err := t.connect(ctx); err != nil {
		return nil, err
	}
	j, err := openJournal(t.o.JournalDir, t.o.Location, place)
	if err != nil && !errors.Is(err, restore.ErrBusy) {
		err = fmt.Errorf("%w: %w", restore.ErrNotes, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the journal of what was delivered: %w", err)
	}
	return &box{t: t, j: j}, nil
}

func (t *Target) connect(ctx context.Context) (*smtpconn.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		return t.conn, nil
	}
	conn, err := t.o.Dial(ctx)
	switch {
	case err == nil:
		t.conn, t.limit = conn, conn.SizeLimit()
	case errors.Is(err, smtpconn.ErrLogin), errors.Is(err, smtpconn.ErrTLS):
		err = &marked{err, restore.ErrAccess}
	case errors.Is(err, smtpconn.ErrBusy):
		err = &marked{err, restore.ErrBusy}
	}
	return conn, err
}

// hangUp lets go of a connection that is of no more use.
func (t *Target) hangUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

// Close says good-bye.
func (t *Target) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		t.conn.Quit()
		t.conn = nil
	}
	return nil
}

// A marked error is told apart as another one is, and does not say so.
type marked struct {
	error
	as error
}

func (m *marked) Unwrap() error { return m.error }

func (m *marked) Is(target error) bool { return target == m.as }
