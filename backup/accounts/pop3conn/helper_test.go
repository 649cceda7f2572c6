package pop3conn

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"restante/backup/accounts/pop3conn/pop3test"
)

// patience is how long a test waits for what must happen soon. It decides
// nothing when all is well.
const patience = time.Minute

// options are for a maildrop without a network.
func options(d *pop3test.Maildrop) Options {
	return Options{
		Address: "maildrop:110", Security: Insecure, User: "alice", Password: "secret", Idle: patience,
		Dial: func(context.Context, string, string) (net.Conn, error) { return d.Pipe(nil), nil },
	}
}

// dial opens a maildrop.
func dial(t testing.TB, d *pop3test.Maildrop, change func(*Options)) *Conn {
	t.Helper()
	o := options(d)
	if change != nil {
		change(&o)
	}
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// retrieve reads messages into memory.
func retrieve(c *Conn, numbers ...int) (texts []string, bodies []Body, err error) {
	var list []Listed
	for _, n := range numbers {
		list = append(list, Listed{Number: n, Size: -1})
	}
	return retrieveListed(c, list)
}

func retrieveListed(c *Conn, list []Listed) (texts []string, bodies []Body, err error) {
	var b bytes.Buffer
	err = c.Retrieve(list, func(int) io.Writer { b.Reset(); return &b }, func(body Body) error {
		texts = append(texts, b.String())
		bodies = append(bodies, body)
		b.Reset()
		return nil
	})
	return texts, bodies, err
}

// alive fails the test if the connection is out of step.
func alive(t testing.TB, c *Conn) {
	t.Helper()
	if err := c.Noop(); err != nil {
		t.Errorf("the connection is no longer usable: %v", err)
	}
}

// drop is a maildrop with messages.
func drop(octets ...string) *pop3test.Maildrop {
	d := new(pop3test.Maildrop)
	d.Add(octets...)
	return d
}
