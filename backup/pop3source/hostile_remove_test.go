package pop3source

import (
	"io"
	"strings"
	"testing"

	"restante/backup/accounts/pop3conn/pop3test"
)

// nothing wants an error that says that nothing was deleted.
func nothing(says string) func(*testing.T, *Report, error) {
	return func(t *testing.T, r *Report, err error) {
		if err == nil || !strings.Contains(err.Error(), says) || r != nil {
			t.Errorf("want an error that says %q: %+v, %v", says, r, err)
		}
	}
}

// unknown wants a report that says of all messages that nobody knows.
func unknown(says string) func(*testing.T, *Report, error) {
	return func(t *testing.T, r *Report, err error) {
		if err != nil || len(r.Unknown) == 0 || len(r.Deleted) > 0 || !r.Problems() || !strings.Contains(r.Unknown[0].Reason, says) {
			t.Errorf("want %q for all messages: %+v, %v", says, r, err)
		}
	}
}

// kept wants a report that says why messages stay.
func kept(says string) func(*testing.T, *Report, error) {
	return func(t *testing.T, r *Report, err error) {
		if err != nil || len(r.Kept) == 0 || !strings.Contains(r.Kept[0].Reason, says) {
			t.Errorf("want messages that stay because of %q: %+v, %v", says, r, err)
		}
	}
}

// deletes wants a report that says that so many messages were deleted.
func deletes(n int) func(*testing.T, *Report, error) {
	return func(t *testing.T, r *Report, err error) {
		if err != nil || len(r.Deleted) != n || len(r.Unknown) > 0 {
			t.Errorf("want %d messages deleted: %+v, %v", n, r, err)
		}
	}
}

