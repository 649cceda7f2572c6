package mailfiles

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
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

// corpusMessages goes through everything in the corpus that can be exported:
// every file as it is, mail or not, and every message of the mbox files. Of
// the four large sets it takes one in ten.
func corpusMessages(t *testing.T, do func(name string, octets []byte)) {
	root := corpus(t, "")
	n := 0
	for _, name := range files(t, root) {
		set, _, _ := strings.Cut(strings.TrimPrefix(name, root+"/"), "/")
		large := slices.Contains([]string{"enron", "usrp-users", "spamassassin", "crosspost"}, set)
		if n++; large && set != "enron" && n%10 != 0 {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if set != "enron" {
			do(name, data)
		}
		b := ReadMbox(bytes.NewReader(data), int64(len(data)), MboxOptions{})
		for m, err := range b.Messages(t.Context()) {
			if err != nil {
				break // no mbox
			}
			if large && m.Index%10 != 0 {
				continue
			}
			p, err := io.ReadAll(b.Open(m))
			if err != nil {
				t.Fatal(err)
			}
			do(fmt.Sprintf("%s[%d]", name, m.Index), p)
		}
	}
}

func TestTheCorpusSurvivesAnMbox(t *testing.T) {
	t.Parallel()
	type sent struct {
		name string
		sum  [32]byte
	}
	var all []sent
	var file bytes.Buffer
	w := NewMboxWriter(&file, t.TempDir())
	compare := func() {
		b := ReadMbox(bytes.NewReader(file.Bytes()), int64(file.Len()), MboxOptions{})
		got := readMbox(t, b)
		if len(got) != len(all) {
			t.Fatalf("%d messages became %d", len(all), len(got))
		}
		for i, m := range got {
			if sum := sha256.Sum256([]byte(open(t, b, m))); sum != all[i].sum || !m.Exact {
				t.Errorf("%s came back as something else", all[i].name)
			}
		}
	}
	total := 0
	corpusMessages(t, func(name string, octets []byte) {
		if _, err := w.Write(t.Context(), Delivery{}, bytes.NewReader(octets)); err != nil {
			t.Fatal(err)
		}
		all = append(all, sent{name, sha256.Sum256(octets)})
		total++
		if file.Len() > 64<<20 {
			compare()
			file.Reset()
			all = nil
		}
	})
	compare()
	t.Logf("%d messages", total)
}

func TestTheCorpusSurvivesAMaildir(t *testing.T) {
	t.Parallel()
	f, _ := inbox(t)
	w := f.Writer(500)
	sums := make(map[string][32]byte)
	names := make(map[string]string)
	corpusMessages(t, func(name string, octets []byte) {
		done, err := w.Deliver(t.Context(), Delivery{Flags: []string{`\Seen`}}, bytes.NewReader(octets))
		if err != nil {
			t.Fatal(err)
		}
		sums[done.Key], names[done.Key] = sha256.Sum256(octets), name
	})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l := list(t, f)
	if l.Len() != len(sums) {
		t.Errorf("%d messages became %d", len(sums), l.Len())
	}
	for m := range l.Messages() {
		if _, text := get(t, f, m.Key); sha256.Sum256([]byte(text)) != sums[m.Key] {
			t.Errorf("%s came back as something else", names[m.Key])
		}
	}
	t.Logf("%d messages", l.Len())
}

// The counts are those of find(1).
func TestMaildirsOfTheCorpus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dir     string
		folders map[string]int // messages by name
	}{
		{"mail-parser/maildir", map[string]int{"INBOX": 2, "My Folder": 2, "My Folder|Nested Folder": 2}},
		{"neomutt/maildir", map[string]int{"apple": 0, "apple|child": 0, "banana": 0, "damson": 0, "empty|child": 0}},
	} {
		tree, err := OpenMaildirTree(filepath.Join(corpus(t, ""), c.dir))
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		got := countMaildir(t, tree)
		if !maps.Equal(got, c.folders) {
			t.Errorf("%s: %v, want %v", c.dir, got, c.folders)
		}
	}
	for _, set := range []string{"notmuch", "mu", "mail-parser"} {
		want := 0
		for _, name := range files(t, corpus(t, set)) {
			if dir := filepath.Base(filepath.Dir(name)); (dir == "cur" || dir == "new") && !strings.HasPrefix(filepath.Base(name), ".") {
				want++
			}
		}
		tree, err := OpenMaildirTree(corpus(t, set))
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		total := 0
		for _, n := range countMaildir(t, tree) {
			total += n
		}
		if total != want || total == 0 {
			t.Errorf("%s: %d messages in Maildirs, want %d", set, total, want)
		}
		t.Logf("%s: %d messages", set, total)
	}
}

// countMaildir counts the messages of every folder, and reads them all.
func countMaildir(t *testing.T, tree *MaildirTree) map[string]int {
	t.Helper()
	folders, skipped, err := tree.Folders(t.Context())
	if err != nil || len(skipped) > 0 {
		t.Fatal(err, skipped)
	}
	counts := make(map[string]int)
	for _, folder := range folders {
		f, err := tree.OpenFolder(folder.Path)
		if err != nil {
			t.Fatal(err)
		}
		l := list(t, f)
		for m := range l.Messages() {
			get(t, f, m.Key)
		}
		counts[strings.Join(folder.Levels, "|")] = l.Len()
		if len(l.Skipped) > 0 {
			t.Errorf("%s: skipped %v", folder.Path, l.Skipped)
		}
		f.Close()
	}
	return counts
}
