// Package imapconn is the connection between an IMAP server and go-imap:
// [Dial] one, use it as an [imapclient.Client], ask [Conn.Explain] what an
// error means, and [Conn.Logout].
//
// go-imap is used as published (v2.0.0-beta.8). It loses bodies, takes a cut
// one for whole, or hangs up on answers that real servers give; it waits for
// ever for servers that are silent and believes any size it is told (all of it
// stands in ../UPSTREAM.md, and upstream_test.go shows it). So it is
// not given the socket but a net.Conn that reads the server's answers first,
// with limits and deadlines, and shows it each in the one form it is sure to
// understand. What it cannot be shown at all reaches the caller through
// [Options.Odd].
//
//	server → socket → source (patience) → input (lines, literals) → filter → go-imap
//	server ← socket ← patientWriter ← writer (literals, folder names) ← filter ← go-imap
//
// Rules for using a Conn:
//   - Read every FETCH to its end, or call its Close; one goroutine per FETCH,
//     since servers send the data of the next before they end the last.
//   - Two FETCHes under way at once must not ask for the same messages.
//   - A body is whole when its literal ended without an error, and it is
//     the server's when the command ended without one.
//   - ENVELOPE and BODYSTRUCTURE are never delivered.
//   - Folder names may be aliases: see [RawName].
//   - Append, Caps, Create, Store, Logout and Close are this package's. Login,
//     Authenticate and Enable have nothing left to do.
package imapconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Conn is a connection that has logged in.
type Conn struct {
	*imapclient.Client
	f       *filter
	id      map[string]string
	traffic *countingConn
	notify  bool        // the server offers NOTIFY
	caps    imap.CapSet // what go-imap was shown
}

// ServerID returns what the server said of itself in answer to ID (RFC 2971),
// keys in lower case. It is empty where it was not asked or did not say.
func (c *Conn) ServerID() map[string]string { return c.id }

// Caps returns what the server can do, as it said when the connection was
// made. It stays when the connection has ended: go-imap then looks whether there
// was a greeting or an end, takes whichever it sees first, and every other time
// says that the server can do nothing. Who believes that leaves out what needs a
// capability, and does not notice that there is no server any more.
func (c *Conn) Caps() imap.CapSet { return c.caps }

// Traffic returns how many octets have come in and gone out, as they were on
// the wire: encrypted and compressed, with the login.
func (c *Conn) Traffic() (in, out int64) { return c.traffic.in.Load(), c.traffic.out.Load() }

// Counted says whether the server has told how many messages the folder has that
// is open (RFC 9051 section 6.3.2 has it do so). go-imap takes an untold number
// for 0.
func (c *Conn) Counted() bool { return c.f.counted.Load() }

// Bind ties the connection to ctx: when ctx ends, the connection is closed,
// and whatever waits for it returns at once. Half an answer cannot be taken
// back, so the connection cannot be used after that. stop undoes Bind.
func (c *Conn) Bind(ctx context.Context) (stop func()) {
	undo := context.AfterFunc(ctx, func() { c.f.fail(context.Cause(ctx)) })
	return func() { undo() }
}

// Err says why the connection has ended. It is nil while it has not.
func (c *Conn) Err() error { return c.f.cause() }

// Explain returns the error that a person or a retry loop wants to see in
// place of one that go-imap returned. If the connection has ended, that is
// the reason, which go-imap does not know or wraps beyond recognition; a NO
// that asks for patience is marked as [ErrBusy]; other errors stay.
func (c *Conn) Explain(err error) error {
	var no *imap.Error
	if err == nil || errors.As(err, &no) {
		return explainNo(err)
	}
	switch cause := c.f.cause(); {
	case cause == nil:
		return err
	case cause == errLibrary:
		return fmt.Errorf("%w: %w", errLibrary, err)
	default:
		return cause
	}
}

// Close ends the connection at once, without a word to the server.
func (c *Conn) Close() error {
	c.f.fail(net.ErrClosed)
	return nil
}

// Logout says goodbye, waits for the answer (not longer than ten seconds or
// than ctx), and closes the connection.
func (c *Conn) Logout(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, fmt.Errorf("%w: no answer to LOGOUT", ErrTimeout))
	defer cancel()
	defer c.Bind(ctx)()
	err := c.Explain(c.Client.Logout().Wait())
	c.Close()
	return err
}
