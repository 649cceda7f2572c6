// Package smtpconn hands messages to servers by SMTP (RFC 5321) and LMTP (RFC
// 2033) with the octets that they have: [Dial] a server, then [Conn.Deliver]
// one message after another.
//
// It is not github.com/emersion/go-smtp (v0.25.1), which was looked into: its
// client writes DATA through net/textproto's DotWriter, which makes a bare LF
// CRLF, takes it for the beginning of a line and ends what does not end with
// CRLF; it has no BDAT and no BODY=BINARYMIME (RFC 3030), the only way for such
// octets; it drops without a word what stands behind the answer to STARTTLS; and
// it tells nobody whether a lost connection was lost before or after the last
// octet, which is what decides between sending again and not. Its server, which
// has all of this, is who the tests of this package talk to.
package smtpconn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"restante/backup/accounts/peer"
	"strconv"
	"strings"
	"time"
)

// A Conn is a connection that is ready for messages. One goroutine uses it;
// Close, which hangs up, may be called by others.
type Conn struct {
	opts *Options
	net.Conn
	br  *bufio.Reader
	bw  *bufio.Writer
	ext map[string]string // what the server offers, by keyword in upper case

	secrets peer.Secrets // what it was told
}

// Has reports whether the server offers an extension, by its EHLO keyword.
func (c *Conn) Has(keyword string) bool { _, ok := c.ext[keyword]; return ok }

// SizeLimit is the most octets of a message that the server says it takes (RFC
// 1870); 0 if it does not say.
func (c *Conn) SizeLimit() int64 {
	n, err := strconv.ParseInt(c.ext["SIZE"], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Quit says good-bye and hangs up. What was accepted before stays accepted
// whatever the server says to it.
func (c *Conn) Quit() error {
	c.patience(time.Second)
	c.bw.WriteString("QUIT\r\n")
	if c.bw.Flush() == nil {
		c.br.ReadByte() // the beginning of an answer is enough
	}
	return c.Close()
}

func (c *Conn) patience(d time.Duration) { c.SetDeadline(time.Now().Add(d)) }

// command sends a command and reads the answer.
func (c *Conn) command(format string, args ...any) (Reply, error) {
	if err := c.quiet(); err != nil {
		return Reply{}, err
	}
	c.patience(c.opts.Idle)
	fmt.Fprintf(c.bw, format+"\r\n", args...)
	if err := c.bw.Flush(); err != nil {
		return Reply{}, lost(err)
	}
	return c.reply()
}

// quiet finds an answer that nobody has asked for: what came next would be taken
// for an answer to something else, in the worst case for the acceptance of a
// message.
func (c *Conn) quiet() error {
	if n := c.br.Buffered(); n > 0 {
		return fmt.Errorf("%w: an answer where none is due", ErrProtocol)
	}
	return nil
}

// What a server may not exceed: RFC 5321 section 4.5.3.1.5 has 512 octets to a
// line of an answer, and servers are chattier.
const (
	mostLine  = 8 << 10
	mostReply = 64 << 10
)

// reply reads an answer (RFC 5321 section 4.2.1).
func (c *Conn) reply() (r Reply, err error) {
	c.patience(c.opts.Idle)
	for total := 0; ; {
		line, err := c.br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return r, fmt.Errorf("%w: a line of more than %d octets", ErrProtocol, mostLine)
		}
		if err != nil {
			return r, lost(err)
		}
		if total += len(line); total > mostReply {
			return r, fmt.Errorf("%w: an answer of more than %d octets", ErrProtocol, mostReply)
		}
		text := strings.TrimRight(string(line), "\r\n")
		code, err := strconv.Atoi(text[:min(3, len(text))])
		if err != nil || code < 200 || code > 599 || len(text) > 3 && text[3] != ' ' && text[3] != '-' || r.Code != 0 && r.Code != code {
			return r, fmt.Errorf("%w: %q is no answer", ErrProtocol, peer.Text(fmt.Sprintf("%.80s", c.secrets.Hide(text))))
		}
		r.Code = code
		if len(text) > 4 {
			r.lines = append(r.lines, peer.Text(c.secrets.Hide(text[4:])))
		}
		if len(text) < 4 || text[3] == ' ' {
			return r, nil
		}
	}
}

// Bind has the connection end with ctx, until stop is called.
func (c *Conn) Bind(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.Conn.Close() })
}
