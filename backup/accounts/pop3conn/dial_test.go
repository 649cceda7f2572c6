package pop3conn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/pop3conn/pop3test"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestLoginTakesTheBestWay(t *testing.T) {
	t.Parallel()
	const stamp = "+OK ready <1896.697170952@dbc.mtview.ca.us>"
	for _, test := range []struct {
		name, caps, greeting string
		change               func(*Options)
		want                 string // the commands of the login
	}{
		{"PLAIN", "SASL PLAIN XOAUTH2\r\nUSER\r\n", "", nil, "AUTH PLAIN|" + b64("\x00alice\x00secret")},
		{"USER", "USER\r\n", "", nil, "USER alice|PASS secret"},
		{"without CAPA", "none", "", nil, "USER alice|PASS secret"},
		{"without CAPA, with APOP", "none", stamp, nil, "USER alice|PASS secret"},
		{"only APOP, as in RFC 1939 section 7", "TOP\r\n", stamp, func(o *Options) { o.User, o.Password = "mrose", "tanstaaf" }, "APOP mrose c4c9334bac560ecc979e58001b3e22fb"},
		{"USER asked for", "SASL PLAIN\r\n", "", func(o *Options) { o.Mechanism = User }, "USER alice|PASS secret"},
		{"APOP asked for", "SASL PLAIN\r\n", stamp, func(o *Options) { o.Mechanism, o.User, o.Password = APOP, "mrose", "tanstaaf" }, "APOP mrose c4c9334bac560ecc979e58001b3e22fb"},
		{"a password with spaces", "USER\r\n", "", func(o *Options) { o.Password = " a b " }, "USER alice|PASS  a b "},
		{"for another user", "USER\r\n", "", func(o *Options) { o.ActAs = "bob" }, "AUTH PLAIN|" + b64("bob\x00alice\x00secret")},
		{"XOAUTH2", "USER\r\n", "", func(o *Options) { o.Mechanism = XOAuth2 }, "AUTH XOAUTH2|" + b64("user=alice\x01auth=Bearer secret\x01\x01")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := drop("x\r\n")
			d.Caps, d.Greeting = test.caps, test.greeting
			var got []string
			d.Handle = map[string]func(*pop3test.Conn, string){"AUTH": func(c *pop3test.Conn, command string) {
				c.Say("+ \r\n")
				line, _ := c.Line()
				got = append(got, command, line)
				c.Login("")
			}}
			c := dial(t, d, test.change)
			if got == nil {
				got = slices.DeleteFunc(d.Commands(), func(s string) bool { return s == "CAPA" })
			}
			if s := strings.Join(got, "|"); s != test.want {
				t.Errorf("got  %q\nwant %q", s, test.want)
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
		{"wrong password", "", "-ERR [AUTH] Authentication failed.\r\n", nil, ErrLogin, "Authentication failed"},
		{"wrong password, no code", "", "-ERR invalid\r\n", nil, ErrLogin, "invalid"},
		{"wrong password, words that look busy", "", "-ERR [AUTH] try again\r\n", nil, ErrLogin, ""},
		{"account locked", "", "-ERR account locked\r\n", nil, ErrLogin, ""},
		{"in use", "", "-ERR [IN-USE] Mailbox is locked by another session\r\n", nil, ErrBusy, "another session"},
		{"in use, no code", "", "-ERR maildrop already locked\r\n", nil, ErrBusy, ""},
		{"too soon", "", "-ERR [LOGIN-DELAY] minimum time between mail checks violation\r\n", nil, ErrBusy, ""},
		{"temporary", "", "-ERR [SYS/TEMP] Internal error\r\n", nil, ErrBusy, ""},
		{"permanent", "", "-ERR [SYS/PERM] try again\r\n", nil, ErrLogin, ""},
		{"-ERR at the greeting", "-ERR too many connections", "", nil, ErrBusy, "too many"},
		{"-ERR without a reason", "-ERR", "", nil, ErrRefused, ""},
		{"connection closed", "", "", nil, io.ErrUnexpectedEOF, ""},
		{"not POP3", "* OK IMAP4 ready", "", nil, ErrProtocol, "IMAP4"},
		{"a blank line for a greeting", "\r\n+OK", "", nil, ErrProtocol, ""},
		{"a greeting without end", strings.Repeat("x", 70000), "", nil, ErrProtocol, ""},
		{"a blank line before the answer", "", "\r\n+OK\r\n", nil, ErrProtocol, ""},
		{"the server repeats the password", "", "-ERR I do not like secret\r\n", nil, ErrLogin, "•••"},
		{"the server says the password in place of a status", "", "PASS secret\r\n", nil, ErrProtocol, "•••"},
		{"the server says the password for a code", "", "-ERR [secret] no\r\n", nil, ErrLogin, "no"},
		{"escape sequences for a code", "", "-ERR [\x1b[31m] no\r\n", nil, ErrLogin, "-ERR [[31M] no"},
		{"a long reason", "", "-ERR " + strings.Repeat("x", 60000) + "\r\n", nil, ErrLogin, strings.Repeat("x", mostText) + "…"},
		{"no user name", "", "", func(o *Options) { o.User = "" }, nil, "no user name"},
		{"a line end in the password", "", "", func(o *Options) { o.Password = "a\r\nDELE 1" }, nil, "line end"},
		{"a space in the user name", "", "", func(o *Options) { o.User = "alice in" }, nil, "space"},
		{"APOP of a server that has none", "", "", func(o *Options) { o.Mechanism = APOP }, ErrLogin, "no APOP"},
		{"APOP with a timestamp that is none", "+OK <a\x80b@c>", "", func(o *Options) { o.Mechanism = APOP }, ErrLogin, "no APOP"},
		{"another user with APOP", "", "", func(o *Options) { o.Mechanism, o.ActAs = APOP, "bob" }, nil, "PLAIN can"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &pop3test.Maildrop{Greeting: test.greeting, Handle: map[string]func(*pop3test.Conn, string){"PASS": func(c *pop3test.Conn, _ string) {
				io.WriteString(c, test.answer)
				c.Close()
			}}}
			o := options(d)
			if test.change != nil {
				test.change(&o)
			}
			_, err := Dial(t.Context(), o)
			if err == nil {
				t.Fatal("no error")
			}
			if test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret") {
				t.Error(err)
			}
		})
	}
}

