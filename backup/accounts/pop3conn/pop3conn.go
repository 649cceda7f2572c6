// Package pop3conn is the connection between a POP3 server and go-pop3: [Dial]
// one, ask [Conn.List] what there is, [Conn.Retrieve] messages, and [Conn.Quit].
//
// go-pop3 is used as published (v1.0.2; ../UPSTREAM.md has its faults). It
// changes bare LFs, ends a message at a dot behind one and takes the rest for
// answers, keeps whole messages in memory, ends a list of unique-ids at an empty
// one, takes a blank line for success and waits for ever; it knows no STLS, APOP,
// SASL or CAPA. So it is
// not given the socket but a net.Conn that reads the server's answers first,
// with limits and deadlines, and shows it each in the one form it is sure to
// understand. Messages do not go through it at all but straight to a sink, octet
// by octet as they are; the library sees an empty one.
//
//	server → socket → wire (patience, limits, un-stuffing) → go-pop3
//	                                                     ↘ sink of a message
//	server ← socket ← wire (which answers are due)       ← go-pop3
package pop3conn

import (
	"context"
	"fmt"
	"net"
	"time"

	pop3 "github.com/knadh/go-pop3"
)

// Conn is a session with a maildrop open. One goroutine uses it at a time; Bind
// and Close may be called from others.
type Conn struct {
	lib  *pop3.Conn
	w    *wire
	caps capabilities
	// marked says that there are messages to be deleted when the session ends.
	marked bool
}

// Bind ties the connection to ctx: when ctx ends, the connection is closed,
// and whatever waits for it returns at once. stop undoes Bind.
func (c *Conn) Bind(ctx context.Context) (stop func()) {
	undo := context.AfterFunc(ctx, func() { c.w.fail(context.Cause(ctx)) })
	return func() { undo() }
}

// Err says why the connection has ended. It is nil while it has not.
func (c *Conn) Err() error { return c.w.err() }

// Close ends the connection at once, without a word to the server. What was
// marked by Delete stays where it is (RFC 1939 section 6).
func (c *Conn) Close() error {
	c.w.fail(net.ErrClosed)
	return nil
}

// explain returns the error that a person or a retry loop wants to see in
// place of one that the library returned for a command.
func (c *Conn) explain(command string, err error) error {
	if err == nil {
		return nil
	}
	where := c.w.opts.Address + ": " + command
	if cause := c.w.err(); cause != nil {
		return fmt.Errorf("%s: %w", where, cause)
	}
	if st := c.w.last; !st.ok {
		if st.busy() && st.code != "" {
			return fmt.Errorf("%s: %w: %s", where, ErrBusy, st)
		}
		return fmt.Errorf("%s: %w: %s", where, ErrRefused, st)
	}
	// The library does not understand what it was shown, and then nobody knows
	// where the next answer begins.
	return fmt.Errorf("%s: %w", where, c.w.failed(broken("%s", clip(err.Error(), mostText))))
}

// list asks for an answer of many lines and hands each of them to row.
func (c *Conn) list(command string, row func(line []byte)) error {
	c.w.row = row
	defer func() { c.w.row = nil }()
	_, err := c.lib.Cmd(command, true)
	return c.explain(command, err)
}

// Noop keeps the connection alive.
func (c *Conn) Noop() error { return c.explain("NOOP", c.lib.Noop()) }

// Delete marks a message to be deleted when Quit is answered (RFC 1939 section
// 5). Until then nothing is, and nothing is if the connection ends before.
func (c *Conn) Delete(number int) error {
	c.marked = true
	command := fmt.Sprint("DELE ", number)
	if err := c.explain(command, c.lib.Dele(number)); err != nil {
		return err
	}
	if n := c.w.br.Buffered(); n > 0 {
		return c.explain(command, c.w.failed(broken("%d octets behind the answer", n)))
	}
	return nil
}

// Reset takes all marks of Delete back.
func (c *Conn) Reset() error { return c.explain("RSET", c.lib.Rset()) }

// Quit ends the session, and only now the server deletes what was marked (RFC
// 1939 section 6). With an error that wraps ErrRefused it says that it did not
// delete all of it; with any other, nobody knows whether it deleted anything.
// The answer may take [Options.Idle] in all. No standard asks for more, and the
// next session shows what became of a maildrop that took longer to be written.
func (c *Conn) Quit(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.w.opts.Idle, fmt.Errorf("%w: no answer to QUIT", ErrTimeout))
	defer cancel()
	defer c.Bind(ctx)()
	_, err := c.lib.Cmd("QUIT", false) // its Quit closes the connection, too
	err = c.explain("QUIT", err)
	if err == nil && c.marked {
		err = c.explain("QUIT", c.last())
	}
	c.Close()
	return err
}

// last makes sure that the answer to QUIT was the last one, since what an
// earlier command was answered twice with looks the same. The server closes the
// connection behind it; one that does not is not waited for long.
func (c *Conn) last() error {
	c.w.patience = min(c.w.opts.Idle, closeTime)
	if _, err := c.w.br.Peek(1); err == nil {
		return c.w.failed(broken("more behind the answer, so that nobody knows which one it was"))
	}
	return nil
}

// closeTime is how long a server may take to close a connection.
const closeTime = 5 * time.Second
