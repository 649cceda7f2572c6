package pop3source

import (
	"fmt"
	"io"
	"strings"

	"restante/backup/accounts/pop3conn/pop3test"
)

// wires has RETR send for each message what wire makes of it.
func wires(wire func(n int, m *pop3test.Message) string) func(*stage) {
	return func(s *stage) {
		s.on("RETR", func(c *pop3test.Conn, command string) {
			n := numberOf(command)
			if n < 1 || n > len(c.Messages) {
				c.Default(command)
				return
			}
			io.WriteString(c.Conn, wire(n, c.Messages[n-1]))
		})
	}
}

// numberOf is the message that a command is about.
func numberOf(command string) (n int) {
	_, argument, _ := strings.Cut(command, " ")
	fmt.Sscan(argument, &n)
	return n
}

// at has a handler answer RETR of one message, whenever it is asked for.
func at(number int, handle func(c *pop3test.Conn)) func(*stage) {
	return func(s *stage) {
		s.on("RETR", func(c *pop3test.Conn, command string) {
			if numberOf(command) == number {
				handle(c)
			} else {
				c.Default(command)
			}
		})
	}
}

// replaced puts a message in the place of another one.
func replaced(s *stage, number int, octets string) {
	s.Messages[number-1] = &pop3test.Message{UIDL: "unknown", Octets: octets}
}

