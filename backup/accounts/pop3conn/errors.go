package pop3conn

import (
	"errors"
	"fmt"
	"restante/backup/accounts/peer"
	"strings"
	"unicode/utf8"
)

// What the errors of this package say. An error that wraps none of them is
// something else: no such host, connection refused, a connection lost.
var (
	// ErrLogin: the server refused the user name, the password or the token.
	// Trying again with the same ones gets accounts locked.
	ErrLogin = errors.New("the server refused the login")
	// ErrTLS: no connection that is encrypted and proven to go to the right
	// server. Nothing secret was sent.
	ErrTLS = errors.New("no trustworthy encryption")
	// ErrBusy: the server asks us to come back later: another session has the
	// maildrop, a login came too soon, maintenance.
	ErrBusy = errors.New("the server is busy")
	// ErrTimeout: the server went silent, sent too slowly or did not take what
	// was written to it.
	ErrTimeout = errors.New("the server does not answer in time")
	// ErrProtocol: the server sent what cannot be understood, or more of it
	// than any honest server would.
	ErrProtocol = errors.New("the server breaks the protocol")
	// ErrFalseEnd: the server went silent behind what it may take for the end of
	// a message. RFC 1939 section 3 ends one with CRLF, a dot and CRLF, and
	// nothing else does: in a message, anything else is part of it.
	ErrFalseEnd = errors.New("the server does not end the message as POP3 does")
	// ErrOutOfStep: a message may have ended elsewhere, and what comes next may
	// be more of it. With Options.OneByOne fewer messages can be meant.
	ErrOutOfStep = errors.New("it is not certain where the message ends and the next answer begins")
	// ErrRefused: the server said -ERR to one command; the connection is well.
	ErrRefused = errors.New("the server refused")
)

// broken is an ErrProtocol.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// A status is the first line of an answer (RFC 1939 section 3).
type status struct {
	ok   bool
	code string // upper case: the response code of RFC 2449 section 8, without brackets
	text string
}

func (s status) String() string {
	word := "-ERR"
	if s.ok {
		word = "+OK"
	}
	if s.code != "" {
		word += " [" + s.code + "]"
	}
	return strings.TrimSpace(word + " " + s.text)
}

// parseStatus reads a status line without its end. A line that is none, an
// empty one among them, is an error: the library takes it for success. Secrets
// do not get into the status, nor into the error.
func parseStatus(line string, secrets *peer.Secrets) (status, error) {
	word, rest, _ := strings.Cut(line, " ")
	var s status
	switch strings.ToUpper(word) {
	case "+OK":
		s.ok = true
	case "-ERR":
	default:
		return s, broken("%q in place of +OK or -ERR", clip(secrets.Hide(line), 80))
	}
	rest = strings.TrimLeft(secrets.Hide(rest), " ")
	if code, after, ok := strings.Cut(rest, "]"); ok && strings.HasPrefix(code, "[") && !s.ok {
		s.code, rest = clip(peer.Text(strings.ToUpper(code[1:])), mostCode), after
	}
	s.text = clip(peer.Text(rest), mostText)
	return s, nil
}

// How much of a status line is kept: more than any server says that wants to be
// understood.
const (
	mostCode = 64
	mostText = 500
)

// busyCodes ask for patience: RFC 2449 section 8.1 and RFC 3206 section 4.
var busyCodes = map[string]bool{"IN-USE": true, "LOGIN-DELAY": true, "SYS/TEMP": true}

// busyTexts tell the same where a server gives no code, as most did before RFC
// 2449 and some do today.
var busyTexts = []string{
	"in use", "lock", "another pop", "already", "busy", "try again", "try later", "temporar", "too many", "too often", "too frequent",
	"throttl", "overload", "maintenance", "unavailable",
}

// busy reports whether the server asks us to come back later.
func (s status) busy() bool {
	if s.ok || s.code != "" {
		return busyCodes[s.code]
	}
	text := strings.ToLower(s.text)
	for _, t := range busyTexts {
		// "account locked" is no lock that goes away.
		if strings.Contains(text, t) && !strings.Contains(text, "account locked") {
			return true
		}
	}
	return false
}

// clip is the beginning of a text, for an error.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
