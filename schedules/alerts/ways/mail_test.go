package ways

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"restante/backup/accounts"
	"restante/backup/accounts/smtpconn/smtptest"
	"restante/schedules/alerts"
	"restante/schedules/queue"
)

var monday = time.Date(2026, 6, 1, 6, 0, 0, 0, time.UTC)

func secret(s string) accounts.Secret {
	return func(context.Context) (string, error) { return s, nil }
}

func message(event alerts.Event, title, text string) alerts.Message {
	return alerts.Message{Event: event, Topic: "failure/backup/login/mail.example.org", Kind: alerts.Failure, Title: title, Text: text, Time: monday, Since: monday.Add(-time.Hour), Open: 1,
		List: []queue.Alert{{Name: "n", Kind: "failure", Account: "anna", Server: "mail.example.org", Text: "refused", Since: monday.Add(-time.Hour)}}}
}

// mailTo is a way to a server.
func mailTo(t *testing.T, s *smtptest.Server, to ...string) *Mail {
	t.Helper()
	host, port, err := net.SplitHostPort(smtptest.Start(t, s))
	if err != nil {
		t.Fatal(err)
	}
	a := accounts.Address{Scheme: accounts.SMTPInsecure, Host: host, User: s.User}
	if a.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	m, err := NewMail(a, secret(s.Password), "Restante <restante@example.org>", to, "backup1")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMailIsAMessage(t *testing.T) {
	t.Parallel()
	s := &smtptest.Server{}
	m := mailTo(t, s, "Jürgen <admin@example.org>", "night@example.org")
	for _, c := range []struct{ title, subject, text string }{
		{"212 accounts on mail.example.org cannot log in: " + strings.Repeat("a long reason, ", 15) + "x", "[restante] 212 accounts on mail.example.org cannot log in: " + strings.Repeat("a long reason, ", 15) + "x", "line\n.dot\n..dots\nFrom here\n"},
		{"Größe äöü 邮件 " + strings.Repeat("ü", 400), "[restante] Größe äöü 邮件 " + strings.Repeat("ü", 133) + "…", strings.Repeat("ü", 2000) + "\n= and \t\n"},
		{"two\r\nBcc: evil@example.org", "[restante] two\r\nBcc: evil@example.org", "x\n"},
	} {
		if err := m.Send(t.Context(), message(alerts.Opened, c.title, c.text)); err != nil {
			t.Fatal(err)
		}
		got := s.Got()
		last := got[len(got)-1]
		if len(got)%2 != 0 || last.To != "night@example.org" || last.From != "restante@example.org" {
			t.Fatalf("%+v", got)
		}
		for line := range strings.SplitSeq(last.Octets, "\r\n") {
			if len(line) > 100 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }) {
				t.Errorf("a line of %d octets: %q", len(line), line)
			}
		}
		parsed, err := mail.ReadMessage(strings.NewReader(last.Octets))
		if err != nil {
			t.Fatal(err)
		}
		h := parsed.Header
		if at, err := h.Date(); err != nil || !at.Equal(monday) {
			t.Errorf("date: %v, %v", at, err)
		}
		if h.Get("Auto-Submitted") != "auto-generated" || h.Get("Bcc") != "" || !regexp.MustCompile(`^<[0-9a-f]{32}@example\.org>$`).MatchString(h.Get("Message-ID")) {
			t.Errorf("%v", h)
		}
		if to, err := h.AddressList("To"); err != nil || len(to) != 2 || to[0].Name != "Jürgen" {
			t.Errorf("to: %v, %v", to, err)
		}
		title, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
		if err != nil || title != c.subject {
			t.Errorf("subject: %q, %v", title, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(parsed.Body))
		if err != nil || !strings.HasPrefix(strings.ReplaceAll(string(body), "\r\n", "\n"), c.text) {
			t.Errorf("body: %.100q, %v", body, err)
		}
	}
}

func TestMailThatIsRefusedIsAnError(t *testing.T) {
	t.Parallel()
	s := &smtptest.Server{Handle: map[string]func(*smtptest.Session, string) string{"RCPT": func(_ *smtptest.Session, command string) string {
		if strings.Contains(command, "gone@") {
			return "550 5.1.1 no such user"
		}
		return ""
	}}}
	m := mailTo(t, s, "admin@example.org", "gone@example.org")
	err := m.Send(t.Context(), message(alerts.Test, "t", "x\n"))
	if err == nil || !strings.Contains(err.Error(), "gone@example.org: 550 5.1.1 no such user") || strings.Contains(err.Error(), "admin@") {
		t.Errorf("%v", err)
	}
	if len(s.Got()) != 1 {
		t.Errorf("%+v", s.Got())
	}
}

func TestMailsPasswordIsInNoError(t *testing.T) {
	t.Parallel()
	const password = "correct horse"
	s := &smtptest.Server{User: "restante", Password: "another one"}
	host, port, _ := net.SplitHostPort(smtptest.Start(t, s))
	number, _ := strconv.Atoi(port)
	m, err := NewMail(accounts.Address{Scheme: accounts.SMTPInsecure, Host: host, Port: number, User: "restante"}, secret(password), "r@example.org", []string{"a@example.org"}, "backup1")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), message(alerts.Test, "t", "x\n")); err == nil || strings.Contains(err.Error(), password) || !strings.Contains(err.Error(), "refused the login") {
		t.Errorf("%v", err)
	}
	if len(s.Got()) != 0 {
		t.Error("it was delivered")
	}
}

func TestMailEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("it takes too long")
	s := &smtptest.Server{Final: func(*smtptest.Session, string, string) string { cancel(why); return "hang up" }}
	if err := mailTo(t, s, "a@example.org").Send(ctx, message(alerts.Test, "t", "x\n")); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

func TestMailNeedsAddresses(t *testing.T) {
	t.Parallel()
	good := accounts.Address{Scheme: accounts.SMTPS, Host: "h", Port: 465}
	for _, c := range []struct {
		address accounts.Address
		from    string
		to      []string
	}{{accounts.Address{Scheme: accounts.IMAPS}, "a@b", []string{"a@b"}}, {good, "nobody", []string{"a@b"}}, {good, "a@b", nil}, {good, "a@b", []string{"a@b\r\nx"}}} {
		if _, err := NewMail(c.address, nil, c.from, c.to, "c"); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
