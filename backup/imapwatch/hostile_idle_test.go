package imapwatch

import (
	"net"
	"strings"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers with which IDLE is not what RFC 2177 says.

func hostileIdles() []hostile {
	plus := "+ idling\r\n"
	list := []hostile{
		{name: "IDLE: NO", server: rogue.Says("IDLE", "%T NO not now\r\n"), want: backsOff("IDLE", "not now")},
		{name: "IDLE: BAD", server: rogue.Says("IDLE", "%T BAD what?\r\n"), want: backsOff("IDLE", "what?")},
		{name: "IDLE: NO, with the password", server: rogue.Says("IDLE", "%T NO "+rogue.Evil+"\r\n"), want: backsOff("IDLE", "•••")},
		{name: "IDLE: OK at once", server: rogue.Says("IDLE", "%T OK done\r\n"), want: backsOff("IDLE")},
		{name: "IDLE: NO, too many connections", server: rogue.Says("IDLE", "%T NO [LIMIT] too many\r\n"), want: backsOff("busy")},
		{name: "IDLE: neither OK nor NO", server: rogue.Says("IDLE", "%T MAYBE\r\n"), want: backsOff("breaks the protocol")},
		{name: "IDLE: BYE", server: rogue.Handling("IDLE", rogue.HangUp("* BYE enough\r\n")), want: backsOff("BYE enough")},
		{name: "IDLE: hangs up", server: rogue.Handling("IDLE", rogue.HangUp("")), want: backsOff("closed the connection")},
		{name: "IDLE: no + ever", server: rogue.Handling("IDLE", rogue.Silence), want: backsOff("no answer to IDLE within 1m0s")},
		{name: "IDLE: + only after 50 s", server: rogue.Handling("IDLE", func(c *imaptest.Conn, cmd imaptest.Command) {
			time.Sleep(50 * time.Second)
			c.Say("+ idling\r\n")
			c.Line()
			c.OK(cmd)
		}), want: watches()},
		{name: "IDLE: changes in place of a +", server: rogue.Handling("IDLE", func(c *imaptest.Conn, _ imaptest.Command) { rogue.Pour(c, "* 11 EXISTS\r\n", time.Second) }),
			want: backsOff("no answer to IDLE within 1m0s").hearing(3)},
		{name: "IDLE: + twice", server: idle(plus+plus, "%T OK\r\n"), want: watches()},
		{name: "IDLE: + a thousand times", server: idle(strings.Repeat(plus, 1000), "%T OK\r\n"), want: watches()},
		{name: "IDLE: + and OK before DONE", server: rogue.Says("IDLE", plus+"%T OK done\r\n"), want: backsOff("IDLE ends before DONE")},
		{name: "IDLE: + and NO before DONE", server: rogue.Says("IDLE", plus+"%T NO enough\r\n"), want: backsOff("enough")},
		{name: "IDLE: + and BAD a minute later", server: rogue.Handling("IDLE", func(c *imaptest.Conn, cmd imaptest.Command) {
			c.Say("+ idling\r\n")
			time.Sleep(time.Minute)
			c.Say("%s BAD timeout\r\n", cmd.Tag)
		}), want: backsOff("timeout")},
		{name: "IDLE: OK before +", server: rogue.Says("IDLE", "%T OK done\r\n"+plus), want: backsOff("IDLE")},
		{name: "IDLE: OK to another tag", server: idle(plus+"T99 OK\r\nA1 OK\r\n* OK\r\n", "%T OK\r\n"), want: watches()},
		{name: "IDLE: a + that says the password", server: idle("+ "+rogue.Evil+"\r\n", "%T OK\r\n"), want: watches()},
		{name: "IDLE: a + of 1 MiB", server: idle("+ "+strings.Repeat("x", 1<<20)+"\r\n", "%T OK\r\n"), want: backsOff("a line of more than")},
		{name: "DONE: NO", server: idle(plus, "%T NO never\r\n"), want: backsOff("DONE", "never")},
		{name: "DONE: BAD", server: idle(plus, "%T BAD what?\r\n"), want: backsOff("DONE", "what?")},
		{name: "DONE: OK twice", server: idle(plus, "%T OK\r\n%T OK\r\n"), want: watches()},
		{name: "DONE: +", server: idle(plus, plus), want: backsOff("no answer to DONE within 1m0s")},
		{name: "DONE: BYE", server: idle(plus, "* BYE\r\n"), want: backsOff("no answer to DONE")},
		{name: "DONE: a hundred thousand changes in front of OK", server: idle(plus, rogue.Many(hundreds(1), "* %d EXISTS")+"%T OK\r\n"), want: watches().hearing(3)},
		{name: "DONE: changes for ever in front of no OK", server: rogue.Handling("IDLE", func(c *imaptest.Conn, _ imaptest.Command) {
			c.Say("+ idling\r\n")
			c.Line()
			rogue.Pour(c, "* 11 EXISTS\r\n", time.Second)
		}), want: backsOff("no answer to DONE within 1m0s").hearing(3)},
		{name: "DONE: OK only after 55 s", server: rogue.Handling("IDLE", func(c *imaptest.Conn, cmd imaptest.Command) {
			c.Say("+ idling\r\n")
			c.Line()
			time.Sleep(55 * time.Second)
			c.OK(cmd)
		}), want: watches()},
		{name: "DONE: hangs up", server: rogue.Handling("IDLE", func(c *imaptest.Conn, cmd imaptest.Command) {
			c.Say("+ idling\r\n")
			c.Line()
			c.Close()
		}), want: backsOff("closed the connection")},
		{name: "silence: for longer than 29 minutes", server: rogue.Handling("IDLE", func(c *imaptest.Conn, _ imaptest.Command) {
			c.Say("+ idling\r\n")
			time.Sleep(40 * time.Minute)
		}), want: backsOff("no answer to DONE within 1m0s")},
		{name: "silence: behind half a line", server: saying("* 11 EXI"), want: backsOff("does not answer in time")},
		{name: "drip: an octet each 30 s", server: trickling("x", 30*time.Second), want: backsOff()},
		{name: "drip: an octet each 99 s, of a literal", server: listening(func(c *imaptest.Conn, over <-chan struct{}) {
			c.Say("* STATUS {1000}\r\n")
			for {
				select {
				case <-over:
					return
				case <-time.After(99 * time.Second):
					c.Say("x")
				}
			}
		}), want: backsOff()},

		{name: "BYE: in the midst of IDLE, and hangs up", server: rogue.Handling("IDLE", rogue.HangUp(plus+"* BYE shutting down\r\n")), want: backsOff("BYE shutting down")},
		{name: "BYE: in the midst of IDLE, and stays", server: saying("* BYE shutting down\r\n"), want: watches()},
		{name: "BYE: too many connections", server: rogue.Handling("IDLE", rogue.HangUp(plus+"* BYE [UNAVAILABLE] too many connections\r\n")), want: backsOff("busy")},
		{name: "BYE: the password", server: rogue.Handling("IDLE", rogue.HangUp(plus+"* BYE "+rogue.Evil+"\r\n")), want: backsOff("•••")},
		{name: "BYE: of 60 KiB", server: rogue.Handling("IDLE", rogue.HangUp(plus+"* BYE "+strings.Repeat("x", 60<<10)+"\r\n")), want: backsOff("BYE xxx")},

		{name: "literal: STATUS of a folder with a name of 4 GiB", server: saying("* STATUS {4294967296}\r\n"), want: backsOff("a literal of 4294967296 octets")},
		{name: "literal: a body of 4 GiB nobody asked for", server: saying("* 1 FETCH (BODY[] {4294967296}\r\n"), want: backsOff()},
		{name: "literal: a body of 16 MiB nobody asked for", server: once("* 1 FETCH (UID 1 BODY[] {16777216}\r\n" + strings.Repeat("x", 16<<20) + ")\r\n"), want: watches().connecting(2)},
		{name: "literal: a body of 4 GiB nobody asked for, and all of it", times: 1, server: listening(func(c *imaptest.Conn, _ <-chan struct{}) {
			c.Say("* 1 FETCH (UID 1 BODY[] {4294967296}\r\n")
			rogue.Pour(c, strings.Repeat("x", 1<<20), 0)
		}), want: backsOff()},
		{name: "literal: 2^64 octets", server: saying("* X {18446744073709551616}\r\n"), want: watches()},
		{name: "literal: in an answer nobody has heard of, of 2 GiB", server: saying("* X {2147483648}\r\n"), want: backsOff("a literal of 2147483648 octets")},
		{name: "literal: in LIST, of -1 octets", server: saying("* LIST () \"/\" {-1}\r\n"), want: watches()},

		{name: "numbers: EXISTS of 4 billion", server: saying("* 4294967295 EXISTS\r\n"), want: watches().hearing(3)},
		{name: "numbers: EXISTS of 2^32, of -1, of nothing", server: saying("* 4294967296 EXISTS\r\n* -1 EXISTS\r\n* EXISTS\r\n"), want: watches().quietly()},
		{name: "numbers: EXPUNGE of 0, FETCH of 0", server: saying("* 0 EXPUNGE\r\n* 0 FETCH (FLAGS ())\r\n"), want: watches()},
		{name: "numbers: UIDVALIDITY is another", server: once("* OK [UIDVALIDITY 77] x\r\n"), want: backsOff("the UIDVALIDITY of the folder that is open changes")},
		{name: "numbers: SEARCH and ESEARCH of everything, unasked", server: saying("* SEARCH 1 2 3\r\n* ESEARCH (TAG \"x\") UID ALL 1:4294967295\r\n"), want: watches()},
		{name: "words: the password in a thousand alerts", server: saying(strings.Repeat("* OK [ALERT] "+rogue.Evil+"\r\n", 1000)), want: watches().quietly()},
		{name: "words: the password in an answer that cannot be read", server: saying("* LIST " + rogue.Password + "\r\n"), want: watches()},
		{name: "words: no line ends but CR", server: saying(strings.Repeat("* 11 EXISTS\r", 10_000)), want: backsOff()},
		{name: "words: PREAUTH, and the greeting again", server: saying("* PREAUTH you are in\r\n* OK [CAPABILITY IMAP4rev1] ready\r\n"), want: watches()},
		{name: "words: octets that are no text", server: saying("* \xff\xfe\x00\x80\r\n\xff\r\n"), want: watches()},

		{name: "COMPRESS: a bomb within IDLE", server: rogue.Together(rogue.Compressing(func(*imaptest.Conn, net.Conn) {}),
			saying("* OK "+strings.Repeat("x", 1<<20))), want: backsOff("a line of more than")},
		{name: "COMPRESS: blocks without end that hold nothing", server: rogue.Compressing(func(_ *imaptest.Conn, clear net.Conn) {
			rogue.Pour(clear, strings.Repeat("\x00\x00\x00\xff\xff", 1000), time.Second)
		}), want: backsOff("EXAMINE")},
	}
	for name, text := range map[string]string{"NO": "%T NO no such folder\r\n", "BAD": "%T BAD what?\r\n", "NO, the password": "%T NO " + rogue.Evil + "\r\n",
		"NO [NONEXISTENT]": "%T NO [NONEXISTENT] none\r\n", "+": "+ go on\r\n", "BYE": "* BYE\r\n", "nothing": "", "MAYBE": "%T MAYBE\r\n",
		"a literal of 4 GiB": "* FLAGS ({4294967296}\r\n", "EXISTS and no end": "* 10 EXISTS\r\n", "OK to another": "x OK\r\n"} {
		list = append(list, hostile{name: "EXAMINE: " + name, server: rogue.Says("EXAMINE", text), want: backsOff("EXAMINE")})
	}
	for name, text := range map[string]string{"a bare OK": "%T OK\r\n", "OK twice": "%T OK\r\n%T OK\r\n", "READ-WRITE": "* 10 EXISTS\r\n%T OK [READ-WRITE] written to\r\n",
		"300,000 changes": rogue.Many(hundreds(3), "* %d EXISTS") + "%T OK\r\n", "no UIDVALIDITY": "* 4294967295 EXISTS\r\n* FLAGS ()\r\n%T OK\r\n",
		"UIDVALIDITY 0 and a number too large": "* OK [UIDVALIDITY 0] x\r\n* OK [UIDVALIDITY 99999999999] x\r\n%T OK\r\n"} {
		list = append(list, hostile{name: "EXAMINE: " + name, server: rogue.Says("EXAMINE", text), want: watches().hearing(2)})
	}
	return list
}
