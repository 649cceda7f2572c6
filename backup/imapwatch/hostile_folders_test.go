package imapwatch

import (
	"fmt"
	"strings"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers that tell of folders nobody can have, and do not have those that are
// watched.

func hostileFolders() (list []hostile) {
	literal := func(name string) string { return fmt.Sprintf("{%d}\r\n%s", len(name), name) }
	for name, on := range map[string]string{
		"..": `".."`, "../../etc/passwd": `"../../etc/passwd"`, "an empty one": `""`, "a NUL": literal("a\x00b"), "a line end": literal("a\r\nb"),
		"one that turns the direction of writing": `"&IC4-cod.exe"`, "the same in UTF-8": literal("\u202ecod.exe"), "one that drives a terminal": literal("\x1b[2J\x07\x9b"),
		"half a character": `"&2D0-x"`, "no UTF-7": `"&!!-"`, "an ampersand": `"&"`, "letters in UTF-7": `"&AEEAQg-"`, "ten thousand levels": `"` + strings.Repeat("a/", 10_000) + `"`,
		"the password": literal(rogue.Password), "INBOX in small letters": "inbox", "octets that are no text": literal("\xff\xfe\x80"),
	} {
		for _, mode := range modes[1:] {
			list = append(list, hostile{name: mode.name + ", a folder called: " + name, caps: mode.caps,
				server: saying("* STATUS " + on + " (MESSAGES 5 UIDNEXT 77 UIDVALIDITY 3)\r\n* LIST () \"/\" " + on + "\r\n* LIST (\\NonExistent) \"/\" x (\"OLDNAME\" (" + on + "))\r\n"),
				want:   watches().hearing(1)})
		}
	}
	for name, on := range map[string]string{"1 MiB": literal(strings.Repeat("x", 1<<20)), "1 MiB, in quotes": `"` + strings.Repeat("x", 1<<20) + `"`, "1 MiB that is no UTF-7": literal(strings.Repeat("\xff", 1<<20)),
		"no end": `"abc`, "4 GiB": "{4294967296}\r\n"} {
		want := watches().hearing(1) // what is told of a folder is not kept
		if name == "1 MiB, in quotes" || name == "4 GiB" {
			want = backsOff("breaks the protocol")
		}
		for word, line := range map[string]string{"STATUS": "* STATUS %s (MESSAGES 5)\r\n", "LIST": "* LIST () \"/\" %s\r\n"} {
			list = append(list, hostile{name: word + ", a folder with a name of: " + name, caps: "IDLE NOTIFY", server: saying(fmt.Sprintf(line, on)), want: want})
		}
	}
	for name, text := range map[string]string{"no items": "* STATUS x\r\n", "items without end": "* STATUS x (MESSAGES 5\r\n", "numbers that are none": "* STATUS x (MESSAGES many UIDNEXT -1)\r\n",
		"numbers of 2^64": "* STATUS x (MESSAGES 18446744073709551616 UIDNEXT 4294967296)\r\n", "lists": "* STATUS x ((((((1))))))\r\n", "nothing": "* STATUS\r\n* LIST\r\n"} {
		list = append(list, hostile{name: "STATUS: " + name, caps: "IDLE NOTIFY", server: saying(text), want: watches()})
	}
	// The folders beside INBOX.
	folders := []string{"Lists/go", "..", "a%00b", "%1B[2J", "=raw=ff", "\u202ecod", strings.Repeat("x", 1000)}
	spaces := func(text string) rogue.Change { return rogue.Says("NAMESPACE", text) }
	list = append(list,
		hostile{name: "other folders: they are there", caps: "IDLE NAMESPACE", folders: folders, want: watches().hearing(3)},
		hostile{name: "other folders: none is there", caps: "IDLE NAMESPACE", folders: folders, server: rogue.Handling("EXAMINE", func(c *imaptest.Conn, cmd imaptest.Command) {
			if name, _ := imaptest.Name(cmd.Args); strings.EqualFold(name, "INBOX") {
				imaptest.Answer("* 10 EXISTS\r\n%T OK\r\n")(c, cmd)
				return
			}
			imaptest.Answer("%T NO [NONEXISTENT] there is no "+rogue.Evil+"\r\n")(c, cmd)
		}), want: backsOff("NONEXISTENT", "•••").hearing(3)},
		hostile{name: "other folders: each hangs up", caps: "IDLE NAMESPACE", folders: folders[:2], server: rogue.Handling("EXAMINE", rogue.HangUp("")), want: backsOff("closed the connection")},
		hostile{name: "other folders: rubbish for a namespace", caps: "IDLE NAMESPACE", folders: folders[:1], server: spaces("* NAMESPACE what ever\r\n%T OK\r\n"), want: backsOff("NAMESPACE")},
		hostile{name: "other folders: a namespace refused", caps: "IDLE NAMESPACE", folders: folders[:1], server: spaces("%T NO none\r\n"), want: watches().hearing(3)},
		hostile{name: "other folders: a namespace of 1 MiB", caps: "IDLE NAMESPACE", folders: folders[:1], server: spaces("* NAMESPACE ((\"" + strings.Repeat("x", 1<<20) + "\" \"/\")) NIL NIL\r\n%T OK\r\n"), want: backsOff("NAMESPACE")},
		hostile{name: "other folders: a namespace with ..", caps: "IDLE NAMESPACE", folders: folders[:1], server: spaces("* NAMESPACE ((\"../\" \"/\")) NIL NIL\r\n%T OK\r\n"), want: watches().hearing(3)},
		hostile{name: "other folders: no namespace, and LIST without an end", caps: "IDLE NAMESPACE", folders: folders[:1], server: rogue.Together(spaces("* NAMESPACE ((\"\" NIL)) NIL NIL\r\n%T OK\r\n"),
			rogue.Pouring("LIST", "", "* LIST () \"/\" x\r\n", 0)), times: 3, want: backsOff("folders").hearing(3)},
		hostile{name: "other folders: silence to NAMESPACE", caps: "IDLE NAMESPACE", folders: folders[:1], server: rogue.Handling("NAMESPACE", rogue.Silence), want: backsOff("no answer to NAMESPACE within 1m0s")},
	)
	return list
}
