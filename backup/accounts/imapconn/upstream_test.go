package imapconn

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// The tests in this file are of go-imap as it is published, without this package
// in between. Each shows a fault that backup/accounts/UPSTREAM.md describes. One
// that fails after an update tells that the fault is gone, and what with it.

// bare is go-imap on a server that greets as one that is logged in, and says to
// each command what answers has for its verb: TAG stands for the command's, what
// follows "CLOSE" is not said, and "-" is silence.
func bare(t testing.TB, caps string, answers map[string]string) *imapclient.Client {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		fmt.Fprintf(server, "* PREAUTH [CAPABILITY %s] hi\r\n", strings.TrimSpace("IMAP4rev1 "+caps))
		in := bufio.NewReader(server)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			words := strings.Fields(line)
			if len(words) < 2 {
				continue
			}
			tag, verb := words[0], words[1]
			if verb == "UID" && len(words) > 2 {
				verb = words[2]
			}
			answer, known := answers[verb]
			if !known {
				answer = "TAG OK\r\n"
			}
			answer, closes := strings.CutSuffix(answer, "CLOSE")
			fmt.Fprint(server, strings.ReplaceAll(strings.TrimPrefix(answer, "-"), "TAG", tag))
			if closes {
				return
			}
		}
	}()
	c := imapclient.New(client, nil)
	t.Cleanup(func() { c.Close() })
	return c
}

// state is what became of a connection after an error.
func state(c *imapclient.Client, err error) string {
	said := "no error"
	if err != nil {
		said = "error"
	}
	if noop := c.Noop().Wait(); noop != nil {
		return said + ", dead"
	}
	return said + ", alive"
}

// oneBody is what FETCH gives of one message.
func oneBody(c *imapclient.Client) string {
	cmd := c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	var got []string
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		for item := m.Next(); item != nil; item = m.Next() {
			if text := itemText(item); strings.HasPrefix(text, "body") {
				got = append(got, text)
			}
		}
	}
	return strings.TrimSpace(strings.Join(got, " ") + " " + state(c, cmd.Close()))
}

