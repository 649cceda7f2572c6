package imapsource

import (
	"strings"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers that know the password and would like it to be shown, or would like
// to drive the terminal of whoever reads what they say. And flags, dates and
// labels that are no such thing.

func hostileWords() []hostile {
	evil := rogue.Evil
	missing := func(says ...string) outcome { return incomplete(append(says, "INBOX/1000/13: ")...) }
	undated := complete().believing(func(v view) {
		v["INBOX"]["1000/13"] = strings.Replace(v["INBOX"]["1000/13"], "2023-11-14T22:13:13+01:00", "none", 1)
	})
	list := []hostile{
		{name: "words: in an alert after the login", server: before("NAMESPACE", "* OK [ALERT] "+evil+"\r\n"), want: complete()},
		{name: "words: in a thousand alerts", server: before("LIST", strings.Repeat("* NO [ALERT] "+evil+"\r\n", 1000)), want: complete()},
		{name: "words: in NO to LIST", server: says("LIST", "%T NO "+evil+"\r\n"), want: refused(nil, "list folders", "•••")},
		{name: "words: in NO to EXAMINE", server: says("EXAMINE", "%T NO "+evil+"\r\n"), want: incomplete(`folder "INBOX"`, "•••")},
		{name: "words: in BAD to SEARCH and to FETCH", server: together(says("UID SEARCH", "%T BAD "+evil+"\r\n"), says("UID FETCH", "%T BAD "+evil+"\r\n")), want: incomplete(`folder "INBOX"`, "•••")},
		{name: "words: in NO to a body", server: instead13(imaptest.Answer("%T NO " + evil + "\r\n")), want: missing("•••")},
		{name: "words: in BYE", server: instead13(rogue.HangUp("* BYE " + evil + "\r\n")), want: missing("•••")},
		{name: "words: in what breaks the protocol", server: body13(evil), want: missing("breaks the protocol")},
		{name: "words: in what breaks the list of folders", server: before("LIST", "* LIST "+strings.TrimSpace(password)+"\r\n"), want: refused(imapconn.ErrProtocol, "list folders")},
		{name: "words: in what breaks the tagged answer", server: says("LIST", "%T "+password+" "+evil+"\r\n"), want: refused(imapconn.ErrProtocol, "list folders")},
		{name: "words: in a response code", server: says("LIST", "%T NO ["+password+"] no\r\n"), want: refused(nil, "list folders")},
		{name: "words: in the exchange, in base64", server: says("LIST", "%T NO AGFsaWNlAGNvcnJlY3QtaG9yc2U= Y29ycmVjdC1ob3JzZQ==\r\n"), want: refused(nil, "list folders")},
		{name: "words: in the namespaces that cannot be listed", server: together(says("NAMESPACE", "* NAMESPACE ((\"\" \"/\")) ((\"u\x1b[2J/\" \"/\")) NIL\r\n%T OK\r\n"),
			rewriting("LIST", func(cmd imaptest.Command, text string) string {
				if strings.Contains(cmd.Args, "{") || strings.Contains(cmd.Args, "2J") {
					return cmd.Tag + " NO " + evil + "\r\n"
				}
				return text
			})), want: incomplete("the folders below")},
		{name: "words: in the details", caps: everything + " ACL QUOTA METADATA", server: together(says("GETACL", "%T NO "+evil+"\r\n"), says("MYRIGHTS", "%T NO "+evil+"\r\n"),
			says("GETQUOTAROOT", "%T NO "+evil+"\r\n"), says("GETMETADATA", "%T NO "+evil+"\r\n")), want: complete()},

		{name: "flags: control characters, 8 bits and lists", server: of13(func(a string) string {
			return strings.Replace(a, `FLAGS (\Seen)`, "FLAGS (\\Seen \x01\x1b[2J \xff (a (b)) \\* % \"\x00\")", 1)
		}), want: complete().lying()},
		{name: "flags: ten thousand of one message", server: of13(func(a string) string {
			return strings.Replace(a, `FLAGS (\Seen)`, "FLAGS ("+strings.Repeat("x ", 10000)+")", 1)
		}), want: missing("more than 4096 flags in one list")},
		{name: "flags: a list without end", server: of13(func(a string) string { return strings.Replace(a, `FLAGS (\Seen)`, `FLAGS (\Seen`, 1) }), want: missing("")},
		{name: "flags: NIL", server: of13(func(a string) string { return strings.Replace(a, `FLAGS (\Seen)`, `FLAGS NIL`, 1) }), want: complete().lying()},
		{name: "flags: an atom", server: of13(func(a string) string { return strings.Replace(a, `FLAGS (\Seen)`, `FLAGS \Seen`, 1) }), want: missing("in place of a list of flags")},
		{name: "flags: PERMANENTFLAGS and FLAGS of rubbish", server: before("EXAMINE", "* OK [PERMANENTFLAGS ((((] x\r\n* OK [PERMANENTFLAGS] x\r\n* FLAGS (\xff \x00)\r\n"), want: complete()},
		{name: "labels: of a server that is not Gmail", server: item13(`X-GM-LABELS ("\\Important" (("x` + `"))) X-GM-MSGID 12345678901234567890123`), want: complete()},
		{name: "labels: rubbish of a server that says it is Gmail", caps: everything + " X-GM-EXT-1", server: swapping("UID FETCH", "X-GM-LABELS ()", "X-GM-LABELS (((\x00 {3}\r\nabc) \"\xff\"))"), want: complete().lying()},
		{name: "labels: one ID for all messages", caps: everything + " X-GM-EXT-1", server: rewriting("UID FETCH", func(_ imaptest.Command, text string) string {
			return strings.ReplaceAll(text, "FETCH (UID", "FETCH (X-GM-MSGID 77 UID")
		}), want: complete().lying()},
	}
	for _, date := range []string{`""`, "NIL", `"yesterday"`, `"99-Xxx-9999 99:99:99 +9999"`, `"31-Feb-2023 00:00:00 +0000"`, "(1 2 3)", `"` + strings.Repeat("9", 1000) + `"`} {
		list = append(list, hostile{name: "date: " + date[:min(len(date), 30)], server: of13(func(a string) string {
			return strings.Replace(a, `INTERNALDATE "14-Nov-2023 22:13:13 +0100"`, "INTERNALDATE "+date, 1)
		}), want: undated})
	}
	return list
}
