package imaptarget

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
	"restante/storage"
)

const (
	full    = "NAMESPACE LIST-EXTENDED SPECIAL-USE CREATE-SPECIAL-USE UIDPLUS ESEARCH LITERAL+"
	someUse = "NAMESPACE LIST-EXTENDED SPECIAL-USE UIDPLUS ESEARCH"
)

func TestFolderIsCreatedWithItsSpecialUse(t *testing.T) {
	t.Parallel()
	refuse := func(answer string) func(*imaptest.Account, *imaptest.Script) {
		return func(_ *imaptest.Account, s *imaptest.Script) {
			create := s.Handle["CREATE"]
			s.Handle["CREATE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				if strings.Contains(cmd.Args, "(USE (") {
					c.Say("%s %s\r\n", cmd.Tag, answer)
					return
				}
				create(c, cmd)
			}
		}
	}
	for name, c := range map[string]struct {
		caps    string
		change  func(*imaptest.Account, *imaptest.Script)
		created []string
		note    string // empty: there is none
	}{
		"as it should be":       {full, nil, []string{`"Sent Items" (USE (\Sent))`}, ""},
		"no CREATE-SPECIAL-USE": {someUse, nil, []string{`"Sent Items"`}, `the server does not let clients set a special use: \Sent`},
		"refused":               {full, refuse("NO [USEATTR] not here"), []string{`"Sent Items" (USE (\Sent))`, `"Sent Items"`}, "not here"},
		"not understood":        {full, refuse("BAD what"), []string{`"Sent Items" (USE (\Sent))`, `"Sent Items"`}, "what"},
		"another folder has it": {full, func(a *imaptest.Account, _ *imaptest.Script) { a.Folder("Gesendet").Attrs = `\sent` },
			[]string{`"Sent Items"`}, `\Sent is the special use of "Gesendet" already`},
		"promised and forgotten": {full, func(_ *imaptest.Account, s *imaptest.Script) {
			create := s.Handle["CREATE"]
			s.Handle["CREATE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				cmd.Args, _, _ = strings.Cut(cmd.Args, " (USE")
				create(c, cmd)
			}
		}, []string{`"Sent Items" (USE (\Sent))`}, `the server took \Sent`},
		"by its name": {someUse, func(a *imaptest.Account, s *imaptest.Script) {
			create := s.Handle["CREATE"]
			s.Handle["CREATE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
				cmd.Args += ` (USE (\Sent))`
				create(c, cmd)
			}
		}, []string{`"Sent Items"`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letters := someLetters("x", 2)
			d := atDesk(t, c.caps, c.change, folder{levels: []string{"Sent Items"}, use: []string{`\Sent`}, letters: letters})
			report := d.twice()
			if got := d.sent("CREATE"); !slices.Equal(got, c.created) {
				t.Errorf("created %q, want %q", got, c.created)
			}
			if got := notes(report); c.note == "" && got != "" || !strings.Contains(got, c.note) || strings.Count(got, "\n") > 1 {
				t.Errorf("notes: %q, want %q", got, c.note)
			}
			if got := d.account.Folder("Sent Items").Messages; len(got) != 2 {
				t.Errorf("it has %d messages", len(got))
			}
		})
	}
}

// A special use that the server would not give to one folder is free for
// another.
func TestSpecialUseThatWasRefusedIsNobodys(t *testing.T) {
	t.Parallel()
	d := atDesk(t, full, func(_ *imaptest.Account, s *imaptest.Script) {
		create := s.Handle["CREATE"]
		s.Handle["CREATE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			if strings.HasPrefix(cmd.Args, `"A" (USE`) {
				c.Say("%s NO [USEATTR] not that one\r\n", cmd.Tag)
				return
			}
			create(c, cmd)
		}
	}, folder{levels: []string{"A"}, use: []string{`\Trash`}}, folder{levels: []string{"B"}, use: []string{`\Trash`}})
	got := notes(d.restore())
	if d.account.Folder("B").Attrs != `\Trash` || strings.Contains(got, "already") {
		t.Errorf("B has %q; notes %q", d.account.Folder("B").Attrs, got)
	}
}

func TestFoldersAreSubscribedToIfTheyWere(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{full, "UIDPLUS"} {
		d := atDesk(t, caps, func(a *imaptest.Account, _ *imaptest.Script) {
			a.Folder("was").Subscribed = true
			a.Folder("there")
			a.Folder("unasked")
		}, folder{levels: []string{"was"}, subscribed: true}, folder{levels: []string{"there"}, subscribed: true},
			folder{levels: []string{"new"}, subscribed: true}, named("unasked"), named("unasked new"))
		d.twice()
		if got := d.sent("SUBSCRIBE"); !slices.Equal(slices.Sorted(slices.Values(got)), []string{`"new"`, `"there"`}) {
			t.Errorf("%s: subscribed to %q", caps, got)
		}
	}
}

func TestRefusedSubscriptionIsReportedAndTheFolderRestored(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 3)
	d := atDesk(t, full, func(_ *imaptest.Account, s *imaptest.Script) {
		s.Handle["SUBSCRIBE"] = imaptest.Answer("%T NO not for you\r\n")
	}, folder{levels: []string{"a"}, subscribed: true, letters: letters})
	wantText(t, notes(d.restore()), "could not be subscribed to", "not for you")
	d.want(map[string][]letter{"INBOX": nil, "a": letters})
}

