package pop3source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"restante/backup"
	"restante/backup/accounts/pop3conn/pop3test"
	"restante/storage"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, k := range []key{
		{digest: [32]byte{1, 2, 3}, head: [9]byte{4, 5}, size: 123, uidl: "UID1-2"},
		{size: -1, odd: true, uidl: "with a space"},
		{size: 0, uidl: "n1"},
		{size: 7},
	} {
		text := k.text(42)
		if got, ok := parseKey(text); !ok || got != k {
			t.Errorf("%q is %+v, %v", text, got, ok)
		}
	}
	a, b := key{size: 7}, key{size: 7}
	if a.text(1) == b.text(2) {
		t.Error("two messages without unique-ids have one key")
	}
	for _, text := range []string{"", "a b c d", "1700000.M1P2.host", (&key{uidl: "x"}).text(1)[:58], (&key{}).text(1)[1:]} {
		if k, ok := parseKey(text); ok {
			t.Errorf("%q is taken for %+v", text, k)
		}
	}
}

// A night after night: what comes is read once, what goes stays in the
// snapshots before.
func TestMaildropFromNightToNight(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	texts := mail(6)
	d := drop(texts[:3]...)
	first := run(t, repo, d)
	wantHeld(t, repo, first, d)
	wantStats(t, first, 3, 0)
	if got := messagesOf(t, repo, first.Snapshot); got[0].uid != 1 || got[2].uid != 3 {
		t.Errorf("%+v", got)
	}
	before := retrieved(d)
	second := run(t, repo, d)
	wantHeld(t, repo, second, d)
	wantStats(t, second, 0, 0)
	if n := retrieved(d) - before; n != 0 || second.Snapshot.Root != first.Snapshot.Root {
		t.Errorf("nothing changed, and %d messages were read", n)
	}
	d.Do(func() { d.Messages = d.Messages[1:] }) // a client removes one
	d.Add("one more, longer than the others\r\n")
	third := run(t, repo, d)
	wantHeld(t, repo, third, d)
	wantStats(t, third, 1, 1)
	if n := retrieved(d) - before; n != 1 {
		t.Errorf("%d messages were read for a new one", n)
	}
	if got := messagesOf(t, repo, first.Snapshot); len(got) != 3 || got[0].octets != texts[0] {
		t.Errorf("the first snapshot holds %+v", got)
	}
	if got := messagesOf(t, repo, third.Snapshot); got[0].uid != 2 || got[2].uid != 4 {
		t.Errorf("UIDs: %+v", got)
	}
	tree, err := repo.OpenSnapshot(t.Context(), third.Snapshot)
	if err != nil || tree.Kind != "pop3" || len(tree.Folders) != 1 || tree.Folders[0].Name() != "INBOX" {
		t.Errorf("%+v, %v", tree, err)
	}
}

func TestEmptyMaildrop(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop()
	wantHeld(t, repo, run(t, repo, d), d)
	d.Add("x\r\n")
	wantHeld(t, repo, run(t, repo, d), d)
	d.Do(func() { d.Messages = nil })
	wantHeld(t, repo, run(t, repo, d), d)
}

func TestOddMessagesAreKept(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop("Subject: a\r\n\r\n.\r\n..\r\n"+strings.Repeat("x", 100_000)+"\r\n", "a\n.\r\n+OK\r\nb\r\n", "\x00\r\r\n", "", "large\r\n"+strings.Repeat("0123456789\r\n", 200_000))
	r := run(t, repo, d)
	wantHeld(t, repo, r, d)
	wantNote(t, r, "1 new messages have line ends or dots")
	odd := 0
	for _, m := range messagesOf(t, repo, r.Snapshot) {
		if k, ok := parseKey(m.key); !ok || k.odd != strings.Contains(m.octets, "\n.\r") && k.odd {
			t.Errorf("%.40q has the key %q", m.octets, m.key)
		} else if k.odd {
			odd++
		}
	}
	if odd != 1 {
		t.Errorf("%d messages are marked", odd)
	}
	second := run(t, repo, d)
	wantHeld(t, repo, second, d)
	wantStats(t, second, 0, 0)
}

