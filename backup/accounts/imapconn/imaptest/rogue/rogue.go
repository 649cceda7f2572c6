// Package rogue is what hostile IMAP servers are made of, and what watches a
// client that meets them: lines in memory, changes to the script of a server
// that is well, the beginnings of connections that every client has to get
// over ([Beginnings]), where a client meets them ([Stage]), and what must never
// be said to people. Only tests import it.
package rogue

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
)

// Whom the client knows, and as whom it comes.
const (
	Host     = "imap.example.org"
	User     = "alice"
	Password = "correct-horse"
)

// Certificate makes one for a host, Host if there is none, which is as good in a
// day as it is now.
func Certificate(t testing.TB, hosts ...string) (server, client *tls.Config) {
	now := time.Now()
	server, pem := imaptest.Certificate(t, now.Add(time.Hour), append(hosts, Host)[0])
	client = &tls.Config{RootCAs: x509.NewCertPool(), Time: func() time.Time { return now }}
	if !client.RootCAs.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	return server, client
}

// A Change makes a hostile server of one that is well. In all texts "%T" stands
// for the tag.
type Change = func(t testing.TB, s *imaptest.Script)

// Rewriting changes the answers to a command.
func Rewriting(command string, change func(cmd imaptest.Command, text string) string) Change {
	return func(_ testing.TB, s *imaptest.Script) {
		own := s.Handle[command]
		if own == nil {
			own = func(c *imaptest.Conn, cmd imaptest.Command) { c.OK(cmd) }
		}
		s.Handle[command] = imaptest.Rewrite(own, change)
	}
}

// Says answers a command so, and does nothing else.
func Says(command, text string) Change { return Handling(command, imaptest.Answer(text)) }

// Before puts text in front of the answers to a command, Behind it behind them.
func Before(command, text string) Change {
	return Rewriting(command, func(cmd imaptest.Command, answer string) string { return TagIn(text, cmd) + answer })
}

// Behind is like Before.
func Behind(command, text string) Change {
	return Rewriting(command, func(cmd imaptest.Command, answer string) string { return answer + TagIn(text, cmd) })
}

// TagIn writes the tag into a text.
func TagIn(text string, cmd imaptest.Command) string { return strings.ReplaceAll(text, "%T", cmd.Tag) }

// Swapping puts text in place of what the answers to a command have.
func Swapping(command string, oldnew ...string) Change {
	return Rewriting(command, func(cmd imaptest.Command, answer string) string {
		for i := 0; i < len(oldnew); i += 2 {
			answer = strings.ReplaceAll(answer, oldnew[i], TagIn(oldnew[i+1], cmd))
		}
		return answer
	})
}

// Together are several changes, one on top of the other.
func Together(changes ...Change) Change {
	return func(t testing.TB, s *imaptest.Script) {
		for _, c := range changes {
			c(t, s)
		}
	}
}

// Greeting is the first line.
func Greeting(text string) Change {
	return func(_ testing.TB, s *imaptest.Script) { s.Greeting = text }
}

// Offering is what the server says that it can do, besides what it can.
func Offering(caps string) Change {
	return func(_ testing.TB, s *imaptest.Script) { s.Caps += " " + caps }
}

// Handling answers a command by other means.
func Handling(command string, h imaptest.Handler) Change {
	return func(_ testing.TB, s *imaptest.Script) { s.Handle[command] = h }
}

// Pouring answers a command with text without end, after a beginning, as long as
// anybody listens; with a pause after each piece.
func Pouring(command, begin, piece string, pause time.Duration) Change {
	return Handling(command, func(c *imaptest.Conn, cmd imaptest.Command) {
		io.WriteString(c.Conn, TagIn(begin, cmd))
		Pour(c, piece, pause)
	})
}

// Pour says a piece again and again, for as long as anybody listens.
func Pour(w net.Conn, piece string, pause time.Duration) {
	for len(piece) < 32<<10 && pause == 0 {
		piece += piece
	}
	for b := []byte(piece); ; {
		if _, err := w.Write(b); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// HangUp answers and hangs up.
func HangUp(text string) imaptest.Handler {
	return func(c *imaptest.Conn, cmd imaptest.Command) {
		imaptest.Answer(text)(c, cmd)
		c.Close()
	}
}

// Silence listens and says nothing more.
func Silence(c *imaptest.Conn, _ imaptest.Command) {
	for {
		if _, err := c.Line(); err != nil {
			return
		}
	}
}

// Left tells of all goroutines of the bubble but this one that go on for longer
// than the patience of all.
func Left(patience time.Duration) []string {
	time.Sleep(patience) // for handlers that sleep
	synctest.Wait()
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	return slices.DeleteFunc(stacks, func(s string) bool {
		head, _, _ := strings.Cut(s, "\n")
		return !strings.Contains(head, "synctest bubble") || strings.Contains(s, "rogue.Left(") || strings.Contains(s, "testing/synctest.testingSynctestTest(") || strings.Contains(head, "synctest.Run")
	})
}
