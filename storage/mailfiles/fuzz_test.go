package mailfiles

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzFromLine: what is taken for a From_ line has a sender that stands in it,
// and a line made of what was read is read the same.
func FuzzFromLine(f *testing.F) {
	for _, s := range []string{
		"From joe@example.org Mon Jan  5 08:50:15 2004", "From joe Mon Jan  5 08:50:15 2004 remote from uucp", "From x Thu Sep 13 12:30:05 2001 -0400", "From david@coppit.org Sat Sep  1 20:58 EDT 2001",
		"From joe@x Mon, 5 Jan 2004 08:50:15 +0100 (CET)", "From -", "From ", "From x Mon Feb 31 17:26:34 2004", "From VM Mon Mar  1 17:26:34 04", "From joe Mon Jan 5 08:50:15 2004 remote from uuMon",
		"From x Mon Jan 5 08:50 +9999 2004",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if !bytes.HasPrefix(line, []byte("From ")) || bytes.ContainsAny(line, "\n") {
			return
		}
		from, shape := parseFromLine(line, time.UTC)
		if shape == fromText {
			if from != (FromLine{}) {
				t.Errorf("text is %+v", from)
			}
			return
		}
		sender, date := from.Sender, from.Date
		if !bytes.HasPrefix(bytes.TrimLeft(line[len("From "):], " \t\v\f\r\u0085\u00a0"), []byte(sender)) && utf8.Valid(line) && sender != "" && !strings.ContainsFunc(string(line), func(r rune) bool { return r > 0x7f }) {
			t.Errorf("%q does not begin with its sender %q", line, sender)
		}
		if date.IsZero() {
			return
		}
		if date.Year() < 0 || date.Year() > 9999 {
			t.Errorf("%q is of %v", line, date)
		}
		again, shape := parseFromLine([]byte("From "+sender+" "+date.UTC().Format(time.ANSIC)), time.UTC)
		if y := date.UTC().Year(); shape != fromDated || again.Sender != strings.TrimSpace(sender) || !again.Date.Equal(date) && y > 99 && y < 10_000 {
			t.Errorf("%q is %+v, and written anew %+v", line, from, again)
		}
	})
}

// FuzzMark: what is taken for the mark of a message we wrote is written the same.
func FuzzMark(f *testing.F) {
	f.Add(mark{crlf: true, open: true, zone: time.FixedZone("", 3600), letters: "FS"}.sign([32]byte{1}).String())
	f.Add(mark{}.sign([32]byte{2}).String())
	f.Add("mboxrd.lf.whole.w9999.-.0" + markDomain)
	f.Add("mboxrd.lf.whole.é012.-.0" + markDomain)
	f.Fuzz(func(t *testing.T, sender string) {
		m, ok := parseMark(sender)
		if !ok {
			return
		}
		if m.String() != sender {
			t.Errorf("%q is written as %q", sender, m)
		}
		from := FromLine{Date: time.Date(2004, 1, 5, 8, 50, 15, 0, time.UTC)}
		m.setDate(&from)
		if from.Zoned == from.Date.IsZero() {
			t.Errorf("%q gives the date %v", sender, from)
		}
	})
}

// FuzzUTF7: what is read of modified UTF-7 is UTF-8, and written it reads the
// same; any text comes back.
func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"INBOX", "Entw&APw-rfe", "R&-D", "&2D3cSw-", "&AOk-&AOk-", "&", "&AA-", "日本語", "\xff", "a.b/c"} {
		f.Add(s)
	}
	never := func(int, rune) bool { return false }
	dots := func(_ int, c rune) bool { return c == '.' || c == '/' }
	f.Fuzz(func(t *testing.T, name string) {
		if text, ok := decodeUTF7(name); ok {
			if !utf8.ValidString(text) {
				t.Errorf("%q is %q", name, text)
			}
			for _, special := range []func(int, rune) bool{never, dots} {
				if again, ok := decodeUTF7(encodeUTF7(text, special)); !ok || again != text {
					t.Errorf("%q is %q, written as %q, and that is %q, %v", name, text, encodeUTF7(text, special), again, ok)
				}
			}
		}
		if utf8.ValidString(name) {
			if again, ok := decodeUTF7(encodeUTF7(name, never)); !ok || again != name {
				t.Errorf("%q comes back as %q, %v", name, again, ok)
			}
		}
		if len(name) < 200 {
			level, raw := decodeLevel(name)
			if !utf8.ValidString(level) || raw == utf8.ValidString(name) && name != "" && raw {
				t.Errorf("the level %q is %q, %v", name, level, raw)
			}
		}
	})
}

// FuzzHeaderFlags: whatever a header says of its message's flags, they are ones
// that can be written to local mail, once each.
func FuzzHeaderFlags(f *testing.F) {
	for _, s := range []string{
		"X-Mozilla-Status: 0013\nX-Mozilla-Status2: 02800000\n", "Status: RO\nX-Status: ADFT\nX-Keywords: a b NonJunk\nX-UID: 5\n", "X-Mozilla-Keys: $label1 a]b\n\nStatus: R\n",
		"X-IMAP: 123 4 a b\n", "X-Mozilla-Status: ffffffff\n", "Status:\r\n R\r\n", "X-Keywords: " + strings.Repeat("k ", 300) + "\n", "Content-Length: -1\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		flags, _ := HeaderFlags(header)
		_, _, lost := sortFlags(flags)
		if len(lost) > 0 {
			t.Errorf("%q gives %q, and %q cannot be written", header, flags, lost)
		}
		for i, flag := range flags {
			if slices.ContainsFunc(flags[:i], func(o string) bool { return strings.EqualFold(o, flag) }) {
				t.Errorf("%q gives %q twice", header, flag)
			}
		}
		if end := bytes.Index(header, []byte("\n\n")); end >= 0 {
			if more, _ := HeaderFlags(header[:end+1]); !slices.Equal(more, flags) {
				t.Errorf("the body is read: %q, without it %q", flags, more)
			}
		}
	})
}

