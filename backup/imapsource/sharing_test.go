package imapsource

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"restante/backup"
	"restante/backup/accounts/imapconn/imaptest"
)

const (
	gmail   = everything + " X-GM-EXT-1"
	allMail = "[Gmail]/All Mail"
)

// newGmail is a chain from an account with a folder of all messages.
func newGmail(t *testing.T, caps string) *chain {
	c := newChain(t, caps)
	f := c.account.Folder(allMail)
	c.account.Do(func() { f.Attrs = `\All` })
	return c
}

// put delivers letter n into folders, as one message.
func (c *chain) put(n int, folders ...string) {
	for _, f := range folders {
		c.account.Add(f, letter(n), `\Seen`).GmailID = fmt.Sprint(1278455344230334865 + n)
	}
}

// read runs a backup that must have all that the account has and ask for so
// many messages whole.
func (c *chain) read(what string, script *imaptest.Script, bodies int) *backup.Result {
	c.t.Helper()
	r := c.whole(what, script)
	if got := c.bodies(); got != bodies {
		c.t.Errorf("%s: %d messages were read, want %d", what, got, bodies)
	}
	return r
}

func TestMessageInManyFoldersIsReadOnce(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{gmail, "X-GM-EXT-1"} {
		c := newGmail(t, caps)
		c.put(1, "INBOX", allMail, "Zoo")
		first := c.read("one message in three folders", nil, 1)
		if s := first.Snapshot.Stats; s.New != 3 || s.Read != int64(len(letter(1))) {
			t.Errorf("%d new, %d octets", s.New, s.Read)
		}
		c.read("nothing new", nil, 0)
		c.put(2, "INBOX", allMail)
		c.put(3, allMail, "Zoo", "Aviary")
		c.read("two new messages", nil, 2)
		c.put(1, "Aviary") // a label more
		c.put(3, "INBOX")
		c.read("labels of known messages", nil, 0)
		c.put(4, "[Gmail]/Spam")
		c.put(5, "[Gmail]/Trash")
		c.read("what is in Spam or Trash only", nil, 2)
		c.account.Expunge(allMail, 2)
		c.account.Expunge("INBOX", 2)
		c.put(2, "[Gmail]/Trash")
		c.read("a message that was thrown away", nil, 0)
		if n := len(c.snapshot(first.Snapshot)["INBOX"]); n != 2 { // with its description
			t.Errorf("the first snapshot's INBOX has %d", n)
		}
	}
}

// All that is in the folder of all messages is known before another folder is
// read, however many are at it and however often a partial snapshot is due.
func TestManyMessagesInManyFoldersAreReadOnce(t *testing.T) {
	t.Parallel()
	c := newGmail(t, gmail)
	c.source = func(o *Options) { o.Parallel = 4 }
	c.run = func(o *backup.Options) { o.CommitBytes = 1 << 10 }
	for i := range 700 {
		folders := []string{allMail}
		for k, f := range []string{"INBOX", "Aviary", "Zoo", "[Gmail]/Sent"} {
			if i%(k+2) == 0 {
				folders = append(folders, f)
			}
		}
		c.put(i, folders...)
	}
	c.read("first", nil, 700)
	other := false
	for _, cmd := range c.commands {
		if cmd.Name == "UID FETCH" && strings.Contains(cmd.Args, "HEADER.FIELDS") {
			other = true
		} else if other && strings.Contains(cmd.Args, "BODY.PEEK[]") {
			t.Errorf("after the other folders were begun: %s", cmd.Args)
		}
	}
	for i := range 300 {
		c.put(2*i+1, "INBOX")
	}
	c.read("second", nil, 0)
}

// What a run that was interrupted has committed is not read again, in no folder.
func TestSharedMessagesAfterAnInterruptedRun(t *testing.T) {
	t.Parallel()
	c := newGmail(t, gmail)
	const messages = 200
	for i := range messages {
		c.put(i, allMail, "INBOX", "Zoo")
	}
	c.run = func(o *backup.Options) { o.CommitBytes = 1 << 10 }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := imaptest.Start(t, *c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
		return func(conn *imaptest.Conn, cmd imaptest.Command) {
			if strings.Contains(cmd.Args, "HEADER.FIELDS") || wantsBody(cmd, 100) {
				cancel()
			}
			own(conn, cmd)
		}
	}))
	if _, err := c.fromContext(ctx, server.Addr); err == nil {
		t.Fatal("it was not interrupted")
	}
	latest, ok := c.repo.Latest("alice")
	if !ok {
		t.Fatal("nothing was committed")
	}
	had := len(c.snapshot(latest)[allMail]) - 1 // without its description
	if had == 0 || had >= messages {
		t.Fatalf("%d messages were committed", had)
	}
	c.read("in the end", nil, messages-had)
}

