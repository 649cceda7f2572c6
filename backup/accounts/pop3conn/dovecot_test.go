package pop3conn

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"restante/cmd/testbed/servers"
)

// The tests in this file use a real server, which the testbed starts:
//
//	go run ./cmd/testbed go test ./backup/accounts/...

func realServer(t testing.TB, s servers.Server, user string) Options {
	t.Helper()
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Address: s.Address, User: user, Password: servers.Password, TLS: trust(t, pem)}
}

// If this fails, Dovecot doubles a dot at the beginning of a message by now.
func TestRealServerDoesNotDoubleTheFirstDot(t *testing.T) {
	t.Parallel()
	s, user := servers.POP3(t), servers.NewUser(t)
	servers.Load(t, servers.IMAP(t), user, "INBOX", servers.Message{Octets: []byte("..a\r\n")}, servers.Message{Octets: []byte(".\r\n")})
	o := realServer(t, s, user)
	o.Security = STLS
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	texts, bodies, err := retrieveListed(c, l.Messages)
	if !errors.Is(err, ErrOutOfStep) || len(texts) != 1 || texts[0] != ".a\r\n" || !bodies[0].Undoubled(l.Messages[0].Size) {
		t.Errorf("%q, %+v, %v", texts, bodies, err)
	}
}

func TestRealServerConnects(t *testing.T) {
	t.Parallel()
	s, user := servers.POP3(t), servers.NewUser(t)
	servers.Load(t, servers.IMAP(t), user, "INBOX", servers.Message{Octets: []byte("Subject: a\r\n\r\nb\r\n")})
	for _, security := range []Security{TLS, STLS, Insecure} {
		for _, m := range []Mechanism{AnyPassword, Plain, User} {
			o := realServer(t, s, user)
			if o.Security, o.Mechanism = security, m; security == TLS {
				o.Address = s.TLSAddress
			}
			c, err := Dial(t.Context(), o)
			if err != nil {
				t.Errorf("%v, %q: %v", security, m, err)
				continue
			}
			if l, err := c.List(); err != nil || len(l.Messages) != 1 || l.Messages[0].UIDL == "" || !l.Sure {
				t.Errorf("%+v, %v", l, err)
			}
			if !c.caps.has("PIPELINING") {
				t.Errorf("it offers %v", c.caps)
			}
			if err := c.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	o := realServer(t, s, user)
	o.Security, o.Password = STLS, "wrong"
	if _, err := Dial(t.Context(), o); !errors.Is(err, ErrLogin) {
		t.Errorf("wrong password: %v", err)
	}
	o = realServer(t, s, "admin")
	o.Security, o.User, o.ActAs, o.Password = STLS, "master", user, servers.MasterPassword
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatalf("as a master user: %v", err)
	}
	if l, err := c.List(); err != nil || len(l.Messages) != 1 {
		t.Errorf("as a master user: %+v, %v", l, err)
	}
	c.Close()
	o = realServer(t, s, user)
	o.Address, o.TLS = s.TLSAddress, nil
	if _, err := Dial(t.Context(), o); !errors.Is(err, ErrTLS) {
		t.Errorf("unknown authority: %v", err)
	}
}

// Every message of an account comes as it was loaded. Dovecot turns a bare LF
// and CR CR LF into CRLF and a NUL into 0x80, so messages with those are left
// out; one that begins with a dot alone cannot be had from it.
func TestRealServerKeepsMessages(t *testing.T) {
	t.Parallel()
	s, user := servers.POP3(t), servers.NewUser(t)
	var want []string
	var load []servers.Message
	add := func(octets string) {
		if octets == "" || strings.HasPrefix(octets, ".\r") || strings.Contains(octets, "\x00") || strings.Contains(octets, "\r\r\n") || strings.Contains(strings.ReplaceAll(octets, "\r\n", ""), "\n") {
			return
		}
		want = append(want, octets)
		load = append(load, servers.Message{Octets: []byte(octets)})
	}
	for _, m := range odd {
		add(m.octets)
	}
	for i := range 500 {
		add(fmt.Sprintf("From: a@example.org\r\nSubject: %d\r\n\r\n%s\r\n", i, bytes.Repeat([]byte(".\r\n..\r\nline\r\n"), i*7%50)))
	}
	servers.Load(t, servers.IMAP(t), user, "INBOX", load...)
	for name, oneByOne := range map[string]bool{"pipelined": false, "one by one": true} {
		o := realServer(t, s, user)
		o.Security, o.OneByOne = STLS, oneByOne
		c, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		l, err := c.List()
		if err != nil || len(l.Messages) != len(want) || !l.Sure {
			t.Fatalf("%d of %d messages, %v", len(l.Messages), len(want), err)
		}
		texts, bodies, err := retrieveListed(c, l.Messages)
		if err != nil || len(texts) != len(want) {
			t.Fatalf("%d of %d messages, %v", len(texts), len(want), err)
		}
		for i := range want {
			if bodies[i].Undoubled(l.Messages[i].Size) {
				texts[i] = "." + texts[i]
			}
			// RFC 1939 section 3: a server ends what it sends with CRLF.
			if w := want[i]; texts[i] != w && texts[i] != w+"\r\n" || bodies[i].Oddity&^DotFirst != 0 {
				t.Errorf("%s: %.200q comes as %.200q, %+v", name, w, texts[i], bodies[i])
			}
		}
		if err := c.Quit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