// FuzzKeywordFile: Dovecot's table of keywords. Written as we do it reads the same.
func FuzzKeywordFile(f *testing.F) {
	for _, s := range []string{"0 Junk\n1 NonJunk\n", "25 z\n26 none\n-1 x\n", "0 a\n0 b\n", "x\n", "0\n", "0  a b\r\n"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	folder := &MaildirFolder{root: root}
	f.Fuzz(func(t *testing.T, text []byte) {
		read := func(text []byte) keywordTable {
			if err := os.WriteFile(filepath.Join(dir, keywordFile), text, 0o600); err != nil {
				t.Fatal(err)
			}
			table, err := folder.readKeywords()
			if err != nil {
				t.Fatal(err)
			}
			return table
		}
		table := read(text)
		if again := read(table.format()); again != table {
			t.Errorf("%q is %q, and written anew %q", text, table, again)
		}
		// What it names becomes a flag only where it can be one.
		for i := range 26 {
			flags, _ := flagsOf(string(rune('a'+i)), table)
			for _, flag := range flags {
				if !isKeyword(flag) && flagOfLetter(byte('a'+i)) == "" && table[i] != flag {
					t.Errorf("%q gives the flag %q", text, flag)
				}
			}
		}
	})
}

// FuzzSubscriptions: Dovecot's list of subscriptions, in both its forms. There is
// a name for each line, and what is subscribed to anew can be found in it.
func FuzzSubscriptions(f *testing.F) {
	for _, s := range []string{"INBOX\nSent\n", "V\t2\n\nINBOX\na\tb\n", "a/b\n", "V\t2\n\na\x01tb\tc\x010\n", "\n\n", "V\t2\nx\n", "..\n/\n", "\xff\n"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			f.Fatal(err)
		}
	}
	tree, err := OpenMaildirTree(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { tree.Close() })
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, subscriptionFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		names, err := tree.Subscriptions()
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, levels := range names {
			if len(levels) == 0 {
				t.Errorf("%q gives a name without levels", text)
			}
			for _, l := range levels {
				if total += len(l); !utf8.ValidString(l) {
					t.Errorf("%q gives the level %q", text, l)
				}
			}
		}
		if total > 3*len(text) {
			t.Errorf("%d octets give %d", len(text), total)
		}
		added := []string{"Archive", "2026"}
		if err := tree.Subscribe(t.Context(), [][]string{added}, MaildirPlusPlus); err != nil {
			t.Fatal(err)
		}
		after, err := tree.Subscriptions()
		if err != nil || !slices.ContainsFunc(after, func(l []string) bool { return slices.Equal(l, added) }) {
			t.Errorf("%q, and after %q was added %q, %v", text, added, after, err)
		}
		for _, before := range names {
			if !slices.ContainsFunc(after, func(l []string) bool { return slices.Equal(l, before) }) {
				t.Errorf("%q: %q is lost: %q", text, before, after)
			}
		}
	})
}

// FuzzRepair: whatever stands in the journal beside an mbox and behind its whole
// part, nothing is cut off but what begins as our messages do, or zeros.
func FuzzRepair(f *testing.F) {
	const theirs, ours = "From joe Mon Jan  5 08:50:15 2004\nSubject: x\n\ntext\n\n", "From mboxrd.lf.whole.nodate.-.0123456789abcdef@restante.invalid Thu Jan  1 00:00:00 1970\nSubject: y\n\nte"
	f.Add(journalHead+"52\n", theirs+ours)
	f.Add(journalHead+"0\n", theirs+ours)
	f.Add(journalHead+"52\n", theirs+ours+"\nFrom x Mon Jan  5 08:50:15 2004\n\n")
	f.Add(journalHead+"52", theirs+"\x00\x00\x00")
	f.Add(journalHead+"-1\n", theirs)
	f.Add(journalHead+"99999999999999999999\n", theirs)
	f.Add("", theirs)
	dir := f.TempDir()
	name := filepath.Join(dir, "mbox")
	f.Fuzz(func(t *testing.T, journal, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".mbox.restante-append"), []byte(journal), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := AppendMbox(t.Context(), name)
		if err != nil {
			return
		}
		repaired := a.Repaired
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(text, string(after)) {
			t.Fatalf("%q became %q, %v", text, after, err)
		}
		cut := text[len(after):]
		if begins := strings.TrimLeft(cut, "\r\n"); int64(len(cut)) != repaired || begins != "" && begins[0] != 0 && !strings.HasPrefix(begins, string(ourPrefix)) && !strings.HasPrefix(string(ourPrefix), begins) {
			t.Errorf("with the journal %q, %q was cut off %q (%d octets)", journal, cut, text, repaired)
		}
	})
}

// FuzzDotlock: a lock is of a process that is no more only where it says so, of
// this host.
func FuzzDotlock(f *testing.F) {
	host, _ := os.Hostname()
	for _, s := range []string{"1:" + host, "999999999:" + host, "999999999:elsewhere", "999999999", "-1:" + host, "0:" + host, ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if isOfTheDead(text) && (!strings.HasSuffix(strings.TrimSpace(text), ":"+host) || strings.HasPrefix(strings.TrimSpace(text), fmt.Sprint(os.Getpid(), ":"))) {
			t.Errorf("%q is of the dead", text)
		}
		if isOfTheDead("0:"+host) || isOfTheDead("-1:"+host) {
			t.Error("no process has such a number")
		}
	})
}
