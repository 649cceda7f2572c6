package imapconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn/imaptest"
)

func trust(t testing.TB, pem []byte) *tls.Config {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	return &tls.Config{RootCAs: pool}
}

func TestLoginTakesTheBestWay(t *testing.T) {
	t.Parallel()
	b64 := base64.StdEncoding.EncodeToString
	plain := b64([]byte("\x00alice\x00secret"))
	for _, test := range []struct {
		name, caps string
		change     func(*Options)
		want       string // the login command, and what follows it
	}{
		{"PLAIN in one step", "IMAP4rev1 AUTH=PLAIN SASL-IR", nil, "AUTHENTICATE PLAIN " + plain},
		{"PLAIN in two steps", "IMAP4rev1 AUTH=PLAIN", nil, "AUTHENTICATE PLAIN"},
		{"LOGIN", "IMAP4rev1", nil, `LOGIN "alice" "secret"`},
		{"LOGIN asked for", "IMAP4rev1 AUTH=PLAIN", func(o *Options) { o.Mechanism = Login }, `LOGIN "alice" "secret"`},
		{"LOGIN with quotes", "IMAP4rev1", func(o *Options) { o.Password = `a"b\c` }, `LOGIN "alice" "a\"b\\c"`},
		{"LOGIN with an empty password", "IMAP4rev1", func(o *Options) { o.Password = "" }, `LOGIN "alice" ""`},
		{"LOGIN with literals", "IMAP4rev1", func(o *Options) { o.User, o.Password = "älice", "a\r\nb" }, "LOGIN {6}\r\nälice {4}\r\na\r\nb"},
		{"LOGIN with LITERAL+", "IMAP4rev1 LITERAL+", func(o *Options) { o.User, o.Password = "älice", "a\r\nb" }, "LOGIN {6+}\r\nälice {4+}\r\na\r\nb"},
		{"LOGIN with LITERAL- and a long password", "IMAP4rev1 LITERAL-", func(o *Options) { o.Password = strings.Repeat("x", 4097) }, `LOGIN "alice" {4097}` + "\r\n" + strings.Repeat("x", 4097)},
		{"for another user", "IMAP4rev1 AUTH=PLAIN SASL-IR", func(o *Options) { o.ActAs = "bob" }, "AUTHENTICATE PLAIN " + b64([]byte("bob\x00alice\x00secret"))},
		{"SASL LOGIN where LOGIN is disabled", "IMAP4rev1 LOGINDISABLED AUTH=LOGIN", nil, "AUTHENTICATE LOGIN"},
		{"OAUTHBEARER", "IMAP4rev1 SASL-IR", func(o *Options) { o.Mechanism, o.User = OAuthBearer, "a=,b" },
			"AUTHENTICATE OAUTHBEARER " + b64([]byte("n,a=a=3D=2Cb,\x01auth=Bearer secret\x01\x01"))},
		{"the best way for a token", "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER", func(o *Options) { o.Mechanism = AnyToken },
			"AUTHENTICATE OAUTHBEARER " + b64([]byte("n,a=alice,\x01auth=Bearer secret\x01\x01"))},
		{"a token where there is no OAUTHBEARER", "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2", func(o *Options) { o.Mechanism = AnyToken },
			"AUTHENTICATE XOAUTH2 " + b64([]byte("user=alice\x01auth=Bearer secret\x01\x01"))},
		{"a token for another user", "IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER", func(o *Options) { o.Mechanism, o.ActAs = AnyToken, "bob" },
			"AUTHENTICATE OAUTHBEARER " + b64([]byte("n,a=bob,\x01auth=Bearer secret\x01\x01"))},
		{"XOAUTH2", "IMAP4rev1 SASL-IR", func(o *Options) { o.Mechanism = XOAuth2 }, "AUTHENTICATE XOAUTH2 " + b64([]byte("user=alice\x01auth=Bearer secret\x01\x01"))},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Caps: test.caps, Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"AUTHENTICATE": func(c *imaptest.Conn, cmd imaptest.Command) {
					for _, step := range map[string][]string{"PLAIN": {plain}, "LOGIN": {b64([]byte("alice")), b64([]byte("secret"))}}[cmd.Args] {
						c.Say("+ %s\r\n", b64([]byte("whatever")))
						if line, _ := c.Line(); line != step {
							t.Errorf("step %q, want %q", line, step)
						}
					}
					c.OK(cmd)
				},
			}})
			c := dial(t, s, test.change)
			if got := s.Commands()[0]; got.Name+" "+got.Args != test.want && strings.TrimSpace(got.Name+" "+got.Args) != test.want {
				t.Errorf("got  %q\nwant %q", got.Name+" "+got.Args, test.want)
			}
			alive(t, c)
		})
	}
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, greeting, answer string
		change                 func(*Options)
		is                     error
		says                   string
	}{
		{"wrong password", "", "%T NO [AUTHENTICATIONFAILED] Invalid credentials\r\n", nil, ErrLogin, "Invalid credentials"},
		{"wrong password, no code", "", "%T NO login failed\r\n", nil, ErrLogin, "login failed"},
		{"no such command", "", "%T BAD what?\r\n", nil, ErrLogin, "what?"},
		{"password expired", "", "%T NO [EXPIRED] change it\r\n", nil, ErrLogin, "EXPIRED"},
		{"unavailable", "", "%T NO [UNAVAILABLE] User's backend down for maintenance\r\n", nil, ErrBusy, "maintenance"},
		{"limit", "", "%T NO [LIMIT] Rate limit hit\r\n", nil, ErrBusy, ""},
		{"in use", "", "%T NO [INUSE] locked\r\n", nil, ErrBusy, ""},
		{"too many connections at Gmail", "", "%T NO [ALERT] Too many simultaneous connections. (Failure)\r\n", nil, ErrBusy, ""},
		{"busy in words", "", "%T NO Temporary authentication failure\r\n", nil, ErrBusy, ""},
		{"wrong password, words that look busy", "", "%T NO [AUTHENTICATIONFAILED] try again\r\n", nil, ErrLogin, ""},
		{"BYE at the login", "", "* BYE [UNAVAILABLE] too many\r\n", nil, ErrBusy, ""},
		{"BYE at the greeting", "* BYE Too many connections from your address", "", nil, ErrBusy, "Too many connections"},
		{"BYE without a reason", "* BYE no", "", nil, nil, "BYE no"},
		{"connection closed", "", "", nil, io.ErrUnexpectedEOF, ""},
		{"not IMAP", "+OK POP3 ready", "", nil, ErrProtocol, "POP3"},
		{"greeting that never ends", strings.Repeat("x", 70000), "", nil, ErrProtocol, ""},
		{"blank lines for ever", strings.Repeat("\r\n", 200), "", nil, ErrProtocol, ""},
		{"the server repeats the password", "", "%T NO I do not like \"secret\"\r\n", nil, ErrLogin, "•••"},
		{"LOGIN disabled", "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi", "", func(o *Options) { o.Mechanism = Login }, ErrLogin, "disabled"},
		{"nothing in common", "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=GSSAPI AUTH=XOAUTH2] hi", "", nil, ErrLogin, "GSSAPI, XOAUTH2"},
		{"a token where only passwords are taken", "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi", "", func(o *Options) { o.Mechanism = AnyToken }, ErrLogin, "PLAIN, nothing else"},
		{"a token for another user by XOAUTH2", "* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi", "", func(o *Options) { o.Mechanism, o.ActAs = AnyToken, "bob" }, ErrLogin, "XOAUTH2"},
		{"a token with a control character", "", "", func(o *Options) { o.Mechanism, o.Password = XOAuth2, "secret\x01\x01" }, nil, "no token has"},
		{"no token", "", "", func(o *Options) { o.Mechanism, o.Password = OAuthBearer, "" }, nil, "is empty"},
		{"a token for a user with a control character", "", "", func(o *Options) { o.Mechanism, o.User = AnyToken, "a\x01b" }, nil, "user name"},
		{"no user name", "", "", func(o *Options) { o.User = "" }, nil, "no user name"},
		{"NUL in the password", "", "", func(o *Options) { o.Password = "a\x00b" }, nil, "NUL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Greeting: test.greeting, Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"LOGIN": func(c *imaptest.Conn, cmd imaptest.Command) {
					imaptest.Answer(test.answer)(c, cmd)
					c.Close()
				},
			}})
			o := Options{Address: s.Addr, Security: Insecure, User: "alice", Password: "secret"}
			if test.change != nil {
				test.change(&o)
			}
			_, err := Dial(t.Context(), o)
			if err == nil {
				t.Fatal("no error")
			}
			t.Log(err)
			if test.is != nil && !errors.Is(err, test.is) || test.is != ErrLogin && errors.Is(err, ErrLogin) || test.is != ErrBusy && errors.Is(err, ErrBusy) {
				t.Errorf("want %v", test.is)
			}
			if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("want something with %q and without the password", test.says)
			}
		})
	}
}

func TestTokenRefusedSaysWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, challenge, answer, says, hint string }{
		{"RFC 7628", `{"status":"invalid_token","openid-configuration":"https://x"}`, "NO [AUTHENTICATIONFAILED] no", "it says invalid_token", "expired or was revoked"},
		{"Gmail", `{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`, "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", "it says 400", "expired or was revoked"},
		{"a number", `{"status":401}`, "NO no", "it says 401", "expired or was revoked"},
		{"the wrong scope", `{"status":"insufficient_scope","scope":"imap\n"}`, "NO no", "it says insufficient_scope", "needs the scope imap"},
		{"something else", `{"status":"weather"}`, "NO no", "it says weather", ""},
		{"no JSON", "it rains\a", "NO no", "it says it rains)", ""},
		{"the token comes back", `{"status":"t0ken is bad"}`, "NO no", "it says ••• is bad", ""},
		{"the token comes back at the end of a long text", strings.Repeat("x", 297) + "t0ken", "NO no", "xxx•", ""},
		{"words that look busy", `{"status":"invalid_token, try again later"}`, "NO no", "try again later", ""},
		{"no challenge", "", "NO [AUTHENTICATIONFAILED] no", "AUTHENTICATIONFAILED", ""},
	} {
		for m, reply := range map[Mechanism]string{OAuthBearer: "AQ==", XOAuth2: ""} {
			t.Run(test.name+" by "+string(m), func(t *testing.T) {
				t.Parallel()
				s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 SASL-IR AUTH=" + string(m), Handle: map[string]func(*imaptest.Conn, imaptest.Command){
					"AUTHENTICATE": func(c *imaptest.Conn, cmd imaptest.Command) {
						if test.challenge != "" {
							c.Say("+ %s\r\n", base64.StdEncoding.EncodeToString([]byte(test.challenge)))
							if line, _ := c.Line(); line != reply {
								t.Errorf("the client answers %q", line)
							}
						}
						c.Say("%s %s\r\n", cmd.Tag, test.answer)
					},
				}})
				_, err := Dial(t.Context(), Options{Address: s.Addr, Security: Insecure, User: "u", Password: "t0ken", Mechanism: AnyToken})
				if err == nil {
					t.Fatal("no error")
				}
				text := err.Error() + " ("
				if !errors.Is(err, ErrLogin) || errors.Is(err, ErrBusy) || !strings.Contains(text, test.says) || strings.Contains(text, "t0") || strings.ContainsAny(text, "\a\n") {
					t.Errorf("%q", text)
				}
				var advice interface{ Hint() string }
				if got := errors.As(err, &advice); got != (test.hint != "") || got && !strings.Contains(advice.Hint(), test.hint) {
					t.Errorf("hint %v: %v", got, advice)
				}
				if n := len(s.Commands()); n != 1 {
					t.Errorf("%d commands: a refused token is not tried again", n)
				}
			})
		}
	}
}

