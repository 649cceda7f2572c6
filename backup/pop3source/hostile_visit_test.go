package pop3source

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"restante/backup"
	"restante/backup/accounts/pop3conn"
	"restante/backup/accounts/pop3conn/pop3test"
	"restante/storage"
)

// A syncBuffer may be written to by many.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A visit is what a client does at a stage, and what can be seen of it.
type visit struct {
	*stage
	log *syncBuffer

	mu      sync.Mutex   // guards what follows
	written bytes.Buffer // by the client, as it goes over the line
	marked  []string     // the octets of messages that a DELE was sent for
}

// observe writes down what DELE is sent for.
func (v *visit) observe() {
	own := v.Handle["DELE"]
	v.on("DELE", func(c *pop3test.Conn, command string) {
		var n int
		fmt.Sscanf(command, "DELE %d", &n)
		octets := fmt.Sprintf("%q, which there is none of", command)
		if n >= 1 && n <= len(c.Messages) {
			octets = c.Messages[n-1].Octets
		}
		v.mu.Lock()
		v.marked = append(v.marked, octets)
		v.mu.Unlock()
		if own != nil {
			own(c, command)
		} else {
			c.Default(command)
		}
	})
}

func (v *visit) dial(ctx context.Context, oneByOne bool) (*pop3conn.Conn, error) {
	o := v.options
	o.OneByOne = oneByOne
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		var client net.Conn
		if v.raw != nil {
			var server net.Conn
			client, server = net.Pipe()
			go func() {
				defer server.Close()
				v.raw(server)
			}()
		} else {
			client = v.Pipe(v.wrap)
		}
		return &tapped{Conn: client, visit: v}, nil
	}
	return pop3conn.Dial(ctx, o)
}

// A tapped connection keeps what the client writes. Like a socket, it takes it
// before the server does, so that both sides may write at once.
type tapped struct {
	net.Conn
	visit *visit

	mu      sync.Mutex // guards what follows
	unsent  []byte
	sending bool
}

func (c *tapped) Write(p []byte) (int, error) {
	c.visit.mu.Lock()
	c.visit.written.Write(p)
	c.visit.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent = append(c.unsent, p...)
	if !c.sending {
		c.sending = true
		go c.send()
	}
	return len(p), nil
}

func (c *tapped) send() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.unsent) > 0 {
		b := c.unsent
		c.unsent = nil
		c.mu.Unlock()
		c.Conn.Write(b)
		c.mu.Lock()
	}
	c.sending = false
}

// SetWriteDeadline does nothing: a write takes no time.
func (c *tapped) SetWriteDeadline(time.Time) error { return nil }

// texts are all that a person may get to read of a run.
func (v *visit) texts(r *backup.Result, err error) (list []string) {
	if err != nil {
		list = append(list, err.Error())
		v.wantServer(v.t, err, "the backup")
	}
	if r != nil {
		list = append(list, r.Snapshot.Notes...)
		for _, m := range r.Missing {
			list = append(list, m.Reason)
		}
	}
	return list
}

// wantServer fails the test unless an error that is the server's fault tells
// which server.
func (v *visit) wantServer(t *testing.T, err error, when string) {
	if !strings.Contains(err.Error(), "maildrop.example:110") && !strings.Contains(err.Error(), "has no snapshot") {
		t.Errorf("%s: the error does not name the server: %v", when, err)
	}
}

// wantDiscreet fails the test if something secret was told, or something that
// is not fit for a screen.
func (v *visit) wantDiscreet(t *testing.T, said []string, night string) {
	v.mu.Lock()
	written := v.written.String()
	v.mu.Unlock()
	secrets := []string{password, base64.StdEncoding.EncodeToString([]byte(password)), base64.StdEncoding.EncodeToString([]byte("\x00alice\x00" + password))}
	for _, secret := range secrets {
		if v.options.Security != pop3conn.Insecure && strings.Contains(written, secret) {
			t.Errorf("%s: the password went over the line in clear text", night)
		}
		for _, text := range append(said, v.log.String()) {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				t.Errorf("%s: it tells the password: %q", night, text)
			}
		}
	}
	const most = 1500
	for _, text := range said {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
			return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == 0x2028 || r == 0x2029
		}) {
			t.Errorf("%s: not fit for a screen: %q", night, text)
		}
		if len(text) > most {
			t.Errorf("%s: %d octets say what is wrong: %.200q", night, len(text), text)
		}
	}
}

// wantDeletions fails the test if a DELE was sent for what is not in the store.
func (v *visit) wantDeletions(t *testing.T, proof *storage.Repository, none bool, night string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if none && len(v.marked) > 0 {
		t.Errorf("%s: DELE was sent for %.300q", night, v.marked)
	}
	held := map[string]bool{}
	if s, ok := proof.Latest("alice/laptop"); ok {
		for _, m := range messagesOf(t, proof, s) {
			held[m.octets] = true
		}
	}
	for _, octets := range v.marked {
		if !held[octets] {
			t.Errorf("%s: DELE was sent for what the latest snapshot does not have: %.300q", night, octets)
		}
	}
}

// openSpools counts spool files that are still open, on systems that tell.
func openSpools() (n int) {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(to, "restante-message-") {
			n++
		}
	}
	return n
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
