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
			return &MessageError{n, fmt.Errorf("%w: the server told of %d octets, and sent none or a dot at their beginning", ErrOutOfStep, m.Size)}
		}
		if b.Oddity&(DotAfterLF|DotLF) != 0 && i+1 < len(messages) {
			// If the server meant its end there, what came behind it are answers.
			return &MessageError{n, ErrOutOfStep}
		}
		if err := done(b); err != nil {
			return err
		}
	}
	return nil
}

// body reads an answer, whose message goes to the sink.
func (c *Conn) body() error {
	if _, err := c.lib.ReadOne(); err != nil {
		return err
	}
	_, err := c.lib.ReadAll()
	return err
}
