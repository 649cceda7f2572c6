package imapwatch

import (
	"io"
	"strings"
	"sync"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers that have more to tell than anybody can listen to.

// modes are the ways to be listened to.
var modes = []struct{ name, caps string }{{"IDLE", "IDLE"}, {"NOTIFY and IDLE", "IDLE NOTIFY"}, {"NOTIFY", "NOTIFY"}}

// once says a text the first time that the server is listened to.
func once(text string) rogue.Change {
	var first sync.Once
	return listening(func(c *imaptest.Conn, _ <-chan struct{}) {
		first.Do(func() { io.WriteString(c.Conn, text) })
	})
}

func hostileStorms() (list []hostile) {
	add := func(h hostile) { list = append(list, h) }
	for i, mode := range modes {
		n := hundreds(3)
		for name, line := range map[string]string{
			"EXISTS":                            "* %d EXISTS",
			"EXPUNGE":                           "* 1 EXPUNGE",
			"EXPUNGE of what is not there":      "* 4294967295 EXPUNGE",
			"FETCH":                             `* %d FETCH (FLAGS (\Seen))`,
			"FETCH with UIDs":                   `* 1 FETCH (UID %d FLAGS (\Seen $x) MODSEQ (9))`,
			"STATUS of folders never asked for": `* STATUS "never/asked%d" (MESSAGES 5 UIDNEXT 6)`,
			"LIST of folders never asked for":   `* LIST () "/" "never/asked%d"`,
			"LIST of folders renamed for ever":  `* LIST () "/" b%[1]d ("OLDNAME" (a%[1]d))`,
			"VANISHED":                          "* VANISHED 1:%d",
			"EXISTS, EXPUNGE, FETCH, STATUS and RECENT": "* %[1]d EXISTS\r\n* 1 EXPUNGE\r\n* 1 FETCH (FLAGS ())\r\n* STATUS x (MESSAGES 1)\r\n* 7 RECENT",
		} {
			add(hostile{name: mode.name + ", storm: " + name, caps: mode.caps, server: once(rogue.Many(n/(1+strings.Count(line, "\r\n")), line)), want: watches().hearing(1)})
		}
		for name, line := range map[string]string{
			"what nobody has heard of": "* X%d", "blank lines": "", "OK": "* OK still here %d", "+": "+ %d", "answers to no command": "Z%d OK",
			"alerts": "* OK [ALERT] look at this, %d", "BYE": "* BYE %d", "CAPABILITY": "* CAPABILITY IMAP4rev1 X%d", "NULs": "\x00\x00",
			"UIDNEXT": "* OK [UIDNEXT %d] x", "FLAGS": "* FLAGS (x%d)",
		} {
			add(hostile{name: mode.name + ", idle talk: " + name, caps: mode.caps, server: once(rogue.Many(n/10, line)), want: watches().quietly()})
		}
		// A backup for each of them would be one after the other.
		for _, pause := range []time.Duration{50 * time.Millisecond, time.Second, 6 * time.Second, 10 * time.Second, 61 * time.Second} {
			add(hostile{name: mode.name + ", trickle: a change each " + pause.String(), caps: mode.caps, long: pause < time.Second, server: trickling("* 11 EXISTS\r\n", pause), want: watches().hearing(50)})
		}
		add(hostile{name: mode.name + ", trickle: talk each second", caps: mode.caps, server: trickling("* OK Still here\r\n", time.Second), want: watches().quietly()})
		add(hostile{name: mode.name + ", flood: EXISTS without end", caps: mode.caps, long: i > 0, times: 1, server: pouring("* 11 EXISTS\r\n"), want: backsOff("more than 1000000 answers").hearing(3)})
		if i == 0 {
			add(hostile{name: "flood: FETCH without end", times: 1, server: pouring("* 1 FETCH (FLAGS ())\r\n"), want: watches().connecting(2).hearing(3)})
			add(hostile{name: "flood: a FETCH answer without end", times: 1, server: pouring("FLAGS (\\Seen) "), want: backsOff().hearing(3)})
		}
		add(hostile{name: mode.name + ", flood: a line without end", caps: mode.caps, server: pouring("* OK " + strings.Repeat("x", 1<<10)), want: backsOff("a line of more than")})
		add(hostile{name: mode.name + ", flood: lists within lists", caps: mode.caps, server: saying("* 1 FETCH (FLAGS " + strings.Repeat("(", 1<<20)), want: backsOff("breaks the protocol")})
		add(hostile{name: mode.name + ", flood: a name of 1 MiB again and again", caps: mode.caps,
			times: 1, server: pouring("* STATUS {1048576}\r\n" + strings.Repeat("y", 1<<20) + " (MESSAGES 1)\r\n"), want: backsOff("breaks the protocol")})
	}
	return list
}
