package imapsource

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/servers"
	"restante/storage"
	"restante/storage/ledger"
)

// The tests in this file use a real server, which the testbed starts:
//
//	go run ./cmd/testbed go test ./backup/imapsource

// both runs a test on the servers with "/" and with "." between levels.
func both(t *testing.T, f func(t *testing.T, s servers.Server)) {
	t.Run("slash", func(t *testing.T) { t.Parallel(); f(t, servers.IMAP(t)) })
	t.Run("dot", func(t *testing.T) { t.Parallel(); f(t, servers.IMAPDot(t)) })
}

// allServers runs a test on Cyrus and Courier as well.
func allServers(t *testing.T, f func(t *testing.T, s servers.Server)) {
	both(t, f)
	t.Run("Cyrus", func(t *testing.T) { t.Parallel(); f(t, servers.Cyrus(t)) })
	t.Run("Cyrus, dot", func(t *testing.T) { t.Parallel(); f(t, servers.CyrusDot(t)) })
	t.Run("Courier", func(t *testing.T) { t.Parallel(); f(t, servers.Courier(t)) })
}

// A realChain is a chain to a user of a real server.
type realChain struct {
	*chain
	server servers.Server
	user   string
	mail   *servers.Session
	spy    *spy
}

func newRealChain(t *testing.T, s servers.Server) *realChain {
	user := servers.NewUser(t)
	c := &realChain{chain: newChain(t, ""), server: s, user: user, mail: servers.Login(t, s, user)}
	c.line(c.dial(nil))
	return c
}

// line sets how the server is connected to.
func (c *realChain) line(dial func(context.Context, string, string) (net.Conn, error)) {
	c.conn = func(o *imapconn.Options) { o.User, o.Password, o.Dial = c.user, servers.Password, dial }
}

// dial connects with another dial function, or just so, and notes what is sent.
func (c *realChain) dial(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &spied{Conn: conn, spy: c.spy}, err
	}
}

// A spy keeps what is written to connections.
type spy struct {
	mu   sync.Mutex // guards what follows
	sent bytes.Buffer
}

type spied struct {
	net.Conn
	spy *spy
}

func (c *spied) Write(p []byte) (int, error) {
	if c.spy != nil {
		c.spy.mu.Lock()
		c.spy.sent.Write(p)
		c.spy.mu.Unlock()
	}
	return c.Conn.Write(p)
}

// wire is the name of a folder on the wire.
func (c *realChain) wire(levels ...string) string {
	if levels[0] == "INBOX" && len(levels) == 1 {
		return "INBOX"
	}
	return string(rawimap.EncodeName(c.server.Prefix + strings.Join(levels, c.server.Delimiter)))
}

// holds is what the server has now, read by another client.
func (c *realChain) holds() view {
	c.t.Helper()
	v := view{}
	for _, f := range servers.Dump(c.t, c.server, c.user).Folders {
		name := strings.TrimPrefix(imapconn.DecodeName([]byte(f.Name)), c.server.Prefix)
		list := map[string]string{"": folderLine(f.Attributes, f.SpecialUse, f.Subscribed)}
		for _, m := range f.Messages {
			date, err := time.Parse("_2-Jan-2006 15:04:05 -0700", m.InternalDate)
			if err != nil {
				c.t.Fatal(err)
			}
			list[fmt.Sprintf("%d/%d", f.UIDValidity, m.UID)] = line(m.Flags, date, string(m.Octets))
		}
		v[storage.FolderName(strings.Split(name, c.server.Delimiter))] = list
	}
	return v
}

// backUp runs a backup that must have all that the server has.
func (c *realChain) backUp(what string) {
	c.t.Helper()
	result, err := c.from(c.server.Address)
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	c.same(what, c.snapshot(result.Snapshot), c.holds())
	if result.Snapshot.Marks&^ledger.Anomalous != 0 || len(result.Missing) > 0 {
		c.t.Errorf("%s: marked %v, %q, %v", what, result.Snapshot.Marks, result.Snapshot.Notes, result.Missing)
	}
}

