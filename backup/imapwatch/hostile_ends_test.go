package imapwatch

import (
	"io"
	"net"
	"strings"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers that do not keep a connection.

func hostileEnds() (list []hostile) {
	after := func(command string, own imaptest.Handler) rogue.Change {
		return rogue.Handling(command, func(c *imaptest.Conn, cmd imaptest.Command) { own(c, cmd); c.Close() })
	}
	examined := imaptest.Answer("* 10 EXISTS\r\n%T OK\r\n")
	for _, mode := range modes {
		add := func(name string, server rogue.Change, want outcome) {
			list = append(list, hostile{name: mode.name + ", hangs up: " + name, caps: mode.caps, server: server, want: want})
		}
		cut := backsOff("closed the connection")
		add("behind the login", after("LOGIN", imaptest.Answer("%T OK [CAPABILITY IMAP4rev1 "+mode.caps+"] welcome\r\n")), cut)
		if mode.caps == "IDLE" {
			add("behind EXAMINE", after("EXAMINE", examined), cut)
		} else {
			add("behind NOTIFY", after("NOTIFY", imaptest.Answer("%T OK\r\n")), cut)
		}
		for _, d := range []time.Duration{0, time.Second, time.Minute, 8 * time.Minute} {
			add("when it was listened to for "+d.String(), listening(func(c *imaptest.Conn, over <-chan struct{}) {
				select {
				case <-over:
				case <-time.After(d):
					c.Conn.Close()
				}
			}), cut.hearing(2))
		}
		// The first proof that it is there is the ninth minute's.
		add("when it was listened to for 9 min 1 s", listening(func(c *imaptest.Conn, _ <-chan struct{}) {
			time.AfterFunc(9*time.Minute+time.Second, func() { c.Conn.Close() })
		}), cut.hearing(3))
		add("behind a change", listening(func(c *imaptest.Conn, _ <-chan struct{}) {
			io.WriteString(c.Conn, "* 11 EXISTS\r\n")
			c.Conn.Close()
		}), cut.hearing(2))
		add("in the midst of a line", listening(func(c *imaptest.Conn, _ <-chan struct{}) {
			io.WriteString(c.Conn, "* 11 EXI")
			c.Conn.Close()
		}), cut)
		add("in the midst of a literal", listening(func(c *imaptest.Conn, _ <-chan struct{}) {
			io.WriteString(c.Conn, "* STATUS {100}\r\nabc")
			c.Conn.Close()
		}), cut)
	}
	list = append(list,
		hostile{name: "busy: BYE to each login", server: rogue.Handling("LOGIN", rogue.HangUp("* BYE [UNAVAILABLE] come back later\r\n")), want: backsOff("busy")},
		hostile{name: "busy: NO to each login", server: rogue.Says("LOGIN", "%T NO [LIMIT] too many connections\r\n"), want: backsOff("busy")},
		hostile{name: "refused: a wrong password, and it is told", server: rogue.Says("LOGIN", "%T NO [AUTHENTICATIONFAILED] "+rogue.Evil+"\r\n"), want: ends(imapconn.ErrLogin, "•••")},
		hostile{name: "refused: a login that takes an hour", server: rogue.Handling("LOGIN", func(c *imaptest.Conn, cmd imaptest.Command) {
			time.Sleep(time.Hour)
			c.OK(cmd)
		}), want: backsOff("no login within 1m0s")},
		hostile{name: "refused: garbage each time", raw: func(c net.Conn) { io.WriteString(c, strings.Repeat("\x00\xff", 1000)) }, want: backsOff()},
	)
	return list
}