// Dovecot does not double a dot at the beginning.
func TestDotThatIsNotDoubled(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := &pop3test.Maildrop{Messages: []*pop3test.Message{
		{UIDL: "a", Octets: ".x\r\n", Wire: ".x\r\n.\r\n"}, {UIDL: "b", Octets: "..\r\n", Wire: "..\r\n.\r\n"},
		{UIDL: "c", Octets: ".y\r\n"}, {UIDL: "d", Octets: strings.Repeat(".", 3<<20) + "\r\n", Wire: strings.Repeat(".", 3<<20) + "\r\n.\r\n"},
	}}
	r := run(t, repo, d)
	wantHeld(t, repo, r, d)
	if len(r.Snapshot.Notes) > 0 {
		t.Errorf("%q", r.Snapshot.Notes)
	}
	wantStats(t, run(t, repo, d), 0, 0)
}

// A message that cannot be had is named, and does not keep others from being
// read.
func TestMessagesThatCannotBeHad(t *testing.T) {
	t.Parallel()
	texts := mail(100)
	for name, change := range map[string]func(d *pop3test.Maildrop){
		"refused": func(d *pop3test.Maildrop) {
			d.Handle = map[string]func(*pop3test.Conn, string){"RETR": func(c *pop3test.Conn, command string) {
				if command == "RETR 40" {
					c.Say("-ERR cannot read it\r\n")
				} else {
					c.Default(command)
				}
			}}
		},
		"a dot alone at its beginning": func(d *pop3test.Maildrop) { d.Messages[39].Octets, d.Messages[39].Wire = ".\r\n", ".\r\n.\r\n" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := newRepository(t)
			d := drop(texts...)
			change(d)
			r := run(t, repo, d)
			if got := messagesOf(t, repo, r.Snapshot); len(got) != 99 || len(r.Missing) != 1 || r.Missing[0].UID != 40 || !r.Snapshot.Marks.Has(storage.Incomplete) {
				t.Errorf("%d messages, missing %+v, marked %v, %q", len(got), r.Missing, r.Snapshot.Marks, r.Snapshot.Notes)
			}
			if n := d.Sessions(); n > 3 {
				t.Errorf("%d sessions for one message", n)
			}
			// It is asked for again.
			d.Do(func() { d.Messages[39].Wire, d.Messages[39].Octets, d.Handle = "", texts[39], nil })
			wantHeld(t, repo, run(t, repo, d), d)
		})
	}
}

