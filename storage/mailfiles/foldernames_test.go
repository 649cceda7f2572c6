package mailfiles

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLevelsBecomeFileNamesAndComeBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		level, plusplus, nested, mbox string
	}{
		{"Sent", "Sent", "Sent", "Sent"},
		{"My Folder", "My Folder", "My Folder", "My Folder"},
		{"R&D", "R&-D", "R&-D", "R&-D"},
		{"Entwürfe", "Entw&APw-rfe", "Entw&APw-rfe", "Entwürfe"},
		{"日本語", "&ZeVnLIqe-", "&ZeVnLIqe-", "日本語"},
		{"a😀b", "a&2D3eAA-b", "a&2D3eAA-b", "a&2D3eAA-b"},
		{"example.com", `example\2ecom`, "example.com", "example.com"},
		{"a/b", `a\2fb`, `a\2fb`, `a\2fb`},
		{"ü/x", `&APw-\2fx`, `&APw-\2fx`, `&APw-\2fx`},
		{".", `\2e`, `\2e`, `\2e`},
		{"..", `\2e\2e`, `\2e.`, `\2e.`},
		{"../../etc", `\2e\2e\2f\2e\2e\2fetc`, `\2e.\2f..\2fetc`, `\2e.\2f..\2fetc`},
		{"~root~", `\7eroot~`, `\7eroot~`, `\7eroot~`},
		{"cur", "cur", `\63ur`, `\63ur`},
		{"New", "New", `\4eew`, `\4eew`},
		{"dovecot-uidlist", "dovecot-uidlist", `\64ovecot-uidlist`, `\64ovecot-uidlist`},
		{"x.sbd", `x\2esbd`, `x\2esbd`, `x\2esbd`},
		{"x.msf", `x\2emsf`, "x.msf", `x\2emsf`},
		{"x.mbox", `x\2embox`, "x.mbox", `x\2embox`},
		{"", `\00`, `\00`, `\00`},
		{`\00`, `\5c00`, `\5c00`, `\5c00`},
		{`C:\temp\2e\41\00\2E\`, `C:\temp\5c2e\5c41\00\2E\`, `C:\temp\5c2e\5c41\00\2E\`, `C:\temp\5c2e\5c41\00\2E\`},
		{`a\.b`, `a\\2eb`, `a\.b`, `a\.b`},
		{"a\x00\n\tb", "a&AAAACgAJ-b", "a&AAAACgAJ-b", "a&AAAACgAJ-b"},
		{"\u202egnp", "&IC4-gnp", "&IC4-gnp", "&IC4-gnp"},
		{"e\u0301", "e&AwE-", "e&AwE-", "e&AwE-"}, // with an accent apart
		{"&AC4-", "&-AC4-", "&-AC4-", "&-AC4-"},
	} {
		for layout, want := range map[Layout]string{MaildirPlusPlus: c.plusplus, MaildirNested: c.nested, thunderbird: c.mbox} {
			got, err := encodeLevel(c.level, layout)
			if err != nil || got != want {
				t.Errorf("encodeLevel(%q, %d) = %q, %v, want %q", c.level, layout, got, err, want)
			}
			if back, raw := decodeLevel(got); back != c.level || raw {
				t.Errorf("decodeLevel(%q) = %q, %v, want %q", got, back, raw, c.level)
			}
		}
	}
}

func TestNamesThatDoNotDecodeStandForThemselves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, level string
		raw         bool
	}{
		{"R&D", "R&D", false},
		{"a&b-c", "a&b-c", false},
		{"&AOk-&AOk-", "&AOk-&AOk-", false},       // two runs where one would do
		{"&2D0-", "&2D0-", false},                 // half a surrogate pair
		{"&AGF-", "&AGF-", false},                 // bits left over
		{"&AG\nE-", "&AG\nE-", false},             // a line end in base64
		{"Entwürfe", "Entwürfe", false},           // plain UTF-8
		{"Entwürfe &- x", "Entwürfe &- x", false}, // UTF-8 has no modified UTF-7 in it
		{"Entw\xfcrfe", "Entw%FCrfe", true},       // Latin-1
		{"\xff\xfe", "%FF%FE", true},
		{"&AGE-", "a", false},                     // needless, but clear
		{"example&AC4-com", "example.com", false}, // as Courier writes it
		{"&3AA-", "", false},
		{`a\2fb`, "a/b", false},
		{`a\zz\2`, `a\zz\2`, false},
	} {
		if level, raw := decodeLevel(c.name); level != c.level || raw != c.raw {
			t.Errorf("decodeLevel(%q) = %q, %v, want %q, %v", c.name, level, raw, c.level, c.raw)
		}
	}
}

func TestFolderPaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		levels                 []string
		plusplus, nested, mbox string
	}{
		{[]string{"INBOX"}, ".", ".", "INBOX"},
		{[]string{"inbox"}, ".", ".", "inbox"},
		{[]string{"INBOX", "x"}, ".INBOX.x", "INBOX/x", "INBOX.sbd/x"},
		{[]string{"Lists", "go.dev"}, `.Lists.go\2edev`, "Lists/go.dev", "Lists.sbd/go.dev"},
		{[]string{"a", "", "b"}, `.a.\00.b`, `a/\00/b`, `a.sbd/\00.sbd/b`},
		{[]string{"..", "x"}, `.\2e\2e.x`, `\2e./x`, `\2e..sbd/x`},
	} {
		for layout, want := range map[Layout]string{MaildirPlusPlus: c.plusplus, MaildirNested: c.nested, thunderbird: c.mbox} {
			if got, err := folderPath(c.levels, layout); err != nil || got != want {
				t.Errorf("folderPath(%q, %d) = %q, %v, want %q", c.levels, layout, got, err, want)
			}
		}
	}
	for _, levels := range [][]string{nil, {"a\xff"}, {strings.Repeat("x", 256)}, {strings.Repeat("日", 100)}, make([]string, 101)} {
		if p, err := folderPath(levels, MaildirNested); !errors.Is(err, ErrName) {
			t.Errorf("folderPath(%.20q…) = %q, %v, want ErrName", levels, p, err)
		}
	}
}

func TestFoldersWithOneNameAreToldApart(t *testing.T) {
	t.Parallel()
	got := distinct([]Folder{
		{Path: "R&D", Levels: []string{"R&D"}},
		{Path: ".R&-D", Levels: []string{"R&D"}},
		{Path: "R&-D", Levels: []string{"R&D"}},
		{Path: ".", Levels: []string{"INBOX"}},
		{Path: ".Inbox", Levels: []string{"Inbox"}},
		{Path: "x (2)", Levels: []string{"x (2)"}},
		{Path: "x", Levels: []string{"x"}},
		{Path: "&AHg-", Levels: []string{"x"}},
	}, isCanonical)
	want := map[string]string{
		".": "INBOX", ".Inbox": "Inbox (2)", ".R&-D": "R&D", "R&-D": "R&D (2)", "R&D": "R&D (3)",
		"x": "x", "x (2)": "x (2)", "&AHg-": "x (3)",
	}
	for _, f := range got {
		if f.Levels[0] != want[f.Path] || f.Inbox != (f.Path == ".") {
			t.Errorf("%q is %q (inbox: %v), want %q", f.Path, f.Levels, f.Inbox, want[f.Path])
		}
	}
}

func FuzzLevelsRoundTrip(f *testing.F) {
	for _, s := range []string{"", "Sent", "R&D", "Entwürfe", "../..", "a\x00b", "x.sbd", "CUR", "&3AA-", `\00`, `\2e`, "😀&", ".mbox", "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, level string) {
		for _, layout := range []Layout{MaildirPlusPlus, MaildirNested, thunderbird} {
			name, err := encodeLevel(level, layout)
			if !utf8.ValidString(level) {
				if !errors.Is(err, ErrName) {
					t.Fatalf("encodeLevel(%q) = %q, %v", level, name, err)
				}
				continue
			}
			if err != nil || name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00\n\r\t") ||
				strings.HasPrefix(name, ".") || layout == MaildirPlusPlus && strings.Contains(name, ".") ||
				layout != MaildirPlusPlus && isReserved(name) {
				t.Fatalf("encodeLevel(%q, %d) = %q, %v: no safe name", level, layout, name, err)
			}
			if back, raw := decodeLevel(name); back != level || raw {
				t.Fatalf("%q became %q and came back as %q, %v", level, name, back, raw)
			}
		}
	})
}

func FuzzFolderNames(f *testing.F) {
	f.Add("R&D")
	f.Add("&AGE-&AGI-")
	f.Add("Entw\xfcrfe")
	f.Add("&2D3eAA-")
	f.Fuzz(func(t *testing.T, name string) {
		level, raw := decodeLevel(name)
		if !utf8.ValidString(level) || raw == utf8.ValidString(name) {
			t.Fatalf("decodeLevel(%q) = %q, %v", name, level, raw)
		}
		p, err := folderPath([]string{level}, MaildirPlusPlus)
		if err != nil {
			return // too long
		}
		if back := folderAt(p, strings.Split(strings.TrimPrefix(p, "."), ".")); p != "." && !slices.Equal(back.Levels, []string{level}) {
			t.Fatalf("%q is written as %q and read as %q", level, p, back.Levels)
		}
	})
}
