package imapsource

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
func encrypting(text string) maker {
	return func(c *chain, s *imaptest.Script) {
		cfg := s.TLS
		s.Handle["STARTTLS"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			imaptest.Answer(text)(c, cmd)
			c.Over(tls.Server(c.Conn, cfg))
		}
	}
}

// proving changes what the server proves itself with.
func proving(change func(t testing.TB, cfg *tls.Config)) maker {
	return func(c *chain, s *imaptest.Script) {
		s.TLS = s.TLS.Clone()
		change(c.t, s.TLS)
	}
}

func withTLS(o *imapconn.Options)     { o.Security = imapconn.TLS }
func inClear(o *imapconn.Options)     { o.Security = imapconn.Insecure }
func fromTheStart(s *imaptest.Script) { s.StartTLS = false }

func hostileTLS() []hostile {
	tooLate := refused(imapconn.ErrTLS, host, "clear text follow the answer to STARTTLS")
	return []hostile{
		{name: "STARTTLS: an OK injected behind the OK", server: encrypting("%T OK go\r\n* OK [CAPABILITY IMAP4rev1] injected\r\n"), want: tooLate},
		{name: "STARTTLS: OK twice", server: encrypting("%T OK go\r\n%T OK go\r\n"), want: tooLate},
		{name: "STARTTLS: a login answered in advance behind the OK", server: encrypting("%T OK go\r\nL2 OK\r\nL3 OK welcome\r\n"), want: tooLate},
		{name: "STARTTLS: a single octet behind the OK", server: encrypting("%T OK go\r\n\n"), want: tooLate},
		{name: "STARTTLS: OK, and then clear text", server: handling("STARTTLS", func(c *imaptest.Conn, cmd imaptest.Command) {
			c.OK(cmd)
			c.Say("* OK [CAPABILITY IMAP4rev1] welcome, without encryption\r\n")
		}), want: refused(imapconn.ErrTLS, host).hinting("imap:// is for servers")},
		{name: "STARTTLS: OK, and then SSH", server: says("STARTTLS", "%T OK go\r\n"), want: refused(imapconn.ErrTimeout, host)},
		{name: "STARTTLS: capabilities before the OK that forbid to log in", server: encrypting("* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=EVIL\r\n%T OK go\r\n"), want: complete()},
		{name: "STARTTLS: capabilities in the OK that forbid to log in", server: encrypting("%T OK [CAPABILITY IMAP4rev1 LOGINDISABLED] go\r\n"), want: complete()},
		{name: "STARTTLS: PREAUTH before the OK", server: encrypting("* PREAUTH you are in\r\n%T OK go\r\n"), want: complete()},
		{name: "STARTTLS: the greeting again before the OK", server: encrypting("* OK IMAP4rev1 ready\r\n%T OK go\r\n"), want: complete()},
		{name: "STARTTLS: OK to another tag first", server: encrypting("L99 OK\r\nA1 OK\r\n%T OK go\r\n"), want: complete()},
		{name: "STARTTLS: OK before it is asked for", server: greeting("* OK ready\r\nL1 OK go"), want: refused(imapconn.ErrTLS, host).hinting("imap:// is for servers")},
		{name: "STARTTLS: NO", server: says("STARTTLS", "%T NO not here\r\n"), want: refused(imapconn.ErrTLS, host, "NO not here").hinting("imaps://")},
		{name: "STARTTLS: BAD", server: says("STARTTLS", "%T BAD what?\r\n"), want: refused(imapconn.ErrTLS, host, "BAD what?").hinting("imaps://")},
		{name: "STARTTLS: BYE", server: handling("STARTTLS", hangUp("* BYE elsewhere\r\n")), want: refused(nil, host, "BYE elsewhere")},
		{name: "STARTTLS: BYE with a referral", server: handling("STARTTLS", hangUp("* BYE [REFERRAL imap://evil.example/] go there\r\n")), want: refused(nil, host, "REFERRAL")},
		{name: "STARTTLS: a + nobody waits for", server: says("STARTTLS", "+ go on\r\n"), want: refused(imapconn.ErrProtocol, host)},
		{name: "STARTTLS: neither OK nor NO", server: says("STARTTLS", "%T MAYBE later\r\n"), want: refused(imapconn.ErrProtocol, host, "MAYBE later")},
		{name: "STARTTLS: a line without end", server: pouring("STARTTLS", "%T OK ", "x", 0), want: refused(imapconn.ErrProtocol, host)},
		{name: "STARTTLS: a literal of 4 GiB before the OK", server: says("STARTTLS", "* X {4294967296}\r\n"), want: refused(imapconn.ErrProtocol, host, "4294967296 octets")},
		{name: "STARTTLS: hangs up in place of a handshake", server: handling("STARTTLS", hangUp("%T OK go\r\n")), want: refused(io.ErrUnexpectedEOF, host, "during the handshake")},
		{name: "STARTTLS: not offered, and PREAUTH in clear", server: greeting("* PREAUTH [CAPABILITY IMAP4rev1] you are in"),
			want: refused(imapconn.ErrTLS, host, "logged in before encryption stands")},
		{name: "STARTTLS: other capabilities after it, without any way to log in", server: together(encrypting("%T OK go\r\n"),
			says("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=NTLM\r\n%T OK\r\n")), want: refused(imapconn.ErrLogin, host, "NTLM").hinting("OAuth 2")},
		{name: "STARTTLS: a second greeting, PREAUTH, inside it", server: together(encrypting("%T OK go\r\n"),
			says("CAPABILITY", "* PREAUTH you are in\r\n* CAPABILITY IMAP4rev1\r\n%T OK\r\n")), want: complete()},
		{name: "TLS: PREAUTH under the protection of it", conn: withTLS, server: func(c *chain, s *imaptest.Script) {
			fromTheStart(s)
			s.Greeting = "* PREAUTH [CAPABILITY " + s.Caps + "] you are in"
		}, want: complete()},
		{name: "TLS: clear text where TLS was to begin", conn: withTLS, want: refused(imapconn.ErrTLS, host, "does not begin with TLS").hinting("imap:// is for servers")},
		{name: "TLS: a certificate of nobody's", server: proving(func(t testing.TB, cfg *tls.Config) {
			other, _ := certificate(t)
			cfg.Certificates = other.Certificates
		}), want: refused(imapconn.ErrTLS, host, "authority").hinting("?ca=FILE")},
		{name: "TLS: a certificate for another host", conn: func(o *imapconn.Options) { o.Address = "imap.example.net:143" },
			want: refused(imapconn.ErrTLS, "imap.example.net").hinting("spelt")},
		{name: "TLS: TLS 1.0", server: proving(func(_ testing.TB, cfg *tls.Config) {
			cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		}), want: refused(imapconn.ErrTLS, host)},
		{name: "TLS: another protocol", server: proving(func(_ testing.TB, cfg *tls.Config) { cfg.NextProtos = []string{"http/1.1"} }),
			want: refused(imapconn.ErrTLS, host)},
		{name: "TLS: records without end of the handshake", server: handling("STARTTLS", func(c *imaptest.Conn, cmd imaptest.Command) {
			c.OK(cmd)
			pour(c.Conn, strings.Repeat("\x16\x03\x03\x40\x00"+strings.Repeat("\x0b\xff\xff\xff", 4096), 2), 0)
		}), want: refused(imapconn.ErrTLS, host)},
		{name: "clear text: asked for by a person, and the server disables LOGIN", conn: inClear,
			server: greeting("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] encrypt first"), want: refused(imapconn.ErrLogin, host, "takes no password").hinting("OAuth 2")},
		{name: "clear text: PRIVACYREQUIRED", conn: inClear, server: says("LOGIN", "%T NO [PRIVACYREQUIRED] encrypt first\r\n"), want: refused(imapconn.ErrTLS, host, "PRIVACYREQUIRED")},
	}
}