// place is what a target says of a name.
func place(t *testing.T, target *Target, levels []string, raw, delimiter string) string {
	t.Helper()
	var octets []byte
	if raw != "" {
		octets = []byte(raw)
	}
	got, notes, err := target.Place(levels, octets, delimiter)
	if err != nil {
		return err.Error()
	}
	return string(imapconn.EncodeName(got)) + strings.Repeat(" !", len(notes))
}

func TestFoldersAreNamedAsTheServerNamesThem(t *testing.T) {
	t.Parallel()
	const prefixed = `(("INBOX." ".")) (("Other." ".")) NIL`
	for _, c := range []struct {
		namespace, delimiter string
		levels               string // as of a name with '/'
		raw, from            string
		want                 string // on the wire; '!' for a note
	}{
		{`(("" "/")) NIL NIL`, "/", "a/b", "", "", "a/b"},
		{`(("" "/")) NIL NIL`, "/", "Entwürfe & Co", "", "", "Entw&APw-rfe &- Co"},
		{`(("" "/")) NIL NIL`, "/", "inbox", "", "", "INBOX"},
		{`(("" "/")) NIL NIL`, "/", "INBOX/a", "", "", "INBOX/a"},
		{`(("" ".")) NIL NIL`, ".", "v1.2/b", "", "", "v1_2.b !"},
		{prefixed, ".", "INBOX", "", "", "INBOX"},
		{prefixed, ".", "a/b", "", "", "INBOX.a.b"},
		// As another server's folder below INBOX, and as this one's.
		{prefixed, ".", "INBOX/a", "", "", "INBOX.INBOX.a"},
		{prefixed, ".", "INBOX/INBOX/a", "", "", "INBOX.INBOX.a"},
		// Another user's folder is not below one's own.
		{prefixed, ".", "Other/bob/a", "", "", "Other.bob.a"},
		{prefixed, ".", "caf%E9", "INBOX.caf\xe9", ".", "INBOX.caf\xe9"},
		{prefixed, ".", "caf%E9", "caf\xe9", ".", "INBOX.caf\xe9"},
		{prefixed, ".", "Other/caf%E9", "Other.caf\xe9", ".", "Other.caf\xe9"},
		{prefixed, ".", "caf%E9", "caf\xe9", "/", "INBOX.caf%E9"},
		{`(("" "/")) NIL NIL`, "/", "caf%E9", "caf\xe9", "/", "caf\xe9"},
		{`(("" "/")) NIL NIL`, "/", "INBOX/a", "Inbox/a", "/", "Inbox/a"},
		{`(("" "/")) NIL NIL`, "/", "=raw=494e424f58", "", "", "=raw=494e424f58"},
		{`(("" NIL)) NIL NIL`, "", "a", "", "", "a"},
		{`(("" NIL)) NIL NIL`, "", "a/b", "", "", "imap://alice@test has no folders within folders"},
	} {
		d := atDesk(t, full, func(a *imaptest.Account, _ *imaptest.Script) { a.Namespace, a.Delimiter = c.namespace, c.delimiter })
		target := d.target(nil)
		if _, err := target.Folders(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := place(t, target, strings.Split(c.levels, "/"), c.raw, c.from); got != c.want {
			t.Errorf("%s: %q (%q with %q) is called %q, want %q", c.namespace, c.levels, c.raw, c.from, got, c.want)
		}
	}
}

// Names that are none by the standard go back to the server they came from with
// the same octets, and are found there again.
func TestOddNamesKeepTheirOctets(t *testing.T) {
	t.Parallel()
	odd := []string{"caf\xe9", "R&D", "&AOk-&AOk-", "Inbox/sub", "Entwürfe", "=raw=494e424f58"}
	var folders []folder
	want := map[string][]letter{"INBOX": nil}
	for i, name := range odd {
		levels := []string{fmt.Sprint("shown as ", i)}
		letters := someLetters(fmt.Sprint(i), 3)
		folders = append(folders, folder{levels: levels, raw: name, delimiter: "/", letters: letters})
		want[name] = letters
	}
	d := atDesk(t, full, nil, folders...)
	d.twice()
	d.want(want)
	if got := len(d.sent("CREATE")); got != len(odd) {
		t.Errorf("%d folders were created, want %d", got, len(odd))
	}
}

// What a server does not list may be there, or be made by somebody else at
// the same time. What is in it counts.
func TestFolderThatIsThereAfterAllGetsNothingTwice(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 20)
	for _, answer := range []string{"NO [ALREADYEXISTS] there is one", "NO Mailbox exists", "BAD exists"} {
		listed := 0
		d := atDesk(t, full, func(a *imaptest.Account, s *imaptest.Script) {
			for _, l := range letters[:15] {
				a.Add("a", l.octets, `\Seen`)
			}
			s.Handle["CREATE"] = imaptest.Answer("%T " + answer + "\r\n")
			s.Handle["LIST"] = imaptest.Rewrite(s.Handle["LIST"], func(_ imaptest.Command, text string) string {
				if listed++; listed > 1 {
					return text
				}
				return strings.ReplaceAll(text, `* LIST () "/" "a"`+"\r\n", "")
			})
		}, named("a", letters...))
		report := d.restore()
		if sum := report.Totals(); sum.Appended != 5 || sum.Present != 15 || sum.Missing != 5 {
			t.Errorf("%s: %d appended, %d present, %d missing", answer, sum.Appended, sum.Present, sum.Missing)
		}
		if n := len(d.account.Folder("a").Messages); n != 20 {
			t.Errorf("%s: the folder has %d messages", answer, n)
		}
	}
}

