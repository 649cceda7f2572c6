// Package imaptest is an IMAP server that says what a test tells it to say:
// [Start] one with a [Script].
//
// It knows just enough of the protocol to be logged in to; everything worth
// testing, and everything a real server would never admit to, is written by
// the script's handlers, octet by octet.
package imaptest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Script says how a server behaves. The zero Script greets, takes any login,
// has an INBOX of ten messages and answers OK to everything.
type Script struct {
	// Greeting is the first line, without its end. Default: "* OK [CAPABILITY
	// …] ready".
	Greeting string
	// Caps are the capabilities. Default: "IMAP4rev1".
	Caps string
	// TLS is used from the start, or after STARTTLS where StartTLS is set.
	TLS      *tls.Config
	StartTLS bool
	// Handle has a handler for each command that is not to be answered OK, by
	// its name in upper case: "NOOP", "UID FETCH". A handler writes the whole
	// answer.
	Handle map[string]func(c *Conn, cmd Command)
	// Literal is asked at the header of each literal that waits for leave.
	// Unless it returns true, having written "+ …", the command is over.
	// Without it leave is always given.
	Literal func(c *Conn, cmd Command, size int64) bool
}

// Command is a command as the client sent it.
type Command struct {
	Tag  string
	Name string // upper case, with "UID " where that is before it
	Args string // what follows, literals as they stand
}

// Server is a running script.
type Server struct {
	Addr   string
	script Script
	ln     net.Listener
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	got   []Command
	done  bool
}

// Conn is a client's connection, for handlers.
type Conn struct {
	net.Conn
	r *bufio.Reader
	s *Server
}

// Start runs a script on a loopback port until the test ends.
func Start(t testing.TB, script Script) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if script.Caps == "" {
		script.Caps = "IMAP4rev1"
	}
	s := &Server{Addr: ln.Addr().String(), script: script, ln: ln, conns: map[net.Conn]bool{}}
	s.wg.Go(s.accept)
	t.Cleanup(s.Close)
	return s
}

// Pipe runs a script for a single client, without a network, so that it can
// be used in a testing/synctest bubble. It ends with the connection.
func Pipe(script Script) net.Conn {
	client, server := net.Pipe()
	go New(script).Serve(server)
	return client
}

// New makes a server that listens nowhere and serves the connections it is
// given.
func New(script Script) *Server {
	if script.Caps == "" {
		script.Caps = "IMAP4rev1"
	}
	return &Server{script: script}
}

// Close ends the server and all its connections.
func (s *Server) Close() {
	s.mu.Lock()
	s.done = true
	s.ln.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Commands returns all commands so far.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Command(nil), s.got...)
}

func (s *Server) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.done {
			conn.Close()
		}
		s.conns[conn] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			s.Serve(conn)
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

// Serve runs the script on a connection until it ends.
func (s *Server) Serve(conn net.Conn) {
	defer conn.Close()
	c := &Conn{Conn: conn, s: s}
	if s.script.TLS != nil && !s.script.StartTLS {
		c.Conn = tls.Server(conn, s.script.TLS)
	}
	c.r = bufio.NewReader(c.Conn)
	greeting := s.script.Greeting
	if greeting == "" {
		greeting = "* OK [CAPABILITY " + s.script.Caps + "] ready"
	}
	c.Say("%s\r\n", greeting)
	for {
		cmd, ok, err := c.next()
		if err != nil {
			return
		}
		if ok {
			c.handle(cmd)
		}
	}
}

