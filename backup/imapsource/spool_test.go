package imapsource

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// long is a message of so many octets.
func long(octets int) string {
	header := "From: ann@example.org\r\nSubject: long\r\n\r\n"
	const lines = "All work and no play makes a dull mailbox, and a long one.\r\n"
	return (header + strings.Repeat(lines, octets/len(lines)+1))[:octets]
}

// uidBehind puts the UID behind the body.
func uidBehind(_ imaptest.Command, text string) string {
	list := answers(text)
	for i, a := range list {
		if m := uidItem.FindStringSubmatch(a); m != nil && strings.Contains(a, "BODY[]") {
			list[i] = strings.TrimSuffix(strings.Replace(a, m[0], "", 1), ")\r\n") + " UID " + m[1] + ")\r\n"
		}
	}
	return strings.Join(list, "")
}

// Messages that are kept in memory while they are saved, and others that are
// kept in a file, of which nothing is left.
func TestLargeMessagesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(imaptest.Command, string) string{
		"as usual":            func(_ imaptest.Command, text string) string { return text },
		"UID behind the body": uidBehind,
		"said to be a literal8": func(_ imaptest.Command, text string) string {
			return regexp.MustCompile(`BODY\[\] \{`).ReplaceAllString(text, "BODY[] ~{")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, everything)
			c.conn = func(o *imapconn.Options) { o.TempDir = c.temp }
			for _, size := range []int{1<<20 - 1, 1 << 20, 1<<20 + 1, inMemory - 1, inMemory, inMemory + 1, 3 * inMemory, 0, 1} {
				c.account.Add("INBOX", long(size), ``)
			}
			c.whole(name, c.rewritten("UID FETCH", change))
			if left, err := os.ReadDir(c.temp); err != nil || len(left) > 0 {
				t.Errorf("%v is left, %v", left, err)
			}
		})
	}
}

// A message that cannot be kept in a file is our fault, not the server's: the
// run ends and says why, nothing is set aside, and what was read before is not
// lost.
func TestTemporaryDirectoryThatIsNotThere(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(imaptest.Command, string) string{
		"as usual":            func(_ imaptest.Command, text string) string { return text },
		"UID behind the body": uidBehind,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, everything)
			nowhere := filepath.Join(c.temp, "nowhere")
			c.source = func(o *Options) { o.Parallel, o.TempDir = 1, nowhere }
			c.conn = func(o *imapconn.Options) { o.TempDir = nowhere }
			for i := range 600 {
				c.account.Add("INBOX", letter(i), ``)
			}
			c.account.Add("Large", long(inMemory+1), ``)
			script := c.rewritten("UID FETCH", change)
			_, err := c.backup(script)
			if _, ours := errors.AsType[*backup.LocalError](err); !ours || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(fmt.Sprint(err), nowhere) {
				t.Fatalf("%v", err)
			}
			if c.pauses > 0 {
				t.Errorf("it was tried %d times again", c.pauses)
			}
			c.source, c.conn = nil, nil
			c.whole("in the end", script)
			if n := c.bodies(); n != 1 {
				t.Errorf("%d messages were read in the second run", n)
			}
		})
	}
}
