package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/servers"
)

// What happens to an account between its backups.

// snapshotOf restores a point in time into a new account and reads that.
func (b *bench) snapshotOf(s servers.Server, account, when string) rawimap.Mailbox {
	b.t.Helper()
	user := servers.NewUser(b.t)
	b.do("restore", account, "--at", when, "--to", accountURL(s, user))
	return servers.Dump(b.t, s, user)
}

func TestEveryChangeBetweenRunsIsInItsSnapshotAndEveryEarlierOneStays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		server func(testing.TB) servers.Server
		// renumber gives the messages of the folder Work other UIDs.
		renumber func(t *testing.T, s servers.Server, user string, session *servers.Session)
	}{
		{"Dovecot", servers.IMAP, func(t *testing.T, s servers.Server, user string, _ *servers.Session) {
			s.Unnumber(t, user, "Work", "dovecot-uidlist", "dovecot.index*")
		}},
		{"Cyrus", servers.Cyrus, replaceFolder},
		{"Cyrus, dot and prefix", servers.CyrusDot, replaceFolder},
		{"Courier", servers.Courier, func(t *testing.T, s servers.Server, user string, session *servers.Session) {
			s.Unnumber(t, user, "INBOX.Work", "courierimapuiddb")
			// The numbers that EXAMINE gives are not kept: after the next second
			// it gives others.
			session.Do("SELECT INBOX.Work")
			session.Do("SELECT INBOX")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			everyChange(t, c.server(t), c.renumber)
		})
	}
}

// replaceFolder deletes the folder Work and makes another one with the same
// messages: the only way in which a client makes a server renumber them.
func replaceFolder(t *testing.T, s servers.Server, user string, session *servers.Session) {
	held := servers.Dump(t, s, user).Folder(s.Prefix + "Work")
	session.Do("DELETE " + s.Prefix + "Work")
	session.Do("CREATE " + s.Prefix + "Work")
	for _, m := range held.Messages {
		date, err := time.Parse(rawimap.DateFormat, m.InternalDate)
		if err != nil {
			t.Fatal(err)
		}
		session.Append(s.Prefix+"Work", servers.Message{Octets: m.Octets, Flags: m.Flags, Date: date})
	}
}

func everyChange(t *testing.T, s servers.Server, renumber func(*testing.T, servers.Server, string, *servers.Session)) {
	alice := servers.NewUser(t)
	var letters []servers.Message
	for i := range 40 {
		letters = append(letters, letter(fmt.Sprintf("letter %d", i), strings.Repeat(fmt.Sprintf("line %d\r\n", i), 20), `\Seen`))
	}
	named := func(name string) string { return s.Prefix + name }
	quoted := func(name string) string { return rawimap.Quote(named(name)) }
	servers.Load(t, s, alice, "INBOX", letters...)
	servers.Load(t, s, alice, named("Work"), letters[:10]...)
	servers.Load(t, s, alice, named("Old name"), letters[10:20]...)
	servers.Load(t, s, alice, named("To be deleted"), letters[20:25]...)
	b := newBench(t, "")
	session := servers.Login(t, s, alice)
	type point struct {
		id      string
		mailbox rawimap.Mailbox
	}
	var points []point
	var account string
	step := func(what string, check func(backupJSON), change func()) {
		change()
		r := b.backup(accountURL(s, alice))
		account = r.Account
		points = append(points, point{r.Snapshot.ID, servers.Dump(t, s, alice)})
		if check != nil {
			check(r)
		}
		if t.Failed() {
			t.Fatalf("after: %s", what)
		}
	}
	want := func(fresh, gone, flagged int64) func(backupJSON) {
		return func(r backupJSON) {
			if s := r.Snapshot; s.New != fresh || s.Gone != gone || s.Flagged != flagged || s.Incomplete {
				t.Errorf("%d new, %d gone, %d flagged; want %d, %d, %d: %+v", s.New, s.Gone, s.Flagged, fresh, gone, flagged, s)
			}
		}
	}
	step("first", want(65, 0, 0), func() {})
	step("nothing", want(0, 0, 0), func() {})
	step("new mail", want(2, 0, 0), func() { session.Append("INBOX", letter("new 1", "x"), letter("new 2", "y", `\Flagged`)) })
	step("flags", want(0, 0, 3), func() {
		session.Do("SELECT INBOX")
		session.Do(`UID STORE 3:5 +FLAGS (\Flagged $Important)`)
	})
	step("flags taken away", want(0, 0, 1), func() { session.Do(`UID STORE 3 FLAGS ()`) })
	step("expunged", want(0, 2, 0), func() {
		session.Do(`UID STORE 7:8 +FLAGS (\Deleted)`)
		session.Do("EXPUNGE")
	})
	step("moved", want(3, 3, 0), func() {
		if s.Prefix != "" { // one that may have no MOVE
			session.Do("UID COPY 10:12 " + quoted("Work"))
			session.Do(`UID STORE 10:12 +FLAGS (\Deleted)`)
			session.Do("EXPUNGE")
			return
		}
		session.Do("UID MOVE 10:12 " + quoted("Work"))
	})
	step("copied", want(1, 0, 0), func() { session.Do("UID COPY 13 " + quoted("Work")) })
	step("renamed folder", nil, func() { session.Do("RENAME " + quoted("Old name") + " " + quoted("New name")) })
	step("deleted folder", func(r backupJSON) {
		if !r.Snapshot.Anomalous {
			t.Error("a folder vanished with its mail, and the snapshot is not marked")
		}
	}, func() { session.Do("DELETE " + quoted("To be deleted")) })
	step("new UIDVALIDITY", func(r backupJSON) {
		if len(r.Snapshot.Notes) == 0 {
			t.Error("the run does not say so")
		}
	}, func() {
		session.Do("EXAMINE " + quoted("New name")) // nobody has Work open
		renumber(t, s, alice, session)
	})
	step("new folder and subscription", want(1, 0, 0), func() {
		servers.Load(t, s, alice, named("Brand new"), letter("in the new one", "z"))
		session.Do("UNSUBSCRIBE " + quoted("Work"))
	})
	for i, p := range points {
		got := b.snapshotOf(s, account, p.id)
		servers.Same(t, p.mailbox, got)
		if t.Failed() {
			t.Fatalf("snapshot %d", i)
		}
	}
	if out := b.do("check", "--read-data"); !strings.Contains(out, "no errors were found") {
		t.Errorf("%s", out)
	}
}
