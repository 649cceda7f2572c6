// Package sieveconn speaks ManageSieve (RFC 5804) with a server of filter
// scripts: it lists and reads them, and puts new ones there. It has no way to
// delete or rename one.
package sieveconn

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"restante/backup/accounts/peer"
	"strings"
	"time"
)

// What the errors of this package say.
var (
	// ErrLogin: the server refused the user name, the password or the token.
	ErrLogin = errors.New("the server refused the login")
	// ErrTLS: no connection that is encrypted and proven to go to the right
	// server. Nothing secret was sent.
	ErrTLS = errors.New("no trustworthy encryption")
	// ErrTimeout: the server went silent.
	ErrTimeout = errors.New("the server does not answer in time")
	// ErrProtocol: the server sent what cannot be understood, or more of it than
	// any honest server would. The connection is of no more use.
	ErrProtocol = errors.New("the server breaks the protocol")
	// ErrRefused: the server said NO to one command; the connection is well.
	ErrRefused = errors.New("the server refused")
)

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// Options say where a server is and who logs in. Encryption is by STARTTLS, as
// RFC 5804 has it, and there is no way around it.
type Options struct {
	Address  string // host:port
	User     string
	Password string
	// Token, if there is one, is an OAuth 2 access token, used in place of Password.
	Token string
	// Authorize is whose scripts are meant, if not those of User (RFC 4616).
	Authorize string
	TLS       *tls.Config
	// Idle is how long the server may be silent; 0: a minute.
	Idle time.Duration
	// Total bounds the whole connection, against servers that send an octet now
	// and then; 0: five minutes.
	Total time.Duration
	// MaxScript is how many octets a script may have; 0: 4 MiB.
	MaxScript int
}

// A Conn is a connection that is logged in. One goroutine uses it.
type Conn struct {
	w    *wire
	caps map[string]string
	stop func() bool
}

// Dial connects, encrypts and logs in. When ctx ends, so does the connection.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	if o.Idle == 0 {
		o.Idle = time.Minute
	}
	if o.Total == 0 {
		o.Total = 5 * time.Minute
	}
	if o.MaxScript == 0 {
		o.MaxScript = 4 << 20
	}
	end := time.Now().Add(o.Total)
	dial, cancel := context.WithTimeoutCause(ctx, o.Idle, ErrTimeout)
	defer cancel()
	tcp, err := new(net.Dialer).DialContext(dial, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Address, err)
	}
	c := &Conn{w: newWire(tcp, o.Idle, end, o.MaxScript)}
	c.stop = context.AfterFunc(ctx, func() { tcp.Close() })
	if err := c.open(ctx, &o); err != nil {
		c.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s: %w", o.Address, err)
	}
	return c, nil
}

// Close ends the connection without a word.
func (c *Conn) Close() error {
	c.stop()
	return c.w.conn.Close()
}

func (c *Conn) open(ctx context.Context, o *Options) error {
	if _, err := c.w.answer(); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if _, err := c.w.ask("STARTTLS"); err != nil {
		if errors.Is(err, ErrRefused) {
			return fmt.Errorf("%w: STARTTLS: %w", ErrTLS, err)
		}
		return err
	}
	if n := c.w.br.Buffered(); n > 0 {
		return fmt.Errorf("%w: %d octets in clear text follow the answer to STARTTLS; somebody may be tampering with the connection", ErrTLS, n)
	}
	c.w.conn.SetDeadline(c.w.until())
	conn, err := peer.Encrypt(ctx, c.w.conn, peer.Handshake{Address: o.Address, TLS: o.TLS, Err: ErrTLS})
	if err != nil {
		return err
	}
	c.w = newWire(conn, o.Idle, c.w.end, o.MaxScript)
	// RFC 5804 section 2.2: the server says anew what it can do, and what it said
	// in clear text counts for nothing.
	lines, err := c.w.answer()
	if err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	c.caps = map[string]string{}
	for _, l := range lines {
		value := ""
		if len(l) > 1 {
			value = l[1].text
		}
		c.caps[strings.ToUpper(l[0].text)] = value
	}
	return c.login(o)
}

func (c *Conn) offers(mechanism string) bool {
	for _, m := range strings.Fields(c.caps["SASL"]) {
		if strings.EqualFold(m, mechanism) {
			return true
		}
	}
	return false
}

// login authenticates with an initial response (RFC 5804 section 2.1).
func (c *Conn) login(o *Options) error {
	if strings.ContainsAny(o.User+o.Authorize+o.Password+o.Token, "\x00\x01") {
		return fmt.Errorf("%w: a name or a secret has a control character", ErrLogin)
	}
	mechanism, response := "PLAIN", o.Authorize+"\x00"+o.User+"\x00"+o.Password
	if o.Token != "" {
		mechanism, response = "XOAUTH2", "user="+o.User+"\x01auth=Bearer "+o.Token+"\x01\x01"
		if c.offers("OAUTHBEARER") {
			name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(o.User)
			mechanism, response = "OAUTHBEARER", "n,a="+name+",\x01auth=Bearer "+o.Token+"\x01\x01"
		}
		if o.Authorize != "" {
			return fmt.Errorf("%w: a token is for the scripts of its own user", ErrLogin)
		}
	}
	if !c.offers(mechanism) {
		return fmt.Errorf("%w: it does not offer %s", ErrLogin, mechanism)
	}
	err := c.w.authenticate(mechanism, base64.StdEncoding.EncodeToString([]byte(response)))
	// What the server says may repeat the secret, and is left out.
	switch {
	case errors.Is(err, ErrRefused):
		return ErrLogin
	case errors.Is(err, errBye):
		return fmt.Errorf("login: %w", errBye)
	}
	return err
}

// A Script is one in the list of a server.
type Script struct {
	Name   string
	Active bool
}

// List asks which scripts there are (RFC 5804 section 2.7).
func (c *Conn) List() ([]Script, error) {
	lines, err := c.w.ask("LISTSCRIPTS")
	if err != nil {
		return nil, fmt.Errorf("LISTSCRIPTS: %w", err)
	}
	var scripts []Script
	for _, l := range lines {
		if !l[0].quoted || len(l) > 2 || len(l) == 2 && (l[1].quoted || !strings.EqualFold(l[1].text, "ACTIVE")) {
			return nil, broken("LISTSCRIPTS: a line that is no script")
		}
		scripts = append(scripts, Script{l[0].text, len(l) == 2})
	}
	return scripts, nil
}

// Get reads a script (section 2.9), octet for octet.
func (c *Conn) Get(name string) ([]byte, error) {
	lines, err := c.w.ask("GETSCRIPT", name)
	if err != nil {
		return nil, fmt.Errorf("GETSCRIPT: %w", err)
	}
	if len(lines) != 1 || len(lines[0]) != 1 || !lines[0][0].quoted {
		return nil, broken("GETSCRIPT: the answer is not one script")
	}
	return []byte(lines[0][0].text), nil
}

// Check asks whether the server would take a script (section 2.12).
func (c *Conn) Check(script []byte) error {
	_, err := c.w.ask("CHECKSCRIPT", string(script))
	return err
}

// Put stores a script (section 2.6). A script of that name is overwritten:
// whoever calls it has asked List before.
func (c *Conn) Put(name string, script []byte) error {
	_, err := c.w.ask("PUTSCRIPT", name, string(script))
	return err
}

// Activate makes a script the active one (section 2.8).
func (c *Conn) Activate(name string) error {
	_, err := c.w.ask("SETACTIVE", name)
	return err
}
