package smtpconn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A Body is what a message's octets need of the way (RFC 6152, RFC 3030).
type Body string

const (
	// SevenBit is ASCII without NUL, in lines that end with CRLF, of at most 998
	// octets, the last one ended too.
	SevenBit Body = ""
	// EightBit is the same with octets from 128 on: 8BITMIME.
	EightBit Body = "8BITMIME"
	// Binary is anything: CHUNKING and BINARYMIME.
	Binary Body = "BINARYMIME"
)

// Takes reports whether the server has a way for such a body that changes
// nothing, and the extensions that it would take.
func (c *Conn) Takes(b Body) (ok bool, needed string) {
	switch b {
	case EightBit:
		return c.Has("8BITMIME"), "8BITMIME"
	case Binary:
		return c.Has("CHUNKING") && c.Has("BINARYMIME"), "CHUNKING and BINARYMIME"
	}
	return true, ""
}

// A Message is one to be delivered, with its envelope.
type Message struct {
	From string   // return path; empty: the null one
	To   []string // recipients, at least one
	Size int64    // octets
	Body Body     // one that the server takes
	// Write writes Size octets, once.
	Write func(io.Writer) error
	// Sending is called before the octet is sent with which the server has the
	// whole message. After an error of it nothing is delivered.
	Sending func() error
}

// Deliver hands over a message. The answers are one for each recipient, in
// order. An error says that the connection is of no more use; those recipients
// whose answer has no code have got nothing then, unless the error is
// [ErrUnknown].
func (c *Conn) Deliver(m Message) ([]Reply, error) {
	answers := make([]Reply, len(m.To))
	for _, address := range append([]string{m.From}, m.To...) {
		if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' }) {
			return answers, fmt.Errorf("%q cannot be the address of an envelope", address)
		}
	}
	accepted, err := c.envelope(m, answers)
	if err != nil {
		return answers, err
	}
	if len(accepted) == 0 {
		return answers, c.reset()
	}
	if m.Body != Binary {
		r, err := c.command("DATA")
		if err != nil {
			return answers, err
		}
		if r.Code != 354 {
			if r.OK() {
				return answers, fmt.Errorf("%w: to DATA it says %s", ErrProtocol, r)
			}
			for _, i := range accepted {
				answers[i] = r
			}
			return answers, c.reset()
		}
	}
	sent := false
	s := &sender{c: c, m: &m, sent: &sent}
	if err := s.send(); err != nil {
		if sent {
			err = fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		return answers, err
	}
	return answers, c.final(accepted, answers)
}

// envelope says from whom and to whom, and returns which recipients the server
// takes. Answers are of the others.
func (c *Conn) envelope(m Message, answers []Reply) (accepted []int, err error) {
	mail := "MAIL FROM:<" + m.From + ">"
	if m.Body != SevenBit {
		mail += " BODY=" + string(m.Body)
	}
	if c.Has("SIZE") {
		mail += fmt.Sprintf(" SIZE=%d", m.Size)
	}
	commands := []string{mail}
	for _, to := range m.To {
		commands = append(commands, "RCPT TO:<"+to+">")
	}
	if err := c.quiet(); err != nil {
		return nil, err
	}
	if c.Has("PIPELINING") { // RFC 2920
		c.patience(c.opts.Idle)
		for _, command := range commands {
			c.bw.WriteString(command + "\r\n")
		}
		if err := c.bw.Flush(); err != nil {
			return nil, lost(err)
		}
	}
	var first Reply
	for i, command := range commands {
		var r Reply
		var err error
		switch {
		case c.Has("PIPELINING"):
			r, err = c.reply()
		case i == 0 || first.OK():
			r, err = c.command("%s", command)
		}
		if err != nil {
			return nil, err
		}
		switch {
		case i == 0:
			first = r
		case !first.OK(): // what was said to the others follows from it
			answers[i-1] = first
		case r.OK():
			accepted = append(accepted, i-1)
		default:
			r.Recipient = true
			answers[i-1] = r
		}
	}
	if first.Code/100 == 3 {
		return nil, fmt.Errorf("%w: to MAIL it says %s", ErrProtocol, first)
	}
	return accepted, nil
}

