package accounts

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/oauth"
	"restante/backup/accounts/pop3conn"
	"restante/backup/accounts/pop3conn/pop3test"
)

// gate is a server that takes the tokens of a list, and what it was shown.
type gate struct {
	mu    sync.Mutex
	takes []string
	shown []string
}

func (g *gate) script() imaptest.Script {
	return imaptest.Script{Caps: "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"AUTHENTICATE": func(c *imaptest.Conn, cmd imaptest.Command) {
			raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(cmd.Args, "XOAUTH2 "))
			token := strings.TrimSuffix(strings.TrimPrefix(string(raw), "user=alice\x01auth=Bearer "), "\x01\x01")
			g.mu.Lock()
			defer g.mu.Unlock()
			g.shown = append(g.shown, token)
			for _, t := range g.takes {
				if t == token {
					c.OK(cmd)
					return
				}
			}
			c.Say("%s NO [AUTHENTICATIONFAILED] wrong\r\n", cmd.Tag)
		},
	}}
}

// tokens is a source of tokens: the function answers the n-th question, from 1.
type tokens func(n int64, refused string) (string, error)

type askedTokens struct {
	n      atomic.Int64
	answer tokens
}

func (a *askedTokens) Token(_ context.Context, refused string) (string, error) {
	return a.answer(a.n.Add(1), refused)
}

func tokenDialer(t *testing.T, g *gate, source Tokens) *Dialer {
	t.Helper()
	a, err := Parse("imap+insecure://alice@example.org")
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewTokenDialer(a, source, imapconn.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return imaptest.Pipe(g.script()), nil }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLoginsWithTokens(t *testing.T) {
	t.Parallel()
	rejected := fmt.Errorf("%w again: revoked", oauth.ErrLoginNeeded)
	down := fmt.Errorf("%w: HTTP 503", oauth.ErrUnavailable)
	for name, test := range map[string]struct {
		takes  string // tokens
		source tokens
		shown  string  // tokens, one after the other, over three connections
		is     []error // of each connection
	}{
		"good": {"one", func(int64, string) (string, error) { return "one", nil }, "one one one", []error{nil, nil, nil}},
		"a new one each time, as when they have expired": {"t1 t2 t3", func(n int64, _ string) (string, error) { return fmt.Sprint("t", n), nil },
			"t1 t2 t3", []error{nil, nil, nil}},
		"kept from an earlier run and revoked since": {"two", func(_ int64, refused string) (string, error) {
			return map[string]string{"": "one", "one": "two"}[refused], nil
		}, "one two one two one two", []error{nil, nil, nil}},
		"revoked with the grant": {"", func(_ int64, refused string) (string, error) {
			if refused != "" {
				return "", rejected
			}
			return "one", nil
		}, "one one one", []error{oauth.ErrLoginNeeded, oauth.ErrLoginNeeded, oauth.ErrLoginNeeded}},
		"no grant":               {"", func(int64, string) (string, error) { return "", rejected }, "", []error{imapconn.ErrLogin, imapconn.ErrLogin, imapconn.ErrLogin}},
		"no client":              {"", func(int64, string) (string, error) { return "", oauth.ErrRefused }, "", []error{imapconn.ErrLogin, imapconn.ErrLogin, imapconn.ErrLogin}},
		"the same one again":     {"", func(int64, string) (string, error) { return "one", nil }, "one one one", []error{imapconn.ErrLogin, imapconn.ErrLogin, imapconn.ErrLogin}},
		"new ones are no better": {"", func(n int64, _ string) (string, error) { return fmt.Sprint("t", n), nil }, "t1 t2 t3 t4 t5 t6", []error{imapconn.ErrLogin, imapconn.ErrLogin, imapconn.ErrLogin}},
		"the token server is down for a while": {"one", func(n int64, _ string) (string, error) {
			if n == 2 {
				return "", down
			}
			return "one", nil
		}, "one one", []error{nil, down, nil}},
		"none is good any more": {"t1", func(n int64, _ string) (string, error) { return fmt.Sprint("t", n), nil }, "t1 t2 t3", []error{nil, imapconn.ErrLogin}},
		"rejected in the middle": {"one", func(n int64, _ string) (string, error) {
			if n == 1 {
				return "one", nil
			}
			return "", rejected
		}, "one", []error{nil, oauth.ErrLoginNeeded, oauth.ErrLoginNeeded}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gate{takes: strings.Fields(test.takes)}
			d := tokenDialer(t, g, &askedTokens{answer: test.source})
			for i, want := range test.is {
				c, err := d.Dial(t.Context())
				if err == nil {
					c.Close()
				}
				if !errors.Is(err, want) || errors.Is(err, imapconn.ErrBusy) || errors.Is(err, oauth.ErrLoginNeeded) && !errors.Is(err, imapconn.ErrLogin) {
					t.Errorf("connection %d: %v, want %v", i+1, err, want)
				}
			}
			if got := strings.Join(g.shown, " "); got != test.shown {
				t.Errorf("the server was shown %q, want %q", got, test.shown)
			}
		})
	}
}

