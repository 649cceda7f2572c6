package accounts

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"restante/backup/accounts/sieveconn"
)

// scriptDoor is a server of filter scripts that refuses the first login and takes
// those after it. It returns its address, its authority, and what it was shown.
func scriptDoor(t *testing.T) (address string, roots *x509.CertPool, shown func() string) {
	borrowed := httptest.NewTLSServer(nil)
	t.Cleanup(borrowed.Close)
	roots = x509.NewCertPool()
	roots.AddCert(borrowed.Certificate())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logins := make(chan string, 10)
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for answer := "NO\r\n"; ; answer = "OK\r\n" {
			tcp, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(tcp, "\"STARTTLS\"\r\nOK\r\n")
			io.ReadFull(tcp, make([]byte, len("STARTTLS\r\n")))
			io.WriteString(tcp, "OK\r\n")
			c := tls.Server(tcp, &tls.Config{Certificates: borrowed.TLS.Certificates})
			io.WriteString(c, "\"SASL\" \"PLAIN\"\r\nOK\r\n")
			r := bufio.NewReader(c)
			r.ReadString('\n')
			response, _ := r.ReadString('\n')
			logins <- strings.TrimSpace(response)
			io.WriteString(c, answer)
			io.Copy(io.Discard, r)
			tcp.Close()
		}
	}()
	return l.Addr().String(), roots, func() string { return <-logins }
}

// The password of the mail opens the scripts, and is asked for once; that the
// server of the scripts refuses it does not cost the mail its login.
func TestScriptsAreOpenedWithThePasswordOfTheMail(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "right")
	var n atomic.Int64
	dialer := d.dialer(t, asked(&n, "right"))
	address, roots, shown := scriptDoor(t)
	dialer.options.TLS = &tls.Config{RootCAs: roots, ServerName: "mail.invalid"}
	_, err := dialer.Sieve(t.Context(), address)
	if got := shown(); !errors.Is(err, sieveconn.ErrLogin) || got != "AGFsaWNlAHJpZ2h0" {
		t.Errorf("%v, shown %s", err, got)
	}
	mail, err := dialer.Dial(t.Context())
	if err != nil {
		t.Fatalf("after a refusal by the server of the scripts: %v", err)
	}
	mail.Close()
	scripts, err := dialer.Sieve(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	shown()
	scripts.Close()
	if n.Load() != 1 {
		t.Errorf("the password was asked for %d times", n.Load())
	}
}
