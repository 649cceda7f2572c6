// Package rawimap reads and fills mailboxes over a plain IMAP connection:
// [Dial], then [Conn.Do] for any command, or [Conn.Dump] for all there is.
// [Difference] compares two of them.
//
// It exists to check Restante from outside, so it shares no code with it and
// is written for servers that are known to be well.
package rawimap

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	maxLiteral  = 1 << 30 // octets
	commandTime = 2 * time.Minute
)

// A Conn is one IMAP connection. It is for one goroutine.
type Conn struct {
	Greeting string // without its line end
	conn     net.Conn
	r        *bufio.Reader
	tag      int
	waits    bool // for leave to send each literal: the server has no LITERAL+
}

// Dial connects in clear text to a host:port.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return greeted(conn, addr)
}

// DialTLS connects with TLS from the first octet.
func DialTLS(ctx context.Context, addr string, config *tls.Config) (*Conn, error) {
	d := tls.Dialer{Config: config}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return greeted(conn, addr)
}

func greeted(conn net.Conn, addr string) (_ *Conn, err error) {
	c := &Conn{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	conn.SetDeadline(time.Now().Add(commandTime))
	if c.Greeting, err = c.response(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("reading the greeting of %s: %w", addr, err)
	}
	return c, nil
}

// Close drops the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Refused is the error of a command that the server answered with NO or BAD.
type Refused struct{ Command, Answer string }

func (r *Refused) Error() string { return r.Command + ": " + r.Answer }

// Do sends a command and returns the answer: the untagged responses and, last,
// the tagged one without its tag. A response is without its line end and has
// its literals in it as they were sent, {n} CRLF and n octets. Literals in the
// command must be of the kind {n+}, that waits for no answer (RFC 7888); where
// the server does not know it, the other kind is sent. An error is a [*Refused]
// if the server said no, and comes with the responses.
func (c *Conn) Do(command string) ([]string, error) {
	c.tag++
	tag := "t" + strconv.Itoa(c.tag)
	c.conn.SetDeadline(time.Now().Add(commandTime))
	// Written aside, since a server may answer before it has read all.
	written, leave, over := make(chan error, 1), make(chan struct{}, 1), make(chan struct{})
	go func() { written <- c.send(tag+" "+command+"\r\n", leave, over) }()
	var answer []string
	for {
		resp, err := c.response()
		if err != nil {
			c.conn.Close()
			close(over)
			return answer, fmt.Errorf("%s: reading the answer: %w", brief(command), errors.Join(err, <-written))
		}
		if c.waits && strings.HasPrefix(resp, "+") {
			leave <- struct{}{}
			continue
		}
		rest, tagged := strings.CutPrefix(resp, tag+" ")
		answer = append(answer, rest)
		if !tagged {
			continue
		}
		close(over)
		if err := <-written; err != nil {
			return answer, fmt.Errorf("sending %s: %w", brief(command), err)
		}
		if status, _, _ := strings.Cut(rest, " "); !strings.EqualFold(status, "OK") {
			return answer, &Refused{brief(command), rest}
		}
		return answer, nil
	}
}

// send sends a command. Where that is needed it waits for leave before each
// literal, or until all is over.
func (c *Conn) send(command string, leave, over <-chan struct{}) error {
	for c.waits {
		head, rest, found := strings.Cut(command, "+}\r\n")
		if !found {
			break
		}
		n, ok := literalAt([]byte(head + "}"))
		if !ok {
			return fmt.Errorf("no literal, and no text either: %s", brief(command))
		}
		if _, err := io.WriteString(c.conn, head+"}\r\n"); err != nil {
			return err
		}
		select {
		case <-leave:
		case <-over:
			return nil // the answer tells why
		}
		if _, err := io.WriteString(c.conn, rest[:n]); err != nil {
			return err
		}
		command = rest[n:]
	}
	_, err := io.WriteString(c.conn, command)
	return err
}

// Login logs in with a password.
func (c *Conn) Login(user, password string) error {
	if _, err := c.Do("LOGIN " + Quote(user) + " " + Quote(password)); err != nil {
		return err
	}
	answer, err := c.Do("CAPABILITY")
	if err != nil {
		return err
	}
	c.waits = !strings.Contains(answer[0], " LITERAL+")
	return nil
}

// Append adds a message. A zero date leaves the internal date to the server.
func (c *Conn) Append(folder string, flags []string, date time.Time, message []byte) error {
	return c.AppendAll(folder, []Outgoing{{flags, date, message}})
}

// Outgoing is a message to be added.
type Outgoing struct {
	Flags  []string
	Date   time.Time // internal date; zero: the server's choice
	Octets []byte
}

// AppendAll adds several messages, or, if the server refuses one, none. More
// than one take a server with MULTIAPPEND (RFC 3502).
func (c *Conn) AppendAll(folder string, list []Outgoing) error {
	var args strings.Builder
	args.WriteString("APPEND " + Quote(folder))
	for _, m := range list {
		fmt.Fprintf(&args, " (%s) ", strings.Join(m.Flags, " "))
		if !m.Date.IsZero() {
			fmt.Fprintf(&args, "\"%s\" ", m.Date.Format(DateFormat))
		}
		fmt.Fprintf(&args, "{%d+}\r\n%s", len(m.Octets), m.Octets)
	}
	_, err := c.Do(args.String())
	return err
}

// DateFormat is how IMAP writes an internal date (RFC 9051 section 9,
// date-time).
const DateFormat = "_2-Jan-2006 15:04:05 -0700"

// Quote writes a string for a command, as a literal where it cannot be quoted.
func Quote(s string) string {
	for _, b := range []byte(s) {
		if b < 0x20 || b > 0x7e {
			return fmt.Sprintf("{%d+}\r\n%s", len(s), s)
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// response reads one response, with the literals in it.
func (c *Conn) response() (string, error) {
	var resp bytes.Buffer
	for {
		start := resp.Len() // what was before may end like a literal's announcement
		line, err := c.r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			resp.Write(line)
			line, err = c.r.ReadSlice('\n')
		}
		resp.Write(line)
		if err != nil {
			return "", noEOF(err)
		}
		text, ok := bytes.CutSuffix(resp.Bytes()[start:], []byte("\r\n"))
		if !ok {
			return "", fmt.Errorf("a line that does not end with CRLF: %q", brief(resp.String()))
		}
		n, ok := literalAt(text)
		if !ok {
			return strings.TrimSuffix(resp.String(), "\r\n"), nil
		}
		if n > maxLiteral {
			return "", fmt.Errorf("a literal of %d octets", n)
		}
		if _, err := io.CopyN(&resp, c.r, n); err != nil {
			return "", noEOF(err)
		}
	}
}

// literalAt returns the n of a text that ends with {n}.
func literalAt(text []byte) (n int64, ok bool) {
	if !bytes.HasSuffix(text, []byte("}")) {
		return 0, false
	}
	open := bytes.LastIndexByte(text, '{')
	n, err := strconv.ParseInt(string(text[open+1:len(text)-1]), 10, 63)
	return n, open >= 0 && err == nil && n >= 0
}

// noEOF makes the end of the connection an error wherever it comes.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// brief is the beginning of a command, for errors.
func brief(s string) string {
	s, _, cut := strings.Cut(s, "\r\n")
	if cut || len(s) > 200 {
		return s[:min(len(s), 200)] + "…"
	}
	return s
}
