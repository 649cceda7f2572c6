package imapsource

import (
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/storage/ledger"
)

// found is a handler's change that puts another list of UIDs in place of the
// one that SEARCH gives in INBOX, which has 12 messages.
func found(uids string) func(imaptest.Command, string) string {
	return func(cmd imaptest.Command, text string) string {
		if strings.Contains(text, "SEARCH 1 2 3 4 5 6 7 8 9 10 11 12") {
			return strings.Replace(text, "1 2 3 4 5 6 7 8 9 10 11 12", strings.ReplaceAll(uids, ",", " "), 1)
		}
		return strings.Replace(text, "ALL 1,2,3,4,5,6,7,8,9,10,11,12\r", "ALL "+uids+"\r", 1)
	}
}

// What SEARCH leaves out or adds is found out by the number of messages, and
// FETCH decides.
func TestSearchThatIsWrongIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, caps string
		change     func(imaptest.Command, string) string
	}{
		{"one left out", everything, found("1,2,3,4,5,6,7,8,9,10,11")},
		{"one left out, no ESEARCH", "", found("1,2,3,4,5,6,7,8,9,10,11")},
		{"nothing", everything, func(_ imaptest.Command, s string) string {
			return regexp.MustCompile(` ALL [^\r]*`).ReplaceAllString(s, "")
		}},
		{"nothing, no ESEARCH", "", found("")},
		{"no answer but OK", everything, func(_ imaptest.Command, s string) string {
			return regexp.MustCompile(`\* ESEARCH [^\n]*\n`).ReplaceAllString(s, "")
		}},
		{"no answer but OK, no ESEARCH", "", func(_ imaptest.Command, s string) string {
			return regexp.MustCompile(`\* SEARCH [^\n]*\n`).ReplaceAllString(s, "")
		}},
		{"four billion", everything, found("1:4294967295")},
		{"four billion, in two", everything, found("2:4294967295,1")},
		{"twenty million", everything, found("1:20000000")},
		{"sequence numbers", everything, func(_ imaptest.Command, s string) string { return strings.Replace(s, ") UID ", ") ", 1) }},
		{"twice the same", everything, found("1:12,1:12,5")},
		{"out of order", everything, found("12,1:4,7:11,6,5")},
		{"twice the same, no ESEARCH", "", found("1,1,2,3,4,5,6,7,8,9,10,11,12,12")},
		{"out of order, no ESEARCH", "", found("12,11,10,9,8,7,6,5,4,3,2,1")},
		{"an answer that nobody knows", everything, func(cmd imaptest.Command, s string) string { return "* SEARCHING\r\n* 3 FINDS\r\n" + s }},
		{"refused", everything, func(cmd imaptest.Command, s string) string { return cmd.Tag + " NO [CANNOT] search\r\n" }},
		{"refused as nonsense", everything, func(cmd imaptest.Command, s string) string { return cmd.Tag + " BAD what?\r\n" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, test.caps)
			c.fill()
			script := c.rewritten("UID SEARCH", test.change)
			c.whole("first", script)
			c.account.Expunge("INBOX", 5)
			c.account.Add("INBOX", letter(90), `\Flagged`)
			c.whole("second", script)
		})
	}
}

// Where FETCH does not agree with the number of messages either, nothing is
// taken for gone, and the run says so.
func TestServerThatContradictsItselfRemovesNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		command string
		change  func(imaptest.Command, string) string
	}{
		{"more messages than there are", "EXAMINE", func(_ imaptest.Command, s string) string {
			return strings.Replace(s, "* 12 EXISTS", "* 13 EXISTS", 1)
		}},
		{"four billion messages", "EXAMINE", func(_ imaptest.Command, s string) string {
			return strings.Replace(s, "* 12 EXISTS", "* 4294967295 EXISTS", 1)
		}},
		{"fewer messages than there are", "EXAMINE", func(_ imaptest.Command, s string) string {
			return strings.Replace(s, "* 12 EXISTS", "* 11 EXISTS", 1)
		}},
		{"no messages", "EXAMINE", func(_ imaptest.Command, s string) string {
			return strings.Replace(s, "* 12 EXISTS", "* 0 EXISTS", 1)
		}},
		{"SEARCH finds one more", "UID SEARCH", func(_ imaptest.Command, s string) string {
			return strings.NewReplacer("12 13\r", "12 13 99\r", "12,13\r", "12,13,99\r").Replace(s)
		}},
		{"does not say how many", "EXAMINE", func(_ imaptest.Command, s string) string {
			return strings.Replace(s, "* 12 EXISTS\r\n", "", 1)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for name, caps := range everyServer {
				c := newChain(t, caps)
				c.fill()
				c.whole("first", nil)
				before := c.view()["INBOX"]
				c.account.Expunge("INBOX", 5)
				c.account.Add("INBOX", letter(90), ``)
				result := c.incomplete(name, c.rewritten(test.command, test.change), "it is not certain what there is")
				want := c.view()
				want["INBOX"]["1000/5"] = before["1000/5"]
				c.same(name, c.snapshot(result.Snapshot), want)
				result = c.must(nil)
				c.same("when it agrees", c.snapshot(result.Snapshot), c.view())
				if result.Snapshot.Marks != 0 {
					t.Errorf("%s: marked %v, %q", name, result.Snapshot.Marks, result.Snapshot.Notes)
				}
			}
		})
	}
}

