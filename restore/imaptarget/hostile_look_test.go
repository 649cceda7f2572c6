package imaptarget

import (
	"regexp"
	"strings"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers that lie about what they have.

func hostileLooks() (list []hostile) {
	add := func(name string, server rogue.Change, want outcome) {
		list = append(list, hostile{name: name, server: server, want: want})
	}
	// A message that is there and not shown may be any: it is said so.
	hidden := outcome{spoils: true, noted: "they could not be compared"}
	size := regexp.MustCompile(`RFC822\.SIZE \d+`)
	item := func(re *regexp.Regexp, with string) rogue.Change {
		return rogue.Rewriting("UID FETCH", func(_ imaptest.Command, text string) string { return re.ReplaceAllLiteralString(text, with) })
	}
	for _, n := range []string{"0", "1", "4294967295", "18446744073709551616", "-1", "NIL", "(1)", "{1048577}\r\n"} {
		h := hostile{name: "FETCH: sizes of " + strings.TrimSpace(n), server: item(size, "RFC822.SIZE "+n), want: complete()}
		if strings.HasPrefix(n, "{") {
			h.want = failed(nil)
		}
		list = append(list, h)
	}
	identity := regexp.MustCompile(`(?i)Message-ID: <[^>]*>`)
	add("FETCH: one Message-ID for all", item(identity, "Message-ID: <x.2@x>"), outcome{spoils: true})
	add("FETCH: Message-IDs that drive a terminal", item(identity, "Message-ID: <"+strings.NewReplacer("\x00", "", "\r", "").Replace(rogue.Evil)+">"), outcome{spoils: true})
	uids := regexp.MustCompile(`UID \d+`)
	for _, n := range []string{"0", "1", "4294967295", "4294967296", "-1", "NIL", "1:4294967295"} {
		want := hidden
		if n == "1" || n == "4294967295" {
			want = outcome{}
		}
		add("FETCH: UIDs of "+n, item(uids, "UID "+n), want)
	}
	fetch := func(name, text string, want outcome) { add("FETCH: "+name, rogue.Says("UID FETCH", text), want) }
	fetch("nothing", "%T OK done\r\n", hidden)
	fetch("NO", "%T NO never\r\n", hidden)
	fetch("BAD", "%T BAD what?\r\n", hidden)
	fetch("NO, the password", "%T NO "+rogue.Evil+"\r\n", hidden)
	fetch("busy for ever", "%T NO [UNAVAILABLE] later\r\n", failed(nil, "later"))
	fetch("messages that are not there", rogue.Many(1000, "* %d FETCH (UID %[1]d RFC822.SIZE 5 BODY[HEADER.FIELDS (MESSAGE-ID)] {4}\r\na\r\n\r\n)")+"%T OK\r\n", outcome{})
	fetch("bodies that are NIL", "* 1 FETCH (UID 1 RFC822.SIZE 5 BODY[] NIL BODY[HEADER.FIELDS (MESSAGE-ID)] NIL)\r\n%T OK\r\n", hidden)
	fetch("a literal of 4 GiB", "* 1 FETCH (UID 1 BODY[HEADER.FIELDS (MESSAGE-ID)] {4294967296}\r\n", failed(nil))
	fetch("a literal of 2^63 octets", "* 1 FETCH (UID 1 BODY[] {9223372036854775808}\r\n", failed(nil))
	fetch("lists within lists", "* 1 FETCH (FLAGS "+strings.Repeat("(", 100_000)+"\r\n", failed(nil))
	add("FETCH: a line without end", rogue.Pouring("UID FETCH", "* 1 FETCH (X ", "x", 0), failed(nil, "a line of more than"))
	add("FETCH: an answer without end", rogue.Pouring("UID FETCH", "* 1 FETCH (", "FLAGS (x) ", 0), failed(nil, "a line of more than"))
	add("FETCH: a header without end", rogue.Pouring("UID FETCH", "* 1 FETCH (UID 1 RFC822.SIZE 9 BODY[HEADER.FIELDS (MESSAGE-ID)] {1099511627776}\r\n", "x", time.Second), failed(nil))
	list = append(list, hostile{name: "FETCH: messages without end", times: 2, server: rogue.Pouring("UID FETCH", "", "* 1 FETCH (UID 1 RFC822.SIZE 5)\r\n", time.Second)})
	add("FETCH: bodies of other messages", rogue.Rewriting("UID FETCH", func(_ imaptest.Command, text string) string { return strings.ReplaceAll(text, "body 1", "BODY 7") }), outcome{spoils: true})

	// What a search finds is asked only where FETCH leaves something out.
	for name, text := range map[string]string{
		"4 billion": "* ESEARCH (TAG \"%T\") UID ALL 1:4294967295\r\n%T OK\r\n", "4 billion, from the end": "* ESEARCH (TAG \"%T\") UID ALL 4294967295:1\r\n%T OK\r\n",
		"ranges of 4 billion": "* ESEARCH (TAG \"%T\") UID ALL " + strings.Repeat("1:4294967295,", 4000) + "1\r\n%T OK\r\n", "UID 0": "* ESEARCH (TAG \"%T\") UID ALL 0\r\n%T OK\r\n",
		"nothing": "%T OK\r\n", "NO": "%T NO never\r\n", "BAD": "%T BAD what?\r\n", "rubbish": "* ESEARCH ((((\r\n* SEARCH x y z\r\n%T OK\r\n", "a star": "* ESEARCH (TAG \"%T\") UID ALL 1:*\r\n%T OK\r\n",
		"SEARCH of 300,000": "* SEARCH" + strings.Repeat(" 4294967295", hundreds(3)) + "\r\n%T OK\r\n", "messages without a UID": "* ESEARCH (TAG \"%T\") ALL 1:3\r\n%T OK\r\n",
		"another's": "* ESEARCH (TAG \"Z\") UID ALL 1:3\r\n%T OK\r\n",
	} {
		add("SEARCH: "+name, rogue.Together(rogue.Rewriting("UID FETCH", func(cmd imaptest.Command, text string) string {
			if strings.Contains(cmd.Args, "1:*") {
				return cmd.Tag + " OK none\r\n"
			}
			return text
		}), rogue.Says("UID SEARCH", text)), outcome{spoils: true})
	}

	// A folder that is opened.
	open := func(name, text string, want outcome) { add("SELECT: "+name, rogue.Says("SELECT", text), want) }
	open("NO", "%T NO never\r\n", incomplete("never"))
	open("BAD", "%T BAD what?\r\n", incomplete("what?"))
	open("NO, the password", "%T NO "+rogue.Evil+"\r\n", incomplete("•••"))
	open("NOPERM", "%T NO [NOPERM] not yours\r\n", incomplete("not yours"))
	open("busy for ever", "%T NO [INUSE] later\r\n", failed(nil, "later"))
	open("a literal of 4 GiB", "* FLAGS ({4294967296}\r\n", failed(nil))
	open("OK without anything else", "%T OK done\r\n", outcome{spoils: true})
	open("MAYBE", "%T MAYBE\r\n", failed(nil, "MAYBE"))
	exists := regexp.MustCompile(`\d+ EXISTS\r\n`)
	for name, with := range map[string]string{"untold": "", "4 billion": "4294967295 EXISTS\r\n", "2^32": "4294967296 EXISTS\r\n"} {
		re := exists
		if with == "" {
			re = regexp.MustCompile(`\* \d+ EXISTS\r\n`)
		}
		add("SELECT: EXISTS is "+name, rogue.Rewriting("SELECT", func(_ imaptest.Command, text string) string { return re.ReplaceAllLiteralString(text, with) }), outcome{})
	}
	validity := regexp.MustCompile(`UIDVALIDITY \d+`)
	n := 0
	add("SELECT: another UIDVALIDITY each time", rogue.Rewriting("SELECT", func(_ imaptest.Command, text string) string {
		n++
		return validity.ReplaceAllLiteralString(text, "UIDVALIDITY "+strings.Repeat("7", 1+n%9))
	}), complete())
	for _, v := range []string{"0", "4294967295", "4294967296", "x", ""} {
		add("SELECT: UIDVALIDITY of "+v, rogue.Rewriting("SELECT", func(_ imaptest.Command, text string) string {
			return validity.ReplaceAllLiteralString(text, "UIDVALIDITY "+v)
		}), complete())
	}
	permanent := regexp.MustCompile(`PERMANENTFLAGS \([^)]*\)`)
	for name, with := range map[string]string{"none": "PERMANENTFLAGS ()", "rubbish": "PERMANENTFLAGS ((( \x00", "ten thousand": "PERMANENTFLAGS (" + strings.Repeat("x ", 10_000) + ")", "NIL": "PERMANENTFLAGS NIL"} {
		add("SELECT: PERMANENTFLAGS are "+name, rogue.Rewriting("SELECT", func(_ imaptest.Command, text string) string { return permanent.ReplaceAllLiteralString(text, with) }), outcome{spoils: true})
	}
	add("SELECT: READ-ONLY", rogue.Swapping("SELECT", "READ-WRITE", "READ-ONLY"), outcome{})
	add("SELECT: another folder", rogue.Rewriting("SELECT", func(cmd imaptest.Command, text string) string {
		return strings.Replace(text, "3 EXISTS", "1 EXISTS", 1)
	}), outcome{})
	return list
}
