package imapconn

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// What the errors of this package say. An error that wraps none of them is
// something else: no such host, connection refused, a NO to one command.
var (
	// ErrLogin: the server refused the user name, the password or the token.
	// Trying again with the same ones gets accounts locked.
	ErrLogin = errors.New("the server refused the login")
	// ErrTLS: no connection that is encrypted and proven to go to the right
	// server. Nothing secret was sent.
	ErrTLS = errors.New("no trustworthy encryption")
	// ErrBusy: the server asks us to come back later: too many connections, a
	// rate limit, a mailbox in use, maintenance.
	ErrBusy = errors.New("the server is busy")
	// ErrTimeout: the server went silent, sent too slowly or did not take what
	// was written to it.
	ErrTimeout = errors.New("the server does not answer in time")
	// ErrProtocol: the server sent what cannot be understood, or more of it
	// than any honest server would.
	ErrProtocol = errors.New("the server breaks the protocol")
	// ErrFile: a temporary file in Options.TempDir cannot be written. It is not
	// the server's fault.
	ErrFile = errors.New("a temporary file cannot be written")
	// ErrKeyword: a flag that cannot be written as an atom, and so cannot be
	// sent in any IMAP command (RFC 9051 section 9). Nothing was sent.
	ErrKeyword = errors.New("not a keyword that IMAP can carry")
)

// errLibrary is the cause of a connection that go-imap closed. Its own error,
// which the command got, says why: it was asked to send what cannot be sent.
var errLibrary = errors.New("go-imap closed the connection")

// broken is an ErrProtocol.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// A condition is what a server said in an OK, NO, BAD, BYE or PREAUTH.
type condition struct {
	status string // upper case
	code   string // upper case, without its arguments
	text   string
}

func (c condition) String() string {
	if c.code == "" {
		return strings.TrimSpace(c.status + " " + c.text)
	}
	return strings.TrimSpace(c.status + " [" + c.code + "] " + c.text)
}

// busyCodes are the response codes that ask for patience: RFC 9051 section
// 7.1 (INUSE, LIMIT, UNAVAILABLE) and what large providers send beside them.
var busyCodes = map[string]bool{
	"INUSE": true, "LIMIT": true, "UNAVAILABLE": true, "THROTTLED": true, "OVERLOADED": true,
}

// busyTexts tell the same where a server gives no code. They are what Gmail,
// Microsoft, Yahoo, Courier, Cyrus and Dovecot are known to say.
var busyTexts = []string{
	"too many", "maximum number of connections", "connection limit", "connections exceeded",
	"try again", "try later", "temporar", "throttl", "rate limit", "bandwidth limit", "overload",
	"maintenance", "server busy", "unavailable", "authenticated but not connected",
}

// busy reports whether the server asks us to come back later.
func (c condition) busy() bool {
	text := strings.ToLower(c.text)
	switch c.code {
	case "", "ALERT":
	case "OVERQUOTA": // Gmail: [OVERQUOTA] Account exceeded command or bandwidth limits.
		return strings.Contains(text, "bandwidth")
	default:
		return busyCodes[c.code]
	}
	for _, t := range busyTexts {
		if strings.Contains(text, t) {
			return true
		}
	}
	return false
}

// explainNo marks a NO that asks for patience as ErrBusy and leaves every
// other error as it is.
func explainNo(err error) error {
	var no *imap.Error
	if !errors.As(err, &no) || no.Type == imap.StatusResponseTypeBad || errors.Is(err, ErrBusy) {
		return err
	}
	if (condition{string(no.Type), strings.ToUpper(string(no.Code)), no.Text}).busy() {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}