// A message that may have ended elsewhere is asked for alone.
func TestOutOfStep(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	texts := mail(10)
	texts[4] = "a\n.\r\nb\r\n"
	d := drop(texts...)
	wantHeld(t, repo, run(t, repo, d), d)
	if n := d.Sessions(); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

func TestReadingAllAgain(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	texts := mail(3)
	d := drop(texts...)
	run(t, repo, d)
	o := options(t, repo)
	o.Full = true
	src := newSource(&line{drop: d})
	r, err := backup.Run(t.Context(), repo, src, o)
	if err != nil {
		t.Fatal(err)
	}
	wantHeld(t, repo, r, d)
	// One unique-id stands for another message that looks the same until all of it is read.
	d.Do(func() { d.Messages[1].Octets = strings.Replace(texts[1], "nothing", "NOTHING", 1) })
	r, err = backup.Run(t.Context(), repo, src, o)
	if err != nil || len(r.Missing) != 1 || len(messagesOf(t, repo, r.Snapshot)) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	wantHeld(t, repo, run(t, repo, d), d)
}

func TestBusyMaildrop(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop(mail(3)...)
	d.InUse = 3
	wantHeld(t, repo, run(t, repo, d), d)
	d.Do(func() { d.InUse = 100 })
	src := newSource(&line{drop: d})
	if _, err := backup.Run(t.Context(), repo, src, options(t, repo)); !errors.Is(err, backup.ErrBusy) || !strings.Contains(err.Error(), "another session") {
		t.Error(err)
	}
	got := 0
	d.Do(func() { got = d.InUse })
	if got != 92 {
		t.Errorf("%d tries", 100-got)
	}
	if len(repo.Snapshots("alice/laptop")) != 1 {
		t.Error("a snapshot of a maildrop that was not opened")
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop("x\r\n")
	d.Password = "another"
	if _, err := backup.Run(t.Context(), repo, newSource(&line{drop: d}), options(t, repo)); !errors.Is(err, backup.ErrAccess) {
		t.Error(err)
	}
	if len(d.Commands()) > 5 {
		t.Errorf("it was tried again: %q", d.Commands())
	}
}

// The traps of unique-ids: content decides, and nothing is left out.
func TestUniqueIDs(t *testing.T) {
	t.Parallel()
	position := func(_, number int, _ *pop3test.Message) string { return fmt.Sprint("msg", number) }
	for _, test := range []struct {
		name string
		uidl func(session, number int, m *pop3test.Message) string
		no   string // commands that the server does not know
		note string
	}{
		{"none", nil, "UIDL", "no unique-id"},
		{"none, and no TOP", nil, "UIDL TOP", "no unique-id"},
		{"none, and no sizes", nil, "UIDL LIST", "no unique-id"},
		{"empty", func(int, int, *pop3test.Message) string { return "" }, "", "no unique-id"},
		{"all the same", func(int, int, *pop3test.Message) string { return "same" }, "", "no unique-id"},
		{"two alike", func(_, number int, m *pop3test.Message) string {
			if number <= 2 {
				return "same"
			}
			return m.UIDL
		}, "", "2 messages no unique-id"},
		{"other ones every time", func(session, number int, _ *pop3test.Message) string { return fmt.Sprintf("%d.%d", session, number) }, "", "other unique-ids"},
		{"positions", position, "", ""},
		{"positions, and no TOP", position, "TOP", ""},
		{"positions from the end", func(_, number int, _ *pop3test.Message) string { return fmt.Sprint("msg", 1000-number) }, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			repo := newRepository(t)
			texts := mail(9) // all of one size
			d := drop(append([]string{texts[0]}, texts[:5]...)...)
			d.UIDL, d.Unknown = test.uidl, test.no
			first := run(t, repo, d)
			if d.Unknown == "UIDL LIST" {
				// The server cannot say what there is; it is counted only.
				first.Snapshot.Marks = 0
			}
			wantHeld(t, repo, first, d)
			wantStats(t, first, 6, 0)
			second := run(t, repo, d)
			second.Snapshot.Marks = 0
			wantHeld(t, repo, second, d)
			wantStats(t, second, 0, 0)
			if test.note != "" {
				wantNote(t, second, test.note)
			}
			// A client removes some; what is behind them moves up.
			d.Do(func() { d.Messages = slices.Delete(d.Messages, 1, 3) })
			d.Add(texts[5:]...)
			third := run(t, repo, d)
			if test.no == "UIDL LIST" {
				// Nothing is taken for gone.
				if n := len(messagesOf(t, repo, third.Snapshot)); n != 10 {
					t.Errorf("%d messages", n)
				}
				return
			}
			wantHeld(t, repo, third, d)
			wantStats(t, third, 4, 2)
			fourth := run(t, repo, d)
			wantHeld(t, repo, fourth, d)
			wantStats(t, fourth, 0, 0)
		})
	}
}

// A unique-id that is used again for another message does not hide it.
func TestUniqueIDUsedAgain(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	texts := mail(2)
	d := drop(texts[0], "another\r\n")
	first := run(t, repo, d)
	d.Do(func() { d.Messages[0].Octets = texts[1] })
	second := run(t, repo, d)
	wantHeld(t, repo, second, d)
	wantStats(t, second, 1, 1)
	wantNote(t, second, "stand for other messages")
	d.Do(func() { d.Messages[1].Octets = "another size\r\n" })
	third := run(t, repo, d)
	wantHeld(t, repo, third, d)
	if got := messagesOf(t, repo, first.Snapshot); got[0].octets != texts[0] {
		t.Errorf("%+v", got)
	}
}

// A server that was moved gives other unique-ids, once. All is read once more,
// to see that it is the same, and the new ones are kept.
func TestUniqueIDsThatChangeOnce(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop(mail(5)...)
	run(t, repo, d)
	d.Do(func() {
		for i, m := range d.Messages {
			m.UIDL = fmt.Sprint("moved-", i)
		}
	})
	before := retrieved(d)
	second := run(t, repo, d)
	wantHeld(t, repo, second, d)
	wantStats(t, second, 0, 0)
	wantNote(t, second, "5 messages have other unique-ids")
	if n := retrieved(d) - before; n != 5 {
		t.Errorf("%d messages were read", n)
	}
	third := run(t, repo, d)
	wantHeld(t, repo, third, d)
	if n := retrieved(d) - before; n != 5 || len(third.Snapshot.Notes) > 0 || third.Snapshot.Root != second.Snapshot.Root {
		t.Errorf("the new unique-ids were not kept: %d messages were read, %q", n, third.Snapshot.Notes)
	}
}

// A server that says two things is not believed about what is gone.
func TestListingsThatContradictThemselves(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop(mail(5)...)
	run(t, repo, d)
	handle := map[string]func(*pop3test.Conn, string){
		"LIST": func(c *pop3test.Conn, _ string) { io.WriteString(c, "+OK\r\n1 10\r\n.\r\n") },
		"UIDL": func(c *pop3test.Conn, _ string) { io.WriteString(c, "+OK\r\n1 x\r\n.\r\n") },
		"STAT": func(c *pop3test.Conn, _ string) { io.WriteString(c, "+OK 3 10\r\n") },
		"RETR": func(c *pop3test.Conn, _ string) { io.WriteString(c, "-ERR no\r\n") },
	}
	d.Do(func() { d.Handle = handle })
	r := run(t, repo, d)
	if len(messagesOf(t, repo, r.Snapshot)) != 5 || !r.Snapshot.Marks.Has(storage.Incomplete) {
		t.Errorf("%+v", r)
	}
}

// The connection is lost in the middle, at every place once.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	for name, no := range map[string]string{"with unique-ids": "", "without": "UIDL"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			texts := mail(40)
			for cut := 1; cut < 4500; cut += 199 {
				repo := newRepository(t)
				d := drop(texts...)
				d.Unknown = no
				src := newSource(&line{drop: d, cuts: []int{cut}})
				r, err := backup.Run(t.Context(), repo, src, options(t, repo))
				src.Close()
				switch {
				case err != nil: // it was lost before the maildrop was open
				case no == "" && !r.Snapshot.Marks.Has(storage.Incomplete):
					wantHeld(t, repo, r, d)
				default:
					// What could not be found again is named.
					if n := len(messagesOf(t, repo, r.Snapshot)); n+len(r.Missing) != len(texts) {
						t.Errorf("cut at %d: %d messages, %d missing", cut, n, len(r.Missing))
					}
				}
				if no == "" && err == nil && len(r.Missing) > 0 {
					t.Errorf("cut at %d: missing %+v", cut, r.Missing)
				}
				wantHeld(t, repo, run(t, repo, d), d)
			}
		})
	}
}

