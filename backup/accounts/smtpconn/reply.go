package smtpconn

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// What the errors of this package say. An error that wraps none of them is
// something else: no such host, connection refused, a connection lost.
var (
	// ErrLogin: the server refused the user name or the password.
	ErrLogin = errors.New("the server refused the login")
	// ErrTLS: no connection that is encrypted and proven to go to the right
	// server. Nothing secret was sent.
	ErrTLS = errors.New("no trustworthy encryption")
	// ErrBusy: the server asks us to come back later.
	ErrBusy = errors.New("the server is busy")
	// ErrTimeout: the server went silent, or did not take what was written.
	ErrTimeout = errors.New("the server does not answer in time")
	// ErrProtocol: the server sent what cannot be understood.
	ErrProtocol = errors.New("the server breaks the protocol")
	// ErrUnknown: the whole message was sent, and no answer came. It may have
	// been delivered (RFC 5321 section 4.5.4.1 would have it sent again).
	ErrUnknown = errors.New("the whole message was sent and no answer came")
)

// A Reply is what the server answered.
type Reply struct {
	Code int // 0: nothing was answered
	// Recipient says that it was about a recipient's address, before anything of
	// the message was sent.
	Recipient bool
	lines     []string
}

// OK: it was done.
func (r Reply) OK() bool { return r.Code/100 == 2 }

// Temporary: it was not done, and may be another time.
func (r Reply) Temporary() bool { return r.Code/100 == 4 }

// Enhanced reports whether the answer has an enhanced status code (RFC 3463)
// that ends so: "2.2" is "5.2.2" and "4.2.2", a full mailbox.
func (r Reply) Enhanced(end string) bool {
	if len(r.lines) == 0 {
		return false
	}
	code, _, _ := strings.Cut(r.lines[0], " ")
	_, rest, ok := strings.Cut(code, ".")
	return ok && rest == end
}

func (r Reply) String() string {
	const most = 500 // for a line in a report
	s := strings.TrimSpace(fmt.Sprintf("%d %s", r.Code, strings.Join(r.lines, "; ")))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// lost says in plain words that a connection was.
func lost(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	}
	return fmt.Errorf("the connection was lost: %w", err)
}
