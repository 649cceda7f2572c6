package imapconn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn/imaptest"
)

const hello = "* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\n"

// Each answer here was seen from a real server, is allowed by the standard,
// or both; without the filter most of them end go-imap's connection or lose
// the body without an error.
func TestFetchAnswers(t *testing.T) {
	t.Parallel()
	const one = `uid=1 body[]="hello"`
	for _, test := range []struct{ name, answer, want, odd string }{
		{"plain", hello, one, ""},
		{"all items", "* 1 FETCH (UID 1 FLAGS (\\Seen $Label1) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 5 MODSEQ (12) BODY[] {5}\r\nhello)\r\n",
			`uid=1 flags=[\Seen $Label1] date=1996-07-17T02:44:25-07:00 size=5 modseq=12 body[]="hello"`, ""},
		{"no messages", "", "", ""},
		{"update of the flags before the body", "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n" + hello, `uid=1 flags=[\Seen] body[]="hello"`, ""},
		{"answer in two parts", "* 1 FETCH (UID 1 FLAGS (a))\r\n* 1 FETCH (UID 1 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n" + hello,
			`uid=1 flags=[a] date=1996-07-17T02:44:25-07:00 body[]="hello"`, ""},
		{"update without UID before the body", "* 1 FETCH (FLAGS (\\Seen))\r\n" + hello, one, ""},
		{"update with an odd flag before the body", "* 1 FETCH (UID 1 FLAGS (x]))\r\n* 1 FETCH (UID 1 FLAGS (a) BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[] flags=[a] body[]="hello"`, ""},
		{"update with an odd flag after the body", hello + "* 1 FETCH (UID 1 FLAGS (x]))\r\n", one, ""},
		{"part with an odd date before the body", "* 1 FETCH (UID 1 INTERNALDATE NIL FLAGS (x]))\r\n" + hello, `uid=1 flags=[] body[]="hello"`, "1/1 INTERNALDATE=NIL; 1/1 FLAGS=x]"},
		{"update after the body", hello + "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n", one, ""},
		{"UID after the body", "* 1 FETCH (BODY[] {5}\r\nhello UID 1)\r\n", one, ""},
		{"UID between flags after the body", "* 1 FETCH (BODY[] {5}\r\nhello FLAGS (b) UID 1 RFC822.SIZE 5)\r\n", `uid=1 flags=[b] size=5 body[]="hello"`, ""},
		{"UID between two bodies", "* 1 FETCH (BODY[HEADER] {2}\r\nA: UID 1 BODY[TEXT] {3}\r\nxyz FLAGS ())\r\n", `uid=1 body[HEADER]="A:" body[TEXT]="xyz" flags=[]`, ""},
		{"UID after two bodies", "* 1 FETCH (BODY[HEADER] {2}\r\nA: BODY[TEXT] {3}\r\nxyz UID 1)\r\n", `uid=1 body[HEADER]="A:" body[TEXT]="xyz"`, ""},
		{"no UID at all", "* 1 FETCH (BODY[] {5}\r\nhello)\r\n", "", "1/0 BODY[]="},
		{"UID zero", "* 1 FETCH (UID 0 BODY[] {5}\r\nhello)\r\n", "", "1/0 BODY[]="},
		{"UID twice", "* 1 FETCH (UID 1 UID 1 BODY[] {5}\r\nhello)\r\n", one, ""},
		{"body NIL", "* 1 FETCH (UID 1 BODY[] NIL)\r\n", `uid=1 body[]=NIL`, ""},
		{"body nil in lower case", "* 1 FETCH (UID 1 BODY[] nil)\r\n", `uid=1 body[]=NIL`, ""},
		{"body as a quoted string", `* 1 FETCH (UID 1 BODY[] "he\"\\o")` + "\r\n", `uid=1 body[]="he\"\\o"`, ""},
		{"body as a quoted string before the UID", `* 1 FETCH (BODY[] "hello" UID 1)` + "\r\n", one, ""},
		{"body as literal8", "* 1 FETCH (UID 1 BODY[] ~{5}\r\nhello)\r\n", one, ""},
		{"body as a literal with a plus", "* 1 FETCH (UID 1 BODY[] {5+}\r\nhello)\r\n", one, ""},
		{"body as literal8 with a plus", "* 1 FETCH (UID 1 BODY[] ~{5+}\r\nhello)\r\n", one, ""},
		{"empty body", "* 1 FETCH (UID 1 BODY[] {0}\r\n)\r\n", `uid=1 body[]=""`, ""},
		{"empty body before the UID", "* 1 FETCH (BODY[] {0}\r\n UID 1)\r\n", `uid=1 body[]=""`, ""},
		{"body with NUL, bare CR, bare LF and what looks like IMAP", "* 1 FETCH (UID 1 BODY[] {20}\r\n\x00\r\n\r\rA\n* 1 EXPUNGE\r\n)\r\n", `uid=1 body[]="\x00\r\n\r\rA\n* 1 EXPUNGE\r\n"`, ""},
		{"RFC822 in place of BODY[]", "* 1 FETCH (UID 1 RFC822 {5}\r\nhello)\r\n", one, ""},
		{"RFC822.HEADER and RFC822.TEXT", "* 1 FETCH (UID 1 RFC822.HEADER {2}\r\nA: RFC822.TEXT {1}\r\nx)\r\n", `uid=1 body[HEADER]="A:" body[TEXT]="x"`, ""},
		{"lower case", "* 1 fetch (uid 1 flags (\\seen) body[] {5}\r\nhello)\r\n", `uid=1 flags=[\Seen] body[]="hello"`, ""},
		{"spaces everywhere", "*  1  FETCH  ( UID  1  FLAGS  (  a   b )  BODY[]  {5}\r\nhello  )  \r\n", `uid=1 flags=[a b] body[]="hello"`, ""},
		{"lone LF", "* 1 FETCH (UID 1 BODY[] {5}\nhello)\n", one, ""},
		{"partial", "* 1 FETCH (UID 1 BODY[]<0> {5}\r\nhello)\r\n", one, ""},
		{"part", "* 1 FETCH (UID 1 BODY[1.2.MIME] {5}\r\nhello)\r\n", `uid=1 body[MIME]="hello"`, ""},
		{"header fields", "* 1 FETCH (UID 1 BODY[HEADER.FIELDS (From \"To\")] {5}\r\nhello)\r\n", `uid=1 body[HEADER]="hello"`, ""},
		{"section that nobody knows", "* 1 FETCH (UID 1 BODY[FOO.BAR] {3}\r\nxyz BODY[] {5}\r\nhello)\r\n", one, "1/1 BODY[FOO.BAR]=xyz"},
		{"X-GM items", "* 1 FETCH (X-GM-THRID 12784 X-GM-LABELS (\"\\\\Inbox\" foo \"a b\" [x] {3}\r\n)\r\n) UID 1 BODY[] {5}\r\nhello)\r\n", one,
			"1/1 X-GM-THRID=12784; 1/1 X-GM-LABELS=(\"\\\\Inbox\" foo \"a b\" [x] {3}\r\n)\r\n)"},
		{"EMAILID, THREADID, SAVEDATE and PREVIEW", "* 1 FETCH (UID 1 EMAILID (M6d99) THREADID NIL SAVEDATE \"01-Jan-2025 00:00:00 +0000\" PREVIEW {2}\r\nhi BODY[] {5}\r\nhello)\r\n", one,
			"1/1 EMAILID=(M6d99); 1/1 THREADID=NIL; 1/1 SAVEDATE=01-Jan-2025 00:00:00 +0000; 1/1 PREVIEW=hi"},
		{"unknown items behind the body", "* 1 FETCH (UID 1 BODY[] {5}\r\nhello X-FOO (a (b {1}\r\nx)) FLAGS (c))\r\n", `uid=1 body[]="hello" flags=[c]`, "1/1 X-FOO=(a (b {1}\r\nx))"},
		{"ENVELOPE and BODYSTRUCTURE", "* 1 FETCH (UID 1 ENVELOPE (nil nil) BODYSTRUCTURE ((\"A\" NIL)) BODY (\"x\") BODY[] {5}\r\nhello)\r\n", one,
			`1/1 ENVELOPE=(nil nil); 1/1 BODYSTRUCTURE=(("A" NIL)); 1/1 BODY=("x")`},
		{"date of year 0", "* 1 FETCH (UID 1 INTERNALDATE \"00-Jan-0000 00:00:00 +0000\" BODY[] {5}\r\nhello)\r\n", one, "1/1 INTERNALDATE=00-Jan-0000 00:00:00 +0000"},
		{"date of year 1", "* 1 FETCH (UID 1 INTERNALDATE \"01-Jan-0001 00:00:00 +0000\" BODY[] {5}\r\nhello)\r\n", one, "1/1 INTERNALDATE=01-Jan-0001 00:00:00 +0000"},
		{"date NIL", "* 1 FETCH (UID 1 INTERNALDATE NIL BODY[] {5}\r\nhello)\r\n", one, "1/1 INTERNALDATE=NIL"},
		{"date behind the body", "* 1 FETCH (UID 1 BODY[] {5}\r\nhello INTERNALDATE \"1-1-1\")\r\n", one, "1/1 INTERNALDATE=1-1-1"},
		{"date as a literal", "* 1 FETCH (UID 1 INTERNALDATE {26}\r\n17-Jul-1996 02:44:25 -0700 BODY[] {5}\r\nhello)\r\n", `uid=1 date=1996-07-17T02:44:25-07:00 body[]="hello"`, ""},
		{"flag with a bracket", "* 1 FETCH (UID 1 FLAGS (foo]bar \\Seen) BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[\Seen] body[]="hello"`, "1/1 FLAGS=foo]bar"},
		{"flag in quotes with a space", "* 1 FETCH (UID 1 FLAGS (\"a b\" \\Seen) BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[\Seen] body[]="hello"`, "1/1 FLAGS=a b"},
		{"good flag in quotes", "* 1 FETCH (UID 1 FLAGS (\"\\\\Seen\" \"x\") BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[\Seen x] body[]="hello"`, ""},
		{"flag as a literal", "* 1 FETCH (UID 1 FLAGS ({3}\r\na\rb c) BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[c] body[]="hello"`, "1/1 FLAGS=a\rb"},
		{"flag in UTF-8", "* 1 FETCH (UID 1 FLAGS (\xc3\x80 x) BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[x] body[]="hello"`, "1/1 FLAGS=\xc3\x80"},
		{"flag in Latin-1", "* 1 FETCH (UID 1 FLAGS (caf\xe9) BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[] body[]="hello"`, "1/1 FLAGS=caf\xe9"},
		{"flag that is a list", "* 1 FETCH (UID 1 FLAGS ((a b) c) BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[c] body[]="hello"`, "1/1 FLAGS=(a b)"},
		{"flag that is the wildcard", "* 1 FETCH (UID 1 FLAGS (\\*) BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[] body[]="hello"`, "1/1 FLAGS=\\*"},
		{"flags with spaces inside the parentheses", "* 1 FETCH (UID 1 FLAGS ( \\Seen ) BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[\Seen] body[]="hello"`, ""},
		{"flags NIL", "* 1 FETCH (UID 1 FLAGS NIL BODY[] {5}\r\nhello)\r\n", `uid=1 flags=[] body[]="hello"`, ""},
		{"negative size", "* 1 FETCH (UID 1 RFC822.SIZE -1 BODY[] {5}\r\nhello)\r\n", one, "1/1 RFC822.SIZE=-1"},
		{"immense size", "* 1 FETCH (UID 1 RFC822.SIZE 99999999999999999999 BODY[] {5}\r\nhello)\r\n", one, "1/1 RFC822.SIZE=99999999999999999999"},
		{"size in quotes", "* 1 FETCH (UID 1 RFC822.SIZE \"5\" BODY[] {5}\r\nhello)\r\n", `uid=1 size=5 body[]="hello"`, ""},
		{"MODSEQ of 0, and bare", "* 1 FETCH (UID 1 MODSEQ (0) BODY[] {5}\r\nhello)\r\n* 2 FETCH (UID 2 MODSEQ 7 BODY[] {5}\r\nhello)\r\n",
			`uid=1 modseq=0 body[]="hello"` + "\n" + `uid=2 modseq=7 body[]="hello"`, ""},
		{"body twice", hello + "* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\n* 1 FETCH (BODY[] {5}\r\nhello UID 1)\r\n", one, ""},
		{"message that nobody asked for", "* 9 FETCH (UID 99 BODY[] {5}\r\nother)\r\n" + hello, one, ""},
		{"EXPUNGE and EXISTS in the middle", hello + "* 2 EXPUNGE\r\n* 9 EXISTS\r\n* 3 FETCH (UID 3 BODY[] {1}\r\nx)\r\n", one + "\n" + `uid=3 body[]="x"`, ""},
		{"EXPUNGE of message 0", "* 0 EXPUNGE\r\n" + hello, one, ""},
		{"blank lines", "\r\n\n" + hello, one, ""},
		{"plus that nobody waits for", "+ idling\r\n+\r\n+OK\r\n" + hello, one, ""},
		{"VANISHED", "* VANISHED (EARLIER) 41,43:116\r\n" + hello, one, ""},
		{"answer that nobody knows, with a literal", "* XFOO bar ({3}\r\n)\r\n {2}\r\nab)\r\n" + hello, one, ""},
		{"status that nobody asked for", "* STATUS INBOX (MESSAGES 3 X ({1}\r\na))\r\n* LIST () \"/\" a&b\r\n* SEARCH 1 2\r\n* ID NIL\r\n* ENABLED UTF8=ACCEPT\r\n" + hello, one, ""},
		{"untagged NO", "* NO [THROTTLED] slow down\r\n" + hello, one, ""},
		{"text that ends like a literal", "* OK wait {5}\r\n" + hello, one, ""},
		{"code without its bracket", "* OK [FOO bar\r\n" + hello, one, ""},
		{"code that is no atom", "* OK [(] x\r\n* OK [] x\r\n* OK []\r\n" + hello, one, ""},
		{"code with bad arguments", "* OK [UIDNEXT foo] x\r\n* OK [PERMANENTFLAGS foo] x\r\n* OK [HIGHESTMODSEQ -1] x\r\n* OK [COPYUID 1] x\r\n" + hello, one, ""},
		{"flags of the folder that are none", "* FLAGS (\\Seen foo]bar \"a b\")\r\n* OK [PERMANENTFLAGS (a foo]bar \\*)] ok\r\n" + hello, one, ""},
		{"star alone", "*\r\n* \r\n* 1\r\n* 1 \r\n" + hello, one, ""},
		{"tag that nobody used", "T99 OK done\r\n" + hello, one, ""},
		{"FETCH without a list", "* 1 FETCH\r\n* 1 FETCH NIL\r\n" + hello, one, ""},
		{"FETCH with an empty list", "* 1 FETCH ()\r\n" + hello, one, ""},
		{"number too large", "* 99999999999 EXISTS\r\n* 99999999999 FETCH (UID 1)\r\n" + hello, one, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var odd oddities
			s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"UID FETCH": imaptest.Answer(test.answer + "%T OK done\r\n"),
			}})
			c := dial(t, s, func(o *Options) { o.Odd = odd.add })
			got, err := fetched(c, uids(1, 5), true)
			if err != nil {
				t.Fatal(c.Explain(err))
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if odd.String() != test.odd {
				t.Errorf("odd  %s\nwant %s", odd.String(), test.odd)
			}
			alive(t, c)
		})
	}
}

// What cannot be mended ends the connection, with a reason, and never looks
// like a message.
func TestFetchAnswersThatEndTheConnection(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer, want string
		is                 error
	}{
		{"literal that is longer than announced", "* 1 FETCH (UID 1 BODY[] {3}\r\nhello)\r\n", `uid=1 body[]="hel"`, ErrProtocol},
		{"literal that is shorter than announced", "* 1 FETCH (UID 1 BODY[] {9}\r\nhello)\r\n", `uid=1 body[]="hello)\r\n"!`, nil},
		{"connection cut in a body", "* 1 FETCH (UID 1 BODY[] {1000}\r\nhello", `uid=1 body[]="hello"!`, nil},
		{"connection cut in a spooled body", "* 1 FETCH (BODY[] {1000}\r\nhello", "", nil},
		{"connection cut behind a body", "* 1 FETCH (UID 1 BODY[] {5}\r\nhello", `uid=1 body[]="hello"`, nil},
		{"connection cut in a line", hello + "* 2 FETCH (UI", `uid=1 body[]="hello"`, nil},
		{"connection closed between answers", hello, `uid=1 body[]="hello"`, nil},
		{"two UIDs", "* 1 FETCH (UID 1 UID 2 BODY[] {5}\r\nhello)\r\n", "", ErrProtocol},
		{"another UID behind the body", "* 1 FETCH (UID 1 BODY[] {5}\r\nhello UID 2)\r\n", `uid=1 body[]="hello"`, ErrProtocol},
		{"two bodies", hello + "* 1 FETCH (UID 1 BODY[] {5}\r\nother)\r\n", `uid=1 body[]="hello"`, ErrProtocol},
		{"two bodies in one answer", "* 1 FETCH (UID 1 BODY[] {5}\r\nhello BODY[] {5}\r\nother)\r\n", `uid=1 body[]="hello" body[]="other"`, ErrProtocol},
		{"two bodies, the second one quoted", hello + "* 1 FETCH (UID 1 BODY[] \"other\")\r\n", `uid=1 body[]="hello"`, ErrProtocol},
		{"two bodies, the UID behind the second one", hello + "* 1 FETCH (BODY[] {5}\r\nother UID 1)\r\n", `uid=1 body[]="hello"`, ErrProtocol},
		{"BYE", "* BYE Autologout; idle for too long\r\n", "", nil},
		{"BYE that asks for patience", "* BYE [UNAVAILABLE] back soon\r\n", "", ErrBusy},
		{"nesting", "* 1 FETCH (BODYSTRUCTURE " + strings.Repeat("(", 101) + "\r\n", "", ErrProtocol},
		{"literal outside a body", "* 1 FETCH (UID 1 X-FOO {1048577}\r\n", "", ErrProtocol},
		{"literal in an answer that nobody knows", "* XFOO {1048577}\r\n", "", ErrProtocol},
		{"literals without end", "* 1 FETCH (UID 1 X-FOO (" + strings.Repeat("{1000000}\r\n"+strings.Repeat("a", 1000000), 4), "", ErrProtocol},
		{"quoted string without end", "* 1 FETCH (UID 1 X-FOO \"abc)\r\n", "", ErrProtocol},
		{"list without end", "* 1 FETCH (UID 1 FLAGS (a\r\n", "", ErrProtocol},
		{"section without end", "* 1 FETCH (UID 1 BODY[HEADER {5}\r\n", "", ErrProtocol},
		{"item without a value", "* 1 FETCH (UID 1 FLAGS)\r\n", "", ErrProtocol},
		{"literal without a size", "* 1 FETCH (UID 1 BODY[] {}\r\n", "", ErrProtocol},
		{"literal with a negative size", "* 1 FETCH (UID 1 BODY[] {-5}\r\n", "", ErrProtocol},
		{"literal with an immense size", "* 1 FETCH (UID 1 BODY[] {99999999999999999999}\r\n", "", ErrProtocol},
		{"body that is an atom", "* 1 FETCH (UID 1 BODY[] hello)\r\n", "", ErrProtocol},
		{"tagged answer that is no status", "%T FOO bar\r\n", "", ErrProtocol},
		{"answers that nobody asked for", strings.Repeat("* OK still here\r\n", 1001), "", ErrProtocol},
		{"messages that nobody asked for", strings.Repeat("* 9 FETCH (UID 9 BODY[] {1}\r\nx)\r\n", 1001), "", ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"UID FETCH": func(c *imaptest.Conn, cmd imaptest.Command) {
					imaptest.Answer(test.answer)(c, cmd)
					c.Close()
				},
			}})
			c := dial(t, s, func(o *Options) {
				*o = o.filled()
				o.limits.answers = 1000
			})
			got, err := fetched(c, uids(1, 5), true)
			if cut, _, isCut := strings.Cut(got, "!"); isCut {
				got = cut + "!"
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if err == nil || c.Err() == nil {
				t.Fatalf("no error: the command says %v, the connection %v", err, c.Err())
			}
			err = c.Explain(err)
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
			t.Log(err)
			if soon(t, "the next command", func() error { return c.Noop().Wait() }) == nil {
				t.Error("the next command succeeds")
			}
		})
	}
}

// What never ends is given up early, in little memory.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, begin, more, command string }{
		{"parentheses", "* 1 FETCH (BODYSTRUCTURE ", "(", "NOOP"},
		{"a line", "* OK ", "a", "NOOP"},
		{"a line without a star", "", "a", "NOOP"},
		{"a continuation", "+ ", "a", "NOOP"},
		{"a tagged line", "T1 OK ", "a", "NOOP"},
		{"flags", "* 1 FETCH (FLAGS (", "a ", "NOOP"},
		{"a quoted string", "* LIST () \"/\" \"", "a", "LIST"},
		{"literals", "* LIST () \"/\" x (", "{5}\r\nabcde ", "LIST"},
		{"literals in a message's items", "* 1 FETCH (UID 1", " X {1}\r\na", "NOOP"},
		{"items of a message", "* 1 FETCH (UID 1", " RFC822.SIZE {1}\r\n1", "NOOP"},
		{"blank lines", "", "\r\n", "NOOP"},
		{"folders", "", "* LIST () \"/\" x\r\n", "LIST"},
		{"search results", "* SEARCH", " 1", "UID SEARCH"},
		{"search answers", "", "* SEARCH 1 2 3\r\n", "UID SEARCH"},
		{"vanished messages", "* VANISHED 1", ",1", "NOOP"},
		{"names of folders nobody asked for", "", "* STATUS {60000}\r\n" + strings.Repeat("y", 60000) + " (MESSAGES 1)\r\n", "NOOP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			more := strings.Repeat(test.more, 1<<16/len(test.more))
			s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				test.command: func(c *imaptest.Conn, cmd imaptest.Command) {
					_, err := io.WriteString(c, test.begin)
					for err == nil {
						_, err = io.WriteString(c, more)
					}
				},
			}})
			c := dial(t, s, func(o *Options) {
				*o = o.filled()
				o.limits.answers, o.limits.numbers, o.limits.folders, o.limits.talk = 100_000, 1<<20, 1000, 16<<20
			})
			err := soon(t, test.command, func() error {
				switch test.command {
				case "LIST":
					_, err := c.List("", "*", nil).Collect()
					return err
				case "UID SEARCH":
					_, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
					return err
				}
				return c.Noop().Wait()
			})
			if err = c.Explain(err); !errors.Is(err, ErrProtocol) {
				t.Errorf("the error is %v", err)
			}
			t.Log(err)
		})
	}
}

