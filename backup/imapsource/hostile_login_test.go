package imapsource

import (
	"compress/flate"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// Servers that are odd from the greeting to the end of the login.

// by has the client log in that way.
func by(m imapconn.Mechanism) func(*imapconn.Options) {
	return func(o *imapconn.Options) { o.Mechanism = m }
}

// offering is what the server says that it can do, besides what it can.
func offering(caps string) maker {
	return func(_ *chain, s *imaptest.Script) { s.Caps += " " + caps }
}

// challenging answers AUTHENTICATE with a challenge, waits for the answer to it,
// and says no.
func challenging(challenge, no string) maker {
	return together(offering("SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER"), handling("AUTHENTICATE", func(c *imaptest.Conn, cmd imaptest.Command) {
		c.Say("+ %s\r\n", base64.StdEncoding.EncodeToString([]byte(challenge)))
		c.Line()
		imaptest.Answer(no)(c, cmd)
	}))
}

// deflated is the server's side of COMPRESS=DEFLATE.
type deflated struct {
	net.Conn
	r io.Reader
	w *flate.Writer
}

func deflate(conn net.Conn) *deflated {
	w, _ := flate.NewWriter(conn, flate.BestSpeed)
	return &deflated{Conn: conn, r: flate.NewReader(conn), w: w}
}

func (d *deflated) Read(p []byte) (int, error) { return d.r.Read(p) }
func (d *deflated) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err == nil {
		err = d.w.Flush()
	}
	return n, err
}

// compressing takes COMPRESS up, and goes on by then.
func compressing(then func(c *imaptest.Conn, clear net.Conn)) maker {
	return together(offering("COMPRESS=DEFLATE"), handling("COMPRESS", func(c *imaptest.Conn, cmd imaptest.Command) {
		c.OK(cmd)
		clear := c.Conn
		c.Over(deflate(clear))
		then(c, clear)
	}))
}

