package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var errTLS = errors.New("no encryption")

func TestWhatAServerWithoutTLSIsTold(t *testing.T) {
	for _, c := range []struct {
		says string
		want string
	}{{"* OK ready, and more than a record's head\r\n", "does not begin with TLS"}} {
		ours, theirs := net.Pipe()
		go func() {
			b := make([]byte, 4096)
			theirs.Read(b)
			theirs.Write([]byte(c.says))
			theirs.Close()
		}()
		_, err := Encrypt(t.Context(), ours, Handshake{Address: "mail.example.org:993", Err: errTLS, Plain: "use STARTTLS"})
		if !errors.Is(err, errTLS) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.says, err)
		}
		if hint := Hint(err); hint != "use STARTTLS" {
			t.Errorf("%q: hint %q", c.says, hint)
		}
		ours.Close()
	}
}

// TestAConnectionThatBreaksIsNoFaultOfTLS: what is tried again and what is not
// hangs on it.
func TestAConnectionThatBreaksIsNoFaultOfTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, how := range []string{"close", "reset", "close in the middle"} {
		reset := how == "reset"
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096))
			if how == "close in the middle" {
				c.Write([]byte{22, 3, 3, 0, 100, 2}) // the head of a record, and an octet of it
			}
			if reset {
				c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
		}()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = Encrypt(t.Context(), conn, Handshake{Address: l.Addr().String(), Err: errTLS, Plain: "use STARTTLS"})
		if err == nil || errors.Is(err, errTLS) || !strings.Contains(err.Error(), "during the handshake") {
			t.Errorf("%s: %v", how, err)
		}
		conn.Close()
	}
}

// flipped changes a bit of one octet of what is read, counted from 0.
type flipped struct {
	net.Conn
	at int
}

func (f *flipped) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if 0 <= f.at && f.at < n {
		b[f.at] ^= 4
	}
	f.at -= n
	return n, err
}

// TestAWrongBitIsNoFaultOfTLS: the next connection may be in order.
func TestAWrongBitIsNoFaultOfTLS(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig
	for _, c := range []struct {
		what    string
		version uint16
		at      int
	}{
		{"in the random octets of the server", tls.VersionTLS13, 20},
		{"in what is encrypted", tls.VersionTLS13, 1600},
		{"in the head of a later record", tls.VersionTLS12, 69},
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		cfg := trust.Clone()
		cfg.ServerName, cfg.MinVersion, cfg.MaxVersion = "example.com", c.version, c.version
		h := Handshake{Address: server.Listener.Addr().String(), TLS: cfg, Err: errTLS}
		_, err = Encrypt(t.Context(), &flipped{conn, c.at}, h)
		if err == nil || errors.Is(err, errTLS) || !strings.Contains(err.Error(), "damaged the connection") {
			t.Errorf("%s: %v", c.what, err)
		}
		conn.Close()
	}
}

// TestAHandshakeThatTakesTooLongIsNoFaultOfTLS: the error is the context's.
func TestAHandshakeThatTakesTooLongIsNoFaultOfTLS(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	errLate := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		theirs.Read(make([]byte, 1))
		cancel(errLate)
	}()
	if _, err := Encrypt(ctx, ours, Handshake{Address: "mail.example.org:993", Err: errTLS}); !errors.Is(err, errLate) || errors.Is(err, errTLS) {
		t.Error(err)
	}
}

func TestTextIsFitToBeShown(t *testing.T) {
	for in, want := range map[string]string{" a\tb\x1b[31m\u0085c\xff ": "a b [31m c\uFFFD", "": "", "gpj.\u202eexe\u2028\u2066x": "gpj. exe  x", "grüße": "grüße"} {
		if got := Text(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
