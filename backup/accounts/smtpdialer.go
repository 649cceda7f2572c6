package accounts

import (
	"context"
	"fmt"

	"restante/backup/accounts/smtpconn"
)

// An SMTPDialer makes connections to one server that mail is delivered to, by
// SMTP or LMTP, as a Dialer does to one by IMAP.
type SMTPDialer struct {
	options smtpconn.Options
	login   *login
}

// NewSMTPDialer returns a dialer. What an address says takes the place of what
// is in the options. The secret is asked for where the address has a user.
func NewSMTPDialer(a Address, secret Secret, o smtpconn.Options) (*SMTPDialer, error) {
	if !a.Scheme.Delivers() {
		return nil, fmt.Errorf("no mail can be delivered to %s", a)
	}
	switch a.Scheme {
	case SMTP, LMTP:
		o.Security = smtpconn.StartTLS
	case SMTPInsecure, LMTPInsecure, LMTPUnix:
		o.Security = smtpconn.Insecure
	default:
		o.Security = smtpconn.TLS
	}
	cfg, err := a.TLSConfig()
	if err != nil {
		return nil, err
	}
	o.LMTP, o.Address, o.TLS, o.User = a.Scheme.lmtp(), a.HostPort(), cfg, a.User
	if a.Scheme == LMTPUnix {
		o.Network, o.Address = "unix", a.Dir
	}
	l := newLogin(smtpconn.ErrLogin)
	l.secret = secret
	return &SMTPDialer{options: o, login: l}, nil
}

// Dial connects, and logs in where there is a user.
func (d *SMTPDialer) Dial(ctx context.Context) (conn *smtpconn.Conn, err error) {
	o := d.options
	if o.User == "" {
		return smtpconn.Dial(ctx, o)
	}
	err = d.login.with(ctx, func(password string) (err error) {
		o.Password = password
		conn, err = smtpconn.Dial(ctx, o)
		return err
	})
	return conn, err
}