func hostileLogins() []hostile {
	notIMAP := func(says string) outcome {
		return refused(imapconn.ErrProtocol, host, "its greeting is", says).hinting("is the port right?")
	}
	token := by(imapconn.AnyToken)
	xoauth2 := by(imapconn.XOAuth2)
	return []hostile{
		{name: "greeting: of POP3", server: greeting("+OK POP3 ready"), want: notIMAP("POP3")},
		{name: "greeting: of HTTP", server: greeting("HTTP/1.1 400 Bad Request"), want: notIMAP("HTTP")},
		{name: "greeting: of SMTP, that drives a terminal", server: greeting("220 \x1b]0;owned\x07\x1b[2J \xe2\x80\xaeptms"), want: notIMAP("220")},
		{name: "greeting: NO", server: greeting("* NO not for you"), want: notIMAP("not for you")},
		{name: "greeting: NULs", server: greeting(strings.Repeat("\x00", 1000)), want: notIMAP(`\x00`)},
		{name: "greeting: a line without end", raw: func(c net.Conn) { pour(c, "* OK ", 0) }, want: refused(imapconn.ErrProtocol, host, "a line of more than")},
		{name: "greeting: blank lines without end", raw: func(c net.Conn) { pour(c, "\r\n", 0) }, want: refused(imapconn.ErrProtocol, host, "no greeting")},
		{name: "greeting: none, but it listens", raw: func(c net.Conn) { io.Copy(io.Discard, c) }, want: refused(imapconn.ErrTimeout, host, "no login within 1m0s")},
		{name: "greeting: one octet every five seconds", raw: func(c net.Conn) { pour(c, "x", 5*time.Second) }, want: refused(imapconn.ErrTimeout, host, "no login within 1m0s")},
		{name: "greeting: hangs up", raw: func(c net.Conn) { c.Close() }, want: refused(io.ErrUnexpectedEOF, host, "closed the connection")},
		{name: "greeting: hangs up in the middle of it", raw: func(c net.Conn) { io.WriteString(c, "* OK rea"); c.Close() }, want: refused(io.ErrUnexpectedEOF, host, "closed the connection")},
		{name: "greeting: twice", server: greeting("* OK ready\r\n* OK ready again"), want: complete()},
		{name: "greeting: behind fifty blank lines, in small letters", server: greeting(strings.Repeat("\r\n", 50) + "* ok ready"), want: complete()},
		{name: "greeting: BYE, too many connections", server: greeting("* BYE [LIMIT] too many connections"), want: refused(backup.ErrBusy, host, "too many connections")},
		{name: "greeting: BYE for no reason", server: greeting("* BYE"), want: refused(nil, host, "BYE")},
		{name: "greeting: a literal of 4 GiB in the text", server: greeting("* OK {4294967296}"), want: complete()},

		{name: "capabilities: NO", server: says("CAPABILITY", "%T NO guess\r\n"), want: refused(nil, host, "NO guess")},
		{name: "capabilities: BAD", server: says("CAPABILITY", "%T BAD guess\r\n"), want: refused(nil, host, "BAD guess")},
		{name: "capabilities: none are told", server: says("CAPABILITY", "%T OK\r\n"), want: complete()},
		{name: "capabilities: a list without end, slowly", server: pouring("CAPABILITY", "", "* CAPABILITY IMAP4rev1"+strings.Repeat(" X", 20000)+"\r\n", time.Second), want: refused(imapconn.ErrProtocol, host, "an answer of more than")},
		{name: "capabilities: thirty thousand of them", server: before("NAMESPACE", "* CAPABILITY"+strings.Repeat(" X", 30000)+"\r\n"), want: complete()},
		{name: "capabilities: a line without end", server: pouring("CAPABILITY", "* CAPABILITY", " X", 0), want: refused(imapconn.ErrProtocol, host, "a line of more than")},
		{name: "capabilities: NULs and octets that are no text", server: says("CAPABILITY", "* CAPABILITY IMAP4rev1 \x00\x00 \xff\xfe \x1b[2J (((( {3}\r\nabc\r\n%T OK\r\n"), want: complete()},
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

		{name: "login: refused", server: says("LOGIN", "%T NO [AUTHENTICATIONFAILED] no\r\n"), want: refused(imapconn.ErrLogin, host, "alice")},
		{name: "login: refused, with the password in the answer", server: says("LOGIN", "%T NO LOGIN \"alice\" \""+password+"\" is wrong\r\n"), want: refused(imapconn.ErrLogin, host, "•••")},
		{name: "login: the password in an alert", server: says("LOGIN", "* OK [ALERT] your password is "+password+"\r\n%T NO no\r\n"), want: refused(imapconn.ErrLogin, host)},
		{name: "login: the password in what is no answer", server: says("LOGIN", "%T "+password+"\r\n"), want: refused(imapconn.ErrProtocol, host)},
		{name: "login: the password in BYE", server: handling("LOGIN", hangUp("* BYE "+password+" is wrong\r\n")), want: refused(nil, host, "BYE")},
		{name: "login: the exchange in the answer", server: together(offering("AUTH=PLAIN SASL-IR"), says("AUTHENTICATE", "%T NO AGFsaWNlAGNvcnJlY3QtaG9yc2U= is wrong\r\n")),
			want: refused(imapconn.ErrLogin, host, "•••")},
		{name: "login: challenges without end", server: together(offering("AUTH=PLAIN"), handling("AUTHENTICATE", func(c *imaptest.Conn, _ imaptest.Command) {
			for {
				if c.Say("+ \r\n"); func() error { _, err := c.Line(); return err }() != nil {
					return
				}
			}
		})), want: refused(imapconn.ErrProtocol, host, "a login without end")},
		{name: "login: asks for more than LOGIN has", server: says("LOGIN", "+ and your other password?\r\n"), want: refused(imapconn.ErrProtocol, host)},
		{name: "login: answered before it is sent", server: before("NAMESPACE", "L3 OK\r\nL4 OK\r\n"), want: complete()},
		{name: "login: answered with PREAUTH", server: says("LOGIN", "%T PREAUTH welcome\r\n"), want: refused(imapconn.ErrProtocol, host)},
		{name: "login: the mailbox is in use, for ever", server: says("LOGIN", "%T NO [INUSE] later\r\n"), want: refused(backup.ErrBusy, host)},
		{name: "login: the mailbox is in use, twice", times: 2, server: says("LOGIN", "%T NO [INUSE] later\r\n"), want: complete()},
		{name: "login: another answer for each octet", server: handling("LOGIN", func(c *imaptest.Conn, _ imaptest.Command) { pour(c, "* OK still here\r\n", time.Second) }),
			want: refused(imapconn.ErrTimeout, host, "no login within 1m0s")},

		{name: "token: only passwords are taken", conn: token, server: offering("AUTH=PLAIN"), want: refused(imapconn.ErrLogin, host, "takes no access token").hinting("wants a password")},
		{name: "token: refused, and the reason drives a terminal", conn: xoauth2, server: challenging(`{"status":"\u001b[2J\u202e401"}`, "%T NO no\r\n"), want: refused(imapconn.ErrLogin, host)},
		{name: "token: refused, with the token in the reason", conn: xoauth2, server: challenging(`{"status":"`+password+`"}`, "%T NO no\r\n"), want: refused(imapconn.ErrLogin, host, "•••")},
		{name: "token: refused, and the reason is no JSON", conn: token, server: challenging("\x00\xff it rains \x1b[31m", "%T NO no\r\n"), want: refused(imapconn.ErrLogin, host, "it rains")},
		{name: "token: refused, and the reason is thirty thousand lists deep", conn: token, server: challenging(strings.Repeat("[", 30000), "%T NO no\r\n"), want: refused(imapconn.ErrLogin, host, "[[[[")},
		{name: "token: the scope is not enough", conn: token, server: challenging(`{"status":"403","scope":"\u001b[1mmail\u0000"}`, "%T NO no\r\n"),
			want: refused(imapconn.ErrLogin, host).hinting("needs the scope")},
		{name: "token: expired", conn: token, server: challenging(`{"status":"400"}`, "%T NO [AUTHENTICATIONFAILED] no\r\n"), want: refused(imapconn.ErrLogin, host).hinting("expired")},
		{name: "token: OK behind a reason for its refusal", conn: token, server: challenging(`{"status":"401"}`, "%T OK [CAPABILITY IMAP4rev1] welcome\r\n"), want: complete()},

		{name: "ID: nested a thousand deep", server: together(offering("ID"), says("ID", "* ID "+strings.Repeat("(", 1000)+"\r\n%T OK\r\n")), want: complete()},
		{name: "ID: a literal of 2 GiB", server: together(offering("ID"), says("ID", "* ID (\"name\" {2147483648}\r\n")), want: refused(imapconn.ErrTimeout, host)},
		{name: "ID: NO, BAD rubbish and escape sequences", server: together(offering("ID"), says("ID", "* ID (\"\x1b[2J\" \"\x00\" NIL NIL \xff \xff)\r\n%T BAD what?\r\n")), want: complete()},
		{name: "ID: answers without end", server: together(offering("ID"), pouring("ID", "", "* ID (\"name\" {1000}\r\n"+strings.Repeat("x", 1000)+")\r\n", time.Second)), want: refused(imapconn.ErrTimeout, host)},

		{name: "COMPRESS: NO", server: together(offering("COMPRESS=DEFLATE"), says("COMPRESS", "%T NO [COMPRESSIONACTIVE] not now\r\n")), want: complete()},
		{name: "COMPRESS: taken up", server: compressing(func(*imaptest.Conn, net.Conn) {}), want: complete()},
		{name: "COMPRESS: OK, and then clear text", server: together(offering("COMPRESS=DEFLATE"), says("COMPRESS", "%T OK go\r\n")), want: refused(nil, "list folders")},
		{name: "COMPRESS: a bomb of one line", server: compressing(func(c *imaptest.Conn, _ net.Conn) { pour(c, "* OK "+strings.Repeat("x", 1<<20), 0) }),
			want: refused(imapconn.ErrProtocol, "list folders", "a line of more than")},
		{name: "COMPRESS: a bomb of lists", server: compressing(func(c *imaptest.Conn, _ net.Conn) { pour(c, strings.Repeat("(", 1<<20), 0) }),
			want: refused(imapconn.ErrProtocol, "list folders", "a line of more than")},
		{name: "COMPRESS: blocks without end that hold nothing", server: compressing(func(_ *imaptest.Conn, clear net.Conn) {
			pour(clear, strings.Repeat("\x00\x00\x00\xff\xff", 1000), time.Second)
		}), want: refused(imapconn.ErrTimeout, "list folders")},
		{name: "COMPRESS: a body of more than 4 GiB, of nothing but x", server: together(compressing(func(*imaptest.Conn, net.Conn) {}), instead13(func(c *imaptest.Conn, cmd imaptest.Command) {
			fmt.Fprintf(c.Conn, "* 13 FETCH (UID 13 FLAGS () BODY[] {%d}\r\n", 1<<32+1)
			pour(c, strings.Repeat("x", 1<<20), 0)
		})), want: incomplete("INBOX/1000/13: ")},
	}
}

// unsubscribed is what an account is taken for that does not tell of its
// subscriptions.
func unsubscribed(v view) { v["Sent"][""] = folderLine(nil, []string{`\Sent`}, false) }
