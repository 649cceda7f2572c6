package imapsource

import (
	"io"
	"strings"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers that take their time. None of the hours here is spent: the clock is
// that of the bubble.

// dripping sends the answers to a command octet by octet.
func dripping(command string, pause time.Duration) maker {
	return func(_ *chain, s *imaptest.Script) {
		own := s.Handle[command]
		s.Handle[command] = func(c *imaptest.Conn, cmd imaptest.Command) {
			var text string
			imaptest.Rewrite(own, func(_ imaptest.Command, t string) string { text = t; return "" })(c, cmd)
			for i := range len(text) {
				time.Sleep(pause)
				if _, err := io.WriteString(c.Conn, text[i:i+1]); err != nil {
					return
				}
			}
		}
	}
}

func hostileTimes() []hostile {
	slow := "octets per second in the middle of an answer"
	return []hostile{
		{name: "slow: an octet a second, in LIST", server: dripping("LIST", time.Second), want: refused(imapconn.ErrTimeout, "list folders", slow)},
		{name: "slow: an octet a second, in EXAMINE", server: dripping("EXAMINE", time.Second), want: complete()},
		{name: "slow: an octet a second, in SEARCH", server: dripping("UID SEARCH", time.Second), want: complete()},
		{name: "slow: an octet every 90 seconds, in SEARCH", server: dripping("UID SEARCH", 90*time.Second), want: incomplete(`folder "INBOX"`, `folder "Sent"`, slow)},
		{name: "slow: an octet every 90 seconds, in a body", server: pouringBody("* 13 FETCH (UID 13 FLAGS () BODY[] {100000}\r\n", "x", 90*time.Second), want: incomplete("INBOX/1000/13: ", slow)},
		{name: "slow: an octet every millisecond, in a body", server: pouringBody("* 13 FETCH (UID 13 FLAGS () BODY[] {100000}\r\n", "x", time.Millisecond), times: 1, want: complete()},
		{name: "slow: an octet every ten minutes, in the login", server: pouring("LOGIN", "* ", "x", 10*time.Minute), want: refused(imapconn.ErrTimeout, host, "no login within")},
		{name: "slow: everything, but it comes", server: everywhere(func(command string) maker { return late(command, 90*time.Second) }), want: complete()},
		{name: "slow: everything, and some seconds too late", server: everywhere(func(command string) maker { return late(command, 101*time.Second) }), want: refused(imapconn.ErrTimeout, "list folders", "silent for 1m40s")},
		{name: "slow: a + every minute for ever", server: pouring("NAMESPACE", "", "+ wait\r\n", time.Minute), want: refused(imapconn.ErrTimeout, "list folders")},
		{name: "slow: EXISTS every minute for ever, in SEARCH", server: pouring("UID SEARCH", "", "* 14 EXISTS\r\n", time.Minute), want: incomplete(`folder "INBOX"`, `folder "Sent"`, "neither a message nor the end of a command")},
		{name: "slow: LOGOUT is not answered", server: handling("LOGOUT", rogue.Silence), want: complete()},
		{name: "slow: LOGOUT is answered with a storm", server: pouring("LOGOUT", "* BYE\r\n", "* 1 EXISTS\r\n* OK still here\r\n", time.Second), want: complete()},
		{name: "storm: news of everything around every answer", server: everywhere(func(command string) maker {
			return between(command, strings.Repeat("* STATUS Ghost (MESSAGES 1)\r\n* OK [NOTIFICATIONOVERFLOW] x\r\n* 3 FETCH (FLAGS (\\Draft))\r\n", 100))
		}), want: complete()},
		{name: "storm: the server talks and never listens", server: func(_ *chain, s *imaptest.Script) {
			s.Handle["NAMESPACE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				c.OK(cmd)
				rogue.Pour(c, "* OK I am talking\r\n", 0)
			}
		}, want: refused(nil, "list folders")},
	}
}

// late sends the answer to a command after a while.
func late(command string, pause time.Duration) maker {
	return func(_ *chain, s *imaptest.Script) {
		own := s.Handle[command]
		s.Handle[command] = func(c *imaptest.Conn, cmd imaptest.Command) {
			time.Sleep(pause)
			own(c, cmd)
		}
	}
}
