package servers

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"

	"restante/cmd/testbed/rawimap"
)

// What tests of Restante rely on in the mail server.

func TestTheServerTakesOddFolderNames(t *testing.T) {
	t.Parallel()
	odd := []string{
		"R&D", `say "hi"`, `back\slash`, "trail ", " lead", "日本語", "👋", "100%", "star*", "a]b[c", "(x)", "{3}",
		"~", "~tilde", "&", "&-", "NIL", strings.Repeat("n", 200),
	}
	both(t, func(t *testing.T, s Server) {
		names := append(odd, "a.b", ".", "..", ".hidden")
		if s.Delimiter == "." {
			names = append(odd, "a/b", "/", "/root")
		}
		user := NewUser(t)
		session := Login(t, s, user)
		for i, name := range names {
			wire := rawimap.EncodeName(s.Prefix + name)
			if _, err := session.Conn.Do("CREATE " + rawimap.Quote(wire)); err != nil {
				t.Errorf("the server does not take %q: %v", name, err)
				continue
			}
			session.Append(wire, Message{Octets: fmt.Appendf(nil, "Subject: %d\r\n\r\n", i)})
		}
		m := Dump(t, s, user)
		for i, name := range names {
			f := m.Folder(rawimap.EncodeName(s.Prefix + name))
			if f == nil || len(f.Messages) != 1 || !bytes.HasPrefix(f.Messages[0].Octets, fmt.Appendf(nil, "Subject: %d\r", i)) {
				t.Errorf("%q comes back as %+v", name, f)
			}
		}
		if len(m.Folders) != 1+len(names) {
			t.Errorf("%d folders were made, and there are %d", len(names), len(m.Folders))
		}
	})
}

func TestTheServerCanWhatRestanteUses(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s Server) {
		session := Login(t, s, NewUser(t))
		answer := session.Do("CAPABILITY")
		has := strings.Fields(answer[0])
		for _, want := range []string{
			"IDLE", "NAMESPACE", "UIDPLUS", "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "CONDSTORE", "QRESYNC", "ESEARCH",
			"MOVE", "MULTIAPPEND", "LITERAL+", "COMPRESS=DEFLATE", "ENABLE", "METADATA",
		} {
			if !slices.Contains(has, want) {
				t.Errorf("no %s in %s", want, answer[0])
			}
		}
		session.Do("CREATE " + s.Prefix + "Archive")
		session.Do("SUBSCRIBE " + s.Prefix + "Archive")
		list := session.Do(`LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))`)
		name := s.Prefix + "Archive"
		if !slices.Contains(list, `* LIST (\Subscribed \Archive) "`+s.Delimiter+`" `+name) ||
			!slices.ContainsFunc(list, func(r string) bool {
				return strings.HasPrefix(r, "* STATUS "+name+" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY ")
			}) {
			t.Errorf("one LIST for everything gives %q", list)
		}
	})
}

func TestAMasterUserLogsInAsAnybody(t *testing.T) {
	t.Parallel()
	s, user := IMAP(t), NewUser(t)
	Load(t, s, user, "INBOX", Message{Octets: message("hers")})
	if f := Dump(t, s, user+"*master").Folder("INBOX"); len(f.Messages) != 1 {
		t.Errorf("as a master user: %+v", f)
	}
	for name, login := range map[string][2]string{
		"a wrong password":                     {user, "wrong"},
		"a user with the master's password":    {user, MasterPassword},
		"a master user with a user's password": {user + "*master", Password},
	} {
		c, err := rawimap.Dial(t.Context(), s.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var refused *rawimap.Refused
		if err := c.Login(login[0], login[1]); !errors.As(err, &refused) || !strings.Contains(refused.Answer, "AUTHENTICATIONFAILED") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	s := IMAP(t)
	ca, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("no certificate in %s", s.CA)
	}
	handshake := func(addr string) error {
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots})
		if err == nil {
			conn.Close()
		}
		return err
	}
	for name, addr := range map[string]string{
		"IMAPS": s.TLSAddress, "IMAPS of the other server": IMAPDot(t).TLSAddress, "POP3S": POP3(t).TLSAddress,
		"IMAPS at localhost": strings.Replace(s.TLSAddress, "127.0.0.1", "localhost", 1),
	} {
		if err := handshake(addr); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := BadCertificates(t)
	if err := handshake(bad["unknown authority"]); !isA[x509.UnknownAuthorityError](err) {
		t.Errorf("a certificate of an unknown authority gives %v", err)
	}
	if err := handshake(bad["expired"]); !isA[x509.CertificateInvalidError](err) {
		t.Errorf("an expired certificate gives %v", err)
	}
	if err := handshake(bad["other name"]); !isA[x509.HostnameError](err) {
		t.Errorf("another server's certificate gives %v", err)
	}
	// Whoever does not look gets the real server.
	conn, err := tls.Dial("tcp", bad["expired"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if line, err := textproto.NewConn(conn).ReadLine(); err != nil || !strings.HasPrefix(line, "* OK ") {
		t.Errorf("behind a bad certificate stands %q, %v", line, err)
	}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestMailComesInByLMTPAndOutByPOP3(t *testing.T) {
	t.Parallel()
	s, user := POP3(t), NewUser(t)
	if err := deliver(LMTP(t), user+"@example.org", message("delivered")); err != nil {
		t.Fatal(err)
	}
	c, err := textproto.Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var line string
	for _, command := range []string{"", "USER " + user, "PASS " + Password, "RETR 1"} {
		if command != "" {
			c.PrintfLine("%s", command)
		}
		if line, err = c.ReadLine(); err != nil || !strings.HasPrefix(line, "+OK") {
			t.Fatalf("%s: %q, %v", command, line, err)
		}
	}
	text, err := c.ReadDotBytes()
	if err != nil || !bytes.Contains(text, []byte("Subject: delivered\n")) {
		t.Errorf("RETR gives %q, %v", text, err)
	}
}

// deliver hands a message to an LMTP server (RFC 2033), which differs from
// SMTP, for one recipient, in its greeting only.
func deliver(addr, to string, octets []byte) error {
	text, err := textproto.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer text.Close()
	if _, _, err := text.ReadResponse(220); err != nil {
		return err
	}
	for _, step := range []struct {
		command string
		code    int
	}{{"LHLO test.example", 250}, {"MAIL FROM:<sender@example.org>", 250}, {"RCPT TO:<" + to + ">", 250}, {"DATA", 354}} {
		text.PrintfLine("%s", step.command)
		if _, _, err := text.ReadResponse(step.code); err != nil {
			return fmt.Errorf("%s: %w", step.command, err)
		}
	}
	w := text.DotWriter()
	w.Write(octets)
	w.Close()
	_, _, err = text.ReadResponse(250)
	return err
}

func TestDoveadmSeesTheUsers(t *testing.T) {
	t.Parallel()
	s, user := IMAP(t), NewUser(t)
	Load(t, s, user, "Entw&APw-rfe", Message{Octets: message("draft")})
	if out := Doveadm(t, "mailbox", "status", "-u", user, "messages", "*"); !strings.Contains(out, "Entwürfe messages=1") {
		t.Errorf("doveadm says %q", out)
	}
}
