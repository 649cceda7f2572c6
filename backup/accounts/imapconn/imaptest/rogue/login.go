package rogue

import (
	"compress/flate"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// Servers that are odd from the greeting to the end of the login.

// by has the client log in that way.
func by(m imapconn.Mechanism) func(*imapconn.Options) {
	return func(o *imapconn.Options) { o.Mechanism = m }
}

// challenging answers AUTHENTICATE with a challenge, waits for the answer to it,
// and says no.
func challenging(challenge, no string) Change {
	return Together(Offering("SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER"), Handling("AUTHENTICATE", func(c *imaptest.Conn, cmd imaptest.Command) {
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

// Compressing takes COMPRESS up, and goes on by then.
func Compressing(then func(c *imaptest.Conn, clear net.Conn)) Change {
	return Together(Offering("COMPRESS=DEFLATE"), Handling("COMPRESS", func(c *imaptest.Conn, cmd imaptest.Command) {
		c.OK(cmd)
		clear := c.Conn
		c.Over(deflate(clear))
		then(c, clear)
	}))
}

func logins() []Beginning {
	notIMAP := func(says string) Outcome {
		return Refused(imapconn.ErrProtocol, Host, "its greeting is", says).Hinting("is the port right?")
	}
	token := by(imapconn.AnyToken)
	xoauth2 := by(imapconn.XOAuth2)
	return []Beginning{
		{Name: "greeting: of POP3", Server: Greeting("+OK POP3 ready"), Want: notIMAP("POP3")},
		{Name: "greeting: of HTTP", Server: Greeting("HTTP/1.1 400 Bad Request"), Want: notIMAP("HTTP")},
		{Name: "greeting: of SMTP, that drives a terminal", Server: Greeting("220 \x1b]0;owned\x07\x1b[2J \xe2\x80\xaeptms"), Want: notIMAP("220")},
		{Name: "greeting: NO", Server: Greeting("* NO not for you"), Want: notIMAP("not for you")},
		{Name: "greeting: NULs", Server: Greeting(strings.Repeat("\x00", 1000)), Want: notIMAP(`\x00`)},
		{Name: "greeting: a line without end", Raw: func(c net.Conn) { Pour(c, "* OK ", 0) }, Want: Refused(imapconn.ErrProtocol, Host, "a line of more than")},
		{Name: "greeting: blank lines without end", Raw: func(c net.Conn) { Pour(c, "\r\n", 0) }, Want: Refused(imapconn.ErrProtocol, Host, "no greeting")},
		{Name: "greeting: none, but it listens", Raw: func(c net.Conn) { io.Copy(io.Discard, c) }, Want: Refused(imapconn.ErrTimeout, Host, "no login within 1m0s")},
		{Name: "greeting: one octet every five seconds", Raw: func(c net.Conn) { Pour(c, "x", 5*time.Second) }, Want: Refused(imapconn.ErrTimeout, Host, "no login within 1m0s")},
		{Name: "greeting: hangs up", Raw: func(c net.Conn) { c.Close() }, Want: Refused(io.ErrUnexpectedEOF, Host, "closed the connection")},
		{Name: "greeting: hangs up in the middle of it", Raw: func(c net.Conn) { io.WriteString(c, "* OK rea"); c.Close() }, Want: Refused(io.ErrUnexpectedEOF, Host, "closed the connection")},
		{Name: "greeting: twice", Server: Greeting("* OK ready\r\n* OK ready again"), Want: Works()},
		{Name: "greeting: behind fifty blank lines, in small letters", Server: Greeting(strings.Repeat("\r\n", 50) + "* ok ready"), Want: Works()},
		{Name: "greeting: BYE, too many connections", Server: Greeting("* BYE [LIMIT] too many connections"), Want: Refused(imapconn.ErrBusy, Host, "too many connections")},
		{Name: "greeting: BYE for no reason", Server: Greeting("* BYE"), Want: Refused(nil, Host, "BYE")},
		{Name: "greeting: a literal of 4 GiB in the text", Server: Greeting("* OK {4294967296}"), Want: Works()},

		{Name: "capabilities: NO", Server: Says("CAPABILITY", "%T NO guess\r\n"), Want: Refused(nil, Host, "NO guess")},
		{Name: "capabilities: BAD", Server: Says("CAPABILITY", "%T BAD guess\r\n"), Want: Refused(nil, Host, "BAD guess")},
		{Name: "capabilities: none are told", Server: Says("CAPABILITY", "%T OK\r\n"), Want: Works()},
		{Name: "capabilities: a list without end, slowly", Server: Pouring("CAPABILITY", "", "* CAPABILITY IMAP4rev1"+strings.Repeat(" X", 20000)+"\r\n", time.Second), Want: Refused(imapconn.ErrProtocol, Host, "an answer of more than")},
		{Name: "capabilities: a line without end", Server: Pouring("CAPABILITY", "* CAPABILITY", " X", 0), Want: Refused(imapconn.ErrProtocol, Host, "a line of more than")},
		{Name: "capabilities: NULs and octets that are no text", Server: Says("CAPABILITY", "* CAPABILITY IMAP4rev1 \x00\x00 \xff\xfe \x1b[2J (((( {3}\r\nabc\r\n%T OK\r\n"), Want: Works()},

		{Name: "login: refused", Server: Says("LOGIN", "%T NO [AUTHENTICATIONFAILED] no\r\n"), Want: Refused(imapconn.ErrLogin, Host, "alice")},
		{Name: "login: refused, with the password in the answer", Server: Says("LOGIN", "%T NO LOGIN \"alice\" \""+Password+"\" is wrong\r\n"), Want: Refused(imapconn.ErrLogin, Host, "•••")},
		{Name: "login: the password in an alert", Server: Says("LOGIN", "* OK [ALERT] your password is "+Password+"\r\n%T NO no\r\n"), Want: Refused(imapconn.ErrLogin, Host)},
		{Name: "login: the password in what is no answer", Server: Says("LOGIN", "%T "+Password+"\r\n"), Want: Refused(imapconn.ErrProtocol, Host)},
		{Name: "login: the password in BYE", Server: Handling("LOGIN", HangUp("* BYE "+Password+" is wrong\r\n")), Want: Refused(nil, Host, "BYE")},
		{Name: "login: the exchange in the answer", Server: Together(Offering("AUTH=PLAIN SASL-IR"), Says("AUTHENTICATE", "%T NO AGFsaWNlAGNvcnJlY3QtaG9yc2U= is wrong\r\n")),
			Want: Refused(imapconn.ErrLogin, Host, "•••")},
		{Name: "login: challenges without end", Server: Together(Offering("AUTH=PLAIN"), Handling("AUTHENTICATE", func(c *imaptest.Conn, _ imaptest.Command) {
			for {
				if c.Say("+ \r\n"); func() error { _, err := c.Line(); return err }() != nil {
					return
				}
			}
		})), Want: Refused(imapconn.ErrProtocol, Host, "a login without end")},
		{Name: "login: asks for more than LOGIN has", Server: Says("LOGIN", "+ and your other password?\r\n"), Want: Refused(imapconn.ErrProtocol, Host)},
		{Name: "login: answered with PREAUTH", Server: Says("LOGIN", "%T PREAUTH welcome\r\n"), Want: Refused(imapconn.ErrProtocol, Host)},
		{Name: "login: the mailbox is in use, for ever", Server: Says("LOGIN", "%T NO [INUSE] later\r\n"), Want: Refused(imapconn.ErrBusy, Host)},
		{Name: "login: another answer for each octet", Server: Handling("LOGIN", func(c *imaptest.Conn, _ imaptest.Command) { Pour(c, "* OK still here\r\n", time.Second) }),
			Want: Refused(imapconn.ErrTimeout, Host, "no login within 1m0s")},

		{Name: "token: only passwords are taken", Conn: token, Server: Offering("AUTH=PLAIN"), Want: Refused(imapconn.ErrLogin, Host, "takes no access token").Hinting("wants a password")},
		{Name: "token: refused, and the reason drives a terminal", Conn: xoauth2, Server: challenging(`{"status":"\u001b[2J\u202e401"}`, "%T NO no\r\n"), Want: Refused(imapconn.ErrLogin, Host)},
		{Name: "token: refused, with the token in the reason", Conn: xoauth2, Server: challenging(`{"status":"`+Password+`"}`, "%T NO no\r\n"), Want: Refused(imapconn.ErrLogin, Host, "•••")},
		{Name: "token: refused, and the reason is no JSON", Conn: token, Server: challenging("\x00\xff it rains \x1b[31m", "%T NO no\r\n"), Want: Refused(imapconn.ErrLogin, Host, "it rains")},
		{Name: "token: refused, and the reason is thirty thousand lists deep", Conn: token, Server: challenging(strings.Repeat("[", 30000), "%T NO no\r\n"), Want: Refused(imapconn.ErrLogin, Host, "[[[[")},
		{Name: "token: the scope is not enough", Conn: token, Server: challenging(`{"status":"403","scope":"\u001b[1mmail\u0000"}`, "%T NO no\r\n"),
			Want: Refused(imapconn.ErrLogin, Host).Hinting("needs the scope")},
		{Name: "token: expired", Conn: token, Server: challenging(`{"status":"400"}`, "%T NO [AUTHENTICATIONFAILED] no\r\n"), Want: Refused(imapconn.ErrLogin, Host).Hinting("expired")},
		{Name: "token: OK behind a reason for its refusal", Conn: token, Server: challenging(`{"status":"401"}`, "%T OK welcome\r\n"), Want: Works()},

		{Name: "ID: nested a thousand deep", Server: Together(Offering("ID"), Says("ID", "* ID "+strings.Repeat("(", 1000)+"\r\n%T OK\r\n")), Want: Works()},
		{Name: "ID: a literal of 2 GiB", Server: Together(Offering("ID"), Says("ID", "* ID (\"name\" {2147483648}\r\n")), Want: Refused(imapconn.ErrTimeout, Host)},
		{Name: "ID: NO, BAD rubbish and escape sequences", Server: Together(Offering("ID"), Says("ID", "* ID (\"\x1b[2J\" \"\x00\" NIL NIL \xff \xff)\r\n%T BAD what?\r\n")), Want: Works()},
		{Name: "ID: answers without end", Server: Together(Offering("ID"), Pouring("ID", "", "* ID (\"name\" {1000}\r\n"+strings.Repeat("x", 1000)+")\r\n", time.Second)), Want: Refused(imapconn.ErrTimeout, Host)},
	}
}
