package imaptarget

import (
	"strings"
	"sync"
	"testing"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// hostileSteps are servers that play a trick at a command: once, from which a
// restore recovers unless it has just begun, and each time, from which it cannot.
func hostileSteps() (list []hostile) {
	after := func(h imaptest.Handler) func(own imaptest.Handler) imaptest.Handler {
		return func(own imaptest.Handler) imaptest.Handler {
			return func(c *imaptest.Conn, cmd imaptest.Command) { own(c, cmd); h(c, cmd) }
		}
	}
	instead := func(h imaptest.Handler) func(imaptest.Handler) imaptest.Handler {
		return func(imaptest.Handler) imaptest.Handler { return h }
	}
	tricks := []struct {
		name string
		play func(own imaptest.Handler) imaptest.Handler
	}{
		{"hangs up", instead(rogue.HangUp(""))},
		{"hangs up behind the answer", after(func(c *imaptest.Conn, _ imaptest.Command) { c.Close() })},
		{"BYE", instead(rogue.HangUp("* BYE enough\r\n"))},
		{"BYE with the password", instead(rogue.HangUp("* BYE " + rogue.Evil + "\r\n"))},
		{"silence", instead(rogue.Silence)},
		{"an octet each 30 s", instead(func(c *imaptest.Conn, _ imaptest.Command) { rogue.Pour(c, "x", 30*time.Second) })},
		{"lines for ever", instead(func(c *imaptest.Conn, _ imaptest.Command) { rogue.Pour(c, "* OK still here\r\n", 10*time.Second) })},
		{"a line without end", instead(func(c *imaptest.Conn, _ imaptest.Command) { rogue.Pour(c, strings.Repeat("x", 1<<10), 0) })},
		{"a literal of 4 GiB", instead(imaptest.Answer("* X {4294967296}\r\n"))},
		{"half an answer", func(own imaptest.Handler) imaptest.Handler {
			return func(c *imaptest.Conn, cmd imaptest.Command) {
				imaptest.Rewrite(own, func(_ imaptest.Command, text string) string { return text[:len(text)/2] })(c, cmd)
				c.Close()
			}
		}},
		{"MAYBE", instead(imaptest.Answer("%T MAYBE later\r\n"))},
		{"busy", instead(imaptest.Answer("%T NO [UNAVAILABLE] later\r\n"))},
		{"OK and nothing else", instead(imaptest.Answer("%T OK done\r\n"))},
	}
	for _, command := range []string{"NAMESPACE", "LIST", "SELECT", "UID FETCH", "CREATE", "SUBSCRIBE", "APPEND"} {
		for _, trick := range tricks {
			want, always := complete(), outcome{}
			if command == "NAMESPACE" || command == "LIST" {
				want = outcome{} // a person wants to know at once
			}
			if trick.name == "OK and nothing else" { // it has to be believed
				want = outcome{lies: command == "APPEND"}
				if always = want; command == "UID FETCH" {
					always = outcome{spoils: true, noted: "they could not be compared"}
				}
			}
			var once sync.Once
			list = append(list, hostile{name: command + ", once: " + trick.name, want: want, server: func(_ testing.TB, s *imaptest.Script) {
				own := s.Handle[command]
				s.Handle[command] = func(c *imaptest.Conn, cmd imaptest.Command) {
					h := own
					once.Do(func() { h = trick.play(own) })
					h(c, cmd)
				}
			}}, hostile{name: command + ", each time: " + trick.name, want: always, server: func(_ testing.TB, s *imaptest.Script) {
				s.Handle[command] = trick.play(s.Handle[command])
			}})
		}
	}
	return list
}