// A BAD to AUTHENTICATE says nothing of the password, so LOGIN may be tried;
// after a NO it must not be, or accounts get locked at half the number of
// failures. It is the same with the two mechanisms for tokens.
func TestLoginIsTriedAfterBadOnly(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]int{"%T BAD no such thing\r\n": 2, "%T NO wrong\r\n": 1} {
		for _, m := range []Mechanism{AnyPassword, AnyToken} {
			s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 AUTH=PLAIN AUTH=OAUTHBEARER AUTH=XOAUTH2", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"AUTHENTICATE": func(c *imaptest.Conn, cmd imaptest.Command) {
					if cmd.Args == string(XOAuth2) {
						c.Say("+ \r\n")
						c.Line()
						c.OK(cmd)
						return
					}
					imaptest.Answer(answer)(c, cmd)
				},
			}})
			c, err := Dial(t.Context(), Options{Address: s.Addr, Security: Insecure, User: "alice", Password: "x", Mechanism: m})
			if err == nil {
				c.Close()
			}
			n := 0
			for _, cmd := range s.Commands() {
				if cmd.Name == "AUTHENTICATE" || cmd.Name == "LOGIN" {
					n++
				}
			}
			if n != want || (err == nil) != (want == 2) {
				t.Errorf("%s: %q: %d tries, %v", m, answer, n, err)
			}
		}
	}
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	good, goodCA := imaptest.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	other, otherCA := imaptest.Certificate(t, time.Now().Add(time.Hour), "mail.example.org")
	expired, expiredCA := imaptest.Certificate(t, time.Now().Add(-time.Hour), "127.0.0.1")
	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for _, test := range []struct {
		name     string
		script   imaptest.Script
		security Security
		trust    []byte
		is       error
		hint     bool
	}{
		{"TLS", imaptest.Script{TLS: good}, TLS, goodCA, nil, false},
		{"STARTTLS", imaptest.Script{TLS: good, StartTLS: true}, StartTLS, goodCA, nil, false},
		{"STARTTLS that is not offered but done", imaptest.Script{TLS: good, StartTLS: true, Caps: "IMAP4rev1"}, StartTLS, goodCA, nil, false},
		{"unknown authority", imaptest.Script{TLS: good}, TLS, otherCA, ErrTLS, true},
		{"unknown authority with STARTTLS", imaptest.Script{TLS: good, StartTLS: true}, StartTLS, otherCA, ErrTLS, true},
		{"another host's certificate", imaptest.Script{TLS: other}, TLS, otherCA, ErrTLS, true},
		{"expired", imaptest.Script{TLS: expired}, TLS, expiredCA, ErrTLS, true},
		{"old TLS", imaptest.Script{TLS: old}, TLS, goodCA, ErrTLS, false},
		{"clear text where TLS is due", imaptest.Script{}, TLS, goodCA, ErrTLS, true},
		{"STARTTLS refused", imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"STARTTLS": imaptest.Answer("%T NO not here\r\n")}}, StartTLS, goodCA, ErrTLS, true},
		{"STARTTLS unknown", imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"STARTTLS": imaptest.Answer("%T BAD what\r\n")}}, StartTLS, goodCA, ErrTLS, true},
		{"logged in before STARTTLS", imaptest.Script{Greeting: "* PREAUTH welcome"}, StartTLS, goodCA, ErrTLS, false},
		{"answers injected behind STARTTLS", imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"STARTTLS": imaptest.Answer("%T OK go\r\n* CAPABILITY IMAP4rev1\r\n")}}, StartTLS, goodCA, ErrTLS, false},
		{"STARTTLS answered with another tag", imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"STARTTLS": imaptest.Answer("X1 OK go\r\n%T NO\r\n")}}, StartTLS, goodCA, ErrTLS, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, test.script)
			c, err := Dial(t.Context(), Options{Address: s.Addr, Security: test.security, TLS: trust(t, test.trust), User: "alice", Password: "secret"})
			if err != nil {
				t.Log(err)
			}
			if test.is == nil {
				if err != nil {
					t.Fatal(err)
				}
				alive(t, c)
				c.Close()
				return
			}
			if !errors.Is(err, test.is) {
				t.Errorf("want %v", test.is)
			}
			var advice interface{ Hint() string }
			if errors.As(err, &advice) != test.hint {
				t.Errorf("hint: %v", !test.hint)
			}
			for _, cmd := range s.Commands() {
				if cmd.Name == "LOGIN" || cmd.Name == "AUTHENTICATE" {
					t.Errorf("a password was sent: %v", cmd)
				}
			}
		})
	}
}

