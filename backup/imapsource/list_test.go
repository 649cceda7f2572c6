package imapsource

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/storage"
	"restante/storage/ledger"
)

// tree is the folders of a snapshot by name.
func (c *chain) tree(s storage.Snapshot) map[string]*storage.Folder {
	c.t.Helper()
	tree, err := c.repo.OpenSnapshot(c.t.Context(), s)
	if err != nil {
		c.t.Fatal(err)
	}
	folders := map[string]*storage.Folder{}
	for _, f := range tree.Folders {
		folders[f.Name()] = f
	}
	return folders
}

// Whatever octets a folder's name has on the wire, it is listed, opened by
// these octets, and told apart from all others.
func TestFolderNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		wire string
		name string // levels with "/" between them
		raw  bool   // the octets are kept besides
	}{
		{"Sent", "Sent", false},
		{"Entw&APw-rfe/Sp&AOQ-ter", "Entwürfe/Später", false},
		{"&ZeVnLIqe-", "日本語", false},
		{"&2D3cSw-", "👋", false},
		{"R&-D", "R&D", false},
		{"..", "..", false},
		{"../../etc/passwd", "../../etc/passwd", false},
		{".", ".", false},
		{"a//b", "a//b", false},
		{"/root", "/root", false},
		{`C:\Windows\*?`, `C:\\Windows\\*?`, false},
		{" lead and trail ", " lead and trail ", false},
		{`say "hi"`, `say "hi"`, false},
		{"100%", "100%", false},
		{"star*", "star*", false},
		{"NIL", "NIL", false},
		{"(a) [b] {3}", "(a) [b] {3}", false},
		{"&IC4-gpj.exe", "\u202egpj.exe", false}, // what follows is shown from right to left
		{"&IAs-", "\u200b", false},
		{"&AAA-", "\x00", false},
		{"&AAoACg-", "\n\n", false},
		{"inbox2", "inbox2", false},
		{"InBox/Sub", "INBOX/Sub", true},
		{"R&D", "R&D (2)", true}, // not in modified UTF-7, and another than R&-D
		{"caf\xe9", "caf%E9", true},
		{"caf\xc3\xa9", "café", true},
		{"&AOk-&AOk-", "&AOk-&AOk-", true},
		{"=raw=414243", "=raw=414243", true},
		{"\x07bell\x7f", "%07bell%7F", true},
		{strings.Repeat("n", 2000), strings.Repeat("n", 2000), false},
		{strings.Repeat("d/", 300) + "e", strings.Repeat("d/", 300) + "e", false},
	} {
		t.Run(fmt.Sprintf("%.30q", test.wire), func(t *testing.T) {
			t.Parallel()
			for name, caps := range map[string]string{"with all": everything, "with nothing": ""} {
				c := newChain(t, caps)
				c.account.Add("INBOX", letter(1), ``)
				c.account.Add("R&-D", letter(2), ``)
				c.account.Add(test.wire, letter(3), `\Seen`)
				f := c.account.Folder(test.wire)
				c.account.Do(func() { f.Subscribed, f.Attrs = true, `\Sent` })
				result := c.must(nil)
				got := c.tree(result.Snapshot)
				levels := storage.FolderLevels(test.name)
				if strings.Count(test.wire, "/") > 100 {
					levels = append(strings.Split(strings.Repeat("d/", 99), "/")[:99], strings.Repeat("d/", 201)+"e") // what is deeper is one level
				}
				folder := got[storage.FolderName(levels)]
				if folder == nil {
					t.Fatalf("%s: there is no %.60q among %.200q", name, test.name, slices.Collect(maps.Keys(got)))
				}
				if string(folder.Raw) != test.wire && test.raw || len(folder.Raw) > 0 && !test.raw {
					t.Errorf("%s: its octets are kept as %q", name, folder.Raw)
				}
				if !slices.Equal(folder.Levels, levels) || folder.Messages < 1 || !folder.Subscribed || len(folder.SpecialUse) != 1 {
					t.Errorf("%s: it is %q with %d messages, subscribed %v, %q", name, folder.Levels, folder.Messages, folder.Subscribed, folder.SpecialUse)
				}
				if want := len(c.account.Folders()); len(got) != want || result.Snapshot.Marks.Has(ledger.Incomplete) {
					t.Errorf("%s: %d folders in place of %d, marked %v, %q", name, len(got), want, result.Snapshot.Marks, result.Snapshot.Notes)
				}
				again := c.must(nil)
				if again.Snapshot.Root != result.Snapshot.Root {
					t.Errorf("%s: the next run finds another folder", name)
				}
			}
		})
	}
}

