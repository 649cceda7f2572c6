package pop3conn

import (
	"context"
	"fmt"
	"net"
	"restante/backup/accounts/peer"
	"strings"
	"time"

	pop3 "github.com/knadh/go-pop3"
)

// Dial connects, encrypts, logs in and returns a connection with the maildrop
// open and locked, as POP3 has it, until Quit or Close. ctx and o.LoginTimeout
// bound Dial only; see [Conn.Bind].
//
// Errors wrap [ErrLogin], [ErrTLS], [ErrBusy], [ErrTimeout] or [ErrProtocol]
// where one of them applies.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	o = o.filled()
	ctx, cancel := context.WithTimeoutCause(ctx, o.LoginTimeout,
		fmt.Errorf("%w: no login within %v", ErrTimeout, o.LoginTimeout))
	defer cancel()
	tcp, err := o.Dial(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Address, orCause(ctx, err))
	}
	stop := context.AfterFunc(ctx, func() { tcp.Close() })
	s := &session{opts: &o, tcp: tcp}
	err = s.open(ctx)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	var lib *pop3.Conn
	if err == nil {
		// The greeting that the library waits for.
		s.wire.out = []byte("+OK ready\r\n")
		lib, err = pop3.New(pop3.Opt{Dialer: given{s.wire}}).NewConn()
	}
	if err != nil {
		tcp.Close()
		return nil, fmt.Errorf("%s: %w", o.Address, orCause(ctx, err))
	}
	return &Conn{lib: lib, w: s.wire, caps: s.caps}, nil
}

// given is a dialer for a connection that stands.
type given struct{ conn net.Conn }

func (g given) Dial(string, string) (net.Conn, error) { return g.conn, nil }

// orCause puts the reason why ctx ended in place of the errors it led to.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// A session is the connection before the library sees it: one command at a
// time, from the greeting to the login.
type session struct {
	opts  *Options
	tcp   net.Conn
	wire  *wire
	caps  capabilities
	stamp string // of APOP, from the greeting; empty: none
}

// open takes the connection from its first octet to after the login.
func (s *session) open(ctx context.Context) error {
	conn := s.tcp
	if s.opts.Security == TLS {
		var err error
		if conn, err = s.encrypt(ctx); err != nil {
			return err
		}
	}
	s.wire = newWire(conn, s.opts)
	greeting, err := s.answer()
	if err != nil {
		return err
	}
	if !greeting.ok {
		if greeting.busy() {
			return fmt.Errorf("%w: it greets with %s", ErrBusy, greeting)
		}
		return fmt.Errorf("%w: it greets with %s", ErrRefused, greeting)
	}
	s.stamp = timestamp(greeting.text)
	if s.opts.Security == STLS {
		if err := s.startTLS(ctx); err != nil {
			return err
		}
	}
	if err := s.capabilities(); err != nil {
		return err
	}
	if err := s.login(); err != nil {
		return err
	}
	// RFC 2449 section 5: what is offered may change with the login.
	return s.capabilities()
}

// ask sends a command and reads the first line of its answer.
func (s *session) ask(command string) (status, error) {
	if err := s.wire.send([]byte(command + "\r\n")); err != nil {
		return status{}, err
	}
	return s.answer()
}

func (s *session) answer() (status, error) {
	s.wire.begin()
	st, err := s.wire.status()
	if err != nil {
		return st, s.wire.failed(err)
	}
	return st, nil
}

// startTLS goes over to TLS (RFC 2595 section 4). Everything said before may
// come from somebody in between, so nothing of it is kept but the timestamp of
// APOP, with which nobody can do worse than refuse the login; and it is not
// asked whether the server offers STLS: it has to do it.
func (s *session) startTLS(ctx context.Context) error {
	st, err := s.ask("STLS")
	if err != nil {
		return err
	}
	if !st.ok {
		if st.busy() {
			return fmt.Errorf("STLS: %w: %s", ErrBusy, st)
		}
		return peer.WithHint(fmt.Errorf("%w: STLS: the server said %s", ErrTLS, st), "pop3s:// has encryption from the start")
	}
	if n := s.wire.br.Buffered(); n > 0 {
		return fmt.Errorf("%w: %d octets in clear text follow the answer to STLS; somebody may be tampering with the connection", ErrTLS, n)
	}
	conn, err := s.encrypt(ctx)
	if err != nil {
		return err
	}
	s.wire = newWire(conn, s.opts)
	return nil
}

// capabilities are what CAPA told (RFC 2449), the arguments by the tag, both
// in upper case; nil where the server does not know CAPA.
type capabilities map[string][]string

func (c capabilities) has(tag string) bool { _, ok := c[tag]; return ok }

// mostCapabilities is how many octets a server may take to tell them.
const mostCapabilities = 64 << 10

// capabilities asks for them.
func (s *session) capabilities() error {
	s.caps = nil
	st, err := s.ask("CAPA")
	if err != nil || !st.ok {
		return err
	}
	s.caps = capabilities{}
	err = s.wire.lines(mostCapabilities, func(line []byte) {
		words := strings.Fields(strings.ToUpper(string(line)))
		if len(words) > 0 {
			s.caps[words[0]] = append(s.caps[words[0]], words[1:]...)
		}
	})
	if err != nil {
		return s.wire.failed(err)
	}
	return nil
}

// encrypt shakes hands.
func (s *session) encrypt(ctx context.Context) (net.Conn, error) {
	s.tcp.SetDeadline(time.Time{})
	conn, err := peer.Encrypt(ctx, s.tcp, peer.Handshake{
		Address: s.opts.Address, TLS: s.opts.TLS, Protocol: "pop3", Err: ErrTLS, Plain: "pop3:// is for servers that use STLS",
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}