// next reads a command, literals included. ok is false where a literal was
// refused.
func (c *Conn) next() (cmd Command, ok bool, err error) {
	line, err := c.Line()
	if err != nil {
		return cmd, false, err
	}
	tag, rest, _ := strings.Cut(line, " ")
	name, args, _ := strings.Cut(rest, " ")
	name = strings.ToUpper(name)
	if name == "UID" {
		var second string
		second, args, _ = strings.Cut(args, " ")
		name += " " + strings.ToUpper(second)
	}
	cmd = Command{Tag: tag, Name: name, Args: args}
	for {
		size, waits, isLiteral := literal(line)
		if !isLiteral {
			break
		}
		if waits {
			if c.s.script.Literal == nil {
				c.Say("+ go on\r\n")
			} else if !c.s.script.Literal(c, cmd, size) {
				c.s.note(cmd)
				return cmd, false, nil
			}
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return cmd, false, err
		}
		if line, err = c.Line(); err != nil {
			return cmd, false, err
		}
		cmd.Args += "\r\n" + string(b) + line
	}
	c.s.note(cmd)
	return cmd, true, nil
}

func (s *Server) note(cmd Command) {
	s.mu.Lock()
	s.got = append(s.got, cmd)
	s.mu.Unlock()
}

func literal(s string) (size int64, waits, ok bool) {
	open := strings.LastIndexByte(s, '{')
	if open < 0 || !strings.HasSuffix(s, "}") {
		return 0, false, false
	}
	digits, plus := strings.CutSuffix(s[open+1:len(s)-1], "+")
	size, err := strconv.ParseInt(digits, 10, 64)
	return size, !plus, err == nil
}

// handle answers a command.
func (c *Conn) handle(cmd Command) {
	if h := c.s.script.Handle[cmd.Name]; h != nil {
		h(c, cmd)
		return
	}
	switch cmd.Name {
	case "CAPABILITY":
		c.Say("* CAPABILITY %s\r\n", c.s.script.Caps)
	case "STARTTLS":
		if c.s.script.TLS != nil {
			c.OK(cmd)
			c.Over(tls.Server(c.Conn, c.s.script.TLS))
			return
		}
	case "LOGIN":
		c.Say("%s OK [CAPABILITY %s] welcome\r\n", cmd.Tag, c.s.script.Caps)
		return
	case "AUTHENTICATE":
		if !strings.Contains(cmd.Args, " ") {
			c.Say("+ \r\n")
			if _, err := c.Line(); err != nil {
				return
			}
		}
		c.Say("%s OK [CAPABILITY %s] welcome\r\n", cmd.Tag, c.s.script.Caps)
		return
	case "SELECT", "EXAMINE":
		c.Say("* 10 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 11] ok\r\n* FLAGS (\\Seen)\r\n")
		c.Say("%s OK [READ-ONLY] done\r\n", cmd.Tag)
		return
	case "IDLE":
		c.Say("+ idling\r\n")
		if _, err := c.Line(); err != nil {
			return
		}
	case "LOGOUT":
		c.Say("* BYE goodbye\r\n")
		c.OK(cmd)
		c.Close()
		return
	}
	c.OK(cmd)
}

// Over goes on over another connection, which is TLS or compression on top of the
// one there is. What the client has sent by then and nobody has read is forgotten.
func (c *Conn) Over(conn net.Conn) {
	c.Conn = conn
	c.r.Reset(conn)
}

// Close hangs up. What the client has sent by then is not looked at.
func (c *Conn) Close() error {
	c.r.Reset(c.Conn)
	return c.Conn.Close()
}

// Say writes. An error ends the connection soon enough by itself.
func (c *Conn) Say(format string, args ...any) { fmt.Fprintf(c.Conn, format, args...) }

// OK ends a command well.
func (c *Conn) OK(cmd Command) { c.Say("%s OK done\r\n", cmd.Tag) }

// Line reads a line from the client, without its end.
func (c *Conn) Line() (string, error) {
	line, err := c.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// Answer is a handler that writes text, in which "%T" stands for the tag, and
// no more.
func Answer(text string) func(*Conn, Command) {
	return func(c *Conn, cmd Command) {
		io.WriteString(c.Conn, strings.ReplaceAll(text, "%T", cmd.Tag))
	}
}
