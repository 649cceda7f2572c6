package pop3conn

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"
)

// Security says how a connection is protected.
type Security int

const (
	// TLS from the first octet (RFC 8314), usually port 995. The default.
	TLS Security = iota
	// STLS begins in clear text and encrypts before anything else is said
	// (RFC 2595 section 4), usually port 110. There is no going on without.
	STLS
	// Insecure is clear text all the way, password included. It is for
	// loopback and tunnels, and only when a person asked for it.
	Insecure
)

// Mechanism is a way of logging in.
type Mechanism string

const (
	// AnyPassword takes the best way the server offers to prove a password:
	// PLAIN, then USER and PASS, then APOP.
	AnyPassword Mechanism = ""
	Plain       Mechanism = "PLAIN"   // RFC 4616 in RFC 5034
	User        Mechanism = "LOGIN"   // USER and PASS, RFC 1939 section 7
	APOP        Mechanism = "APOP"    // RFC 1939 section 7
	XOAuth2     Mechanism = "XOAUTH2" // of Google and Microsoft; the password is an access token
)

// Options say where to connect, as whom, and how patient to be.
type Options struct {
	// Address is host:port.
	Address  string
	Security Security
	// TLS is the configuration for TLS and STLS. Nil means: the system's
	// authorities, the host of Address, TLS 1.2 or newer.
	TLS *tls.Config

	// User and Password log in. Password is an access token for XOAuth2.
	User, Password string
	// ActAs is the user whose maildrop is opened, where that is not User: the
	// authorization identity of PLAIN.
	ActAs     string
	Mechanism Mechanism

	// OneByOne asks for one message at a time even where the server would take
	// many commands at once.
	OneByOne bool

	// Log gets what a person may want to know and no error can carry. Nil means
	// nothing is logged.
	Log *slog.Logger

	// LoginTimeout bounds everything Dial does. Default: 1 minute.
	LoginTimeout time.Duration
	// Idle is how long the server may be silent while an answer is due, and how
	// long it may not take what is written to it. Default: 100 seconds, as in
	// package imapconn.
	Idle time.Duration
	// MinRate is the least a server may send in the middle of an answer, in
	// octets per second of waiting for it, looked at every five minutes.
	// Default: 100; negative: no least.
	MinRate int

	// MaxMessage is how many octets a message may have. Default: 4 GiB.
	MaxMessage int64

	// Dial connects. Default: net.Dialer, which tries all addresses of a host
	// (RFC 8305).
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	limits limits
}

// limits are what a server may not exceed. Tests set smaller ones.
type limits struct {
	line    int           // octets of a line that is not of a message
	listing int           // octets of such lines in one answer
	rate    time.Duration // how much waiting MinRate is measured over
	// falseEnd is how long to wait for more after what looks like the end of a
	// message and is not.
	falseEnd time.Duration
}

// filled returns the options with defaults in place of zeros.
func (o Options) filled() Options {
	set := func(p *time.Duration, d time.Duration) {
		if *p <= 0 {
			*p = d
		}
	}
	set(&o.LoginTimeout, time.Minute)
	set(&o.Idle, 100*time.Second)
	if o.MinRate == 0 {
		o.MinRate = 100
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = 4 << 30
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.limits == (limits{}) {
		o.limits = limits{line: 64 << 10, listing: 32 << 20, rate: 5 * time.Minute, falseEnd: 30 * time.Second}
	}
	return o
}