// A restore was killed, and the server is busy yet with what that one sent when
// the next one has looked into the folder already.
func TestWhatComesBetweenLookingAndAppendingIsNotAddedAgain(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 20)
	opened := 0
	d := atDesk(t, full, func(a *imaptest.Account, s *imaptest.Script) {
		for _, l := range letters[:10] {
			a.Add("a", l.octets, `\Seen`)
		}
		own := s.Handle["SELECT"]
		s.Handle["SELECT"] = func(c *imaptest.Conn, cmd imaptest.Command) {
			if opened++; opened == 2 {
				for _, l := range letters[10:15] {
					a.Add("a", l.octets, `\Seen`)
				}
			}
			own(c, cmd)
		}
	}, named("a", letters...))
	report := d.restore()
	if sum := report.Totals(); sum.Appended != 5 || sum.Present != 15 {
		t.Errorf("%d appended, %d present", sum.Appended, sum.Present)
	}
	if n := len(d.account.Folder("a").Messages); n != 20 {
		t.Errorf("the folder has %d messages", n)
	}
}

// A folder that the server does not let us have costs the others nothing.
func TestFolderThatCannotBeHadIsNamedAndTheOthersAreRestored(t *testing.T) {
	t.Parallel()
	letters := someLetters("x", 70)
	no := func(command, folder, answer string) func(*imaptest.Account, *imaptest.Script) {
		return func(a *imaptest.Account, s *imaptest.Script) {
			if command != "CREATE" {
				a.Folder("bad")
			}
			h := s.Handle[command]
			s.Handle[command] = func(c *imaptest.Conn, cmd imaptest.Command) {
				if name, _ := imaptest.Name(cmd.Args); name == folder {
					c.Say("%s %s\r\n", cmd.Tag, answer)
					return
				}
				h(c, cmd)
			}
		}
	}
	for name, change := range map[string]func(*imaptest.Account, *imaptest.Script){
		"CREATE":            no("CREATE", "bad", "NO [CANNOT] such a name"),
		"CREATE BAD":        no("CREATE", "bad", "BAD such a name"),
		"SELECT":            no("SELECT", "bad", "NO [NOPERM] not yours"),
		"APPEND NOPERM":     no("APPEND", "bad", "NO [NOPERM] not yours"),
		"APPEND TRYCREATE":  no("APPEND", "bad", "NO [TRYCREATE] it was deleted"),
		"APPEND NO at once": func(a *imaptest.Account, s *imaptest.Script) { noLiteral("bad", "NO [NOPERM] not yours")(a, s) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caps := full
			if strings.HasSuffix(name, "at once") {
				caps = someUse
			}
			d := atDesk(t, caps, change, named("bad", letters...), named("good", letters...), named("zzz", letters...))
			report := d.restore()
			if report.Complete() {
				t.Error("the report is that of a complete restore")
			}
			for _, f := range report.Folders {
				if f.Folder == "bad" && (f.Failed == "" || f.Appended != 0) || f.Folder != "bad" && (f.Failed != "" || f.Appended != 70) {
					t.Errorf("folder %q: %d appended, failed: %q", f.Folder, f.Appended, f.Failed)
				}
			}
		})
	}
}

