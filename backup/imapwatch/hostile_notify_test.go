package imapwatch

import (
	"strings"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers with which NOTIFY is not what RFC 5465 says, and those that can do
// other things than they said.

func hostileNotifies() []hostile {
	const both, alone = "IDLE NOTIFY", "NOTIFY"
	says := func(text string) rogue.Change { return rogue.Says("NOTIFY", text) }
	overflow := "* OK [NOTIFICATIONOVERFLOW] too much\r\n"
	return []hostile{
		{name: "NOTIFY: NO", caps: both, server: says("%T NO no\r\n"), want: watches().hearing(3)},
		{name: "NOTIFY: BAD", caps: both, server: says("%T BAD what?\r\n"), want: watches().hearing(3)},
		{name: "NOTIFY: NO, with the password", caps: both, server: says("%T NO " + rogue.Evil + "\r\n"), want: watches().hearing(3)},
		{name: "NOTIFY: NO, and there is no IDLE", caps: alone, server: says("%T NO no\r\n"), want: ends(ErrCannot)},
		{name: "NOTIFY: BAD, and there is no IDLE", caps: alone, server: says("%T BAD what?\r\n"), want: ends(ErrCannot)},
		{name: "NOTIFY: NO [BADEVENT] with ten thousand events", caps: both, server: says("%T NO [BADEVENT (" + strings.Repeat("X ", 10_000) + ")] no\r\n"), want: watches().hearing(3)},
		{name: "NOTIFY: NO [NOTIFICATIONOVERFLOW]", caps: both, server: says("%T NO [NOTIFICATIONOVERFLOW] no\r\n"), want: watches().hearing(3)},
		{name: "NOTIFY: OK [NOTIFICATIONOVERFLOW]", caps: both, server: says("%T OK [NOTIFICATIONOVERFLOW] no\r\n"), want: backsOff("too much to tell").hearing(3)},
		{name: "NOTIFY: an overflow in front of OK", caps: both, server: says(overflow + "%T OK\r\n"), want: backsOff("too much to tell").hearing(3)},
		{name: "NOTIFY: an overflow in front of OK, without IDLE", caps: alone, server: says(overflow + "%T OK\r\n"), want: backsOff("too much to tell").hearing(3)},
		{name: "NOTIFY: an overflow each time that it is listened to", caps: both, server: saying(overflow), want: backsOff("too much to tell").hearing(3)},
		{name: "NOTIFY: a hundred thousand overflows", caps: both, times: 2, server: saying(strings.Repeat(overflow, hundreds(1))), want: backsOff("too much to tell").hearing(3)},
		{name: "NOTIFY: an overflow each ten minutes", caps: both, server: trickling(overflow, 10*time.Minute), want: watches()},
		{name: "NOTIFY: an overflow each eight minutes", caps: both, server: trickling(overflow, 8*time.Minute), want: backsOff("too much to tell").hearing(3)},
		{name: "NOTIFY: an overflow of a server that has none", server: saying(overflow), want: backsOff("too much to tell").hearing(3)},
		{name: "NOTIFY: silence", caps: both, server: rogue.Handling("NOTIFY", rogue.Silence), want: backsOff("no answer to NOTIFY within 1m0s")},
		{name: "NOTIFY: +", caps: both, server: says("+ go on\r\n"), want: backsOff("no answer to NOTIFY within 1m0s")},
		{name: "NOTIFY: BYE", caps: both, server: rogue.Handling("NOTIFY", rogue.HangUp("* BYE enough\r\n")), want: backsOff("BYE enough")},
		{name: "NOTIFY: NO, later", caps: both, server: says("%T NO [UNAVAILABLE] later\r\n"), want: watches().hearing(3)},
		{name: "NOTIFY: MAYBE", caps: both, server: says("%T MAYBE\r\n"), want: backsOff("breaks the protocol")},
		{name: "NOTIFY: OK twice", caps: both, server: says("%T OK\r\n%T OK\r\n"), want: watches().hearing(3)},
		{name: "NOTIFY: 300,000 folders in front of OK", caps: both, server: says(rogue.Many(hundreds(3), `* STATUS "f%d" (MESSAGES 5 UIDNEXT 6)`) + "%T OK\r\n"), want: watches().hearing(3)},
		{name: "NOTIFY: folders for ever in front of no OK", caps: both, server: rogue.Handling("NOTIFY", func(c *imaptest.Conn, _ imaptest.Command) {
			rogue.Pour(c, "* STATUS x (MESSAGES 5)\r\n", time.Second)
		}), want: backsOff("no answer to NOTIFY within 1m0s")},
		{name: "NOTIFY: OK, and IDLE refused", caps: both, server: rogue.Says("IDLE", "%T NO not now\r\n"), want: backsOff("not now")},
		{name: "NOTIFY: OK, and nothing is ever told", caps: both, server: idle("+ idling\r\n", "%T OK\r\n"), want: watches()},
		{name: "NOTIFY: a capability of 60 KiB beside it", caps: both + " X" + strings.Repeat("x", 60<<10), want: watches().hearing(3)},
		{name: "NOOP: NO", caps: alone, server: rogue.Says("NOOP", "%T NO no\r\n"), want: backsOff("NOOP")},
		{name: "NOOP: BAD", caps: alone, server: rogue.Says("NOOP", "%T BAD what?\r\n"), want: backsOff("NOOP")},
		{name: "NOOP: silence", caps: alone, server: rogue.Handling("NOOP", rogue.Silence), want: backsOff("no answer to NOOP within 1m0s")},
		{name: "NOOP: 300,000 changes in front of OK", caps: alone, server: rogue.Says("NOOP", rogue.Many(hundreds(3), "* %d EXISTS")+"%T OK\r\n"), want: watches().hearing(3)},
		{name: "NOOP: hangs up", caps: alone, server: rogue.Handling("NOOP", rogue.HangUp("")), want: backsOff("closed the connection")},
		{name: "NOOP: OK twice", caps: alone, server: rogue.Says("NOOP", "%T OK\r\n%T OK\r\n"), want: watches()},

		{name: "capabilities: gone with the login", caps: both, server: rogue.Says("LOGIN", "%T OK [CAPABILITY IMAP4rev1] welcome\r\n"), want: ends(ErrCannot)},
		{name: "capabilities: IDLE goes with the login", caps: both, server: rogue.Says("LOGIN", "%T OK [CAPABILITY IMAP4rev1 NOTIFY] welcome\r\n"), want: watches()},
		{name: "capabilities: NOTIFY goes with the login", caps: both, server: rogue.Says("LOGIN", "%T OK [CAPABILITY IMAP4rev1 IDLE] welcome\r\n"), want: watches().hearing(3)},
		{name: "capabilities: gone within IDLE", server: once("* CAPABILITY IMAP4rev1\r\n"), want: watches()},
		{name: "capabilities: promised with the login, and not kept", caps: "none", server: rogue.Together(rogue.Says("LOGIN", "%T OK [CAPABILITY IMAP4rev1 IDLE NOTIFY] welcome\r\n"),
			rogue.Says("NOTIFY", "%T BAD what?\r\n"), rogue.Says("IDLE", "%T BAD what?\r\n")), want: backsOff("IDLE", "what?")},
		{name: "capabilities: none of use", caps: "none", want: ends(ErrCannot)},
		{name: "capabilities: idle and notify in small letters", caps: "idle notify", want: watches()},
	}
}
