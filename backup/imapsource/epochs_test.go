package imapsource

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/storage/ledger"
)

// headers counts the messages that the last backup asked for the header of.
func (c *chain) headers() (n int) {
	for _, cmd := range c.commands {
		if strings.Contains(cmd.Args, "BODY.PEEK[HEADER]") {
			n++
		}
	}
	return n
}

// renew gives a folder a new UIDVALIDITY and new UIDs.
func (c *chain) renew(folder string, by uint32) {
	f := c.account.Folder(folder)
	c.account.Do(func() {
		f.Validity++
		for _, m := range f.Messages {
			m.UID += by
		}
		f.Next += by
	})
}

// A new UIDVALIDITY is a new epoch: all is matched again by what it is, most of
// it is not read again, earlier snapshots stay, and the run says so.
func TestNewEpochIsMatchedByContent(t *testing.T) {
	t.Parallel()
	for name, caps := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			c.fill()
			for i := range 100 {
				c.account.Add("INBOX", letter(200+i), `\Seen`)
			}
			first := c.whole("first", nil)
			before := c.snapshot(first.Snapshot)
			c.renew("INBOX", 1000)
			c.account.Add("INBOX", letter(400), ``)
			c.account.Flag("INBOX", 1003, `\Deleted`)
			result := c.must(nil)
			c.same("another UIDVALIDITY", c.snapshot(result.Snapshot), c.view())
			c.same("the first", c.snapshot(first.Snapshot), before)
			if got := fmt.Sprint(result.Snapshot.Notes); !strings.Contains(got, `folder "INBOX": UIDVALIDITY changed from 1000 to 1001`) {
				t.Errorf("it says %s", got)
			}
			if n := c.bodies(); n < 2 || n > 10 || c.headers() == 0 {
				t.Errorf("%d messages were read, and headers with %d commands", n, c.headers())
			}
			if result.Snapshot.Stats.Gone != 112 || result.Snapshot.Marks.Has(ledger.Incomplete) {
				t.Errorf("%d gone, marked %v", result.Snapshot.Stats.Gone, result.Snapshot.Marks)
			}
			c.whole("nothing changed", nil)
		})
	}
}

// The same, on a line that is lost meanwhile: what happened is told once.
func TestNewEpochIsToldOfOnce(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	c.whole("first", nil)
	c.renew("INBOX", 50)
	var lost atomic.Int32
	result := c.must(c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
		return func(conn *imaptest.Conn, cmd imaptest.Command) {
			if strings.Contains(cmd.Args, "HEADER") && lost.Add(1) <= 2 {
				conn.Close()
				return
			}
			own(conn, cmd)
		}
	}))
	c.same("second", c.snapshot(result.Snapshot), c.view())
	if lost.Load() != 3 || len(result.Snapshot.Notes) != 1 || result.Snapshot.Stats.Gone != 12 {
		t.Errorf("%d gone, %q", result.Snapshot.Stats.Gone, result.Snapshot.Notes)
	}
}

// Messages that are like others but for what stands behind their headers are
// not taken for them.
func TestMessagesWithTheSameHeaderAreNotMixed(t *testing.T) {
	t.Parallel()
	for name, caps := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			date := `" 1-Nov-2023 00:00:00 +0000"`
			for i := range 120 {
				m := c.account.Add("INBOX", fmt.Sprintf("Subject: report\r\n\r\nnumber %04d\r\n", i), ``)
				c.account.Do(func() { m.Date = date })
			}
			c.whole("first", nil)
			inbox := c.account.Folder("INBOX")
			c.account.Do(func() {
				inbox.Validity++
				for i, m := range inbox.Messages {
					m.Body = fmt.Sprintf("Subject: report\r\n\r\nnumber %04d\r\n", 500+i)
				}
			})
			result := c.must(nil)
			c.same("another UIDVALIDITY", c.snapshot(result.Snapshot), c.view())
		})
	}
}

// A folder that was renamed is found again by its UIDVALIDITY and its content.
func TestRenamedFolderIsNotReadAgain(t *testing.T) {
	t.Parallel()
	for name, caps := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			c.fill()
			for i := range 100 {
				c.account.Add("Projects/Old", letter(200+i), `\Seen`)
			}
			c.whole("first", nil)
			f := c.account.Folder("Projects/Old")
			c.account.Do(func() { f.Name = "Archive/2023" })
			result := c.must(nil)
			c.same("renamed", c.snapshot(result.Snapshot), c.view())
			if n := c.bodies(); n > 5 {
				t.Errorf("%d messages were read", n)
			}
			if s := result.Snapshot; s.Marks != 0 || s.Stats.Gone != 0 || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], `"Projects/Old" is now called "Archive/2023"`) {
				t.Errorf("marked %v, %d gone, %q", s.Marks, s.Stats.Gone, s.Notes)
			}
			c.whole("nothing changed", nil)
		})
	}
}

// A folder that has one message of one that is gone is not that folder.
func TestFolderThatIsGoneIsNotTakenForOneWithACopy(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	for i := range 60 {
		c.account.Add("Old", letter(200+i), `\Seen`)
	}
	old := c.account.Folder("Old")
	var copied imaptest.Message
	c.account.Do(func() { copied = *old.Messages[7] })
	c.whole("first", nil)
	c.account.Remove("Old")
	for i := range 70 {
		c.account.Add("New", letter(300+i), ``)
	}
	m := c.account.Add("New", copied.Body, ``)
	f := c.account.Folder("New")
	c.account.Do(func() { m.Date, f.Validity = copied.Date, old.Validity })
	result := c.must(nil)
	c.same("second", c.snapshot(result.Snapshot), c.view())
	if s := result.Snapshot; !s.Marks.Has(ledger.Anomalous) || s.Stats.Gone != 60 || !strings.Contains(fmt.Sprint(s.Notes), `"Old" is gone, with 60 messages`) {
		t.Errorf("marked %v, %d gone, %q", s.Marks, s.Stats.Gone, s.Notes)
	}
}

// More than a fifth of an account's messages gone at once is said to be odd.
func TestManyMessagesGoneAtOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		gone int
		odd  bool
	}{{50, false}, {51, true}, {60, true}} {
		c := newChain(t, everything)
		for i := range 250 {
			c.account.Add("INBOX", letter(i), ``)
		}
		c.whole("first", nil)
		var uids []uint32
		for i := range test.gone {
			uids = append(uids, uint32(1+3*i))
		}
		c.account.Expunge("INBOX", uids...)
		result := c.must(nil)
		c.same("second", c.snapshot(result.Snapshot), c.view())
		if result.Snapshot.Marks.Has(ledger.Anomalous) != test.odd {
			t.Errorf("%d of 250 gone: marked %v, %q", test.gone, result.Snapshot.Marks, result.Snapshot.Notes)
		}
	}
}
