package sieveconn

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// script plays a server that goes over to TLS and then gives answers in turn,
// each when all of what it expects has come.
func script(t *testing.T, sasl string, turns ...string) Options {
	borrowed := httptest.NewTLSServer(nil)
	t.Cleanup(borrowed.Close)
	roots := x509.NewCertPool()
	roots.AddCert(borrowed.Certificate())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		tcp, err := l.Accept()
		if err != nil {
			return
		}
		defer tcp.Close()
		// What is offered in clear text is a lie.
		io.WriteString(tcp, "\"SASL\" \"FORGED\"\r\n\"STARTTLS\"\r\nOK\r\n")
		io.ReadFull(tcp, make([]byte, len("STARTTLS\r\n")))
		io.WriteString(tcp, "OK\r\n")
		c := tls.Server(tcp, &tls.Config{Certificates: borrowed.TLS.Certificates})
		io.WriteString(c, "\"IMPLEMENTATION\" \"x\"\r\n\"SASL\" \""+sasl+"\"\r\nOK\r\n")
		br := bufio.NewReader(c)
		for i := 0; i+1 < len(turns); i += 2 {
			got := make([]byte, len(turns[i]))
			if _, err := io.ReadFull(br, got); err != nil || string(got) != turns[i] {
				t.Errorf("got %q, %v, want %q", got, err, turns[i])
				return
			}
			io.WriteString(c, turns[i+1])
		}
		io.Copy(io.Discard, br)
	}()
	return Options{Address: l.Addr().String(), TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
}

func auth(mechanism, response string) string {
	r := base64.StdEncoding.EncodeToString([]byte(response))
	var b strings.Builder
	b.WriteString("AUTHENTICATE \"" + mechanism + "\" {")
	b.WriteString(strconv.Itoa(len(r)) + "+}\r\n" + r + "\r\n")
	return b.String()
}

func TestSession(t *testing.T) {
	o := script(t, "PLAIN",
		auth("PLAIN", "anna\x00master\x00secret"), "OK\r\n",
		"LISTSCRIPTS\r\n", "\"a\"\r\n{2}\r\n\"b ACTIVE\r\nOK\r\n",
		"GETSCRIPT {2+}\r\n\"b\r\n", "{7}\r\nkeep;\r\n\r\nOK\r\n",
		"CHECKSCRIPT {3+}\r\nno;\r\n", "NO \"line 1\"\r\n",
		"PUTSCRIPT {1+}\r\nc {5+}\r\nkeep;\r\n", "OK\r\n",
		"SETACTIVE {1+}\r\nc\r\n", "OK\r\n")
	o.User, o.Authorize, o.Password = "master", "anna", "secret"
	c, err := Dial(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list, err := c.List()
	if err != nil || len(list) != 2 || list[0] != (Script{"a", false}) || list[1] != (Script{"\"b", true}) {
		t.Errorf("%v, %v", list, err)
	}
	if b, err := c.Get("\"b"); err != nil || string(b) != "keep;\r\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := c.Check([]byte("no;")); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
	if err := c.Put("c", []byte("keep;")); err != nil {
		t.Error(err)
	}
	if err := c.Activate("c"); err != nil {
		t.Error(err)
	}
}

func TestRefusedLogins(t *testing.T) {
	for name, test := range map[string]struct {
		sasl, token string
		turns       []string
	}{
		"password": {"PLAIN", "", []string{auth("PLAIN", "\x00u\x00secret"), "NO \"not secret\"\r\n"}},
		"bearer": {"XOAUTH2 OAUTHBEARER", "secret", []string{
			auth("OAUTHBEARER", "n,a=u,\x01auth=Bearer secret\x01\x01"), "\"e30=\"\r\n", "\"\"\r\n", "NO\r\n"}},
		"xoauth2":         {"XOAUTH2", "secret", []string{auth("XOAUTH2", "user=u\x01auth=Bearer secret\x01\x01"), "NO\r\n"}},
		"offered by none": {"LOGIN", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := script(t, test.sasl, test.turns...)
			o.User, o.Password, o.Token = "u", "secret", test.token
			_, err := Dial(context.Background(), o)
			if !errors.Is(err, ErrLogin) || strings.Contains(err.Error(), "secret") {
				t.Error(err)
			}
		})
	}
}

func TestUnknownAuthority(t *testing.T) {
	o := script(t, "PLAIN")
	o.TLS.RootCAs = x509.NewCertPool()
	if _, err := Dial(context.Background(), o); !errors.Is(err, ErrTLS) {
		t.Error(err)
	}
}