// XOAUTH2 says why it failed in a challenge.
func TestRefusedToken(t *testing.T) {
	t.Parallel()
	d := &pop3test.Maildrop{Handle: map[string]func(*pop3test.Conn, string){"AUTH": func(c *pop3test.Conn, _ string) {
		c.Say("+ \r\n")
		c.Line()
		c.Say("+ %s\r\n", b64(`{"status":"401","token":"secret"}`))
		if line, _ := c.Line(); line != "" {
			t.Errorf("the challenge is answered with %q", line)
		}
		c.Say("-ERR [AUTH] no\r\n")
	}}}
	o := options(d)
	o.Mechanism = XOAuth2
	if _, err := Dial(t.Context(), o); !errors.Is(err, ErrLogin) || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestNothingInCommon(t *testing.T) {
	t.Parallel()
	o := options(&pop3test.Maildrop{Caps: "SASL GSSAPI XOAUTH2\r\n"})
	if _, err := Dial(t.Context(), o); !errors.Is(err, ErrLogin) || !strings.Contains(err.Error(), "GSSAPI, XOAUTH2") {
		t.Error(err)
	}
}

func trust(t testing.TB, pem []byte) *tls.Config {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	cert, pem := imaptest.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	expired, expiredPEM := imaptest.Certificate(t, time.Now().Add(-time.Hour), "127.0.0.1")
	good := func(o *Options) { o.TLS = trust(t, pem) }
	for _, test := range []struct {
		name   string
		d      *pop3test.Maildrop
		change func(*Options)
		is     error
		says   string
	}{
		{"TLS", &pop3test.Maildrop{TLS: cert}, func(o *Options) { good(o); o.Security = TLS }, nil, ""},
		{"STLS", &pop3test.Maildrop{TLS: cert, STLS: true}, func(o *Options) { good(o); o.Security = STLS }, nil, ""},
		{"an unknown authority", &pop3test.Maildrop{TLS: cert}, func(o *Options) { o.Security = TLS; o.TLS = &tls.Config{ServerName: "127.0.0.1"} }, ErrTLS, "does not know"},
		{"another name", &pop3test.Maildrop{TLS: cert}, func(o *Options) { good(o); o.Security = TLS; o.TLS.ServerName = "mail.example.org" }, ErrTLS, "mail.example.org"},
		{"expired", &pop3test.Maildrop{TLS: expired}, func(o *Options) { o.Security = TLS; o.TLS = trust(t, expiredPEM) }, ErrTLS, "expired"},
		{"clear text where TLS is due", &pop3test.Maildrop{}, func(o *Options) { good(o); o.Security = TLS }, ErrTLS, "does not begin with TLS"},
		{"STLS refused", &pop3test.Maildrop{Unknown: "STLS"}, func(o *Options) { good(o); o.Security = STLS }, ErrTLS, "unknown command"},
		{"answers slipped in behind STLS", &pop3test.Maildrop{Handle: map[string]func(*pop3test.Conn, string){
			"STLS": answer("+OK\r\n+OK logged in\r\n"),
		}}, func(o *Options) { good(o); o.Security = STLS }, ErrTLS, "tampering"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.d.Add("x\r\n")
			// Not by a pipe: when TLS fails, both sides write.
			o := Options{Address: pop3test.Start(t, test.d).Addr, User: "alice", Password: "secret"}
			test.change(&o)
			c, err := Dial(t.Context(), o)
			if !errors.Is(err, test.is) || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Fatal(err)
			}
			for _, command := range test.d.Commands() {
				if strings.HasPrefix(command, "PASS") && test.is != nil {
					t.Error("the password was sent all the same")
				}
			}
			if err != nil {
				return
			}
			defer c.Close()
			if texts, _, err := retrieve(c, 1); err != nil || texts[0] != "x\r\n" {
				t.Errorf("%q, %v", texts, err)
			}
		})
	}
}

