package mailfiles

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// makeTree makes directories (names that end in '/'), files and symbolic
// links ("name -> target") below a new directory.
func makeTree(t testing.TB, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		link, target, isLink := strings.Cut(name, " -> ")
		p := filepath.Join(root, link)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case isLink:
			err = os.Symlink(target, p)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(p, 0o700)
		default:
			err = os.WriteFile(p, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// folderNames returns the names of folders by path, with " | " between levels.
func folderNames(folders []Folder) map[string]string {
	names := make(map[string]string)
	for _, f := range folders {
		names[f.Path] = strings.Join(f.Levels, " | ")
	}
	return names
}

func maildirFolders(t testing.TB, root string) ([]Folder, []Skipped) {
	t.Helper()
	tree, err := OpenMaildirTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	folders, skipped, err := tree.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return folders, skipped
}

func TestMaildirTrees(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		files []string
		want  map[string]string
	}{
		{"nothing", nil, map[string]string{}},
		{"one Maildir", []string{"cur/", "new/", "tmp/"}, map[string]string{".": "INBOX"}},
		{"only cur, only new", []string{"a/cur/", "b/new/", "c/tmp/"}, map[string]string{"a": "a", "b": "b"}},
		{"Maildir++", []string{"cur/", ".Sent/cur/", ".Lists.go/cur/", ".Entw&APw-rfe/new/", ".git/objects/", ".empty/"},
			map[string]string{".": "INBOX", ".Sent": "Sent", ".Lists.go": "Lists | go", ".Entw&APw-rfe": "Entwürfe"}},
		{"nested", []string{"INBOX/cur/", "Lists/go/cur/", "Lists/rust/cur/", "x.y/cur/"},
			map[string]string{"INBOX": "INBOX", "Lists/go": "Lists | go", "Lists/rust": "Lists | rust", "x.y": "x.y"}},
		{"both mixed", []string{"cur/", ".Sent/cur/", "Lists/cur/", "Lists/go/cur/", "work/cur/", "work/.Sent/cur/"},
			map[string]string{".": "INBOX", ".Sent": "Sent", "Lists": "Lists", "Lists/go": "Lists | go", "work": "work", "work/.Sent": "work | Sent"}},
		{"Thunderbird", []string{"Inbox/cur/", "Inbox/tmp/", "Inbox.sbd/Sub/cur/", "x.sbd/cur/"},
			map[string]string{"Inbox": "Inbox", "Inbox.sbd/Sub": "Inbox | Sub", "x.sbd": "x.sbd"}},
		{"a folder that is named new", []string{"projects/new/cur/", "projects/new/new/", "projects/old/cur/"},
			map[string]string{"projects/new": "projects | new", "projects/old": "projects | old"}},
		{"a folder that is named cur in a Maildir", []string{"cur/cur/", "new/"}, map[string]string{".": "INBOX", "cur": "cur"}},
		{"directories in cur are no folders", []string{"cur/x/", "cur/courierimapkeywords/"}, map[string]string{".": "INBOX"}},
		{"files named cur", []string{"cur", "a/new"}, map[string]string{}},
		{"names that do not decode", []string{".R&D/cur/", ".Entw\xfcrfe/cur/", ".a..b/cur/", "...x/cur/"},
			map[string]string{".R&D": "R&D", ".Entw\xfcrfe": "Entw%FCrfe", ".a..b": "a |  | b", "...x": " |  | x"}},
		{"one name twice", []string{".R&-D/cur/", ".R&D/cur/", "R&-D/cur/"},
			map[string]string{".R&-D": "R&D", ".R&D": "R&D (2)", "R&-D": "R&D (3)"}},
		{"names that play tricks", []string{".\u202egnp.exe/cur/", "a\nb/cur/", ".&AC8ALgAuAC8-/cur/", "-rf/cur/"},
			map[string]string{".\u202egnp.exe": "\u202egnp | exe", "a\nb": "a\nb", ".&AC8ALgAuAC8-": "/../", "-rf": "-rf"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folders, skipped := maildirFolders(t, makeTree(t, c.files...))
			if got := folderNames(folders); !maps.Equal(got, c.want) || len(skipped) > 0 {
				t.Errorf("folders %q, want %q; skipped %q", got, c.want, skipped)
			}
			for _, f := range folders {
				if f.Inbox != (len(f.Levels) == 1 && strings.EqualFold(f.Levels[0], "inbox")) || f.Raw != strings.Contains(f.Path, "\xfc") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestSymbolicLinksAreReportedAndNotFollowed(t *testing.T) {
	t.Parallel()
	outside := makeTree(t, "Secret/cur/1.x:2,S")
	root := makeTree(t, "cur/", ".Sent/cur/",
		"out -> "+filepath.Join(outside, "Secret"), ".Out -> "+outside, "up -> ..", "loop -> .", "again -> .Sent", "dangling -> nowhere", "text -> .Sent/notes", ".Sent/notes", "Half/new/", "Half/cur -> "+filepath.Join(outside, "Secret", "cur"))
	folders, skipped := maildirFolders(t, root)
	if got, want := folderNames(folders), map[string]string{".": "INBOX", ".Sent": "Sent", "Half": "Half"}; !maps.Equal(got, want) {
		t.Errorf("folders %q, want %q", got, want)
	}
	var paths []string
	for _, s := range skipped {
		paths = append(paths, s.Path)
	}
	slices.Sort(paths)
	if want := []string{".Out", "Half/cur", "again", "loop", "out", "up"}; !slices.Equal(paths, want) {
		t.Errorf("skipped %q, want %q", paths, want)
	}

	tree, err := OpenMaildirTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for _, path := range []string{"out", "../x", "/", filepath.Join(outside, "Secret"), ".Out/Secret"} {
		if f, err := tree.OpenFolder(path); err == nil {
			t.Errorf("%q was opened: %v", path, f)
		}
	}
	if f, err := tree.CreateFolder([]string{"out", "x"}, MaildirNested); err == nil {
		t.Errorf("a folder was made behind a link: %+v", f)
	}
	// The half that is a link is an error, and not an empty directory.
	f, err := tree.OpenFolder("Half")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if l, err := f.List(t.Context()); err == nil {
		t.Errorf("cur is a link out of the tree, and List says %+v", l)
	}
}

func TestDirectoriesThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	root := makeTree(t, "cur/", "closed/cur/")
	if err := os.Chmod(filepath.Join(root, "closed"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(root, "closed"), 0o700)
	folders, skipped := maildirFolders(t, root)
	if len(folders) != 1 || len(skipped) != 1 || skipped[0].Path != "closed" {
		t.Errorf("folders %+v, skipped %+v", folders, skipped)
	}
}

// A lock that is stale and cannot be removed is an error, and nothing to try
// again for ever.
func TestALockThatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	root := makeTree(t, "cur/", "subscriptions.lock/x")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(root, "subscriptions.lock"), old, old); err != nil {
		t.Fatal(err)
	}
	tree, err := OpenMaildirTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if err := tree.Subscribe(t.Context(), [][]string{{"x"}}, MaildirNested); err == nil {
		t.Error("subscribed in spite of the lock")
	}
}

func TestTreesAreNotGoneIntoForEver(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", 120)
	_, skipped := maildirFolders(t, makeTree(t, "cur/", deep+"cur/"))
	if len(skipped) != 1 || !strings.Contains(skipped[0].Reason, "deep") {
		t.Errorf("skipped %+v", skipped)
	}
	if _, err := OpenMaildirTree(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a tree that is not there: %v", err)
	}
}

func TestFoldersAreCreatedAndFoundAgain(t *testing.T) {
	t.Parallel()
	names := [][]string{{"INBOX"}, {"Sent"}, {"Lists", "go.dev"}, {"..", "..", "etc"}, {"cur"}, {"a/b", "", "c"}, {"日本語"}, {"~"}, {"dovecot-keywords"}, {"x.sbd", "y"}, {"subscriptions"}, {".git"}}
	for _, layout := range []Layout{MaildirPlusPlus, MaildirNested} {
		dir := filepath.Join(t.TempDir(), "Mail")
		tree, err := CreateMaildirTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		for range 2 { // the second time they are there
			for _, levels := range names {
				f, err := tree.CreateFolder(levels, layout)
				if err != nil || !slices.Equal(f.Levels, levels) {
					t.Fatalf("%q: %+v, %v", levels, f, err)
				}
			}
		}
		folders, skipped, err := tree.Folders(t.Context())
		if err != nil || len(skipped) > 0 {
			t.Fatal(err, skipped)
		}
		var got []string
		for _, f := range folders {
			got = append(got, strings.Join(f.Levels, "|"))
			info, err := os.Stat(filepath.Join(dir, f.Path, "tmp"))
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%q has no private tmp: %v", f.Path, err)
			}
			if _, err := os.Stat(filepath.Join(dir, f.Path, "maildirfolder")); (err == nil) != (layout == MaildirPlusPlus && f.Path != ".") {
				t.Errorf("%q: maildirfolder: %v", f.Path, err)
			}
		}
		for _, levels := range names {
			if !slices.Contains(got, strings.Join(levels, "|")) {
				t.Errorf("layout %d: %q is not among %q", layout, levels, got)
			}
		}
		if _, err := tree.CreateFolder([]string{strings.Repeat("x", 300)}, layout); !errors.Is(err, ErrName) {
			t.Errorf("a name too long: %v", err)
		}
	}
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	root := makeTree(t, "cur/", "x.y/cur/")
	tree, err := OpenMaildirTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if names, err := tree.Subscriptions(); err != nil || names != nil {
		t.Errorf("without a file: %q, %v", names, err)
	}
	for _, c := range []struct {
		text string
		want [][]string
	}{
		{"", [][]string{}},
		{"V\t2\n\nLists\tgo &APw-\tx\nINBOX\nR&-D\n", [][]string{{"Lists", "go ü", "x"}, {"INBOX"}, {"R&D"}}}, // as Dovecot 2.3 writes it
		{"V\t2\n\na\x01tb\x011c\n", [][]string{{"a\tb\x01c"}}},
		{"INBOX\nLists.go &APw-\na/b.c\r\nx.y\n\nend", [][]string{{"INBOX"}, {"Lists", "go ü"}, {"a", "b.c"}, {"x.y"}, {"end"}}},
	} {
		if err := os.WriteFile(filepath.Join(root, "subscriptions"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := tree.Subscriptions()
		if err != nil || got == nil || !slices.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("%q: %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}

func TestSubscribing(t *testing.T) {
	t.Parallel()
	names := [][]string{{"INBOX"}, {"Lists", "go.dev"}, {"R&D"}, {"inbox"}, {"Lists", "go.dev"}, {"Entwürfe"}}
	for before, want := range map[string]string{
		"":                    "V\t2\n\nINBOX\nLists\tgo\\2edev\nR&-D\nEntw&APw-rfe\n",
		"V\t2\n\nR&-D\nOther": "V\t2\n\nR&-D\nOther\nINBOX\nLists\tgo\\2edev\nEntw&APw-rfe\n",
		"Other\n":             "Other\nINBOX\nLists.go\\2edev\nR&-D\nEntw&APw-rfe\n",
	} {
		root := makeTree(t, "cur/")
		file := filepath.Join(root, "subscriptions")
		if before != "" {
			if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tree, err := OpenMaildirTree(root)
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		for range 2 {
			if err := tree.Subscribe(t.Context(), names, MaildirPlusPlus); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != want {
				t.Errorf("%q became %q, %v, want %q", before, got, err, want)
			}
		}
		if left, _ := filepath.Glob(file + ".*"); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		if err := tree.Subscribe(t.Context(), [][]string{{"x\xff"}}, MaildirPlusPlus); !errors.Is(err, ErrName) {
			t.Errorf("a name that is not UTF-8: %v", err)
		}
	}
}
