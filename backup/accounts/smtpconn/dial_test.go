package smtpconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/backup/accounts/smtpconn/smtptest"
)

// certificate is one for 127.0.0.1, and who trusts it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: roots}
}

func TestEncryptedConnections(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	for _, c := range []struct {
		what string
		s    *smtptest.Server
		o    Options
		is   error // nil: all is well
	}{
		{"TLS from the start", &smtptest.Server{TLS: server}, Options{Security: TLS, TLS: client}, nil},
		{"STARTTLS", &smtptest.Server{TLS: server, STARTTLS: true}, Options{Security: StartTLS, TLS: client}, nil},
		{"STARTTLS by LMTP", &smtptest.Server{TLS: server, STARTTLS: true, LMTP: true}, Options{Security: StartTLS, TLS: client, LMTP: true}, nil},
		{"an authority that nobody knows", &smtptest.Server{TLS: server}, Options{Security: TLS}, ErrTLS},
		{"STARTTLS refused", &smtptest.Server{Handle: map[string]func(*smtptest.Session, string) string{"STARTTLS": func(*smtptest.Session, string) string { return "454 not now" }}}, Options{Security: StartTLS, TLS: client}, ErrTLS},
		{"an answer put in behind STARTTLS", &smtptest.Server{TLS: server, STARTTLS: true, Handle: map[string]func(*smtptest.Session, string) string{"STARTTLS": func(*smtptest.Session, string) string { return "220 go ahead\r\n250 AUTH PLAIN" }}}, Options{Security: StartTLS, TLS: client}, ErrTLS},
		{"a login", &smtptest.Server{User: "anna", Password: "secret"}, Options{Security: Insecure, User: "anna", Password: "secret"}, nil},
		{"a wrong password", &smtptest.Server{User: "anna", Password: "secret"}, Options{Security: Insecure, User: "anna", Password: "guess"}, ErrLogin},
		{"a wrong password that is said", &smtptest.Server{User: "anna", Password: "x", Handle: map[string]func(*smtptest.Session, string) string{"AUTH": func(*smtptest.Session, string) string { return "535 5.7.8 not SECRET" }}}, Options{Security: Insecure, User: "anna", Password: "secret"}, ErrLogin},
		{"a password like an answer's code", &smtptest.Server{User: "anna", Password: "535"}, Options{Security: Insecure, User: "anna", Password: "535"}, nil},
		{"nobody can log in", &smtptest.Server{}, Options{Security: Insecure, User: "anna", Password: "secret"}, ErrLogin},
		{"no time", &smtptest.Server{Greeting: "421 4.3.2 later"}, Options{Security: Insecure}, ErrBusy},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			c.o.Address = smtptest.Start(t, c.s)
			conn, err := Dial(t.Context(), c.o)
			if !errors.Is(err, c.is) || (err == nil) != (c.is == nil) {
				t.Fatal(err)
			}
			if err == nil {
				conn.Quit()
			}
			if err != nil && strings.Contains(strings.ToLower(err.Error()), "secret") {
				t.Errorf("the error repeats the password: %v", err)
			}
			if said := c.s.Said(); c.o.Security == StartTLS && slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "AUTH") }) {
				t.Errorf("%q", said)
			}
		})
	}
	if _, err := Dial(t.Context(), Options{Address: smtptest.Start(t, &smtptest.Server{}), Security: Insecure, LMTP: true}); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("LMTP with an SMTP server: %v", err)
	}
}
