// Package pop3source reads a maildrop by POP3, as one computer sees it: [New]
// makes a backup.Source of a function that connects. A snapshot holds what is
// on the server, in one folder, INBOX; what a client has removed since is in
// the snapshots before. [Source.Remove] deletes from the server what is proven
// to be in the repository, where somebody has a [Policy] that says so.
//
// POP3 has neither UIDs nor flags nor dates. A message's place is its unique-id
// (UIDL, RFC 1939 section 7), its identity is its content, and its number is
// good for one session. A snapshot keeps of each message a key with all of
// these but the number, and the UID that it was given here. In the next run
//
//   - a message with a unique-id and a size that are known is the known one. A
//     few of these, the first and the last among them, are compared by their
//     headers; if one is another message, no unique-id is believed in this run;
//   - any other message that has the size of a known one that has not been
//     found is read, and is that one if its content is the same;
//   - all others are new.
//
// So a server without unique-ids, or with ones that are not unique or change
// every time, makes a run read more, and never less.
package pop3source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"restante/backup"
	"restante/backup/accounts/pop3conn"
)

// Options say how a maildrop is read. Dial is needed.
type Options struct {
	// Dial connects and logs in; with oneByOne, messages are asked for one at a
	// time.
	Dial func(ctx context.Context, oneByOne bool) (*pop3conn.Conn, error)
	// TempDir is where large messages are kept while they are read; empty for
	// the system's.
	TempDir string
	Log     *slog.Logger
}

func (o *Options) defaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// A Source is a maildrop.
type Source struct {
	o Options

	mu       sync.Mutex // guards what follows
	idle     *session   // connected and listed, nobody uses it
	census   *census    // of this run; nil: not taken yet
	oneByOne bool
	topless  bool             // TOP ends connections
	deadly   map[string]error // and so does reading these messages, by their marks
	notes    notes
}

// New returns the maildrop that o.Dial opens.
func New(o Options) *Source {
	o.defaults()
	return &Source{o: o}
}

// kind is the kind of source, and inbox the folder that it has.
const kind = "pop3"

var inbox = []string{"INBOX"}

// Kind is "pop3".
func (s *Source) Kind() string { return kind }

// Parallel is 1: a maildrop is open to one session at a time (RFC 1939 section 4).
func (s *Source) Parallel() int { return 1 }

// Close ends the session.
func (s *Source) Close() error {
	s.mu.Lock()
	c := s.idle
	s.idle = nil
	s.mu.Unlock()
	if c != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c.Quit(ctx) // nothing is marked to be deleted, so it does not matter how it ends
	}
	return nil
}

// Notes tells what the run found out and the snapshot does not show.
func (s *Source) Notes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes.sentences()
}

// List opens the maildrop and begins a run.
func (s *Source) List(ctx context.Context) ([]backup.Listed, error) {
	s.Close()
	s.mu.Lock()
	s.census, s.notes = nil, notes{}
	s.topless, s.deadly = false, map[string]error{}
	s.mu.Unlock()
	c, err := s.connect(ctx) // a maildrop that is busy is the run's to wait for
	if err != nil {
		return nil, err
	}
	s.release(c)
	return []backup.Listed{{
		Levels: inbox, Subscribed: true,
		Status: &backup.Status{UIDValidity: validity, Messages: uint32(len(c.listing.Messages))},
	}}, nil
}

// A session is a connection and what its server said there is. The numbers in
// its listing mean nothing anywhere else.
type session struct {
	*pop3conn.Conn
	listing pop3conn.Listing
	// at is where the messages of the census are in the listing, by UID; nil:
	// that is not known yet.
	at map[uint32]pop3conn.Listed
}

