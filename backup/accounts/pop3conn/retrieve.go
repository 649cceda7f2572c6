package pop3conn

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Body is a message, or the head of one, that came whole.
type Body struct {
	Number int
	Size   int64 // octets that its sink got
	// Oddity tells what is not certain about it; 0: nothing. DotFirst of a
	// message alone is settled by the size that was told: see Undoubled.
	Oddity Oddity
	// Err wraps ErrRefused where the server did not give the message, and all
	// else is as if it had been empty.
	Err error
}

// pipelined is how many messages are asked for at once where the server offers
// PIPELINING (RFC 2449 section 6.6). The commands fit into any send buffer,
// so that neither side waits for the other to read.
const pipelined = 32

// Undoubled reports whether the message has to have a dot put back before it:
// the server did not double it, and the size it tells proves that.
func (b *Body) Undoubled(listed int64) bool { return b.Oddity&DotFirst != 0 && listed == b.Size+1 }

// A MessageError ends a connection because of one message.
type MessageError struct {
	Number int
	Err    error
}

func (e *MessageError) Error() string { return fmt.Sprintf("message %d: %v", e.Number, e.Err) }
func (e *MessageError) Unwrap() error { return e.Err }

// Retrieve reads messages: for each in turn, sink is asked where its octets go,
// and done is told when it is whole. They are the octets that the server means,
// dots un-stuffed (RFC 1939 section 3) and nothing else changed. With an error
// of Retrieve, or of a sink or done, the connection has ended, and what done
// was not told of did not come. One that is about one message is a
// [MessageError].
func (c *Conn) Retrieve(messages []Listed, sink func(number int) io.Writer, done func(Body) error) error {
	return c.bodies("RETR %d", messages, sink, done)
}

// Heads reads the headers of messages, with the empty line behind them (TOP,
// RFC 1939 section 7). Servers need not have TOP.
func (c *Conn) Heads(messages []Listed, sink func(number int) io.Writer, done func(Body) error) error {
	return c.bodies("TOP %d 0", messages, sink, done)
}

func (c *Conn) bodies(format string, messages []Listed, sink func(number int) io.Writer, done func(Body) error) error {
	window := 1
	if c.caps.has("PIPELINING") && !c.w.opts.OneByOne {
		window = pipelined
	}
	for batch := range slices.Chunk(messages, window) {
		if err := c.batch(format, batch, sink, done); err != nil {
			c.w.fail(err)
			return err
		}
	}
	return nil
}

// batch asks for several messages and then reads them.
func (c *Conn) batch(format string, messages []Listed, sink func(number int) io.Writer, done func(Body) error) error {
	var commands []string
	for _, m := range messages {
		commands = append(commands, fmt.Sprintf(format, m.Number))
	}
	last := messages[len(messages)-1]
	proven := len(messages) > 1 && last.proves()
	if proven {
		commands = append(commands, fmt.Sprint("UIDL ", last.Number))
	}
	// Send ends the last one.
	if err := c.lib.Send(strings.Join(commands, "\r\n")); err != nil {
		return c.explain(commands[0], err)
	}
	for i, m := range messages {
		n := m.Number
		c.w.sink = func(string) io.Writer { return sink(n) }
		c.w.body = Body{}
		err := c.body()
		c.w.sink = nil
		if err = c.explain(commands[i], err); err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrBusy) {
			if errors.Is(err, ErrFalseEnd) {
				err = &MessageError{n, err}
			}
			return err
		}
		b := c.w.body
		b.Number, b.Err = n, err
		if err == nil && b.Size == 0 && m.Size > 0 {
			// The server may have sent a message that begins with a dot alone, and
			// not have doubled it. Then the message is what comes next.
			return c.outOfStep(n, "the server told of %d octets, and sent none or a dot at their beginning", m.Size)
		}
		if b.Oddity&(DotAfterLF|DotLF) != 0 && i+1 < len(messages) {
			// If the server meant its end there, what came behind it are answers.
			return c.outOfStep(n, "a dot with a bare LF before or behind it is in it")
		}
		if len(messages) == 1 {
			if err := c.ended(m, b); err != nil {
				return err
			}
		}
		if err := done(b); err != nil {
			return err
		}
	}
	if proven {
		return c.inStep(last)
	}
	return nil
}

// A message may end for us where it does not for its server: one that does not
// double dots sends more behind a line of one, which would be taken for the next
// answers, and whoever sent the message knows what those look like. Only the
// server knows the unique-id of a message, so its answer to "UIDL n" shows that
// answers and commands are in step.

// proves says whether the unique-id of a message can be told from anything else
// that a server says.
func (m Listed) proves() bool {
	const most = 100
	return m.UIDL != "" && len(m.UIDL) <= most && !strings.ContainsFunc(m.UIDL, func(r rune) bool { return r <= ' ' || r > '~' })
}

// inStep reads the answer to "UIDL n" for the last message that was read.
func (c *Conn) inStep(m Listed) error {
	command := fmt.Sprint("UIDL ", m.Number)
	_, err := c.lib.ReadOne()
	err = c.explain(command, err)
	switch {
	case errors.Is(err, ErrRefused), errors.Is(err, ErrBusy): // it does not know that
	case errors.Is(err, ErrProtocol), err == nil && !strings.Contains(c.w.last.text, m.UIDL):
		return c.outOfStep(m.Number, "the answer to %s is none", command)
	case err != nil:
		return err
	}
	return nil
}

// ended makes sure that nothing of a message that was asked for alone is still to
// come. Of one that is as long as the server told, nothing is, unless the server
// has been out of step before.
func (c *Conn) ended(m Listed, b Body) error {
	if b.Err == nil && (b.Size < m.Size || c.w.opts.OneByOne) && m.proves() && c.w.br.Buffered() == 0 {
		if err := c.lib.Send(fmt.Sprint("UIDL ", m.Number)); err != nil {
			return c.explain("UIDL", err)
		}
		if err := c.inStep(m); err != nil {
			return err
		}
	}
	if c.w.br.Buffered() > 0 {
		return c.outOfStep(m.Number, "the server sent more behind its end")
	}
	return nil
}

// outOfStep ends a connection because of a message.
func (c *Conn) outOfStep(number int, format string, args ...any) error {
	return &MessageError{number, fmt.Errorf("%s: %w: %s", c.w.opts.Address, ErrOutOfStep, fmt.Sprintf(format, args...))}
}

// body reads an answer, whose message goes to the sink.
func (c *Conn) body() error {
	if _, err := c.lib.ReadOne(); err != nil {
		return err
	}
	_, err := c.lib.ReadAll()
	return err
}
