package pop3source

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"

	"restante/backup/accounts/pop3conn/pop3test"
)

// hostileEverywhere are scripts made by loops: each mischief at each command,
// and the connection lost behind each octet of each answer of many lines.
func hostileEverywhere() []hostile { return append(mischiefs(), cutAnswers()...) }

func mischiefs() (list []hostile) {
	type mischief struct {
		name string
		do   func(s *stage, c *pop3test.Conn)
	}
	breaking := []mischief{
		{"silence", func(_ *stage, c *pop3test.Conn) { deaf(c.Conn) }},
		{"closed", func(_ *stage, c *pop3test.Conn) { c.Close() }},
		{"an octet a minute", func(s *stage, c *pop3test.Conn) { drip(s, c.Conn) }},
		{"rubbish", func(_ *stage, c *pop3test.Conn) { c.Say("%s\r\n", escapes) }},
		{"a blank line", func(_ *stage, c *pop3test.Conn) { c.Say("\r\n") }},
		{"a line without end", func(_ *stage, c *pop3test.Conn) { go deaf(c.Conn); flood(c.Conn, "+OK ") }},
	}
	// What comes of an answer that is none, and of -ERR.
	for _, at := range []struct {
		verb           string
		broken, denied outcome
	}{
		{"CAPA", refused, right}, {"USER", refused, refused}, {"PASS", refused, refused}, {"STAT", refused, refused}, {"LIST", refused, right},
		{"UIDL", refused, right}, {"RETR", incomplete, incomplete}, {"TOP", right, right}, {"DELE", right, right}, {"QUIT", right, right},
	} {
		for _, m := range breaking {
			list = append(list, hostile{name: at.verb + " is answered with " + m.name, setup: func(s *stage) {
				s.on(at.verb, func(c *pop3test.Conn, _ string) { m.do(s, c) })
			}, want: at.broken})
		}
		list = append(list,
			hostile{name: at.verb + " is answered with -ERR", setup: says(at.verb, "-ERR ["+escapes+"] "+escapes+"\r\n"), want: at.denied},
			hostile{name: at.verb + " is answered twice", setup: func(s *stage) {
				s.on(at.verb, func(c *pop3test.Conn, command string) { c.Default(command); c.Default(command) })
			}},
			hostile{name: at.verb + " is answered a command late", setup: func(s *stage) {
				var late string
				s.on(at.verb, func(_ *pop3test.Conn, command string) { late = command })
				for _, verb := range []string{"NOOP", "UIDL", "LIST", "RETR", "QUIT"} {
					if s.Handle[verb] == nil {
						s.on(verb, func(c *pop3test.Conn, command string) {
							if late != "" {
								c.Default(late)
								late = ""
							}
							c.Default(command)
						})
					}
				}
			}},
		)
	}
	return list
}

// cutAnswers are scripts in which the connection of one session is lost behind
// so many octets of an answer, on a later night: each number of octets, or a
// share of them, another one each time.
func cutAnswers() (list []hostile) {
	step := 1
	if os.Getenv("RESTANTE_LONG") == "" {
		step = 7
	}
	for _, answer := range []struct{ verb, text string }{
		{"CAPA", "+OK\r\nUSER\r\nTOP\r\nUIDL\r\n.\r\n"},
		{"LIST", "+OK\r\n1 56\r\n2 56\r\n3 60\r\n4 70\r\n5 100\r\n6 56\r\n.\r\n"},
		{"UIDL", "+OK\r\n1 uidl-1-38\r\n2 uidl-2-38\r\n3 uidl-3\r\n4 uidl-4\r\n5 uidl-5\r\n6 uidl-6\r\n.\r\n"},
		{"TOP", "+OK\r\nFrom: ann@example.org\r\nSubject: 0\r\n\r\n.\r\n"},
		{"RETR", "+OK\r\n" + pop3test.Stuff(late)},
	} {
		for n := rand.IntN(step); n < len(answer.text); n += step {
			list = append(list, hostile{name: fmt.Sprintf("%s is cut behind %d octets, once", answer.verb, n), setup: func(s *stage) {
				var done atomic.Bool
				s.Caps = "USER\r\nTOP\r\nUIDL\r\n" + strings.Repeat("PIPELINING\r\n", n%2)
				s.on(answer.verb, func(c *pop3test.Conn, command string) {
					if done.CompareAndSwap(false, true) {
						io.WriteString(c.Conn, answer.text[:n])
						c.Close()
						return
					}
					c.Default(command)
				})
			}, want: right, later: true})
		}
	}
	return list
}