// The limits are where they are said to be.
func TestLimitsAreExact(t *testing.T) {
	t.Parallel()
	nest := func(n int) string {
		return "* 1 FETCH (UID 1 X " + strings.Repeat("(", n) + "a" + strings.Repeat(")", n) + ")\r\n"
	}
	line := func(n int) string { return "* OK " + strings.Repeat("a", n-len("* OK \r\n")) + "\r\n" }
	folders := func(n int) string { return strings.Repeat("* LIST () NIL x\r\n", n) }
	names := func(n int) string {
		return strings.Repeat("* STATUS {1048576}\r\n"+strings.Repeat("y", 1<<20)+" (X)\r\n", n)
	}
	literal := func(n int) string { return fmt.Sprintf("* LIST () NIL x ({%d}\r\n%s)\r\n", n, strings.Repeat("a", n)) }
	for _, test := range []struct{ name, within, beyond, says string }{
		{"nesting", nest(100), nest(101), "nested deeper than 100"},
		{"line", line(64<<10 + 2), line(64<<10 + 3), "a line of more than 65536"},
		{"folders", folders(100), folders(101), "more than 100 folders"},
		{"talk", names(6), names(7), "answers of more than 6301456 octets without a message"},
		{"literal", literal(1 << 20), literal(1<<20 + 1), "a literal of 1048577 octets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, answer := range []string{test.within, test.beyond} {
				s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
					"LIST": imaptest.Answer(answer + "%T OK done\r\n"),
				}})
				c := dial(t, s, func(o *Options) {
					*o = o.filled()
					o.limits.folders, o.limits.talk = 100, 6<<20+10_000 // with what was said at the login
				})
				_, err := c.List("", "*", nil).Collect()
				if answer == test.within && err != nil || answer == test.beyond && (err == nil || !strings.Contains(c.Explain(err).Error(), test.says)) {
					t.Errorf("%v", c.Explain(err))
				}
			}
		})
	}
}

