package imapsource

import (
	"strings"
	"sync/atomic"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/storage/ledger"
)

// Folders that are listed and cannot be opened stay as the last snapshot has
// them, and the run says that it has not all.
func TestFoldersThatCannotBeOpenedStayAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, answer, reason string }{
		{"gone", "%T NO [NONEXISTENT] there is no such folder\r\n", `folder "Sent": it vanished`},
		{"no right", "%T NO [NOPERM] not you\r\n", `folder "Sent": open folder "Sent": EXAMINE: imap: NO [NOPERM] not you`},
		{"refused", "%T NO go away\r\n", `EXAMINE: imap: NO go away`},
		{"not understood", "%T BAD what?\r\n", `EXAMINE: imap: BAD what?`},
		{"no UIDVALIDITY", "* 7 EXISTS\r\n* OK [UIDNEXT 8] ok\r\n%T OK [READ-ONLY] done\r\n", `it names no UIDVALIDITY`},
		{"UIDVALIDITY 0", "* 7 EXISTS\r\n* OK [UIDVALIDITY 0] ok\r\n%T OK [READ-ONLY] done\r\n", `it names no UIDVALIDITY`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, everything)
			c.fill()
			c.whole("first", nil)
			before := c.view()["Sent"]
			c.account.Add("Sent", letter(50), ``)
			c.account.Expunge("Sent", 1)
			c.account.Add("INBOX", letter(51), ``)
			result := c.incomplete("second", c.refused("EXAMINE", test.answer, func(cmd imaptest.Command) bool { return strings.Contains(cmd.Args, "Sent") }), test.reason)
			want := c.view()
			want["Sent"] = before
			c.same("second", c.snapshot(result.Snapshot), want)
			if result.Snapshot.Marks.Has(ledger.Anomalous) {
				t.Error("it is taken for gone")
			}
			c.whole("when it can be opened", nil)
		})
	}
}

// A folder that could never be opened is not in the snapshot, which says so.
func TestFolderThatCouldNeverBeOpenedIsNotForgotten(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"%T NO [NONEXISTENT] hidden\r\n", "%T NO [NOPERM] hidden\r\n", "%T NO hidden\r\n"} {
		c := newChain(t, everything)
		c.fill()
		c.incomplete(answer, c.refused("EXAMINE", answer, func(cmd imaptest.Command) bool { return strings.Contains(cmd.Args, "Sent") }), `folder "Sent": `)
		c.whole("when it can be opened", nil)
	}
}

// A folder that another has taken the place of while it was read is not mixed
// with it.
func TestFolderIsNotMixedWithItsSuccessor(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	before, inbox := c.view(), c.account.Folder("INBOX")
	var replaced atomic.Bool
	result := c.incomplete("first", c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
		return func(conn *imaptest.Conn, cmd imaptest.Command) {
			if wantsBody(cmd, 12) && replaced.CompareAndSwap(false, true) {
				c.account.Do(func() {
					inbox.Validity++
					for i, m := range inbox.Messages {
						m.Body = letter(70 + i)
					}
				})
				conn.Close()
				return
			}
			own(conn, cmd)
		}
	}), "its UIDVALIDITY changed while it was being read")
	for place, m := range c.snapshot(result.Snapshot)["INBOX"] {
		if before["INBOX"][place] != m {
			t.Errorf("%s is %s, which was never there", place, m)
		}
	}
	result = c.must(nil)
	c.same("in the end", c.snapshot(result.Snapshot), c.view())
}
