package imapsource

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/storage"
)

// everyServer are servers that can more or less.
var everyServer = map[string]string{
	"all that is of use":      everything,
	"CONDSTORE only":          "CONDSTORE",
	"QRESYNC, which implies":  "NAMESPACE LIST-EXTENDED LIST-STATUS SPECIAL-USE QRESYNC CONDSTORE ESEARCH",
	"LIST-EXTENDED, no state": "LIST-EXTENDED SPECIAL-USE ESEARCH",
	"IMAP4rev1 and no more":   "",
}

func TestEverySnapshotIsTheAccountAsItWas(t *testing.T) {
	t.Parallel()
	for name, caps := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			c.fill()
			sent := c.account.Folder("Sent")
			steps := []struct {
				what string
				do   func()
			}{
				{"first", func() {}},
				{"nothing", func() {}},
				{"new mail", func() { c.account.Add("INBOX", letter(20), ``); c.account.Add("Sent", letter(21), `\Seen`) }},
				{"flags set", func() { c.account.Flag("INBOX", 1, `\Seen \Deleted`); c.account.Flag("INBOX", 12, `$Label1 custom`) }},
				{"flags cleared", func() { c.account.Flag("INBOX", 3, ``) }},
				{"expunged", func() { c.account.Expunge("INBOX", 2, 5, 12) }},
				{"expunged and new, as many", func() { c.account.Expunge("INBOX", 4); c.account.Add("INBOX", letter(22), ``) }},
				{"moved", func() { c.account.Expunge("INBOX", 6); c.account.Add("Sent", letter(5), `\Seen`) }},
				{"all gone", func() { c.account.Expunge("Sent", 1, 2, 3, 4, 5, 6, 7, 8, 9) }},
				{"back", func() { c.account.Add("Sent", letter(5), `\Seen`) }},
				{"a new folder", func() { c.account.Add("Projekte/B&APw-cher", letter(30), `\Flagged`) }},
				{"unsubscribed", func() { c.account.Do(func() { sent.Subscribed = false }) }},
				{"another special use", func() { c.account.Do(func() { sent.Attrs = `\Archive` }) }},
				{"an empty folder is gone", func() { c.account.Remove("Lists/Empty") }},
				{"an empty message", func() { c.account.Add("INBOX", "", ``) }},
				{"odd octets", func() {
					c.account.Add("INBOX", "no header\x00at all\r\r\n\n\xff\xfe"+strings.Repeat("long", 30_000)+"\r\n.\r\n\r\n)\r\nA1 OK done", ``)
				}},
			}
			for _, step := range steps {
				step.do()
				c.whole(step.what, nil)
			}
		})
	}
}

// At earlier points in time nothing changes.
func TestEarlierSnapshotsStayAsTheyWere(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	first := c.must(nil).Snapshot
	before := c.snapshot(first)
	c.account.Expunge("INBOX", 1, 2, 3)
	c.account.Flag("INBOX", 4, `\Seen`)
	inbox := c.account.Folder("INBOX")
	c.must(nil)
	c.account.Do(func() { inbox.Validity++ })
	c.must(nil)
	c.account.Remove("Sent")
	c.must(nil)
	c.same("the first snapshot", c.snapshot(first), before)
}

// A run reads what is new and asks for the flags that changed, no more.
func TestOnlyWhatIsNewIsRead(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	c.whole("first", nil)
	if n := c.bodies(); n != 19 {
		t.Errorf("%d messages were asked for", n)
	}
	c.account.Add("Sent", letter(40), ``)
	c.account.Flag("Sent", 2, `\Flagged`)
	c.whole("one is new", nil)
	if n := c.bodies(); n != 1 || c.sent()["EXAMINE"] != 1 {
		t.Errorf("%d messages were asked for, and %v", n, c.sent())
	}
	for _, cmd := range c.commands {
		if cmd.Name == "UID FETCH" && !strings.Contains(cmd.Args, "BODY.PEEK[]") && !strings.Contains(cmd.Args, "(CHANGEDSINCE 8)") {
			t.Errorf("flags were asked for with %s", cmd.Args)
		}
	}
}

