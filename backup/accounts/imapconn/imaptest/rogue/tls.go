package rogue

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// Servers, or somebody on the way to them, that tamper with the beginning of
// encryption.

// encrypting answers STARTTLS with text, and goes over to TLS.
func encrypting(text string) Change {
	return func(t testing.TB, s *imaptest.Script) {
		cfg := s.TLS
		s.Handle["STARTTLS"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			imaptest.Answer(text)(c, cmd)
			c.Over(tls.Server(c.Conn, cfg))
		}
	}
}

// proving changes what the server proves itself with.
func proving(change func(t testing.TB, cfg *tls.Config)) Change {
	return func(t testing.TB, s *imaptest.Script) {
		s.TLS = s.TLS.Clone()
		change(t, s.TLS)
	}
}

func withTLS(o *imapconn.Options)     { o.Security = imapconn.TLS }
func inClear(o *imapconn.Options)     { o.Security = imapconn.Insecure }
func fromTheStart(s *imaptest.Script) { s.StartTLS = false }

func encryptions() []Beginning {
	tooLate := Refused(imapconn.ErrTLS, Host, "clear text follow the answer to STARTTLS")
	return []Beginning{
		{Name: "STARTTLS: an OK injected behind the OK", Server: encrypting("%T OK go\r\n* OK [CAPABILITY IMAP4rev1] injected\r\n"), Want: tooLate},
		{Name: "STARTTLS: OK twice", Server: encrypting("%T OK go\r\n%T OK go\r\n"), Want: tooLate},
		{Name: "STARTTLS: a login answered in advance behind the OK", Server: encrypting("%T OK go\r\nL2 OK\r\nL3 OK welcome\r\n"), Want: tooLate},
		{Name: "STARTTLS: a single octet behind the OK", Server: encrypting("%T OK go\r\n\n"), Want: tooLate},
		{Name: "STARTTLS: OK, and then clear text", Server: Handling("STARTTLS", func(c *imaptest.Conn, cmd imaptest.Command) {
			c.OK(cmd)
			c.Say("* OK [CAPABILITY IMAP4rev1] welcome, without encryption\r\n")
		}), Want: Refused(imapconn.ErrTLS, Host).Hinting("imap:// is for servers")},
		{Name: "STARTTLS: OK, and then SSH", Server: Says("STARTTLS", "%T OK go\r\n"), Want: Refused(imapconn.ErrTimeout, Host)},
		{Name: "STARTTLS: capabilities before the OK that forbid to log in", Server: encrypting("* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=EVIL\r\n%T OK go\r\n"), Want: Works()},
		{Name: "STARTTLS: capabilities in the OK that forbid to log in", Server: encrypting("%T OK [CAPABILITY IMAP4rev1 LOGINDISABLED] go\r\n"), Want: Works()},
		{Name: "STARTTLS: PREAUTH before the OK", Server: encrypting("* PREAUTH you are in\r\n%T OK go\r\n"), Want: Works()},
		{Name: "STARTTLS: the greeting again before the OK", Server: encrypting("* OK IMAP4rev1 ready\r\n%T OK go\r\n"), Want: Works()},
		{Name: "STARTTLS: OK to another tag first", Server: encrypting("L99 OK\r\nA1 OK\r\n%T OK go\r\n"), Want: Works()},
		{Name: "STARTTLS: OK before it is asked for", Server: Greeting("* OK ready\r\nL1 OK go"), Want: Refused(imapconn.ErrTLS, Host).Hinting("imap:// is for servers")},
		{Name: "STARTTLS: NO", Server: Says("STARTTLS", "%T NO not here\r\n"), Want: Refused(imapconn.ErrTLS, Host, "NO not here").Hinting("imaps://")},
		{Name: "STARTTLS: BAD", Server: Says("STARTTLS", "%T BAD what?\r\n"), Want: Refused(imapconn.ErrTLS, Host, "BAD what?").Hinting("imaps://")},
		{Name: "STARTTLS: BYE", Server: Handling("STARTTLS", HangUp("* BYE elsewhere\r\n")), Want: Refused(nil, Host, "BYE elsewhere")},
		{Name: "STARTTLS: BYE with a referral", Server: Handling("STARTTLS", HangUp("* BYE [REFERRAL imap://evil.example/] go there\r\n")), Want: Refused(nil, Host, "REFERRAL")},
		{Name: "STARTTLS: a + nobody waits for", Server: Says("STARTTLS", "+ go on\r\n"), Want: Refused(imapconn.ErrProtocol, Host)},
		{Name: "STARTTLS: neither OK nor NO", Server: Says("STARTTLS", "%T MAYBE later\r\n"), Want: Refused(imapconn.ErrProtocol, Host, "MAYBE later")},
		{Name: "STARTTLS: a line without end", Server: Pouring("STARTTLS", "%T OK ", "x", 0), Want: Refused(imapconn.ErrProtocol, Host)},
		{Name: "STARTTLS: a literal of 4 GiB before the OK", Server: Says("STARTTLS", "* X {4294967296}\r\n"), Want: Refused(imapconn.ErrProtocol, Host, "4294967296 octets")},
		{Name: "STARTTLS: hangs up in place of a handshake", Server: Handling("STARTTLS", HangUp("%T OK go\r\n")), Want: Refused(io.ErrUnexpectedEOF, Host, "during the handshake")},
		{Name: "STARTTLS: not offered, and PREAUTH in clear", Server: Greeting("* PREAUTH [CAPABILITY IMAP4rev1] you are in"),
			Want: Refused(imapconn.ErrTLS, Host, "logged in before encryption stands")},
		{Name: "STARTTLS: other capabilities after it, without any way to log in", Server: Together(encrypting("%T OK go\r\n"),
			Says("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=NTLM\r\n%T OK\r\n")), Want: Refused(imapconn.ErrLogin, Host, "NTLM").Hinting("OAuth 2")},
		{Name: "STARTTLS: a second greeting, PREAUTH, inside it", Server: Together(encrypting("%T OK go\r\n"),
			Says("CAPABILITY", "* PREAUTH you are in\r\n* CAPABILITY IMAP4rev1\r\n%T OK\r\n")), Want: Works()},
		{Name: "TLS: PREAUTH under the protection of it", Conn: withTLS, Server: func(t testing.TB, s *imaptest.Script) {
			fromTheStart(s)
			s.Greeting = "* PREAUTH [CAPABILITY " + s.Caps + "] you are in"
		}, Want: Works()},
		{Name: "TLS: clear text where TLS was to begin", Conn: withTLS, Want: Refused(imapconn.ErrTLS, Host, "does not begin with TLS").Hinting("imap:// is for servers")},
		{Name: "TLS: a certificate of nobody's", Server: proving(func(t testing.TB, cfg *tls.Config) {
			other, _ := Certificate(t)
			cfg.Certificates = other.Certificates
		}), Want: Refused(imapconn.ErrTLS, Host, "authority").Hinting("?ca=FILE")},
		{Name: "TLS: a certificate for another Host", Conn: func(o *imapconn.Options) { o.Address = "imap.example.net:143" },
			Want: Refused(imapconn.ErrTLS, "imap.example.net").Hinting("spelt")},
		{Name: "TLS: TLS 1.0", Server: proving(func(_ testing.TB, cfg *tls.Config) {
			cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		}), Want: Refused(imapconn.ErrTLS, Host)},
		{Name: "TLS: another protocol", Server: proving(func(_ testing.TB, cfg *tls.Config) { cfg.NextProtos = []string{"http/1.1"} }),
			Want: Refused(imapconn.ErrTLS, Host)},
		{Name: "TLS: records without end of the handshake", Server: Handling("STARTTLS", func(c *imaptest.Conn, cmd imaptest.Command) {
			c.OK(cmd)
			Pour(c.Conn, strings.Repeat("\x16\x03\x03\x40\x00"+strings.Repeat("\x0b\xff\xff\xff", 4096), 2), 0)
		}), Want: Refused(imapconn.ErrTLS, Host)},
		{Name: "clear text: asked for by a person, and the server disables LOGIN", Conn: inClear,
			Server: Greeting("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] encrypt first"), Want: Refused(imapconn.ErrLogin, Host, "takes no password").Hinting("OAuth 2")},
		{Name: "clear text: PRIVACYREQUIRED", Conn: inClear, Server: Says("LOGIN", "%T NO [PRIVACYREQUIRED] encrypt first\r\n"), Want: Refused(imapconn.ErrTLS, Host, "PRIVACYREQUIRED")},
	}
}
