package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestACorpusIsReadFromFilesAndMboxes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"top.eml":             "Subject: top\n\nbody\n",
		"a/cur/1":             "From x@y Mon Jan  1 00:00:00 2024\nSubject: one\n\nFrom here\n\nFrom there\n",
		"a b.c/ü/2.txt":       "Subject: two\n",
		"lists/go.mbox":       "From x\nSubject: 1\n\nbody\n\nFrom y\nSubject: 2\n\n>From z\nFrom z\n\n",
		"lists/empty.mbox":    "",
		"lists/one-line.mbox": "From x\n",
		"lists/open.mbox":     "From x\nSubject: no end",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(mboxes bool) []string {
		list, err := Corpora([]string{root}, mboxes)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for l, err := range list[0].mail {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %q", l.folder, l.octets))
		}
		return got
	}
	want := []string{
		`a/cur_ "Subject: one\n\nFrom here\n\nFrom there\n"`,
		`a b_c/_ "Subject: two\n"`,
		`lists/go "Subject: 1\n\nbody\n"`,
		`lists/go "Subject: 2\n\n>From z\nFrom z\n"`,
		`lists/open "Subject: no end"`,
		`INBOX "Subject: top\n\nbody\n"`,
	}
	if got := read(false); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	// As mboxes, what looks like a separator is one.
	if got := read(true); len(got) != 7 || got[0] != `a/cur_/1 "Subject: one\n"` || got[1] != `a/cur_/1 "\nFrom there\n"` {
		t.Errorf("as mboxes: %q", got)
	}
	if _, err := Corpora([]string{filepath.Join(root, "top.eml")}, false); err == nil {
		t.Error("a file was taken for a directory")
	}
}