// NUL in a name, raw, is nothing that a line can hold for long; but it is kept.
func TestFolderNamesAsLiterals(t *testing.T) {
	t.Parallel()
	c := newChain(t, "")
	c.account.Add("a\r\nb\x00c", letter(1), ``)
	asLiteral := func(_ imaptest.Command, text string) string {
		return strings.ReplaceAll(text, "\"a\r\nb\x00c\"", "{6}\r\na\r\nb\x00c")
	}
	result := c.must(c.rewritten("LIST", asLiteral))
	f := c.tree(result.Snapshot)["a%0D%0Ab%00c"]
	if f == nil || string(f.Raw) != "a\r\nb\x00c" || f.Messages != 1 {
		t.Errorf("it is %+v", f)
	}
}

// withoutLines takes the lines out of an answer that hold a text.
func withoutLines(answer, text string) string {
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(answer, "\n"), func(line string) bool { return strings.Contains(line, text) }), "")
}

// Where a server's folders stand is no part of what people call them.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, namespace, delimiter string
		folders                    []string // on the wire; only those of the account's own are in LIST "" "*"
		others                     []string
		want                       []string
	}{
		{"none", `NIL NIL NIL`, "/", []string{"a/b"}, nil, []string{"INBOX", "a/b"}},
		{"dots", `(("" ".")) NIL NIL`, ".", []string{"a.b/c"}, nil, []string{"INBOX", `a/b\/c`}},
		{"no levels", `(("" NIL)) NIL NIL`, "", []string{"a/b.c"}, nil, []string{"INBOX", `a\/b.c`}},
		{"all below INBOX", `(("INBOX." ".")) NIL NIL`, ".", []string{"INBOX.Sent", "INBOX.a.b", "INBOX.INBOX", "INBOX.INBOX.x"}, nil,
			[]string{"INBOX", "INBOX/INBOX", "INBOX/INBOX/x", "Sent", "a/b"}},
		{"other users", `(("" "/")) (("Other Users/" "/")) (("Shared/" "/"))`, "/", []string{"x"}, []string{"Other Users/bob/INBOX", "Shared/board"},
			[]string{"INBOX", "Other Users/bob/INBOX", "Shared/board", "x"}},
		{"listed anyway", `(("" "/")) (("~" "/")) (("#shared/" "/"))`, "/", []string{"#shared/board", "~bob/INBOX"}, nil,
			[]string{"#shared/board", "INBOX", "~bob/INBOX"}},
		{"Cyrus", `(("INBOX." ".")) (("user." ".")) (("" "."))`, ".", []string{"INBOX.Sent", "board"}, []string{"user.bob"},
			[]string{"INBOX", "Sent", "board", "user/bob"}},
		{"a prefix that is no name", `(("" "/")) NIL (("caf` + "\xe9" + `/" "/"))`, "/", nil, []string{"caf\xe9/menu"}, []string{"INBOX", "caf%E9/menu"}},
		{"news", `(("" "/")) NIL (("#news." "."))`, "/", nil, []string{"#news.comp.mail"}, []string{"INBOX"}},
		{"a prefix with a wildcard", `(("" "/")) NIL (("*/" "/") ("%" "/"))`, "/", nil, []string{"*/x"}, []string{"INBOX"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, caps := range []string{everything, "NAMESPACE"} {
				c := newChain(t, caps)
				c.account.Namespace, c.account.Delimiter = test.namespace, test.delimiter
				for i, name := range slices.Concat(test.folders, test.others) {
					c.account.Add(name, letter(i), ``)
				}
				own := c.rewritten("LIST", func(cmd imaptest.Command, text string) string {
					if _, rest := imaptest.Name(cmd.Args); rest == `"*"` || strings.HasPrefix(rest, `"*" `) || strings.HasPrefix(rest, "* ") || rest == "*" {
						for _, name := range test.others {
							text = withoutLines(text, name+`"`)
						}
					}
					return text
				})
				result := c.must(own)
				if got := slices.Sorted(maps.Keys(c.tree(result.Snapshot))); !slices.Equal(got, test.want) {
					t.Errorf("the folders are %q", got)
				}
				if result.Snapshot.Marks.Has(ledger.Incomplete) || result.Snapshot.Messages != int64(len(c.tree(result.Snapshot))-1) {
					t.Errorf("%d messages, marked %v, %q", result.Snapshot.Messages, result.Snapshot.Marks, result.Snapshot.Notes)
				}
			}
		})
	}
}