// noLiteral is a server that says no to APPEND before the message is sent.
func noLiteral(folder, answer string) func(*imaptest.Account, *imaptest.Script) {
	return func(_ *imaptest.Account, s *imaptest.Script) {
		s.Literal = func(c *imaptest.Conn, cmd imaptest.Command, _ int64) bool {
			if name, _ := imaptest.Name(cmd.Args); cmd.Name == "APPEND" && name == folder {
				c.Say("%s %s\r\n", cmd.Tag, answer)
				return false
			}
			c.Say("+ go on\r\n")
			return true
		}
	}
}

// What servers can do without is done without; what they promise and cannot
// do, too.
func TestServersThatCanDoLittle(t *testing.T) {
	t.Parallel()
	refuse := func(command, part, answer string) func(*imaptest.Account, *imaptest.Script) {
		return func(_ *imaptest.Account, s *imaptest.Script) {
			h := s.Handle[command]
			s.Handle[command] = func(c *imaptest.Conn, cmd imaptest.Command) {
				if strings.Contains(cmd.Args, part) {
					c.Say("%s %s\r\n", cmd.Tag, answer)
					return
				}
				h(c, cmd)
			}
		}
	}
	for name, c := range map[string]struct {
		caps   string
		change func(*imaptest.Account, *imaptest.Script)
	}{
		"nothing":                  {"", nil},
		"UIDPLUS only":             {"UIDPLUS", nil},
		"no UIDPLUS":               {"NAMESPACE LIST-EXTENDED LITERAL+", nil},
		"no NAMESPACE":             {"LIST-EXTENDED UIDPLUS", nil},
		"no LIST-EXTENDED":         {"NAMESPACE UIDPLUS SPECIAL-USE", nil},
		"IMAP4rev2":                {"IMAP4rev2", nil},
		"LIST RETURN is refused":   {full, refuse("LIST", "RETURN", "BAD what")},
		"NAMESPACE is refused":     {full, refuse("NAMESPACE", "", "NO not today")},
		"LSUB is refused":          {"UIDPLUS", refuse("LSUB", "", "BAD what")},
		"STATUS APPENDLIMIT fails": {full + " APPENDLIMIT", refuse("STATUS", "", "NO no")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letters := someLetters("x", 80)
			letters = append(letters, letters[3], letters[9]) // twice the same
			d := atDesk(t, c.caps, c.change, folder{levels: []string{"INBOX"}, subscribed: true, letters: letters},
				folder{levels: []string{"a", "b"}, subscribed: true, letters: letters[:30]}, named("empty"))
			want := map[string][]letter{"INBOX": letters, "a/b": letters[:30], "empty": nil}
			d.twice()
			d.want(want)
			if !d.account.Folder("a/b").Subscribed {
				t.Error("the new folder was not subscribed to")
			}
		})
	}
}

