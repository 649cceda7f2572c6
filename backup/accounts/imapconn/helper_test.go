package imapconn

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/backup/accounts/imapconn/imaptest"
)

// patience is how long a test waits for what must happen soon. It decides
// nothing when all is well.
const patience = time.Minute

// dial connects to a scripted server in clear text.
func dial(t testing.TB, s *imaptest.Server, change func(*Options)) *Conn {
	t.Helper()
	o := Options{Address: s.Addr, Security: Insecure, User: "alice", Password: "secret", Idle: patience}
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

// soon fails the test if f does not return.
func soon[T any](t testing.TB, what string, f func() T) T {
	t.Helper()
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case v := <-done:
		return v
	case <-time.After(patience):
		t.Fatalf("%s hangs", what)
		panic("unreachable")
	}
}

// alive fails the test if the connection no longer answers.
func alive(t testing.TB, c *Conn) {
	t.Helper()
	if err := soon(t, "NOOP", func() error { return c.Noop().Wait() }); err != nil {
		t.Errorf("the connection is no longer usable: %v", c.Explain(err))
	}
}

// oddities is an Options.Odd that keeps what it is told.
type oddities struct {
	mu  sync.Mutex
	all []Oddity
}

func (o *oddities) add(x Oddity) {
	o.mu.Lock()
	o.all = append(o.all, x)
	o.mu.Unlock()
}

func (o *oddities) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var s []string
	for _, x := range o.all {
		s = append(s, fmt.Sprintf("%d/%d %s=%s", x.Seq, x.UID, x.Item, x.Raw))
	}
	return strings.Join(s, "; ")
}

// fetched is what a FETCH gave, as one line per message.
func fetched(c *Conn, set imap.NumSet, body bool) (string, error) {
	o := &imap.FetchOptions{UID: true, Flags: true, InternalDate: true}
	if body {
		o.BodySection = []*imap.FetchItemBodySection{{Peek: true}}
	}
	cmd := c.Fetch(set, o)
	var out []string
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		var line []string
		for item := m.Next(); item != nil; item = m.Next() {
			line = append(line, itemText(item))
		}
		out = append(out, strings.Join(line, " "))
	}
	return strings.Join(out, "\n"), cmd.Close()
}

func itemText(item imapclient.FetchItemData) string {
	switch item := item.(type) {
	case imapclient.FetchItemDataUID:
		return fmt.Sprint("uid=", item.UID)
	case imapclient.FetchItemDataFlags:
		return fmt.Sprint("flags=", item.Flags)
	case imapclient.FetchItemDataInternalDate:
		return "date=" + item.Time.Format(time.RFC3339)
	case imapclient.FetchItemDataRFC822Size:
		return fmt.Sprint("size=", item.Size)
	case imapclient.FetchItemDataModSeq:
		return fmt.Sprint("modseq=", item.ModSeq)
	case imapclient.FetchItemDataBodySection:
		name := fmt.Sprintf("body[%s]", item.Section.Specifier)
		if item.Literal == nil {
			return name + "=NIL"
		}
		b, err := io.ReadAll(item.Literal)
		if err != nil {
			return fmt.Sprintf("%s=%q!%v", name, b, err)
		}
		if int64(len(b)) != item.Literal.Size() {
			return fmt.Sprintf("%s=%q of %d", name, b, item.Literal.Size())
		}
		return fmt.Sprintf("%s=%q", name, b)
	}
	return fmt.Sprintf("%T", item)
}

func uids(lo, hi imap.UID) imap.UIDSet { return imap.UIDSet{{Start: lo, Stop: hi}} }

func background() context.Context { return context.Background() }