// What another namespace has is not gone because it cannot be listed today.
func TestNamespaceThatCannotBeListedIsNotGone(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.account.Namespace = `(("" "/")) NIL (("Shared/" "/"))`
	c.fill()
	c.account.Add("Shared/board", letter(9), ``)
	script := c.with("LIST", func(own imaptest.Handler) imaptest.Handler {
		return func(conn *imaptest.Conn, cmd imaptest.Command) {
			if strings.Contains(cmd.Args, "Shared") {
				imaptest.Answer("%T NO not today\r\n")(conn, cmd)
				return
			}
			imaptest.Rewrite(own, func(_ imaptest.Command, text string) string {
				return withoutLines(text, "Shared/board")
			})(conn, cmd)
		}
	})
	c.whole("first", nil)
	before := c.view()
	c.account.Remove("Sent")
	result := c.incomplete("second", script, `the folders below "Shared/" cannot be listed`)
	c.same("second", c.snapshot(result.Snapshot), before)
	if result.Snapshot.Marks.Has(ledger.Anomalous) {
		t.Errorf("marked %v", result.Snapshot.Marks)
	}
	result = c.must(nil)
	c.same("in the end", c.snapshot(result.Snapshot), c.view())
	if !result.Snapshot.Marks.Has(ledger.Anomalous) {
		t.Errorf("a folder with mail is gone, and it is marked %v", result.Snapshot.Marks)
	}
}

// A list without any folder is no list.
func TestEmptyListTakesNothingForGone(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	before := c.snapshot(c.whole("first", nil).Snapshot)
	result := c.incomplete("second", c.refused("LIST", "%T OK done\r\n", func(imaptest.Command) bool { return true }), "lists no folder at all")
	c.same("second", c.snapshot(result.Snapshot), before)
}

