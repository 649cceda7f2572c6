package export

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"restante/backup"
	"restante/backup/localsource"
	"restante/storage"
	"restante/storage/mailfiles"
)

// corpus returns the directory of a set of real mail, or skips the test.
func corpus(t testing.TB, set string) string {
	t.Helper()
	dir := os.Getenv("RESTANTE_CORPUS")
	if dir == "" {
		t.Skip("RESTANTE_CORPUS is not set: no real mail to test with")
	}
	dir = filepath.Join(dir, set)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the corpus has no %s: %v", set, err)
	}
	return dir
}

// Sets of the corpus with Maildirs or mbox files in them, and how many
// messages there are at least.
var sets = []struct {
	kind, set string
	messages  int
}{
	{"maildir", "mail-parser", 6}, {"maildir", "mu", 37}, {"maildir", "notmuch", 256}, {"maildir", "neomutt", 0},
	// Files with a message each, put into Maildirs.
	{"files", "sisimai/maildir", 300}, {"files", "kmime", 36}, {"files", "mail-parser/eml", 100}, {"files", "mime4j", 65},
	{"mbox", "grepmail", 50}, {"mbox", "mbox-messageparser", 15}, {"mbox", "mail-box", 45}, {"mbox", "imaptest", 100}, {"mbox", "git-mailinfo", 30},
	{"mbox", "neomutt", 1}, {"mbox", "gluon", 100}, {"mbox", "mimekit", 35}, {"mbox", "thunderbird", 5}, {"mbox", "sisimai", 37}, {"mbox", "tika", 1},
	{"mbox", "enron/holst-k", 463}, {"mbox", "public-inbox", 0}, {"mbox", "spamassassin-tests", 1},
}

func TestRealMailComesInAndOutWithTheOctetsItHad(t *testing.T) {
	t.Parallel()
	for _, c := range sets {
		t.Run(c.kind+"/"+c.set, func(t *testing.T) {
			t.Parallel()
			dir := corpus(t, c.set)
			if c.kind == "files" {
				c.kind, dir = "maildir", asMaildirs(t, dir)
			}
			repo := newRepository(t)
			first, none := backOrNone(t, repo, c.kind, dir)
			if none && c.messages == 0 {
				t.Skip("there is no mail of this kind")
			}
			if int(first.Snapshot.Messages) < c.messages {
				t.Errorf("%d messages, want %d", first.Snapshot.Messages, c.messages)
			}
			if c.kind == "maildir" {
				wantFiles(t, repo, first, dir)
			} else {
				wantWithin(t, repo, first, dir)
			}
			want := viewOf(t, repo, first, system)
			for _, kind := range []string{"maildir", "mbox"} {
				to := t.TempDir()
				sum := restoreTo(t, repo, first, kind, to).Totals()
				if sum.Appended != first.Snapshot.Messages || len(sum.Refused) > 0 {
					t.Fatalf("%d of %d were exported", sum.Appended, first.Snapshot.Messages)
				}
				got := viewOf(t, repo, back(t, repo, kind, kind, to), system)
				if _, has := want["INBOX"]; !has && kind == "maildir" {
					delete(got, "INBOX")
				}
				if kind == "maildir" {
					wantView(t, kind, datesOnlyIf(got, want), want)
				} else {
					wantView(t, kind, got, want)
				}
				if sum := restoreTo(t, repo, first, kind, to).Totals(); sum.Appended != 0 {
					t.Errorf("%s: run again, %d were added", kind, sum.Appended)
				}
			}
			t.Logf("%d messages in %d folders, %d octets", first.Snapshot.Messages, first.Snapshot.Folders, first.Snapshot.Bytes)
		})
	}
}

// asMaildirs copies files into a Maildir tree with a folder for each directory.
func asMaildirs(t *testing.T, dir string) string {
	t.Helper()
	root := maildir(t, t.TempDir())
	for i, name := range files(t, dir) {
		to := maildir(t, filepath.Join(root, "x", filepath.Dir(name)))
		write(t, fmt.Sprintf("%s/cur/%d.x:2,S", to, i), read(t, filepath.Join(dir, name)))
	}
	return root
}

// datesOnlyIf takes the dates away that a Maildir made up for messages that
// had none.
func datesOnlyIf(got, want view) view {
	for folder, list := range want {
		if !strings.Contains(strings.Join(list, "\n"), " no date ") {
			continue
		}
		for i, m := range got[folder] {
			for _, w := range list {
				before, after, _ := strings.Cut(w, " no date ")
				if strings.HasPrefix(m, before+" ") && strings.HasSuffix(m, " "+after) {
					got[folder][i] = w
				}
			}
		}
		slices.Sort(got[folder])
	}
	return got
}

// backOrNone is back, for directories that may be without mail, or with files
// that were last written to this minute.
func backOrNone(t *testing.T, repo *storage.Repository, kind, dir string) (*storage.Tree, bool) {
	t.Helper()
	src, err := map[string]func() (backup.Source, error){
		"maildir": func() (backup.Source, error) { return localsource.OpenMaildir(dir, nil) },
		"mbox":    func() (backup.Source, error) { return localsource.OpenMbox(dir, nil) },
	}[kind]()
	if err != nil {
		t.Fatal(err)
	}
	_, err = src.List(t.Context())
	src.Close()
	if err != nil && strings.Contains(err.Error(), "there is no "+kind) {
		return &storage.Tree{}, true
	}
	return back(t, repo, "alice", kind, dir), false
}

// octetsOf returns the octets of all messages of a folder.
func octetsOf(t *testing.T, repo *storage.Repository, tree *storage.Tree, f *storage.Folder) (list []string) {
	t.Helper()
	for m, err := range f.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := repo.WriteMessage(t.Context(), &b, tree.Snapshot.Vault, m.Recipe); err != nil {
			t.Fatal(err)
		}
		list = append(list, b.String())
	}
	slices.Sort(list)
	return list
}

// wantFiles checks that a snapshot has the files of a Maildir, all of them.
func wantFiles(t *testing.T, repo *storage.Repository, tree *storage.Tree, dir string) {
	t.Helper()
	var got, want []string
	for _, f := range tree.Folders {
		got = append(got, octetsOf(t, repo, tree, f)...)
	}
	for _, name := range files(t, dir) {
		if sub := filepath.Base(filepath.Dir(name)); (sub == "cur" || sub == "new") && !strings.HasPrefix(filepath.Base(name), ".") {
			want = append(want, read(t, filepath.Join(dir, name)))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d messages are in the archive, %d in files, or others", len(got), len(want))
	}
}

// wantWithin checks that each message stands in its file as it does in the
// archive, and that little of the files is in no message.
func wantWithin(t *testing.T, repo *storage.Repository, tree *storage.Tree, dir string) {
	t.Helper()
	source, err := mailfiles.OpenMboxTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	folders, _, err := source.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mailfiles.InboxInCapitals(folders)
	for _, f := range folders {
		text := read(t, filepath.Join(dir, f.Path))
		octets := 0
		list := octetsOf(t, repo, tree, tree.Folder(f.Levels))
		for _, m := range list {
			octets += len(m)
			if !strings.Contains(text, m) {
				t.Fatalf("%s: no part of it is %.200q", f.Path, m)
			}
		}
		fromLines := 0
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "From ") {
				fromLines += len(line) + 4
			}
		}
		if rest := len(text) - octets; rest > fromLines+100 {
			t.Errorf("%s: %d of %d octets are in no message", f.Path, rest, len(text))
		}
	}
}