// SEARCH and FETCH that leave out the same message are contradicted by the
// number of messages.
func TestMessageLeftOutEverywhereIsNotGone(t *testing.T) {
	t.Parallel()
	for name, caps := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			c.fill()
			c.whole("first", nil)
			c.account.Add("INBOX", letter(90), ``)
			script := c.rewritten("UID FETCH", func(_ imaptest.Command, s string) string {
				return regexp.MustCompile(`\* 5 FETCH \(UID 5[^\n]*\n`).ReplaceAllString(s, "")
			})
			script.Handle["UID SEARCH"] = imaptest.Rewrite(script.Handle["UID SEARCH"], func(_ imaptest.Command, s string) string {
				return strings.NewReplacer(" 5 ", " ", ",5,", ",").Replace(s)
			})
			result := c.incomplete("second", script, "it is not certain what there is")
			c.same("second", c.snapshot(result.Snapshot), c.view())
		})
	}
}

// Mail that comes and goes while a folder is looked at is no contradiction.
func TestMailThatComesAndGoesMeanwhile(t *testing.T) {
	t.Parallel()
	for name, caps := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			c.fill()
			var searches atomic.Int32
			script := c.with("UID SEARCH", func(own imaptest.Handler) imaptest.Handler {
				return func(conn *imaptest.Conn, cmd imaptest.Command) {
					if n := searches.Add(1); n < 20 {
						c.account.Add("INBOX", letter(100+int(n)), ``)
						c.account.Expunge("INBOX", uint32(n))
					}
					own(conn, cmd)
				}
			})
			result := c.must(script)
			if result.Snapshot.Marks.Has(ledger.Incomplete) {
				t.Errorf("marked %v, %q, %v", result.Snapshot.Marks, result.Snapshot.Notes, result.Missing)
			}
			c.whole("in the end", nil)
		})
	}
}

// An answer that is more than any folder has does not fill the memory.
func TestEndlessAnswersEnd(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: ten million answers take a while")
	}
	c := newChain(t, everything)
	c.fill()
	c.whole("first", nil)
	before := c.view()
	c.account.Flag("Sent", 1, `\Flagged`)
	c.account.Add("INBOX", letter(1), ``)
	// A server that tells of the flags of messages that it does not have.
	result := c.incomplete("second", c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
		return func(conn *imaptest.Conn, cmd imaptest.Command) {
			if wantsBody(cmd, 13) || !strings.Contains(cmd.Args, "CHANGEDSINCE") {
				own(conn, cmd)
				return
			}
			var b strings.Builder
			for uid := uint32(1); ; uid++ {
				if fmt.Fprintf(&b, "* %d FETCH (UID %d FLAGS ())\r\n", uid, uid); uid%1000 != 0 {
					continue
				}
				if _, err := conn.Write([]byte(b.String())); err != nil {
					return
				}
				b.Reset()
			}
		}
	}), "it tells of more than")
	c.same("second", c.snapshot(result.Snapshot), before)
}

// A server may tell how many messages there are by now when it is asked for
// nothing else.
func TestNumberOfMessagesThatIsToldLate(t *testing.T) {
	t.Parallel()
	for name, caps := range everyServer {
		c := newChain(t, caps)
		c.fill()
		script := c.rewritten("EXAMINE", func(_ imaptest.Command, s string) string {
			return strings.Replace(s, "* 12 EXISTS", "* 11 EXISTS", 1)
		})
		script.Handle["NOOP"] = imaptest.Answer("* 12 EXISTS\r\n%T OK done\r\n")
		c.whole(name, script)
	}
}
