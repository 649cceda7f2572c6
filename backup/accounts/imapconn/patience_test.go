package imapconn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/backup/accounts/imapconn/imaptest"
)

type handlers = map[string]func(*imaptest.Conn, imaptest.Command)

// virtual runs f with a connection to a scripted server, in virtual time.
func virtual(t *testing.T, script imaptest.Script, change func(*Options), f func(t *testing.T, c *Conn)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := Options{Address: "pipe:143", Security: Insecure, User: "alice", Password: "secret",
			Dial: func(context.Context, string, string) (net.Conn, error) { return imaptest.Pipe(script), nil }}
		if change != nil {
			change(&o)
		}
		c, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		f(t, c)
		c.Close()
		<-c.Closed()
		time.Sleep(time.Hour) // for handlers that sleep
	})
}

func TestSilentServer(t *testing.T) {
	virtual(t, imaptest.Script{Handle: handlers{"NOOP": func(*imaptest.Conn, imaptest.Command) {}}}, nil, func(t *testing.T, c *Conn) {
		time.Sleep(24 * time.Hour) // nothing is due, so nobody is impatient
		start := time.Now()
		one, two := c.Noop(), c.Noop()
		err := c.Explain(one.Wait())
		if !errors.Is(err, ErrTimeout) || time.Since(start) != 100*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if two.Wait() == nil || c.Noop().Wait() == nil {
			t.Error("another command succeeds")
		}
	})
}

func TestServerSilentInABody(t *testing.T) {
	virtual(t, imaptest.Script{Handle: handlers{"UID FETCH": imaptest.Answer("* 1 FETCH (UID 1 BODY[] {100}\r\nhello")}}, nil, func(t *testing.T, c *Conn) {
		start := time.Now()
		got, err := fetched(c, uids(1, 5), true)
		if !strings.HasPrefix(got, `uid=1 body[]="hello"!`) || !errors.Is(c.Explain(err), ErrTimeout) || time.Since(start) != 100*time.Second {
			t.Errorf("%s, %v after %v", got, c.Explain(err), time.Since(start))
		}
	})
}

// A consumer may take its time, as with a busy object store. go-imap itself
// would give up after five minutes.
func TestSlowConsumer(t *testing.T) {
	body := strings.Repeat("x", 300_000)
	script := imaptest.Script{Handle: handlers{"UID FETCH": imaptest.Answer("* 1 FETCH (UID 1 BODY[] {300000}\r\n" + body + ")\r\n* 2 FETCH (UID 2 BODY[] {300000}\r\n" + body + ")\r\n%T OK\r\n")}}
	virtual(t, script, nil, func(t *testing.T, c *Conn) {
		cmd := c.Fetch(uids(1, 2), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{}}})
		var octets int64
		for m := cmd.Next(); m != nil; m = cmd.Next() {
			for item := m.Next(); item != nil; item = m.Next() {
				if b, ok := item.(imapclient.FetchItemDataBodySection); ok {
					for {
						time.Sleep(7 * time.Minute)
						n, err := io.CopyN(io.Discard, b.Literal, 50_000)
						if octets += n; err != nil {
							break
						}
					}
				}
			}
		}
		if err := cmd.Close(); err != nil || octets != 600_000 {
			t.Errorf("%d octets, %v", octets, c.Explain(err))
		}
	})
}

// The same for LIST: the time that nobody reads is not the server's.
func TestSlowConsumerOfFolders(t *testing.T) {
	virtual(t, imaptest.Script{Handle: handlers{"LIST": func(c *imaptest.Conn, cmd imaptest.Command) {
		for i := range 500 {
			c.Say("* LIST () \"/\" folder%d\r\n* OK still here\r\n", i)
		}
		c.OK(cmd)
	}}}, nil, func(t *testing.T, c *Conn) {
		cmd := c.List("", "*", nil)
		n := 0
		for d := cmd.Next(); d != nil; d = cmd.Next() {
			if n++; n%100 == 0 {
				time.Sleep(time.Hour)
			}
		}
		if err := cmd.Close(); err != nil || n != 500 {
			t.Errorf("%d folders, %v", n, c.Explain(err))
		}
	})
}

