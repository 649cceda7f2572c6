package imapwatch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

func TestIdle(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		b.watch(Options{}, func() {
			c := <-b.idling
			time.Sleep(time.Minute)
			b.called(5 * time.Second) // nobody knows what was before
			for i, news := range []string{"* 11 EXISTS", "* 3 EXPUNGE", "* 2 FETCH (FLAGS (\\Seen))", "* VANISHED 4"} {
				c.Say("%s\r\n", news)
				time.Sleep(time.Minute)
				b.called(time.Duration(i+1)*time.Minute + 5*time.Second)
			}
			for _, nothing := range []string{"* OK Still here", "* 11 RECENT", "* FOO", "* BAD eh", ""} {
				c.Say("%s\r\n", nothing)
			}
			time.Sleep(time.Minute)
			b.called()
			// It has to prove that it is there, and nothing is lost over it.
			time.Sleep(4 * time.Minute)
			if n := b.sent("IDLE"); n != 2 {
				t.Errorf("%d IDLEs after ten minutes", n)
			}
			c = <-b.idling
			c.Say("* 12 EXISTS\r\n")
			time.Sleep(time.Minute)
			b.called(10*time.Minute + 5*time.Second)
		})
		if len(b.dials()) != 1 || b.sent("EXAMINE") != 1 {
			t.Errorf("%d connections, %q", len(b.dials()), b.commands)
		}
	})
}

func TestRenewsInTime(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		b.watch(Options{Renew: 24 * time.Hour}, func() { time.Sleep(29 * time.Minute) })
		if n := b.sent("IDLE"); n != 2 {
			t.Errorf("%d IDLEs in 29 minutes", n)
		}
	})
}

func TestAFloodIsFewCalls(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		b.watch(Options{Renew: mostRenew}, func() {
			c := <-b.idling
			for i := range 4 * 60 * 100 {
				c.Say("* %d EXISTS\r\n", i+11)
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := len(b.calls); n != 4 && n != 5 { // one a minute
				t.Errorf("%d calls in four minutes", n)
			}
			for len(b.calls) > 0 {
				if last := <-b.calls; len(b.calls) == 0 && last < 4*time.Minute {
					t.Errorf("the last call was at %v, before the end", last)
				}
			}
		})
	})
}

func TestByeDuringIdle(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		b.watch(Options{Pause: steady}, func() {
			for range 4 {
				c := <-b.idling
				c.Say("* BYE shutting down\r\n")
				c.Conn.Close()
			}
			<-b.idling
			time.Sleep(time.Minute)
			// 1, 2, 4 and 8 s, and what happened meanwhile is not known.
			if want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}; !slices.Equal(b.dials(), want) {
				t.Errorf("connected at %v", b.dials())
			}
			b.called(12*time.Second, 20*time.Second)
		})
	})
}

// A BYE after which the server keeps the connection is found out at the latest
// when it has to answer.
func TestByeWithoutAnEnd(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		b.on("IDLE", func(c *imaptest.Conn, _ imaptest.Command) { c.Say("+ idling\r\n* BYE\r\n"); c.Line(); c.Line() })
		b.watch(Options{Pause: steady}, func() { time.Sleep(time.Hour) })
		if n := len(b.dials()); n < 4 || n > 6 {
			t.Errorf("connected at %v", b.dials())
		}
	})
}

func TestSilentDeath(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		var answered atomic.Int32
		b.on("IDLE", func(c *imaptest.Conn, cmd imaptest.Command) {
			c.Say("+ idling\r\n")
			c.Line()
			if answered.Add(1) > 1 {
				c.OK(cmd)
			} // the first one never answers
		})
		b.watch(Options{Pause: steady}, func() { time.Sleep(15 * time.Minute) })
		if want := []time.Duration{0, 10*time.Minute + time.Second}; !slices.Equal(b.dials(), want) {
			t.Errorf("connected at %v", b.dials())
		}
		b.called(5*time.Second, 10*time.Minute+6*time.Second)
	})
}

func TestWithoutIdle(t *testing.T) {
	virtual(t, "", func(b *bed) {
		if err := Watch(b.t.Context(), b.dial, Options{}, func() {}); !errors.Is(err, ErrCannot) {
			t.Errorf("%v", err)
		}
		if len(b.dials()) != 1 {
			t.Errorf("connected at %v", b.dials())
		}
	})
}

func TestIdleIsRefused(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		b.on("IDLE", imaptest.Answer("%T NO not now\r\n"))
		b.watch(Options{}, func() { time.Sleep(time.Hour) })
		if n := len(b.dials()); n < 10 || n > 25 {
			t.Errorf("%d connections in an hour", n)
		}
		b.called() // it never stood
	})
}

func TestAWrongPasswordIsNotTriedAgain(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		b.on("LOGIN", imaptest.Answer("%T NO [AUTHENTICATIONFAILED] no\r\n"))
		if err := Watch(b.t.Context(), b.dial, Options{}, func() {}); !errors.Is(err, imapconn.ErrLogin) {
			t.Errorf("%v", err)
		}
		if b.sent("LOGIN") != 1 {
			t.Errorf("%q", b.commands)
		}
	})
}

func TestAServerThatIsNotThere(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		b.refuse = errors.New("connection refused")
		b.watch(Options{}, func() {
			time.Sleep(time.Hour)
			if n := len(b.dials()); n < 10 || n > 25 {
				t.Errorf("%d tries in an hour", n)
			}
			b.mu.Lock()
			b.refuse = nil
			b.mu.Unlock()
			<-b.idling
		})
	})
}