// reset ends a transaction in which nothing was sent.
func (c *Conn) reset() error {
	r, err := c.command("RSET")
	if err == nil && !r.OK() {
		err = refused("to RSET it says", r)
	}
	return err
}

// final reads the answers to a message: one, or by LMTP one for each recipient
// that was taken (RFC 2033 section 4.2).
func (c *Conn) final(accepted []int, answers []Reply) error {
	var r Reply
	for n, i := range accepted {
		if n == 0 || c.opts.LMTP {
			err := c.await()
			if err == nil {
				r, err = c.reply()
			}
			if err != nil {
				return fmt.Errorf("%w: %w", ErrUnknown, err)
			}
			if r.Code/100 == 3 {
				return fmt.Errorf("%w: %w: to a message it says %s", ErrUnknown, ErrProtocol, r)
			}
		}
		answers[i] = r
	}
	return nil
}

// awaitStep is how often it is said that the answer to a message is waited for.
const awaitStep = 30 * time.Second

// await waits for the beginning of the answer to a message.
func (c *Conn) await() error {
	for began := time.Now(); ; {
		c.patience(min(awaitStep, c.opts.Final-time.Since(began)))
		_, err := c.br.Peek(1)
		waited := time.Since(began)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded), waited >= c.opts.Final:
			return lost(err)
		}
		c.opts.Log.Warn("the server has the whole message, and has not answered yet", "waiting for", waited.Round(time.Second), "at most", c.opts.Final)
	}
}

// A sender sends the octets of a message, and keeps the last of them back until
// it has said so. For DATA that is the dot, for BDAT the last octet.
type sender struct {
	c    *Conn
	m    *Message
	sent *bool
	n    int64
	line bool // DATA: within a line
}

func (s *sender) send() error {
	c := s.c
	if err := c.quiet(); err != nil {
		return err
	}
	c.patience(c.opts.Idle)
	if s.m.Body == Binary {
		fmt.Fprintf(c.bw, "BDAT %d LAST\r\n", s.m.Size)
	}
	if s.m.Size == 0 && s.m.Body == Binary {
		if err := s.last(); err != nil {
			return err
		}
	}
	if err := s.m.Write(s); err != nil {
		return err
	}
	if s.n != s.m.Size {
		return fmt.Errorf("the message has %d octets where %d were announced", s.n, s.m.Size)
	}
	if s.m.Body != Binary {
		if err := s.last(); err != nil {
			return err
		}
		c.bw.WriteString(".\r\n")
	}
	c.patience(c.opts.Idle)
	if err := c.bw.Flush(); err != nil {
		return lost(err)
	}
	return nil
}

// last is called before the octet with which the server has it all.
func (s *sender) last() error {
	c := s.c
	c.patience(c.opts.Idle)
	if err := c.bw.Flush(); err != nil {
		return lost(err)
	}
	if err := c.quiet(); err != nil {
		return err
	}
	if s.m.Sending != nil {
		if err := s.m.Sending(); err != nil {
			return err
		}
	}
	*s.sent = true
	return nil
}

// Write sends a piece of the message.
func (s *sender) Write(p []byte) (int, error) {
	s.c.patience(s.c.opts.Idle)
	if s.n += int64(len(p)); s.n > s.m.Size {
		return 0, fmt.Errorf("the message has more than the %d octets that were announced", s.m.Size)
	}
	if s.m.Body != Binary {
		return len(p), s.stuffed(p)
	}
	if s.n == s.m.Size && len(p) > 0 {
		if _, err := s.c.bw.Write(p[:len(p)-1]); err != nil {
			return 0, lost(err)
		}
		if err := s.last(); err != nil {
			return 0, err
		}
		if err := s.c.bw.WriteByte(p[len(p)-1]); err != nil {
			return 0, lost(err)
		}
		return len(p), nil
	}
	if _, err := s.c.bw.Write(p); err != nil {
		return 0, lost(err)
	}
	return len(p), nil
}

// stuffed doubles the dots that lines begin with (RFC 5321 section 4.5.2).
func (s *sender) stuffed(p []byte) error {
	for line := range bytes.Lines(p) {
		if !s.line && line[0] == '.' {
			s.c.bw.WriteByte('.')
		}
		s.line = line[len(line)-1] != '\n'
		if _, err := s.c.bw.Write(line); err != nil {
			return lost(err)
		}
	}
	return nil
}
