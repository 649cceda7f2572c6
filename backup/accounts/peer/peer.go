// Package peer has what the connections to all kinds of mail servers share:
// [Encrypt] shakes hands and says in plain words why that fails, [Text] makes
// what a server says fit to be shown, [Secrets] are kept out of that, [WithHint]
// adds advice to an error.
package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"unicode"
)

// A Handshake is how a connection is encrypted.
type Handshake struct {
	Address string      // host:port that was connected to
	TLS     *tls.Config // nil: the system's authorities, for the host of Address
	// Protocol is what it is for, as registered for ALPN (RFC 7301), so that other
	// protocols are kept out; empty: nothing is said.
	Protocol string
	// Err is wrapped by the errors that another try would not mend.
	Err error
	// Plain is a hint for a server that does not begin with TLS.
	Plain string
}

// Encrypt shakes hands, with TLS 1.2 at least.
func Encrypt(ctx context.Context, conn net.Conn, h Handshake) (*tls.Conn, error) {
	cfg := &tls.Config{}
	if h.TLS != nil {
		cfg = h.TLS.Clone()
	}
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(h.Address)
		if err != nil {
			return nil, err
		}
		cfg.ServerName = host
	}
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	if cfg.NextProtos == nil && h.Protocol != "" {
		cfg.NextProtos = []string{h.Protocol}
	}
	c := tls.Client(conn, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, h.explain(err, cfg.ServerName)
	}
	return c, nil
}

// explain says in plain words why there is no encryption. A connection that
// breaks is the network's fault, or that of a busy server, and so are octets
// that came otherwise than they were sent: neither is one of TLS, which nobody
// would try again.
func (h *Handshake) explain(err error, host string) error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		header   tls.RecordHeaderError
		op       *net.OpError
	)
	wrapped := fmt.Errorf("%w: %w", h.Err, err)
	switch {
	case errors.As(err, &unknown):
		return WithHint(fmt.Errorf("%w: the certificate of %s was issued by an authority that this computer does not know: %w", h.Err, host, err),
			"if it is the right server, give its authority's certificate: ?ca=FILE")
	case errors.As(err, &hostname):
		return WithHint(wrapped, "is the server's name spelt as in its certificate?")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return WithHint(wrapped, "the certificate has expired, or the clock of this computer is wrong")
	case errors.As(err, &header) && header.Conn != nil: // it is about the first record
		return WithHint(fmt.Errorf("%w: the server does not begin with TLS", h.Err), h.Plain)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // the latter in the middle of a record
		return fmt.Errorf("the server closed the connection during the handshake: %w", io.ErrUnexpectedEOF)
	case errors.As(err, &op) && (op.Op == "read" || op.Op == "write"): // alerts are errors of other operations
		return fmt.Errorf("the connection broke during the handshake: %w", err)
	case errors.As(err, &header), op != nil && isDamage(op.Err):
		return fmt.Errorf("something damaged the connection during the handshake: %w", err)
	}
	return wrapped
}

// damage are the alerts (RFC 8446 section 6.2) that tell of octets that came
// otherwise than they were sent, whichever end saw it: unexpected_message,
// bad_record_mac, record_overflow, decode_error and decrypt_error.
var damage = []tls.AlertError{10, 20, 22, 50, 51}

// isDamage says whether an error is one of those alerts. The type it has outside
// of QUIC cannot be named.
func isDamage(alert error) bool {
	return slices.ContainsFunc(damage, func(a tls.AlertError) bool { return alert.Error() == a.Error() })
}

// A hinted error has advice for the person who sees it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Hint returns a sentence that says what to do.
func (h hinted) Hint() string { return h.hint }

// WithHint adds a sentence that says what to do; an empty one adds nothing.
func WithHint(err error, hint string) error {
	if hint == "" {
		return err
	}
	return hinted{err, hint}
}

// Hint is the advice that an error has, whichever package it is of; "" where it
// has none. Whoever prints errors shows it on the next line.
func Hint(err error) string {
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return h.Hint()
	}
	return ""
}

// Text makes a server's text fit for a line, a log and a screen: without
// characters that command a terminal, end a line or turn the direction of writing.
func Text(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// lower is text with ASCII letters in lower case, octet for octet.
func lower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}