func TestABusyServerIsGivenTime(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		b.script.Greeting = "* BYE [UNAVAILABLE] too many connections"
		b.watch(Options{}, func() { time.Sleep(9 * time.Minute) })
		dials := b.dials()
		for i := range dials[1:] {
			if dials[i+1]-dials[i] < time.Minute {
				t.Errorf("connected at %v", b.dials())
			}
		}
		if len(b.dials()) < 2 {
			t.Errorf("connected at %v", b.dials())
		}
	})
}

func TestNotify(t *testing.T) {
	for _, caps := range []string{"NOTIFY IDLE", "NOTIFY"} {
		t.Run(caps, func(t *testing.T) {
			virtual(t, caps, func(b *bed) {
				b.watch(Options{Folders: []string{"Lists/go"}, Connections: 5}, func() {
					c := <-b.idling
					time.Sleep(time.Minute)
					b.called(5 * time.Second)
					for i, news := range []string{
						`* STATUS "Lists/go" (MESSAGES 5 UIDNEXT 77 UIDVALIDITY 3 HIGHESTMODSEQ 12)`,
						`* STATUS Odd (MESSAGES 5 FOO (1 2))`,
						`* LIST () "/" "Lists/new"`,
						`* LIST (\NonExistent) "/" "Lists/new" ("OLDNAME" ("Lists/old"))`,
					} {
						c.Say("%s\r\n", news)
						time.Sleep(time.Minute)
						b.called(time.Duration(i+1)*time.Minute + 5*time.Second)
					}
					time.Sleep(30 * time.Minute)
					b.called()
				})
				if n := b.sent("NOTIFY SET (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))"); n != 1 || b.sent("NOTIFY") != 1 {
					t.Errorf("%q", b.commands)
				}
				if b.sent("EXAMINE") > 0 || b.most != 1 || len(b.dials()) != 1 {
					t.Errorf("%d connections, at %v: %q", b.most, b.dials(), b.commands)
				}
				if b.sent("IDLE")+b.sent("NOOP") < 3 {
					t.Errorf("the server need not prove in half an hour that it is there: %q", b.commands)
				}
			})
		})
	}
}

func TestNotifyOverflow(t *testing.T) {
	virtual(t, "NOTIFY IDLE", func(b *bed) {
		b.watch(Options{Pause: steady}, func() {
			<-b.idling // NOTIFY
			(<-b.idling).Say("* OK [NOTIFICATIONOVERFLOW] too much\r\n")
			time.Sleep(time.Minute)
			b.called(6 * time.Second)
		})
		if b.sent("NOTIFY") != 2 {
			t.Errorf("%q", b.commands)
		}
	})
}

func TestNotifyIsRefused(t *testing.T) {
	for _, c := range []struct {
		refused  string // what a NOTIFY that is refused has in it
		notifies int
		examined int
	}{{"MailboxName", 2, 0}, {"FlagChange", 3, 0}, {"MessageNew", 3, 1}} {
		t.Run(c.refused, func(t *testing.T) {
			virtual(t, "NOTIFY IDLE", func(b *bed) {
				own := b.script.Handle["NOTIFY"]
				b.script.Handle["NOTIFY"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
					if strings.Contains(cmd.Args, c.refused) {
						b.mu.Lock()
						b.commands = append(b.commands, "NOTIFY")
						b.mu.Unlock()
						conn.Say("%s NO [BADEVENT (MessageNew MessageExpunge)] not that\r\n", cmd.Tag)
						return
					}
					own(conn, cmd)
				}
				b.watch(Options{}, func() {
					time.Sleep(time.Minute)
					b.called(5 * time.Second)
				})
				if b.sent("NOTIFY") != c.notifies || b.sent("EXAMINE") != c.examined || len(b.dials()) != 1 {
					t.Errorf("%d connections: %q", len(b.dials()), b.commands)
				}
			})
		})
	}
}

func TestConnectionLimit(t *testing.T) {
	virtual(t, "IDLE NAMESPACE", func(b *bed) {
		b.on("NAMESPACE", imaptest.Answer("* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\r\n%T OK done\r\n"))
		held := 0
		hold := func(context.Context) (func(), error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			held++
			return func() { b.mu.Lock(); held--; b.mu.Unlock() }, nil
		}
		b.watch(Options{Folders: []string{"INBOX", "Lists/go", "Sent", "Trash"}, Connections: 3, Hold: hold}, func() {
			time.Sleep(time.Minute)
			b.called(5 * time.Second)
			for range 3 {
				c := <-b.idling
				c.Say("* 11 EXISTS\r\n")
			}
			time.Sleep(time.Minute)
			b.called(time.Minute + 5*time.Second)
			b.mu.Lock()
			defer b.mu.Unlock()
			if held != 3 {
				t.Errorf("%d places are held", held)
			}
		})
		if b.most != 3 || b.sent("EXAMINE") != 3 || b.sent(`EXAMINE "INBOX.Lists.go"`) != 1 || b.sent(`EXAMINE "INBOX.Sent"`) != 1 {
			t.Errorf("%d connections: %q", b.most, b.commands)
		}
		if held != 0 {
			t.Errorf("%d places are still held", held)
		}
	})
}

func TestWhatIsHeardDuringACallMakesAnother(t *testing.T) {
	virtual(t, "IDLE", func(b *bed) {
		ctx, cancel := context.WithCancel(b.t.Context())
		ended := make(chan error, 1)
		calls := 0
		go func() {
			ended <- Watch(ctx, b.dial, Options{}, func() { calls++; time.Sleep(time.Minute) })
		}()
		c := <-b.idling
		time.Sleep(30 * time.Second) // in the midst of the first call
		c.Say("* 11 EXISTS\r\n")
		time.Sleep(5 * time.Minute)
		cancel()
		<-ended
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
}
