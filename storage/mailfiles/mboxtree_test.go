package mailfiles

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func mboxFolders(t testing.TB, root string) ([]Folder, []Skipped) {
	t.Helper()
	tree, err := OpenMboxTree(root)
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

func TestMboxTrees(t *testing.T) {
	t.Parallel()
	mail := sepA + "Subject: x\n\n"
	for _, c := range []struct {
		name    string
		files   map[string]string
		want    map[string]string
		skipped []string
	}{
		{"nothing", nil, map[string]string{}, nil},
		{"Thunderbird", map[string]string{
			"Inbox": "From - Fri Aug 24 11:55:47 2018\nX-Mozilla-Status: 0001\n", "Inbox.msf": "// <!-- <mdb:mork:z v=\"1.4\"/> -->", "Drafts": "", "Drafts.msf": "", "msgFilterRules.dat": "version=\"9\"\n", "filterlog.html": "",
			"Lists": mail, "Lists.sbd/go": mail, "Lists.sbd/go.msf": "", "Lists.sbd/go.sbd/nuts": mail, "Empty.sbd/x": mail, ".parentlock": "",
		}, map[string]string{"Inbox": "Inbox", "Drafts": "Drafts", "Lists": "Lists", "Lists.sbd/go": "Lists | go", "Lists.sbd/go.sbd/nuts": "Lists | go | nuts", "Empty.sbd/x": "Empty | x"}, nil},
		{"Unix", map[string]string{"inbox": mail, "lists/go": mail, ".hidden": mail, ".imap/inbox/x": mail, "notes.txt": "hello", "R&-D": mail, "Entw\xfcrfe": mail, "mail.lock": "123"},
			map[string]string{"inbox": "inbox", "lists/go": "lists | go", "R&-D": "R&D", "Entw\xfcrfe": "Entw%FCrfe"}, []string{"notes.txt"}},
		{"endings", map[string]string{"Old.mbox": mail, "Apple.mbox/mbox": mail, "Apple.mbox/table_of_contents": "x", "mbox": mail, ".mbox": mail},
			map[string]string{"Old.mbox": "Old", "Apple.mbox/mbox": "Apple", "mbox": "mbox"}, []string{"Apple.mbox/table_of_contents"}},
		{"mail in a file that is named as an index", map[string]string{"archive.dat": mail, "x.html": mail}, map[string]string{"archive.dat": "archive.dat", "x.html": "x.html"}, nil},
		{"one name twice", map[string]string{"a": mail, "a.mbox": mail, "a.sbd/b": mail, "c/b": mail, "c.sbd/b": mail},
			map[string]string{"a": "a", "a.mbox": "a (2)", "a.sbd/b": "a | b", "c.sbd/b": "c | b", "c/b": "c | b (2)"}, nil},
		{"a Maildir beside", map[string]string{"cur/1.h:2,": mail, "new/2.h": mail, "tmp/3.h": mail, "mbox": mail, "Sent/cur/1.h:2,": mail, "Sent/tmp/x": mail},
			map[string]string{"mbox": "mbox"}, nil},
		{"folders that are named new and cur", map[string]string{"projects/new/foo": mail, "cur": mail},
			map[string]string{"projects/new/foo": "projects | new | foo", "cur": "cur"}, nil},
		{"what is no mbox", map[string]string{"mmdf": "\x01\x01\x01\x01\nSubject: x\n", "binary": "\x00\xff", "text": "From Russia with love\n", "mail.eml": "From: x\n\n"},
			map[string]string{}, []string{"binary", "mail.eml", "mmdf", "text"}},
		{"a byte order mark and empty lines", map[string]string{"bom": "\xef\xbb\xbf" + mail, "lines": "\r\n \n" + mail}, map[string]string{"bom": "bom", "lines": "lines"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := makeTree(t, slices.Collect(maps.Keys(c.files))...)
			for name, text := range c.files {
				write(t, root, name, text)
			}
			folders, skipped := mboxFolders(t, root)
			var paths []string
			for _, s := range skipped {
				paths = append(paths, s.Path)
			}
			if got := folderNames(folders); !maps.Equal(got, c.want) || !slices.Equal(paths, c.skipped) {
				t.Errorf("folders %q, want %q; skipped %q, want %q", got, c.want, paths, c.skipped)
			}
			for _, f := range folders {
				if f.Inbox != strings.EqualFold(f.Path, "inbox") || f.Raw != strings.Contains(f.Path, "\xfc") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestSymbolicLinksInMboxTrees(t *testing.T) {
	t.Parallel()
	outside := makeTree(t, "secret")
	write(t, outside, "secret", sepA)
	root := makeTree(t, "Inbox", "out -> "+filepath.Join(outside, "secret"), "up -> ..", "again -> Inbox")
	folders, skipped := mboxFolders(t, root)
	if len(folders) != 1 || len(skipped) != 3 {
		t.Errorf("folders %+v, skipped %+v", folders, skipped)
	}
	tree, err := OpenMboxTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for _, path := range []string{"out", "again", "../x", "up/x", filepath.Join(outside, "secret")} {
		if b, err := tree.Open(path, MboxOptions{}); err == nil {
			t.Errorf("%q was opened: %v", path, b)
		}
	}
}

func TestMboxFoldersAreMadeAndFoundAgain(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	tree, err := OpenMboxTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if a, err := tree.Append(t.Context(), []string{strings.Repeat("x", 235)}); !errors.Is(err, ErrName) {
		t.Errorf("a name too long for the files beside it: %v, %v", a, err)
	}
	names := [][]string{{strings.Repeat("x", 234)}, {"INBOX"}, {"Lists"}, {"Lists", "go.dev"}, {"..", "..", "etc"}, {"cur"}, {"new", "x"}, {"a/b", "", "c"}, {"Entwürfe"}, {"ü/x", "日本語"}, {"x.msf"}, {"x.sbd", "y.mbox"}, {".git"}, {"R&D"}, {"&-"}}
	for range 2 {
		for _, levels := range names {
			a, err := tree.Append(t.Context(), levels)
			if err != nil {
				t.Fatalf("%q: %v", levels, err)
			}
			if _, err := a.Write(t.Context(), Delivery{}, strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	folders, skipped, err := tree.Folders(t.Context())
	if err != nil || len(skipped) > 0 || len(folders) != len(names) {
		t.Errorf("%d folders, want %d; skipped %q; %v", len(folders), len(names), skipped, err)
	}
	for _, f := range folders {
		if !slices.ContainsFunc(names, func(levels []string) bool { return slices.Equal(levels, f.Levels) }) {
			t.Errorf("%+v was not made", f)
		}
		b, err := tree.Open(f.Path, MboxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if all := readMbox(t, b); len(all) != 2 || open(t, b, all[1]) != "x" {
			t.Errorf("%q has %d messages", f.Levels, len(all))
		}
		if err := b.Check(); err != nil {
			t.Error(err)
		}
		b.Close()
	}
}

func TestAnOpenFileOutlivesItsTree(t *testing.T) {
	t.Parallel()
	root := makeTree(t, "a/b")
	write(t, root, "a/b", sepA+"x\n\n")
	tree, err := OpenMboxTree(root)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tree.Open("a/b", MboxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	tree.Close()
	if all := readMbox(t, b); len(all) != 1 || b.Check() != nil {
		t.Errorf("%+v, %v", all, b.Check())
	}
}
