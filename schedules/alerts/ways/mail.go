// Package ways has the ways that alerts go out: mail by SMTP, a webhook, and
// what others make of one (Slack, Matrix, ntfy, pings).
package ways

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"restante/backup/accounts"
	"restante/backup/accounts/smtpconn"
	"restante/schedules/alerts"
)

// Mail sends messages by SMTP.
type Mail struct {
	dial     func(ctx context.Context) (*smtpconn.Conn, error)
	from     *mail.Address
	to       []*mail.Address
	computer string
	host     string // of From, for message identifiers
}

// NewMail returns a way to addresses such as "Admins <admin@example.org>".
// The server's address is smtps://user@host (TLS), smtp://user@host (STARTTLS,
// always) or smtp+insecure://host (clear text); secret is asked for where it
// has a user. Computer is what this computer calls itself.
func NewMail(server accounts.Address, secret accounts.Secret, from string, to []string, computer string) (*Mail, error) {
	switch server.Scheme {
	case accounts.SMTPS, accounts.SMTP, accounts.SMTPInsecure:
	default:
		return nil, fmt.Errorf("%s is no server of SMTP", server)
	}
	d, err := accounts.NewSMTPDialer(server, secret, smtpconn.Options{Hello: computer, LoginTimeout: 30 * time.Second, Idle: time.Minute, Final: time.Minute})
	if err != nil {
		return nil, err
	}
	m := &Mail{dial: d.Dial, computer: computer}
	if m.from, err = mail.ParseAddress(from); err != nil {
		return nil, fmt.Errorf("%q is no address: %w", from, err)
	}
	m.host = m.from.Address[strings.LastIndex(m.from.Address, "@")+1:]
	if len(to) == 0 {
		return nil, fmt.Errorf("it goes to nobody")
	}
	for _, text := range to {
		address, err := mail.ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no address: %w", text, err)
		}
		m.to = append(m.to, address)
	}
	return m, nil
}

// Name implements alerts.Way.
func (m *Mail) Name() string { return "mail" }

// Takes implements alerts.Way.
func (m *Mail) Takes(e alerts.Event) bool { return e != alerts.Ping }

// Send implements alerts.Way. If only some of the recipients are refused it is
// sent to the others, and that is an error, so that somebody hears of it.
func (m *Mail) Send(ctx context.Context, message alerts.Message) error {
	octets, err := m.write(message)
	if err != nil {
		return fmt.Errorf("write the mail: %w", err)
	}
	c, err := m.dial(ctx)
	if err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	defer c.Close()
	stop := c.Bind(ctx)
	defer stop()
	var to []string
	for _, a := range m.to {
		to = append(to, a.Address)
	}
	replies, err := c.Deliver(smtpconn.Message{From: m.from.Address, To: to, Size: int64(len(octets)), Write: func(w io.Writer) error {
		_, err := w.Write(octets)
		return err
	}})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	var refused []string
	for i, r := range replies {
		if !r.OK() {
			refused = append(refused, fmt.Sprintf("%s: %s", to[i], r))
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("the mail server has refused mail to %s", strings.Join(refused, "; "))
	}
	c.Quit()
	return nil
}

// write makes a message of RFC 5322 in ASCII. Auto-Submitted (RFC 3834) keeps
// programs from answering it.
func (m *Mail) write(message alerts.Message) ([]byte, error) {
	id := make([]byte, 16)
	rand.Read(id)
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	to := make([]string, len(m.to))
	for i, a := range m.to {
		to[i] = a.String()
	}
	header("From", m.from.String())
	header("To", strings.Join(to, ",\r\n "))
	header("Subject", subject("[restante] "+message.Title))
	header("Date", message.Time.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	header("Message-ID", "<"+hex.EncodeToString(id)+"@"+m.host+">")
	header("Auto-Submitted", "auto-generated")
	header("X-Restante-Event", string(message.Event))
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	text := message.Text + "\n-- \nrestante on " + m.computer + "\n"
	if _, err := io.WriteString(w, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// subject writes a subject in words of RFC 2047 where it needs them, on lines
// that are not too long, and cuts one that no reader would show whole.
func subject(title string) string {
	const most = 300 // octets
	if len(title) > most {
		title = strings.ToValidUTF8(title[:most], "") + "…"
	}
	return fold(mime.QEncoding.Encode("utf-8", title))
}

// fold breaks a header's line at spaces (RFC 5322 section 2.2.3).
func fold(value string) string {
	const most = 70
	var b strings.Builder
	line := 0
	for i, word := range strings.Split(value, " ") {
		switch {
		case i == 0:
		case line+1+len(word) > most:
			b.WriteString("\r\n ")
			line = 1
		default:
			b.WriteString(" ")
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}