// The same goes for answers without bodies: go-imap would take an update of
// the flags for all there is to know of a message.
func TestFetchAnswersInParts(t *testing.T) {
	t.Parallel()
	const date = ` INTERNALDATE "17-Jul-1996 02:44:25 -0700"`
	for _, test := range []struct{ name, answer, want, odd string }{
		{"update before the answer", "* 1 FETCH (UID 1 FLAGS (old))\r\n* 1 FETCH (UID 1 FLAGS (new)" + date + ")\r\n", "uid=1 flags=[old] flags=[new] date=1996-07-17T02:44:25-07:00", ""},
		{"answer in parts, mixed", "* 1 FETCH (UID 1 FLAGS (a))\r\n* 2 FETCH (UID 2" + date + ")\r\n* 1 FETCH (UID 1" + date + ")\r\n* 2 FETCH (UID 2 FLAGS (b))\r\n",
			"uid=1 flags=[a] date=1996-07-17T02:44:25-07:00\nuid=2 date=1996-07-17T02:44:25-07:00 flags=[b]", ""},
		{"never complete", "* 2 FETCH (UID 2 FLAGS (b))\r\n* 1 FETCH (UID 1 FLAGS (a x]))\r\n", "uid=1 flags=[a]\nuid=2 flags=[b]", "1/1 FLAGS=x]"},
		{"complete with an odd date", "* 1 FETCH (UID 1 FLAGS (a) INTERNALDATE NIL)\r\n", "uid=1 flags=[a]", "1/1 INTERNALDATE=NIL"},
		{"nothing but the UID", "* 1 FETCH (UID 1)\r\n", "uid=1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var odd oddities
			s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"UID FETCH": imaptest.Answer(test.answer + "%T OK done\r\n"),
			}})
			c := dial(t, s, func(o *Options) { o.Odd = odd.add })
			got, err := fetched(c, uids(1, 5), false)
			if err != nil {
				t.Fatal(c.Explain(err))
			}
			if got != test.want || odd.String() != test.odd {
				t.Errorf("got  %s, %s\nwant %s, %s", got, odd.String(), test.want, test.odd)
			}
			alive(t, c)
		})
	}
}