func hostileBodies() []hostile {
	ok := func(m *pop3test.Message) string { return "+OK\r\n" + pop3test.Stuff(m.Octets) }
	// unread makes the server's messages new ones, so that they are read on any
	// night.
	unread := func(change func(*stage)) func(*stage) {
		return func(s *stage) {
			for i, m := range s.Messages {
				s.Messages[i] = &pop3test.Message{UIDL: fmt.Sprint("new-", i), Octets: strings.Replace(m.Octets, "Subject: ", "Subject: new ", 1)}
			}
			change(s)
		}
	}
	every := func(name string, setup func(*stage), want outcome, says string) hostile {
		return hostile{name: name, setup: unread(setup), want: want, says: says, gone: true}
	}
	list := []hostile{
		every("RETR: -ERR to all", says("RETR", "-ERR no\r\n"), incomplete, "the server refused"),
		every("RETR: -ERR with escape sequences to all", says("RETR", "-ERR ["+escapes+"] "+escapes+"\r\n"), incomplete, "the server refused"),
		every("RETR: -ERR with 60 KB of reasons to all", says("RETR", "-ERR "+strings.Repeat("because ", 7500)+"\r\n"), incomplete, "because"),
		every("RETR: -ERR to one", at(2, func(c *pop3test.Conn) { c.Say("-ERR broken\r\n") }), incomplete, "broken"),
		every("RETR: -ERR [SYS/TEMP] to one", at(2, func(c *pop3test.Conn) { c.Say("-ERR [SYS/TEMP] later\r\n") }), incomplete, "later"),
		every("RETR: -ERR with a message behind it", at(2, func(c *pop3test.Conn) { c.Say("-ERR\r\nSubject: x\r\n\r\n.\r\n") }), incomplete, "not certain where"),
		every("RETR: +OK twice", wires(func(_ int, m *pop3test.Message) string { return "+OK\r\n+OK\r\n" + pop3test.Stuff(m.Octets) }), believed, ""),
		every("RETR: a blank line before +OK", wires(func(_ int, m *pop3test.Message) string { return "\r\n" + ok(m) }), incomplete, `"" in place of +OK`),
		every("RETR: no status", wires(func(_ int, m *pop3test.Message) string { return pop3test.Stuff(m.Octets) }), incomplete, "in place of +OK"),
		every("RETR: the connection is closed at one message", at(3, func(c *pop3test.Conn) { c.Close() }), incomplete, "closed the connection"),
		every("RETR: the connection is closed in one message", at(3, func(c *pop3test.Conn) { c.Say("+OK\r\nhalf"); c.Close() }), incomplete, "closed the connection"),
		every("RETR: silence in one message", at(3, func(c *pop3test.Conn) { c.Say("+OK\r\nhalf"); deaf(c.Conn) }), incomplete, "silent for"),
		every("RETR: an octet a minute in one message", func(s *stage) {
			at(3, func(c *pop3test.Conn) { c.Say("+OK\r\nhalf"); drip(s, c.Conn) })(s)
		}, incomplete, "octets in"),
		every("RETR: no end to one message", at(3, func(c *pop3test.Conn) { c.Say("+OK\r\nSubject: x\r\n\r\nx\r\n"); deaf(c.Conn) }), incomplete, "silent for"),
		every("RETR: one message ends with bare LF, dot, CRLF", at(3, func(c *pop3test.Conn) { c.Say("+OK\r\nSubject: x\n\nx\n.\r\n") }), incomplete, "does not end the message"),
		every("RETR: one message ends with dot, bare LF", at(3, func(c *pop3test.Conn) { c.Say("+OK\r\nSubject: x\r\n\r\nx\r\n.\n") }), incomplete, "does not end the message"),
		every("RETR: one message is endless", func(s *stage) {
			s.options.MaxMessage = 4 << 20
			at(3, func(c *pop3test.Conn) { c.Say("+OK\r\nSubject: x\r\n\r\n"); flood(c.Conn, "x") })(s)
		}, incomplete, "a message of more than"),
		every("RETR: all messages are empty", wires(func(int, *pop3test.Message) string { return "+OK\r\n.\r\n" }), incomplete, "not certain where"),
		every("RETR: all messages are empty, and said to be", both(wires(func(int, *pop3test.Message) string { return "+OK\r\n.\r\n" }), sizes(func(*pop3test.Conn, int, *pop3test.Message) string { return "0" })), believed, ""),
		every("RETR: another message", wires(func(n int, _ *pop3test.Message) string { return ok(&pop3test.Message{Octets: truth[n%len(truth)]}) }), believed, ""),
		every("RETR: the first message for all", wires(func(int, *pop3test.Message) string { return ok(&pop3test.Message{Octets: truth[0]}) }), believed, ""),
		every("RETR: the answer to TOP", wires(func(_ int, m *pop3test.Message) string {
			head, _, _ := strings.Cut(m.Octets, "\r\n\r\n")
			return "+OK\r\n" + pop3test.Stuff(head+"\r\n\r\n")
		}), believed, ""),
		every("RETR: another message when it is to be deleted", func(s *stage) {
			s.on("RETR", func(c *pop3test.Conn, command string) {
				if s.removing.Load() {
					io.WriteString(c.Conn, ok(&pop3test.Message{Octets: late}))
					return
				}
				c.Default(command)
			})
			s.Unknown = "TOP"
		}, right, ""),
		every("RETR: the next answer comes unasked", at(2, func(c *pop3test.Conn) {
			io.WriteString(c.Conn, ok(c.Messages[1])+"+OK\r\nSubject: forged\r\n\r\nx\r\n.\r\n")
		}), incomplete, "not certain where"),
		every("RETR: rubbish behind every message", wires(func(_ int, m *pop3test.Message) string { return ok(m) + escapes + "\r\n" }), incomplete, ""),
		every("RETR: a line of 10 MiB", func(s *stage) { replaced(s, 3, "Subject: x\r\n\r\n"+strings.Repeat("y", 10<<20)+"\r\n") }, right, ""),
		every("RETR: a header line of 10 MiB", func(s *stage) { replaced(s, 3, "Subject: "+strings.Repeat("y", 10<<20)+"\r\n\r\n") }, right, ""),
		every("RETR: 3 MiB of dots", func(s *stage) { replaced(s, 3, "Subject: x\r\n\r\n"+strings.Repeat(".\r\n", 1<<20)) }, right, ""),
		every("RETR: no dot is doubled, and a line is a dot", unstuffed("Subject: x\r\n\r\none\r\n.\r\ntwo\r\nthree\r\n"), incomplete, "not certain where"),
		every("RETR: no dot is doubled, and a message says what an answer does", unstuffed("Subject: x\r\n\r\none\r\n.\r\n+OK\r\nSubject: forged\r\n\r\nx\r\n"), incomplete, "not certain where"),
		every("RETR: no dot is doubled, and a message says what many answers do", unstuffed("Subject: x\r\n\r\none\r\n"+strings.Repeat(".\r\n+OK\r\nSubject: forged\r\n\r\nx\r\n", 40)), incomplete, "not certain where"),
		every("RETR: no dot is doubled, and a line begins with one", func(s *stage) {
			replaced(s, 3, "Subject: x\r\n\r\n.one\r\n")
			wires(func(_ int, m *pop3test.Message) string { return "+OK\r\n" + m.Octets + ".\r\n" })(s)
		}, believed, "line ends or dots"),
		every("RETR: every line has a dot more", wires(func(_ int, m *pop3test.Message) string {
			return "+OK\r\n" + strings.ReplaceAll("."+m.Octets, "\r\n", "\r\n.") + "\r\n"
		}), incomplete, "not certain where"),
		{name: "TOP: -ERR", setup: says("TOP", "-ERR no\r\n"), want: right},
		{name: "TOP: the whole message", setup: func(s *stage) {
			s.on("TOP", func(c *pop3test.Conn, command string) { io.WriteString(c.Conn, ok(c.Messages[numberOf(command)-1])) })
		}, want: right},
		{name: "TOP: another header", setup: says("TOP", "+OK\r\nSubject: other\r\n\r\n.\r\n"), want: right},
		{name: "TOP: nothing", setup: says("TOP", "+OK\r\n.\r\n"), want: right},
		{name: "TOP: no end", setup: says("TOP", "+OK\r\nSubject: x\r\n"), want: right},
		{name: "TOP: endless", setup: func(s *stage) {
			s.options.MaxMessage = 4 << 20
			s.on("TOP", func(c *pop3test.Conn, _ string) { c.Say("+OK\r\n"); flood(c.Conn, "X: y\r\n") })
		}, want: right},
		{name: "TOP: a message with a false end", setup: says("TOP", "+OK\r\nSubject: x\n.\r\n.\r\n"), want: right},
		{name: "RETR: pipelined commands answered from the last to the first", setup: func(s *stage) {
			s.on("RETR", func(c *pop3test.Conn, command string) {
				n := numberOf(command)
				io.WriteString(c.Conn, ok(c.Messages[len(c.Messages)-n]))
			})
		}, want: believed},
	}
	for i := range list {
		if list[i].want == believed {
			list[i].sent = []string{"", "+OK\r\n", "Subject: x\r\n\r\none\r\n"}
			for _, m := range append([]string{late}, truth...) {
				fresh := strings.Replace(m, "Subject: ", "Subject: new ", 1)
				head, _, _ := strings.Cut(fresh, "\r\n\r\n")
				list[i].sent = append(list[i].sent, m, "+OK\r\n"+fresh, head+"\r\n\r\n", fresh+"\r\n")
			}
		}
	}
	return list
}

// unstuffed has one message be sent without its dots doubled.
func unstuffed(octets string) func(*stage) {
	return func(s *stage) {
		replaced(s, 3, octets)
		at(3, func(c *pop3test.Conn) { io.WriteString(c.Conn, "+OK\r\n"+octets+".\r\n") })(s)
	}
}
