package imapsource

import (
	"regexp"
	"strings"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers whose counters are zero, run backwards, or are others each time.

// telling puts another value in place of one that LIST and EXAMINE tell.
func telling(item, was, now string) maker {
	return together(swapping("LIST", item+" "+was, item+" "+now), swapping("EXAMINE", item+" "+was, item+" "+now))
}

func hostileEpochs() []hostile {
	keepsAll := complete()
	otherEpoch := incomplete(`folder "INBOX"`, "its UIDVALIDITY changed while it was being read")
	changes := incomplete(`folder "INBOX"`, "the UIDVALIDITY of the folder that is open changes from 1000 to 77")
	noValidity := incomplete(`folder "INBOX"`, "it names no UIDVALIDITY")
	renewed := func(validity string) outcome {
		return complete(`folder "INBOX": UIDVALIDITY changed from 1000 to ` + validity).believing(func(v view) {
			for place, m := range v["INBOX"] {
				if uid, ok := strings.CutPrefix(place, "1000/"); ok {
					v["INBOX"][validity+"/"+uid] = m
					delete(v["INBOX"], place)
				}
			}
		})
	}
	list := []hostile{
		{name: "UIDVALIDITY: 0", server: telling("UIDVALIDITY", "1000", "0"), want: noValidity},
		{name: "UIDVALIDITY: none", server: inbox("EXAMINE", "* OK [UIDVALIDITY 1000] ok\r\n", ""), want: noValidity},
		{name: "UIDVALIDITY: 2^32", server: inbox("EXAMINE", "UIDVALIDITY 1000", "UIDVALIDITY 4294967296"), want: noValidity},
		{name: "UIDVALIDITY: below zero", server: inbox("EXAMINE", "UIDVALIDITY 1000", "UIDVALIDITY -1000"), want: noValidity},
		{name: "UIDVALIDITY: a word", server: inbox("EXAMINE", "UIDVALIDITY 1000", "UIDVALIDITY (1000)"), want: noValidity},
		{name: "UIDVALIDITY: another one", server: inbox("EXAMINE", "UIDVALIDITY 1000", "UIDVALIDITY 4294967295"), want: otherEpoch},
		{name: "UIDVALIDITY: another one, of a server that tells no states", caps: "none", server: inbox("EXAMINE", "UIDVALIDITY 1000", "UIDVALIDITY 4294967295"), want: renewed("4294967295")},
		{name: "UIDVALIDITY: two in one answer", server: inbox("EXAMINE", "* OK [UIDVALIDITY 1000] ok", "* OK [UIDVALIDITY 77] ok\r\n* OK [UIDVALIDITY 1000] ok"), want: complete()},
		{name: "UIDVALIDITY: another one in STATUS", server: swapping("LIST", "UIDVALIDITY 1000", "UIDVALIDITY 77"), want: complete()},
		{name: "UIDVALIDITY: another one while the folder is open", server: before("UID SEARCH", "* OK [UIDVALIDITY 77] surprise\r\n"), want: changes},
		{name: "UIDVALIDITY: another one while bodies come", server: between("UID FETCH", "* OK [UIDVALIDITY 77] surprise\r\n"), want: changes},
		{name: "UIDVALIDITY: another one each time, and hangs up at each body", server: func(c *chain, s *imaptest.Script) {
			n := 0
			inFolder(1000, "EXAMINE", func(_ imaptest.Command, text string) string {
				n++
				return strings.Replace(text, "UIDVALIDITY 1000", "UIDVALIDITY "+strings.Repeat("7", 1+n%9), 1)
			})(c, s)
			instead13(rogue.HangUp(""))(c, s)
		}, want: otherEpoch},
		{name: "EXAMINE: another folder than the one asked for", server: func(c *chain, s *imaptest.Script) {
			own := s.Handle["EXAMINE"]
			s.Handle["EXAMINE"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
				cmd.Args = strings.Replace(cmd.Args, "INBOX", "Lists/Empty", 1)
				own(conn, cmd)
			}
		}, want: otherEpoch},
		{name: "EXAMINE: a full folder in place of the one asked for", server: func(c *chain, s *imaptest.Script) {
			own := s.Handle["EXAMINE"]
			s.Handle["EXAMINE"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
				cmd.Args = strings.Replace(cmd.Args, "INBOX", "Sent", 1)
				own(conn, cmd)
			}
		}, want: otherEpoch},
		{name: "EXAMINE: OK without a word", server: says("EXAMINE", "%T OK [READ-ONLY] done\r\n"), want: incomplete(`folder "INBOX"`, `folder "Sent"`, "it names no UIDVALIDITY")},
		{name: "EXAMINE: READ-WRITE", server: swapping("EXAMINE", "READ-ONLY", "READ-WRITE"), want: complete()},
		{name: "EXAMINE: CLOSED, and the answer to another folder first", server: before("EXAMINE", "* OK [CLOSED] \r\n* 99 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n* OK [CLOSED] \r\n"), want: complete()},
		{name: "UIDNEXT: 0", server: telling("UIDNEXT", "15", "0"), want: keepsAll},
		{name: "UIDNEXT: none", server: inbox("EXAMINE", "* OK [UIDNEXT 15] ok\r\n", ""), want: keepsAll},
		{name: "UIDNEXT: backwards", server: telling("UIDNEXT", "15", "3"), want: keepsAll},
		{name: "UIDNEXT: 4294967295", server: telling("UIDNEXT", "15", "4294967295"), want: keepsAll},
		{name: "UIDNEXT: 2^32", server: telling("UIDNEXT", "15", "4294967296"), want: keepsAll},
		{name: "MODSEQ: of every message 0", server: modSeqs("0"), want: keepsAll},
		{name: "MODSEQ: of every message 2^63", server: modSeqs("9223372036854775808"), want: keepsAll},
		{name: "MODSEQ: of every message 2^64", server: modSeqs("18446744073709551616"), want: keepsAll},
		{name: "MODSEQ: of every message a list", server: modSeqs("(1 2)) X-THING ((3)"), want: keepsAll},
		{name: "MODSEQ: NOMODSEQ besides HIGHESTMODSEQ", server: before("EXAMINE", "* OK [NOMODSEQ] none\r\n"), want: keepsAll},
		{name: "STATUS: no messages", server: swapping("LIST", "MESSAGES 14", "MESSAGES 0", "MESSAGES 7", "MESSAGES 0"), want: keepsAll},
		{name: "STATUS: 4294967295 messages", server: swapping("LIST", "MESSAGES 14", "MESSAGES 4294967295"), want: keepsAll},
		{name: "STATUS: 2^32 messages", server: swapping("LIST", "MESSAGES 14", "MESSAGES 4294967296"), want: keepsAll},
		{name: "STATUS: of another folder", server: swapping("LIST", `STATUS "INBOX"`, `STATUS "Sent"`), want: keepsAll},
		{name: "STATUS: of each folder a hundred times, in turn right and wrong", server: rewriting("LIST", func(_ imaptest.Command, text string) string {
			list := answers(text)
			var b strings.Builder
			for _, a := range list {
				if strings.HasPrefix(a, "* STATUS") {
					b.WriteString(strings.Repeat(strings.Replace(a, "MESSAGES ", "MESSAGES 9", 1)+a, 100))
				} else {
					b.WriteString(a)
				}
			}
			return b.String()
		}), want: keepsAll},
		{name: "STATUS: items that are no numbers", server: swapping("LIST", "MESSAGES 14", "MESSAGES (1 4) X NIL Y \"\x00\" MESSAGES -14"), want: keepsAll},
		{name: "STATUS: of a folder that is not there", caps: "CONDSTORE NAMESPACE", server: says("STATUS", "* STATUS \"Ghost\" (MESSAGES 1 UIDNEXT 1 UIDVALIDITY 1 HIGHESTMODSEQ 1)\r\n%T OK\r\n"), want: keepsAll},
		{name: "STATUS: OK without a word", caps: "CONDSTORE NAMESPACE", server: says("STATUS", "%T OK\r\n"), want: keepsAll},
	}
	for _, n := range []string{"0", "1", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "-1", "NIL"} {
		list = append(list, hostile{name: "HIGHESTMODSEQ: " + n, server: func(c *chain, s *imaptest.Script) {
			for _, f := range []string{"LIST", "EXAMINE"} {
				s.Handle[f] = imaptest.Rewrite(s.Handle[f], func(_ imaptest.Command, text string) string {
					return highest.ReplaceAllString(text, "HIGHESTMODSEQ "+n)
				})
			}
		}, want: keepsAll})
	}
	return list
}

// modSeqs tells a MODSEQ with every message.
func modSeqs(n string) maker {
	return swapping("UID FETCH", "FETCH (UID", "FETCH (MODSEQ ("+n+") UID")
}

var highest = regexp.MustCompile(`HIGHESTMODSEQ [0-9]+`)