// stock fills the account.
func (c *realChain) stock() {
	for i, name := range []string{"R&D", "日本語", `say "hi"`, `back\slash`, "..", "\u202egpj.exe", "100%", "Sent", "trail "} {
		switch {
		case c.server.Choosy && strings.ContainsAny(name, "\"\\.%"):
			continue
		case c.server.Delimiter == "." && name == "..":
			name = "a/b"
		}
		servers.Load(c.t, c.server, c.user, c.wire(name), servers.Message{Octets: []byte(letter(i)), Flags: []string{`\Seen`, "$Forwarded"}, Date: time.Date(2023, 11, 7, 22, 13, i, 0, time.FixedZone("", 5*3600+45*60))})
	}
	for i := range 40 {
		c.mail.Append("INBOX", servers.Message{Octets: []byte(letter(100 + i)), Flags: [][]string{nil, {`\Seen`}, {`\Flagged`, "custom"}}[i%3]})
	}
	c.mail.Append("INBOX", servers.Message{Octets: []byte(long(inMemory + 12345))})
}

func TestRealServerEverySnapshotIsTheAccountAsItWas(t *testing.T) {
	t.Parallel()
	allServers(t, func(t *testing.T, s servers.Server) {
		c := newRealChain(t, s)
		c.stock()
		c.backUp("first")
		c.backUp("nothing changed")
		c.mail.Do("SELECT INBOX")
		c.mail.Do(`UID STORE 3,5,7:9 +FLAGS (\Answered \Deleted $Label1)`)
		c.mail.Do(`UID STORE 2 FLAGS ()`)
		c.backUp("flags")
		c.mail.Do("EXPUNGE")
		c.backUp("expunged")
		c.mail.Do("UID COPY 10:12 " + rawimap.Quote(c.wire("Sent")))
		c.mail.Do(`UID STORE 10:12 +FLAGS.SILENT (\Deleted)`)
		c.mail.Do("EXPUNGE")
		c.mail.Append("INBOX", servers.Message{Octets: []byte("\r\n")})
		if !s.Choosy {
			c.mail.Append("INBOX", servers.Message{Octets: []byte("no header at all")})
		}
		c.backUp("moved, and new")
		c.mail.Do("CREATE " + rawimap.Quote(c.wire("Deep", "er")))
		c.mail.Do("RENAME " + rawimap.Quote(c.wire("R&D")) + " " + rawimap.Quote(c.wire("Deep", "est")))
		c.backUp("renamed")
		c.mail.Do("UNSUBSCRIBE " + rawimap.Quote(c.wire("日本語")))
		c.mail.Do("EXAMINE INBOX")
		c.mail.Do("DELETE " + rawimap.Quote(c.wire("Sent")))
		c.backUp("a folder gone")
		c.mail.Do("CREATE " + rawimap.Quote(c.wire("Sent")))
		c.mail.Append(c.wire("Sent"), servers.Message{Octets: []byte(letter(7))})
		c.backUp("and another one of its name")
	})
}

// With nothing changed, a real server is asked for one list and no folder.
func TestRealServerUnchangedTakesOneList(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s servers.Server) {
		c := newRealChain(t, s)
		c.stock()
		c.backUp("first")
		c.spy = new(spy)
		c.line(c.dial(nil))
		c.backUp("nothing changed")
		var sent []string
		for line := range strings.Lines(c.spy.sent.String()) {
			if words := strings.Fields(line); len(words) > 1 {
				sent = append(sent, words[1])
			}
		}
		if got := fmt.Sprint(sent); !strings.HasSuffix(got, " NAMESPACE LIST LOGOUT]") || len(sent) > 5 {
			t.Errorf("the server got %s", got)
		}
	})
}

// A real server on a line that is lost again and again.
func TestRealServerOnALineThatIsLost(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s servers.Server) {
		c := newRealChain(t, s)
		c.stock()
		c.source = func(o *Options) { o.Parallel = 1 } // so that the cuts are the same each time
		rounds := 25
		if testing.Short() {
			rounds = 3
		}
		for round := range rounds {
			random := rand.New(rand.NewPCG(11, uint64(round)))
			cuts := &scissors{}
			for range 1 + random.IntN(8) {
				cuts.left = append(cuts.left, 1+random.IntN(1+random.IntN(40_000)))
			}
			c.name = fmt.Sprint("round ", round)
			what := fmt.Sprintf("cut after %v octets", cuts.left)
			c.line(c.dial(cuts.dial))
			c.backUp(what)
		}
	})
}
