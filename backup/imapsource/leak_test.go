package imapsource

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
)

var errStop = errors.New("somebody pressed Ctrl-C")

// stop ends a backup at the n-th command of a kind, before it is answered or in
// the middle of the answer, and returns how it ended.
func (c *chain) stop(command string, n int, midway bool) error {
	c.t.Helper()
	ctx, cancel := context.WithCancelCause(c.t.Context())
	defer cancel(nil)
	var seen atomic.Int32
	script := c.with(command, func(own imaptest.Handler) imaptest.Handler {
		return func(conn *imaptest.Conn, cmd imaptest.Command) {
			switch i := seen.Add(1); {
			case int(i) < n:
				own(conn, cmd)
				return
			case midway:
				imaptest.Rewrite(own, func(_ imaptest.Command, answer string) string { return answer[:len(answer)*2/3] })(conn, cmd)
			}
			cancel(errStop)
			conn.Line() // until the client hangs up
		}
	})
	server := imaptest.Start(c.t, *script)
	defer server.Close()
	_, err := c.fromContext(ctx, server.Addr)
	return err
}

// A run that is cancelled returns at once and says why; nothing of it is left
// running, and the next run goes on.
func TestCancelledRunLeavesNothingBehind(t *testing.T) {
	commands := []string{"NAMESPACE", "LIST", "EXAMINE", "UID SEARCH", "UID FETCH"}
	c := newChain(t, everything)
	c.fill()
	before := runtime.NumGoroutine()
	for _, command := range commands {
		for _, midway := range []bool{false, true} {
			for n := range 2 {
				if n > 0 && (command == "NAMESPACE" || command == "LIST") {
					continue // is sent once
				}
				c.account.Add("INBOX", letter(runtime.NumGoroutine()), ``)
				c.account.Add("Sent", letter(1), ``)
				if err := c.stop(command, 1+n, midway); !errors.Is(err, errStop) {
					t.Errorf("%s %d, midway %v: %v", command, 1+n, midway, err)
				}
			}
		}
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, then %d:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
	c.whole("in the end", nil)
}

// Nor does one that goes well, or ends with an error.
func TestFinishedRunLeavesNothingBehind(t *testing.T) {
	c := newChain(t, everything)
	c.fill()
	before := runtime.NumGoroutine()
	c.whole("first", nil)
	c.account.Add("INBOX", letter(1), ``)
	if _, err := c.backup(c.refused("LIST", "%T NO no\r\n", func(imaptest.Command) bool { return true })); err == nil {
		t.Error("a list that is refused is no error")
	}
	c.incomplete("third", c.refused("UID FETCH", "%T NO no\r\n", func(cmd imaptest.Command) bool { return wantsBody(cmd, 13) }), "INBOX/1000/13")
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, then %d:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
	}
}
