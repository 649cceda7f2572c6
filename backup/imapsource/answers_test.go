package imapsource

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
)

// Answers to FETCH in whatever order and shape, of which go-imap would lose
// the body.

var (
	uidItem   = regexp.MustCompile(`UID ([0-9]+) `)
	flagsItem = regexp.MustCompile(`FLAGS \([^)]*\) `)
	sequence  = regexp.MustCompile(`^\* ([0-9]+) FETCH`)
)

func TestFetchAnswersInAnyShape(t *testing.T) {
	t.Parallel()
	each := func(f func(answer string) string) func(imaptest.Command, string) string {
		return func(cmd imaptest.Command, text string) string {
			list := answers(text)
			for i, a := range list {
				if strings.HasPrefix(a, "* ") && strings.Contains(a, " FETCH (UID ") {
					list[i] = f(a)
				}
			}
			return strings.Join(list, "")
		}
	}
	seq := func(a string) string { return sequence.FindStringSubmatch(a)[1] }
	uid := func(a string) string { return uidItem.FindStringSubmatch(a)[1] }
	for name, change := range map[string]func(imaptest.Command, string) string{
		"UID behind the body": each(func(a string) string {
			return strings.TrimSuffix(uidItem.ReplaceAllString(a, ""), ")\r\n") + " UID " + uid(a) + ")\r\n"
		}),
		"UID in front and behind": each(func(a string) string { return strings.TrimSuffix(a, ")\r\n") + " UID " + uid(a) + ")\r\n" }),
		"FLAGS behind the body": each(func(a string) string {
			return strings.TrimSuffix(flagsItem.ReplaceAllString(a, ""), ")\r\n") + " " + strings.TrimSpace(flagsItem.FindString(a)) + ")\r\n"
		}),
		"an update of the flags first": each(func(a string) string {
			if !strings.Contains(a, "BODY[]") {
				return a // there is no telling which is newer
			}
			return fmt.Sprintf("* %s FETCH (UID %s FLAGS (\\Draft))\r\n%s", seq(a), uid(a), a)
		}),
		"an update of the flags behind": each(func(a string) string {
			return a + fmt.Sprintf("* %s FETCH (FLAGS (\\Draft))\r\n", seq(a))
		}),
		"updates of other messages between": each(func(a string) string {
			return fmt.Sprintf("* 3 FETCH (FLAGS (\\Draft))\r\n%s* 4 FETCH (UID 4000 FLAGS (x))\r\n* 999 FETCH (MODSEQ (7))\r\n", a)
		}),
		"in two answers": each(func(a string) string {
			if !strings.Contains(a, "BODY[]") {
				return a
			}
			head, body, _ := strings.Cut(a, " BODY[]")
			return fmt.Sprintf("%s)\r\n* %s FETCH (UID %s BODY[]%s", head, seq(a), uid(a), body)
		}),
		"twice":              each(func(a string) string { return a + a }),
		"the body as RFC822": each(func(a string) string { return strings.Replace(a, "BODY[]", "RFC822", 1) }),
		"in small letters":   each(func(a string) string { return strings.Replace(a, "BODY[]", "body[]", 1) }),
		"a literal as of RFC 7888": each(func(a string) string {
			return regexp.MustCompile(`BODY\[\] \{([0-9]+)\}`).ReplaceAllString(a, "BODY[] {$1+}")
		}),
		"a literal as of RFC 3516": each(func(a string) string {
			return regexp.MustCompile(`BODY\[\] \{([0-9]+)\}`).ReplaceAllString(a, "BODY[] ~{$1}")
		}),
		"the whole answer backwards": func(_ imaptest.Command, text string) string {
			list := answers(text)
			slices.Reverse(list[:len(list)-1]) // behind them is OK
			return strings.Join(list, "")
		},
		"messages in any order": func(_ imaptest.Command, text string) string {
			list := answers(text)
			rand.New(rand.NewPCG(1, uint64(len(text)))).Shuffle(len(list)-1, func(i, j int) { list[i], list[j] = list[j], list[i] })
			return strings.Join(list, "")
		},
		"other answers between": each(func(a string) string {
			return "* OK still here\r\n* XLIST () x\r\n* VANISHED 7000\r\n* SEARCH 1 2 3\r\n* LIST () \"/\" Ghost\r\n* STATUS INBOX (MESSAGES 0)\r\n+ idling\r\n\r\n* CAPABILITY IMAP4rev1\r\n" + a
		}),
		"spaces": each(func(a string) string {
			return strings.NewReplacer("(UID", "( UID", " FLAGS", "  FLAGS").Replace(strings.TrimSuffix(a, ")\r\n")) + " )\r\n"
		}),
		"lines that end in LF": each(func(a string) string {
			head, body, isBody := strings.Cut(a, "}\r\n")
			if !isBody {
				return strings.TrimSuffix(a, "\r\n") + "\n"
			}
			return head + "}\n" + strings.TrimSuffix(body, "\r\n") + "\n"
		}),
		"wrong sequence numbers": each(func(a string) string { return sequence.ReplaceAllString(a, "* 1 FETCH") }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for server, caps := range everyServer {
				c := newChain(t, caps)
				c.fill()
				script := c.rewritten("UID FETCH", change)
				c.whole(server, script)
				c.account.Add("INBOX", letter(30), `\Answered`)
				c.account.Flag("INBOX", 3, `\Deleted`)
				c.account.Expunge("INBOX", 1)
				c.whole(server+", the second", script)
			}
		})
	}
}

// A quoted string is a body as well. It holds no line end.
func TestBodyInAQuotedString(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	for i, body := range []string{"Subject: x", "", `a "quote" and \ back`, "8 bits: \xe9\x80", strings.Repeat("long ", 2000), " ", ")"} {
		c.account.Add("INBOX", body, []string{``, `\Seen`}[i%2])
	}
	c.whole("first", c.rewritten("UID FETCH", func(_ imaptest.Command, text string) string {
		return regexp.MustCompile(`(?s)BODY\[\] \{[0-9]+\}\r\n(.*?)\)\r\n(\* [0-9]+ FETCH|T[0-9]+ OK)`).ReplaceAllStringFunc(text, func(s string) string {
			_, body, _ := strings.Cut(s, "}\r\n")
			end := strings.LastIndex(body, ")\r\n")
			return "BODY[] \"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(body[:end]) + "\"" + body[end:]
		})
	}))
}

// Of several lists of flags the last one counts.
func TestFlagsGivenTwice(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	c.whole("first", c.rewritten("UID FETCH", func(_ imaptest.Command, text string) string {
		return strings.ReplaceAll(text, "FLAGS (", `FLAGS (\Draft odd]flag) FLAGS (`)
	}))
}
