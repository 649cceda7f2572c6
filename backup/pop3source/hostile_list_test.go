package pop3source

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"restante/backup"
	"restante/backup/accounts/pop3conn"
	"restante/backup/accounts/pop3conn/pop3test"
)

// lines has a listing be what line makes of each message; those it makes
// nothing of are left out.
func lines(verb string, line func(c *pop3test.Conn, n int, m *pop3test.Message) string) func(*stage) {
	return func(s *stage) {
		s.on(verb, func(c *pop3test.Conn, command string) {
			if n := numberOf(command); n >= 1 && n <= len(c.Messages) {
				io.WriteString(c.Conn, "+OK "+line(c, n, c.Messages[n-1]))
				return
			}
			var b strings.Builder
			for i, m := range c.Messages {
				b.WriteString(line(c, i+1, m))
			}
			io.WriteString(c.Conn, "+OK\r\n"+b.String()+".\r\n")
		})
	}
}

// sizes has LIST tell the sizes that size says.
func sizes(size func(c *pop3test.Conn, n int, m *pop3test.Message) string) func(*stage) {
	return lines("LIST", func(c *pop3test.Conn, n int, m *pop3test.Message) string {
		return fmt.Sprintf("%d %s\r\n", n, size(c, n, m))
	})
}

// ids has UIDL give the unique-ids that id says.
func ids(id func(c *pop3test.Conn, n int, m *pop3test.Message) string) func(*stage) {
	return lines("UIDL", func(c *pop3test.Conn, n int, m *pop3test.Message) string {
		return fmt.Sprintf("%d %s\r\n", n, id(c, n, m))
	})
}

// endless has an answer of many lines have no end; line makes each.
func endless(verb string, line func(n int) string) func(*stage) {
	return func(s *stage) {
		s.on(verb, func(c *pop3test.Conn, _ string) {
			c.Say("+OK\r\n")
			for n := 1; ; n += 1000 {
				var b strings.Builder
				for i := range 1000 {
					b.WriteString(line(n + i))
				}
				if _, err := io.WriteString(c.Conn, b.String()); err != nil {
					return
				}
			}
		})
	}
}

// both does two things.
func both(a, b func(*stage)) func(*stage) { return func(s *stage) { a(s); b(s) } }

// says has a command answered with a text.
func says(verb, text string) func(*stage) { return func(s *stage) { s.say(verb, text) } }

