package imapsource

import (
	"fmt"
	"strings"

	"restante/backup/accounts/imapconn/imaptest"
)

// Servers whose answers to FETCH are too many, too few, of others, or
// contradict themselves.

// fake is the answer with a body that no message has.
func fake(uid any) string {
	return fmt.Sprintf("* 13 FETCH (UID %v FLAGS () INTERNALDATE \" 1-Nov-2023 22:13:00 +0100\" RFC822.SIZE 9 BODY[] {9}\r\nNot: this)\r\n", uid)
}

func hostileFetches() []hostile {
	missing := func(says string) outcome { return incomplete("INBOX/1000/13: ", says) }
	left := missing("the server left it out")
	alike, atOnce := missing("two bodies of UID 13 that are not alike"), missing("an answer about the UIDs 13 and 14 at once")
	wrap := func(front, back string) maker { return of13(func(a string) string { return front + a + back }) }
	return []hostile{
		{name: "fetch: an update of the flags in front of the body", server: wrap("* 13 FETCH (UID 13 FLAGS (\\Draft))\r\n", ""), want: complete()},
		{name: "fetch: updates of the flags, without UID, around the body", server: wrap("* 13 FETCH (FLAGS (\\Draft))\r\n", "* 13 FETCH (FLAGS (\\Draft))\r\n"), want: complete()},
		{name: "fetch: flags behind the body, in the same answer", server: of13(func(a string) string { return strings.TrimSuffix(a, ")\r\n") + " FLAGS (\\Seen))\r\n" }), want: complete()},
		{name: "fetch: ten thousand updates of the flags in front of the body", server: wrap(strings.Repeat("* 13 FETCH (UID 13 FLAGS (\\Draft))\r\n", 10000), ""), want: complete()},
		{name: "fetch: updates of ten thousand messages that are not there", server: wrap(updates(10000), ""), want: complete()},
		{name: "fetch: a body that nobody asked for", server: wrap(fake(5), ""), want: complete()},
		{name: "fetch: a body of a message that is not there", server: wrap(fake(4000000000), ""), want: complete()},
		{name: "fetch: a body in answer to NAMESPACE, LIST, EXAMINE and SEARCH", server: together(before("NAMESPACE", fake(13)), before("LIST", fake(13)), before("EXAMINE", fake(13)), before("UID SEARCH", fake(13))), want: complete()},
		{name: "fetch: bodies in answer to what asks for flags", server: rewriting("UID FETCH", func(cmd imaptest.Command, text string) string {
			if strings.Contains(cmd.Args, "CHANGEDSINCE") {
				return strings.ReplaceAll(fake(2)+fake(13), " FLAGS ()", "") + text
			}
			return text
		}), want: incomplete(`folder "INBOX"`, "messages came without the flags that were asked for")},
		{name: "fetch: the same answer twice", server: of13(func(a string) string { return a + a }), want: complete()},
		{name: "fetch: two bodies of one message, the wrong one first", server: wrap(fake(13), ""), want: alike},
		{name: "fetch: two bodies of one message, the wrong one last", server: wrap("", fake(13)), want: alike},
		{name: "fetch: two bodies in one answer, the wrong one first", server: item13("BODY[] {9}\r\nNot: this"), want: alike},
		{name: "fetch: two bodies in one answer, the wrong one last", server: of13(func(a string) string { return strings.TrimSuffix(a, ")\r\n") + " BODY[] {9}\r\nNot: this)\r\n" }), want: alike},
		{name: "fetch: a body, and then NIL", server: of13(func(a string) string { return strings.TrimSuffix(a, ")\r\n") + " BODY[] NIL)\r\n" }), want: alike},
		{name: "fetch: two UIDs in front of a body", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID 13 UID 14", 1) }), want: atOnce},
		{name: "fetch: the UID of another message first", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID 14 UID 13", 1) }), want: missing("an answer about the UIDs 14 and 13 at once")},
		{name: "fetch: another UID behind the body", server: of13(func(a string) string { return strings.TrimSuffix(a, ")\r\n") + " UID 14)\r\n" }), want: atOnce},
		{name: "fetch: two UIDs behind the body", server: of13(func(a string) string {
			return strings.TrimSuffix(strings.Replace(a, "UID 13 ", "", 1), ")\r\n") + " UID 13 UID 14)\r\n"
		}), want: atOnce},
		{name: "fetch: a body without UID", server: of13(func(a string) string { return strings.Replace(a, "UID 13 ", "", 1) }), want: left},
		{name: "fetch: UID 0", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID 0", 1) }), want: left},
		{name: "fetch: UID 4294967295", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID 4294967295", 1) }), want: left},
		{name: "fetch: UID 4294967309, which is 13 in 32 bits", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID 4294967309", 1) }), want: left},
		{name: "fetch: UID -13", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID -13", 1) }), want: left},
		{name: "fetch: UID 13:14", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID 13:14", 1) }), want: left},
		{name: "fetch: UID NIL", server: of13(func(a string) string { return strings.Replace(a, "UID 13", "UID NIL", 1) }), want: left},
		{name: "fetch: sequence number 0", server: of13(func(a string) string { return "* 0 FETCH" + strings.TrimPrefix(a, "* 13 FETCH") }), want: complete()},
		{name: "fetch: sequence number 4294967296", server: of13(func(a string) string { return "* 4294967296 FETCH" + strings.TrimPrefix(a, "* 13 FETCH") }), want: left},
		{name: "fetch: the last message first", server: rewriting("UID FETCH", func(_ imaptest.Command, text string) string {
			list := answers(text)
			for i, j := 0, len(list)-2; i < j; i, j = i+1, j-1 {
				list[i], list[j] = list[j], list[i]
			}
			return strings.Join(list, "")
		}), want: complete()},
		{name: "fetch: left out", server: of13(func(string) string { return "" }), want: left},
		{name: "fetch: NO behind all that was asked for", server: rewriting("UID FETCH", func(cmd imaptest.Command, text string) string {
			if wantsBody(cmd, 13) {
				return strings.Replace(text, cmd.Tag+" OK", cmd.Tag+" NO", 1)
			}
			return text
		}), want: missing("NO")},
		{name: "fetch: OK in front of all that was asked for", server: rewriting("UID FETCH", func(cmd imaptest.Command, text string) string {
			if !wantsBody(cmd, 13) {
				return text
			}
			list := answers(text)
			return list[len(list)-1] + strings.Join(list[:len(list)-1], "")
		}), want: left},
		{name: "fetch: without flags", server: of13(func(a string) string { return flagsItem.ReplaceAllString(a, "") }), want: incomplete(`folder "INBOX": the server did not tell the flags of 1 new messages`).lying()},
		{name: "fetch: flags only, whatever is asked for", server: of13(func(a string) string { return "* 13 FETCH (UID 13 FLAGS (\\Seen))\r\n" }), want: left},
		{name: "fetch: an answer in which nothing is", server: wrap("* 13 FETCH ()\r\n* 13 FETCH\r\n* 13 FETCH NIL\r\n", ""), want: complete()},
		{name: "fetch: text behind an answer", server: of13(func(a string) string { return strings.TrimSuffix(a, "\r\n") + " and more\r\n" }), want: missing("behind a FETCH answer")},
		{name: "fetch: an item without a value", server: of13(func(a string) string { return strings.TrimSuffix(a, ")\r\n") + " X-THING)\r\n" }), want: missing("a value is missing")},
		{name: "fetch: items that are parentheses", server: item13("(((( ))))"), want: missing("")},
		{name: "fetch: EXPUNGE in front of the body, for each message there is", server: wrap(strings.Repeat("* 1 EXPUNGE\r\n", 14), ""), want: complete()},
		{name: "fetch: EXPUNGE between any two answers, of messages that are still there", server: between("UID FETCH", "* 1 EXPUNGE\r\n"), want: complete()},
		{name: "fetch: VANISHED 1:4294967295 between any two answers", server: together(between("UID FETCH", "* VANISHED 1:4294967295\r\n"), between("UID SEARCH", "* VANISHED (EARLIER) 1:4294967295\r\n"), between("EXAMINE", "* VANISHED (EARLIER) 1:4294967295\r\n")), want: complete()},
		{name: "fetch: EXISTS of other numbers between any two answers", server: between("UID FETCH", "* 0 EXISTS\r\n* 4294967295 EXISTS\r\n* 3 EXISTS\r\n"), want: complete()},
		{name: "fetch: EXISTS 0 before SEARCH, which finds all", server: before("UID SEARCH", "* 0 EXISTS\r\n"), want: complete()},
		{name: "fetch: EXISTS of 2^32 and RECENT of -1", server: between("UID FETCH", "* 4294967296 EXISTS\r\n* -1 RECENT\r\n* -1 EXISTS\r\n* 99999999999999999999 EXPUNGE\r\n"), want: complete()},
		{name: "fetch: bodies of all messages, whatever is asked for", server: rewriting("UID FETCH", func(cmd imaptest.Command, text string) string {
			if !wantsBody(cmd, 13) {
				return text
			}
			for uid := range 12 {
				text = fake(uid+1) + text
			}
			return text
		}), want: complete()},
		{name: "fetch: all flags, whatever changed", server: func(c *chain, s *imaptest.Script) {
			own := s.Handle["UID FETCH"]
			s.Handle["UID FETCH"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
				cmd.Args, _, _ = strings.Cut(cmd.Args, " (CHANGEDSINCE")
				own(conn, cmd)
			}
		}, want: complete()},
		{name: "fetch: no flags where all changed ones are asked for, but an OK", server: rewriting("UID FETCH", func(cmd imaptest.Command, text string) string {
			if strings.Contains(cmd.Args, "CHANGEDSINCE") {
				return cmd.Tag + " OK nothing\r\n"
			}
			return text
		}), want: complete().believing(func(v view) { v["INBOX"]["1000/2"] = was2(v["INBOX"]["1000/2"]) })},
		{name: "fetch: flags without end of messages that are not there", times: 1, server: handling("UID FETCH", func(c *imaptest.Conn, _ imaptest.Command) {
			for uid := 1; ; uid += 1000 {
				var b strings.Builder
				for i := range 1000 {
					fmt.Fprintf(&b, "* %d FETCH (UID %d FLAGS ())\r\n", uid+i, uid+i)
				}
				if _, err := c.Write([]byte(b.String())); err != nil {
					return
				}
			}
		}), want: complete()},
	}
}

// was2 is UID 2 of INBOX as it was before its flags changed.
func was2(now string) string {
	return `["\\Seen"] ` + strings.SplitN(now, "] ", 2)[1]
}

func updates(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "* %d FETCH (UID %d FLAGS (\\Draft) MODSEQ (%d))\r\n", 1000+i, 5000+i, i)
	}
	return b.String()
}
