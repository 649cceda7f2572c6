package pop3source

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"restante/backup"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/pop3conn"
	"restante/backup/accounts/pop3conn/pop3test"
)

// greet has a server greet so.
func greet(line string) func(*stage) { return func(s *stage) { s.Greeting = line } }

// raw has a server be what f is.
func raw(f func(s *stage, c net.Conn)) func(*stage) {
	return func(s *stage) { s.raw = func(c net.Conn) { f(s, c) } }
}

// deaf waits until the client has gone.
func deaf(c net.Conn) { io.Copy(io.Discard, c) }

// drip writes an octet a minute until the client has gone.
func drip(s *stage, c net.Conn) {
	go deaf(c)
	for {
		select {
		case <-s.over:
			return
		case <-time.After(time.Minute):
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
		}
	}
}

// flood writes text until the client has gone.
func flood(c net.Conn, text string) {
	b := []byte(strings.Repeat(text, 64<<10/len(text)+1))
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// escapes are what nobody wants on a screen or in a log.
const escapes = "\x1b[2J\x1b]0;owned\x07\x00\xff\x9b31m\xe2\x80\xae\xc2\x85"

func hostileGreetings() []hostile {
	return []hostile{
		{name: "silence", setup: raw(func(_ *stage, c net.Conn) { deaf(c) }), want: refused, is: pop3conn.ErrTimeout, says: "no login within"},
		{name: "closed before the greeting", setup: raw(func(*stage, net.Conn) {}), want: refused, is: io.ErrUnexpectedEOF, says: "closed the connection"},
		{name: "closed in the greeting", setup: raw(func(_ *stage, c net.Conn) { io.WriteString(c, "+OK rea") }), want: refused, is: io.ErrUnexpectedEOF, says: "closed the connection"},
		{name: "an octet a minute for a greeting", setup: raw(drip), want: refused, is: pop3conn.ErrTimeout, says: "no login within"},
		{name: "a greeting without end", setup: raw(func(_ *stage, c net.Conn) { flood(c, "+OK ") }), want: refused, is: pop3conn.ErrProtocol, says: "more than 65536 octets"},
		{name: "-ERR for a greeting", setup: greet("-ERR go away"), want: refused, is: pop3conn.ErrRefused, says: "go away"},
		{name: "-ERR [IN-USE] for a greeting", setup: greet("-ERR [IN-USE] later"), want: refused, is: backup.ErrBusy, says: "later"},
		{name: "-ERR [SYS/PERM] for a greeting", setup: greet("-ERR [SYS/PERM] try again"), want: refused, is: pop3conn.ErrRefused, says: "SYS/PERM"},
		{name: "-ERR with escape sequences for a greeting", setup: greet("-ERR " + escapes + " no"), want: refused, is: pop3conn.ErrRefused, says: "no"},
		{name: "escape sequences in the response code of the greeting", setup: greet("-ERR [" + escapes + "] no"), want: refused, is: pop3conn.ErrRefused, says: "no"},
		{name: "60 KB of reasons in the greeting", setup: greet("-ERR " + strings.Repeat("because ", 7500)), want: refused, is: pop3conn.ErrRefused, says: "because"},
		{name: "60 KB of response code in the greeting", setup: greet("-ERR [" + strings.Repeat("because/", 7500) + "]"), want: refused, is: pop3conn.ErrRefused, says: "BECAUSE"},
		{name: "a blank line before the greeting", setup: greet("\r\n+OK ready"), want: refused, is: pop3conn.ErrProtocol, says: `"" in place`},
		{name: "an IMAP server", setup: greet("* OK IMAP4rev1 ready"), want: refused, is: pop3conn.ErrProtocol, says: "IMAP4rev1"},
		{name: "a web server", setup: greet("HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>"), want: refused, is: pop3conn.ErrProtocol, says: "HTTP/1.1 400"},
		{name: "rubbish for a greeting", setup: greet(escapes), want: refused, is: pop3conn.ErrProtocol, says: `\x1b[2J`},
		{name: "+OK with no space behind it", setup: greet("+OKready"), want: refused, is: pop3conn.ErrProtocol, says: "+OKready"},
		{name: "+OK and no more", setup: greet("+OK"), want: right},
		{name: "a greeting in small letters", setup: greet("+ok ready"), want: right},
		{name: "a greeting with escape sequences", setup: greet("+OK " + escapes), want: right},
		{name: "two greetings", setup: greet("+OK ready\r\n+OK ready"), want: right},
		{name: "a hundred greetings", setup: greet(strings.Repeat("+OK ready\r\n", 99) + "+OK ready"), want: right},
	}
}

// secure makes the stage's server one with TLS. host is whom its certificate is
// for.
func (s *stage) secure(security pop3conn.Security, host string, until time.Duration) {
	cert, pem := imaptest.Certificate(s.t, time.Now().Add(until), host)
	s.TLS, s.STLS = cert, security == pop3conn.STLS
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	s.options.Security, s.options.TLS = security, &tls.Config{RootCAs: roots}
}

// stls is a server with STLS, and change what is hostile about it.
func stls(change func(s *stage)) func(*stage) { return encrypted(pop3conn.STLS, change) }

func encrypted(security pop3conn.Security, change func(s *stage)) func(*stage) {
	return func(s *stage) {
		s.secure(security, "maildrop.example", time.Hour*24)
		change(s)
	}
}

// cutOff ends a connection with no word of TLS about it (close_notify), as
// somebody in between can.
func cutOff(c *pop3test.Conn) {
	if t, ok := c.Conn.(*tls.Conn); ok {
		t.NetConn().Close()
	}
	c.Conn.Close()
}

// half has every answer to a command be cut in the middle.
func half(verb, text string, end func(c *pop3test.Conn)) func(s *stage) {
	return func(s *stage) {
		s.on(verb, func(c *pop3test.Conn, _ string) {
			io.WriteString(c.Conn, text)
			end(c)
		})
	}
}

func hostileEncryption() []hostile {
	const forged = "+OK\r\nUSER\r\n.\r\n+OK\r\n+OK\r\n"
	polite := func(c *pop3test.Conn) { c.Conn.Close() }
	return []hostile{
		{name: "STLS: well", setup: stls(func(*stage) {}), want: right},
		{name: "TLS: well", setup: encrypted(pop3conn.TLS, func(*stage) {}), want: right},
		{name: "STLS: octets in clear text behind its answer", setup: stls(func(s *stage) { s.say("STLS", "+OK\r\nx") }), want: refused, is: backup.ErrAccess, says: "tampering"},
		{name: "STLS: answers in clear text behind its answer", setup: stls(func(s *stage) { s.say("STLS", "+OK\r\n"+forged) }), want: refused, is: pop3conn.ErrTLS, says: "tampering"},
		{name: "STLS: answers in clear text a moment later", setup: stls(func(s *stage) {
			s.on("STLS", func(c *pop3test.Conn, _ string) {
				c.Say("+OK\r\n")
				go deaf(c.Conn)
				time.Sleep(time.Second)
				c.Say("%s", forged)
				c.Close()
			})
		}), want: refused, is: pop3conn.ErrTLS, says: "does not begin with TLS"},
		{name: "STLS: answered with the greeting", setup: stls(func(s *stage) { s.Greeting = "+OK ready\r\n+OK begin" }), want: refused, is: pop3conn.ErrTLS},
		{name: "STLS: the whole session with the greeting", setup: stls(func(s *stage) { s.Greeting = "+OK ready\r\n+OK begin\r\n+OK\r\n+OK\r\n" + forged }), want: refused, is: pop3conn.ErrTLS, says: "tampering"},
		{name: "STLS: -ERR", setup: stls(func(s *stage) { s.say("STLS", "-ERR unknown command\r\n") }), want: refused, is: pop3conn.ErrTLS, says: "unknown command", hint: "pop3s://"},
		{name: "STLS: -ERR, and the password is asked for", setup: stls(func(s *stage) { s.say("STLS", "-ERR\r\n+OK send USER and PASS\r\n") }), want: refused, is: pop3conn.ErrTLS, hint: "pop3s://"},
		{name: "STLS: -ERR [SYS/TEMP]", setup: stls(func(s *stage) { s.say("STLS", "-ERR [SYS/TEMP] later\r\n") }), want: refused, is: backup.ErrBusy, says: "later"},
		{name: "STLS: +OK and silence", setup: stls(func(s *stage) { s.on("STLS", func(c *pop3test.Conn, _ string) { c.Say("+OK\r\n"); deaf(c.Conn) }) }), want: refused, is: pop3conn.ErrTimeout, says: "no login within"},
		{name: "STLS: +OK and the connection is closed", setup: stls(func(s *stage) { s.on("STLS", func(c *pop3test.Conn, _ string) { c.Say("+OK\r\n"); c.Close() }) }), want: refused, is: io.ErrUnexpectedEOF, says: "during the handshake"},
		{name: "STLS: +OK and goes on in clear text", setup: stls(func(s *stage) {
			s.on("STLS", func(c *pop3test.Conn, _ string) { c.Say("+OK\r\n"); go deaf(c.Conn); flood(c.Conn, "+OK\r\n") })
		}), want: refused, is: pop3conn.ErrTLS},
		{name: "STLS: another host's certificate", setup: func(s *stage) { s.secure(pop3conn.STLS, "elsewhere.example", time.Hour) }, want: refused, is: pop3conn.ErrTLS, says: "elsewhere.example", hint: "spelt"},
		{name: "TLS: a certificate that has expired", setup: func(s *stage) { s.secure(pop3conn.TLS, "maildrop.example", -time.Hour) }, want: refused, is: backup.ErrAccess, says: "expired", hint: "clock"},
		{name: "TLS: a certificate of an authority of its own", setup: encrypted(pop3conn.TLS, func(s *stage) { s.options.TLS = &tls.Config{RootCAs: x509.NewCertPool()} }), want: refused, is: pop3conn.ErrTLS, says: "does not know", hint: "ca=FILE"},
		{name: "TLS: clear text", setup: encrypted(pop3conn.TLS, func(s *stage) { s.TLS = nil }), want: refused, is: pop3conn.ErrTLS, says: "does not begin with TLS", hint: "pop3://"},
		{name: "TLS: version 1.1 only", setup: encrypted(pop3conn.TLS, func(s *stage) { s.TLS.MinVersion, s.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), want: refused, is: pop3conn.ErrTLS},
		{name: "STLS: what it offers changes, password and all", setup: stls(func(s *stage) {
			s.on("CAPA", func(c *pop3test.Conn, _ string) {
				caps := "USER\r\nSASL PLAIN\r\n"
				if _, encrypted := c.Conn.(*tls.Conn); encrypted {
					caps = "SASL XOAUTH2\r\n"
				}
				c.Say("+OK\r\n%s.\r\n", caps)
			})
		}), want: refused, is: backup.ErrAccess, says: "it takes no password", hint: "OAuth 2"},
		{name: "TLS: cut in LIST, with no word of it", setup: encrypted(pop3conn.TLS, half("LIST", "+OK\r\n1 52\r\n", cutOff)), want: refused, is: io.ErrUnexpectedEOF},
		{name: "TLS: cut in LIST, politely", setup: encrypted(pop3conn.TLS, half("LIST", "+OK\r\n1 52\r\n", polite)), want: refused, is: io.ErrUnexpectedEOF},
		{name: "TLS: cut in UIDL, with no word of it", setup: encrypted(pop3conn.TLS, half("UIDL", "+OK\r\n1 a\r\n", cutOff)), want: refused, is: io.ErrUnexpectedEOF},
		{name: "TLS: cut in every message, with no word of it", setup: encrypted(pop3conn.TLS, half("RETR", "+OK\r\nSubject: cut\r\n\r\nhalf\r\n", cutOff)), want: incomplete, says: "closed the connection"},
		{name: "TLS: cut in every message, politely", setup: encrypted(pop3conn.TLS, half("RETR", "+OK\r\nSubject: cut\r\n\r\nhalf\r\n", polite)), want: incomplete, says: "closed the connection"},
		{name: "TLS: cut in the dot, with no word of it", setup: encrypted(pop3conn.TLS, half("RETR", "+OK\r\nSubject: cut\r\n\r\nhalf\r\n.", cutOff)), want: incomplete, says: "closed the connection"},
		{name: "TLS: cut at QUIT, with no word of it", setup: encrypted(pop3conn.TLS, half("QUIT", "", cutOff)), want: right},
		{name: "TLS: clear text among what is encrypted", setup: encrypted(pop3conn.TLS, func(s *stage) {
			s.on("LIST", func(c *pop3test.Conn, _ string) {
				if t, ok := c.Conn.(*tls.Conn); ok {
					go deaf(t.NetConn())
					io.WriteString(t.NetConn(), "+OK\r\n1 52\r\n.\r\n")
					t.NetConn().Close()
				}
			})
		}), want: refused},
	}
}

// mechanism has the client log in so, whatever is offered.
func mechanism(m pop3conn.Mechanism, change func(s *stage)) func(*stage) {
	return func(s *stage) {
		s.options.Mechanism = m
		change(s)
	}
}

// challenge has AUTH answered with a challenge, the response with text made of
// it, and what comes then with next.
func challenge(answer func(response string) string, next string) func(s *stage) {
	return func(s *stage) {
		s.on("AUTH", func(c *pop3test.Conn, _ string) {
			c.Say("+ \r\n")
			line, err := c.Line()
			if err != nil {
				return
			}
			c.Say("%s", answer(line))
			if next == "" {
				return
			}
			if _, err := c.Line(); err == nil {
				c.Say("%s", next)
			}
		})
	}
}

// always is an answer that is what it is.
func always(text string) func(string) string { return func(string) string { return text } }

// stamped is a greeting with a timestamp, of a server that takes APOP only.
func stamped(stamp string) func(s *stage) {
	return func(s *stage) { s.Greeting, s.Caps = "+OK ready "+stamp, "TOP\r\nUIDL\r\n" }
}

func hostileLogins() []hostile {
	pass := func(text string) func(*stage) { return func(s *stage) { s.say("PASS", text) } }
	return []hostile{
		{name: "[AUTH]", setup: pass("-ERR [AUTH] wrong\r\n"), want: refused, is: backup.ErrAccess, says: "wrong"},
		{name: "[AUTH] and words that ask for patience", setup: pass("-ERR [AUTH] try again\r\n"), want: refused, is: backup.ErrAccess, says: "try again"},
		{name: "[SYS/PERM]", setup: pass("-ERR [SYS/PERM] never\r\n"), want: refused, is: pop3conn.ErrLogin, says: "never"},
		{name: "[SYS/TEMP], for ever", setup: pass("-ERR [SYS/TEMP] later\r\n"), want: refused, is: backup.ErrBusy, says: "later"},
		{name: "[IN-USE], for ever", setup: pass("-ERR [IN-USE] locked\r\n"), want: refused, is: backup.ErrBusy, says: "locked", hint: "one session at a time"},
		{name: "[IN-USE], three times", setup: func(s *stage) { s.InUse = 3 }, want: right},
		{name: "[LOGIN-DELAY], for ever", setup: pass("-ERR [LOGIN-DELAY] too often\r\n"), want: refused, is: backup.ErrBusy, says: "too often"},
		{name: "the password in a refusal", setup: pass("-ERR you said " + password + ", which is wrong\r\n"), want: refused, is: pop3conn.ErrLogin, says: "which is wrong"},
		{name: "the password in capitals in a refusal", setup: pass("-ERR NO " + strings.ToUpper(password) + ", AND AGAIN " + strings.ToUpper(password) + "\r\n"), want: refused, is: pop3conn.ErrLogin, says: "AND AGAIN"},
		{name: "the password in place of a status", setup: pass("PASS " + password + "\r\n"), want: refused, is: pop3conn.ErrProtocol, says: "in place of +OK"},
		{name: "the password at the edge of what an error shows", setup: pass(strings.Repeat("x", 74) + password + "\r\n"), want: refused, is: pop3conn.ErrProtocol, says: "in place of +OK"},
		{name: "the password in a response code", setup: pass("-ERR [" + password + "] wrong\r\n"), want: refused, is: pop3conn.ErrLogin, says: "wrong"},
		{name: "escape sequences in a refusal", setup: pass("-ERR [AUTH] " + escapes + " no\r\n"), want: refused, is: pop3conn.ErrLogin, says: "no"},
		{name: "PASS answered twice", setup: pass("+OK\r\n-ERR\r\n"), want: refused, is: pop3conn.ErrProtocol, says: "STAT"},
		{name: "USER refused", setup: func(s *stage) { s.say("USER", "-ERR no such user\r\n") }, want: refused, is: pop3conn.ErrLogin, says: "no such user"},
		{name: "logged in, and the maildrop is not open", setup: func(s *stage) { s.say("STAT", "-ERR not authenticated\r\n") }, want: refused, is: pop3conn.ErrRefused, says: "STAT"},
		{name: "the session's second login is refused", setup: func(s *stage) {
			s.on("PASS", func(c *pop3test.Conn, command string) {
				if s.removing.Load() {
					c.Say("-ERR [AUTH] wrong\r\n")
					return
				}
				c.Default(command)
			})
		}, want: right, keeps: true},

		{name: "AUTH: +OK before anything was proven", setup: mechanism(pop3conn.Plain, func(s *stage) { s.say("AUTH", "+OK welcome\r\n") }), want: refused, is: pop3conn.ErrProtocol, says: "before anything was proven"},
		{name: "AUTH: challenges without end", setup: mechanism(pop3conn.Plain, challenge(always("+ bW9yZQ==\r\n"), "+ bW9yZQ==\r\n")), want: refused, is: pop3conn.ErrProtocol, says: "without end"},
		{name: "AUTH: a challenge without end", setup: mechanism(pop3conn.Plain, func(s *stage) {
			s.on("AUTH", func(c *pop3test.Conn, _ string) { flood(c.Conn, "+ ") })
		}), want: refused, is: pop3conn.ErrProtocol, says: "more than 65536"},
		{name: "AUTH: the response in place of a status", setup: mechanism(pop3conn.Plain, challenge(func(r string) string { return r + "\r\n" }, "")), want: refused, is: pop3conn.ErrProtocol, says: "in place of +OK"},
		{name: "AUTH: the response in a refusal", setup: mechanism(pop3conn.Plain, challenge(func(r string) string { return "-ERR [AUTH] not " + r + "\r\n" }, "")), want: refused, is: pop3conn.ErrLogin, says: "not"},
		{name: "AUTH: rubbish for a challenge", setup: mechanism(pop3conn.Plain, func(s *stage) { s.say("AUTH", "+ "+escapes+"\r\n") }), want: refused},
		{name: "AUTH: refused with a code that is no code", setup: mechanism(pop3conn.Plain, func(s *stage) { s.say("AUTH", "-ERR [ [AUTH]\r\n") }), want: refused, is: pop3conn.ErrLogin},
		{name: "XOAUTH2: the reason in a challenge", setup: mechanism(pop3conn.XOAuth2, challenge(always("+ eyJzdGF0dXMiOiI0MDEifQ==\r\n"), "-ERR [AUTH] no\r\n")), want: refused, is: backup.ErrAccess, says: `"status":"401"`},
		{name: "XOAUTH2: the token in a challenge", setup: mechanism(pop3conn.XOAuth2, challenge(always("+ "+b64(`{"token":"`+password+`"}`)+"\r\n"), "-ERR no\r\n")), want: refused, is: pop3conn.ErrLogin, says: "token"},
		{name: "XOAUTH2: the token at the edge of what is read of a challenge", setup: mechanism(pop3conn.XOAuth2, challenge(always("+ "+b64(strings.Repeat("x", 484)+password+"y")+"\r\n"), "-ERR no\r\n")), want: refused, is: pop3conn.ErrLogin, says: "no"},
		{name: "XOAUTH2: escape sequences in a challenge", setup: mechanism(pop3conn.XOAuth2, challenge(always("+ "+b64(escapes)+"\r\n"), "-ERR no\r\n")), want: refused, is: pop3conn.ErrLogin, says: "no"},
		{name: "XOAUTH2: a challenge, and then +OK", setup: mechanism(pop3conn.XOAuth2, challenge(always("+ e30=\r\n"), "+OK\r\n")), want: refused, is: pop3conn.ErrProtocol, says: "without end"},

		{name: "APOP: well", setup: stamped("<1896.697170952@dbc.mtview.ca.us>"), want: right},
		{name: "APOP: an empty timestamp", setup: stamped("<>"), want: refused, is: backup.ErrAccess, says: "takes no password"},
		{name: "APOP: a timestamp without @", setup: stamped("<1896.697170952>"), want: refused, is: pop3conn.ErrLogin},
		{name: "APOP: a timestamp with nothing before @", setup: stamped("<@host>"), want: refused, is: pop3conn.ErrLogin},
		{name: "APOP: a timestamp with nothing behind @", setup: stamped("<1896@>"), want: refused, is: pop3conn.ErrLogin},
		{name: "APOP: a timestamp without end", setup: stamped("<1896@host"), want: refused, is: pop3conn.ErrLogin},
		{name: "APOP: a timestamp with NUL", setup: stamped("<18\x0096@host>"), want: refused, is: pop3conn.ErrLogin},
		{name: "APOP: a timestamp of 8 bits, to make MD5 collide", setup: stamped("<\x80\xff@host>"), want: refused, is: pop3conn.ErrLogin},
		{name: "APOP: a timestamp with a space", setup: stamped("<18 96@host>"), want: refused, is: pop3conn.ErrLogin},
		{name: "APOP: a timestamp of 60 KB", setup: stamped("<" + strings.Repeat("9", 60000) + "@host>"), want: refused, is: pop3conn.ErrLogin},
		{name: "APOP: refused with its digest", setup: func(s *stage) {
			stamped("<1896.697170952@dbc.mtview.ca.us>")(s)
			s.on("APOP", func(c *pop3test.Conn, command string) { c.Say("-ERR [AUTH] %s\r\n", command) })
		}, want: refused, is: pop3conn.ErrLogin},

		{name: "CAPA without end", setup: func(s *stage) {
			s.on("CAPA", func(c *pop3test.Conn, _ string) {
				c.Say("+OK\r\n")
				for n := 0; ; n += 1000 {
					var b strings.Builder
					for i := range 1000 {
						fmt.Fprintf(&b, "%x\r\n", n+i)
					}
					if _, err := io.WriteString(c.Conn, b.String()); err != nil {
						return
					}
				}
			})
		}, want: refused, is: pop3conn.ErrProtocol, says: "a list of more than"},
		{name: "CAPA with a line without end", setup: func(s *stage) {
			s.on("CAPA", func(c *pop3test.Conn, _ string) { c.Say("+OK\r\n"); flood(c.Conn, "SASL PLAIN ") })
		}, want: refused, is: pop3conn.ErrProtocol, says: "a line of more than"},
		{name: "CAPA offers no way but escape sequences", setup: func(s *stage) { s.Caps = "SASL " + escapes + "\r\n" }, want: refused, is: pop3conn.ErrLogin, says: "takes no password"},
		{name: "CAPA offers 3,000 ways", setup: func(s *stage) { s.Caps = "SASL" + strings.Repeat(" WAY", 3000) + "\r\n" }, want: refused, is: pop3conn.ErrLogin, says: "takes no password"},
		{name: "CAPA in rubbish", setup: func(s *stage) { s.Caps = escapes + "\r\n\r\n \r\nUSER\r\n..\r\n" }, want: right},
		{name: "CAPA with no end", setup: func(s *stage) { s.say("CAPA", "+OK\r\nUSER\r\n") }, want: refused, is: pop3conn.ErrTimeout},
		{name: "CAPA refused with a list", setup: func(s *stage) { s.say("CAPA", "-ERR\r\nUSER\r\n.\r\n") }, want: refused, is: pop3conn.ErrProtocol, says: "USER"},
		{name: "CAPA offers PIPELINING, and one command at a time is read", setup: func(s *stage) {
			s.on("RETR", func(c *pop3test.Conn, command string) { c.Default(command); c.Forget() })
			s.on("TOP", func(c *pop3test.Conn, command string) { c.Default(command); c.Forget() })
		}, want: right},
	}
}
