package imapsource

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/storage"
	"restante/storage/ledger"
)

// Connections that are lost at any octet of what the server says. A snapshot
// is complete and right then, or it says that it is incomplete, and what it
// holds is right; a message is never less or other than what it was.

// A scissors cuts connections: each may read so many octets.
type scissors struct {
	mu    sync.Mutex // guards what follows
	left  []int      // for each connection to come; beyond them there is no limit
	again bool       // the last number is for all that follow
	read  []int      // by each connection so far
}

func (s *scissors) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &cutConn{Conn: conn, s: s, i: len(s.read), left: -1}
	if len(s.left) > 0 {
		c.left = s.left[0]
		if len(s.left) > 1 || !s.again {
			s.left = s.left[1:]
		}
	}
	s.read = append(s.read, 0)
	return c, nil
}

type cutConn struct {
	net.Conn
	s    *scissors
	i    int
	left int // -1: no limit
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		c.Conn.Close()
		return 0, io.EOF
	}
	if c.left > 0 {
		p = p[:min(len(p), c.left)]
	}
	n, err := c.Conn.Read(p)
	if c.left > 0 {
		c.left -= n
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.read[c.i] += n
	return n, err
}

// cutAt lets each connection read so many octets. The last number may be for
// all that follow.
func (c *chain) cutAt(again bool, octets ...int) *scissors {
	s := &scissors{left: octets, again: again}
	c.conn = func(o *imapconn.Options) { o.Dial = s.dial }
	c.source = func(o *Options) { o.Parallel = 1 }
	return s
}

// part says what a snapshot has that the account has not, or has otherwise.
func part(got, want view) (diff []string) {
	for _, d := range difference(got, want) {
		if !strings.Contains(d, " has no ") && !strings.HasPrefix(d, "there is no ") {
			diff = append(diff, d)
		}
	}
	return diff
}

// bait is an account whose messages look like what a server says.
func (c *chain) bait() {
	c.account.Add("INBOX", "Subject: x\r\n\r\n)\r\n* 2 FETCH (UID 2 FLAGS () BODY[] {3}\r\nabc)\r\nT9 OK done\r\n", `\Seen`)
	c.account.Add("INBOX", letter(2), ``)
	c.account.Add("INBOX", "", `\Flagged`)
	c.account.Add("Sent", strings.Repeat("0123456789\r\n", 40), `\Seen $Forwarded`)
	sent := c.account.Folder("Sent")
	c.account.Do(func() { sent.Attrs, sent.Subscribed = `\Sent`, true })
}

// everyCut runs f for many octets at which a transcript of so many can be cut.
func everyCut(t *testing.T, octets int, f func(at int)) {
	step := 13
	if testing.Short() {
		step = 101
	}
	for at := 1; at <= octets; at += step {
		if f(at); t.Failed() {
			t.Logf("the connection was cut after %d of %d octets", at, octets)
			return
		}
	}
}

func TestConnectionLostOnceAtAnyOctet(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"with all": everything, "with nothing": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			c.bait()
			script := c.account.Script()
			server := imaptest.Start(t, script)
			s := c.cutAt(false)
			if _, err := c.from(server.Addr); err != nil {
				t.Fatal(err)
			}
			if len(s.read) != 1 {
				t.Fatalf("there were %d connections", len(s.read))
			}
			everyCut(t, s.read[0], func(at int) {
				// The account is another each time, so that nothing is there before.
				c.name = fmt.Sprint("first ", at)
				c.cutAt(false, at)
				result, err := c.from(server.Addr)
				if err != nil {
					t.Fatal(err)
				}
				c.same("first", c.snapshot(result.Snapshot), c.view())
				if result.Snapshot.Marks != 0 || len(result.Missing) > 0 {
					t.Errorf("marked %v, %q, %v", result.Snapshot.Marks, result.Snapshot.Notes, result.Missing)
				}
			})
		})
	}
}

// The same with a second run, in which something has changed.
func TestConnectionLostOnceInAnIncrement(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"with all": everything, "with nothing": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, octets := newChain(t, caps), 100_000
			everyCut(t, 2000, func(at int) {
				if at > octets {
					return
				}
				c.name, c.account, c.conn = fmt.Sprint("increment ", at), imaptest.NewAccount(caps), nil
				c.bait()
				c.whole("first", nil)
				c.account.Flag("INBOX", 2, `\Answered`)
				c.account.Add("INBOX", letter(5), `\Draft`)
				c.account.Expunge("Sent", 1)
				s := c.cutAt(false, at)
				c.whole("second", nil)
				if octets = s.read[0]; octets < at {
					octets = at - 1 // it was not cut
				} else {
					octets = 100_000
				}
			})
		})
	}
}

// Every connection is cut at the same octet. Most messages cannot be had, and
// nothing else is made of it.
func TestConnectionLostAgainAndAgain(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"with all": everything, "with nothing": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			c.bait()
			server := imaptest.Start(t, c.account.Script())
			s := c.cutAt(false)
			if _, err := c.from(server.Addr); err != nil {
				t.Fatal(err)
			}
			ended := 0
			everyCut(t, s.read[0]+1, func(at int) {
				c.name = fmt.Sprint("again ", at)
				c.cutAt(true, at)
				result, err := c.from(server.Addr)
				c.right(result, err)
				if err != nil {
					ended++
				}
				// And the next run, on a line that is well, has all.
				if at%5 == 0 {
					c.cutAt(false)
					result, err := c.from(server.Addr)
					if err != nil {
						t.Fatal(err)
					}
					c.same("on a line that is well", c.snapshot(result.Snapshot), c.view())
				}
			})
			if ended == 0 {
				t.Error("no run ended with an error")
			}
		})
	}
}

// Each connection is cut somewhere else. Several are used at once.
func TestLineThatIsLostAtRandom(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	for i := range 700 {
		c.account.Add("INBOX", letter(1000+i), `\Seen`)
	}
	server := imaptest.Start(t, c.account.Script())
	rounds := 8
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		random := rand.New(rand.NewPCG(7, uint64(round)))
		var cuts []int
		for range 1 + random.IntN(40) {
			cuts = append(cuts, 1+random.IntN(1+random.IntN(120_000)))
		}
		c.name = fmt.Sprint("round ", round)
		c.cutAt(false, cuts...)
		c.source = func(o *Options) { o.Parallel = 1 + round%4 }
		result, err := c.from(server.Addr)
		c.right(result, err)
		c.cutAt(false)
		if result, err = c.from(server.Addr); err != nil {
			t.Fatal(err)
		}
		c.same("on a line that is well", c.snapshot(result.Snapshot), c.view())
		if t.Failed() {
			t.Fatalf("connections were cut after %v octets", cuts)
		}
	}
}

// right fails the test unless a run gave all there is, or less and says so.
func (c *chain) right(result *backup.Result, err error) {
	c.t.Helper()
	var s storage.Snapshot
	switch latest, ok := c.repo.Latest(c.accountName()); {
	case err == nil:
		s = result.Snapshot
	case !ok:
		return
	case !latest.Marks.Has(ledger.Partial):
		c.t.Errorf("the run ended with %v, and its snapshot is marked %v", err, latest.Marks)
	default:
		s = latest
	}
	got, want := c.snapshot(s), c.view()
	if diff := part(got, want); len(diff) > 0 {
		c.t.Errorf("it has what is not there: %s", diff[0])
	}
	if diff := difference(got, want); len(diff) > 0 && s.Marks == 0 {
		c.t.Errorf("it is said to be complete, and %s", diff[0])
	}
}
