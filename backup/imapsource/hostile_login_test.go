package imapsource

import (
	"fmt"
	"net"
	"strings"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// Servers that are odd at the login and mean something by it later, and at
// compression.

func hostileLogins() []hostile {
	return []hostile{
		{name: "capabilities: thirty thousand of them", server: before("NAMESPACE", "* CAPABILITY"+strings.Repeat(" X", 30000)+"\r\n"), want: complete()},
		{name: "capabilities: gone with the login", server: says("LOGIN", "%T OK [CAPABILITY IMAP4rev1] welcome\r\n"), want: complete()},
		{name: "capabilities: promised with the login, and not kept", caps: "none", server: together(says("LOGIN",
			"%T OK [CAPABILITY IMAP4rev1 NAMESPACE LIST-EXTENDED LIST-STATUS CONDSTORE QRESYNC ESEARCH ACL QUOTA METADATA] welcome\r\n"),
			rewriting("LIST", func(cmd imaptest.Command, text string) string {
				if strings.Contains(cmd.Args, "RETURN") || strings.HasPrefix(cmd.Args, "(SUBSCRIBED") {
					return cmd.Tag + " BAD what?\r\n"
				}
				return text
			}), says("NAMESPACE", "%T BAD what?\r\n"), says("GETACL", "%T BAD what?\r\n"), says("MYRIGHTS", "%T BAD what?\r\n"),
			says("GETQUOTAROOT", "%T BAD what?\r\n"), says("GETMETADATA", "%T BAD what?\r\n")), want: complete("does not tell which folders are subscribed to").believing(unsubscribed)},
		{name: "capabilities: others in the middle of everything", server: together(before("EXAMINE", "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n"),
			before("UID SEARCH", "* OK [CAPABILITY IMAP4rev1] now\r\n")), want: complete()},
		{name: "login: answered before it is sent", server: before("NAMESPACE", "L3 OK\r\nL4 OK\r\n"), want: complete()},
		{name: "login: the mailbox is in use, twice", times: 2, server: says("LOGIN", "%T NO [INUSE] later\r\n"), want: complete()},
		{name: "COMPRESS: NO", server: together(offering("COMPRESS=DEFLATE"), says("COMPRESS", "%T NO [COMPRESSIONACTIVE] not now\r\n")), want: complete()},
		{name: "COMPRESS: taken up", server: compressing(func(*imaptest.Conn, net.Conn) {}), want: complete()},
		{name: "COMPRESS: OK, and then clear text", server: together(offering("COMPRESS=DEFLATE"), says("COMPRESS", "%T OK go\r\n")), want: refused(nil, "list folders")},
		{name: "COMPRESS: a bomb of one line", server: compressing(func(c *imaptest.Conn, _ net.Conn) { rogue.Pour(c, "* OK "+strings.Repeat("x", 1<<20), 0) }),
			want: refused(imapconn.ErrProtocol, "list folders", "a line of more than")},
		{name: "COMPRESS: a bomb of lists", server: compressing(func(c *imaptest.Conn, _ net.Conn) { rogue.Pour(c, strings.Repeat("(", 1<<20), 0) }),
			want: refused(imapconn.ErrProtocol, "list folders", "a line of more than")},
		{name: "COMPRESS: blocks without end that hold nothing", server: compressing(func(_ *imaptest.Conn, clear net.Conn) {
			rogue.Pour(clear, strings.Repeat("\x00\x00\x00\xff\xff", 1000), time.Second)
		}), want: refused(imapconn.ErrTimeout, "list folders")},
		{name: "COMPRESS: a body of more than 4 GiB, of nothing but x", server: together(compressing(func(*imaptest.Conn, net.Conn) {}), instead13(func(c *imaptest.Conn, cmd imaptest.Command) {
			fmt.Fprintf(c.Conn, "* 13 FETCH (UID 13 FLAGS () BODY[] {%d}\r\n", 1<<32+1)
			rogue.Pour(c, strings.Repeat("x", 1<<20), 0)
		})), want: incomplete("INBOX/1000/13: ")},
	}
}

// unsubscribed is what an account is taken for that does not tell of its
// subscriptions.
func unsubscribed(v view) { v["Sent"][""] = folderLine(nil, []string{`\Sent`}, false) }