// What a server says of folders in ways of its own.
func TestOddLists(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		list string // in place of the answer to LIST; INBOX has 12 messages
		want view   // without messages
		note string
	}{
		{"attributes in any case", `* LIST (\HASNOCHILDREN \sent \SubScribed) "/" INBOX`, view{"INBOX": {"": folderLine(nil, []string{`\Sent`}, true)}}, ""},
		{"listed twice", "* LIST (\\Sent) \"/\" INBOX\r\n* LIST (\\Subscribed \\Sent) \"/\" INBOX", view{"INBOX": {"": folderLine(nil, []string{`\Sent`}, true)}}, ""},
		{"listed as selectable and not", "* LIST (\\Noselect) \"/\" INBOX\r\n* LIST (\\Marked) \"/\" INBOX\r\n* LIST (\\NonExistent) \"/\" INBOX", view{"INBOX": {"": folderLine(nil, nil, false)}}, ""},
		{"INBOX in small letters", `* LIST () "/" inbox`, view{"INBOX": {"": folderLine(nil, nil, false)}}, ""},
		{"attributes nobody knows", `* LIST (\NoInferiors \X-Color(red) "quoted" \Remote) "/" INBOX`, view{"INBOX": {"": folderLine([]string{`\Noinferiors`, `\Remote`, `\X-Color`, "quoted"}, nil, false)}}, ""},
		{"cannot be selected", "* LIST () \"/\" INBOX\r\n* LIST (\\Noselect) \"/\" Group\r\n* LIST (\\NonExistent) \"/\" Ghost",
			view{"INBOX": {"": folderLine(nil, nil, false)}, "Group": {"": folderLine([]string{`\Noselect`}, nil, false)}, "Ghost": {"": folderLine([]string{`\NonExistent`}, nil, false)}}, ""},
		{"no delimiter", `* LIST () NIL INBOX`, view{"INBOX": {"": folderLine(nil, nil, false)}}, ""},
		{"an empty delimiter", `* LIST () "" INBOX`, view{"INBOX": {"": folderLine(nil, nil, false)}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t, "LIST-EXTENDED SPECIAL-USE")
			c.fill()
			result := c.must(c.refused("LIST", test.list+"\r\n%T OK done\r\n", func(imaptest.Command) bool { return true }))
			got := c.snapshot(result.Snapshot)
			if len(got["INBOX"]) != 13 {
				t.Errorf("INBOX has %d messages", len(got["INBOX"])-1)
			}
			for _, list := range got {
				maps.DeleteFunc(list, func(place, _ string) bool { return place != "" })
			}
			c.same(test.name, got, test.want)
		})
	}
}

// A server that promises more of LIST than it can do is asked for less.
func TestServerThatRefusesExtendedListIsAskedForLess(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"%T BAD syntax\r\n", "%T NO [CANNOT] what?\r\n"} {
		c := newChain(t, everything)
		c.fill()
		result := c.must(c.refused("LIST", answer, func(cmd imaptest.Command) bool { return strings.Contains(cmd.Args, "RETURN") }))
		got := c.snapshot(result.Snapshot)
		if len(got) != 3 || len(got["INBOX"]) != 13 || result.Snapshot.Marks.Has(ledger.Incomplete) {
			t.Errorf("%s: %d folders, marked %v, %q", answer, len(got), result.Snapshot.Marks, result.Snapshot.Notes)
		}
	}
}

// A server that keeps subscriptions from us does not keep mail from us.
func TestSubscriptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := newChain(t, "")
	c.fill()
	result := c.must(c.refused("LSUB", "%T NO no\r\n", func(imaptest.Command) bool { return true }))
	if len(result.Snapshot.Notes) != 1 || !strings.Contains(result.Snapshot.Notes[0], "subscribed") || result.Snapshot.Messages != 19 {
		t.Errorf("%d messages, %q", result.Snapshot.Messages, result.Snapshot.Notes)
	}
}

// A folder of which nothing is left but the name, because it has others below
// it, is gone with its mail as any other.
func TestFolderThatBecomesUnselectableIsGoneWithItsMail(t *testing.T) {
	t.Parallel()
	c := newChain(t, everything)
	c.fill()
	c.whole("first", nil)
	sent := c.account.Folder("Sent")
	c.account.Do(func() { sent.Attrs, sent.Messages = `\Noselect`, nil })
	result := c.must(nil)
	c.same("second", c.snapshot(result.Snapshot), c.view())
	if !result.Snapshot.Marks.Has(ledger.Anomalous) || result.Snapshot.Stats.Gone != 7 || !strings.Contains(fmt.Sprint(result.Snapshot.Notes), `"Sent" is gone, with 7 messages`) {
		t.Errorf("marked %v, %d gone, %q", result.Snapshot.Marks, result.Snapshot.Stats.Gone, result.Snapshot.Notes)
	}
}
