package imapsource

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
)

// Messages that a server does not give, one way or another. Each is asked for
// three times, set aside by name and had in the next run, and costs nothing
// but itself.

// answers are the single FETCH answers in what a server says, and what follows
// them. Bodies of the tests that use it hold no line that begins like one.
func answers(text string) (list []string) {
	start := 0
	for i := 1; i < len(text); i++ {
		if text[i-1] == '\n' && (strings.HasPrefix(text[i:], "* ") || tagged.MatchString(text[i:min(len(text), i+20)])) {
			list = append(list, text[start:i])
			start = i
		}
	}
	return append(list, text[start:])
}

var tagged = regexp.MustCompile(`^T[0-9]+ (OK|NO|BAD) `)

// changed changes the FETCH answers with the body of a message, of one UID.
func changed(uid uint32, f func(answer string) string) func(imaptest.Command, string) string {
	return func(cmd imaptest.Command, text string) string {
		list := answers(text)
		for i, a := range list {
			if strings.Contains(a, fmt.Sprintf("(UID %d ", uid)) && wantsBody(cmd, uid) {
				list[i] = f(a)
			}
		}
		return strings.Join(list, "")
	}
}

var bodyItem = regexp.MustCompile(`(?s)BODY\[\] \{[0-9]+\}\r\n.*\)\r\n$`)

func TestMessagesThatAreNotGivenAreSetAside(t *testing.T) {
	t.Parallel()
	left := "the server left it out"
	for _, test := range []struct {
		name   string
		change func(answer string) string
		reason string
	}{
		{"left out", func(string) string { return "" }, left},
		{"no body", func(a string) string { return bodyItem.ReplaceAllString(a, "MODSEQ (1))\r\n") }, left},
		{"NIL", func(a string) string { return bodyItem.ReplaceAllString(a, "BODY[] NIL)\r\n") }, left},
		{"an empty string for a message with a size", func(a string) string { return bodyItem.ReplaceAllString(a, "BODY[] \"\")\r\n") }, left},
		{"an empty literal for a message with a size", func(a string) string { return bodyItem.ReplaceAllString(a, "BODY[] {0}\r\n)\r\n") }, left},
		{"no UID", func(a string) string { return strings.Replace(a, "(UID 5 ", "(", 1) }, left},
		{"UID 0", func(a string) string { return strings.Replace(a, "(UID 5 ", "(UID 0 ", 1) }, left},
		{"a UID nobody asked for", func(a string) string { return strings.Replace(a, "(UID 5 ", "(UID 4000 ", 1) }, left},
		{"the header in place of it", func(a string) string { return strings.Replace(a, "BODY[] ", "BODY[HEADER] ", 1) }, left},
		{"the text in place of it", func(a string) string { return strings.Replace(a, "BODY[] ", "RFC822.TEXT ", 1) }, left},
		{"a part in place of it", func(a string) string { return strings.Replace(a, "BODY[] ", "BODY[1] ", 1) }, left},
		{"the first octets in place of it", func(a string) string { return strings.Replace(a, "BODY[] ", "BODY[]<0> ", 1) }, left},
		{"a body that is no string", func(a string) string { return bodyItem.ReplaceAllString(a, "BODY[] what)\r\n") }, "breaks the protocol"},
		{"a size below zero", func(a string) string { return bodyItem.ReplaceAllString(a, "BODY[] {-1}\r\n)\r\n") }, "breaks the protocol"},
		{"more than there can be", func(a string) string {
			return bodyItem.ReplaceAllString(a, "BODY[] {9223372036854775807}\r\nFrom: x)\r\n")
		}, "announces a message of 9223372036854775807 octets"},
		{"an answer that ends early", func(a string) string { return bodyItem.ReplaceAllString(a, "\r\n") }, "breaks the protocol"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for name, caps := range map[string]string{"with all": everything, "with nothing": ""} {
				t.Run(name, func(t *testing.T) {
					c := newChain(t, caps)
					c.fill()
					result := c.incomplete("first", c.rewritten("UID FETCH", changed(5, test.change)), "INBOX/1000/5: ")
					if len(result.Missing) != 2 { // in INBOX and in Sent
						t.Errorf("missing %v", result.Missing)
					}
					for _, m := range result.Missing {
						if !strings.Contains(m.Reason, test.reason) {
							t.Errorf("the reason is %q", m.Reason)
						}
					}
					want := c.view()
					delete(want["INBOX"], "1000/5")
					delete(want["Sent"], "1001/5")
					c.same("without it", c.snapshot(result.Snapshot), want)
					c.whole("when it is given", nil)
					if n := c.bodies(); n != 2 {
						t.Errorf("%d messages were asked for", n)
					}
				})
			}
		})
	}
}