func TestMessageWithoutGmailIDIsRead(t *testing.T) {
	t.Parallel()
	c := newGmail(t, gmail)
	c.put(1, allMail, "INBOX")
	c.account.Add(allMail, letter(2), "")
	c.put(2, "INBOX") // told there only
	c.put(3, allMail)
	c.account.Add("INBOX", letter(3), "") // not told there
	c.account.Add(allMail, letter(4), "").GmailID = "0"
	c.account.Add("INBOX", letter(4), "").GmailID = "0"
	c.account.Add(allMail, letter(5), "").GmailID = "x7"
	c.account.Add("INBOX", letter(5), "").GmailID = "x7"
	c.read("first", nil, 5+4)
	c.read("second", nil, 0)
}

// A key finds a message, and does not prove that it is the same.
func TestMessageThatIsAnotherThanItsGmailIDSaysIsRead(t *testing.T) {
	t.Parallel()
	other := func(body string) func(c *chain) {
		return func(c *chain) {
			c.account.Add(allMail, letter(1), "").GmailID = "7"
			c.account.Add("INBOX", body, "").GmailID = "7"
		}
	}
	for name, fill := range map[string]func(*chain){
		"another size":       other(letter(1) + "more\r\n"),
		"another Message-ID": other(strings.Replace(letter(1), "<1@", "<2@", 1)),
		"no Message-ID":      other(strings.Replace(letter(1), "Message-ID: ", "X-Message:  ", 1)),
		"another subject":    other(strings.Replace(letter(1), "letter 1", "letter 2", 1)),
		"another sender":     other(strings.Replace(letter(1), "ann@", "ben@", 1)),
		"another date": func(c *chain) {
			for folder, year := range map[string]string{allMail: "2023", "INBOX": "2024"} {
				c.account.Add(folder, "Date: 1 Jan "+year+" 00:00 +0000\r\n"+letter(1), "").GmailID = "7"
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newGmail(t, gmail)
			fill(c)
			c.put(3, allMail, "INBOX")
			c.read("first", nil, 3)
		})
	}
	t.Run("a lie about the size", func(t *testing.T) {
		t.Parallel()
		c := newGmail(t, gmail)
		c.put(1, allMail, "INBOX")
		c.put(2, allMail, "INBOX")
		size := fmt.Sprintf("RFC822.SIZE %d", len(letter(1)))
		lying := func() *imaptest.Script {
			return c.rewritten("UID FETCH", func(cmd imaptest.Command, s string) string {
				if !strings.Contains(cmd.Args, "HEADER.FIELDS") {
					return s
				}
				return strings.Replace(s, size, size+"0", 1) // of the first
			})
		}
		c.read("first", lying(), 3)
		c.put(1, "Zoo")
		c.read("second", lying(), 1)
		c.put(1, "Aviary")
		c.read("when it says the truth", nil, 0)
	})
}

