package smtpconn

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"restante/backup/accounts/peer"
	"slices"
	"strings"
	"time"
)

// Security says how a connection is protected.
type Security int

const (
	// TLS from the first octet (RFC 8314), usually port 465. The default.
	TLS Security = iota
	// StartTLS begins in clear text and encrypts before anything else is said
	// (RFC 3207). There is no going on without.
	StartTLS
	// Insecure is clear text all the way. It is for loopback, sockets and
	// tunnels, and only when a person asked for it.
	Insecure
)

// Options say where to connect, as whom, and how patient to be.
type Options struct {
	// Address is host:port, or the path of a socket where Network is "unix".
	Address string
	Network string // "tcp" if empty
	// LMTP says that the server speaks that.
	LMTP     bool
	Security Security
	// TLS is the configuration for TLS and StartTLS; nil: the system's
	// authorities, the host of Address, TLS 1.2 or newer.
	TLS *tls.Config
	// User and Password log in (RFC 4954); without a user nobody does.
	User, Password string
	// Hello is what this computer calls itself. Default: localhost.
	Hello string
	// LoginTimeout bounds everything Dial does. Default: 1 minute.
	LoginTimeout time.Duration
	// Idle is how long the server may be silent while an answer is due, and how
	// long it may not take what is written to it. Default: 100 seconds, as in
	// package imapconn.
	Idle time.Duration
	// Final is how long the answer to a message may take: to give up too soon has
	// it delivered twice. Default: 10 minutes, as RFC 5321 section 4.5.3.2.6 asks.
	Final time.Duration
	// Log is told each half minute that the answer to a message is waited for. Nil:
	// nobody is.
	Log *slog.Logger
}

func (o Options) filled() Options {
	o.Network, o.Hello = cmp.Or(o.Network, "tcp"), cmp.Or(o.Hello, "localhost")
	set := func(p *time.Duration, d time.Duration) {
		if *p <= 0 {
			*p = d
		}
	}
	set(&o.LoginTimeout, time.Minute)
	set(&o.Idle, 100*time.Second)
	set(&o.Final, 10*time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Dial connects, encrypts and logs in. ctx and o.LoginTimeout bound Dial only; see
// [Conn.Bind].
func Dial(ctx context.Context, o Options) (*Conn, error) {
	o = o.filled()
	within, cancel := context.WithTimeoutCause(ctx, o.LoginTimeout, fmt.Errorf("%w: no login within %v", ErrTimeout, o.LoginTimeout))
	defer cancel()
	raw, err := new(net.Dialer).DialContext(within, o.Network, o.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Address, orCause(within, err))
	}
	stop := context.AfterFunc(within, func() { raw.Close() })
	c := &Conn{opts: &o}
	c.use(raw)
	err = c.open(within)
	if !stop() && err == nil {
		err = context.Cause(within)
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%s: %w", o.Address, orCause(within, err))
	}
	return c, nil
}

func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (c *Conn) use(conn net.Conn) {
	c.Conn, c.br, c.bw = conn, bufio.NewReaderSize(conn, mostLine), bufio.NewWriterSize(conn, 64<<10)
}

// open takes the connection from its first octet to after the login.
func (c *Conn) open(ctx context.Context) error {
	if c.opts.Security == TLS {
		if err := c.encrypt(ctx); err != nil {
			return err
		}
	}
	greeting, err := c.reply()
	if err != nil {
		return err
	}
	if greeting.Code != 220 {
		return refused("it greets with", greeting)
	}
	if err := c.hello(); err != nil {
		return err
	}
	if c.opts.Security == StartTLS {
		if err := c.startTLS(ctx); err != nil {
			return err
		}
	}
	return c.login()
}

// refused is an answer that ends it all.
func refused(doing string, r Reply) error {
	if r.Temporary() {
		return fmt.Errorf("%w: %s %s", ErrBusy, doing, r)
	}
	return fmt.Errorf("%s %s", doing, r)
}

// hello finds out what the server offers.
func (c *Conn) hello() error {
	verb := "EHLO"
	if c.opts.LMTP {
		verb = "LHLO"
	}
	r, err := c.command("%s %s", verb, c.opts.Hello)
	if err != nil {
		return err
	}
	c.ext = map[string]string{}
	if !r.OK() && !c.opts.LMTP && r.Code/100 == 5 { // RFC 5321 section 3.2: a server from before extensions
		if r, err = c.command("HELO %s", c.opts.Hello); err != nil {
			return err
		}
		r.lines = nil
	}
	if !r.OK() {
		err := refused("to "+verb+" it says", r)
		if r.Code/100 == 5 {
			err = peer.WithHint(err, "lmtp:// is for LMTP, smtp:// for SMTP")
		}
		return err
	}
	for i, line := range r.lines {
		if i > 0 { // the first is the server's name
			keyword, parameter, _ := strings.Cut(line, " ")
			c.ext[strings.ToUpper(keyword)] = parameter
		}
	}
	return nil
}

// startTLS goes over to TLS (RFC 3207). Nothing that was said before is kept,
// since somebody in between may have said it.
func (c *Conn) startTLS(ctx context.Context) error {
	r, err := c.command("STARTTLS")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return peer.WithHint(fmt.Errorf("%w: STARTTLS: the server said %s", ErrTLS, r), "smtps:// has encryption from the start; +insecure does without")
	}
	if n := c.br.Buffered(); n > 0 {
		return fmt.Errorf("%w: %d octets in clear text follow the answer to STARTTLS; somebody may be tampering with the connection", ErrTLS, n)
	}
	if err := c.encrypt(ctx); err != nil {
		return err
	}
	return c.hello()
}

// login proves the password, by PLAIN (RFC 4616) or LOGIN.
func (c *Conn) login() error {
	if c.opts.User == "" {
		return nil
	}
	offered := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	encode := base64.StdEncoding.EncodeToString
	plain := "\x00" + c.opts.User + "\x00" + c.opts.Password
	c.secrets.Keep(c.opts.Password)
	c.secrets.Keep(plain)
	var steps []string
	switch {
	case slices.Contains(offered, "PLAIN"):
		steps = []string{"AUTH PLAIN " + encode([]byte(plain))}
	case slices.Contains(offered, "LOGIN"):
		steps = []string{"AUTH LOGIN", encode([]byte(c.opts.User)), encode([]byte(c.opts.Password))}
	default:
		return peer.WithHint(fmt.Errorf("%w: it offers no way to prove a password (%s)", ErrLogin, c.ext["AUTH"]), "leave the user out of the URL where nobody has to log in, and give --deliver-to")
	}
	for i, step := range steps {
		r, err := c.command("%s", step)
		switch {
		case err != nil:
			return err
		case r.Temporary():
			return fmt.Errorf("log in as %s: %w: %s", c.opts.User, ErrBusy, r)
		case i < len(steps)-1 && r.Code != 334, i == len(steps)-1 && r.Code != 235:
			return fmt.Errorf("log in as %s: %w: %s", c.opts.User, ErrLogin, r)
		}
	}
	// RFC 4954 section 4: what is offered may change with the login.
	return c.hello()
}

func (c *Conn) encrypt(ctx context.Context) error {
	c.SetDeadline(time.Time{})
	conn, err := peer.Encrypt(ctx, c.Conn, peer.Handshake{
		Address: c.opts.Address, TLS: c.opts.TLS, Err: ErrTLS, Plain: "smtp:// is for servers that use STARTTLS",
	})
	if err != nil {
		return err
	}
	c.use(conn)
	return nil
}
