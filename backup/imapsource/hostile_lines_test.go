package imapsource

import (
	"strings"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// Servers that do not stop, and servers whose lines are no text.

func hostileLines() []hostile {
	missing := func(says string) outcome { return incomplete("INBOX/1000/13: ", says) }
	tooLong := "a line of more than"
	listing := func(says string) outcome { return refused(imapconn.ErrProtocol, "list folders", says) }
	return []hostile{
		{name: "line: without end, in LIST", server: pouring("LIST", "* LIST () \"/\" ", "x", 0), want: listing(tooLong)},
		{name: "line: without end, in NAMESPACE", server: pouring("NAMESPACE", "* NAMESPACE ((\"", "x", 0), want: listing(tooLong)},
		{name: "line: without end, in STATUS", caps: "CONDSTORE", server: pouring("STATUS", "* STATUS INBOX (", "MESSAGES 1 ", 0), want: listing(tooLong)},
		{name: "line: without end, in EXAMINE", server: pouring("EXAMINE", "* OK [PERMANENTFLAGS (", "x ", 0), want: refused(imapconn.ErrProtocol, `open folder "`, tooLong)},
		{name: "line: without end, in SEARCH", caps: "none", times: 1, server: pouring("UID SEARCH", "* SEARCH", " 1000000000", 0), want: complete()},
		{name: "line: without end, in ESEARCH", server: pouring("UID SEARCH", "* ESEARCH (TAG \"x\") UID ALL 1", ",1,3", 0), want: incomplete(`folder "INBOX"`, "a list of numbers of more than")},
		{name: "line: without end, in VANISHED", server: pouring("UID SEARCH", "* VANISHED 1", ",1", 0), want: incomplete(`folder "INBOX"`, "a list of numbers of more than")},
		{name: "line: without end, in FETCH", server: pouringBody("* 13 FETCH (UID 13 FLAGS (", "x ", 0), want: missing(tooLong)},
		{name: "line: without end, in the tagged OK", server: pouringBody("* 13 FETCH (UID 13 FLAGS ())\r\nT9 OK ", "x", 0), want: missing(tooLong)},
		{name: "line: without end, of nothing known", server: pouringBody("", "\x00", 0), want: missing(tooLong)},
		{name: "line: SEARCH, of ten million octets, all of UID 1", caps: "none", times: 1, server: handling("UID SEARCH", func(c *imaptest.Conn, cmd imaptest.Command) {
			c.Say("* SEARCH")
			for range 100 {
				c.Say("%s", strings.Repeat(" 1", 50000))
			}
			c.Say("\r\n")
			c.OK(cmd)
		}), want: incomplete(`folder "Lists/Empty"`, "it is not certain what there is")},
		{name: "answers: of one word without end, in LIST", server: pouring("LIST", "", "* X\r\n", 0), want: listing("more than 1000000 answers")},
		{name: "answers: blank lines without end, in NAMESPACE", server: pouring("NAMESPACE", "", "\r\n", 0), want: listing("more than 1000000 answers")},
		{name: "answers: + without end, in LIST", server: pouring("LIST", "", "+ go on\r\n", 0), want: listing("more than 1000000 answers")},
		{name: "answers: tags that nobody sent, without end", server: pouring("LIST", "", "X OK\r\n", 0), want: listing("more than 1000000 answers")},
		{name: "answers: EXISTS without end", server: pouring("LIST", "", "* 1 EXISTS\r\n", 0), want: listing("more than 1000000 answers")},
		{name: "answers: alerts without end", server: pouring("LIST", "", "* OK [ALERT] read this\r\n", 0), want: listing("more than 1000000 answers")},
		{name: "answers: still here, for ever", server: pouring("LIST", "", "* OK still here\r\n", time.Minute), want: refused(imapconn.ErrTimeout, "list folders", "neither a message nor the end of a command")},
		{name: "answers: still here, for ever, once for a body", times: 1, server: pouringBody("", "* OK still here\r\n", time.Minute), want: complete()},
		{name: "answers: quotas and rights that nobody asked for", server: between("LIST", "* QUOTA \"\" (STORAGE 1 2)\r\n* ACL INBOX a b\r\n* METADATA \"\" (/private/x {3}\r\nabc)\r\n* MYRIGHTS x y\r\n* LSUB () \"/\" Ghost\r\n* SEARCH 99\r\n* ESEARCH UID ALL 1:99\r\n"), want: complete()},
		{name: "lists: sixty thousand deep, in FETCH", server: item13("X-THING " + strings.Repeat("(", 60000)), want: missing("lists nested deeper than")},
		{name: "lists: sixty thousand deep, in BODYSTRUCTURE", server: item13("BODYSTRUCTURE " + strings.Repeat("(", 60000)), want: missing("lists nested deeper than")},
		{name: "lists: deep, in FLAGS", server: item13("FLAGS (" + strings.Repeat("(", 60000)), want: missing("lists nested deeper than")},
		{name: "lists: deep, in LIST", server: before("LIST", "* LIST ("+strings.Repeat("(", 60000)+"\r\n"), want: listing("lists nested deeper than")},
		{name: "lists: deep, in NAMESPACE", server: says("NAMESPACE", "* NAMESPACE "+strings.Repeat("(", 60000)+"\r\n%T OK\r\n"), want: listing("")},
		{name: "lists: deep, in STATUS", server: before("LIST", "* STATUS INBOX (X "+strings.Repeat("(", 60000)+"\r\n"), want: listing("lists nested deeper than")},
		{name: "lists: deep, in ESEARCH", server: before("UID SEARCH", "* ESEARCH (TAG \"x\") UID X "+strings.Repeat("(", 60000)+"\r\n"), want: incomplete(`folder "INBOX"`, "lists nested deeper than")},
		{name: "lists: deep, in THREAD and what nobody knows", server: between("UID FETCH", "* THREAD "+strings.Repeat("(", 60000)+"\r\n* X "+strings.Repeat("((", 30000)+"\r\n"), want: complete()},
		{name: "lists: 64 MiB of parentheses without a line", server: pouringBody("* 13 FETCH (X ", strings.Repeat("(", 1<<20), 0), want: missing(tooLong)},
		{name: "lists: deep, with a literal on every level", server: item13("X-THING " + strings.Repeat("(a {1}\r\nb ", 5000)), want: missing("lists nested deeper than")},
		{name: "octets: NULs in front of everything", server: between("UID FETCH", "\x00\x00\x00\r\n"), want: complete()},
		{name: "octets: CR alone between everything", server: between("UID FETCH", "\r\r\r\n\n\r\n"), want: complete()},
		{name: "octets: answers that end in LF", server: together(ending("EXAMINE"), ending("UID SEARCH"), ending("LIST"), ending("NAMESPACE")), want: complete()},
		{name: "octets: answers of 8 bits that are no UTF-8", server: between("UID FETCH", "* OK \xff\xfe\x80 [\xc3\x28]\r\n* \xff\xff\r\n\xff OK\r\n"), want: complete()},
		{name: "octets: NUL within an answer", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID\x0013", 1) }), want: missing("")},
		{name: "octets: a CR within a FETCH answer", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID\r13", 1) }), want: missing("")},
		{name: "octets: tabs in place of spaces", server: of13(func(a string) string { return strings.Replace(a, "UID 13 ", "UID\t13\t", 1) }), want: missing("left it out")},
		{name: "octets: escape sequences in every text", server: together(swapping("EXAMINE", "] ok", "] \x1b[2J\x1b]0;x\x07\u202e"), between("UID FETCH", "* NO \x1b[31m\u009b2J\r\n")), want: complete()},
	}
}

// ending has the answers to a command end in LF.
func ending(command string) maker { return swapping(command, "\r\n", "\n") }