// What cannot be told of messages makes nothing worse.
func TestSharedMessagesThatCannotBeToldAreRead(t *testing.T) {
	t.Parallel()
	outlines := func(cmd imaptest.Command) bool { return strings.Contains(cmd.Args, "HEADER.FIELDS") }
	fields, _, _ := strings.Cut(letter(1), "\r\n\r\n")
	told := fmt.Sprintf("* 1 FETCH (UID 1 X-GM-MSGID 1278455344230334866 RFC822.SIZE %d FLAGS () BODY[HEADER.FIELDS (From To Subject Date Message-ID)] {%d}\r\n%s\r\n\r\n)\r\n%%T OK done\r\n",
		len(letter(1)), len(fields)+4, fields)
	for name, answer := range map[string]string{
		"refused":     "%T NO [CANNOT] no such thing\r\n",
		"no answer":   "%T OK done\r\n",
		"others":      "* 1 FETCH (UID 99 X-GM-MSGID 7 RFC822.SIZE 5 FLAGS () BODY[HEADER.FIELDS (From To Subject Date Message-ID)] {2}\r\n\r\n)\r\n%T OK done\r\n",
		"no flags":    strings.Replace(told, "FLAGS () ", "", 1),
		"no size":     strings.Replace(told, "RFC822.SIZE", "RFC822.SIZED", 1),
		"no ID":       strings.Replace(told, "X-GM-MSGID", "X-GM-THRID", 1),
		"no header":   "* 1 FETCH (UID 1 X-GM-MSGID 1278455344230334866 RFC822.SIZE 96 FLAGS ())\r\n%T OK done\r\n",
		"disconnects": "* BYE sorry\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newGmail(t, gmail)
			c.put(1, allMail, "INBOX")
			c.put(2, allMail, "INBOX")
			script := c.refused("UID FETCH", answer, outlines)
			if name == "disconnects" {
				script = c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
					return func(conn *imaptest.Conn, cmd imaptest.Command) {
						if outlines(cmd) {
							conn.Close()
							return
						}
						own(conn, cmd)
					}
				})
			}
			c.read("first", script, 4)
			c.put(1, "Zoo")
			c.read("second", nil, 0)
		})
	}
}

// Without the folder of all messages, each folder is read by itself.
func TestFolderOfAllMessagesThatIsNotThere(t *testing.T) {
	t.Parallel()
	fill := func(c *chain) {
		c.put(1, allMail, "INBOX", "Zoo")
		c.put(2, allMail, "INBOX")
	}
	t.Run("hidden", func(t *testing.T) {
		t.Parallel()
		c := newGmail(t, gmail)
		fill(c)
		c.account.Remove(allMail)
		c.read("first", nil, 3)
	})
	t.Run("left out", func(t *testing.T) {
		t.Parallel()
		c := newGmail(t, gmail)
		fill(c)
		c.run = func(o *backup.Options) {
			o.Exclude = func(levels []string) bool { return levels[len(levels)-1] == "All Mail" }
		}
		c.must(nil)
		if got := c.bodies(); got != 3 {
			t.Errorf("%d were read", got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		c := newGmail(t, gmail)
		fill(c)
		r := c.incomplete("first", c.refused("EXAMINE", "%T NO [NOPERM] no\r\n", func(cmd imaptest.Command) bool {
			return strings.Contains(cmd.Args, "All Mail")
		}), "NOPERM")
		if got := c.bodies(); got != 3 || r.Snapshot.Messages != 3 {
			t.Errorf("%d were read, %d are there", got, r.Snapshot.Messages)
		}
		c.read("second", nil, 2)
	})
	t.Run("of a server that is not Gmail", func(t *testing.T) {
		t.Parallel()
		c := newGmail(t, everything)
		fill(c)
		c.read("first", nil, 5)
		for _, cmd := range c.commands {
			if strings.Contains(cmd.Args, "HEADER.FIELDS") || strings.Contains(cmd.Args, "X-GM-") {
				t.Errorf("the server got %s %s", cmd.Name, cmd.Args)
			}
		}
	})
}

// A full run reads everything everywhere, to find out whether it is right.
func TestFullRunReadsSharedMessagesInEachFolder(t *testing.T) {
	t.Parallel()
	c := newGmail(t, gmail)
	c.put(1, allMail, "INBOX", "Zoo")
	c.read("first", nil, 1)
	c.run = func(o *backup.Options) { o.Full = true }
	c.read("full", nil, 3)
	c.run = nil
	c.put(1, "Aviary")
	c.read("after it", nil, 0)
}

// The keys outlive another UIDVALIDITY, and another name.
func TestFolderOfAllMessagesInAnotherEpoch(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*imaptest.Folder){
		"UIDVALIDITY": func(f *imaptest.Folder) { f.Validity += 5000 },
		"name":        func(f *imaptest.Folder) { f.Name = "[Gmail]/Alle Nachrichten" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newGmail(t, gmail)
			for i := range 5 {
				c.put(i, allMail)
			}
			c.put(0, "INBOX")
			c.read("first", nil, 5)
			f := c.account.Folder(allMail)
			c.account.Do(func() { change(f); f.ModSeq++ })
			c.put(3, "Zoo")
			c.must(nil)
			if got := c.bodies(); got != 1 { // the one that proves that the others were recognised
				t.Errorf("%d were read", got)
			}
			c.put(4, "Aviary")
			c.read("third", nil, 0)
		})
	}
}
