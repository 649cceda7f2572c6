package imapwatch

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
	"restante/backup/accounts/peer"
	"restante/cmd/testbed/memory"
)

// Servers that mean harm to who watches, or are broken beyond all that is known
// of real ones. None of them makes a watch spin, start backups by the hundred,
// leak or choke: [TestHostileServers] has each watched for an hour, by the clock
// of its bubble. Then it is well, and must be heard again.

// A hostile is such a server, and what must come of it.
type hostile struct {
	name   string // what the server does
	caps   string // besides IMAP4rev1; empty: IDLE
	conn   func(*imapconn.Options)
	server rogue.Change
	// raw speaks in its place, from the first octet on.
	raw func(net.Conn)
	// times is how many connections it is hostile on before it comes to its
	// senses; 0: all within the hour.
	times int
	// folders are watched beside INBOX, each on a connection of its own.
	folders []string
	want    outcome
	long    bool // it is played where there is time
}

// An outcome is what comes of an hour.
type outcome struct {
	how   string   // "watches", "backs off", "ends"
	says  []string // the log, or the error that it ends with
	is    error
	hint  string
	hear  int  // how often at least it is said that something changed
	quiet bool // nothing of it is a change
	most  int  // connections at most where it watches; 0: one, and one for each folder
}

// watches is a watch that goes on, on the connection that it has.
func watches() outcome { return outcome{how: "watches"} }

// backsOff is one that connects again and again, ever more slowly.
func backsOff(says ...string) outcome { return outcome{how: "backs off", says: says} }

// ends is one that gives up, and says why.
func ends(is error, says ...string) outcome { return outcome{how: "ends", is: is, says: says} }

func (o outcome) hearing(n int) outcome { o.hear = n; return o }

// quietly: nothing of it is a change.
func (o outcome) quietly() outcome            { o.quiet = true; return o }
func (o outcome) connecting(most int) outcome { o.most = most; return o }

const (
	// mostMemory is what a server may make a watch use.
	mostMemory = 128 << 20
	// mostCalls is how many backups a server may ask for in an hour, and mostDials
	// how many connections it may have made: one each five minutes, and those
	// before them.
	mostCalls = 60 + burst
	mostDials = 25
	// mostLogged is how many octets it may have logged in an hour.
	mostLogged = 64 << 10
)

// hostiles are all of them.
func hostiles() []hostile {
	return slices.Concat(hostileBeginnings(), hostileStorms(), hostileIdles(), hostileNotifies(), hostileFolders(), hostileEnds())
}

// It is not parallel: what other tests use would count as memory.
func TestHostileServers(t *testing.T) {
	// What is made once in a process must not be made in a bubble.
	rogue.Certificate(t)
	names, played := map[string]bool{}, 0
	for _, h := range hostiles() {
		if names[h.name] {
			t.Errorf("there are two called %q", h.name)
		}
		names[h.name] = true
		if h.long && !long {
			continue
		}
		played++
		t.Run(h.name, func(t *testing.T) {
			defer memory.Limit(t, "it", mostMemory)()
			synctest.Test(t, h.play)
		})
	}
	t.Logf("%d hostile servers, %d of them played", len(names), played)
	if n := len(names); n < leastHostiles {
		t.Errorf("there are %d hostile servers, fewer than %d", n, leastHostiles)
	}
}

// leastHostiles is how many there are at least. It only grows.
const leastHostiles = 378

// A stage is where a server is played.
type stage struct {
	rogue.Stage
	h     *hostile
	calls atomic.Int32 // backups asked for so far
}

// script is a server that is well. It tells of something every four minutes while
// it is listened to.
func (s *stage) script(hostile bool) imaptest.Script {
	caps := cmp.Or(s.h.caps, "IDLE")
	if !hostile && caps == "none" {
		caps = "IDLE"
	}
	script := imaptest.Script{Caps: "IMAP4rev1 " + caps, Handle: map[string]imaptest.Handler{
		"NAMESPACE": imaptest.Answer("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n%T OK done\r\n")}}
	trickling("* 11 EXISTS\r\n", 4*time.Minute)(s.T, &script)
	return script
}