// connect opens the maildrop and asks what is in it.
func (s *Source) connect(ctx context.Context) (*session, error) {
	s.mu.Lock()
	oneByOne := s.oneByOne
	s.mu.Unlock()
	conn, err := s.o.Dial(ctx, oneByOne)
	if err != nil {
		return nil, classify(err)
	}
	defer conn.Bind(ctx)()
	c := &session{Conn: conn}
	if c.listing, err = conn.List(); err != nil {
		conn.Close()
		return nil, classify(err)
	}
	return c, nil
}

// release gives a session back.
func (s *Source) release(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Err() != nil || s.idle != nil {
		c.Close()
		return
	}
	s.idle = c
}

// Open opens the folder. Which messages there are is found out when it is
// opened for the first time in a run, and stays so for the run.
func (s *Source) Open(ctx context.Context, l backup.Listed, known backup.Known) (backup.Mailbox, error) {
	s.mu.Lock()
	c := s.idle
	s.idle = nil
	taken := s.census
	s.mu.Unlock()
	var err error
	if c == nil || c.Err() != nil {
		if c, err = s.connect(ctx); err != nil {
			return nil, err
		}
	}
	m := &mailbox{source: s, session: c, census: taken, spool: spool{tempDir: s.o.TempDir}}
	defer m.spool.drop()
	for tries := 0; ; tries++ {
		err := m.lookUp(ctx, known)
		if err == nil {
			return m, nil
		}
		m.session.Close()
		if !errors.Is(err, errWiser) || tries == mostWiser {
			return nil, s.failed(err)
		}
		s.o.Log.Info("telling messages apart in another way", "error", err)
		if m.session, err = s.connect(ctx); err != nil {
			return nil, err
		}
	}
}

// mostWiser is how often a session may end in a way that tells what not to do in
// the next one.
const mostWiser = 20

// lookUp finds out where the messages of the run are in the session.
func (m *mailbox) lookUp(ctx context.Context, known backup.Known) (err error) {
	defer m.session.Bind(ctx)()
	switch {
	case m.census == nil:
		m.census, err = m.identify(known)
	case m.session.at == nil:
		err = m.findAgain()
	}
	if err != nil {
		return err
	}
	m.source.mu.Lock()
	defer m.source.mu.Unlock()
	m.source.census = m.census
	return nil
}

// failed looks at an error of reading messages for what the next session
// should do in another way: a server may offer to take many commands at once,
// and lose some of them.
func (s *Source) failed(err error) error {
	if errors.Is(err, pop3conn.ErrOutOfStep) || errors.Is(err, pop3conn.ErrTimeout) || errors.Is(err, pop3conn.ErrProtocol) {
		s.mu.Lock()
		s.oneByOne = true
		s.mu.Unlock()
	}
	return classify(err)
}

func classify(err error) error {
	switch {
	case errors.Is(err, pop3conn.ErrLogin), errors.Is(err, pop3conn.ErrTLS):
		return &marked{err, backup.ErrAccess}
	case errors.Is(err, pop3conn.ErrBusy):
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

// notes count what is to be said about a run.
type notes struct {
	noUIDL     int  // messages without a unique-id of their own
	distrusted bool // unique-ids that are known are other messages'
	renamed    int  // known messages with other unique-ids
	odd        int  // messages whose form leaves something uncertain
}

func (n *notes) sentences() (list []string) {
	if n.noUIDL > 0 {
		list = append(list, fmt.Sprintf("the server gives %d messages no unique-id of their own; they are told apart by their content, which takes more reading", n.noUIDL))
	}
	if n.distrusted {
		list = append(list, "the server's unique-ids now stand for other messages than before; all were matched by their content")
	}
	if n.renamed > 0 {
		list = append(list, fmt.Sprintf("%d messages have other unique-ids than before, or other sizes; their content is the same", n.renamed))
	}
	if n.odd > 0 {
		list = append(list, fmt.Sprintf("%d new messages have line ends or dots that a server that keeps to RFC 1939 does not send so; they are kept as they were sent, and never deleted from the server", n.odd))
	}
	return list
}
