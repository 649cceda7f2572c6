// Package pop3test is a POP3 server that says what a test tells it to say:
// [Start] one for a [Maildrop].
//
// A Maildrop that is filled and nothing else is a server that does as RFC 1939
// says. Everything that a real server would never admit to is a field of it, or
// written octet by octet by a handler.
package pop3test

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

// A Message is one in a maildrop.
type Message struct {
	UIDL   string
	Octets string
	// Wire is what is sent in place of Octets with doubled dots and the end.
	Wire string
	// Size is what LIST says; 0: what there is to send.
	Size int
}

// A Maildrop is the mail of one user, and the server that gives it. Fields are
// set before the first client comes, or in Do: a session that its client has
// left may go on for a moment.
type Maildrop struct {
	Messages []*Message
	// Greeting is the first line, without its end. Default: "+OK ready".
	Greeting string
	// Caps are the lines of CAPA. Default: TOP, UIDL, USER and PIPELINING.
	// "none": the server does not know CAPA.
	Caps string
	// Password is the one to log in with. Empty: any is right.
	Password string
	// TLS is used from the start, or after STLS where STLS is set.
	TLS  *tls.Config
	STLS bool
	// Unknown are commands that the server does not know.
	Unknown string
	// UIDL gives the unique-id of a message, in place of its own; session
	// counts from 1, number too.
	UIDL func(session, number int, m *Message) string
	// Locks says that a second session is refused while one is open. When one
	// has ended is known a moment after its client has hung up.
	Locks bool
	// InUse is how many logins more are refused because of another session.
	InUse int
	// Handle has a handler for each command that is not to be answered as the
	// RFC says. A handler writes the whole answer, or calls Conn.Default.
	Handle map[string]func(c *Conn, command string)

	mu       sync.Mutex // guards all, while the server runs
	sessions int
	open     *Conn // the session that has the maildrop locked
	got      []string
}

// Add puts a message into the maildrop, with a unique-id of its own.
func (d *Maildrop) Add(octets ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range octets {
		d.Messages = append(d.Messages, &Message{UIDL: fmt.Sprintf("uidl-%d-%x", len(d.Messages)+1, len(o)), Octets: o})
	}
}

// Do changes the maildrop between two commands.
func (d *Maildrop) Do(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// Commands returns all commands so far.
func (d *Maildrop) Commands() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.got...)
}

// Sessions is how many logins there have been.
func (d *Maildrop) Sessions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sessions
}

// A Server is a maildrop on a loopback port.
type Server struct {
	Addr string
	*Maildrop
	ln net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]bool
	done  bool
}

// Start gives the maildrop on a loopback port until the test ends.
func Start(t testing.TB, d *Maildrop) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: ln.Addr().String(), Maildrop: d, ln: ln, conns: map[net.Conn]bool{}}
	s.wg.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

// Pipe gives the maildrop to a single client, without a network, so that it
// can be used in a testing/synctest bubble. wrap, if not nil, is put between.
func (d *Maildrop) Pipe(wrap func(net.Conn) net.Conn) net.Conn {
	client, server := net.Pipe()
	if wrap != nil {
		server = wrap(server)
	}
	go d.Serve(server)
	return client
}

