package imapsource

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers that lie about how long things are, and in which form they come.

// of13Size has the body of UID 13 announced with another size.
func of13Size(change func(n int) string) maker {
	return of13(func(a string) string {
		return regexp.MustCompile(`BODY\[\] \{[0-9]+\}`).ReplaceAllStringFunc(a, func(s string) string {
			var n int
			fmt.Sscanf(s, "BODY[] {%d}", &n)
			return "BODY[] " + change(n)
		})
	})
}

// withUIDBehind sends the body of UID 13 before it says whose it is.
func withUIDBehind(c *imaptest.Conn, size int64, send func(w io.Writer)) {
	c.Say("* 13 FETCH (FLAGS () BODY[] {%d}\r\n", size)
	send(c.Conn)
}

func hostileLiterals() []hostile {
	missing := func(says string) outcome { return incomplete("INBOX/1000/13: ", says) }
	broken := missing("breaks the protocol")
	list := []hostile{
		{name: "literal: 4 GiB announced, a few octets, and hangs up", server: instead13(rogue.HangUp("* 13 FETCH (UID 13 FLAGS () BODY[] {4294967296}\r\nFrom: x\r\n")), want: missing("closed the connection")},
		{name: "literal: 4 GiB announced, a few octets, and silence", times: 1, server: instead13(func(c *imaptest.Conn, cmd imaptest.Command) {
			c.Say("* 13 FETCH (UID 13 FLAGS () BODY[] {4294967296}\r\nFrom: x\r\n")
			rogue.Silence(c, cmd)
		}), want: complete()},
		{name: "literal: more than 4 GiB announced", server: body13("{4294967297}\r\nFrom: x"), want: missing("announces a message of 4294967297 octets")},
		{name: "literal: 4 GiB announced in front of the UID, 8 MiB, and hangs up", server: instead13(func(c *imaptest.Conn, _ imaptest.Command) {
			withUIDBehind(c, 4<<30, func(w io.Writer) { io.WriteString(w, strings.Repeat("x", 8<<20)) })
			c.Close()
		}), want: missing("closed the connection")},
		{name: "literal: more than 4 GiB announced in front of the UID", server: instead13(func(c *imaptest.Conn, cmd imaptest.Command) {
			withUIDBehind(c, 4<<30+1, func(w io.Writer) {})
			rogue.Silence(c, cmd)
		}), want: missing("octets of a message whose UID has not come")},
		{name: "literal: 64 MiB in front of a UID that never comes", times: 1, server: instead13(func(c *imaptest.Conn, cmd imaptest.Command) {
			withUIDBehind(c, 64<<20, func(w io.Writer) {
				piece := bytes.Repeat([]byte("x"), 64<<10)
				for range 1024 {
					w.Write(piece)
				}
			})
			c.Say(")\r\n")
			c.OK(cmd)
		}), want: missing("left it out")},
		{name: "literal: cut in its header", server: instead13(rogue.HangUp("* 13 FETCH (UID 13 FLAGS () BODY[] {10")), want: missing("closed the connection")},
		{name: "literal: cut right behind its header", server: instead13(rogue.HangUp("* 13 FETCH (UID 13 FLAGS () BODY[] {10}\r\n")), want: missing("closed the connection")},
		{name: "literal: cut at its last octet", server: instead13(rogue.HangUp("* 13 FETCH (UID 13 FLAGS () BODY[] {10}\r\n123456789")), want: missing("closed the connection")},
		{name: "literal: cut right behind it", server: instead13(rogue.HangUp("* 13 FETCH (UID 13 FLAGS () BODY[] {10}\r\n1234567890")), want: missing("closed the connection")},
		{name: "literal: whole, and cut in front of the tagged OK", server: instead13(rogue.HangUp("* 13 FETCH (UID 13 FLAGS () BODY[] {10}\r\n1234567890)\r\n")), want: missing("closed the connection")},
		{name: "literal: one octet less than there are", server: of13Size(func(n int) string { return fmt.Sprintf("{%d}", n-1) }), want: broken},
		{name: "literal: two octets less", server: of13Size(func(n int) string { return fmt.Sprintf("{%d}", n-2) }), want: broken},
		{name: "literal: half of what there is", server: of13Size(func(n int) string { return fmt.Sprintf("{%d}", n/2) }), want: broken},
		{name: "literal: nothing of what there is", server: of13Size(func(int) string { return "{0}" }), want: broken},
		{name: "literal: one octet more than there are", server: of13Size(func(n int) string { return fmt.Sprintf("{%d}", n+1) }), want: missing("")},
		{name: "literal: three octets more, which are the end of the answer", server: of13Size(func(n int) string { return fmt.Sprintf("{%d}", n+3) }), want: missing("")},
		{name: "literal: a hundred octets more", server: of13Size(func(n int) string { return fmt.Sprintf("{%d}", n+100) }), want: missing("")},
		{name: "literal: without a line end behind its header", server: of13(func(a string) string { return strings.Replace(a, "}\r\n", "}", 1) }), want: broken},
		{name: "literal: CR only behind its header", server: of13(func(a string) string { return strings.Replace(a, "}\r\n", "}\r", 1) }), want: broken},
		{name: "literal: one of RFC 3516, with a plus", server: of13Size(func(n int) string { return fmt.Sprintf("~{%d+}", n) }), want: complete()},
		{name: "literal: its size with leading zeros", server: of13Size(func(n int) string { return fmt.Sprintf("{%010d}", n) }), want: complete()},

		{name: "body: NIL", server: body13("NIL"), want: missing("left it out")},
		{name: "body: an empty string", server: body13(`""`), want: missing("left it out")},
		{name: "body: an atom", server: body13("From:"), want: broken},
		{name: "body: a list", server: body13("(1 2 3)"), want: broken},
		{name: "body: a quoted string without end", server: body13(`"From: x`), want: broken},
		{name: "body: a quoted string over several lines", server: body13("\"From: x\r\n\r\nhello\""), want: broken},
		{name: "body: a quoted string of 1 MiB", server: body13(`"` + strings.Repeat("x", 1<<20) + `"`), want: missing("a line of more than")},
		{name: "body: in two halves, of which one has no beginning", server: of13(func(a string) string { return strings.Replace(a, "BODY[]", "BODY[]<100>", 1) }), want: missing("left it out")},
		{name: "body: in a section without end", server: of13(func(a string) string { return strings.Replace(a, "BODY[]", "BODY[", 1) }), want: broken},
		{name: "body: of a part that is a million parts deep", server: of13(func(a string) string {
			return strings.Replace(a, "BODY[]", "BODY["+strings.Repeat("1.", 20000)+"1]", 1)
		}), want: missing("")},

		{name: "size: 0 for each message", server: rewriting("UID FETCH", sized("0")), want: complete()},
		{name: "size: 4 GiB for each message", server: rewriting("UID FETCH", sized("4294967296")), want: complete()},
		{name: "size: 2^64 for each message", server: rewriting("UID FETCH", sized("18446744073709551616")), want: complete()},
		{name: "size: below zero", server: rewriting("UID FETCH", sized("-1")), want: complete()},
		{name: "size: a list", server: rewriting("UID FETCH", sized("(1 2)")), want: complete()},
		{name: "size: a literal of 100 MiB", server: item13("RFC822.SIZE {104857600}\r\n"), want: missing("a literal of 104857600 octets outside a message")},
		{name: "size: one octet more, one less, in turn", server: together(item13("RFC822.SIZE 1"), item13("RFC822.SIZE 999999")), want: complete()},

		{name: "item: a literal of 2 MiB", server: item13("X-THING {2097152}\r\n" + strings.Repeat("x", 2<<20)), want: missing("a literal of 2097152 octets outside a message")},
		{name: "item: a literal of 2^63 octets", server: item13("X-THING {9223372036854775808}\r\n"), want: missing("")},
		{name: "item: three literals of 1 MiB", server: item13(strings.Repeat("X-THING {1048576}\r\n"+strings.Repeat("x", 1<<20)+" ", 3)), want: missing("an answer of more than")},
		{name: "item: literals within lists within literals", server: item13("X-THING (((a {5}\r\n(((({ b {8}\r\n}\r\nT9 OK (c))) d)"), want: complete()},
		{name: "item: a literal in a list without end", server: item13("X-THING (a {3}\r\nabc"), want: missing("")},
		{name: "item: a date in a literal of 1 MiB", server: item13("INTERNALDATE {1048576}\r\n" + strings.Repeat("9", 1<<20)), want: complete()},
		{name: "item: flags that are literals", server: item13("FLAGS ({5}\r\n\\Seen {3}\r\nabc)"), want: complete().lying()},
		{name: "item: the UID in a literal", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID {2}\r\n13", 1) }), want: complete()},
		{name: "item: the UID in quotes", server: of13(func(a string) string { return strings.Replace(a, "UID 13", `UID "13"`, 1) }), want: complete()},
	}
	for _, n := range []string{"-1", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
		"99999999999999999999999999", "0x10", "1e3", "", " 5 ", "5", "NIL"} {
		h := hostile{name: fmt.Sprintf("literal: of {%s} octets", n), server: body13("{" + n + "}\r\nFrom: x"), want: broken}
		switch n {
		case "9223372036854775807":
			h.want = missing("announces a message of 9223372036854775807 octets")
		case "5":
			h.want = missing("")
		}
		list = append(list, h)
	}
	return list
}

// sized tells another RFC822.SIZE of all messages.
func sized(n string) func(imaptest.Command, string) string {
	return func(_ imaptest.Command, text string) string {
		return regexp.MustCompile(`RFC822\.SIZE [0-9]+`).ReplaceAllString(text, "RFC822.SIZE "+n)
	}
}
