package peer

import (
	"errors"
	"net"
	"strings"
	"testing"
)

var errTLS = errors.New("no encryption")

func TestWhatAServerWithoutTLSIsTold(t *testing.T) {
	for _, c := range []struct {
		says string // empty: it closes
		want string
	}{{"* OK ready, and more than a record's head\r\n", "does not begin with TLS"}, {"", "closed the connection during the handshake"}} {
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
		hint, ok := errors.AsType[interface {
			error
			Hint() string
		}](err)
		if ok != (c.says != "") || ok && hint.Hint() != "use STARTTLS" {
			t.Errorf("%q: hint %v", c.says, hint)
		}
		ours.Close()
	}
}

func TestTextIsFitToBeShown(t *testing.T) {
	for in, want := range map[string]string{" a\tb\x1b[31m\u0085c\xff ": "a b [31m c\uFFFD", "": "", "grüße": "grüße"} {
		if got := Text(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