// A server that drips stays within every deadline that starts again with each
// octet, so there is a least rate as well.
func TestDrippingServer(t *testing.T) {
	for _, test := range []struct {
		name, begin string
		rate        int
		want        error
	}{
		{"in a body", "* 1 FETCH (UID 1 BODY[] {500}\r\n", 0, ErrTimeout},
		{"in a line", "* OK ", 0, ErrTimeout},
		{"allowed", "* 1 FETCH (UID 1 BODY[] {500}\r\n", -1, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			script := imaptest.Script{Handle: handlers{"UID FETCH": func(c *imaptest.Conn, cmd imaptest.Command) {
				c.Say("%s", test.begin)
				for range 500 {
					time.Sleep(2 * time.Second)
					if _, err := c.Write([]byte("x")); err != nil {
						return
					}
				}
				c.Say(")\r\n")
				c.OK(cmd)
			}}}
			virtual(t, script, func(o *Options) { o.MinRate = test.rate }, func(t *testing.T, c *Conn) {
				start := time.Now()
				_, err := fetched(c, uids(1, 5), true)
				if err = c.Explain(err); !errors.Is(err, test.want) || err != nil && time.Since(start) > 6*time.Minute {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// A server that says "still here" for ever does not answer either.
func TestLivelyServer(t *testing.T) {
	chatter := func(c *imaptest.Conn, cmd imaptest.Command) {
		for range 200 {
			time.Sleep(time.Minute)
			if _, err := c.Write([]byte("* OK still here\r\n")); err != nil {
				return
			}
		}
		c.OK(cmd)
	}
	for name, wait := range map[string]func(c *Conn) error{
		"NOOP":  func(c *Conn) error { return c.Noop().Wait() },
		"FETCH": func(c *Conn) error { _, err := fetched(c, uids(1, 5), true); return err },
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, imaptest.Script{Handle: handlers{"NOOP": chatter, "UID FETCH": chatter}}, nil, func(t *testing.T, c *Conn) {
				start := time.Now()
				err := c.Explain(wait(c))
				if took := time.Since(start); !errors.Is(err, ErrTimeout) || took < 30*time.Minute || took > 31*time.Minute {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// As long as mail comes, a command may take as long as it likes.
func TestLongFetch(t *testing.T) {
	script := imaptest.Script{Handle: handlers{"UID FETCH": func(c *imaptest.Conn, cmd imaptest.Command) {
		for i := 1; i <= 60; i++ {
			c.Say("* %d FETCH (UID %d BODY[] {50000}\r\n", i, i)
			for range 50 {
				time.Sleep(4 * time.Second)
				c.Say("%s", strings.Repeat("x", 1000))
			}
			c.Say(")\r\n* OK still here\r\n")
		}
		c.OK(cmd)
	}}}
	virtual(t, script, nil, func(t *testing.T, c *Conn) {
		start := time.Now()
		got, err := fetched(c, uids(1, 0), true)
		if err != nil || strings.Count(got, "uid=") != 60 || time.Since(start) < 3*time.Hour {
			t.Errorf("%v after %v", c.Explain(err), time.Since(start))
		}
	})
}

// IDLE may be quiet for half an hour.
func TestQuietIdle(t *testing.T) {
	virtual(t, imaptest.Script{Caps: "IMAP4rev1 IDLE"}, nil, func(t *testing.T, c *Conn) {
		idle, err := c.Idle()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if err := idle.Close(); err != nil {
			t.Fatal(c.Explain(err))
		}
		if err := idle.Wait(); err != nil {
			t.Error(c.Explain(err))
		}
		if err := c.Noop().Wait(); err != nil {
			t.Error(c.Explain(err))
		}
	})
}

func TestServerThatReadsNothing(t *testing.T) {
	stop := imaptest.Script{Caps: "IMAP4rev1 LITERAL+", Handle: handlers{"NOOP": func(c *imaptest.Conn, cmd imaptest.Command) {
		c.OK(cmd)
		time.Sleep(time.Hour)
	}}}
	virtual(t, stop, nil, func(t *testing.T, c *Conn) {
		if err := c.Noop().Wait(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err := add(c, "INBOX", bytes.Repeat([]byte("x"), 1<<20))
		if err = c.Explain(err); !errors.Is(err, ErrTimeout) || time.Since(start) != 100*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A slow upload is progress, and while we are the slow ones the server owes
// us nothing.
func TestSlowUpload(t *testing.T) {
	for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 LITERAL+"} {
		t.Run(caps, func(t *testing.T) {
			virtual(t, imaptest.Script{Caps: caps}, nil, func(t *testing.T, c *Conn) {
				cmd, err := c.Append("INBOX", 10*50_000, nil)
				if err != nil {
					t.Fatal(err)
				}
				for range 10 {
					time.Sleep(10 * time.Minute)
					if _, err := cmd.Write(make([]byte, 50_000)); err != nil {
						t.Fatal(c.Explain(err))
					}
				}
				if err := cmd.Close(); err != nil {
					t.Fatal(c.Explain(err))
				}
				if _, err := cmd.Wait(); err != nil {
					t.Error(c.Explain(err))
				}
			})
		})
	}
}

// The end of a context interrupts whatever waits.
func TestBind(t *testing.T) {
	silent := func(*imaptest.Conn, imaptest.Command) {}
	reason := errors.New("the user has gone home")
	for name, wait := range map[string]func(c *Conn) error{
		"a command": func(c *Conn) error { return c.Noop().Wait() },
		"a body": func(c *Conn) error {
			_, err := fetched(c, uids(1, 5), true)
			return err
		},
		"leave to send": func(c *Conn) error { return add(c, "INBOX", []byte("hello")) },
		"leave to name a folder": func(c *Conn) error {
			return c.Subscribe(AliasName([]byte("\xe9"))).Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			script := imaptest.Script{Literal: func(c *imaptest.Conn, _ imaptest.Command, _ int64) bool {
				c.Line()
				return false
			}, Handle: handlers{"NOOP": silent, "UID FETCH": imaptest.Answer("* 1 FETCH (UID 1 BODY[] {100}\r\nhello")}}
			virtual(t, script, nil, func(t *testing.T, c *Conn) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer c.Bind(ctx)()
				time.AfterFunc(time.Second, func() { cancel(reason) })
				start := time.Now()
				err := c.Explain(wait(c))
				if !errors.Is(err, reason) || time.Since(start) != time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
	t.Run("undone", func(t *testing.T) {
		virtual(t, imaptest.Script{}, nil, func(t *testing.T, c *Conn) {
			ctx, cancel := context.WithCancel(t.Context())
			c.Bind(ctx)()
			cancel()
			time.Sleep(time.Second)
			if err := c.Noop().Wait(); err != nil {
				t.Error(c.Explain(err))
			}
		})
	})
}

func TestLogout(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		virtual(t, imaptest.Script{}, nil, func(t *testing.T, c *Conn) {
			if err := c.Logout(t.Context()); err != nil || c.Err() == nil {
				t.Error(err, c.Err())
			}
		})
	})
	t.Run("unanswered", func(t *testing.T) {
		virtual(t, imaptest.Script{Handle: handlers{"LOGOUT": func(*imaptest.Conn, imaptest.Command) {}}}, nil, func(t *testing.T, c *Conn) {
			start := time.Now()
			if err := c.Logout(t.Context()); !errors.Is(err, ErrTimeout) || time.Since(start) != 10*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
	})
}

// Whatever a server hangs up on, every command under way gets an error.
func TestHangUpReachesEveryCommand(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Handle: handlers{
		"NOOP": func(*imaptest.Conn, imaptest.Command) {}, "LIST": func(*imaptest.Conn, imaptest.Command) {}, "UID FETCH": func(*imaptest.Conn, imaptest.Command) {},
		"STATUS": func(c *imaptest.Conn, _ imaptest.Command) { c.Say("* BYE go away\r\n"); c.Close() },
	}})
	c := dial(t, s, nil)
	noop, list, fetch := c.Noop(), c.List("", "*", nil), c.Fetch(uids(1, 5), nil)
	status := c.Status("INBOX", statusItems)
	for name, wait := range map[string]func() error{
		"NOOP": noop.Wait, "LIST": list.Close, "FETCH": fetch.Close,
		"STATUS": func() error { _, err := status.Wait(); return err },
		"IDLE":   func() error { _, err := c.Idle(); return err },
		"APPEND": func() error { return add(c, "INBOX", []byte("x")) },
	} {
		if err := soon(t, name, wait); err == nil || !strings.Contains(c.Explain(err).Error(), "go away") {
			t.Errorf("%s: %v", name, c.Explain(err))
		}
	}
}

// No goroutine outlives its connection, however that ends.
func TestNothingIsLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		s := imaptest.Start(t, imaptest.Script{Handle: handlers{
			"UID FETCH": imaptest.Answer("* 1 FETCH (UID 1 BODY[] {100}\r\nhello"),
			"NOOP":      func(c *imaptest.Conn, _ imaptest.Command) { c.Close() },
		}})
		closed := dial(t, s, nil)
		closed.Close()
		cut := dial(t, s, nil)
		cut.Noop().Wait()
		bodies := dial(t, s, nil)
		time.AfterFunc(10*time.Millisecond, func() { bodies.Close() })
		fetched(bodies, uids(1, 5), true)
		dial(t, s, nil).Logout(background())
		if _, err := Dial(t.Context(), Options{Address: s.Addr, Security: TLS, User: "x"}); err == nil {
			t.Error("TLS with a server in clear text")
		}
		s.Close()
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before+1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, then %d:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
}

// A body whose UID comes behind it goes to a file without a name beyond a
// MiB, and the file is gone when the body has been read.
func TestSpool(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	body := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
	dir := t.TempDir()
	s := imaptest.Start(t, imaptest.Script{Handle: handlers{"UID FETCH": func(c *imaptest.Conn, cmd imaptest.Command) {
		c.Say("* 1 FETCH (BODY[HEADER] {2}\r\nA: BODY[] {%d}\r\n%s UID 1)\r\n", size, body)
		c.Say("* 2 FETCH (BODY[] {%d}\r\n%s)\r\n", size, body) // no UID at all
		c.Say("* 3 FETCH (BODY[] {%d}\r\n%s UID 3)\r\n", size, body)
		c.OK(cmd)
	}}})
	c := dial(t, s, func(o *Options) { o.TempDir = dir })
	cmd := c.Fetch(uids(1, 5), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{}}})
	var got atomic.Int64
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		for item := m.Next(); item != nil; item = m.Next() {
			if b, ok := item.(imapclient.FetchItemDataBodySection); ok {
				all, err := io.ReadAll(b.Literal)
				if err != nil || b.Section.Specifier == imap.PartSpecifierNone && !bytes.Equal(all, body) {
					t.Errorf("%d octets, %v", len(all), err)
				}
				got.Add(int64(len(all)))
			}
		}
	}
	if err := cmd.Close(); err != nil || got.Load() != 2*size+2 {
		t.Errorf("%d octets, %v", got.Load(), c.Explain(err))
	}
	alive(t, c)
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("in the directory: %v, %v", names, err)
	}
	t.Run("without a name", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("open files keep their names here")
		}
		dir := t.TempDir()
		s := newSpool(dir, 10)
		defer s.Close()
		for _, text := range []string{"first", "second, too large for memory", "", "last"} {
			if err := s.add(text, strings.NewReader(text), int64(len(text))); err != nil {
				t.Fatal(err)
			}
		}
		if names, err := os.ReadDir(dir); err != nil || s.file == nil || len(names) > 0 {
			t.Errorf("in the directory: %v, %v", names, err)
		}
		for b, ok := s.take(); ok; b, ok = s.take() {
			if all, err := io.ReadAll(b); err != nil || string(all) != b.section {
				t.Errorf("%q: %q, %v", b.section, all, err)
			}
		}
	})
	t.Run("nowhere to spool to", func(t *testing.T) {
		c := dial(t, s, func(o *Options) { o.TempDir = dir + "/missing" })
		_, err := fetched(c, uids(1, 5), true)
		if !errors.Is(c.Explain(err), os.ErrNotExist) {
			t.Error(c.Explain(err))
		}
	})
	t.Run("larger than any message", func(t *testing.T) {
		s := imaptest.Start(t, imaptest.Script{Handle: handlers{"UID FETCH": imaptest.Answer("* 1 FETCH (BODY[] {9223372036854775807}\r\nx")}})
		c := dial(t, s, nil)
		_, err := fetched(c, uids(1, 5), true)
		if !errors.Is(c.Explain(err), ErrProtocol) {
			t.Error(c.Explain(err))
		}
	})
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	c := dial(t, imaptest.Start(t, imaptest.Script{}), nil)
	in, out := c.Traffic()
	alive(t, c)
	in2, out2 := c.Traffic()
	if in2-in != int64(len("T1 OK done\r\n")) || out2-out != int64(len("T1 NOOP\r\n")) {
		t.Errorf("%d in, %d out", in2-in, out2-out)
	}
}