// lostAt loses the connection once, at the n-th RETR, and does something
// before the next session.
func lostAt(d *pop3test.Maildrop, n int, meanwhile func()) {
	var count atomic.Int64
	d.Handle = map[string]func(*pop3test.Conn, string){"RETR": func(c *pop3test.Conn, command string) {
		if count.Add(1) == int64(n) {
			d.Do(meanwhile)
			c.Close()
			return
		}
		c.Default(command)
	}}
}

// Between two sessions of a run a client removes mail, and unique-ids are
// positions: nothing is taken for read that was not.
func TestConnectionLostWhileUniqueIDsMove(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop(mail(700)...) // more than are asked for at once
	d.UIDL = func(_, number int, _ *pop3test.Message) string { return fmt.Sprint("msg", number) }
	lostAt(d, 600, func() { d.Messages = slices.Delete(d.Messages, 0, 1) })
	r := run(t, repo, d)
	held := map[string]bool{}
	for _, m := range messagesOf(t, repo, r.Snapshot) {
		held[m.octets] = true
	}
	if !r.Snapshot.Marks.Has(storage.Incomplete) || len(r.Missing) == 0 || len(held) < 512 {
		t.Errorf("%d messages, %d missing, marked %v", len(held), len(r.Missing), r.Snapshot.Marks)
	}
	wantHeld(t, repo, run(t, repo, d), d)
}

// What a client removes between two sessions of a run is gone, not missing.
func TestConnectionLostWhileMailIsRemoved(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop(mail(40)...)
	lostAt(d, 20, func() { d.Messages = slices.Delete(d.Messages, 29, 30) })
	wantHeld(t, repo, run(t, repo, d), d)
}

// One unique-id that has another size than it had shows that none is to be
// believed, even where a look at some does not.
func TestOneUniqueIDIsWrong(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop(mail(40)...)
	run(t, repo, d)
	d.Do(func() {
		d.Messages[10].Octets, d.Messages[11].Octets = "new\r\n", strings.Replace(d.Messages[11].Octets, "nothing", "NOTHING", 1)
	})
	r := run(t, repo, d)
	wantHeld(t, repo, r, d)
	wantNote(t, r, "stand for other messages")
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	d := drop(mail(40)...)
	reason := errors.New("no more time")
	ctx, cancel := context.WithCancelCause(t.Context())
	var n atomic.Int64
	d.Handle = map[string]func(*pop3test.Conn, string){"RETR": func(c *pop3test.Conn, command string) {
		if n.Add(1) == 20 {
			cancel(reason)
		}
		c.Default(command)
	}}
	src := newSource(&line{drop: d})
	if _, err := backup.Run(ctx, repo, src, options(t, repo)); !errors.Is(err, reason) {
		t.Error(err)
	}
	src.Close()
	wantHeld(t, repo, run(t, repo, d), d)
}