// A token that the server no longer takes while connections are open is
// replaced for all of them.
func TestARevokedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	g := &gate{takes: []string{"one"}}
	current := "one"
	d := tokenDialer(t, g, &askedTokens{answer: func(_ int64, refused string) (string, error) {
		if refused == current {
			current = "two"
		}
		return current, nil
	}})
	connect := func() {
		c, err := d.Dial(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	}
	connect()
	g.mu.Lock()
	g.takes = []string{"two"}
	g.mu.Unlock()
	connect()
	connect()
	if got := strings.Join(g.shown, " "); got != "one one two two" {
		t.Errorf("the server was shown %q", got)
	}
}

// Ten connections with a grant that is rejected are one failed login.
func TestARejectedGrantIsOneFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := new(gate)
		d := tokenDialer(t, g, &askedTokens{answer: func(_ int64, refused string) (string, error) {
			if refused != "" {
				return "", oauth.ErrLoginNeeded
			}
			time.Sleep(time.Second) // in virtual time: until all others wait
			return "one", nil
		}})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := d.Dial(t.Context()); !errors.Is(err, oauth.ErrLoginNeeded) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(g.shown) != 1 {
			t.Errorf("the server was shown %q", g.shown)
		}
	})
}

func TestTokensAreForTokenLogins(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"imaps://a@h": true, "imaps://a@h?auth=xoauth2": true, "imaps://a@h?auth=token": true, "imaps://a@h?auth=oauthbearer&authzid=b": true,
		"imaps://a@h?auth=plain": false, "imaps://a@h?auth=login": false, "imaps://a@h?master=m": false, "maildir:x": false,
	} {
		a, err := Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewTokenDialer(a, nil, imapconn.Options{}); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestTokensGoToAMaildropByXOAUTH2(t *testing.T) {
	t.Parallel()
	d := &pop3test.Maildrop{Caps: "SASL PLAIN XOAUTH2\r\nUIDL\r\n"}
	server := pop3test.Start(t, d)
	a, err := Parse("pop3+insecure://alice@" + server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewPOP3TokenDialer(Address{Scheme: POP3S, Auth: maildropMechanisms["apop"]}, nil, pop3conn.Options{}); err == nil {
		t.Error("a token goes by APOP")
	}
	dialer, err := NewPOP3TokenDialer(a, fixedToken("the-token"), pop3conn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := dialer.Dial(t.Context(), false)
	if err == nil {
		c.Close()
	}
	if !slices.ContainsFunc(d.Commands(), func(c string) bool { return strings.HasPrefix(c, "AUTH XOAUTH2") }) {
		t.Errorf("%q, %v", d.Commands(), err)
	}
}

type fixedToken string

func (f fixedToken) Token(context.Context, string) (string, error) { return string(f), nil }
