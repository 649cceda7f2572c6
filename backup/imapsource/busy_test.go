package imapsource

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// busyAnswers are what servers say that want fewer connections, or patience.
var busyAnswers = []string{
	"NO [LIMIT] Too many connections",
	"NO [UNAVAILABLE] Temporary authentication failure",
	"NO [INUSE] mailbox in use",
	"NO [THROTTLED] slow down",
	"NO [ALERT] Too many simultaneous connections. (Failure)",
	"NO Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
	"NO [OVERQUOTA] Account exceeded command or bandwidth limits.",
	"NO Server Busy. Please try again later.",
}

// A server that is busy at every step for some time is waited for.
func TestBusyServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"LOGIN", "NAMESPACE", "LIST", "LSUB", "STATUS", "EXAMINE", "UID SEARCH", "UID FETCH"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			for _, answer := range busyAnswers {
				for _, bye := range []bool{false, true} {
					c := newChain(t, "NAMESPACE CONDSTORE")
					c.fill()
					var refused atomic.Int32
					script := c.with(command, func(own imaptest.Handler) imaptest.Handler {
						return func(conn *imaptest.Conn, cmd imaptest.Command) {
							switch n := refused.Add(1); {
							case n > 4 && own == nil:
								conn.OK(cmd)
							case n > 4:
								own(conn, cmd)
							case bye:
								conn.Say("* BYE %s\r\n", strings.TrimPrefix(answer, "NO "))
								conn.Close()
							default:
								conn.Say("%s %s\r\n", cmd.Tag, answer)
							}
						}
					})
					c.whole(command+": "+answer, script)
					if c.pauses == 0 && command != "STATUS" {
						t.Errorf("%s: there was no pause", answer)
					}
				}
			}
		})
	}
}

// A server that allows one connection gets one.
func TestServerThatAllowsOneConnection(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	for i := range 2000 {
		c.account.Add("INBOX", letter(i), ``)
	}
	c.fill()
	var open, most atomic.Int32
	script := c.account.Script()
	script.Handle["LOGIN"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
		if open.Add(1) > 1 {
			open.Add(-1)
			conn.Say("%s NO [LIMIT] one is enough\r\n", cmd.Tag)
			conn.Close()
			return
		}
		most.Store(max(most.Load(), open.Load()))
		conn.Say("%s OK [CAPABILITY %s] welcome\r\n", cmd.Tag, script.Caps)
	}
	script.Handle["LOGOUT"] = func(conn *imaptest.Conn, cmd imaptest.Command) {
		open.Add(-1)
		conn.Say("* BYE goodbye\r\n%s OK done\r\n", cmd.Tag)
		conn.Close()
	}
	c.source = func(o *Options) { o.Parallel = 4 }
	c.whole("first", &script)
	if n := most.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A server that stays busy ends the run, and is said to be.
func TestServerThatStaysBusyEndsTheRun(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"LOGIN", "LIST"} {
		c := newChain(t, everything)
		c.fill()
		_, err := c.backup(c.refused(command, "%T NO [LIMIT] not now\r\n", func(imaptest.Command) bool { return true }))
		if !errors.Is(err, backup.ErrBusy) || !strings.Contains(err.Error(), "[LIMIT] not now") {
			t.Errorf("%s: %v", command, err)
		}
		if n := c.sent()[command]; n < 5 || n > 20 || c.pauses != n-1 {
			t.Errorf("%s was sent %d times, with %d pauses", command, n, c.pauses)
		}
	}
}

// A password that is refused is not tried again.
func TestLoginThatIsRefusedIsTriedOnce(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	_, err := c.backup(c.refused("LOGIN", "%T NO [AUTHENTICATIONFAILED] no\r\n", func(imaptest.Command) bool { return true }))
	if !errors.Is(err, imapconn.ErrLogin) || !errors.Is(err, backup.ErrAccess) || c.sent()["LOGIN"] != 1 || c.pauses != 0 {
		t.Errorf("%v after %v", err, c.sent())
	}
}