func hostileRemovals() []hostile {
	all := len(truth) + 1
	// then has a command be answered by a handler when messages are to be
	// deleted, and as it should be before.
	then := func(verb string, handle func(c *pop3test.Conn, command string)) func(*stage) {
		return func(s *stage) {
			s.on(verb, func(c *pop3test.Conn, command string) {
				if s.removing.Load() {
					handle(c, command)
				} else {
					c.Default(command)
				}
			})
		}
	}
	thenSays := func(verb, text string) func(*stage) {
		return then(verb, func(c *pop3test.Conn, _ string) { c.Say("%s", text) })
	}
	return []hostile{
		{name: "DELE: well", setup: func(*stage) {}, want: right, removed: deletes(all)},
		{name: "DELE: -ERR", setup: says("DELE", "-ERR no\r\n"), want: right, removed: kept("-ERR no")},
		{name: "DELE: -ERR with escape sequences", setup: says("DELE", "-ERR ["+escapes+"] "+escapes+"no\r\n"), want: right, removed: kept("no")},
		{name: "DELE: -ERR [SYS/TEMP]", setup: says("DELE", "-ERR [SYS/TEMP] later\r\n"), want: right, removed: kept("later")},
		{name: "DELE: silence", setup: says("DELE", ""), want: right, removed: nothing("nothing was deleted")},
		{name: "DELE: the connection is closed", setup: func(s *stage) { s.on("DELE", func(c *pop3test.Conn, _ string) { c.Close() }) }, want: right, removed: nothing("nothing was deleted")},
		{name: "DELE: rubbish", setup: says("DELE", escapes+"\r\n"), want: right, removed: nothing("nothing was deleted")},
		{name: "DELE: answered twice", setup: func(s *stage) {
			s.on("DELE", func(c *pop3test.Conn, command string) { c.Say("+OK\r\n"); c.Default(command) })
		}, want: right, removed: unknown("more behind the answer")},
		{name: "DELE: answered with the answer to QUIT, too", setup: func(s *stage) {
			s.on("DELE", func(c *pop3test.Conn, command string) {
				text := "+OK marked\r\n"
				if numberOf(command) == len(c.Messages) {
					text += "+OK bye\r\n"
				}
				c.Say("%s", text)
			})
			s.say("QUIT", "-ERR some deleted messages not removed\r\n")
		}, want: right, removed: nothing("nothing was deleted")},
		{name: "DELE: deletes at once", setup: func(s *stage) {
			s.on("DELE", func(c *pop3test.Conn, command string) {
				c.Deleted[numberOf(command)] = true
				c.Quit()
				c.Say("+OK\r\n")
			})
		}, want: right, removed: deletes(all)},
		{name: "DELE: deletes at once and closes the connection", setup: func(s *stage) {
			s.on("DELE", func(c *pop3test.Conn, command string) {
				c.Deleted[numberOf(command)] = true
				c.Quit()
				c.Close()
			})
		}, want: right, removed: nothing("nothing was deleted")},
		{name: "QUIT: -ERR behind DELE", setup: thenSays("QUIT", "-ERR some deleted messages not removed\r\n"), want: right, removed: unknown("not removed")},
		{name: "QUIT: -ERR with escape sequences behind DELE", setup: thenSays("QUIT", "-ERR "+escapes+"no\r\n"), want: right, removed: unknown("no")},
		{name: "QUIT: silence behind DELE", setup: thenSays("QUIT", ""), want: right, removed: unknown("QUIT")},
		{name: "QUIT: closed behind DELE, and all is deleted", setup: then("QUIT", func(c *pop3test.Conn, _ string) { c.Quit(); c.Close() }), want: right, removed: unknown("closed the connection")},
		{name: "QUIT: closed behind DELE, and nothing is deleted", setup: then("QUIT", func(c *pop3test.Conn, _ string) { c.Close() }), want: right, removed: unknown("closed the connection")},
		{name: "QUIT: rubbish behind DELE", setup: thenSays("QUIT", escapes+"\r\n"), want: right, removed: unknown("in place of +OK")},
		{name: "QUIT: silence, always", setup: says("QUIT", ""), want: right, removed: unknown("QUIT")},
		{name: "STAT is refused when messages are to be deleted", setup: thenSays("STAT", "-ERR no\r\n"), want: right, keeps: true, removed: nothing("STAT")},
		{name: "LIST is refused when messages are to be deleted", setup: thenSays("LIST", "-ERR no\r\n"), want: right, keeps: true, removed: kept("the server tells of")},
		{name: "LIST tells other sizes when messages are to be deleted", setup: then("LIST", func(c *pop3test.Conn, _ string) {
			c.Say("+OK\r\n1 1\r\n2 1\r\n3 1\r\n4 1\r\n5 1\r\n6 1\r\n.\r\n")
		}), want: right, keeps: true, removed: kept("tells of 1 octets")},
		{name: "UIDL is refused when messages are to be deleted", setup: thenSays("UIDL", "-ERR no\r\n"), want: right, keeps: true, removed: deletes(0)},
		{name: "UIDL gives two messages one when they are to be deleted", setup: then("UIDL", func(c *pop3test.Conn, _ string) {
			c.Say("+OK\r\n1 %s\r\n2 %s\r\n.\r\n", c.Messages[0].UIDL, c.Messages[0].UIDL)
		}), want: right, keeps: true, removed: deletes(0)},
		{name: "other messages have the unique-ids when they are to be deleted", setup: func(s *stage) {
			s.on("PASS", func(c *pop3test.Conn, command string) {
				c.Default(command)
				if s.removing.Load() {
					for i, m := range c.Messages {
						c.Messages[i] = &pop3test.Message{UIDL: m.UIDL, Octets: strings.Replace(m.Octets, "Subject", "subject", 1)}
					}
				}
			})
		}, want: right, keeps: true, removed: kept("another message under its unique-id")},
		{name: "TOP shows other headers and RETR other messages when they are to be deleted", setup: func(s *stage) {
			then("TOP", func(c *pop3test.Conn, _ string) { io.WriteString(c.Conn, "+OK\r\nSubject: other\r\n\r\n.\r\n") })(s)
			then("RETR", func(c *pop3test.Conn, _ string) { io.WriteString(c.Conn, "+OK\r\nSubject: other\r\n\r\nx\r\n.\r\n") })(s)
		}, want: right, keeps: true, removed: kept("another message under its unique-id")},
		{name: "TOP and RETR are refused when messages are to be deleted", setup: func(s *stage) {
			thenSays("TOP", "-ERR no\r\n")(s)
			thenSays("RETR", "-ERR no\r\n")(s)
		}, want: right, keeps: true, removed: kept("another message under its unique-id")},
		{name: "TOP is closed when messages are to be deleted", setup: then("TOP", func(c *pop3test.Conn, _ string) { c.Close() }), want: right, keeps: true, removed: nothing("nothing was deleted")},
	}
}
