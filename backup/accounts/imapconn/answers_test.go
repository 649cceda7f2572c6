package imapconn

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn/imaptest"
)

var statusItems = &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true}

// Every folder is listed, whatever it is called, and a command about it says
// exactly what the server said.
func TestFolderNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, list string
		want       string // as go-imap gives it
		wire       string // as EXAMINE gives it back
	}{
		{"plain", `* LIST () "/" foo`, "foo", `"foo"`},
		{"INBOX in lower case", `* LIST () "/" inbox`, "INBOX", `INBOX`},
		{"quoted, with spaces", `* LIST () "/" " a b "`, " a b ", `" a b "`},
		{"quotes and backslashes", `* LIST () "/" "a\"b\\c"`, `a"b\c`, `"a\"b\\c"`},
		{"brackets", `* LIST () "." a]b[c`, "a]b[c", `"a]b[c"`},
		{"literal", "* LIST () \"/\" {3}\r\nfoo", "foo", `"foo"`},
		{"literal8", "* LIST () \"/\" ~{3}\r\nfoo", "foo", `"foo"`},
		{"modified UTF-7", `* LIST () "/" "Entw&APw-rfe/&ZeVnLIqe-"`, "Entwürfe/日本語", `"Entw&APw-rfe/&ZeVnLIqe-"`},
		{"beyond the basic plane", `* LIST () "/" "&2D3cSw-"`, "👋", `"&2D3cSw-"`},
		{"ampersand", `* LIST () "/" "R&-D"`, "R&D", `"R&-D"`},
		{"raw ampersand", `* LIST () "/" "R&D"`, "=raw=522644", `"R&D"`},
		{"raw ampersand at the end", `* LIST () "/" "R&"`, "=raw=5226", `"R&"`},
		{"ASCII in base64", `* LIST () "/" "&AGE-"`, "=raw=264147452d", `"&AGE-"`},
		{"two runs of base64", `* LIST () "/" "&AOk-&AOk-"`, "=raw=26414f6b2d26414f6b2d", `"&AOk-&AOk-"`},
		{"base64 with stray bits", `* LIST () "/" "&AOl-"`, "=raw=26414f6c2d", `"&AOl-"`},
		{"padded base64", `* LIST () "/" "&AOk=-"`, "=raw=26414f6b3d2d", `"&AOk=-"`},
		{"half a character", `* LIST () "/" "&2D0-"`, "=raw=263244302d", `"&2D0-"`},
		{"Latin-1", "* LIST () \"/\" \"caf\xe9\"", "=raw=636166e9", "{4}\r\ncaf\xe9"},
		{"UTF-8", "* LIST () \"/\" \"café\"", "=raw=636166c3a9", "{5}\r\ncafé"},
		{"tab", "* LIST () \"/\" \"a\tb\"", "=raw=610962", "\"a\tb\""},
		{"line break", "* LIST () \"/\" {4}\r\na\r\nb", "=raw=610d0a62", "{4}\r\na\r\nb"},
		{"what looks like an alias", `* LIST () "/" "=raw=41"`, "=raw=3d7261773d3431", `"=raw=41"`},
		{"empty", `* LIST (\Noselect) "/" ""`, "", `""`},
		{"spaces without quotes", `* LIST () "/" My Folder`, "My Folder", `"My Folder"`},
		{"quotes within quotes", `* LIST () "/" "say "hi""`, `say "hi"`, `"say \"hi\""`},
		{"parentheses without quotes", `* LIST () "/" a(b)`, "a(b)", `"a(b)"`},
		{"no delimiter", `* LIST () NIL foo`, "foo", `"foo"`},
		{"nil in lower case", `* LIST () nil foo`, "foo", `"foo"`},
		{"empty delimiter", `* LIST () "" foo`, "foo", `"foo"`},
		{"delimiter without quotes", `* LIST () / foo`, "foo", `"foo"`},
		{"backslash as delimiter", `* LIST () "\\" "a\\b"`, `a\b`, `"a\\b"`},
		{"extended data", `* LIST () "/" foo ("CHILDINFO" ("SUBSCRIBED") "X" ({2}` + "\r\n)( a))", "foo", `"foo"`},
		{"extended data that is no list", `* LIST () "/" foo "extra"`, "foo", `"foo"`},
		{"attributes in quotes", `* LIST ("\\Sent" "a b" \Has]No foo) "/" foo`, "foo", `"foo"`},
		{"attributes NIL", `* LIST NIL "/" foo`, "foo", `"foo"`},
		{"spaces everywhere", `*  LIST  ( \Sent )  "/"  "foo"  `, "foo", `"foo"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"LIST": imaptest.Answer("* LIST () \"/\" first\r\n" + test.list + "\r\n* LIST () \"/\" last\r\n%T OK done\r\n"),
			}})
			c := dial(t, s, nil)
			all, err := c.List("", "*", nil).Collect()
			if err != nil {
				t.Fatal(c.Explain(err))
			}
			if len(all) != 3 || all[1].Mailbox != test.want {
				t.Fatalf("got %q", all[1].Mailbox)
			}
			if _, err := c.Select(all[1].Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
				t.Fatal(c.Explain(err))
			}
			got := s.Commands()
			if last := got[len(got)-1]; last.Name != "EXAMINE" || last.Args != test.wire {
				t.Errorf("%s %q", last.Name, last.Args)
			}
			alive(t, c)
		})
	}
}

func TestListAttributesAndDelimiter(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"LIST": imaptest.Answer("* LIST (\"\\\\Sent\" \\hasnochildren \\X-Foo b]d) \"\\\\\" foo\r\n* LIST () \"\" bar\r\n* LIST () \"é\" baz\r\n* LIST () \"//\" x\r\n%T OK done\r\n"),
	}})
	all, err := dial(t, s, nil).List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, d := range all {
		got += fmt.Sprintf("%s %q %v;", d.Mailbox, d.Delim, d.Attrs)
	}
	if want := `foo '\\' [\Sent \HasNoChildren \X-Foo];bar '\x00' [];baz 'é' [];x '\x00' [];`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// An alias goes out as the folder's own octets in every command that takes a
// folder, as a literal where they cannot be quoted.
func TestAliasesGoOutAsTheyAre(t *testing.T) {
	t.Parallel()
	for caps, form := range map[string]string{"IMAP4rev1": "{4}", "IMAP4rev1 LITERAL+": "{4+}", "IMAP4rev1 LITERAL-": "{4+}"} {
		t.Run(caps, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Caps: caps})
			c := dial(t, s, nil)
			raw := AliasName([]byte("caf\xe9"))
			wait := func(name string, err error) {
				if err != nil {
					t.Errorf("%s: %v", name, c.Explain(err))
				}
			}
			cmd, err := c.Create(raw, &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{imap.MailboxAttrSent}})
			wait("create", err)
			wait("create", cmd.Wait())
			wait("subscribe", c.Subscribe(raw).Wait())
			wait("rename", c.Rename(raw, AliasName([]byte("R&D")), nil).Wait())
			_, err = c.Status(raw, statusItems).Wait()
			wait("status", err)
			a, err := c.Append(raw, 5, &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
			wait("append", err)
			a.Write([]byte("hello"))
			wait("append", a.Close())
			_, err = a.Wait()
			wait("append", err)
			_, err = c.UIDSearch(&imap.SearchCriteria{Text: []string{raw}}, nil).Wait() // not a folder
			wait("search", err)
			name := form + "\r\ncaf\xe9"
			message := strings.Replace(form, "4", "5", 1) + "\r\nhello"
			want := []string{
				"CREATE " + name + ` (USE (\Sent))`,
				"SUBSCRIBE " + name,
				"RENAME " + name + ` "R&D"`,
				"STATUS " + name + " (",
				"APPEND " + name + ` (\Seen) ` + message,
				`UID SEARCH TEXT "` + raw + `"`,
			}
			got := s.Commands()[1:]
			for i, w := range want {
				if line := got[i].Name + " " + got[i].Args; !strings.HasPrefix(line, w) {
					t.Errorf("got  %q\nwant %q", line, w)
				}
			}
			alive(t, c)
		})
	}
}

func TestRawNames(t *testing.T) {
	t.Parallel()
	for _, octets := range []string{"", "a", "caf\xe9", "\x00\r\n", strings.Repeat("x", 2000)} {
		name := AliasName([]byte(octets))
		if got, ok := RawName(name); !ok || string(got) != octets {
			t.Errorf("%q comes back as %q, %v", octets, got, ok)
		}
	}
	for _, name := range []string{"", "INBOX", "=raw=4", "=raw=zz", "=raw=AB", "x=raw=41", "=RAW=41", "=raw=" + strings.Repeat("41", 2001)} {
		if got, ok := RawName(name); ok {
			t.Errorf("%q is taken for an alias of %q", name, got)
		}
	}
}

// EncodeName writes a name as go-imap does, and fromModifiedUTF7 reads it.
func TestEncodeName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, wire string }{
		{"", ""}, {"INBOX", "INBOX"}, {"R&D", "R&-D"}, {"Entwürfe/日本語", "Entw&APw-rfe/&ZeVnLIqe-"}, {"👋a\x00", "&2D3cSw-a&AAA-"},
		{"é&é", "&AOk-&-&AOk-"}, {"\x7f", "&AH8-"}, {"a\xff", "a&,,0-"}, {"=raw=636166e9", "caf\xe9"}, {"=raw=zz", "=raw=zz"},
	} {
		got := string(EncodeName(test.name))
		if got != test.wire {
			t.Errorf("%q: %q, want %q", test.name, got, test.wire)
		}
		if _, raw := RawName(test.name); raw || strings.Contains(test.name, "\xff") {
			continue
		}
		if back := fromModifiedUTF7([]byte(got)); !isModifiedUTF7([]byte(got)) || back != test.name {
			t.Errorf("%q comes back as %q", test.name, back)
		}
	}
}

func TestStatusAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, answer, want string }{
		{"plain", `* STATUS foo (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 5)`, "3 4 5"},
		{"in quotes, lower case, spaces", `*  status  "foo"  ( messages  3  uidnext 4 uidvalidity  5 ) `, "3 4 5"},
		{"unknown items", "* STATUS foo (MAILBOXID (F1) MESSAGES 3 RECENT 1 X-FOO {1}\r\n) UIDNEXT 4 UIDVALIDITY 5)", "3 4 5"},
		{"values that are no numbers", `* STATUS foo (MESSAGES -1 UIDNEXT NIL UIDVALIDITY 99999999999)`, "unknown 0 0"},
		{"empty", `* STATUS foo ()`, "unknown 0 0"},
		{"item without a value", `* STATUS foo (UIDNEXT 4 MESSAGES)`, "unknown 4 0"},
		{"another folder first", "* STATUS bar (MESSAGES 9)\r\n* STATUS foo (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 5)", "3 4 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"STATUS": imaptest.Answer(test.answer + "\r\n%T OK done\r\n"),
			}})
			c := dial(t, s, nil)
			d, err := c.Status("foo", statusItems).Wait()
			if err != nil {
				t.Fatal(c.Explain(err))
			}
			got := "unknown"
			if d.NumMessages != nil {
				got = fmt.Sprint(*d.NumMessages)
			}
			if got += fmt.Sprintf(" %d %d", d.UIDNext, d.UIDValidity); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			alive(t, c)
		})
	}
}

// LIST with STATUS finds the status of folders with odd names and does not
// mind folders without one.
func TestListStatus(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"LIST": imaptest.Answer("* LIST (\\Noselect) \"/\" a\r\n* LIST () \"/\" \"caf\xe9\"\r\n* STATUS {4}\r\ncaf\xe9 (MESSAGES 7 X (1))\r\n* LIST () \"/\" b c\r\n* STATUS b c (MESSAGES 8)\r\n%T OK done\r\n"),
	}})
	c := dial(t, s, nil)
	all, err := c.List("", "*", &imap.ListOptions{ReturnStatus: statusItems}).Collect()
	if err != nil {
		t.Fatal(c.Explain(err))
	}
	if len(all) != 3 || all[0].Status != nil || *all[1].Status.NumMessages != 7 || all[2].Mailbox != "b c" || *all[2].Status.NumMessages != 8 {
		t.Errorf("got %+v", all)
	}
	alive(t, c)
}

func TestSearchAnswers(t *testing.T) {
	t.Parallel()
	var sparse []string
	for i := 100_000; i > 0; i -= 2 {
		sparse = append(sparse, fmt.Sprint(i))
	}
	for _, test := range []struct{ name, answer, want string }{
		{"plain", "* SEARCH 1 2 3 7", "1:3,7"},
		{"none", "* SEARCH", ""},
		{"nothing at all", "* OK nothing", ""},
		{"spaces", "* SEARCH  2  1 ", "1:2"},
		{"in several answers, descending", "* SEARCH 7\r\n* SEARCH 5 3\r\n* SEARCH 1", "1,3,5,7"},
		{"with MODSEQ", "* SEARCH 2 1 (MODSEQ 917162500)", "1:2 modseq 917162500"},
		{"ESEARCH", `* ESEARCH (TAG "%T") UID ALL 1:3,7`, "1:3,7"},
		{"ESEARCH, everything", `* ESEARCH (TAG "%T") UID MIN 1 MAX 7 COUNT 4 ALL 1:3,7 MODSEQ 12`, "1:3,7 modseq 12"},
		{"ESEARCH out of order and in lower case", `* esearch (tag "%T") uid all 7,3:1 x-foo (a b)`, "1:3,7"},
		{"ESEARCH without anything", `* ESEARCH`, "none"},
		{"ESEARCH without messages", `* ESEARCH (TAG "%T") UID`, "none"},
		{"ESEARCH without a tag", `* ESEARCH UID ALL 4294967295`, "4294967295"},
		{"a line of 290 KB, descending", "* SEARCH " + strings.Join(sparse, " "), "50000 of them"},
		{"ESEARCH of 290 KB, descending", `* ESEARCH (TAG "%T") UID ALL ` + strings.Join(sparse, ","), "50000 of them"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"UID SEARCH": imaptest.Answer(test.answer + "\r\n%T OK done\r\n"),
			}})
			c := dial(t, s, nil)
			d, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
			if err != nil {
				t.Fatal(c.Explain(err))
			}
			got := "none"
			if d.All != nil {
				got = d.All.String()
			}
			if n := strings.Count(got, ","); n > 1000 {
				got = fmt.Sprintf("%d of them", n+1)
			}
			if d.ModSeq != 0 {
				got += fmt.Sprint(" modseq ", d.ModSeq)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			alive(t, c)
		})
	}
	// What is not understood must not look like messages that are gone.
	for _, answer := range []string{"* SEARCH 1 x", "* SEARCH 0", "* SEARCH 4294967296", "* SEARCH (FOO 1)", "* ESEARCH UID ALL 1:*", "* ESEARCH UID ALL", "* ESEARCH UID ALL 1,,2", "* ESEARCH UID COUNT x", "* ESEARCH (FOO 1) UID"} {
		s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"UID SEARCH": imaptest.Answer(answer + "\r\n%T OK done\r\n"),
		}})
		if d, err := dial(t, s, nil).UIDSearch(&imap.SearchCriteria{}, nil).Wait(); err == nil {
			t.Errorf("%s: %v", answer, d.All)
		}
	}
}

func TestSelectAnswers(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"EXAMINE": imaptest.Answer("* FLAGS (\\Answered foo]bar $L)\r\n* OK [permanentflags (\\Seen \"q\" foo]bar \\*)] ok\r\n* 12 EXISTS\r\n* 0 RECENT\r\n" +
			"* OK [UNSEEN 3] x\r\n* OK [UIDVALIDITY 77]\r\n* OK [UIDNEXT 13] y\r\n* OK [HIGHESTMODSEQ 18446744073709551615] z\r\n* OK [MAILBOXID (F1)] w\r\n%T OK [READ-ONLY] done\r\n"),
	}})
	c := dial(t, s, nil)
	d, err := c.Select("x", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(c.Explain(err))
	}
	got := fmt.Sprint(d.Flags, d.PermanentFlags, d.NumMessages, d.UIDValidity, d.UIDNext, d.HighestModSeq)
	if want := `[\Answered $L] [\Seen q \*] 12 77 13 18446744073709551615`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	alive(t, c)
}

func TestNamesThatLookLikeAliasesAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Entwürfe & Co": "Entwürfe & Co", "inbox": "INBOX", "caf\xe9": "caf\ufffd",
		"=raw=496e626f78":      AliasName([]byte("=raw=496e626f78")),
		"=raw==raw=61":         AliasName([]byte("=raw==raw=61")),
		"=raw=Entwürfe":        AliasName([]byte("=raw=Entw&APw-rfe")),
		AliasName([]byte("ü")): AliasName([]byte(AliasName([]byte("ü")))),
	} {
		if got := NameOf(text); got != want {
			t.Errorf("%q is named %q, want %q", text, got, want)
		}
	}
}

// No flag at all is something else than nothing said, which means any flag.
func TestNoPermanentFlagIsToldFromNothingSaidOfThem(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{"* OK [PERMANENTFLAGS ()] none\r\n": `[\Recent]`, "* OK [PERMANENTFLAGS (foo]bar)] none\r\n": `[\Recent]`, "": `[]`} {
		s := imaptest.Start(t, imaptest.Script{Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"SELECT": imaptest.Answer("* FLAGS (\\Seen)\r\n* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n" + code + "%T OK [READ-WRITE] done\r\n"),
		}})
		d, err := dial(t, s, nil).Select("x", nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(d.PermanentFlags); got != want {
			t.Errorf("%q gives %s, want %s", code, got, want)
		}
	}
}

func TestNamespaceQuotaAndRights(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 NAMESPACE QUOTA ACL", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"NAMESPACE":    imaptest.Answer("* NAMESPACE ((\"\" \"\")(INBOX. \".\" \"X\" (\"a\" \"b\"))) nil ((\"Gel&APY-scht/\" \"/\"))\r\n%T OK done\r\n"),
		"GETQUOTAROOT": imaptest.Answer("* QUOTAROOT inbox \"User quota\" x\r\n* QUOTA \"User quota\" ( storage 10 512  MESSAGE 1 2)\r\n* QUOTA x ()\r\n%T OK done\r\n"),
		"MYRIGHTS":     imaptest.Answer("* MYRIGHTS {5}\r\nINBOX lrswipkxtecda\r\n%T OK done\r\n"),
	}})
	c := dial(t, s, nil)
	ns, err := c.Namespace().Wait()
	if err != nil {
		t.Fatal(c.Explain(err))
	}
	if got, want := fmt.Sprintf("%q %q %q", ns.Personal, ns.Other, ns.Shared), `[{"" '\x00'} {"INBOX." '.'}] [] [{"Gelöscht/" '/'}]`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	q, err := c.GetQuotaRoot("INBOX").Wait()
	if err != nil || len(q) != 2 || q[0].Root != "User quota" || q[0].Resources["STORAGE"].Limit != 512 {
		t.Errorf("%+v, %v", q, c.Explain(err))
	}
	r, err := c.MyRights("INBOX").Wait()
	if err != nil || string(r.Rights) != "lrswipkxtecda" {
		t.Errorf("%+v, %v", r, err)
	}
	alive(t, c)
}

// Courier lists what is above a folder that is subscribed to, too.
func TestWhatLSUBListsForOthersSakeIsNotSubscribedTo(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"LSUB": imaptest.Answer("* LSUB (\\HasNoChildren) \".\" \"INBOX.y.z\"\r\n* LSUB (\\Noselect \\HasChildren) \".\" \"INBOX.y\"\r\n* LSUB (\\Noselect) \".\" \"INBOX\"\r\n%T OK done\r\n"),
	}})
	c := dial(t, s, nil)
	names, err := c.Subscribed()
	if err != nil || !slices.Equal(names, []string{"INBOX.y.z"}) {
		t.Errorf("%q, %v", names, c.Explain(err))
	}
	alive(t, c)
}

// Courier names its quota root and says nothing of it where nothing is limited.
func TestQuotaWithoutAList(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 QUOTA", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
		"GETQUOTAROOT": imaptest.Answer("* QUOTAROOT \"INBOX\" \"ROOT\"\r\n* QUOTA \"ROOT\"\r\n%T OK done\r\n"),
	}})
	c := dial(t, s, nil)
	q, err := c.GetQuotaRoot("INBOX").Wait()
	if err != nil || len(q) != 1 || q[0].Root != "ROOT" || len(q[0].Resources) != 0 {
		t.Errorf("%+v, %v", q, c.Explain(err))
	}
	alive(t, c)
}

func TestCapabilitiesShown(t *testing.T) {
	t.Parallel()
	const all = "imap4rev1 LITERAL+ UIDPLUS QRESYNC COMPRESS=DEFLATE UTF8=ACCEPT ENABLE ID AUTH=PLAIN STARTTLS NOTIFY X-GM-EXT-1 APPENDLIMIT=5 b]ad"
	got := shownCaps(capsOf([]byte(all)))
	if want := []string{"IMAP4rev1", "UIDPLUS", "X-GM-EXT-1", "APPENDLIMIT=5", "CONDSTORE"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	// Names stay modified UTF-7 where the server has IMAP4rev2 as well.
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 IMAP4rev2"})
	c := dial(t, s, nil)
	for _, want := range []imap.Cap{imap.CapESearch, imap.CapListStatus, imap.CapUIDPlus, imap.CapIMAP4rev1} {
		if !c.Caps().Has(want) {
			t.Errorf("%s of IMAP4rev2 is not shown", want)
		}
	}
	if c.Caps().Has(imap.CapIMAP4rev2) || c.Caps().Has(imap.CapLiteralMinus) {
		t.Error("IMAP4rev2 is shown")
	}
	if _, err := c.Capability().Wait(); err != nil || c.Caps().Has(imap.CapIMAP4rev2) {
		t.Errorf("IMAP4rev2 is shown to whoever asks, %v", err)
	}
	c.Select("Entwürfe & Co", nil).Wait()
	cmds := s.Commands()
	if got := cmds[len(cmds)-1].Args; got != `"Entw&APw-rfe &- Co"` {
		t.Errorf("SELECT %s", got)
	}
}