func hostileLists() []hostile {
	list := func(list string) func(*stage) { return says("LIST", "+OK\r\n"+list+".\r\n") }
	uidl := func(list string) func(*stage) { return says("UIDL", "+OK\r\n"+list+".\r\n") }
	stat := func(text string) func(*stage) { return says("STAT", text) }
	lying := func(size string) func(*stage) {
		return sizes(func(*pop3test.Conn, int, *pop3test.Message) string { return size })
	}
	// silent has neither LIST nor UIDL tell of anything.
	silent := func(count string) func(*stage) {
		return both(stat("+OK "+count+" 1\r\n"), both(list(""), uidl("")))
	}
	position := func(_ *pop3test.Conn, n int, _ *pop3test.Message) string { return fmt.Sprint("msg", n) }
	return []hostile{
		{name: "STAT: no numbers", setup: stat("+OK\r\n"), want: refused, is: pop3conn.ErrProtocol, says: "STAT"},
		{name: "STAT: one number", setup: stat("+OK 5\r\n"), want: refused, is: pop3conn.ErrProtocol, says: "STAT"},
		{name: "STAT: words and escape sequences", setup: stat("+OK many " + escapes + "\r\n"), want: refused, is: pop3conn.ErrProtocol, says: "STAT"},
		{name: "STAT: a number of a thousand digits", setup: stat("+OK " + strings.Repeat("9", 1000) + " 1\r\n"), want: refused, is: pop3conn.ErrProtocol, says: "STAT"},
		{name: "STAT: fewer than none", setup: stat("+OK -5 -7\r\n"), want: incomplete, says: "counts -5 messages"},
		{name: "STAT: none, and there are", setup: stat("+OK 0 0\r\n"), want: incomplete, says: "counts 0 messages"},
		{name: "STAT: one too many", setup: func(s *stage) {
			s.on("STAT", func(c *pop3test.Conn, _ string) { c.Say("+OK %d 1\r\n", len(c.Messages)+1) })
		}, want: incomplete, says: "messages"},
		{name: "STAT: ten million, and nothing is listed", setup: silent("10000000"), want: incomplete, says: "counts 10000000 messages"},
		{name: "STAT: four billion, and nothing is listed", setup: silent("4294967296"), want: incomplete, says: "counts 4294967296 messages"},
		{name: "STAT: a second number of 2^63-1", setup: func(s *stage) {
			s.on("STAT", func(c *pop3test.Conn, _ string) { c.Say("+OK %d 9223372036854775807\r\n", len(c.Messages)) })
		}, want: right},
		{name: "all say that there is nothing", setup: silent("0"), want: believed, gone: true},
		{name: "all tell of 1,100 messages, and none is given", setup: func(s *stage) {
			const n = 1100
			numbered := func(format string) string {
				var b strings.Builder
				for i := range n {
					fmt.Fprintf(&b, format, i+1, i+1)
				}
				return b.String()
			}
			s.say("STAT", fmt.Sprintf("+OK %d 1\r\n", n))
			s.say("LIST", "+OK\r\n"+numbered("%d 100%d\r\n")+".\r\n")
			s.on("UIDL", func(c *pop3test.Conn, command string) {
				if numberOf(command) > 0 {
					c.Say("-ERR\r\n")
					return
				}
				io.WriteString(c.Conn, "+OK\r\n"+numbered("%d none-%d\r\n")+".\r\n")
			})
			s.say("RETR", "-ERR "+strings.Repeat("because ", 100)+"\r\n")
		}, want: incomplete, says: "as with many others in this folder", later: true, gone: true, keeps: true},
		{name: "all is gone", setup: func(s *stage) { s.Messages = nil }, want: right, gone: true},

		{name: "LIST: -ERR", setup: says("LIST", "-ERR no\r\n"), want: right},
		{name: "LIST: -ERR [SYS/TEMP]", setup: says("LIST", "-ERR [SYS/TEMP] later\r\n"), want: refused, is: backup.ErrBusy, says: "LIST"},
		{name: "LIST: empty", setup: list(""), want: right},
		{name: "LIST and UIDL: -ERR", setup: both(says("LIST", "-ERR no\r\n"), says("UIDL", "-ERR no\r\n")), want: incomplete, says: "lists others"},
		{name: "LIST: no end", setup: says("LIST", "+OK\r\n1 52\r\n"), want: refused, is: pop3conn.ErrTimeout, says: "silent"},
		{name: "LIST: ends with a bare LF", setup: says("LIST", "+OK\n1 52\n2 52\n3 70\n.\n"), want: right},
		{name: "LIST: endless, of numbers that go up", setup: endless("LIST", func(n int) string { return fmt.Sprintf("%d 1 %040d\r\n", n, n) }), want: refused, is: pop3conn.ErrProtocol, says: "LIST"},
		{name: "LIST: endless, of one number", setup: endless("LIST", func(int) string { return "1 52 " + strings.Repeat("x", 200) + "\r\n" }), later: true, want: refused, is: pop3conn.ErrProtocol, says: "a list of more than"},
		{name: "LIST: endless, of rubbish", setup: endless("LIST", func(int) string { return strings.Repeat("\x00", 200) + "\r\n" }), later: true, want: refused, is: pop3conn.ErrProtocol, says: "a list of more than"},
		{name: "LIST: a line of 10 MiB", setup: list("1 " + strings.Repeat("5", 10<<20) + "\r\n"), want: refused, is: pop3conn.ErrProtocol, says: "a line of more than"},
		{name: "LIST: numbers zero, negative, huge, and no numbers", setup: func(s *stage) {
			lines("LIST", func(_ *pop3test.Conn, n int, m *pop3test.Message) string {
				return fmt.Sprintf("0 5\r\n-%d 7\r\n99999999999999999999 7\r\n2147483648 7\r\nx 1\r\n\x00 1\r\n%d %d\r\n", n, n, len(m.Octets))
			})(s)
		}, want: right},
		{name: "LIST: a number that UIDL does not know", setup: func(s *stage) {
			s.on("LIST", func(c *pop3test.Conn, _ string) { c.Say("+OK\r\n1 56\r\n2 56\r\n1000000 7\r\n.\r\n") })
		}, want: incomplete, says: "lists others"},
		{name: "LIST: every number twice", setup: lines("LIST", func(_ *pop3test.Conn, n int, m *pop3test.Message) string {
			return strings.Repeat(fmt.Sprintf("%d %d\r\n", n, len(m.Octets)), 2)
		}), want: right},
		{name: "LIST: every number twice, with two sizes", setup: lines("LIST", func(_ *pop3test.Conn, n int, m *pop3test.Message) string {
			return fmt.Sprintf("%d %d\r\n%d 7\r\n", n, len(m.Octets), n)
		}), want: right},
		{name: "LIST: the last number first", setup: func(s *stage) {
			s.on("LIST", func(c *pop3test.Conn, _ string) {
				var all []string
				for i, m := range c.Messages {
					all = append(all, fmt.Sprintf("%d %d\r\n", i+1, len(m.Octets)))
				}
				slices.Reverse(all)
				c.Say("+OK\r\n%s.\r\n", strings.Join(all, ""))
			})
		}, want: right},
		{name: "LIST: every size is 0", setup: lying("0"), want: right},
		{name: "LIST: every size is 1", setup: lying("1"), want: right},
		{name: "LIST: every size is negative", setup: lying("-1"), want: right},
		{name: "LIST: every size is 2^63-1", setup: lying("9223372036854775807"), want: right},
		{name: "LIST: every size is 2^64", setup: lying("18446744073709551616"), want: right},
		{name: "LIST: every size is a word", setup: lying("small"), want: right},
		{name: "LIST: every size is another one in every session", setup: sizes(func(c *pop3test.Conn, n int, _ *pop3test.Message) string { return fmt.Sprint(c.Number*1000 + n) }), want: right},
		{name: "LIST: every size is half", setup: sizes(func(_ *pop3test.Conn, _ int, m *pop3test.Message) string { return fmt.Sprint(len(m.Octets) / 2) }), want: right},
		{name: "LIST: every size is twice", setup: sizes(func(_ *pop3test.Conn, _ int, m *pop3test.Message) string { return fmt.Sprint(len(m.Octets) * 2) }), want: right},

		{name: "UIDL: -ERR", setup: says("UIDL", "-ERR no\r\n"), want: right, keeps: true},
		{name: "UIDL: -ERR [SYS/TEMP]", setup: says("UIDL", "-ERR [SYS/TEMP] later\r\n"), want: refused, is: backup.ErrBusy, says: "UIDL"},
		{name: "UIDL: empty", setup: uidl(""), want: right, keeps: true},
		{name: "UIDL: endless, of numbers that go up", setup: endless("UIDL", func(n int) string { return fmt.Sprintf("%d %070d\r\n", n, n) }), want: refused, is: pop3conn.ErrProtocol, says: "UIDL"},
		{name: "UIDL: endless, of one number", setup: endless("UIDL", func(n int) string { return fmt.Sprintf("1 %0200d\r\n", n) }), later: true, want: refused, is: pop3conn.ErrProtocol, says: "a list of more than"},
		{name: "UIDL: no unique-id behind any number", setup: ids(func(*pop3test.Conn, int, *pop3test.Message) string { return "" }), want: right, keeps: true},
		{name: "UIDL: one for all", setup: ids(func(*pop3test.Conn, int, *pop3test.Message) string { return "same" }), want: right, keeps: true},
		{name: "UIDL: one for two", setup: ids(func(_ *pop3test.Conn, n int, m *pop3test.Message) string {
			if n <= 2 {
				return "same"
			}
			return m.UIDL
		}), want: right},
		{name: "UIDL: positions", setup: ids(position), want: right},
		{name: "UIDL: positions, and the first message is gone", setup: func(s *stage) { ids(position)(s); s.Messages = s.Messages[1:] }, want: right, gone: true},
		{name: "UIDL: others in every session", setup: ids(func(c *pop3test.Conn, n int, _ *pop3test.Message) string { return fmt.Sprintf("%d.%d", c.Number, n) }), want: right, keeps: true},
		{name: "UIDL: moved on by one message", setup: ids(func(c *pop3test.Conn, n int, _ *pop3test.Message) string { return c.Messages[n%len(c.Messages)].UIDL }), want: right},
		{name: "UIDL: moved on by one message, and all sizes are alike", setup: both(lying("52"), ids(func(c *pop3test.Conn, n int, _ *pop3test.Message) string { return c.Messages[n%len(c.Messages)].UIDL })), want: right},
		{name: "UIDL: moved on by one message, when it is to be deleted", setup: func(s *stage) {
			s.UIDL = func(_, n int, m *pop3test.Message) string {
				if s.removing.Load() {
					return s.Messages[n%len(s.Messages)].UIDL
				}
				return m.UIDL
			}
		}, want: right, keeps: true},
		{name: "UIDL: a known one is a new message's", setup: func(s *stage) {
			last := s.Messages[len(s.Messages)-1]
			last.UIDL, s.Messages[0].UIDL = s.Messages[0].UIDL, "new"
		}, want: right},
		{name: "UIDL: 300 octets", setup: ids(func(_ *pop3test.Conn, _ int, m *pop3test.Message) string { return m.UIDL + strings.Repeat("x", 300) }), want: right},
		{name: "UIDL: 60,000 octets", setup: ids(func(_ *pop3test.Conn, _ int, m *pop3test.Message) string { return m.UIDL + strings.Repeat("x", 60000) }), want: right, keeps: true},
		{name: "UIDL: NUL and escape sequences", setup: ids(func(_ *pop3test.Conn, _ int, m *pop3test.Message) string { return m.UIDL + escapes }), want: right},
		{name: "UIDL: 8 bits, of no encoding", setup: ids(func(_ *pop3test.Conn, _ int, m *pop3test.Message) string { return "\xff\xfe\x80" + m.UIDL }), want: right},
		{name: "UIDL: 8 bits, and they differ in these only", setup: ids(func(_ *pop3test.Conn, n int, _ *pop3test.Message) string {
			return "\xff" + string([]byte{byte(0x80 + n)})
		}), want: right},
		{name: "UIDL: spaces within", setup: ids(func(_ *pop3test.Conn, _ int, m *pop3test.Message) string { return "a  b " + m.UIDL }), want: right},
		{name: "UIDL: a dot", setup: ids(func(_ *pop3test.Conn, n int, _ *pop3test.Message) string { return strings.Repeat(".", n) }), want: right},
		{name: "UIDL: with a bare CR", setup: ids(func(_ *pop3test.Conn, _ int, m *pop3test.Message) string { return "a\r" + m.UIDL }), want: right},
		{name: "UIDL: two for every message", setup: lines("UIDL", func(_ *pop3test.Conn, n int, m *pop3test.Message) string {
			return fmt.Sprintf("%d %s\r\n%d other-%s\r\n", n, m.UIDL, n, m.UIDL)
		}), want: right, keeps: true},
		{name: "UIDL: one more than there are messages", setup: func(s *stage) {
			s.on("UIDL", func(c *pop3test.Conn, _ string) { c.Say("+OK\r\n1 a\r\n2 b\r\n77 c\r\n.\r\n") })
		}, want: incomplete, says: "not certain what there is"},
		{name: "UIDL: lines that are doubled dots", setup: uidl("..\r\n..1 a\r\n"), want: right, keeps: true},
		{name: "UIDL: as long as to mean something to the archive", setup: ids(func(_ *pop3test.Conn, n int, _ *pop3test.Message) string { return fmt.Sprintf("n%d", n) }), want: right},
	}
}
