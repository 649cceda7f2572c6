package imaptarget

import (
	"context"
	"sync"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
)

// A busy is a server that takes what it was sent long after whoever sent it is
// gone: some of it each time that the folder is opened again, or, at the latest,
// when something else comes.
type busy struct {
	account *imaptest.Account

	mu    sync.Mutex // guards what follows, while the server runs
	late  [][]letter // that are there the next times
	after int        // so many times that the folder is opened nothing comes
	hold  func(c *imaptest.Conn)
	held  map[*imaptest.Conn]bool // of which nothing is taken but what is late
}

// release has the server take what comes over other connections than those that
// it held, and nothing late before the folder was opened so often.
func (b *busy) release(after int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hold, b.after = nil, after
}

// change makes a script busy. Until hold is nil, it is given each APPEND, and
// what else was sent over that connection, which the server may read long after
// the client has left, is not taken either.
func (b *busy) change(a *imaptest.Account, s *imaptest.Script) {
	b.account, b.held = a, map[*imaptest.Conn]bool{}
	take := func() {
		for _, l := range b.late[0] {
			a.Add("INBOX", l.octets, `\Seen`)
		}
		b.late = b.late[1:]
	}
	open, add := s.Handle["SELECT"], s.Handle["APPEND"]
	s.Handle["SELECT"] = func(c *imaptest.Conn, cmd imaptest.Command) {
		b.mu.Lock()
		if b.after--; b.after < 0 && len(b.late) > 0 {
			take()
		}
		b.mu.Unlock()
		open(c, cmd)
	}
	s.Handle["APPEND"] = func(c *imaptest.Conn, cmd imaptest.Command) {
		b.mu.Lock()
		if b.hold != nil {
			b.held[c] = true
			b.hold(c)
		}
		held := b.held[c]
		for !held && len(b.late) > 0 {
			take()
		}
		b.mu.Unlock()
		if !held {
			add(c, cmd)
		}
	}
}

// once fails the test unless each message is there once.
func (b *busy) once(t *testing.T, letters []letter) {
	t.Helper()
	times := map[string]int{}
	for _, m := range b.account.Folder("INBOX").Messages {
		times[m.Body]++
	}
	for _, l := range letters {
		if n := times[l.octets]; n != 1 {
			t.Errorf("%q is there %d times", l.octets, n)
		}
	}
}

func TestWhatARestoreSentThatWasKilledIsWaitedFor(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 20)
	ctx, kill := context.WithCancel(t.Context())
	b := &busy{after: 1 << 20, late: [][]letter{letters[:5], letters[5:8], letters[8:9]}, hold: func(*imaptest.Conn) { kill() }}
	d := atDesk(t, full, b.change, named("INBOX", letters...))
	d.journal = t.TempDir()
	if _, err := d.over(ctx, d.target(nil), restore.Options{}); err == nil {
		t.Fatal("the restore came to its end")
	}
	b.release(2) // nothing when it is looked into, nor when it is to be filled
	if sum := d.restore().Totals(); sum.Appended != 11 || sum.Present != 9 {
		t.Errorf("%d appended, %d present", sum.Appended, sum.Present)
	}
	b.once(t, letters)
	opened := len(d.sent("SELECT"))
	if sum := d.restore().Totals(); sum.Present != 20 || len(d.sent("SELECT")) != opened+1 {
		t.Errorf("the next one found %d, and opened the folder %d times", sum.Present, len(d.sent("SELECT"))-opened)
	}
}

func TestWhatALostConnectionCarriedIsWaitedFor(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 20)
	b := &busy{after: 3, late: [][]letter{letters[:5], letters[5:8]}}
	b.hold = func(c *imaptest.Conn) { b.hold = nil; c.Close() }
	d := atDesk(t, full, b.change, named("INBOX", letters...))
	if sum := d.restore().Totals(); sum.Appended != 20 { // all of them are of this restore
		t.Errorf("%d appended", sum.Appended)
	}
	b.once(t, letters)
}

// Somebody else may add messages for ever.
func TestWhatAnotherAddsIsNotWaitedForWithoutEnd(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 20)
	others := someLetters("others", 100)
	ctx, kill := context.WithCancel(t.Context())
	b := &busy{after: 1 << 20, hold: func(*imaptest.Conn) { kill() }}
	for _, l := range others {
		b.late = append(b.late, []letter{l})
	}
	d := atDesk(t, full, b.change, named("INBOX", letters...))
	d.journal = t.TempDir()
	if _, err := d.over(ctx, d.target(nil), restore.Options{}); err == nil {
		t.Fatal("the restore came to its end")
	}
	b.release(0)
	if sum := d.restore().Totals(); sum.Appended != 20 {
		t.Errorf("%d appended", sum.Appended)
	}
	b.once(t, letters)
	if n := len(d.sent("SELECT")); n > 20 {
		t.Errorf("the folder was opened %d times", n)
	}
}