func TestFaultsOfTheLibraryInAnswers(t *testing.T) {
	const body = "* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\nTAG OK\r\n"
	const whole = `body[]="hello" no error, alive`
	fetch := func(before string) map[string]string { return map[string]string{"FETCH": before + body} }
	list := func(c *imapclient.Client) string {
		return state(c, func() error { _, err := c.List("", "*", nil).Collect(); return err }())
	}
	for _, f := range []struct {
		section, caps string // of UPSTREAM.md, and beside IMAP4rev1
		answers       map[string]string
		do            func(*imapclient.Client) string
		fault, right  string
	}{
		{"1", "", fetch("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n"), oneBody, "no error, alive", whole},
		{"2", "", map[string]string{"FETCH": "* 1 FETCH (BODY[] {5}\r\nhello UID 1)\r\nTAG OK\r\n"}, oneBody, "no error, alive", whole},
		{"3", "", map[string]string{"FETCH": "* 1 FETCH (UID 1 BODY[] {5}\r\nheCLOSE"}, oneBody, `body[]="he" of 5 error, dead`, `body[]="he"!unexpected EOF error, dead`},
		{"4 VANISHED", "", fetch("* VANISHED 7\r\n"), oneBody, "error, dead", whole},
		{"4 other data", "", fetch("* XFOO bar\r\n"), oneBody, "error, dead", whole},
		{"4 FETCH item", "", fetch("* 1 FETCH (X-GM-MSGID 12)\r\n"), oneBody, "error, dead", whole},
		{"5 date of zeros", "", fetch("* 1 FETCH (INTERNALDATE \"00-Jan-0000 00:00:00 +0000\")\r\n"), oneBody, "error, dead", whole},
		{"5 date NIL", "", fetch("* 1 FETCH (INTERNALDATE NIL)\r\n"), oneBody, "error, dead", whole},
		{"5 flag with ]", "", fetch("* 1 FETCH (FLAGS (a]b))\r\n"), oneBody, "error, dead", whole},
		{"5 quoted flag", "", fetch("* 1 FETCH (FLAGS (\"\\\\Seen\"))\r\n"), oneBody, "error, dead", whole},
		{"5 flags NIL", "", fetch("* 1 FETCH (FLAGS NIL)\r\n"), oneBody, "error, dead", whole},
		{"5 space after flags", "", fetch("* 1 FETCH (FLAGS (\\Seen ))\r\n"), oneBody, "error, dead", whole},
		{"5 size below zero", "", fetch("* 1 FETCH (RFC822.SIZE -1)\r\n"), oneBody, "error, dead", whole},
		{"5 nil in lower case", "", fetch("* 1 FETCH (ENVELOPE (nil nil nil nil nil nil nil nil nil nil))\r\n"), oneBody, "error, dead", whole},
		{"5 empty line", "", fetch("\r\n"), oneBody, "error, dead", whole},
		{"5 plus without a question", "", fetch("+ idling\r\n"), oneBody, "error, dead", whole},
		{"5 code without ]", "", fetch("* OK [UIDNEXT 4\r\n"), oneBody, "error, dead", whole},
		{"5 literal8 as a body", "", map[string]string{"FETCH": "* 1 FETCH (UID 1 BODY[] ~{5}\r\nhello)\r\nTAG OK\r\n"}, oneBody, "error, dead", whole},
		{"6 raw ampersand", "", map[string]string{"LIST": "* LIST () \"/\" \"R&D\"\r\nTAG OK\r\n"}, list, "error, dead", "no error, alive"},
		{"6 Latin-1", "", map[string]string{"LIST": "* LIST () \"/\" \"caf\xe9\"\r\nTAG OK\r\n"}, list, "error, dead", "no error, alive"},
		{"6 two runs in a row", "", map[string]string{"LIST": "* LIST () \"/\" \"&AOk-&AOk-\"\r\nTAG OK\r\n"}, list, "error, dead", "no error, alive"},
		{"6 empty delimiter", "", map[string]string{"LIST": "* LIST () \"\" INBOX\r\nTAG OK\r\n"}, list, "error, dead", "no error, alive"},
		{"6 with UTF8=ACCEPT", "ENABLE UTF8=ACCEPT", map[string]string{"ENABLE": "* ENABLED UTF8=ACCEPT\r\nTAG OK\r\n", "LIST": "* LIST () \"/\" \"a & b\"\r\nTAG OK\r\n"}, func(c *imapclient.Client) string {
			if _, err := c.Enable(imap.CapUTF8Accept).Wait(); err != nil {
				return err.Error()
			}
			return list(c)
		}, "error, dead", "no error, alive"},
		{"16", "", map[string]string{"EXAMINE": "* OK [PERMANENTFLAGS ()] none\r\nTAG OK\r\n"}, func(c *imapclient.Client) string {
			data, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
			if err != nil || data.PermanentFlags != nil {
				return fmt.Sprint(data, err)
			}
			return "as if it were not said"
		}, "as if it were not said", "&{[] [] 0 0 0 <nil> 0} <nil>"},
		{"7", "ID", map[string]string{"ID": "* ID (\"name\" \"x\")\r\nTAG OK\r\n", "STATUS": "* STATUS INBOX (MESSAGES 1 X-FOO 2)\r\nTAG OK\r\n"}, func(c *imapclient.Client) string {
			if _, err := c.ID(nil).Wait(); err != nil {
				return "no ID"
			}
			_, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true}).Wait()
			return state(c, err)
		}, "error, dead", "no error, alive"},
		{"8", "", map[string]string{"LIST": "* LIST () \"/\" \"" + strings.Repeat("x", 8<<20) + "\"\r\nTAG OK\r\n"}, list, "no error, alive", "error, dead"},
		{"12", "", map[string]string{"APPEND": "TAG NO [OVERQUOTA] full\r\n"}, func(c *imapclient.Client) string {
			cmd := c.Append("INBOX", 5, nil)
			_, err := cmd.Write([]byte("hello"))
			if closing := cmd.Close(); err == nil {
				err = closing
			}
			if _, waiting := cmd.Wait(); err == nil {
				err = waiting
			}
			return state(c, err)
		}, "error, dead", "error, alive"},
		{"13", "LITERAL+", map[string]string{"APPEND": "TAG OK\r\n"}, func(c *imapclient.Client) string {
			cmd := c.Append("INBOX", 5, &imap.AppendOptions{Flags: []imap.Flag{"a b"}})
			_, err := cmd.Write([]byte("hello"))
			if closing := cmd.Close(); err == nil {
				err = closing
			}
			return state(c, err)
		}, "error, dead", "error, alive"},
	} {
		t.Run(f.section, func(t *testing.T) {
			got := soon(t, "go-imap", func() string { return f.do(bare(t, f.caps, f.answers)) })
			switch got {
			case f.fault:
			case f.right:
				t.Errorf("go-imap does it right now (%s): section %s of UPSTREAM.md can go, and what it says is done here", got, f.section)
			default:
				t.Errorf("go-imap gives %q now, no longer %q, nor %q: see section %s of UPSTREAM.md", got, f.fault, f.right, f.section)
			}
		})
	}
}

// gone says that a fault is no more.
func gone(t *testing.T, section string) {
	t.Helper()
	t.Errorf("go-imap does it right now: section %s of UPSTREAM.md can go, and what it says is done here", section)
}
