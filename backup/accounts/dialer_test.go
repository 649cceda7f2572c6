package accounts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/pop3conn"
	"restante/backup/accounts/pop3conn/pop3test"
)

// door is a server that takes one password, which can be changed.
type door struct {
	*imaptest.Server
	password atomic.Value
	refused  atomic.Int64
	busy     atomic.Bool
}

func newDoor(t *testing.T, password string) *door {
	d := &door{}
	d.password.Store(password)
	d.Server = imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"LOGIN": func(c *imaptest.Conn, cmd imaptest.Command) {
			switch {
			case d.busy.Load():
				c.Say("%s NO [UNAVAILABLE] later\r\n", cmd.Tag)
			case cmd.Args == fmt.Sprintf("%q %q", "alice", d.password.Load()):
				c.OK(cmd)
			default:
				d.refused.Add(1)
				c.Say("%s NO [AUTHENTICATIONFAILED] wrong\r\n", cmd.Tag)
			}
		},
	}})
	return d
}

func (d *door) dialer(t *testing.T, secret Secret) *Dialer {
	a, err := Parse("imap+insecure://alice@" + d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := NewDialer(a, secret, imapconn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return dialer
}

// asked counts how often a secret is asked for.
func asked(n *atomic.Int64, answers ...string) Secret {
	return func(context.Context) (string, error) {
		i := n.Add(1) - 1
		return answers[min(int(i), len(answers)-1)], nil
	}
}

func TestPasswordIsAskedForOnce(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "secret")
	var n atomic.Int64
	dialer := d.dialer(t, asked(&n, "secret"))
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			c, err := dialer.DialOdd(t.Context(), func(imapconn.Oddity) {})
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	wg.Wait()
	if n.Load() != 1 {
		t.Errorf("asked %d times", n.Load())
	}
}

// Ten connections with a wrong password are one failure for the server.
func TestWrongPasswordIsTriedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked, refused atomic.Int64
		script := imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"LOGIN": func(c *imaptest.Conn, cmd imaptest.Command) {
				refused.Add(1)
				c.Say("%s NO [AUTHENTICATIONFAILED] wrong\r\n", cmd.Tag)
			},
		}}
		a, err := Parse("imap+insecure://alice@example.org")
		if err != nil {
			t.Fatal(err)
		}
		dialer, err := NewDialer(a, func(ctx context.Context) (string, error) {
			asked.Add(1)
			time.Sleep(time.Second) // in virtual time: until all others wait
			return "wrong", nil
		}, imapconn.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return imaptest.Pipe(script), nil }})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := dialer.Dial(t.Context()); !errors.Is(err, imapconn.ErrLogin) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if asked.Load() != 1 || refused.Load() != 1 {
			t.Errorf("asked %d times, refused %d times", asked.Load(), refused.Load())
		}
	})
}

func TestExpiredTokenIsAskedForAgain(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "one")
	var n atomic.Int64
	dialer := d.dialer(t, asked(&n, "one", "two"))
	connect := func() error {
		c, err := dialer.Dial(t.Context())
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := connect(); err != nil {
		t.Fatal(err)
	}
	d.password.Store("two")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := connect(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n.Load() != 2 {
		t.Errorf("asked %d times", n.Load())
	}
	// The answer stays the same: it is not tried again.
	d.password.Store("three")
	before := d.refused.Load()
	if err := connect(); !errors.Is(err, imapconn.ErrLogin) || d.refused.Load() != before+1 {
		t.Errorf("%v, refused %d times", err, d.refused.Load()-before)
	}
}

func TestBusyServerDoesNotCostThePassword(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "secret")
	var n atomic.Int64
	dialer := d.dialer(t, asked(&n, "secret", "other"))
	d.busy.Store(true)
	if _, err := dialer.Dial(t.Context()); !errors.Is(err, imapconn.ErrBusy) {
		t.Error(err)
	}
	d.busy.Store(false)
	c, err := dialer.Dial(t.Context())
	if err != nil || n.Load() != 1 {
		t.Fatalf("%v, asked %d times", err, n.Load())
	}
	c.Close()
}

func TestWaitingForThePasswordEndsWithTheContext(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "secret")
	asking, done := make(chan bool), make(chan bool)
	dialer := d.dialer(t, func(context.Context) (string, error) {
		close(asking)
		<-done
		return "", os.ErrClosed
	})
	first := make(chan error)
	go func() {
		_, err := dialer.Dial(t.Context())
		first <- err
	}()
	<-asking
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dialer.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(done)
	if err := <-first; !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestCertificateAuthorityFromFile(t *testing.T) {
	t.Parallel()
	cfg, pem := imaptest.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	s := imaptest.Start(t, imaptest.Script{TLS: cfg})
	dir := t.TempDir()
	for name, content := range map[string][]byte{"ca.pem": pem, "other.pem": []byte("hello")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]string{
		"":                              "does not know",
		"?ca=" + dir + "/ca.pem":        "",
		"?ca=" + dir + "/other.pem":     "no certificate",
		"?ca=" + dir + "/not-there.pem": "no such file",
	} {
		a, err := Parse("imaps://alice@" + s.Addr + query)
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDialer(a, asked(new(atomic.Int64), "secret"), imapconn.Options{})
		var c *imapconn.Conn
		if err == nil {
			c, err = d.Dial(t.Context())
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestDialerIsForServers(t *testing.T) {
	t.Parallel()
	a, err := Parse("maildir:/mail")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewDialer(a, nil, imapconn.Options{}); err == nil {
		t.Error("a dialer for a directory")
	}
	if _, err := NewPOP3Dialer(a, nil, pop3conn.Options{}); err == nil {
		t.Error("a dialer for a directory")
	}
}

func TestMaildropDialer(t *testing.T) {
	t.Parallel()
	cert, pem := imaptest.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	for scheme, d := range map[string]*pop3test.Maildrop{"pop3s": {TLS: cert}, "pop3": {TLS: cert, STLS: true}, "pop3+insecure": {}} {
		d.Password = "secret"
		address := scheme + "://alice@" + pop3test.Start(t, d).Addr
		if scheme != "pop3+insecure" {
			address += "?ca=" + ca
		}
		a, err := Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int64
		dialer, err := NewPOP3Dialer(a, asked(&n, "wrong", "secret"), pop3conn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dialer.Dial(t.Context(), false); !errors.Is(err, pop3conn.ErrLogin) {
			t.Errorf("%s: wrong password: %v", address, err)
		}
		for range 2 {
			c, err := dialer.Dial(t.Context(), true)
			if err != nil {
				t.Fatalf("%s: %v", address, err)
			}
			c.Close()
		}
		if n.Load() != 2 {
			t.Errorf("%s: asked %d times", address, n.Load())
		}
	}
}
