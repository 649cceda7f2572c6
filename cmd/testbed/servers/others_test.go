package servers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"restante/cmd/testbed/rawimap"
)

// What tests of Restante rely on in Cyrus and Courier.

// others are the servers that are no Dovecot.
var others = map[string]func(testing.TB) Server{"Cyrus": Cyrus, "Cyrus, dot": CyrusDot, "Courier": Courier}

func each(t *testing.T, f func(*testing.T, Server)) {
	for name, server := range others {
		t.Run(name, func(t *testing.T) { t.Parallel(); f(t, server(t)) })
	}
}

func TestOthersCheckThePassword(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Server) {
		for password, right := range map[string]bool{Password: true, "": false, "wrong": false, MasterPassword: false} {
			c, err := rawimap.Dial(t.Context(), s.Address)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Login(NewUser(t), password); (err == nil) != right {
				t.Errorf("password %q: %v", password, err)
			}
			c.Close()
		}
	})
}

func TestOthersSpeakTLSWithACertificateOfTheirAuthority(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Server) {
		ca, err := os.ReadFile(s.CA)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		conn, err := tls.Dial("tcp", s.TLSAddress, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
}

func TestOthersKeepMessagesFoldersAndSubscriptions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Server) {
		user := NewUser(t)
		wire := s.Prefix + "a" + s.Delimiter + rawimap.EncodeName("Größe & 1")
		Load(t, s, user, wire, Message{[]byte("Subject: x\r\n\r\nbody\r\n"), []string{`\Seen`, "$Forwarded"}, date})
		Load(t, s, user, "INBOX", Message{message("one"), nil, date})
		Login(t, s, user).Do("UNSUBSCRIBE INBOX")
		m := Dump(t, s, user)
		f := m.Folder(wire)
		if f == nil || len(f.Messages) != 1 || !f.Subscribed || f.Delimiter != s.Delimiter {
			t.Fatalf("the folder is %+v", f)
		}
		if got := f.Messages[0]; string(got.Octets) != "Subject: x\r\n\r\nbody\r\n" || strings.Join(got.Flags, " ") != `$Forwarded \Seen` {
			t.Errorf("the message is %q with %v", got.Octets, got.Flags)
		}
		if in := m.Folder("INBOX"); in == nil || in.Subscribed || len(in.Messages) != 1 {
			t.Errorf("INBOX is %+v", in)
		}
	})
}

func TestCyrusAdminActsAsAnybody(t *testing.T) {
	t.Parallel()
	s, user := Cyrus(t), NewUser(t)
	Load(t, s, user, "Mine")
	as := func(password string) *rawimap.Conn {
		c, err := rawimap.Dial(t.Context(), s.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Do("AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte(user+"\x00"+CyrusAdmin+"\x00"+password))); err != nil {
			if password == MasterPassword {
				t.Fatal(err)
			}
			return nil
		}
		return c
	}
	c := as(MasterPassword)
	folders, err := c.List()
	if err != nil || len(folders) != 2 || folders[1].Name != "Mine" {
		t.Errorf("%v, %+v", err, folders)
	}
	if as(Password) != nil {
		t.Error("the admin got in with a user's password")
	}
}
