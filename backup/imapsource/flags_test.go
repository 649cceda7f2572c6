package imapsource

import (
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
)

// onlyFlags changes the FETCH answers of one UID that tell its flags and no
// more.
func onlyFlags(uid uint32, f func(answer string) string) func(imaptest.Command, string) string {
	return func(cmd imaptest.Command, text string) string {
		list := answers(text)
		for i, a := range list {
			if strings.Contains(a, fmt.Sprintf("(UID %d FLAGS", uid)) && !strings.Contains(cmd.Args, "BODY") {
				list[i] = f(a)
			}
		}
		return strings.Join(list, "")
	}
}

// Flags that a server does not tell are not known: the run says so, and the
// next one asks again, also where nothing has changed since.
func TestFlagsThatAreNotToldAreAskedForAgain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(string) string{
		"left out":         func(string) string { return "" },
		"no flags":         func(a string) string { return regexp.MustCompile(` FLAGS \([^)]*\)`).ReplaceAllString(a, "") },
		"no UID":           func(a string) string { return strings.Replace(a, "UID 7 ", "", 1) },
		"a UID nobody has": func(a string) string { return strings.Replace(a, "UID 7 ", "UID 70 ", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for server, caps := range everyServer {
				// All flags are asked for where there is no HIGHESTMODSEQ, or where
				// something was missing the last time.
				c := newChain(t, caps)
				c.fill()
				c.must(c.rewritten("UID FETCH", changed(5, func(string) string { return "" })))
				before := c.view()["INBOX"]["1000/7"]
				c.account.Flag("INBOX", 7, `\Deleted`)
				c.account.Flag("INBOX", 8, `\Deleted`)
				result := c.incomplete(server, c.rewritten("UID FETCH", onlyFlags(7, change)), "the flags of 1 message")
				want := c.view()
				want["INBOX"]["1000/7"] = before
				c.same(server, c.snapshot(result.Snapshot), want)
				c.whole(server+", when they are told", nil)
			}
		})
	}
}

// The same where the server tells of a change, and not what changed.
func TestChangeWithoutFlagsIsAskedForAgain(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	c.whole("first", nil)
	before := c.view()["INBOX"]["1000/7"]
	c.account.Flag("INBOX", 7, `\Deleted`)
	c.account.Flag("INBOX", 8, `\Deleted`)
	noFlags := onlyFlags(7, func(a string) string { return regexp.MustCompile(` FLAGS \([^)]*\)`).ReplaceAllString(a, "") })
	result := c.incomplete("second", c.rewritten("UID FETCH", noFlags), "1 messages came without the flags that were asked for")
	want := c.view()
	want["INBOX"]["1000/7"] = before
	c.same("second", c.snapshot(result.Snapshot), want)
	c.whole("when they are told", nil)
}

// A flag that is told in the second answer only is believed.
func TestFlagsThatAreLeftOutOnceAreThere(t *testing.T) {
	t.Parallel()
	for server, caps := range map[string]string{"with all": everything, "with nothing": ""} {
		c := newChain(t, caps)
		c.fill()
		c.must(c.rewritten("UID FETCH", changed(5, func(string) string { return "" })))
		c.account.Flag("INBOX", 7, `\Deleted`)
		var left atomic.Bool
		c.whole(server, c.rewritten("UID FETCH", onlyFlags(7, func(a string) string {
			if left.CompareAndSwap(false, true) {
				return ""
			}
			return a
		})))
		if !left.Load() {
			t.Error("the flags were not asked for")
		}
	}
}

// A message that is gone by the time its flags are asked for is no fault.
func TestFlagsOfAMessageThatIsGoneMeanwhile(t *testing.T) {
	t.Parallel()
	for server, caps := range everyServer {
		c := newChain(t, caps)
		c.fill()
		c.must(c.rewritten("UID FETCH", changed(5, func(string) string { return "" })))
		c.account.Flag("INBOX", 8, `\Deleted`)
		result := c.must(c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
			return func(conn *imaptest.Conn, cmd imaptest.Command) {
				if !strings.Contains(cmd.Args, "BODY") {
					c.account.Expunge("INBOX", 9)
				}
				imaptest.Rewrite(own, onlyFlags(9, func(string) string { return "" }))(conn, cmd)
			}
		}))
		if result.Snapshot.Marks != 0 || len(result.Snapshot.Notes) > 0 {
			t.Errorf("%s: marked %v, %q", server, result.Snapshot.Marks, result.Snapshot.Notes)
		}
		c.whole(server+", in the end", nil)
	}
}

// A new message whose flags are never told is kept without, and they are asked
// for in the next run.
func TestNewMessageWithoutFlagsIsKept(t *testing.T) {
	t.Parallel()
	for server, caps := range everyServer {
		c := newChain(t, caps)
		c.fill()
		before := c.view()
		result := c.incomplete(server, c.rewritten("UID FETCH", changed(12, func(a string) string { return flagsItem.ReplaceAllString(a, "") })),
			`folder "INBOX": the server did not tell the flags of 1 new messages`)
		before["INBOX"]["1000/12"] = strings.Replace(before["INBOX"]["1000/12"], `["\\Answered" "\\Flagged"]`, `[]`, 1)
		c.same(server, c.snapshot(result.Snapshot), before)
		c.whole(server+", when they are told", nil)
		if n := c.bodies(); n != 0 {
			t.Errorf("%s: %d messages were read again", server, n)
		}
	}
}

// A new message that comes without its flags once is asked for again.
func TestNewMessageWithoutFlagsOnceHasThem(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	c.whole("first", c.rewritten("UID FETCH", func(cmd imaptest.Command, text string) string {
		if set, _, _ := strings.Cut(cmd.Args, " "); set == "12" {
			return text
		}
		return changed(12, func(a string) string { return flagsItem.ReplaceAllString(a, "") })(cmd, text)
	}))
}