// What was offered in clear text counts for nothing behind STLS.
func TestCapabilitiesAreAskedForAgainAfterSTLS(t *testing.T) {
	t.Parallel()
	cert, pem := imaptest.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	d := &pop3test.Maildrop{TLS: cert, STLS: true}
	o := options(d)
	o.Address, o.Dial = pop3test.Start(t, d).Addr, nil
	o.Security, o.TLS = STLS, trust(t, pem)
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := d.Commands(); !slices.Equal(got, []string{"STLS", "CAPA", "USER alice", "PASS secret", "CAPA"}) {
		t.Errorf("%q", got)
	}
}

func TestSilentServers(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]string{"greeting": "", "capabilities": "CAPA", "login": "PASS", "list": "LIST", "message": "RETR", "QUIT": "QUIT"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := drop("x\r\n")
				silent := make(chan bool)
				defer close(silent)
				d.Handle = map[string]func(*pop3test.Conn, string){hang: func(*pop3test.Conn, string) { <-silent }}
				o := options(d)
				o.Idle, o.LoginTimeout = 0, 0 // as they are when nobody says otherwise
				if hang == "" {
					client, server := net.Pipe()
					defer server.Close()
					o.Dial = func(context.Context, string, string) (net.Conn, error) { return client, nil }
				}
				began := time.Now()
				c, err := Dial(t.Context(), o)
				if err == nil {
					if _, err = c.List(); err == nil {
						if _, _, err = retrieve(c, 1); err == nil {
							err = c.Quit(t.Context())
						}
					}
				}
				if !errors.Is(err, ErrTimeout) {
					t.Error(err)
				}
				if took := time.Since(began); took > 100*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A server that sends an octet now and then is never silent, and never done.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan bool)
		defer close(over)
		d := drop("x\r\n")
		d.Handle = map[string]func(*pop3test.Conn, string){"RETR": func(c *pop3test.Conn, _ string) {
			io.WriteString(c, "+OK\r\n")
			for {
				select {
				case <-time.After(time.Minute):
					c.Write([]byte("x"))
				case <-over:
					return
				}
			}
		}}
		began := time.Now()
		c := dial(t, d, func(o *Options) { o.Idle = 5 * time.Minute })
		if _, _, err := retrieve(c, 1); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

func TestContext(t *testing.T) {
	t.Parallel()
	reason := errors.New("no more time")
	login, cancelLogin := context.WithCancelCause(t.Context())
	reading, cancelReading := context.WithCancelCause(t.Context())
	d := drop("x\r\n")
	d.Handle = map[string]func(*pop3test.Conn, string){
		"PASS": func(*pop3test.Conn, string) { cancelLogin(reason) },
		"RETR": func(*pop3test.Conn, string) { cancelReading(reason) },
	}
	if _, err := Dial(login, options(d)); !errors.Is(err, reason) {
		t.Error(err)
	}
	delete(d.Handle, "PASS")
	c := dial(t, d, nil)
	defer c.Bind(reading)()
	if _, _, err := retrieve(c, 1); !errors.Is(err, reason) {
		t.Error(err)
	}
}

func TestDeleteAndQuit(t *testing.T) {
	t.Parallel()
	left := func(d *pop3test.Maildrop) (n int) { d.Do(func() { n = len(d.Messages) }); return n }

	d := drop("a\r\n", "b\r\n")
	c := dial(t, d, nil)
	if err := c.Delete(1); err != nil {
		t.Error(err)
	}
	if err := c.Delete(1); !errors.Is(err, ErrRefused) {
		t.Errorf("deleted twice: %v", err)
	}
	c.Close()
	if left(d) != 2 {
		t.Error("deleted without QUIT")
	}
	c = dial(t, d, nil)
	c.Delete(1)
	if err := c.Reset(); err != nil {
		t.Error(err)
	}
	c.Delete(2)
	if err := c.Quit(t.Context()); err != nil || left(d) != 1 || d.Messages[0].Octets != "a\r\n" {
		t.Errorf("%v, and %d are left", err, left(d))
	}
	// What follows would be taken for the answer to QUIT.
	d.Handle = map[string]func(*pop3test.Conn, string){"DELE": answer("+OK\r\n+OK\r\n")}
	c = dial(t, d, nil)
	if err := c.Delete(1); !errors.Is(err, ErrProtocol) || c.Err() == nil {
		t.Errorf("DELE answered twice: %v", err)
	}
	// An answer that does not come, and one that says no.
	d.Handle = map[string]func(*pop3test.Conn, string){"QUIT": func(c *pop3test.Conn, _ string) { c.Close() }}
	c = dial(t, d, nil)
	if err := c.Quit(t.Context()); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("no answer to QUIT: %v", err)
	}
	d.Handle["QUIT"] = answer("-ERR some deleted messages not removed\r\n")
	c = dial(t, d, nil)
	if err := c.Quit(t.Context()); !errors.Is(err, ErrRefused) {
		t.Errorf("-ERR to QUIT: %v", err)
	}
}