// A server that never sends an item that was asked for does not fill the
// memory: what does not fit is shown at once.
func TestPartsAreBounded(t *testing.T) {
	t.Parallel()
	p := newPending()
	f := p.enter([]byte("T1 UID FETCH 1:* (FLAGS INTERNALDATE)")).fetch
	for uid := uint32(1); p.hold(&part{seq: uid, uid: uid, got: itemFlags, text: make([]byte, 1000)}); uid++ {
		if f.kept > maxHeld {
			t.Fatalf("%d octets are held", f.kept)
		}
	}
	const count = 50_000
	s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"UID FETCH": func(c *imaptest.Conn, cmd imaptest.Command) {
			w := bufio.NewWriter(c)
			for i := range count {
				fmt.Fprintf(w, "* %d FETCH (UID %d FLAGS (aaaaaaaaaaaaaaaaaaaaaaaaa))\r\n", i+1, i+1)
			}
			w.Flush()
			c.OK(cmd)
		},
	}})
	c := dial(t, s, nil)
	got, err := fetched(c, uids(1, 0), false)
	if n := strings.Count(got, "uid="); err != nil || n != count {
		t.Errorf("%d messages, %v", n, c.Explain(err))
	}
}

// UIDs in a senseless order cost go-imap the square of their number.
func TestSenselessOrder(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"UID FETCH": func(c *imaptest.Conn, cmd imaptest.Command) {
			w := bufio.NewWriter(c)
			for i := 20_000; i > 0; i -= 2 {
				fmt.Fprintf(w, "* %d FETCH (UID %d FLAGS ())\r\n", i, i)
			}
			w.Flush()
			c.OK(cmd)
		},
	}})
	for limit, want := range map[int]error{1_000_000: ErrProtocol, 100_000_000: nil} {
		c := dial(t, s, func(o *Options) {
			*o = o.filled()
			o.limits.disorder = limit
		})
		cmd := c.Fetch(uids(1, 0), &imap.FetchOptions{UID: true, Flags: true})
		if err := c.Explain(cmd.Close()); !errors.Is(err, want) {
			t.Errorf("%d: %v", limit, err)
		}
	}
}

