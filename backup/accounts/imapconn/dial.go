package imapconn

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"restante/backup/accounts/peer"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Dial connects, encrypts, logs in and returns a connection that go-imap can
// use at once. ctx and o.LoginTimeout bound Dial only; see [Conn.Bind].
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
	s := &session{opts: &o, sock: &countingConn{Conn: tcp}}
	s.keepSecret()
	stop := context.AfterFunc(ctx, func() { tcp.SetDeadline(time.Unix(1, 0)) })
	compressed, err := s.open(ctx)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		tcp.Close()
		return nil, fmt.Errorf("%s: %w", o.Address, s.secrets.Veil(orCause(ctx, err)))
	}
	tcp.SetDeadline(time.Time{})
	c := s.handOver(compressed)
	if err := c.Client.WaitGreeting(); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", o.Address, c.Explain(err))
	}
	return c, nil
}

// orCause puts the reason why ctx ended in place of the errors it led to.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// open takes the connection from its first octet to after the login.
func (s *session) open(ctx context.Context) (compressed bool, err error) {
	s.conn = s.sock
	if s.opts.Security == TLS {
		if err := s.encrypt(ctx); err != nil {
			return false, err
		}
	}
	s.in = newInput(s.conn, s.opts.limits)
	if err := s.greet(); err != nil {
		return false, err
	}
	if s.opts.Security == StartTLS {
		if err := s.startTLS(ctx); err != nil {
			return false, err
		}
	}
	if err := s.capabilities(); err != nil {
		return false, err
	}
	if !s.preauth {
		if err := s.login(); err != nil {
			return false, err
		}
		if err := s.capabilities(); err != nil {
			return false, err
		}
	}
	if err := s.identify(); err != nil {
		return false, err
	}
	return s.compress()
}

// startTLS goes over to TLS (RFC 9051 section 6.2.1). Everything said before
// may come from somebody in between, so nothing of it is kept, and it is not
// asked whether the server offers STARTTLS: it has to do it.
func (s *session) startTLS(ctx context.Context) error {
	if s.preauth { // RFC 9051 section 11.1
		return fmt.Errorf("%w: the server says we are logged in before encryption stands", ErrTLS)
	}
	c, err := s.command("STARTTLS", nil)
	if err != nil {
		return err
	}
	if c.status != "OK" {
		if c.busy() {
			return s.refusal("STARTTLS", c)
		}
		return peer.WithHint(fmt.Errorf("%w: STARTTLS: the server said %s", ErrTLS, c), "imaps:// has encryption from the start")
	}
	if n := s.in.br.Buffered(); n > 0 {
		return fmt.Errorf("%w: %d octets in clear text follow the answer to STARTTLS; somebody may be tampering with the connection", ErrTLS, n)
	}
	s.caps = nil
	if err := s.encrypt(ctx); err != nil {
		return err
	}
	s.in = newInput(s.conn, s.opts.limits)
	return nil
}

// handOver hands the connection over to go-imap.
func (s *session) handOver(compressed bool) *Conn {
	o := s.opts
	w := &patientWriter{conn: s.conn, idle: o.Idle}
	from := io.Reader(s.conn)
	if compressed {
		// What is buffered already is compressed as well.
		rest, _ := s.in.br.Peek(s.in.br.Buffered())
		from = flate.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(rest)), s.conn))
		s.in.br.Discard(len(rest))
		w.compressed()
	}
	pend := newPending()
	pend.lsub = !s.caps.has("LIST-EXTENDED") && !s.caps.has("IMAP4REV2")
	f := &filter{
		sock: s.sock, opts: o, limit: &o.limits, in: s.in, pend: pend, closed: make(chan struct{}),
		secrets: &s.secrets,
	}
	f.seed = maphash.MakeSeed()
	f.out = &writer{pend: pend, to: w, closed: f.closed, plus: s.caps.has("LITERAL+"), labels: s.caps.has(capGmail),
		minus: s.caps.has("LITERAL-") || s.caps.has("IMAP4REV2")}
	f.src = &source{
		full: make(chan chunk, chunkCount), empty: make(chan []byte, chunkCount),
		wake: pend.wake, closed: f.closed, cause: f.cause, timer: time.NewTimer(time.Hour),
		patience: func(midway bool) time.Duration {
			if midway {
				return o.Idle
			}
			return pend.patience(o.Idle, o.Total)
		},
		passed:  pend.passed,
		minRate: o.MinRate, window: o.limits.rate, idle: o.Idle,
	}
	f.src.timer.Stop()
	pend.opening = func() { f.counted.Store(false) }
	for range chunkCount {
		f.src.empty <- make([]byte, chunkSize)
	}
	s.in.from = f.src
	go f.src.run(from)

	greeting := []byte("* PREAUTH [CAPABILITY")
	caps := imap.CapSet{}
	for _, c := range shownCaps(s.caps) {
		greeting = append(append(greeting, ' '), c...)
		caps[imap.Cap(c)] = struct{}{}
	}
	pend.say(append(greeting, "] ready\r\n"...))
	return &Conn{Client: imapclient.New(f, nil), f: f, id: s.id, traffic: s.sock, notify: s.caps.has("NOTIFY"), caps: caps}
}

// countingConn counts what goes over the wire.
type countingConn struct {
	net.Conn
	in, out atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

// encrypt shakes hands.
func (s *session) encrypt(ctx context.Context) error {
	conn, err := peer.Encrypt(ctx, s.sock, peer.Handshake{
		Address: s.opts.Address, TLS: s.opts.TLS, Err: ErrTLS, Plain: "imap:// is for servers that use STARTTLS",
		Protocol: "imap", // RFC 9051 section 11.1 wants other protocols kept out
	})
	if err != nil {
		return err
	}
	s.conn = conn
	return nil
}
