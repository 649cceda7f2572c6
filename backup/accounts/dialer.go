package accounts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/pop3conn"
)

// A Dialer makes connections to one IMAP account; see [login] for when it asks
// for the password. Its methods may be called at the same time.
type Dialer struct {
	options imapconn.Options
	login   *login
}

// NewDialer returns a dialer. What an address says takes the place of what is
// in the options. It fails if the account is not on an IMAP server, or if its
// file of authorities cannot be used.
func NewDialer(a Address, secret Secret, o imapconn.Options) (*Dialer, error) {
	d, err := newDialer(a, o)
	if err != nil {
		return nil, err
	}
	d.login.secret = secret
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
		return nil, fmt.Errorf("%s is not on an IMAP server", a)
	}
	cfg, err := a.TLSConfig()
	if err != nil {
		return nil, err
	}
	o.Address, o.TLS = a.HostPort(), cfg
	o.User, o.ActAs, o.Mechanism = a.LoginName(), a.Authzid, a.Auth
	return &Dialer{options: o, login: newLogin(imapconn.ErrLogin)}, nil
}

// Dial connects and logs in.
func (d *Dialer) Dial(ctx context.Context) (*imapconn.Conn, error) { return d.dial(ctx, d.options) }

// DialOdd is Dial with odd told of what go-imap cannot be shown.
func (d *Dialer) DialOdd(ctx context.Context, odd func(imapconn.Oddity)) (*imapconn.Conn, error) {
	o := d.options
	o.Odd = odd
	return d.dial(ctx, o)
}

// DialNews is Dial with news told of what the server says without being asked.
func (d *Dialer) DialNews(ctx context.Context, news func(imapconn.News)) (*imapconn.Conn, error) {
	o := d.options
	o.News = news
	return d.dial(ctx, o)
}

func (d *Dialer) dial(ctx context.Context, o imapconn.Options) (conn *imapconn.Conn, err error) {
	err = d.login.with(ctx, func(password string) (err error) {
		o.Password = password
		conn, err = imapconn.Dial(ctx, o)
		return err
	})
	return conn, err
}

// A POP3Dialer makes connections to one POP3 account, as a Dialer does to one
// by IMAP.
type POP3Dialer struct {
	options pop3conn.Options
	login   *login
}

// NewPOP3Dialer returns a dialer. What an address says takes the place of what
// is in the options. It fails if the account is not on a POP3 server, or if its
// file of authorities cannot be used.
func NewPOP3Dialer(a Address, secret Secret, o pop3conn.Options) (*POP3Dialer, error) {
	d, err := newPOP3Dialer(a, o)
	if err != nil {
		return nil, err
	}
	d.login.secret = secret
	return d, nil
}

func newPOP3Dialer(a Address, o pop3conn.Options) (*POP3Dialer, error) {
	switch a.Scheme {
	case POP3S:
		o.Security = pop3conn.TLS
	case POP3:
		o.Security = pop3conn.STLS
	case POP3Insecure:
		o.Security = pop3conn.Insecure
	default:
		return nil, fmt.Errorf("%s is not on a POP3 server", a)
	}
	cfg, err := a.TLSConfig()
	if err != nil {
		return nil, err
	}
	o.Address, o.TLS = a.HostPort(), cfg
	o.User, o.ActAs, o.Mechanism = a.LoginName(), a.Authzid, pop3conn.Mechanism(a.Auth)
	return &POP3Dialer{options: o, login: newLogin(pop3conn.ErrLogin)}, nil
}

// Dial connects and logs in. With oneByOne the connection asks for one message
// at a time.
func (d *POP3Dialer) Dial(ctx context.Context, oneByOne bool) (conn *pop3conn.Conn, err error) {
	o := d.options
	o.OneByOne = oneByOne
	err = d.login.with(ctx, func(password string) (err error) {
		o.Password = password
		conn, err = pop3conn.Dial(ctx, o)
		return err
	})
	return conn, err
}

// TLSConfig is how the server's certificate is verified: against the system's
// authorities and those in a.CA, for a.Host, with TLS 1.2 at least. It is nil
// for accounts that have no certificates.
func (a Address) TLSConfig() (*tls.Config, error) {
	if a.Scheme.path() || a.Scheme.clear() {
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
