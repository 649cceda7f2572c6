package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"restante/cmd/testbed/rawimap"
)

// startedDemoServer starts a server for a test, with the account ann.
func startedDemoServer(t *testing.T) *demoServer {
	t.Helper()
	s, err := startDemoServer(quietLog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	s.addAccount("ann", "secret")
	return s
}

// A talk is a connection of ann's to a demo server.
type talk struct {
	t *testing.T
	*rawimap.Conn
}

func talkTo(t *testing.T, s *demoServer) talk {
	t.Helper()
	c, err := rawimap.Dial(t.Context(), s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login("ann", "secret"); err != nil {
		t.Fatal(err)
	}
	return talk{t, c}
}

// say sends a command and compares the answer, but for the words of the tagged
// line. "~" before a line that is wanted means that it is the beginning of it.
func (c talk) say(command string, want ...string) {
	c.t.Helper()
	got, err := c.Do(command)
	if _, refused := err.(*rawimap.Refused); err != nil && !refused {
		c.t.Fatalf("%s: %v", command, err)
	}
	same := func(got, want string) bool {
		begin, cut := strings.CutPrefix(want, "~")
		return got == want || cut && strings.HasPrefix(got, begin)
	}
	if !slices.EqualFunc(got, want, same) {
		c.t.Errorf("%s\n got  %q\n want %q", command, got, want)
	}
}

func (c talk) add(folder, octets string, flags ...string) {
	c.t.Helper()
	if err := c.Append(folder, flags, demoDay(2026, time.March, 1, 12, 0), []byte(octets)); err != nil {
		c.t.Fatal(err)
	}
}

// What goes in over one connection comes out over another.
func TestDemoServerGivesBackExactlyWhatItWasGiven(t *testing.T) {
	t.Parallel()
	s := startedDemoServer(t)
	w, err := newDemoWriter()
	if err != nil {
		t.Fatal(err)
	}
	list := append(w.mail, w.arrivals()...)
	for i, octets := range []string{"x", "\r\n", "\n\n", "no header", "a: b\r\n\r\n.\r\n..\r\n", "bare\rCR\rand\nLF", "\xff\x80 8-bit: \xe4\r\n\r\n\xfe", strings.Repeat("l", 1<<20)} {
		flags := [][]string{nil, {`\Seen`, "$Forwarded", "MixedCase", "a-b.c:d"}, {`\Draft`, `\Deleted`, `\Answered`, `\Flagged`}}[i%3]
		list = append(list, demoMail{"Nasty", time.Date(1999+i, 12, 31, 23, 59, 59, 0, time.FixedZone("", (i*3-11)*1800)), flags, []byte(octets)})
	}
	in := talkTo(t, s)
	for _, f := range demoFolders[1:] {
		use := ""
		if f.use != "" {
			use = " (USE (" + f.use + "))"
		}
		in.say("CREATE "+rawimap.Quote(rawimap.EncodeName(f.name))+use, "~OK")
		if f.subscribed {
			in.say("SUBSCRIBE "+rawimap.Quote(rawimap.EncodeName(f.name)), "~OK")
		}
	}
	in.say("CREATE Nasty", "~OK")
	want := map[string][]demoMail{}
	for _, m := range list {
		if err := in.Append(rawimap.EncodeName(m.folder), m.flags, m.date, m.octets); err != nil {
			t.Fatal(err)
		}
		want[m.folder] = append(want[m.folder], m)
	}
	dump, err := talkTo(t, s).Dump()
	if err != nil {
		t.Fatal(err)
	}
	if len(dump.Folders) != len(demoFolders)+1 {
		t.Errorf("%d folders", len(dump.Folders))
	}
	epochs := map[uint32]bool{}
	for _, f := range demoFolders {
		got := dump.Folder(rawimap.EncodeName(f.name))
		if got == nil {
			t.Fatalf("no folder %q", f.name)
		}
		if got.Subscribed != (f.subscribed && f.name != "INBOX") || strings.Join(got.SpecialUse, " ") != f.use || len(got.Attributes) > 0 || got.Delimiter != "/" || epochs[got.UIDValidity] {
			t.Errorf("folder %q: %+v", f.name, got)
		}
		epochs[got.UIDValidity] = true
	}
	for name, messages := range want {
		f := dump.Folder(rawimap.EncodeName(name))
		if len(f.Messages) != len(messages) || f.UIDNext != uint32(len(messages)+1) {
			t.Fatalf("folder %q: %d messages, UIDNEXT %d; want %d messages", name, len(f.Messages), f.UIDNext, len(messages))
		}
		for i, m := range messages {
			got := f.Messages[i]
			flags := slices.Sorted(slices.Values(m.flags))
			if !bytes.Equal(got.Octets, m.octets) || got.Size != len(m.octets) || !slices.Equal(got.Flags, flags) || got.InternalDate != m.date.Format(rawimap.DateFormat) || got.UID != uint32(i+1) {
				t.Errorf("folder %q, message %d: %d octets of %d, flags %q of %q, date %q of %q", name, i, len(got.Octets), len(m.octets), got.Flags, flags, got.InternalDate, m.date)
			}
		}
	}
	// What the witness notes is what can be fetched.
	for name, f := range s.witness("ann") {
		for i, m := range f.Messages {
			got := dump.Folder(rawimap.EncodeName(name)).Messages[i]
			date, err := time.Parse(rawimap.DateFormat, got.InternalDate)
			if err != nil || m != newDemoMark(got.Octets, got.Flags, date) {
				t.Errorf("folder %q, message %d: the witness says %+v", name, i, m)
			}
		}
	}
}

func TestDemoServerExamineChangesNothing(t *testing.T) {
	t.Parallel()
	c := talkTo(t, startedDemoServer(t))
	c.add("INBOX", "Subject: one\r\n\r\nbody\r\n", `\Deleted`)
	c.say("EXAMINE INBOX", "* 1 EXISTS", "* 0 RECENT", "~* OK [UNSEEN 1]", "~* OK [UIDVALIDITY 17", "~* OK [UIDNEXT 2]",
		`* FLAGS (\Seen \Answered \Flagged \Deleted \Draft)`, "~* OK [PERMANENTFLAGS ()]", "~OK [READ-ONLY]")
	c.say("FETCH 1 (FLAGS BODY[TEXT])", "* 1 FETCH (UID 1 FLAGS (\\Deleted) BODY[TEXT] {6}\r\nbody\r\n)", "~OK")
	c.say(`STORE 1 +FLAGS (\Seen)`, "~NO")
	c.say("MOVE 1 INBOX", "~NO")
	c.say("CLOSE", "~OK")
	c.say("SELECT INBOX", "* 1 EXISTS", "* 0 RECENT", "~* OK [UNSEEN 1]", "~* OK", "~* OK", "~* FLAGS", "~* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft \\*)]", "~OK [READ-WRITE]")
	c.say("FETCH 1 BODY.PEEK[TEXT]", "~* 1 FETCH", "~OK")
	c.say("FETCH 1 FLAGS", "* 1 FETCH (UID 1 FLAGS (\\Deleted))", "~OK")
	c.say("FETCH 1 BODY[TEXT]", "~* 1 FETCH (UID 1 BODY[TEXT] {6}", "* 1 FETCH (UID 1 FLAGS (\\Deleted \\Seen))", "~OK")
	c.say("CLOSE", "~OK")
	c.say("STATUS INBOX (MESSAGES UIDNEXT UNSEEN SIZE)", "* STATUS INBOX (MESSAGES 0 UIDNEXT 2 UNSEEN 0 SIZE 0)", "~OK")
}

func TestDemoServerCutsSectionsByOctets(t *testing.T) {
	t.Parallel()
	const header = "Received: a\r\n\tb\r\nno field\r\nSUBJECT : s\r\nTo: t\r\n\r\n"
	c := talkTo(t, startedDemoServer(t))
	c.add("INBOX", header+"body\r\n\r\nmore")
	c.add("INBOX", "only: header")
	c.add("INBOX", "lf: 1\n\nbody\r\n\r\n")
	c.say("EXAMINE INBOX", slices.Repeat([]string{"~"}, 8)...)
	section := func(message int, section, want string) {
		t.Helper()
		c.say(fmt.Sprintf("FETCH %d BODY.PEEK[%s]", message, section), fmt.Sprintf("* %d FETCH (UID %d BODY[%s] {%d}\r\n%s)", message, message, section, len(want), want), "~OK")
	}
	section(1, "", header+"body\r\n\r\nmore")
	section(1, "HEADER", header)
	section(1, "TEXT", "body\r\n\r\nmore")
	section(1, `HEADER.FIELDS ("subject" "X")`, "SUBJECT : s\r\n\r\n")
	section(1, `HEADER.FIELDS ("Received")`, "Received: a\r\n\tb\r\n\r\n")
	section(1, `HEADER.FIELDS.NOT ("Received" "no field")`, "SUBJECT : s\r\nTo: t\r\n\r\n")
	section(2, "HEADER", "only: header")
	section(2, "TEXT", "")
	section(3, "HEADER", "lf: 1\n\n")
	section(3, "TEXT", "body\r\n\r\n")
	c.say("FETCH 1 BODY.PEEK[]<2.3>", "* 1 FETCH (UID 1 BODY[]<2> {3}\r\ncei)", "~OK")
	c.say("FETCH 1 BODY.PEEK[]<2000.3>", "* 1 FETCH (UID 1 BODY[]<2000> {0}\r\n)", "~OK")
	for _, item := range []string{"ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[1]", "BODY.PEEK[1.MIME]"} {
		c.say("FETCH 1 "+item, "~NO [CANNOT]")
	}
}

func TestDemoServerMovesCopiesAndExpunges(t *testing.T) {
	t.Parallel()
	s := startedDemoServer(t)
	c, other := talkTo(t, s), talkTo(t, s)
	for i := range 5 {
		c.add("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n", i), "Key")
	}
	c.say("CREATE Box/Deep", "~OK")
	to := fmt.Sprint(s.accounts["ann"].folders["Box/Deep"].validity)
	other.say("EXAMINE INBOX", "* 5 EXISTS", "~*", "~*", "~*", "~*", "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft Key)", "~*", "~OK")
	c.say("SELECT INBOX", slices.Repeat([]string{"~"}, 8)...)
	c.say("UID COPY 4:* Box/Deep", "~OK [COPYUID "+to+" 4:5 1:2]")
	c.say("UID MOVE 2,1 Box/Deep", "~* OK [COPYUID "+to+" 1:2 3:4]", "* 2 EXPUNGE", "* 1 EXPUNGE", "~OK")
	c.say("UID MOVE 1:2 Box/Deep", "~OK")
	c.say("MOVE 1 Nowhere", "~NO [TRYCREATE]")
	c.say("STORE 1 FLAGS.SILENT (key \\Flagged KEY)", "~OK")
	c.say("STORE 2:3 +FLAGS (\\Deleted)", "* 2 FETCH (UID 4 FLAGS (Key \\Deleted))", "* 3 FETCH (UID 5 FLAGS (Key \\Deleted))", "~OK")
	c.say("UID EXPUNGE 1:4", "* 2 EXPUNGE", "~OK")
	c.say("STORE 1 -FLAGS (KEY)", "* 1 FETCH (UID 3 FLAGS (\\Flagged))", "~OK")
	c.say("UID SEARCH RETURN (ALL COUNT) ALL", `~* ESEARCH (TAG "`, "~OK")
	c.say("UID SEARCH FLAGGED NOT DELETED", "* SEARCH 3", "~OK")
	c.say("SEARCH UID 5", "* SEARCH 2", "~OK")
	c.say("SEARCH OR SEEN SINCE 1-Mar-2026 BEFORE 2-Mar-2026", "* SEARCH 1 2", "~OK")
	c.say("SEARCH KEYWORD key", "* SEARCH 2", "~OK")
	c.say("SEARCH SUBJECT x", "~NO [CANNOT]")
	// The other connection hears of it all, in order, when it may.
	other.say("FETCH 1 FLAGS", "~") // an expunged message has nothing to tell
	other.say("NOOP", "* 2 EXPUNGE", "* 1 EXPUNGE", "* 1 FETCH (UID 3 FLAGS (key \\Flagged))", "* 2 FETCH (UID 4 FLAGS (Key \\Deleted))",
		"* 3 FETCH (UID 5 FLAGS (Key \\Deleted))", "* 2 EXPUNGE", "* 1 FETCH (UID 3 FLAGS (\\Flagged))", "~OK")
	c.say("EXPUNGE", "* 2 EXPUNGE", "~OK")
	c.say("STATUS Box/Deep (MESSAGES UIDNEXT)", `* STATUS "Box/Deep" (MESSAGES 4 UIDNEXT 5)`, "~OK")
	c.say("UID FETCH 1:* FLAGS", "* 1 FETCH (UID 3 FLAGS (\\Flagged))", "~OK")
	c.say("UID FETCH 99:* FLAGS", "* 1 FETCH (UID 3 FLAGS (\\Flagged))", "~OK") // "*" is the last, whatever the first
	other.say("NOOP", "* 2 EXPUNGE", "~OK")
	c.add("INBOX", "new")
	other.say("NOOP", "* 2 EXISTS", "~OK")
}

func TestDemoServerKeepsFolders(t *testing.T) {
	t.Parallel()
	s := startedDemoServer(t)
	c := talkTo(t, s)
	c.say(`CREATE "A &- B/C/"`, "~OK")
	c.say(`CREATE M&AOQ-rz (USE (\Archive))`, "~OK")
	c.say("CREATE inbox", "~NO [ALREADYEXISTS]")
	c.say("CREATE A//B", "~NO [CANNOT]")
	c.say("SUBSCRIBE M&AOQ-rz", "~OK")
	c.say("SUBSCRIBE Nowhere", "~OK")
	c.say(`LIST "" "*"`, `* LIST () "/" "A &- B"`, `* LIST () "/" "A &- B/C"`, `* LIST () "/" INBOX`, `* LIST () "/" "M&AOQ-rz"`, "~OK")
	c.say(`LIST "" "%" RETURN (SUBSCRIBED SPECIAL-USE CHILDREN STATUS (MESSAGES))`,
		`* LIST (\HasChildren) "/" "A &- B"`, `* STATUS "A &- B" (MESSAGES 0)`, `* LIST (\HasNoChildren) "/" INBOX`, `* STATUS INBOX (MESSAGES 0)`,
		`* LIST (\HasNoChildren \Subscribed \Archive) "/" "M&AOQ-rz"`, `* STATUS "M&AOQ-rz" (MESSAGES 0)`, "~OK")
	c.say(`LIST (SUBSCRIBED) "" "*"`, `* LIST (\Subscribed) "/" "M&AOQ-rz"`, `* LIST (\NonExistent \Subscribed) "/" "Nowhere"`, "~OK")
	c.say(`LIST "" ""`, `* LIST (\Noselect) "/" ""`, "~OK")
	c.say("NAMESPACE", `* NAMESPACE (("" "/")) NIL NIL`, "~OK")
	c.say(`DELETE "A &- B"`, "~NO [HASCHILDREN]")
	c.say("DELETE INBOX", "~NO [CANNOT]")
	c.say("DELETE Nowhere", "~NO [NONEXISTENT]")
	before := s.accounts["ann"].folders["A & B/C"].validity
	c.say(`RENAME "A &- B" X/Y`, "~OK")
	if f := s.accounts["ann"].folders["X/Y/C"]; f == nil || f.validity != before || s.accounts["ann"].folders["X"] == nil {
		t.Errorf("renaming made %v", s.accounts["ann"].folders)
	}
	c.say("RENAME X X/Z", "~NO [CANNOT]")
	c.say("RENAME X INBOX", "~NO [ALREADYEXISTS]")
	c.say("DELETE X/Y/C", "~OK")
	c.say("CREATE X/Y/C", "~OK")
	if f := s.accounts["ann"].folders["X/Y/C"]; f.validity == before {
		t.Error("a new folder has the UIDVALIDITY of the old one")
	}
	wrong, err := rawimap.Dial(t.Context(), s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if err := wrong.Login("ann", "wrong"); err == nil {
		t.Error("a wrong password was taken")
	}
}

// Whatever a message is, its header and its text are all of it, and fields are
// in the header.
func FuzzDemoSection(f *testing.F) {
	for _, seed := range []string{"", "\n", "a", "a: b\r\n\r\nc", "a: b\n c\n\nd\r\n\r\n", "\r\n\r\n", "x\r\n \r\ny\r\n", ":\n\t\n\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		header := demoSection(octets, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader})
		text := demoSection(octets, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierText})
		if !bytes.Equal(append(bytes.Clone(header), text...), octets) {
			t.Errorf("%q is cut into %q and %q", octets, header, text)
		}
		all := demoSection(octets, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFieldsNot: []string{"\x00"}})
		if len(all) > len(header) {
			t.Errorf("the fields %q are more than the header %q", all, header)
		}
	})
}
