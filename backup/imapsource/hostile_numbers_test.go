package imapsource

import (
	"fmt"
	"strings"

	"restante/backup/accounts/imapconn/imaptest"
)

// Servers that are wrong about which messages there are.

// finding puts another list of UIDs in place of the one that SEARCH gives in
// INBOX, which has 14 messages.
func finding(uids string) maker {
	return inFolder(1000, "UID SEARCH", func(cmd imaptest.Command, text string) string {
		return strings.NewReplacer("ALL 1,2,3,4,5,6,7,8,9,10,11,12,13,14\r", uids+"\r", "SEARCH 1 2 3 4 5 6 7 8 9 10 11 12 13 14\r", "SEARCH "+uids+"\r").Replace(text)
	})
}

// without1 has SEARCH and FETCH agree that INBOX begins with a UID.
func without1(from int) maker {
	uids := []string{}
	for uid := from; uid <= 14; uid++ {
		uids = append(uids, fmt.Sprint(uid))
	}
	found := ""
	if len(uids) > 0 {
		found = "ALL " + strings.Join(uids, ",")
	}
	return together(finding(found), inFolder(1000, "UID FETCH", func(cmd imaptest.Command, text string) string {
		list := answers(text)
		kept := list[:0]
		for _, a := range list {
			var seq, uid int
			if n, _ := fmt.Sscanf(a, "* %d FETCH (UID %d", &seq, &uid); n < 2 || uid >= from {
				kept = append(kept, a)
			}
		}
		return strings.Join(kept, "")
	}))
}

func hostileNumbers() []hostile {
	uncertain := incomplete(`folder "INBOX"`, "it is not certain what there is")
	list := []hostile{
		// FETCH, which is asked then, knows better.
		{name: "search: four billion", server: finding("ALL 1:4294967295"), want: complete()},
		{name: "search: four billion, in ranges that overlap", server: finding("ALL 1:4294967295,2:4294967295,4294967295,1:4"), want: complete()},
		{name: "search: four billion, backwards", server: finding("ALL 4294967295:1"), want: complete()},
		{name: "search: ranges backwards", server: finding("ALL 14:10,9:1"), want: complete()},
		{name: "search: ranges that overlap", server: finding("ALL 1:10,5:14,3,3,3"), want: complete()},
		{name: "search: two thousand times the same", server: finding("ALL 1:14" + strings.Repeat(",1:14", 2000)), want: complete()},
		{name: "search: nothing", server: finding(""), want: complete()},
		{name: "search: half of it", server: finding("ALL 1:7"), want: complete()},
		{name: "search: twice as much", server: finding("ALL 1:28"), want: uncertain},
		{name: "search: as many, of others", server: finding("ALL 101:114"), want: incomplete(`folder "INBOX": the server does not list 12 messages that are there when they are asked for`)},
		{name: "search: an answer to another tag", server: inbox("UID SEARCH", `TAG "T`, `TAG "X`), want: complete()},
		{name: "search: sequence numbers", server: inbox("UID SEARCH", " UID ALL", " ALL"), want: complete()},
		{name: "search: two answers, the first one empty", server: inFolder(1000, "UID SEARCH", func(cmd imaptest.Command, text string) string {
			return fmt.Sprintf("* ESEARCH (TAG %q) UID\r\n", cmd.Tag) + text
		}), want: complete()},
		{name: "search: two answers, the last one empty", server: inFolder(1000, "UID SEARCH", func(cmd imaptest.Command, text string) string {
			return strings.Replace(text, cmd.Tag+" OK", fmt.Sprintf("* ESEARCH (TAG %q) UID\r\n%s OK", cmd.Tag, cmd.Tag), 1)
		}), want: complete()},
		{name: "search: the old form besides the new one", server: inFolder(1000, "UID SEARCH", func(cmd imaptest.Command, text string) string {
			return "* SEARCH 1 2 3\r\n" + text
		}), want: complete()},
		{name: "search: COUNT, MIN and MAX of something else", server: inbox("UID SEARCH", " UID ALL", " UID COUNT 0 MIN 4294967295 MAX 1 MODSEQ 18446744073709551615 ALL"), want: complete()},
		{name: "search: the first three left out by SEARCH and FETCH, and counted", server: without1(4), want: uncertain},
		{name: "search: all left out by SEARCH and FETCH, and counted", server: without1(15), want: uncertain},
		{name: "search: all left out, and EXISTS does not come", server: together(without1(15), inbox("EXAMINE", "* 14 EXISTS\r\n", "")), want: uncertain},
		{name: "search: EXISTS does not come, and SEARCH is right", server: inbox("EXAMINE", "* 14 EXISTS\r\n", ""), want: uncertain},
		{name: "search: EXISTS 0, and SEARCH is right", server: inbox("EXAMINE", "* 14 EXISTS", "* 0 EXISTS"), want: uncertain},
		{name: "search: EXISTS 4294967295", server: inbox("EXAMINE", "* 14 EXISTS", "* 4294967295 EXISTS"), want: uncertain},
		{name: "search: EXISTS 4294967295 and as many found", server: together(inbox("EXAMINE", "* 14 EXISTS", "* 4294967295 EXISTS"), finding("ALL 1:4294967295")), want: uncertain},
		{name: "search: EXISTS 10000000 and as many found", server: together(inbox("EXAMINE", "* 14 EXISTS", "* 10000000 EXISTS"), finding("ALL 1:10000001")), want: uncertain},
		{name: "search: EXISTS 14, then 13, then 14", server: inbox("EXAMINE", "* 14 EXISTS", "* 14 EXISTS\r\n* 13 EXISTS\r\n* 14 EXISTS"), want: complete()},
		{name: "search: NO", server: says("UID SEARCH", "%T NO [CANNOT] search\r\n"), want: complete()},
		{name: "search: BAD, and nothing is fetched", server: together(says("UID SEARCH", "%T BAD what?\r\n"), says("UID FETCH", "%T BAD what?\r\n")), want: incomplete(`folder "INBOX"`, `folder "Sent"`, "what?")},
		{name: "search: OK without a word, in a folder that is not empty", server: says("UID SEARCH", "%T OK\r\n"), want: complete()},
		{name: "search: a folder of sixty messages is empty, and EXISTS, SEARCH and FETCH agree", prepare: func(c *chain) {
			for i := range 60 {
				c.account.Add("Archive", letter(300+i), "")
			}
		}, server: func(c *chain, s *imaptest.Script) {
			archive := c.account.Folder("Archive")
			c.account.Do(func() { archive.Messages = nil; archive.ModSeq++ })
		}, want: complete("58 of 79 messages are gone since the last snapshot").noted()},
	}
	// What is no set of numbers is no answer.
	for _, set := range []string{"ALL *", "ALL 1:*", "ALL 0", "ALL 0:14", "ALL 1,,2", "ALL 1:2:3", "ALL 4294967296", "ALL -1", "ALL 99999999999999999999999", "ALL NIL", "ALL", `ALL "1:14"`, "ALL (1 2)", "COUNT -1", "1 2 3"} {
		list = append(list, hostile{name: "search: the set " + set, server: finding(set), want: incomplete(`folder "INBOX"`)})
	}
	for _, set := range []string{"0", "*", "1:*", "-1", "4294967296", "one", "(MODSEQ x)", "{3}"} {
		list = append(list, hostile{name: "search, the old form: " + set, caps: "CONDSTORE", server: finding("1 2 " + set), want: incomplete(`folder "INBOX"`)})
	}
	return list
}
