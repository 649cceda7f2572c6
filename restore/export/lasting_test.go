package export

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func lastingOf(t testing.TB, text string, piece func() int) string {
	t.Helper()
	var b bytes.Buffer
	l := (*mboxBox)(nil).Lasting(&b)
	for rest := text; rest != ""; {
		n := min(max(piece(), 1), len(rest))
		if _, err := io.WriteString(l, rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLastingIsWhatNobodyChanges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "",
		"x":                                "x",
		"Subject: a\n\nbody\n":             "Subject: a\n\nbody\n",
		"Status: RO\nSubject: a\n\nbody\n": "Subject: a\n\nbody\n",
		"Subject: a\r\nX-Keywords: b\r\n c\r\nTo: x\r\n\r\nbody":  "Subject: a\r\nTo: x\r\n\r\nbody",
		"Subject: a\nstatus : O\n\nStatus: RO\n":                  "Subject: a\n\nStatus: RO\n",
		"Subject: a\nX-Status:\n":                                 "Subject: a\n",
		"Statuses: a\nX-Mozilla-Status2: 0\n\n":                   "Statuses: a\n\n",
		"A: b\n\n>From here\n>>From there\n>Fromage\n> From x\n>": "A: b\n\nFrom here\nFrom there\n>Fromage\n> From x\n>",
		"A: b\n\nFrom here\nFrom":                                 "A: b\n\nFrom here\nFrom",
		"Status: " + strings.Repeat("x", 5000) + "\n y\nA: b\n\n": "A: b\n\n",
		strings.Repeat("y", 5000) + "\nStatus: x\n":               strings.Repeat("y", 5000) + "\n",
	} {
		for _, piece := range []int{1, 2, 7, 1 << 20} {
			if got := lastingOf(t, text, func() int { return piece }); got != want {
				t.Errorf("%.60q in pieces of %d: %.60q, want %.60q", text, piece, got, want)
			}
		}
	}
}

func FuzzLastingDoesNotDependOnPieces(f *testing.F) {
	f.Add("Status: RO\nSubject: a\n\n>From x\n", uint64(1))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		whole := lastingOf(t, text, func() int { return len(text) })
		if got := lastingOf(t, text, func() int { return r.IntN(9) }); got != whole {
			t.Errorf("%q, or in pieces %q", whole, got)
		}
		if lastingOf(t, whole, func() int { return len(whole) }) != whole && !strings.Contains(text, ">") && !strings.Contains(text, ":") {
			t.Errorf("%q is not what lasts", whole)
		}
	})
}

func TestMailProgramsMayUseAnMboxThatWasRestored(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	letters := someLetters("x", 40)
	letters = append(letters, letter{"Subject: quoted\r\n\r\nFrom here\r\n>From there\r\n", nil, letters[0].at})
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: letters})
	dir := t.TempDir()
	restoreTo(t, repo, tree, "mbox", dir)
	text := read(t, dir+"/INBOX")
	for name, c := range map[string]struct {
		change func(text string) string
		added  int64
	}{
		"all were read": {func(s string) string {
			return strings.ReplaceAll(s, "Subject: ", "Status: RO\nX-Keywords: a\nSubject: ")
		}, 0},
		"read, and the From_ lines are another program's": {func(s string) string {
			lines := strings.SplitAfter(s, "\n")
			for i := range lines {
				if strings.HasPrefix(lines[i], "From mboxrd.") {
					lines[i] = "From - Sat Jan  3 01:05:34 1998\nX-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\n"
				}
			}
			return strings.Join(lines, "")
		}, 0},
		"with CRLF": {func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }, 0},
		"some were deleted": {func(s string) string {
			return strings.Replace(s, "Subject: x 7\n", "X-Mozilla-Status: 0009\nSubject: x 7\n", 1)
		}, 1},
		"a text was changed":  {func(s string) string { return strings.Replace(s, "body 7\n", "body 8\n", 1) }, 1},
		"there is a copy":     {func(s string) string { return s + s[:strings.Index(s, "\n\nFrom ")+2] }, 0},
		"one is gone":         {func(s string) string { return s[strings.Index(s, "\n\nFrom ")+2:] }, 1},
		"it is an empty file": {func(string) string { return "" }, 41},
	} {
		there := t.TempDir()
		write(t, there+"/INBOX", c.change(text))
		if sum := restoreTo(t, repo, tree, "mbox", there).Totals(); sum.Appended != c.added || sum.Present != 41-c.added {
			t.Errorf("%s: %d were added, %d are present", name, sum.Appended, sum.Present)
		}
		if sum := restoreTo(t, repo, tree, "mbox", there).Totals(); sum.Appended != 0 {
			t.Errorf("%s, run again: %d were added", name, sum.Appended)
		}
	}
}

// An account's own mbox: some mail was deleted, all else was read meanwhile.
func TestDeletedMailGoesBackIntoALivingMbox(t *testing.T) {
	t.Parallel()
	var parts []string
	for i := range 60 {
		parts = append(parts, fmt.Sprintf("From x Sat Jan  3 01:05:34 1998\nFrom: me\nSubject: %d\nMessage-ID: <%d@x>\n\n>From the start\nbody %d\n\n", i, i, i))
	}
	dir := t.TempDir()
	write(t, dir+"/Inbox", strings.Join(parts, ""))
	repo := newRepository(t)
	before := back(t, repo, "alice", "mbox", dir)
	var rest []string
	for i, p := range parts {
		if i%6 != 0 {
			rest = append(rest, strings.Replace(p, "Subject", "Status: RO\nSubject", 1))
		}
	}
	write(t, dir+"/Inbox", strings.Join(rest, ""))
	report := restoreTo(t, repo, before, "mbox", dir)
	if sum := report.Totals(); sum.Appended != 10 || sum.Present != 50 {
		t.Errorf("%d were added, %d are present", sum.Appended, sum.Present)
	}
	after := viewOf(t, repo, back(t, repo, "bob", "mbox", dir), func(string) bool { return false })
	for i := range after["INBOX"] {
		after["INBOX"][i] = strings.Replace(after["INBOX"][i], `Status: RO\n`, "", 1)
	}
	want := viewOf(t, repo, before, func(string) bool { return false })
	if len(after["INBOX"]) != 60 {
		t.Fatalf("%d messages", len(after["INBOX"]))
	}
	for _, m := range want["INBOX"] {
		if strings.Count(strings.Join(after["INBOX"], "\n"), m) != 1 {
			t.Errorf("%s is not there once", m)
		}
	}
	if !strings.HasPrefix(read(t, dir+"/Inbox"), strings.Join(rest, "")) {
		t.Error("what was there has changed")
	}
}