// The same, where the server says NO.
func TestRefusedMessagesAreSetAside(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"%T NO it is broken\r\n", "%T NO [SERVERBUG] Internal error occurred.\r\n", "%T BAD what?\r\n", "%T NO [NOPERM] not this one\r\n",
		"%T NO [NONEXISTENT] there is none\r\n", "%T NO [EXPUNGEISSUED] some are gone\r\n", "%T NO [CORRUPTION] \r\n", "%T NO\r\n",
	} {
		t.Run(answer[:len(answer)-2], func(t *testing.T) {
			t.Parallel()
			c := newChain(t, everything)
			c.fill()
			result := c.incomplete("first", c.refused("UID FETCH", answer, func(cmd imaptest.Command) bool { return wantsBody(cmd, 6) }), "INBOX/1000/6: FETCH: ")
			want := c.view()
			delete(want["INBOX"], "1000/6")
			delete(want["Sent"], "1001/6")
			c.same("without it", c.snapshot(result.Snapshot), want)
			c.whole("when it is given", nil)
			if n := c.bodies(); n != 2 {
				t.Errorf("%d messages were asked for", n)
			}
		})
	}
}

// The same, where the server hangs up over it.
func TestMessagesThatEndTheConnectionAreSetAside(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]string{
		"at once": "", "in the body": "* 6 FETCH (UID 6 BODY[] {100}\r\nFrom: x\r\n", "with BYE": "* BYE Internal error\r\n",
		"behind the body": "* 6 FETCH (UID 6 BODY[] {3}\r\nabc", "before the end": "* 6 FETCH (UID 6 FLAGS () BODY[] {3}\r\nabc)\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, everything)
			c.fill()
			result := c.incomplete("first", c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
				return func(conn *imaptest.Conn, cmd imaptest.Command) {
					if wantsBody(cmd, 6) {
						conn.Say("%s", last)
						conn.Close()
						return
					}
					own(conn, cmd)
				}
			}), "INBOX/1000/6: FETCH: the server closed the connection")
			want := c.view()
			delete(want["INBOX"], "1000/6")
			delete(want["Sent"], "1001/6")
			c.same("without it", c.snapshot(result.Snapshot), want)
			c.whole("when it is given", nil)
		})
	}
}

// A message that is gone by the time it is asked for is no fault.
func TestMessageExpungedMeanwhileIsNotMissing(t *testing.T) {
	t.Parallel()
	for name, caps := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			c.fill()
			c.whole("first", c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
				return func(conn *imaptest.Conn, cmd imaptest.Command) {
					if wantsBody(cmd, 12) {
						c.account.Expunge("INBOX", 9, 11)
					}
					nothing := func(string) string { return "" }
					imaptest.Rewrite(imaptest.Rewrite(own, changed(9, nothing)), changed(11, nothing))(conn, cmd)
				}
			}))
		})
	}
}

// A message that was left out once is asked for again, alone.
func TestMessageLeftOutOnceIsThere(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	c.whole("first", c.rewritten("UID FETCH", func(cmd imaptest.Command, text string) string {
		if set, _, _ := strings.Cut(cmd.Args, " "); set == "7" {
			return text
		}
		return changed(7, func(string) string { return "" })(cmd, text)
	}))
}

// A server that has set one message aside is asked for it in every run, and
// what it says of the others is believed all the same.
func TestFolderWithAMissingMessageGoesOn(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	c.account.Expunge("Sent", 5)
	broken := c.rewritten("UID FETCH", changed(5, func(string) string { return "" }))
	for run := range 3 {
		result := c.incomplete(fmt.Sprint("run ", run), broken, "INBOX/1000/5: ")
		want := c.view()
		delete(want["INBOX"], "1000/5")
		c.same(fmt.Sprint("run ", run), c.snapshot(result.Snapshot), want)
		c.account.Add("INBOX", letter(60+run), ``)
		c.account.Flag("INBOX", uint32(1+run), `\Answered`)
		c.account.Expunge("INBOX", uint32(9+run))
	}
	c.whole("when it is given", nil)
}

// Of three flags that a server leaves out of an answer nothing is believed.
func TestSizeThatIsNotTheMessagesChangesNothing(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"0", "1", "9999999999", "9223372036854775807", "-1", "NIL", "many"} {
		t.Run(size, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, everything)
			c.fill()
			lie := func(_ imaptest.Command, text string) string {
				return regexp.MustCompile(`RFC822\.SIZE [0-9]+`).ReplaceAllString(text, "RFC822.SIZE "+size)
			}
			result := c.must(c.rewritten("UID FETCH", lie))
			c.same("first", c.snapshot(result.Snapshot), c.view())
			inbox := c.account.Folder("INBOX")
			c.account.Do(func() { inbox.Validity++ })
			result = c.must(c.rewritten("UID FETCH", lie))
			c.same("another UIDVALIDITY", c.snapshot(result.Snapshot), c.view())
		})
	}
	if !slices.Equal(answers("* 1 FETCH (UID 1 BODY[] {5}\r\na\r\nb)\r\nT1 OK done\r\n"), []string{"* 1 FETCH (UID 1 BODY[] {5}\r\na\r\nb)\r\n", "T1 OK done\r\n"}) {
		t.Error("the test does not see where an answer ends")
	}
}