func TestTwoThousandFolders(t *testing.T) {
	t.Parallel()
	var folders []folder
	want := map[string][]letter{"INBOX": nil}
	for i := range 2000 {
		f := named(fmt.Sprintf("Lists/%d/%d", i%40, i))
		if i%100 == 0 {
			f.letters = someLetters(fmt.Sprint(i), 2)
		}
		folders = append(folders, f)
		want[storage.FolderName(f.levels)] = f.letters
	}
	d := atDesk(t, full, nil, folders...)
	d.restore()
	d.want(want)
	before := len(d.server.Commands())
	if sum := d.restore().Totals(); sum.Appended != 0 || sum.Present != 40 {
		t.Errorf("%d appended, %d present", sum.Appended, sum.Present)
	}
	// Folders without anything to restore are not even opened.
	if n := len(d.server.Commands()) - before; n > 200 {
		t.Errorf("the second restore took %d commands", n)
	}
}

// Of two folders that would be one there, nothing is restored before a person
// has chosen.
func TestFoldersThatWouldBecomeOneAreRefused(t *testing.T) {
	t.Parallel()
	dot := func(a *imaptest.Account, _ *imaptest.Script) { a.Namespace, a.Delimiter = `(("" ".")) NIL NIL`, "." }
	for _, names := range [][2]string{{"a.b", "a_b"}, {"INBOX", "Inbox"}} {
		d := atDesk(t, full, dot, named(names[0], someLetters("x", 1)...), named(names[1], someLetters("y", 1)...))
		if _, err := d.try(restore.Options{}); err == nil || !strings.Contains(err.Error(), "would both become") {
			t.Errorf("%q: %v", names, err)
		}
		if got := d.sent("APPEND"); len(got) > 0 {
			t.Errorf("%q was sent", got)
		}
	}
}

func TestWrongPasswordIsToldFromOtherTroubles(t *testing.T) {
	t.Parallel()
	d := atDesk(t, full, func(_ *imaptest.Account, s *imaptest.Script) {
		s.Handle["LOGIN"] = imaptest.Answer("%T NO [AUTHENTICATIONFAILED] no\r\n")
	}, named("a"))
	if _, err := d.try(restore.Options{}); !errors.Is(err, restore.ErrAccess) || !errors.Is(err, imapconn.ErrLogin) {
		t.Errorf("%v", err)
	}
}
