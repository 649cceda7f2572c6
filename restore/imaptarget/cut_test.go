package imaptarget

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
)

// A cutting is a connection that breaks after so many octets of one direction.
type cutting struct {
	net.Conn
	mu      sync.Mutex // guards what follows
	in, out int        // octets that are let through; negative: all
	gone    bool
}

var errCut = errors.New("cut")

func (c *cutting) let(left *int, n int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return 0, true
	}
	if *left < 0 || *left >= n {
		*left = max(-1, *left-n)
		return n, false
	}
	n, c.gone = *left, true
	return n, true
}

func (c *cutting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n, cut := c.let(&c.in, n); cut {
		c.Conn.Close()
		if n > 0 {
			return n, nil
		}
		return 0, errCut
	}
	return n, err
}

func (c *cutting) Write(p []byte) (int, error) {
	if n, cut := c.let(&c.out, len(p)); cut {
		c.Conn.Write(p[:n])
		c.Conn.Close()
		return n, errCut
	}
	return c.Conn.Write(p)
}

// cutter dials a server whose first connection breaks.
func cutter(s *imaptest.Server, in, out int) func(context.Context) (*imapconn.Conn, error) {
	return serially(s, func(client net.Conn) net.Conn {
		c := &cutting{Conn: client, in: in, out: out}
		in, out = -1, -1
		return c
	})
}

// serially dials a server, and each connection is served to its end before the
// next begins: what a server does after it was left, a look cannot see
// beforehand. wrap may have its way with the client's end.
func serially(s *imaptest.Server, wrap func(net.Conn) net.Conn) func(context.Context) (*imapconn.Conn, error) {
	var served chan struct{}
	return func(ctx context.Context) (*imapconn.Conn, error) {
		return imapconn.Dial(ctx, imapconn.Options{Address: "test:143", Security: imapconn.Insecure, User: "alice", Password: "secret",
			Dial: func(context.Context, string, string) (net.Conn, error) {
				if served != nil {
					<-served
				}
				client, server := net.Pipe()
				done := make(chan struct{})
				served = done
				go func() { defer close(done); s.Serve(server) }()
				if wrap != nil {
					client = wrap(client)
				}
				return client, nil
			}})
	}
}

// A counted connection measures what is said and heard.
type counted struct {
	net.Conn
	in, out *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	c.out.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// oneConnection has a restore use its folders one after the other.
type oneConnection struct{ restore.Target }

func (oneConnection) Parallel() int { return 1 }

// Wherever a connection breaks, in the middle of a message, between it and the
// answer, within the answer, in a look, the restore goes on with another, and
// in the end every message is there, once.
func TestConnectionMayBreakAtAnyOctet(t *testing.T) {
	t.Parallel()
	letters := []letter{
		{"Message-ID: <1@x>\r\n\r\none\r\n", []string{`\Seen`}, noon}, {"Subject: 2\r\n\r\ntwo\r\n", []string{"$Odd"}, noon},
		{"Message-ID: <1@x>\r\n\r\none\r\n", []string{`\Seen`}, noon}, // as the first
	}
	for _, caps := range []string{"", "UIDPLUS", full} {
		t.Run(caps, func(t *testing.T) {
			t.Parallel()
			folders := []folder{named("INBOX", letters...), {levels: []string{"a"}, subscribed: true, use: []string{`\Sent`}, letters: letters[1:]}}
			// The first message is there already, and is read to be compared.
			fresh := func() *desk {
				return atDesk(t, caps, func(a *imaptest.Account, _ *imaptest.Script) { a.Add("INBOX", letters[0].octets, `\Seen`) }, folders...)
			}
			d := fresh()
			repo, tree := d.repo, d.tree
			var in, out atomic.Int64
			target := New(Options{Location: "imap://alice@test", Dial: func(ctx context.Context) (*imapconn.Conn, error) {
				return imapconn.Dial(ctx, imapconn.Options{Address: "test:143", Security: imapconn.Insecure, User: "alice", Password: "secret",
					Dial: func(context.Context, string, string) (net.Conn, error) {
						client, server := net.Pipe()
						go d.server.Serve(server)
						return counted{client, &in, &out}, nil
					}})
			}})
			if _, err := d.over(t.Context(), oneConnection{target}, restore.Options{}); err != nil {
				t.Fatal(err)
			}
			target.Close()
			want := contents(d.account)
			tried, step := 0, 7
			if caps == full {
				step = 1
			}
			for _, direction := range []string{"in", "out"} {
				most := int(map[string]int64{"in": in.Load(), "out": out.Load()}[direction])
				for at := 0; at < most; at += step {
					account := imaptest.NewAccount(caps)
					account.Add("INBOX", letters[0].octets, `\Seen`)
					s := imaptest.Start(t, account.Script())
					cut := cutter(s, -1, at)
					if direction == "in" {
						cut = cutter(s, at, -1)
					}
					target := New(Options{Location: "imap://alice@test", Dial: cut})
					d := &desk{t: t, repo: repo, tree: tree, account: account, server: s}
					report, err := d.over(t.Context(), oneConnection{target}, restore.Options{})
					if err != nil {
						// Nothing has begun before the folders are listed, and a
						// person wants to know at once.
						if len(d.sent("SELECT")) > 0 {
							t.Fatalf("cut after %d octets %s: %v", at, direction, err)
						}
						report, err = d.over(t.Context(), oneConnection{target}, restore.Options{})
						if err != nil {
							t.Fatalf("cut after %d octets %s, started again: %v", at, direction, err)
						}
					}
					tried++
					target.Close()
					if got := contents(account); got != want {
						t.Fatalf("cut after %d octets %s: the account has\n%s\nwant\n%s", at, direction, got, want)
					}
					sum := report.Totals()
					if sum.Present+sum.Appended != 5 || sum.Appended < 4 && sum.Present < 2 || !report.Complete() {
						t.Fatalf("cut after %d octets %s: %d present, %d appended", at, direction, sum.Present, sum.Appended)
					}
					wantHarmless(t, s.Commands())
					s.Close()
				}
			}
			t.Logf("%d places", tried)
		})
	}
}

// contents is all that an account has, in words.
func contents(a *imaptest.Account) string {
	var b strings.Builder
	folders := a.Folders()
	a.Do(func() {
		for _, f := range folders {
			fmt.Fprintf(&b, "%s %s %v\n", f.Name, f.Attrs, f.Subscribed)
			for _, m := range f.Messages {
				io.WriteString(&b, "  "+describe(m.Body, m.Flags, m.Date)+m.Labels+"\n")
			}
		}
	})
	return b.String()
}
