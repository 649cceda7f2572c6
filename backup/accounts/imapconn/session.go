package imapconn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"restante/backup/accounts/peer"
	"strconv"
	"strings"
)

// session is the connection before go-imap sees it: one command at a time,
// from the greeting to the login. The deadline of the whole is set on conn.
type session struct {
	opts   *Options
	sock   *countingConn // TCP
	conn   net.Conn      // sock, or TLS over it
	in     *input
	tags   int
	alerts int // that were logged

	caps    capSet // nil: not known
	preauth bool
	id      map[string]string
	secrets peer.Secrets // see keepSecret
}

// write sends octets as they are.
func (s *session) write(b []byte) error {
	if _, err := s.conn.Write(b); err != nil {
		return s.failed(err)
	}
	return nil
}

// line reads a line.
func (s *session) line() ([]byte, error) {
	b, err := s.in.line()
	if err != nil {
		return nil, s.failed(err)
	}
	return b, nil
}

// failed says what an error of the connection means.
func (s *session) failed(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: no login within %v", ErrTimeout, s.opts.LoginTimeout)
	}
	return err
}

// greet reads the greeting (RFC 9051 section 7.1).
func (s *session) greet() error {
	for range 100 { // some servers begin with blank lines
		line, err := s.line()
		if err != nil {
			return err
		}
		rest, ok := bytes.CutPrefix(line, []byte("* "))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		c, args := parseCondition(rest)
		switch {
		case ok && c.status == "BYE":
			return s.refusal("connect", c)
		case ok && (c.status == "OK" || c.status == "PREAUTH"):
			s.preauth = c.status == "PREAUTH"
			if c.code == "CAPABILITY" {
				s.caps = capsOf(args)
			}
			return nil
		}
		return peer.WithHint(broken("its greeting is %q", clip(line)), "this does not look like an IMAP server; is the port right?")
	}
	return broken("no greeting in 100 lines")
}

// command sends a command without literals and returns the server's answer.
func (s *session) command(text string, untagged func(scan *scan, word string) error) (condition, error) {
	s.tags++
	tag := "L" + strconv.Itoa(s.tags)
	if err := s.write([]byte(tag + " " + text + "\r\n")); err != nil {
		return condition{}, err
	}
	return s.answer(tag, untagged, nil)
}

// answer reads up to the tagged answer. goOn deals with a "+"; without it, a
// "+" is an error.
func (s *session) answer(tag string, untagged func(*scan, string) error, goOn func(text []byte) error) (condition, error) {
	for {
		line, err := s.line()
		if err != nil {
			return condition{}, err
		}
		if text, ok := bytes.CutPrefix(line, []byte("+")); ok {
			if goOn == nil {
				return condition{}, broken("a %q nobody waits for", "+")
			}
			if err := goOn(bytes.TrimSpace(text)); err != nil {
				return condition{}, err
			}
			continue
		}
		if rest, ok := bytes.CutPrefix(line, []byte(tag+" ")); ok {
			c, args := parseCondition(rest)
			if c.code == "CAPABILITY" {
				s.caps = capsOf(args)
			}
			switch c.status {
			case "OK", "NO", "BAD":
				return c, nil
			}
			return c, broken("%q in place of OK, NO or BAD", clip(rest))
		}
		rest, ok := bytes.CutPrefix(line, []byte("* "))
		if !ok {
			continue
		}
		sc := &scan{in: s.in, b: rest}
		word := strings.ToUpper(string(sc.word()))
		switch word {
		case "BYE":
			c, _ := parseCondition(rest)
			return c, s.refusal("log in", c)
		case "CAPABILITY":
			s.caps = capsOf(sc.b[sc.i:])
		case "OK", "NO", "BAD":
			c, args := parseCondition(rest)
			if c.code == "CAPABILITY" {
				s.caps = capsOf(args)
			}
			if c.code == "ALERT" && s.alerts < 10 {
				s.alerts++
				s.opts.Log.Warn("the mail server says", "text", short(s.secrets.Hide(c.text), 1000))
			}
		default:
			if untagged != nil {
				if err := untagged(sc, word); err != nil {
					return condition{}, err
				}
			}
			if err := sc.rest(); err != nil {
				return condition{}, s.failed(err)
			}
		}
	}
}

// refusal is the error for a NO, BAD or BYE.
func (s *session) refusal(doing string, c condition) error {
	c.text = short(s.secrets.Hide(c.text), 1000)
	if c.busy() {
		return fmt.Errorf("%s: %w: %s", doing, ErrBusy, c)
	}
	return fmt.Errorf("%s: the server said %s", doing, c)
}

// capabilities asks for them where the server has not told.
func (s *session) capabilities() error {
	if s.caps != nil {
		return nil
	}
	c, err := s.command("CAPABILITY", nil)
	if err != nil {
		return err
	}
	if c.status != "OK" {
		return s.refusal("ask for the server's capabilities", c)
	}
	if s.caps == nil {
		s.caps = capSet{}
	}
	return nil
}

// identify exchanges names with the server (RFC 2971). Nothing depends on it,
// so a refusal does not matter.
func (s *session) identify() error {
	if s.opts.ClientName == "" || !s.caps.has("ID") {
		return nil
	}
	text := append([]byte(`ID ("name" `), quote(nil, oneLine([]byte(s.opts.ClientName)))...)
	if s.opts.ClientVersion != "" {
		text = append(append(text, ` "version" `...), quote(nil, oneLine([]byte(s.opts.ClientVersion)))...)
	}
	_, err := s.command(string(text)+")", func(sc *scan, word string) error {
		if word == "ID" {
			s.id = s.readID(sc)
		}
		return nil
	})
	return err
}

// readID reads as much of a server's ID as is well formed.
func (s *session) readID(sc *scan) map[string]string {
	id := map[string]string{}
	if sc.spaces(); !sc.special('(') {
		return id
	}
	for len(id) < 30 { // RFC 2971 section 3.3
		sc.spaces()
		if sc.end() || sc.peek() == ')' {
			break
		}
		key, _, err := sc.text()
		if err != nil || len(key) == 0 {
			break
		}
		name := strings.ToLower(s.secrets.Hide(peer.Text(string(key))))
		sc.spaces()
		value, plain, err := sc.text()
		if err != nil {
			break
		}
		if !plain {
			id[name] = s.secrets.Hide(peer.Text(string(value)))
		}
	}
	return id
}

// compress turns on COMPRESS=DEFLATE (RFC 4978) and reports whether it is on.
func (s *session) compress() (bool, error) {
	if !s.opts.Compress || !s.caps.has("COMPRESS=DEFLATE") {
		return false, nil
	}
	c, err := s.command("COMPRESS DEFLATE", nil)
	return c.status == "OK", err
}
