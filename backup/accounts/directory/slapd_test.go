package directory

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// slapd starts OpenLDAP in a directory of its own, with n people below
// ou=people,dc=example,dc=org, of whom somebody with no name sees ten at most. It
// returns the ports of ldap and ldaps, and who signed the certificate.
func slapd(t *testing.T, n int) (clear, secure int, authorities *x509.CertPool) {
	t.Helper()
	program, err := exec.LookPath("slapd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/slapd"); err != nil {
			t.Skip("needs slapd: install the package slapd, as Debian and Ubuntu call it")
		}
	}
	dir, root := t.TempDir(), filepath.Join(filepath.Dir(program), "../..")
	put := func(name string, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(program string, args ...string) {
		t.Helper()
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "slapd"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	authorities = x509.NewCertPool()
	authorities.AppendCertsFromPEM([]byte(cert))

	schema := filepath.Join(root, "etc/ldap/schema")
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := put("slapd.conf", fmt.Sprintf(`include %[1]s/core.schema
include %[1]s/cosine.schema
include %[1]s/inetorgperson.schema
pidfile %[2]s/pid
argsfile %[2]s/args
TLSCertificateFile %[3]s
TLSCertificateKeyFile %[4]s
database ldif
suffix "dc=example,dc=org"
directory %[2]s/data
rootdn "cn=admin,dc=example,dc=org"
rootpw secret
limits anonymous size=10
`, schema, dir, put("cert.pem", cert), put("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))))
	var people strings.Builder
	people.WriteString("dn: dc=example,dc=org\nobjectClass: domain\ndc: example\n\ndn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n\n")
	for i := range n {
		fmt.Fprintf(&people, "dn: uid=u%[1]d,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: u%[1]d\ncn: User\nsn: %[1]d\nmail: u%[1]d@example.org\n\n", i)
	}
	run(program, "-Tadd", "-f", conf, "-l", put("people.ldif", people.String()))

	var ports [2]int
	var held []net.Listener // until both are known, so that they differ
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i], held = l.Addr().(*net.TCPAddr).Port, append(held, l)
	}
	for _, l := range held {
		l.Close()
	}
	startSlapd(t, program, conf, ports)
	return ports[0], ports[1], authorities
}

// startSlapd starts it, and waits until it answers.
func startSlapd(t *testing.T, program, conf string, ports [2]int) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program, "-f", conf, "-d", "0", "-h", fmt.Sprintf("ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", ports[0], ports[1]))
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for begun := time.Now(); ; {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[1]))
		if err == nil {
			conn.Close()
			return
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("slapd does not answer: %v\n%s", err, said.String())
		}
		time.Sleep(10 * time.Millisecond) // there is nothing to wait for but the port
	}
}

func TestSlapd(t *testing.T) {
	t.Parallel()
	const n = 1234
	clear, secure, authorities := slapd(t, n)
	s := Search{Authorities: authorities, Base: "ou=people,dc=example,dc=org", BindDN: "cn=admin,dc=example,dc=org", Password: "secret", Attributes: []string{"mail"}}
	for _, s.URL = range []string{fmt.Sprintf("ldaps://127.0.0.1:%d", secure), fmt.Sprintf("ldap://127.0.0.1:%d", clear), fmt.Sprintf("ldap+insecure://127.0.0.1:%d", clear)} {
		list, err := s.Users(t.Context())
		if err != nil || len(list) != n {
			t.Fatalf("%s: %d users, %v", s.URL, len(list), err)
		}
		for _, e := range list {
			if e.Values["mail"] != e.User+"@example.org" {
				t.Errorf("%+v", e)
			}
		}
	}
	for _, c := range []struct {
		what   string
		change func(*Search)
		says   string
	}{
		{"a wrong password", func(s *Search) { s.Password = "guess" }, "refused the login"},
		{"nobody, of whom not all is shown", func(s *Search) { s.BindDN = "" }, "the list is not whole"},
		{"a base that is not there", func(s *Search) { s.Base = "ou=x,dc=example,dc=org" }, "there is no"},
		{"entries without a user", func(s *Search) { s.Filter = "(objectClass=*)" }, "0 values of uid"},
		{"a certificate that nobody knows", func(s *Search) { s.URL, s.Authorities = fmt.Sprintf("ldap://127.0.0.1:%d", clear), nil }, "encryption"},
	} {
		other := s
		c.change(&other)
		list, err := other.Users(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d users, %v", c.what, len(list), err)
		}
	}
	s.BindDN, s.Filter = "", "(uid=u7)"
	if list, err := s.Users(t.Context()); err != nil || len(list) != 1 || errors.Is(err, ErrLogin) {
		t.Errorf("%v, %v", list, err)
	}
}
