package mailfiles

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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

// files returns the regular files below dir.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// readMbox returns all messages of an mbox file, after it has checked that
// messages and separators cover it.
func readMbox(t testing.TB, b *Mbox) []MboxMessage {
	t.Helper()
	var all []MboxMessage
	for m, err := range b.Messages(context.Background()) {
		if err != nil {
			t.Fatalf("after %d messages: %v", len(all), err)
		}
		all = append(all, m)
	}
	checkCover(t, b, all)
	return all
}

// The counts are those of Python's mailbox.mbox, which splits at every line
// that begins with "From ", less the lines that are text.
func TestMboxCountsOfTheCorpus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file     string
		python   int // what mailbox.mbox counts
		messages int
		dialect  Dialect
		why      string // why they differ
	}{
		{"grepmail/mailboxes/invalid_date.txt", 1, 1, DialectUnknown, ""},
		{"grepmail/mailboxes/mailarc-1.txt", 16, 16, DialectUnknown, ""},
		{"grepmail/mailboxes/mailarc-1-dos.txt", 16, 16, DialectUnknown, ""},
		{"grepmail/mailboxes/mailarc-2.txt", 5, 5, DialectUnknown, ""},
		{"grepmail/mailboxes/mailarc-3.txt", 17, 17, DialectUnknown, ""},
		{"grepmail/mailboxes/mailseparators.txt", 3, 3, DialectUnknown, ""},
		{"mbox-messageparser/mailboxes/binary_body.txt", 1, 1, DialectUnknown, ""},
		{"mbox-messageparser/mailboxes/hessbug.txt", 1, 1, DialectUnknown, ""},
		{"mbox-messageparser/mailboxes/invalid-boundaries.txt", 8, 8, DialectUnknown, ""},
		{"mbox-messageparser/mailboxes/newlines_at_beginning.txt", 1, 1, DialectUnknown, ""},
		{"mbox-messageparser/mailboxes/separators1.sep", 4, 4, DialectUnknown, ""},
		{"mbox-messageparser/mailboxes/separators2.sep", 3, 2, DialectUnknown, "\"From this principle, all of life\" is text"},
		{"mbox-messageparser/mailboxes/vm-emacs.txt", 1, 1, DialectUnknown, ""},
		{"mail-box/folders/mbox.cpy", 45, 45, Mboxcl, ""},
		{"git-mailinfo/t5100/sample.mbox", 18, 18, DialectUnknown, ""},
		{"git-mailinfo/t5100/sample.mboxrd", 3, 2, Mboxo, "\"From not mangled\" is text that should have been quoted"},
		{"git-mailinfo/t5100/quoted-cr.mbox", 2, 2, DialectUnknown, ""},
		{"git-mailinfo/t5100/rfc2047-samples.mbox", 11, 11, DialectUnknown, ""},
		{"git-mailinfo/t5100/quoted-from.in", 1, 1, Mboxo, ""},
		{"git-mailinfo/t5100/embed-from.in", 1, 1, Mboxo, ""},
		{"git-mailinfo/t5100/nul-plain", 1, 1, DialectUnknown, ""},
		{"neomutt/mbox/banana.mbox", 1, 1, DialectUnknown, ""},
		{"neomutt/mbox/apple.mbox", 0, 0, DialectUnknown, ""},
		{"gluon/tests/testdata/dovecot-crlf", 100, 100, DialectUnknown, ""},
		{"mimekit/mbox/content-length.mbox.txt", 29, 29, Mboxcl, ""},
		{"mimekit/mbox/issue1189.mbox.txt", 4, 4, DialectUnknown, ""},
		{"mimekit/mbox/unmunged.mbox.txt", 3, 2, DialectUnknown, "\"From Russia with love\" is text, and a BOM is before the first"},
		{"thunderbird/mailnews/test/data/mbox_modern", 2, 2, DialectUnknown, ""},
		{"thunderbird/mailnews/test/data/mbox_unquoted", 3, 2, DialectUnknown, "a text line \"From \""},
		{"thunderbird/mailnews/test/data/mbox_mboxrd", 2, 2, Mboxo, ""},
		{"sisimai/mailbox/mbox-0", 37, 37, DialectUnknown, ""},
	} {
		t.Run(c.file, func(t *testing.T) {
			b, err := OpenMbox(filepath.Join(corpus(t, ""), c.file), MboxOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			all := readMbox(t, b)
			r := b.Report()
			if len(all) != c.messages || r.Messages != c.messages || r.Dialect != c.dialect {
				t.Errorf("%d messages, want %d (Python has %d; %s); dialect %v, want %v; report %+v", len(all), c.messages, c.python, c.why, r.Dialect, c.dialect, r)
			}
			if c.python != c.messages && c.why == "" {
				t.Errorf("Python counts %d, and nobody says why we count %d", c.python, c.messages)
			}
		})
	}
}

func TestEveryImaptestMboxOfTheCorpus(t *testing.T) {
	t.Parallel()
	for _, file := range files(t, corpus(t, "imaptest")) {
		if !strings.HasSuffix(file, ".mbox") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b := ReadMbox(strings.NewReader(string(data)), int64(len(data)), MboxOptions{})
		all := readMbox(t, b)
		if want := strings.Count("\n"+string(data), "\nFrom "); len(all) != want {
			t.Errorf("%s: %d messages, want %d", file, len(all), want)
		}
		for _, m := range all {
			if m.From.Date.IsZero() || m.From.Sender != "user@domain" {
				t.Errorf("%s: From_ line %+v", file, m.From)
			}
		}
	}
}

func TestEnronHas54737Messages(t *testing.T) {
	t.Parallel()
	tree, err := OpenMboxTree(corpus(t, "enron"))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	folders, skipped, err := tree.Folders(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) != 353 || len(skipped) != 0 {
		t.Errorf("%d folders, want 353; skipped %v", len(folders), skipped)
	}
	messages, quoted, inexact := 0, 0, 0
	for _, f := range folders {
		b, err := tree.Open(f.Path, MboxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		all := readMbox(t, b)
		messages += len(all)
		quoted += b.Report().Quoted
		inexact += b.Report().Inexact
		if i := slices.IndexFunc(all, func(m MboxMessage) bool { return m.Weak || m.From.Sender != "MAILER-DAEMON" }); i >= 0 {
			t.Errorf("%s: message %d: %+v", f.Path, i, all[i].From)
		}
		b.Close()
	}
	if messages != 54737 || quoted != 603 {
		t.Errorf("%d messages, want 54,737; %d lines look quoted, want 603 (grep)", messages, quoted)
	}
	t.Logf("%d messages are not exact, because lines of them look quoted", inexact)
}
