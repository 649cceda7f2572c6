package accounts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"restante/backup/accounts/imapconn"
)

// A Dialer makes connections to one IMAP account. It asks for the password
// once, however many connections there are, and again when the server no
// longer takes one that it took before. Until a password has proven good, there
// is one login at a time, and a refusal goes to everybody who was waiting:
// servers lock accounts after a few failures.
//
// A token is asked for anew for each connection, since it may have expired, and
// a second time when the server does not take it: it may have been revoked.
//
// Its methods may be called at the same time.
type Dialer struct {
	options imapconn.Options
	secret  Secret
	tokens  Tokens // in place of secret

	turn    chan struct{} // whoever has taken its element may use what follows
	value   string
	known   bool // value has been asked for
	proven  bool // and the server has taken it
	renewed int  // how often it was asked for
	refusal error

	refusals atomic.Int64
}

// NewDialer returns a dialer. What an address says takes the place of what is
// in the options. It fails if the account is not on a server, or if its file
// of authorities cannot be used.
func NewDialer(a Address, secret Secret, o imapconn.Options) (*Dialer, error) {
	d, err := newDialer(a, o)
	if err != nil {
		return nil, err
	}
	d.secret = secret
	return d, nil
}

func newDialer(a Address, o imapconn.Options) (*Dialer, error) {
	switch a.Scheme {
	case IMAPS:
		o.Security = imapconn.TLS
	case IMAP:
		o.Security = imapconn.StartTLS
	case IMAPInsecure:
		o.Security = imapconn.Insecure
	default:
		return nil, fmt.Errorf("%s is not on a mail server", a)
	}
	cfg, err := a.TLSConfig()
	if err != nil {
		return nil, err
	}
	o.Address, o.TLS = a.HostPort(), cfg
	o.User, o.ActAs, o.Mechanism = a.LoginName(), a.Authzid, a.Auth
	d := &Dialer{options: o, turn: make(chan struct{}, 1)}
	d.turn <- struct{}{}
	return d, nil
}

// Dial connects and logs in.
func (d *Dialer) Dial(ctx context.Context) (*imapconn.Conn, error) { return d.dial(ctx, d.options) }

// DialOdd is Dial with odd told of what go-imap cannot be shown.
func (d *Dialer) DialOdd(ctx context.Context, odd func(imapconn.Oddity)) (*imapconn.Conn, error) {
	o := d.options
	o.Odd = odd
	return d.dial(ctx, o)
}

func (d *Dialer) dial(ctx context.Context, o imapconn.Options) (*imapconn.Conn, error) {
	seen := d.refusals.Load()
	if err := d.take(ctx); err != nil {
		return nil, err
	}
	expired, reason := "", error(nil)
	if d.proven {
		if err := d.refresh(ctx); err != nil {
			d.release()
			return nil, err
		}
		o.Password = d.value
		mine := d.renewed
		d.release()
		conn, err := imapconn.Dial(ctx, o)
		if !errors.Is(err, imapconn.ErrLogin) {
			return conn, err
		}
		expired, reason = o.Password, err
		if err := d.take(ctx); err != nil {
			return nil, err
		}
		if d.renewed == mine {
			d.known, d.proven = false, false
		}
	}
	defer d.release()
	if d.refusals.Load() != seen {
		return nil, d.refusal
	}
	if !d.known {
		value, err := d.ask(ctx, expired)
		if err != nil {
			return nil, err
		}
		if reason != nil && value == expired {
			return nil, reason
		}
		d.value, d.known = value, true
		d.renewed++
	}
	o.Password = d.value
	conn, err := imapconn.Dial(ctx, o)
	if errors.Is(err, imapconn.ErrLogin) && d.tokens != nil && reason == nil {
		conn, err = d.again(ctx, o, err)
	}
	switch {
	case err == nil:
		d.proven = true
	case errors.Is(err, imapconn.ErrLogin):
		d.known, d.refusal = false, err
		d.refusals.Add(1)
	}
	return conn, err
}

func (d *Dialer) take(ctx context.Context) error {
	select {
	case <-d.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *Dialer) release() { d.turn <- struct{}{} }

// TLSConfig is how the server's certificate is verified: against the system's
// authorities and those in a.CA, for a.Host, with TLS 1.2 at least. It is nil
// for accounts that have no certificates.
func (a Address) TLSConfig() (*tls.Config, error) {
	if a.Scheme.Local() || a.Scheme == IMAPInsecure {
		return nil, nil
	}
	cfg := &tls.Config{ServerName: a.Host, MinVersion: tls.VersionTLS12}
	if a.CA == "" {
		return cfg, nil
	}
	var err error
	if cfg.RootCAs, err = Authorities(a.CA); err != nil {
		return nil, err
	}
	return cfg, nil
}

// Authorities are the system's and those in a file, in PEM.
func Authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the authorities to trust: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without any
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, hint("it should have lines -----BEGIN CERTIFICATE-----", "%s holds no certificate in PEM", file)
	}
	return roots, nil
}
