package restore

import (
	"strings"
	"testing"

	"restante/storage"
)

// FuzzJournal: a line of a journal is believed only as it was written.
func FuzzJournal(f *testing.F) {
	k := Known{storage.BlobID{1, 2}, [4]byte{3}}
	f.Add(journalLine(7, "123", k), uint32(7))
	f.Add(journalLine(7, "1 2", k), uint32(7))
	f.Add(journalLine(7, "a", k)[5:], uint32(7))
	f.Add(strings.ToUpper(journalLine(7, "", k)), uint32(7))
	f.Add(markLine(7, "began", "X"), uint32(7))
	f.Add(markLine(7, "ended", "X Y"), uint32(7))
	f.Fuzz(func(t *testing.T, line string, epoch uint32) {
		if run, mark := parseMark(line, epoch); mark != "" {
			if _, again := parseMark(line, epoch+1); again != "" || markLine(epoch, mark, run) != line {
				t.Errorf("%q is %q of %q", line, mark, run)
			}
		}
		id, k, ok := parseJournal(line, epoch)
		if !ok {
			return
		}
		if journalLine(epoch, id, k) != line || strings.Contains(id, " ") {
			t.Errorf("%q is %q, %+v", line, id, k)
		}
		if _, _, ok := parseJournal(line, epoch+1); ok {
			t.Errorf("%q is of epoch %d, too", line, epoch+1)
		}
	})
}

// FuzzReference: a reference names what it was made of.
func FuzzReference(f *testing.F) {
	for _, s := range []string{"INBOX#123", "a#b#1", "#1", "INBOX", "INBOX#0", "x#4294967296", "x#+1", "x#\x1b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, r string) {
		folder, uid, err := ParseReference(r)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\n\u009b") {
				t.Errorf("shown as %q", err)
			}
			return
		}
		again, sameUID, err := ParseReference(Reference(folder, uid))
		if uid == 0 || err != nil || again != folder || sameUID != uid {
			t.Errorf("%q is %q, %d, and written anew %q, %d, %v", r, folder, uid, again, sameUID, err)
		}
	})
}

// FuzzMatchFolder: a pattern without wildcards means a folder of that name, and
// "**" means all.
func FuzzMatchFolder(f *testing.F) {
	for _, s := range [][2]string{{"Lists/**", "Lists/a/b"}, {"*", "INBOX"}, {"inbox", "INBOX"}, {"[a", "[a"}, {"**/x", "x"}, {"\\", "\\"}, {strings.Repeat("*a", 30), strings.Repeat("a", 60) + "b"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		MatchFolder(pattern, name)
		if !strings.ContainsAny(name, `*?[]{}\`) && name != "" && !MatchFolder(name, name) {
			t.Errorf("%q does not mean itself", name)
		}
		if !MatchFolder("**", name) {
			t.Errorf("** does not mean %q", name)
		}
	})
}
