package main

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// A courierLogin is the part of a connection to Courier before the login, said
// as Courier's own login program says it.
type courierLogin struct {
	server *courierServer
	secure bool // TLS is on

	conn net.Conn
	in   *bufio.Reader
}

func (l *courierLogin) use(conn net.Conn) { l.conn, l.in = conn, bufio.NewReader(conn) }

func (l *courierLogin) say(format string, args ...any) { fmt.Fprintf(l.conn, format+"\r\n", args...) }

// capabilities before the login are those after it without what imapd adds.
func (l *courierLogin) capabilities() string {
	if l.secure {
		return courierCapabilities + " ACL ACL2=UNION AUTH=PLAIN"
	}
	return courierCapabilities + " ACL ACL2=UNION AUTH=PLAIN STARTTLS"
}

// run answers until the connection ends.
func (l *courierLogin) run() {
	defer func() { l.conn.Close() }()
	l.say("* OK [CAPABILITY %s] Courier-IMAP ready.", l.capabilities())
	for {
		words, err := l.command()
		if err != nil {
			return
		}
		if len(words) < 2 {
			l.say("* NO Error in IMAP command received by server.")
			continue
		}
		tag, verb, args := words[0], strings.ToUpper(words[1]), words[2:]
		switch {
		case verb == "CAPABILITY":
			l.say("* CAPABILITY %s\r\n%s OK CAPABILITY completed", l.capabilities(), tag)
		case verb == "NOOP":
			l.say("%s OK NOOP completed", tag)
		case verb == "LOGOUT":
			l.say("* BYE Courier-IMAP server shutting down\r\n%s OK LOGOUT completed", tag)
			return
		case verb == "STARTTLS" && !l.secure:
			l.say("%s OK Begin SSL/TLS negotiation now.", tag)
			l.secure = true
			l.use(tls.Server(l.conn, l.server.tls))
		case verb == "LOGIN" && len(args) == 2:
			if l.login(tag, args[0], args[1]) {
				return
			}
		case verb == "AUTHENTICATE" && len(args) == 1 && strings.EqualFold(args[0], "PLAIN"):
			l.say("+ ")
			line, err := l.in.ReadString('\n')
			if err != nil {
				return
			}
			plain, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
			parts := strings.Split(string(plain), "\x00")
			if len(parts) != 3 {
				l.say("%s NO Login failed.", tag)
			} else if l.login(tag, parts[1], parts[2]) {
				return
			}
		default:
			l.say("%s NO Error in IMAP command received by server.", tag)
		}
	}
}

// login hands the connection to Courier's imapd, until it ends, if the password
// is right.
func (l *courierLogin) login(tag, user, password string) (over bool) {
	home, err := l.server.home(user)
	if err != nil || !rightPassword(user, password) {
		l.say("%s NO Login failed.", tag)
		return false
	}
	cmd := l.server.imapd(user, home, tag)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return true
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return true
	}
	if err := cmd.Start(); err != nil {
		l.say("* BYE %v", err)
		return true
	}
	go func() {
		io.Copy(stdin, l.in)
		stdin.Close() // and imapd ends
	}()
	io.Copy(l.conn, stdout)
	l.conn.Close() // and with it the copying above
	io.Copy(io.Discard, stdout)
	cmd.Wait()
	return true
}

// longestWord is the longest word of a command before the login, in octets.
const longestWord = 4096

// command reads a command's words: atoms, quoted strings and literals.
func (l *courierLogin) command() ([]string, error) {
	var words []string
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		for line != "" {
			if line[0] == ' ' {
				line = line[1:]
				continue
			}
			var word string
			if line[0] == '"' {
				word, line = unquote(line[1:])
			} else {
				word, line, _ = strings.Cut(line, " ")
			}
			words = append(words, word)
		}
		if len(words) == 0 {
			return words, nil
		}
		last := words[len(words)-1]
		if !strings.HasPrefix(last, "{") || !strings.HasSuffix(last, "}") {
			return words, nil
		}
		size, err := strconv.ParseUint(strings.Trim(last, "{}"), 10, 16)
		if err != nil || size > longestWord {
			return nil, fmt.Errorf("a literal of %s", last)
		}
		l.say("+ OK")
		text := make([]byte, size)
		if _, err := io.ReadFull(l.in, text); err != nil {
			return nil, err
		}
		words[len(words)-1] = string(text)
	}
}

// unquote takes what stands before the next quote, and what is behind it.
func unquote(line string) (word, rest string) {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '"':
			return b.String(), line[i+1:]
		case line[i] == '\\' && i+1 < len(line):
			i++
			fallthrough
		default:
			b.WriteByte(line[i])
		}
	}
	return b.String(), ""
}