// What was said before encryption is forgotten: an attacker's capabilities
// would decide how we log in.
func TestCapabilitiesFromBeforeStartTLSAreForgotten(t *testing.T) {
	t.Parallel()
	cfg, ca := imaptest.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	s := imaptest.Start(t, imaptest.Script{TLS: cfg, StartTLS: true, Caps: "IMAP4rev1 AUTH=PLAIN SASL-IR",
		Greeting: "* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=X] hi"})
	c, err := Dial(t.Context(), Options{Address: s.Addr, Security: StartTLS, TLS: trust(t, ca), User: "alice", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := s.Commands(); got[1].Name != "CAPABILITY" || got[2].Name != "AUTHENTICATE" {
		t.Errorf("commands: %v", got)
	}
}

func TestPreauthOverTLSNeedsNoLogin(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Greeting: "* PREAUTH welcome"})
	c := dial(t, s, func(o *Options) { o.User, o.Password = "", "" })
	alive(t, c)
	if got := s.Commands()[0].Name; got != "CAPABILITY" {
		t.Errorf("the first command is %s", got)
	}
}

func TestIDIsExchanged(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 ID", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"ID": imaptest.Answer("* ID (\"Name\" {3}\r\nFoo \"version\" NIL \"x\" \"a\\\"b\")\r\n%T OK done\r\n"),
		// Once go-imap has read an ID it closes the connection over this.
		"STATUS": imaptest.Answer("* STATUS INBOX (MESSAGES 3 MAILBOXID (F1) RECENT 2 UIDNEXT 4)\r\n%T OK done\r\n"),
	}})
	c := dial(t, s, func(o *Options) { o.ClientName, o.ClientVersion = `Rest"ante`, "1" })
	if got := s.Commands()[1]; got.Args != `("name" "Rest\"ante" "version" "1")` {
		t.Errorf("ID %s", got.Args)
	}
	if id := c.ServerID(); id["name"] != "Foo" || id["x"] != `a"b` || len(id) != 2 {
		t.Errorf("the server is %v", id)
	}
	if _, err := c.Client.ID(nil).Wait(); err != nil {
		t.Error(err)
	}
	d, err := c.Status("INBOX", statusItems).Wait()
	if err != nil || *d.NumMessages != 3 || d.UIDNext != 4 {
		t.Errorf("STATUS after ID: %+v, %v", d, err)
	}
	alive(t, c)
}

