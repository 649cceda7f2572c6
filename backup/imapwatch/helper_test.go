package imapwatch

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// A bed is a scripted server in virtual time, and what it saw.
type bed struct {
	t      *testing.T
	script imaptest.Script
	refuse error               // of every connection from now on
	idling chan *imaptest.Conn // that began IDLE, or ended another command that watches
	calls  chan time.Duration  // when changed was called
	start  time.Time

	mu       sync.Mutex // guards what follows
	commands []string
	dialed   []time.Duration
	open     int
	most     int // connections at once
}

// virtual runs f with a server that has these capabilities.
func virtual(t *testing.T, caps string, f func(b *bed)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bed{t: t, idling: make(chan *imaptest.Conn, 1000), calls: make(chan time.Duration, 1000), start: time.Now()}
		b.script = imaptest.Script{Caps: "IMAP4rev1 " + caps, Handle: map[string]imaptest.Handler{}}
		b.on("IDLE", b.idle)
		for _, name := range []string{"SELECT", "EXAMINE"} {
			b.on(name, imaptest.Answer("* 10 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 11] ok\r\n* FLAGS (\\Seen)\r\n%T OK [READ-ONLY] done\r\n"))
		}
		for _, name := range []string{"NOTIFY", "NOOP"} {
			b.on(name, func(c *imaptest.Conn, cmd imaptest.Command) { c.OK(cmd); b.idling <- c })
		}
		f(b)
	})
}

// on sets a handler, and has its commands noted.
func (b *bed) on(name string, h imaptest.Handler) {
	b.script.Handle[name] = func(c *imaptest.Conn, cmd imaptest.Command) {
		b.mu.Lock()
		b.commands = append(b.commands, strings.TrimSpace(cmd.Name+" "+cmd.Args))
		b.mu.Unlock()
		h(c, cmd)
	}
}

// idle idles until it is told to stop.
func (b *bed) idle(c *imaptest.Conn, cmd imaptest.Command) {
	c.Say("+ idling\r\n")
	b.idling <- c
	if line, err := c.Line(); err == nil && line == "DONE" {
		c.OK(cmd)
	}
}

// sent counts the commands that begin with a text.
func (b *bed) sent(prefix string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.commands {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// dials is when connections were made.
func (b *bed) dials() []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.dialed)
}

// counted counts a connection while it is open.
type counted struct {
	net.Conn
	once  sync.Once
	close func()
}

func (c *counted) Close() error { c.once.Do(c.close); return c.Conn.Close() }

func (b *bed) dial(ctx context.Context, news func(imapconn.News)) (*imapconn.Conn, error) {
	o := imapconn.Options{Address: "pipe:143", Security: imapconn.Insecure, User: "alice", Password: "secret", News: news}
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.dialed = append(b.dialed, time.Since(b.start))
		if b.refuse != nil {
			return nil, b.refuse
		}
		b.open++
		b.most = max(b.most, b.open)
		return &counted{Conn: imaptest.Pipe(b.script), close: func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.open--
		}}, nil
	}
	return imapconn.Dial(ctx, o)
}

var errEnough = errors.New("enough")

// watch watches while during runs, and then stops.
func (b *bed) watch(o Options, during func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancelCause(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Watch(ctx, b.dial, o, func() { b.calls <- time.Since(b.start) }) }()
	during()
	cancel(errEnough)
	if err := <-ended; err != errEnough {
		b.t.Errorf("the watch ended with %v", err)
	}
	if b.sent("SELECT") > 0 {
		b.t.Errorf("a folder was opened to be written to: %q", b.commands)
	}
	time.Sleep(time.Hour) // for whatever is still at work
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open != 0 {
		b.t.Errorf("%d connections are open", b.open)
	}
}

// called checks when changed was called since it was last asked.
func (b *bed) called(want ...time.Duration) {
	b.t.Helper()
	synctest.Wait()
	var got []time.Duration
	for len(b.calls) > 0 {
		got = append(got, <-b.calls)
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("called at %v, want %v", got, want)
	}
}

// steady pauses for as long as the first try does, without chance.
func steady(ctx context.Context, i int, _ error) error {
	time.Sleep(time.Second << i)
	return context.Cause(ctx)
}
