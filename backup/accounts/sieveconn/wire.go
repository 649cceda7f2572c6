package sieveconn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	mostLines  = 10_000  // in an answer
	mostTokens = 64      // in a line
	mostWord   = 8 << 10 // octets of an atom or a quoted string
	mostWords  = 8 << 20 // octets of an answer's atoms and quoted strings, together
)

var errBye = errors.New("the server closes the connection")

// A token is a word of an answer (RFC 5804 section 4).
type token struct {
	text   string
	quoted bool // a string, quoted or literal
}

// A wire sends commands and reads answers.
type wire struct {
	conn net.Conn
	br   *bufio.Reader
	idle time.Duration
	end  time.Time
	most int // octets of an answer's literals, together
	left int // of them, in this answer
	said int // octets of this answer's atoms and quoted strings
}

func newWire(conn net.Conn, idle time.Duration, end time.Time, most int) *wire {
	w := &wire{conn: conn, idle: idle, end: end, most: most}
	w.br = bufio.NewReader(readerFunc(func(p []byte) (int, error) {
		conn.SetReadDeadline(w.until())
		return conn.Read(p)
	}))
	return w
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// until is when patience ends.
func (w *wire) until() time.Time {
	if t := time.Now().Add(w.idle); t.Before(w.end) {
		return t
	}
	return w.end
}

func plain(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// ask sends a command, its arguments as literals, which may have any octet
// (literal-c2s), and reads the answer.
func (w *wire) ask(verb string, args ...string) ([][]token, error) {
	var b strings.Builder
	b.WriteString(verb)
	for _, a := range args {
		fmt.Fprintf(&b, " {%d+}\r\n%s", len(a), a)
	}
	if err := w.send(b.String() + "\r\n"); err != nil {
		return nil, err
	}
	return w.answer()
}

func (w *wire) send(s string) error {
	w.conn.SetWriteDeadline(w.until())
	_, err := io.WriteString(w.conn, s)
	return plain(err)
}

// authenticate sends a mechanism and its response. A server that asks for more
// gets an empty line, which is how an OAuth 2 error is taken note of (RFC 7628
// section 3.2.3), and has to come to an end then.
func (w *wire) authenticate(mechanism, response string) error {
	if err := w.send(fmt.Sprintf("AUTHENTICATE \"%s\" {%d+}\r\n%s\r\n", mechanism, len(response), response)); err != nil {
		return err
	}
	w.left, w.said = w.most, 0
	l, err := w.line()
	if err == nil && len(l) == 1 && l[0].quoted {
		if err = w.send("\"\"\r\n"); err == nil {
			l, err = w.line()
		}
	}
	if err != nil {
		return err
	}
	if done, err := ending(l); done {
		return err
	}
	return broken("no end of the login")
}

// answer reads lines up to OK, NO or BYE. NO is [ErrRefused].
func (w *wire) answer() ([][]token, error) {
	w.left, w.said = w.most, 0
	var lines [][]token
	for {
		l, err := w.line()
		if err != nil {
			return nil, err
		}
		if done, err := ending(l); done {
			return lines, err
		}
		if lines = append(lines, l); len(lines) > mostLines {
			return nil, broken("an answer of more than %d lines", mostLines)
		}
	}
}

// ending says whether a line ends an answer, and how.
func ending(l []token) (bool, error) {
	if l[0].quoted {
		return false, nil
	}
	switch word := strings.ToUpper(l[0].text); word {
	case "OK":
		return true, nil
	case "NO", "BYE":
		text := ""
		for _, t := range l[1:] {
			text += " " + t.text
		}
		if word == "BYE" {
			return true, fmt.Errorf("%w: %q", errBye, word+text)
		}
		return true, fmt.Errorf("%w: %q", ErrRefused, word+text)
	}
	return false, nil
}

// line reads a line, with the literals in it. It has a token at least.
func (w *wire) line() ([]token, error) {
	var l []token
	for {
		c, err := w.br.ReadByte()
		if err != nil {
			return nil, plain(err)
		}
		var t token
		switch c {
		case ' ':
			continue
		case '\r':
			if c, err = w.br.ReadByte(); err != nil {
				return nil, plain(err)
			}
			if c != '\n' || len(l) == 0 {
				return nil, broken("an empty line, or a CR alone")
			}
			return l, nil
		case '"':
			t, err = w.quoted()
		case '{':
			t, err = w.literal()
		default:
			w.br.UnreadByte()
			t, err = w.atom()
		}
		if err != nil {
			return nil, plain(err)
		}
		if l = append(l, t); len(l) > mostTokens {
			return nil, broken("a line of more than %d words", mostTokens)
		}
		if c != '{' {
			if w.said += len(t.text); w.said > mostWords {
				return nil, broken("an answer of more than %d octets", mostWords)
			}
		}
	}
}

func (w *wire) quoted() (token, error) {
	var b []byte
	for len(b) <= mostWord {
		c, err := w.br.ReadByte()
		if err == nil && c == '"' {
			return token{string(b), true}, nil
		}
		if err == nil && c == '\\' {
			c, err = w.br.ReadByte()
		}
		if err != nil {
			return token{}, err
		}
		b = append(b, c)
	}
	return token{}, broken("a string of more than %d octets", mostWord)
}

// literal reads {n} CRLF and n octets. What it allocates is below the limit,
// whatever the server announces.
func (w *wire) literal() (token, error) {
	t, err := w.atom()
	if err != nil {
		return t, err
	}
	digits, ok := strings.CutSuffix(t.text, "}")
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, "+"), 10, 32)
	if !ok || err != nil {
		return token{}, broken("a literal without a length")
	}
	if n > uint64(w.left) {
		return token{}, broken("a literal of %d octets, and %d are allowed", n, w.left)
	}
	w.left -= int(n)
	b := make([]byte, 2+n)
	if _, err := io.ReadFull(w.br, b); err != nil {
		return token{}, err
	}
	if string(b[:2]) != "\r\n" {
		return token{}, broken("a literal without a line's end before it")
	}
	return token{string(b[2:]), true}, nil
}

// atom reads up to a space or a line's end.
func (w *wire) atom() (token, error) {
	var b []byte
	for len(b) <= mostWord {
		c, err := w.br.ReadByte()
		if err != nil {
			return token{}, err
		}
		switch c {
		case ' ', '\r':
			w.br.UnreadByte()
			return token{text: string(b)}, nil
		case '\n':
			return token{}, broken("an LF alone")
		}
		b = append(b, c)
	}
	return token{}, broken("a word of more than %d octets", mostWord)
}