// UIDs are taken from the set of those that exist, wherever they lie; no
// window and no sequence number is asked for.
func TestSparseAndLargeUIDs(t *testing.T) {
	t.Parallel()
	for name, caps := range everyServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, caps)
			inbox := c.account.Folder("INBOX")
			for _, uid := range []uint32{1, 7, 1000, 743_000_000, 743_000_001, 4_000_000_000, 4_294_967_294} {
				c.account.Do(func() { inbox.Next = uid })
				c.account.Add("INBOX", letter(int(uid)), ``)
			}
			c.whole("first", nil)
			if n, asked := c.bodies(), c.sent()["UID FETCH"]; n != 7 || asked > 2 {
				t.Errorf("%d messages were asked for with %d commands", n, asked)
			}
			c.account.Expunge("INBOX", 7, 4_000_000_000)
			c.whole("two are gone", nil)
		})
	}
}

// With nothing changed, a server that tells states with the list is asked
// for one list, whatever the number of folders, and opens none.
func TestUnchangedAccountTakesOneList(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	for i := range 200 {
		c.account.Add(fmt.Sprintf("Folder %d", i), letter(i), `\Seen`)
	}
	group := c.account.Folder("Group")
	c.account.Do(func() { group.Attrs = `\Noselect` })
	c.whole("first", nil)
	c.whole("nothing changed", nil)
	var sent []string
	for _, cmd := range c.commands {
		sent = append(sent, cmd.Name)
	}
	if fmt.Sprint(sent) != "[LOGIN NAMESPACE LIST LOGOUT]" {
		t.Errorf("the server got %v", sent)
	}
}

// Without LIST-STATUS the states are asked for many at a time, and still no
// folder is opened.
func TestUnchangedAccountWithoutListStatusIsNotOpened(t *testing.T) {
	t.Parallel()
	c := newChain(t, "NAMESPACE LIST-EXTENDED SPECIAL-USE CONDSTORE")
	for i := range 100 {
		c.account.Add(fmt.Sprintf("Folder %d", i), letter(i), `\Seen`)
	}
	c.whole("first", nil)
	c.whole("nothing changed", nil)
	if n := c.sent(); n["EXAMINE"] != 0 || n["STATUS"] != 101 || n["LIST"] != 1 {
		t.Errorf("the server got %v", n)
	}
}

// A server that is told of in the list as unchanged in one number only, and is
// not, is looked into.
func TestFolderIsOpenedWhereAnyNumberOfItsStateChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *imaptest.Folder){
		"HIGHESTMODSEQ": func(f *imaptest.Folder) { f.ModSeq++ },
		"UIDNEXT":       func(f *imaptest.Folder) { f.Next++ },
		"UIDVALIDITY":   func(f *imaptest.Folder) { f.Validity++ },
		"MESSAGES":      func(f *imaptest.Folder) { f.Messages = f.Messages[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, everything)
			c.fill()
			c.must(nil)
			inbox := c.account.Folder("INBOX")
			c.account.Do(func() { change(inbox) })
			result := c.must(nil)
			c.same(name, c.snapshot(result.Snapshot), c.view())
			if c.sent()["EXAMINE"] != 1 {
				t.Errorf("the server got %v", c.sent())
			}
		})
	}
}

// One source is used for many runs, and begins each anew.
func TestSourceOfManyRuns(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	server := imaptest.Start(t, c.account.Script())
	src := New(Options{Dial: func(ctx context.Context, odd func(imapconn.Oddity)) (*imapconn.Conn, error) {
		return imapconn.Dial(ctx, imapconn.Options{Address: server.Addr, Security: imapconn.Insecure, User: "alice", Password: password, Odd: odd, Idle: patience})
	}})
	defer src.Close()
	vault, err := c.repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	for run := range 4 {
		result, err := backup.Run(t.Context(), c.repo, src, backup.Options{Account: "alice", Vault: vault})
		if err != nil {
			t.Fatal(err)
		}
		c.same(fmt.Sprint("run ", run), c.snapshot(result.Snapshot), c.view())
		if len(result.Snapshot.Notes) > 0 {
			t.Errorf("run %d: %q", run, result.Snapshot.Notes)
		}
		c.account.Add("INBOX", letter(500+run), ``)
		c.account.Folder(fmt.Sprint("New ", run))
	}
	logins := 0
	for _, cmd := range server.Commands() {
		if cmd.Name == "LOGIN" {
			logins++
		}
	}
	if logins < 4 {
		t.Errorf("there were %d logins: a list came over a connection that has a folder open", logins)
	}
}
