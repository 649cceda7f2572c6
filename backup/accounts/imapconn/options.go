package imapconn

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
	// TLS from the first octet (RFC 8314), usually port 993. The default.
	TLS Security = iota
	// StartTLS begins in clear text and encrypts before anything else is said
	// (RFC 9051 section 6.2.1), usually port 143. There is no going on without.
	StartTLS
	// Insecure is clear text all the way, password included. It is for
	// loopback and tunnels, and only when a person asked for it.
	Insecure
)

// Mechanism is a way of logging in.
type Mechanism string

const (
	// AnyPassword takes the best way the server offers to prove a password:
	// PLAIN, then the LOGIN command, then SASL LOGIN.
	AnyPassword Mechanism = ""
	Plain       Mechanism = "PLAIN"       // RFC 4616
	Login       Mechanism = "LOGIN"       // the LOGIN command, or SASL LOGIN where that is disabled
	OAuthBearer Mechanism = "OAUTHBEARER" // RFC 7628; the password is an access token
	XOAuth2     Mechanism = "XOAUTH2"     // its forerunner at Google and Microsoft
	// AnyToken takes the best way the server offers to show an access token:
	// OAUTHBEARER, then XOAUTH2.
	AnyToken Mechanism = "TOKEN"
)

// Options say where to connect, as whom, and how patient to be.
type Options struct {
	// Address is host:port.
	Address  string
	Security Security
	// TLS is the configuration for TLS and StartTLS. Nil means: the system's
	// authorities, the host of Address, TLS 1.2 or newer.
	TLS *tls.Config

	// User and Password log in. Password is an access token for OAuthBearer,
	// XOAuth2 and AnyToken. It is sent once, after encryption stands.
	User, Password string
	// ActAs is the user whose mailbox is opened, where that is not User: the
	// authorization identity of PLAIN and OAUTHBEARER.
	ActAs     string
	Mechanism Mechanism

	// ClientName and ClientVersion go into an ID command (RFC 2971) where the
	// server takes one. Some servers (NetEase) show no mailbox without it.
	ClientName, ClientVersion string
	// Compress asks for COMPRESS=DEFLATE (RFC 4978) where it is offered.
	Compress bool

	// Odd is told of every value of a FETCH answer that go-imap cannot be
	// shown, before go-imap has seen the message it belongs to or, for a value
	// after the body, before the message's items end. It is called from the
	// connection's own goroutine and must neither block nor use the connection.
	Odd func(Oddity)
	// News is told that the server says, without having been asked, that
	// something changed. It is called from the connection's own goroutine and
	// must neither block nor use the connection. Nil: it is passed over.
	News func(News)
	// Log gets what a person may want to know and no error can carry, such as
	// a server's [ALERT]. Nil means nothing is logged.
	Log *slog.Logger

	// LoginTimeout bounds everything Dial does. Default: 1 minute.
	LoginTimeout time.Duration
	// Idle is how long the server may be silent while an answer is due, and
	// how long it may not take what is written to it. Default: 100 seconds,
	// which is what Thunderbird has: a server that is well sends something
	// sooner, be it "* OK still here".
	Idle time.Duration
	// Total is how long the server may be waited for without the end of a
	// command or a message, however lively it is meanwhile. Default: 30 minutes.
	Total time.Duration
	// MinRate is the least a server may send in the middle of an answer, in
	// octets per second of waiting for it, looked at every five minutes.
	// Default: 100; negative: no least.
	MinRate int

	// TempDir holds bodies that arrive before their UID and are larger than a
	// MiB. Default: the system's.
	TempDir string
	// Dial connects. Default: net.Dialer, which tries all addresses of a host
	// (RFC 8305).
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	limits limits
}

// limits are what a server may not exceed. Tests set smaller ones.
type limits struct {
	line     int           // octets of a line; literals and number sets apart
	numbers  int           // octets of number sets in the answer to one command
	inline   int64         // octets of a literal that is not a message
	depth    int           // lists within lists
	folders  int           // LIST answers to one command
	listing  int           // octets of them
	flags    int           // flags of one message, or attributes of one folder
	answers  int           // answers without a message or the end of a command
	talk     int64         // octets of them
	spool    int64         // octets of an early body that are kept in memory
	rate     time.Duration // how much waiting MinRate is measured over
	disorder int           // work on numbers that come in a senseless order
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
	set(&o.Total, 30*time.Minute)
	if o.MinRate == 0 {
		o.MinRate = 100
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.limits == (limits{}) {
		o.limits = limits{
			line: 64 << 10, numbers: 32 << 20, inline: 1 << 20, depth: 100,
			folders: 100_000, listing: 32 << 20, flags: 4096, answers: 1_000_000, talk: 256 << 20, spool: 1 << 20, rate: 5 * time.Minute,
			disorder: 4_000_000_000,
		}
	}
	return o
}

// An Oddity is one value of a FETCH answer that go-imap was not shown.
type Oddity struct {
	Seq uint32 // message sequence number
	UID uint32 // 0 where the server gave none
	// Item is the data item's name in upper case: "INTERNALDATE", "FLAGS",
	// "X-GM-LABELS". For FLAGS there is one Oddity for each odd flag, and the
	// other flags reach go-imap as usual. Where FLAGS comes several times in
	// front of the body, or behind it, only the last list's are told; the one
	// behind the body replaces all. "BODY[]" with UID 0 is a body that
	// cannot be told whose it is; Raw is empty then.
	Item string
	// Raw is the value as the server sent it. A quoted string or literal is
	// given as the octets it stands for.
	Raw string
}