func (s *Server) close() {
	s.mu.Lock()
	s.done = true
	s.ln.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
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

// A Conn is a session, for handlers.
type Conn struct {
	net.Conn
	Drop *Maildrop
	// Number counts the sessions that have logged in.
	Number int
	// Messages are those of this session, in the order of their numbers.
	Messages []*Message
	// Deleted says which of them are marked.
	Deleted map[int]bool

	r      *bufio.Reader
	ending bool
}

// Serve talks to a client until the connection ends.
func (d *Maildrop) Serve(conn net.Conn) {
	c := &Conn{Conn: conn, Drop: d, Deleted: map[int]bool{}}
	defer c.leave()
	if d.TLS != nil && !d.STLS {
		c.Conn = tls.Server(conn, d.TLS)
	}
	c.r = bufio.NewReader(c.Conn)
	greeting := d.Greeting
	if greeting == "" {
		greeting = "+OK ready"
	}
	c.Say("%s\r\n", greeting)
	for !c.ending {
		line, err := c.Line()
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(line, " ")
		var handle func(*Conn, string)
		d.Do(func() {
			d.got = append(d.got, line)
			handle = d.Handle[strings.ToUpper(verb)]
		})
		if handle != nil {
			handle(c, line)
		} else {
			c.Default(line)
		}
	}
}

// leave ends the session; what was marked and not deleted stays.
func (c *Conn) leave() {
	c.Conn.Close()
	c.Drop.Do(func() {
		if c.Drop.open == c {
			c.Drop.open = nil
		}
	})
}

// Say writes. An error ends the connection soon enough by itself.
func (c *Conn) Say(format string, args ...any) { fmt.Fprintf(c.Conn, format, args...) }

// Line reads a line from the client, without its end.
func (c *Conn) Line() (string, error) {
	line, err := c.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// Forget throws away what the client has sent and nobody has read yet, as a
// server does that cannot do what it offers (PIPELINING).
func (c *Conn) Forget() { c.r.Discard(c.r.Buffered()) }

// Default answers a command as the RFC says.
func (c *Conn) Default(line string) {
	verb, argument, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	unknown := false
	c.Drop.Do(func() { unknown = strings.Contains(" "+c.Drop.Unknown+" ", " "+verb+" ") })
	if unknown {
		c.Say("-ERR unknown command\r\n")
		return
	}
	switch verb {
	case "CAPA":
		caps := c.Drop.Caps
		switch caps {
		case "none":
			c.Say("-ERR unknown command\r\n")
			return
		case "":
			caps = "TOP\r\nUIDL\r\nUSER\r\nPIPELINING\r\n"
		}
		c.Say("+OK\r\n%s.\r\n", caps)
	case "STLS":
		c.Say("+OK\r\n")
		c.Conn = tls.Server(c.Conn, c.Drop.TLS)
		c.r.Reset(c.Conn)
	case "USER":
		c.Say("+OK\r\n")
	case "PASS":
		c.Login(argument)
	case "APOP":
		c.Login(c.Drop.Password)
	case "AUTH":
		c.Say("+ \r\n")
		if _, err := c.Line(); err == nil {
			c.Login(c.Drop.Password)
		}
	case "QUIT":
		c.Quit()
		c.Say("+OK\r\n")
		c.ending = true
	default:
		c.transaction(verb, argument)
	}
}

// Login opens the maildrop, which is locked then (RFC 1939 section 4).
func (c *Conn) Login(password string) {
	answer := "+OK"
	c.Drop.Do(func() {
		d := c.Drop
		switch {
		case d.Password != "" && password != d.Password:
			answer = "-ERR [AUTH] wrong"
			return
		case d.InUse > 0:
			d.InUse--
			answer = "-ERR [IN-USE] locked by another session"
			return
		case d.Locks && d.open != nil && d.open != c:
			answer = "-ERR [IN-USE] locked by another session"
			return
		}
		d.sessions++
		d.open = c
		c.Number = d.sessions
		c.Messages = append([]*Message(nil), d.Messages...)
	})
	c.Say("%s\r\n", answer)
}

// Quit deletes what is marked, and says nothing.
func (c *Conn) Quit() {
	c.Drop.Do(func() {
		for n := range c.Deleted {
			for i, m := range c.Drop.Messages {
				if m == c.Messages[n-1] {
					c.Drop.Messages = append(c.Drop.Messages[:i:i], c.Drop.Messages[i+1:]...)
					break
				}
			}
		}
		if c.Drop.open == c {
			c.Drop.open = nil
		}
	})
}

// transaction answers commands that are for a maildrop that is open.
func (c *Conn) transaction(verb, argument string) {
	number, rest, _ := strings.Cut(argument, " ")
	n, _ := strconv.Atoi(number)
	there := n >= 1 && n <= len(c.Messages) && !c.Deleted[n]
	switch verb {
	case "NOOP":
		c.Say("+OK\r\n")
	case "RSET":
		c.Deleted = map[int]bool{}
		c.Say("+OK\r\n")
	case "STAT":
		count, size := 0, 0
		c.each(func(_ int, m *Message) { count++; size += m.size() })
		c.Say("+OK %d %d\r\n", count, size)
	case "LIST":
		var b strings.Builder
		c.each(func(n int, m *Message) { fmt.Fprintf(&b, "%d %d\r\n", n, m.size()) })
		c.Say("+OK\r\n%s.\r\n", b.String())
	case "UIDL":
		if there {
			c.Say("+OK %d %s\r\n", n, c.uidl(n))
			return
		}
		var b strings.Builder
		c.each(func(n int, _ *Message) {
			fmt.Fprintf(&b, "%d %s\r\n", n, c.uidl(n))
		})
		c.Say("+OK\r\n%s.\r\n", b.String())
	case "RETR", "TOP", "DELE":
		switch {
		case !there:
			c.Say("-ERR no such message\r\n")
		case verb == "DELE":
			c.Deleted[n] = true
			c.Say("+OK\r\n")
		case verb == "RETR":
			io.WriteString(c.Conn, "+OK\r\n"+c.Messages[n-1].wire())
		default:
			lines, _ := strconv.Atoi(rest)
			io.WriteString(c.Conn, "+OK\r\n"+Stuff(c.Messages[n-1].top(lines)))
		}
	default:
		c.Say("-ERR unknown command\r\n")
	}
}

func (c *Conn) uidl(n int) string {
	m := c.Messages[n-1]
	if c.Drop.UIDL != nil {
		return c.Drop.UIDL(c.Number, n, m)
	}
	return m.UIDL
}

func (c *Conn) each(f func(n int, m *Message)) {
	for i, m := range c.Messages {
		if !c.Deleted[i+1] {
			f(i+1, m)
		}
	}
}

func (m *Message) size() int {
	if m.Size != 0 {
		return m.Size
	}
	return len(m.Octets)
}

func (m *Message) wire() string {
	if m.Wire != "" {
		return m.Wire
	}
	return Stuff(m.Octets)
}

// top is the header and the first lines of the body.
func (m *Message) top(lines int) string {
	head, body, ok := strings.Cut(m.Octets, "\r\n\r\n")
	if !ok {
		return m.Octets
	}
	head += "\r\n\r\n"
	for ; lines > 0 && body != ""; lines-- {
		line, rest, _ := strings.Cut(body, "\r\n")
		head, body = head+line+"\r\n", rest
	}
	return head
}

// Stuff is how a message goes over the wire (RFC 1939 section 3): dots at the
// beginnings of lines doubled, and the end behind it. Only CRLF ends a line; a
// message without one at its end gets one.
func Stuff(octets string) string {
	if strings.HasPrefix(octets, ".") {
		octets = "." + octets
	}
	octets = strings.ReplaceAll(octets, "\r\n.", "\r\n..")
	if octets != "" && !strings.HasSuffix(octets, "\r\n") {
		octets += "\r\n"
	}
	return octets + ".\r\n"
}
