// Package smtptest is a server of LMTP and SMTP that says what a test tells it to
// say: [Start] a [Server]. One that is left as it is does as RFC 5321, RFC 2033
// and RFC 3030 say, and keeps the octets that it gets.
package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A Delivered message is one that was accepted for a recipient.
type Delivered struct {
	From, To string
	Mail     string // the MAIL command
	Octets   string
}

// A Server takes mail. Fields are set before the first client comes.
type Server struct {
	LMTP     bool
	Greeting string   // default: "220 ready"
	Offers   []string // extensions; default: PIPELINING, 8BITMIME, SIZE, CHUNKING, BINARYMIME
	// TLS is used from the start, or after STARTTLS where STARTTLS is set.
	TLS      *tls.Config
	STARTTLS bool
	// User and Password are asked for where there is a user.
	User, Password string
	// Handle has a handler for each command, by its verb in upper case, that is
	// not to be answered as the RFC says. It returns the whole answer, without the
	// last line end; "hang up" ends the connection, and "" answers as the RFC says.
	Handle map[string]func(s *Session, command string) string
	// Final is the same for the answer to a message, for each recipient by LMTP.
	// It is "kept and hang up" for a server that delivers and never says so.
	Final func(s *Session, recipient, octets string) string

	sitting sync.WaitGroup // sessions

	mu   sync.Mutex // guards what follows
	got  []Delivered
	said []string
}

// A Session is one connection.
type Session struct {
	Number int // from 1 on
	server *Server
	conn   net.Conn
	r      *bufio.Reader
	secure bool
	mail   string
	to     []string
	chunks bytes.Buffer
}

// Start starts the server, which ends with the test, and returns its address.
func Start(t testing.TB, s *Server) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for number := 1; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.sitting.Go(func() {
				defer conn.Close()
				session := &Session{Number: number, server: s, conn: conn, r: bufio.NewReader(conn)}
				if s.TLS != nil && !s.STARTTLS {
					session.encrypt()
				}
				session.serve()
			})
		}
	}()
	return listener.Addr().String()
}

// Got are the messages that were accepted, by recipient.
func (s *Server) Got() []Delivered {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// Settle waits until no session is left of clients that are gone.
func (s *Server) Settle() { s.sitting.Wait() }

// Said are the commands that came.
func (s *Server) Said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.said)
}

func (s *Session) encrypt() {
	s.conn = tls.Server(s.conn, s.server.TLS)
	s.r, s.secure = bufio.NewReader(s.conn), true
}

func (s *Session) say(answer string) { io.WriteString(s.conn, answer+"\r\n") }

func (s *Session) serve() {
	greeting := s.server.Greeting
	if greeting == "" {
		greeting = "220 ready"
	}
	s.say(greeting)
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		command := strings.TrimRight(line, "\r\n")
		s.server.mu.Lock()
		s.server.said = append(s.server.said, command)
		s.server.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(command), " ")
		answer := ""
		if h := s.server.Handle[verb]; h != nil {
			answer = h(s, command)
		}
		if answer == "" {
			answer = s.answer(verb, command)
		}
		if answer == "hang up" {
			return
		}
		if answer != "-" {
			s.say(answer)
		}
		if verb == "STARTTLS" && strings.HasPrefix(answer, "220") {
			s.encrypt()
		}
		if verb == "QUIT" {
			return
		}
	}
}

// answer is what the RFCs say; "-" if it was said already.
func (s *Session) answer(verb, command string) string {
	server := s.server
	switch verb {
	case "EHLO", "LHLO", "HELO":
		if (verb == "LHLO") != server.LMTP {
			return "500 not spoken here"
		}
		offers := server.Offers
		if offers == nil {
			offers = []string{"PIPELINING", "8BITMIME", "SIZE 0", "CHUNKING", "BINARYMIME"}
		}
		if server.STARTTLS && !s.secure {
			offers = append(slices.Clone(offers), "STARTTLS")
		}
		if server.User != "" {
			offers = append(slices.Clone(offers), "AUTH PLAIN")
		}
		answer := "250-smtptest"
		for _, o := range offers {
			answer += "\r\n250-" + o
		}
		i := strings.LastIndex(answer, "250-")
		return answer[:i] + "250 " + answer[i+4:]
	case "STARTTLS":
		return "220 go ahead"
	case "AUTH":
		want := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+server.User+"\x00"+server.Password))
		if command != want {
			return "535 5.7.8 no"
		}
		return "235 welcome"
	case "MAIL":
		s.mail, s.to = command, nil
		return "250 2.1.0 from whom"
	case "RCPT":
		if s.mail == "" {
			return "503 MAIL first"
		}
		s.to = append(s.to, between(command))
		return "250 2.1.5 to whom"
	case "RSET":
		s.reset()
		return "250 forgotten"
	case "DATA":
		if len(s.to) == 0 {
			return "503 no recipient"
		}
		s.say("354 go on")
		octets, err := s.dotted()
		if err != nil {
			return "hang up"
		}
		return s.deliver(octets)
	case "BDAT":
		fields := strings.Fields(command)
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return "501 how many?"
		}
		if _, err := io.CopyN(&s.chunks, s.r, n); err != nil {
			return "hang up"
		}
		if len(s.to) == 0 {
			return "503 no recipient"
		}
		if len(fields) < 3 {
			return "250 more"
		}
		return s.deliver(s.chunks.String())
	case "QUIT":
		return "221 bye"
	}
	return "502 what?"
}

func (s *Session) reset() {
	s.mail, s.to = "", nil
	s.chunks.Reset()
}

// dotted reads to CRLF, a dot and CRLF, exactly.
func (s *Session) dotted() (string, error) {
	var b []byte
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return "", err
		}
		b = append(b, c)
		if string(b) == ".\r\n" || bytes.HasSuffix(b, []byte("\r\n.\r\n")) {
			text := "\r\n" + string(b[:len(b)-3])
			return strings.ReplaceAll(text, "\r\n.", "\r\n")[2:], nil
		}
	}
}

// deliver answers to a message, once or for each recipient.
func (s *Session) deliver(octets string) string {
	answers := []string{}
	from := between(s.mail)
	for i, to := range s.to {
		answer := "250 2.0.0 accepted"
		if s.server.Final != nil && (i == 0 || s.server.LMTP) {
			if a := s.server.Final(s, to, octets); a != "" {
				answer = a
			}
		} else if i > 0 && !s.server.LMTP {
			answer = answers[0]
		}
		if strings.HasPrefix(answer, "2") || strings.HasPrefix(answer, "kept") {
			s.server.mu.Lock()
			s.server.got = append(s.server.got, Delivered{from, to, s.mail, octets})
			s.server.mu.Unlock()
		}
		if strings.HasSuffix(answer, "hang up") {
			if len(answers) > 0 {
				s.say(strings.Join(answers, "\r\n"))
			}
			return "hang up"
		}
		if answers = append(answers, answer); !s.server.LMTP {
			answers = answers[:1]
		}
	}
	s.reset()
	return strings.Join(answers, "\r\n")
}

// between is the address of a command.
func between(command string) string {
	_, rest, _ := strings.Cut(command, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}