// dial connects.
func (s *stage) dial(ctx context.Context, news func(imapconn.News)) (*imapconn.Conn, error) {
	return s.Dial(ctx, imapconn.Options{News: news, TempDir: s.T.TempDir()})
}

// play has the server watched.
func (h *hostile) play(t *testing.T) {
	s := &stage{Stage: rogue.Stage{T: t, Server: h.server, Conn: h.conn, Raw: h.raw, Times: h.times}, h: h}
	s.Script = s.script
	s.TLS, s.Trusted = rogue.Certificate(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Watch(ctx, s.dial, Options{Folders: h.folders, Connections: 1 + len(h.folders), Log: s.Log()}, func() { s.calls.Add(1) })
	}()
	var err error
	select {
	case err = <-ended:
	case <-time.After(time.Hour):
	}
	dialed, calls := s.Dialed(), int(s.calls.Load())
	said := s.Logged.String()
	how := "watches"
	most := max(1+len(h.folders), h.want.most)
	switch {
	case err != nil:
		how, said = "ends", err.Error()
		if !errors.Is(err, h.want.is) {
			t.Errorf("the error is no %q: %v", h.want.is, err)
		}
		if hint := peer.Hint(err); !strings.Contains(hint, h.want.hint) {
			t.Errorf("the hint is %q, not %q", hint, h.want.hint)
		}
	case dialed > most:
		how = "backs off"
	}
	if how != h.want.how {
		t.Errorf("it %s and does not %s; %d connections, and it says %.2000s", how, h.want.how, dialed, said)
	}
	if dialed > mostDials*(1+len(h.folders)) {
		t.Errorf("%d connections within the hour", dialed)
	}
	if calls > mostCalls || calls < h.want.hear {
		t.Errorf("%d backups are asked for within the hour", calls)
	}
	if h.want.quiet && calls > dialed {
		t.Errorf("%d backups are asked for, and nothing has changed", calls)
	}
	for _, text := range h.want.says {
		if !strings.Contains(said, text) {
			t.Errorf("it says %.2000q, not %q", said, text)
		}
	}
	if n := len(s.Logged.String()); n > mostLogged {
		t.Errorf("%d octets were logged within the hour", n)
	}
	if how != "ends" {
		s.recovered(ended)
		cancel(errEnough)
		if err := <-ended; err != errEnough {
			t.Errorf("it ended with %v", err)
		}
	}
	cancel(nil)
	s.Discreet("the error", said)
	if stacks := rogue.Left(24 * time.Hour); len(stacks) > 0 {
		t.Errorf("%d goroutines are left:\n%s", len(stacks), strings.Join(stacks, "\n\n"))
	}
}

// recovered sees that a server is heard that is well again.
func (s *stage) recovered(ended chan error) {
	s.Heal()
	s.HangUp() // a watch does not leave a hostile one of itself
	select {
	case err := <-ended:
		ended <- err
		s.T.Errorf("when the server was well again the watch ended: %v", err)
		return
	case <-time.After(15 * time.Minute):
	}
	before := s.calls.Load()
	time.Sleep(time.Hour)
	if after := s.calls.Load(); after < before+3 {
		s.T.Errorf("the server is well again, and %d changes were heard in an hour", after-before)
	}
}

// hostileBeginnings are those that are hostile up to the end of the login.
func hostileBeginnings() (list []hostile) {
	for _, b := range rogue.Beginnings() {
		h := hostile{name: b.Name, conn: b.Conn, server: b.Server, raw: b.Raw, want: backsOff(b.Want.Says...)}
		switch {
		case b.Want.Works:
			h.want = watches().hearing(3)
		case b.Want.Is == imapconn.ErrLogin, b.Want.Is == imapconn.ErrTLS:
			h.want = ends(b.Want.Is, b.Want.Says...)
		}
		h.want.hint = b.Want.Hint
		list = append(list, h)
	}
	return list
}

// hundreds is how many hundred thousand things a storm has where it is said to
// have one: the short tests play lesser ones.
func hundreds(n int) int {
	if long {
		return n * 100_000
	}
	return n * 5_000
}

// long says that there is time.
var long = os.Getenv("RESTANTE_LONG") != ""
