package pop3conn

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pop3 "github.com/knadh/go-pop3"
)

// The tests in this file are of go-pop3 as it is published, without this package
// in between. Each shows a fault that backup/accounts/UPSTREAM.md describes. One
// that fails after an update tells that the fault is gone, and what with it.

// pipe is a pop3.Dialer to one end of it.
type pipe struct{ net.Conn }

func (p pipe) Dial(string, string) (net.Conn, error) { return p.Conn, nil }

// bare is go-pop3 on a server that says to each command what answers has for its
// verb; "-" is silence.
func bare(t *testing.T, answers map[string]string) *pop3.Conn {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	go func() {
		defer server.Close()
		fmt.Fprint(server, "+OK\r\n")
		in := bufio.NewReader(server)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			answer, known := answers[strings.Fields(line + "x")[0]]
			if !known {
				answer = "+OK\r\n"
			}
			fmt.Fprint(server, strings.TrimPrefix(answer, "-"))
		}
	}()
	c, err := pop3.New(pop3.Opt{Dialer: pipe{client}}).NewConn()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFaultsOfTheLibrary(t *testing.T) {
	raw := func(c *pop3.Conn) string {
		b, err := c.RetrRaw(1)
		if err != nil {
			return "error: " + err.Error()
		}
		return fmt.Sprintf("%q", b.String())
	}
	for _, f := range []struct {
		section, verb, answer string
		do                    func(*pop3.Conn) string
		fault, right          string
	}{
		{"21", "RETR", "+OK\r\na\nb\r\n.\r\n", raw, `"a\r\nb\r\n"`, `"a\nb\r\n"`},
		{"21 with a dot", "RETR", "+OK\r\na\n.b\r\n.\r\n", raw, `"a\r\nb\r\n"`, `"a\n.b\r\n"`},
		{"22", "RETR", "+OK\r\na\n.\r\nb\r\n.\r\n", raw, `"a\r\n"`, `"a\n.\r\nb\r\n"`},
		{"22 with LF alone", "RETR", "+OK\r\na\r\n.\nb\r\n.\r\n", raw, `"a\r\n"`, `"a\r\n\nb\r\n"`},
		{"23", "RETR", "\r\n+OK\r\na\r\n.\r\n", raw, `"+OK\r\na\r\n"`, "error: unknown response: . Neither -ERR, nor +OK"},
		{"24", "UIDL", "+OK\r\n1 a\r\n2 \r\n3 c\r\n.\r\n", func(c *pop3.Conn) string {
			list, err := c.Uidl(0)
			return fmt.Sprint(len(list), err)
		}, "1 <nil>", "2 <nil>"},
		{"24 in LIST", "LIST", "+OK\r\n1 10\r\n2\r\n3 30\r\n.\r\n", func(c *pop3.Conn) string {
			list, err := c.List(0)
			return fmt.Sprint(len(list), err)
		}, "1 <nil>", "2 <nil>"},
		{"25", "NOOP", "+OK " + strings.Repeat("x", 4<<20) + "\r\n", func(c *pop3.Conn) string {
			return fmt.Sprint(c.Noop())
		}, "<nil>", "error: a line too long"},
	} {
		t.Run(f.section, func(t *testing.T) {
			switch got := f.do(bare(t, map[string]string{f.verb: f.answer})); got {
			case f.fault:
			case f.right:
				t.Errorf("go-pop3 does it right now (%s): section %s of UPSTREAM.md can go, and what it says is done here", got, f.section)
			default:
				t.Errorf("go-pop3 gives %s now, no longer %s, nor %s: see section %s of UPSTREAM.md", got, f.fault, f.right, f.section)
			}
		})
	}
}

func TestFaultOfTheLibraryInPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare(t, map[string]string{"STAT": "-"})
		done := make(chan bool, 1)
		go func() { c.Stat(); done <- true }()
		time.Sleep(48 * time.Hour)
		select {
		case <-done:
			t.Error("go-pop3 does it right now: section 26 of UPSTREAM.md can go, and what it says is done here")
		default:
		}
	})
}
