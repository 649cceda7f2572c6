package imaptarget

import (
	"fmt"
	"strings"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
	"restante/restore"
)

// Servers that list folders nobody can have, and make none that are asked for.

func hostileFolders() (list []hostile) {
	add := func(name string, server rogue.Change, want outcome) {
		list = append(list, hostile{name: name, server: server, want: want})
	}
	literal := func(name string) string { return fmt.Sprintf("{%d}\r\n%s", len(name), name) }
	for name, on := range map[string]string{
		"..": `".."`, "../../etc/passwd": `"../../etc/passwd"`, "an empty one": `""`, "a NUL": literal("a\x00b"), "a line end": literal("a\r\nb"),
		"one that turns the direction of writing": `"&IC4-cod.exe"`, "the same in UTF-8": literal("\u202ecod.exe"), "one that drives a terminal": literal("\x1b[2J\x07\x9b"),
		"half a character": `"&2D0-x"`, "no UTF-7": `"&!!-"`, "letters in UTF-7": `"&AEEAQg-"`, "ten thousand levels": `"` + strings.Repeat("a/", 10_000) + `"`,
		"INBOX in small letters": "inbox", "octets that are no text": literal("\xff\xfe\x80"), "the password": rogue.Password, "INBOX again": "INBOX", "1 MiB that is no UTF-7": literal("\xff"),
	} {
		add("LIST: a folder called: "+name, rogue.Before("LIST", "* LIST () \"/\" "+on+"\r\n"), complete())
		if name != "INBOX in small letters" && name != "INBOX again" && name != "the password" { // a name is shown as it is
			add("LIST: a special use for a folder called: "+name, rogue.Before("LIST", "* LIST (\\Sent \\Drafts \\Trash) \"/\" "+on+"\r\n"), outcome{})
		}
	}
	cannot := func(says string) outcome { return failed(imapconn.ErrProtocol, "list the folders of", says) }
	says := func(name, text string, want outcome) { add("LIST: "+name, rogue.Says("LIST", text), want) }
	says("nothing", "%T OK none\r\n", outcome{})
	says("NO", "%T NO never\r\n", failed(nil, "list the folders of", "never"))
	says("BAD", "%T BAD what?\r\n", failed(nil, "list the folders of", "what?"))
	says("NO, the password", "%T NO "+rogue.Evil+"\r\n", failed(nil, "list the folders of", "•••"))
	says("busy for ever", "%T NO [UNAVAILABLE] later\r\n", failed(restore.ErrBusy, "later"))
	says("a hundred thousand and one folders", rogue.Many(100_001, `* LIST () "/" f%d`)+"%T OK\r\n", cannot("more than 100000 folders"))
	says("a name of 4 GiB", "* LIST () \"/\" {4294967296}\r\n", cannot("a literal of 4294967296 octets"))
	says("a name of 1 MiB in quotes", "* LIST () \"/\" \""+strings.Repeat("x", 1<<20)+"\"\r\n", cannot("a line of more than"))
	says("names of 1 MiB, forty of them", strings.Repeat("* LIST () \"/\" "+literal(strings.Repeat("y", 1<<20-100))+"\r\n", 40), cannot("a list of folders of more than"))
	says("no name", "* LIST () \"/\"\r\n%T OK\r\n", cannot(""))
	says("twenty thousand attributes", "* LIST ("+strings.Repeat(`\X `, 20_000)+") \"/\" x\r\n%T OK\r\n", cannot("more than 4096 flags"))
	add("LIST: names without end", rogue.Pouring("LIST", "", "* LIST () \"/\" x\r\n", 0), cannot("more than 100000 folders"))
	add("LIST: a line without end", rogue.Pouring("LIST", "* LIST () \"/\" \"", "x", 0), cannot("a line of more than"))
	add("LIST: INBOX is a shell", rogue.Swapping("LIST", `() "/" "INBOX"`, `(\Noselect) "/" "INBOX"`), outcome{})
	add("LIST: INBOX is not listed", rogue.Rewriting("LIST", func(cmd imaptest.Command, _ string) string { return "* LIST () \"/\" x\r\n" + cmd.Tag + " OK\r\n" }), outcome{})
	for name, delimiter := range map[string]string{"NIL": "NIL", "a letter": `"a"`, "NUL": "\"\x00\"", "two characters": `"//"`, "nothing": `""`, "another each time": `"."`} {
		h := hostile{name: "LIST: the delimiter is " + name, caps: "UIDPLUS LITERAL+", server: rogue.Swapping("LIST", `) "/"`, ") "+delimiter), want: outcome{spoils: true}}
		list = append(list, h)
	}
	for name, text := range map[string]string{"rubbish": "what ever", "NIL": "NIL NIL NIL", "a prefix of ..": `(("../" "/")) NIL NIL`, "a prefix that drives a terminal": "((\"\x1b[2J\" \"/\")) NIL NIL",
		"no delimiter": `(("" NIL)) NIL NIL`, "five thousand of other users": `(("" "/")) (` + strings.Repeat(`("u/" "/")`, 5000) + `) NIL`, "a prefix of 60 KiB": `(("` + strings.Repeat("x", 60<<10) + `" "/")) NIL NIL`,
		"the delimiter a letter": `(("" "x")) NIL NIL`} {
		list = append(list, hostile{name: "NAMESPACE: " + name, server: rogue.Says("NAMESPACE", "* NAMESPACE "+text+"\r\n%T OK\r\n"), want: outcome{spoils: true}})
	}
	add("NAMESPACE: NO", rogue.Says("NAMESPACE", "%T NO no\r\n"), complete())
	add("NAMESPACE: BAD", rogue.Says("NAMESPACE", "%T BAD what?\r\n"), complete())

	create := func(name, text string, want outcome) { add("CREATE: "+name, rogue.Says("CREATE", text), want) }
	create("OK, and nothing is made", "%T OK done\r\n", incomplete("NONEXISTENT"))
	create("NO", "%T NO never\r\n", incomplete("never"))
	create("BAD", "%T BAD what?\r\n", incomplete("what?"))
	create("NO, the password", "%T NO "+rogue.Evil+"\r\n", incomplete("•••"))
	create("ALREADYEXISTS, and it does not", "%T NO [ALREADYEXISTS] it is there\r\n", incomplete("NONEXISTENT"))
	create("OVERQUOTA", "%T NO [OVERQUOTA] full\r\n", incomplete("full"))
	create("CANNOT", "%T NO [CANNOT] no such name\r\n", incomplete("no such name"))
	create("USEATTR for ever", "%T NO [USEATTR] not this use\r\n", incomplete("not this use"))
	create("busy for ever", "%T NO [LIMIT] too many\r\n", failed(restore.ErrBusy, "too many"))
	create("MAILBOXID of 60 KiB", "%T NO [MAILBOXID ("+strings.Repeat("x", 60<<10)+")] no\r\n", incomplete())
	add("CREATE: OK twice", rogue.Behind("CREATE", "%T OK\r\n"), complete())
	add("CREATE: NO to what was made", rogue.Rewriting("CREATE", func(cmd imaptest.Command, _ string) string { return cmd.Tag + " NO no\r\n" }), complete())
	add("CREATE: another folder", rogue.Handling("CREATE", func(c *imaptest.Conn, cmd imaptest.Command) {
		c.Say("* LIST () \"/\" \"..\"\r\n* LIST () \"/\" \"other\" (\"OLDNAME\" (\"INBOX\"))\r\n")
		c.OK(cmd)
	}), incomplete("NONEXISTENT"))
	add("CREATE: lines for ever", rogue.Pouring("CREATE", "", "* OK still here\r\n", 10*time.Second), failed(imapconn.ErrTimeout))
	subscribe := func(name, text string, want outcome) { add("SUBSCRIBE: "+name, rogue.Says("SUBSCRIBE", text), want) }
	subscribe("NO", "%T NO "+rogue.Evil+"\r\n", complete())
	subscribe("BAD", "%T BAD what?\r\n", complete())
	subscribe("MAYBE", "%T MAYBE\r\n", failed(imapconn.ErrProtocol))
	for name, text := range map[string]string{"NO": "%T NO no\r\n", "a hundred thousand and one": rogue.Many(100_001, `* LSUB () "/" f%d`) + "%T OK\r\n", "names that are none": "* LSUB () \"/\" {3}\r\na\x00b\r\n* LSUB\r\n%T OK\r\n"} {
		list = append(list, hostile{name: "LSUB: " + name, caps: "NAMESPACE UIDPLUS LITERAL+", server: rogue.Says("LSUB", text)})
	}
	return list
}