func TestCompression(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 COMPRESS=DEFLATE", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"COMPRESS": imaptest.Answer("%T NO not now\r\n")}})
	alive(t, dial(t, s, func(o *Options) { o.Compress = true })) // the real thing is in dovecot_test.go
}

func TestDialIsBounded(t *testing.T) {
	t.Parallel()
	silent := func(cmds ...string) imaptest.Script {
		s := imaptest.Script{Caps: "IMAP4rev1 ID", Handle: map[string]func(*imaptest.Conn, imaptest.Command){}}
		for _, c := range cmds {
			s.Handle[c] = func(*imaptest.Conn, imaptest.Command) {}
		}
		return s
	}
	for name, script := range map[string]imaptest.Script{"login": silent("LOGIN"), "ID": silent("ID")} {
		t.Run("silent at "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := Dial(t.Context(), Options{Address: "x:1", Security: Insecure, User: "u", ClientName: "c", LoginTimeout: time.Minute,
					Dial: func(context.Context, string, string) (net.Conn, error) { return imaptest.Pipe(script), nil }})
				if !errors.Is(err, ErrTimeout) || time.Since(start) != time.Minute {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
	t.Run("dripping for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			script := imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){"LOGIN": func(c *imaptest.Conn, _ imaptest.Command) {
				for {
					if _, err := c.Write([]byte("* OK wait\r\n")); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}}}
			_, err := Dial(t.Context(), Options{Address: "x:1", Security: Insecure, User: "u", LoginTimeout: time.Minute,
				Dial: func(context.Context, string, string) (net.Conn, error) { return imaptest.Pipe(script), nil }})
			if !errors.Is(err, ErrTimeout) {
				t.Error(err)
			}
			time.Sleep(time.Minute) // for the server to notice
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := Dial(ctx, Options{Address: "x:1", Security: Insecure, User: "u",
				Dial: func(context.Context, string, string) (net.Conn, error) { return imaptest.Pipe(silent("LOGIN")), nil }})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	})
}

// Whatever leads there, a password is not sent in clear text by accident.
func TestNoPasswordInClearText(t *testing.T) {
	t.Parallel()
	for _, security := range []Security{TLS, StartTLS} {
		for _, m := range []Mechanism{AnyPassword, Plain, Login, OAuthBearer, XOAuth2, AnyToken} {
			for _, caps := range []capSet{{"AUTH=PLAIN", "SASL-IR"}, {}, {"AUTH=OAUTHBEARER", "AUTH=XOAUTH2", "SASL-IR"}, {"LOGINDISABLED", "AUTH=LOGIN"}} {
				client, server := net.Pipe()
				go func() {
					server.Read(make([]byte, 1000))
					server.Close()
				}()
				sock := &countingConn{Conn: client}
				s := &session{opts: &Options{Security: security, User: "u", Password: "p", Mechanism: m}, sock: sock, conn: sock, caps: caps, in: newInput(sock, limits{line: 1000})}
				if err := s.login(); !errors.Is(err, ErrTLS) && !errors.Is(err, ErrLogin) || sock.out.Load() > 0 {
					t.Errorf("%v %s %v: %v, %d octets", security, m, caps, err, sock.out.Load())
				}
				client.Close()
			}
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	_, err = Dial(t.Context(), Options{Address: ln.Addr().String(), User: "u"})
	if err == nil || errors.Is(err, ErrLogin) || errors.Is(err, ErrTLS) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Error(err)
	}
}

// What the server can do is not forgotten when it has gone.
func TestCapabilitiesStayWhenTheConnectionHasEnded(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 QUOTA X-GM-EXT-1", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"NOOP": func(c *imaptest.Conn, _ imaptest.Command) { c.Close() },
	}})
	c := dial(t, s, nil)
	if err := soon(t, "NOOP", func() error { return c.Noop().Wait() }); err == nil {
		t.Fatal("the connection is still there")
	}
	<-c.Closed()
	for range 100 {
		if caps := c.Caps(); !caps.Has(imap.CapQuota) || !c.HasLabels() || caps.Has(imap.CapACL) {
			t.Fatalf("then the server is taken for one that has %v", caps)
		}
	}
}