// A NO at the end of a FETCH says that something is missing; what came is good.
func TestFetchEndsWithNo(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"UID FETCH": imaptest.Answer(hello + "%T NO [LIMIT] some of the messages could not be fetched\r\n"),
	}})
	c := dial(t, s, nil)
	got, err := fetched(c, uids(1, 5), true)
	if got != `uid=1 body[]="hello"` {
		t.Errorf("got %s", got)
	}
	var no *imap.Error
	if !errors.As(err, &no) || no.Code != "LIMIT" || !errors.Is(c.Explain(err), ErrBusy) {
		t.Errorf("the error is %v", c.Explain(err))
	}
	alive(t, c)
}

// Flags can be fetched while there is a body to come for another message, by
// UID or by sequence number.
func TestFetchesUnderWayTogether(t *testing.T) {
	t.Parallel()
	first := make(chan imaptest.Command, 1)
	s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"UID FETCH": func(c *imaptest.Conn, cmd imaptest.Command) { first <- cmd },
		"FETCH": func(c *imaptest.Conn, cmd imaptest.Command) {
			body := <-first
			c.Say("* 7 FETCH (UID 70 FLAGS (x))\r\n* 1 FETCH (FLAGS (early))\r\n" + hello)
			c.OK(body)
			c.Say("* 8 FETCH (UID 80 FLAGS (y))\r\n")
			c.OK(cmd)
		},
	}})
	c := dial(t, s, nil)
	type result struct {
		got string
		err error
	}
	bodies := make(chan result, 1)
	go func() {
		got, err := fetched(c, uids(1, 5), true)
		bodies <- result{got, err}
	}()
	for len(s.Commands()) < 2 { // LOGIN and UID FETCH
		time.Sleep(time.Millisecond)
	}
	got, err := fetched(c, imap.SeqSet{{Start: 7, Stop: 8}}, false)
	if err != nil || got != "uid=70 flags=[x]\nuid=80 flags=[y]" {
		t.Errorf("flags: %s, %v", got, err)
	}
	if r := <-bodies; r.err != nil || r.got != `uid=1 body[]="hello"` {
		t.Errorf("bodies: %s, %v", r.got, r.err)
	}
}
