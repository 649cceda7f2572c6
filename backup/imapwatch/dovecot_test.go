package imapwatch

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/cmd/testbed/servers"
)

// The tests in this file use a real server, which the testbed starts:
//
//	go run ./cmd/testbed go test ./backup/imapwatch

// patienceOfTests is how long a test waits for what must happen soon. It
// decides nothing when all is well.
const patienceOfTests = time.Minute

// A spy keeps what a client sends and hears, and can make a server that has no
// NOTIFY of one that has.
type spy struct {
	without string // a capability to hide
	idling  chan bool

	mu   sync.Mutex // guards what follows
	sent bytes.Buffer
}

type spied struct {
	net.Conn
	r   *bufio.Reader
	spy *spy
}

func (s *spy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &spied{Conn: conn, r: bufio.NewReader(conn), spy: s}, nil
}

// Read reads a line at most, as the server sent it, but for the capability.
func (c *spied) Read(p []byte) (int, error) {
	line, err := c.r.ReadSlice('\n')
	if len(line) > len(p) || err == bufio.ErrBufferFull {
		return 0, fmt.Errorf("a line of %d octets", len(line))
	}
	if c.spy.without != "" && bytes.Contains(line, []byte("CAPABILITY")) {
		line = bytes.ReplaceAll(line, []byte(" "+c.spy.without), nil)
	}
	if bytes.HasPrefix(line, []byte("+ idling")) {
		c.spy.idling <- true
	}
	return copy(p, line), err
}

func (c *spied) Write(p []byte) (int, error) {
	c.spy.mu.Lock()
	c.spy.sent.Write(p)
	c.spy.mu.Unlock()
	return c.Conn.Write(p)
}

func TestRealServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, without, folder, says string }{
		{"NOTIFY, INBOX", "", "INBOX", "NOTIFY SET"},
		{"NOTIFY, another folder", "", "Lists", "NOTIFY SET"},
		{"IDLE, INBOX", "NOTIFY", "INBOX", "EXAMINE"},
		{"IDLE, another folder", "NOTIFY", "Lists", `EXAMINE "Lists"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := servers.IMAP(t)
			user := servers.NewUser(t)
			mail := servers.Login(t, server, user)
			mail.Do("CREATE Lists")
			mail.Append("Lists", servers.Message{Octets: []byte("Subject: there already\r\n\r\nx\r\n")})
			s := &spy{without: c.without, idling: make(chan bool, 100)}
			dial := func(ctx context.Context, news func(imapconn.News)) (*imapconn.Conn, error) {
				return imapconn.Dial(ctx, imapconn.Options{Address: server.Address, Security: imapconn.Insecure, User: user,
					Password: servers.Password, News: news, Dial: s.dial})
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			calls := make(chan bool, 100)
			ended := make(chan error, 1)
			o := Options{Folders: []string{"Lists"}, Connections: 2, Debounce: time.Millisecond}
			go func() { ended <- Watch(ctx, dial, o, func() { calls <- true }) }()
			wait := func(what string, c chan bool) {
				t.Helper()
				select {
				case <-c:
				case err := <-ended:
					t.Fatalf("%s: the watch ended: %v", what, err)
				case <-time.After(patienceOfTests):
					t.Fatalf("%s: nothing in %v", what, patienceOfTests)
				}
			}
			wait("begin to idle", s.idling)
			if c.without != "" {
				wait("begin to idle in the other folder", s.idling)
			}
			// Each of two connections makes a call of its own at most when it
			// stands, so at least one of three is of a message.
			for range 3 {
				start := time.Now()
				mail.Append(c.folder, servers.Message{Octets: []byte("Subject: new\r\n\r\ny\r\n")})
				wait("a message was delivered", calls)
				t.Logf("called after %v", time.Since(start).Round(time.Millisecond))
			}
			cancel(errEnough)
			if err := <-ended; err != errEnough {
				t.Errorf("the watch ended with %v", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			sent := s.sent.String()
			if !strings.Contains(sent, c.says) || strings.Contains(sent, "SELECT") || c.without == "" && strings.Contains(sent, "EXAMINE") {
				t.Errorf("it sent:\n%s", sent)
			}
		})
	}
}
