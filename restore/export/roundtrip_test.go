package export

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"restante/storage"
)

// aMaildir makes a tree of both layouts with all that a Maildir can have.
func aMaildir(t testing.TB) string {
	t.Helper()
	root := maildir(t, t.TempDir())
	for i, path := range []string{"", ".Lists.go", ".Gr&APwA3w-e", `.a\2eb`, "nested/below", "Folder.sbd/of Birds", ".caf\xe9", ".empty"} {
		dir := maildir(t, filepath.Join(root, filepath.FromSlash(path)))
		write(t, dir+"/dovecot-keywords", "0 urgent\n1 $MDNSent\n")
		if path == ".empty" {
			continue
		}
		for j, m := range []struct{ name, text string }{
			{"cur/1000000001.a.host,S=20,W=21:2,FSab", "Subject: x\n\nlf\n"},
			{"new/1000000002.b.host", "Subject: dos\r\n\r\nunseen \x00\r\n"},
			{"cur/1000000003.c.host:2,", "no header, no line end"},
			{"cur/1000000004.d.host:2,DPRT", "Message-ID: <1@x>\r\nSubject: y\n\nmixed\r\n\rends\n\n\n"},
			{"cur/1000000005.e.host:2,", ""},
			{"cur/1000000006.f.host:2,S", "From me\nFrom: x\n\n>From here\nFrom there\n>>From where\n"},
			{"cur/1000000007.g.host:2,S", "Status: RO\nX-Mozilla-Status: 0001\nSubject: z\n\n" + strings.Repeat("long", 30_000) + "\n"},
			{"cur/1000000008.h.host:2,S", "Subject: twice\n\nthe same\n"},
			{"cur/1000000009.i.host:2,S", "Subject: twice\n\nthe same\n"},
		} {
			write(t, dir+"/"+m.name, m.text)
			at := time.Unix(int64(86_400+i*1_000_000+j*100_000_000), 0)
			if err := os.Chtimes(dir+"/"+m.name, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestMaildirToTheArchiveToFilesAndBack(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	first := back(t, repo, "alice", "maildir", aMaildir(t))
	for _, kind := range []string{"maildir", "mbox"} {
		keep := system
		if kind == "maildir" {
			keep = nil
		}
		dir := filepath.Join(t.TempDir(), "not", "there yet")
		report := restoreTo(t, repo, first, kind, dir)
		if sum := report.Totals(); sum.Appended != 7*9 || len(sum.Refused) > 0 {
			t.Fatalf("%s: %d appended, refused %v", kind, sum.Appended, sum.Refused)
		}
		if kind == "mbox" {
			// In an mbox, Status fields tell flags.
			if sum := report.Totals(); sum.Dropped["urgent"] != 7 || sum.Dropped["$MDNSent"] != 7 {
				t.Errorf("dropped %v", sum.Dropped)
			}
		}
		second := back(t, repo, kind, kind, dir)
		want, got := viewOf(t, repo, first, keep), viewOf(t, repo, second, keep)
		if kind == "mbox" {
			got["INBOX"] = append(got["INBOX"], []string(nil)...)
		}
		wantView(t, "back from "+kind, got, want)

		// And once more: export and import are the identity.
		for _, other := range []string{"maildir", "mbox"} {
			dir := t.TempDir()
			restoreTo(t, repo, second, other, dir)
			third := back(t, repo, kind+other, other, dir)
			wantView(t, kind+" by "+other, viewOf(t, repo, third, system), viewOf(t, repo, second, system))
		}
		// A restore that is run again adds nothing.
		if sum := restoreTo(t, repo, first, kind, dir).Totals(); sum.Appended != 0 || sum.Present != 7*9 {
			t.Errorf("%s: run again, %d appended, %d present", kind, sum.Appended, sum.Present)
		}
	}
}

// oddLetters are what servers deliver, and what has been lost on the way to
// files and back by one program or another.
func oddLetters() (list []letter) {
	date := time.Date(2024, 2, 29, 23, 59, 59, 0, time.FixedZone("", -7*3600))
	for i, octets := range []string{
		"", "\n", "\r\n", "\r", "x", "x\n", "x\r\n", "\x00", "\n\n\n", "\r\n\r\n\r\n",
		"Subject: a\r\n\r\nbody\r\n", "Subject: a\n\nbody\n", "Subject: a\r\n\r\nbody", "Subject: a\r\n\r\nbody\r", "Subject: a\r\n\r\nbody\n",
		"Subject: b\r\n\r\n", "Subject: b\r\n", "Subject: b",
		"From me@x Sat Jan  3 01:05:34 1998\nSubject: c\n\nFrom me@x Sat Jan  3 01:05:34 1998\nSubject: d\n\nFrom \n>From \n>>>From x",
		"Subject: e\r\n\r\nFrom me@x Sat Jan  3 01:05:34 1998\r\n\r\n>From\r\n> From\r\nFrom",
		"Content-Length: 3\r\n\r\nmore than three\r\n\r\nFrom x Sat Jan  3 01:05:34 1998\r\n\r\n",
		"Status: D\r\nX-Status: DT\r\nX-Mozilla-Status: 0009\r\nX-Keywords: evil\r\n\r\nexpunged?\r\n",
		"Subject: f\r\n\r\n" + strings.Repeat("0123456789abcdef", 10_000) + "\r\n.\r\n..\r\n",
		"Subject: g\r\n\r\n" + strings.Repeat("line\n", 500_000),
		strings.Repeat(">", 70_000) + "From x\n",
		"DON'T DELETE THIS MESSAGE", "From mboxrd.lf.whole.e0000.-.0123456789abcdef@restante.invalid Sat Jan  3 01:05:34 1998\n\nx\n",
		"\xef\xbb\xbfSubject: h\n\n", "Subject: \xff\xfe\r\n\r\n\x80\x81\r\n",
	} {
		flags := [][]string{nil, {`\Seen`}, {`\Flagged`, `\Draft`}, {`\Answered`, `\Deleted`, `\Seen`, "$Forwarded"}}[i%4]
		if strings.Contains(octets, "Status:") {
			flags = []string{`\Answered`, `\Deleted`, `\Draft`, `\Flagged`, `\Seen`, "$Forwarded"} // whatever a reader of the fields may add
		}
		list = append(list, letter{octets, flags, date.Add(time.Duration(i) * time.Hour)})
	}
	return list
}

func TestOddOctetsComeBackFromFiles(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	odd := oddLetters()
	odd = append(odd, odd[3:9]...) // twice the same
	first := archive(t, repo, folder{levels: []string{"INBOX"}, letters: odd}, folder{levels: []string{"Sent"}, letters: odd[:4]})
	for _, kind := range []string{"maildir", "mbox"} {
		dir := t.TempDir()
		restoreTo(t, repo, first, kind, dir)
		wantView(t, kind, viewOf(t, repo, back(t, repo, kind, kind, dir), system), viewOf(t, repo, first, system))
		if sum := restoreTo(t, repo, first, kind, dir).Totals(); sum.Appended != 0 {
			t.Errorf("%s: run again, %d were added", kind, sum.Appended)
		}
	}
}

func TestRestoreAddsWhatIsMissingAndNothingElse(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: append(someLetters("a", 200), someLetters("a", 20)...)}, folder{levels: []string{"Empty"}})
	want := viewOf(t, repo, tree, nil)
	for _, kind := range []string{"maildir", "mbox"} {
		dir := t.TempDir()
		restoreTo(t, repo, tree, kind, dir)
		// Somebody deletes some, and gets new mail.
		if kind == "maildir" {
			for i, name := range files(t, dir+"/cur") {
				if i%4 == 0 {
					os.Remove(dir + "/cur/" + name)
				}
			}
			write(t, dir+"/new/another", "Subject: another\r\n\r\n")
		} else {
			parts := strings.SplitAfter(read(t, dir+"/INBOX"), "\n\n")
			var kept []string
			for i := 0; i+1 < len(parts); i += 2 { // header and body
				if i/2%4 != 0 {
					kept = append(kept, parts[i], parts[i+1])
				}
			}
			write(t, dir+"/INBOX", strings.Join(kept, "")+"From x Sat Jan  3 01:05:34 1998\nSubject: another\n\n\n")
		}
		sum := restoreTo(t, repo, tree, kind, dir).Totals()
		if sum.Appended != 55 || sum.Present != 165 {
			t.Errorf("%s: %d appended, %d present", kind, sum.Appended, sum.Present)
		}
		got := viewOf(t, repo, back(t, repo, kind, kind, dir), nil)
		if len(got["INBOX"]) != 221 {
			t.Fatalf("%s: %d messages", kind, len(got["INBOX"]))
		}
		var rest []string
		for _, m := range got["INBOX"] {
			if !strings.Contains(m, "Subject: another") {
				rest = append(rest, m)
			}
		}
		got["INBOX"] = rest
		wantView(t, kind, got, want)
	}
}

func TestDatesThatFilesCannotHave(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: []letter{
		{"Subject: none\r\n\r\n", nil, time.Time{}},
		{"Subject: old\r\n\r\n", nil, time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"Subject: far\r\n\r\n", nil, time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)},
	}})
	for kind, want := range map[string]string{"maildir": "1901-12-13 2262-04-11", "mbox": "1800-01-01 2500-01-01"} {
		dir := t.TempDir()
		restoreTo(t, repo, tree, kind, dir)
		dates := map[string]time.Time{}
		for m, err := range back(t, repo, kind, kind, dir).Folders[0].All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			dates[m.Subject] = m.InternalDate.UTC()
		}
		if got := fmt.Sprint(dates["old"].Format(time.DateOnly), " ", dates["far"].Format(time.DateOnly)); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
		if none := dates["none"]; kind == "mbox" && !none.IsZero() || kind == "maildir" && time.Since(none).Abs() > time.Hour {
			t.Errorf("%s: a message without a date has %v", kind, none)
		}
	}
}

func TestArchiveOfFilesIsTheSameFromEitherFormat(t *testing.T) {
	t.Parallel()
	// An mbox that others wrote, to a Maildir, and the octets are the same.
	dir := t.TempDir()
	write(t, dir+"/a", "From x Sat Jan  3 01:05:34 1998\nSubject: 1\n\n>From here\n\nFrom y Sun Jan  4 01:05:34 1998\nStatus: RO\nSubject: 2\n\nno end")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir+"/a", old, old); err != nil {
		t.Fatal(err)
	}
	repo := newRepository(t)
	first := back(t, repo, "alice", "mbox", dir)
	to := t.TempDir()
	restoreTo(t, repo, first, "maildir", to)
	second := viewOf(t, repo, back(t, repo, "bob", "maildir", to), nil)
	delete(second, "INBOX") // every Maildir has one
	wantView(t, "in a Maildir", second, viewOf(t, repo, first, nil))
	var tree *storage.Tree = first
	if tree.Kind != "mbox" {
		t.Errorf("a snapshot of %q", tree.Kind)
	}
}
