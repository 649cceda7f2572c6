package servers

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/cmd/testbed/rawimap"
)

// date is when messages came. Dovecot writes internal dates in its own zone.
var date = time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC)

func message(subject string) []byte {
	return []byte("Subject: " + subject + "\r\n\r\nHello )\r\n.\r\n{3}\r\nend")
}

// both runs a test on both mail servers.
func both(t *testing.T, f func(*testing.T, Server)) {
	for name, server := range map[string]func(testing.TB) Server{"slash": IMAP, "dot": IMAPDot} {
		t.Run(name, func(t *testing.T) { t.Parallel(); f(t, server(t)) })
	}
}

func TestANewUserIsEmpty(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s Server) {
		m := Dump(t, s, NewUser(t))
		if len(m.Folders) != 1 || m.Folders[0].Name != "INBOX" || len(m.Folders[0].Messages) != 0 {
			t.Errorf("a new user has %+v", m)
		}
	})
}

func TestDumpReadsBackWhatWasLoaded(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s Server) {
		flags := []string{`\Flagged`, `\Seen`}
		for i := range 40 { // more than the 26 that Maildir has letters for
			flags = append(flags, fmt.Sprintf("$word%02d", i))
		}
		slices.Sort(flags)
		user, sent := NewUser(t), s.Prefix+"Sent"
		Load(t, s, user, sent, Message{message("one"), flags, date}, Message{Octets: []byte("x\x80")})

		f := Dump(t, s, user).Folder(sent)
		if f == nil || len(f.Messages) != 2 {
			t.Fatalf("the folder has %+v", f)
		}
		if !f.Subscribed || !slices.Equal(f.SpecialUse, []string{`\Sent`}) || f.Delimiter != s.Delimiter || len(f.Attributes) != 0 {
			t.Errorf("LIST tells %+v", f)
		}
		if f.UIDValidity == 0 || f.UIDNext != 3 || f.Messages[0].UID != 1 || f.Messages[1].UID != 2 {
			t.Errorf("UIDVALIDITY %d, UIDNEXT %d, UIDs %d and %d", f.UIDValidity, f.UIDNext, f.Messages[0].UID, f.Messages[1].UID)
		}
		m := f.Messages[0]
		if !bytes.Equal(m.Octets, message("one")) || m.Size != len(m.Octets) {
			t.Errorf("the message has %d octets: %q", m.Size, m.Octets)
		}
		if !slices.Equal(m.Flags, flags) {
			t.Errorf("flags %v", m.Flags)
		}
		if got, err := time.Parse(rawimap.DateFormat, m.InternalDate); err != nil || !got.Equal(date) {
			t.Errorf("internal date %s: %v", m.InternalDate, err)
		}
		if !bytes.Equal(f.Messages[1].Octets, []byte("x\x80")) {
			t.Errorf("the second message is %q", f.Messages[1].Octets)
		}
	})
}

func TestAppendAllIsLikeAppend(t *testing.T) {
	t.Parallel()
	s, one, all := IMAP(t), NewUser(t), NewUser(t)
	list := []rawimap.Outgoing{{Flags: []string{`\Seen`, "x"}, Date: date, Octets: message("one")}, {Date: date.Add(time.Hour), Octets: []byte("two")}}
	for _, m := range list {
		Load(t, s, one, "INBOX", Message{m.Octets, m.Flags, m.Date})
	}
	session := Login(t, s, all)
	session.Do("SUBSCRIBE INBOX")
	if err := session.AppendAll("INBOX", list); err != nil {
		t.Fatal(err)
	}
	if err := session.AppendAll("INBOX", append(list, rawimap.Outgoing{})); err == nil {
		t.Error("the server took an empty message")
	}
	Same(t, Dump(t, s, one), Dump(t, s, all))
}

func TestDumpChangesNothing(t *testing.T) {
	t.Parallel()
	s, user := IMAP(t), NewUser(t)
	Load(t, s, user, "INBOX", Message{Octets: message("new")})
	Dump(t, s, user)
	answer := Login(t, s, user).Do("SELECT INBOX")
	if !slices.Contains(answer, "* 1 RECENT") {
		t.Errorf("after a dump the message is not recent any more: %q", answer)
	}
	if f := Dump(t, s, user).Folder("INBOX"); len(f.Messages[0].Flags) != 0 {
		t.Errorf("after two dumps the message has the flags %v", f.Messages[0].Flags)
	}
}

func TestFillIsLikeLoad(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s Server) {
		var messages []Message
		for i := range 50 {
			flags := [][]string{nil, {`\Seen`}, {`\Seen`, `\Answered`, `\Flagged`}, {`\Draft`, `\Deleted`}}[i%4]
			messages = append(messages, Message{message(fmt.Sprint(i)), flags, date.Add(time.Duration(i) * time.Hour)})
		}
		filled, loaded := NewUser(t), NewUser(t)
		for _, folder := range []string{"INBOX", s.Prefix + "a" + s.Delimiter + rawimap.EncodeName("Größe & 1")} {
			Fill(t, s, filled, folder, messages[:20]...)
			Load(t, s, loaded, folder, messages[:20]...)
			Dump(t, s, filled) // the server has seen them
			Fill(t, s, filled, folder, messages[20:]...)
			Load(t, s, loaded, folder, messages[20:]...)
			Login(t, s, filled).Do("SUBSCRIBE " + rawimap.Quote(folder))
		}
		got, want := Dump(t, s, filled), Dump(t, s, loaded)
		Same(t, want, got)
		for i, m := range got.Folder("INBOX").Messages {
			if !bytes.Equal(m.Octets, messages[i].Octets) {
				t.Errorf("message %d comes as %q", i, m.Octets)
			}
		}
	})
}

func TestDifferenceFindsWhatChanged(t *testing.T) {
	t.Parallel()
	s := IMAP(t)
	for _, c := range []struct {
		what, commands string
		lines          int // of difference
	}{
		{"nothing", "NOOP", 0},
		{"a flag", "UID STORE 1 +FLAGS (x)", 2},
		{"a message gone", "UID EXPUNGE 2", 1},
		{"a message moved", "UID MOVE 1 Trash", 2},
		{"a message copied within the folder", "UID COPY 1 INBOX", 1},
		{"a message with one other octet", "UID EXPUNGE 2; APPEND INBOX (\\Deleted) \"29-Feb-2024 23:59:58 +0000\" {5+}\r\ntwO\r\n", 2},
		{"a message that went and came again", "UID EXPUNGE 2; APPEND INBOX (\\Deleted) \"29-Feb-2024 23:59:58 +0000\" {5+}\r\ntwo\r\n", 0},
		{"a folder renamed", "RENAME Trash Junk", 2},
		{"a folder gone", "DELETE Trash", 1},
		{"a new folder", "CREATE a/b", 2}, // and its parent, which holds no messages
		{"a subscription", "UNSUBSCRIBE Trash", 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			user := NewUser(t)
			Load(t, s, user, "INBOX", Message{message("one"), nil, date}, Message{[]byte("two\r\n"), []string{`\Deleted`}, date})
			Load(t, s, user, "Trash")
			before := Dump(t, s, user)
			session := Login(t, s, user)
			session.Do("SELECT INBOX")
			for command := range strings.SplitSeq(c.commands, "; ") {
				session.Do(command)
			}
			if diff := rawimap.Difference(before, Dump(t, s, user)); len(diff) != c.lines {
				t.Errorf("%d differences, want %d:\n%s", len(diff), c.lines, strings.Join(diff, "\n"))
			}
		})
	}
}
