package delivery

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"restante/restore"
	"restante/storage"
)

// summed puts the right sum behind each line.
func summed(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		line = strings.TrimSuffix(line, "\n")
		fmt.Fprintf(&b, "%s %08x\n", line, crc32.ChecksumIEEE([]byte(line)))
	}
	return b.String()
}

// FuzzJournal: whatever stands in a journal, with the right sums, it is read, takes
// memory as the file does, and what is added is there when it is read again.
func FuzzJournal(f *testing.F) {
	const known = "01020000000000000000000000000000 03000000"
	for _, s := range []string{
		"sending 0 " + known + " alice%40example.org\naccepted 0 " + known + " alice%40example.org\n", "refused 1 " + known + " a\nforgotten 0 " + known + " -\n",
		"forgotten 0 " + known + " -\nsending 0 " + known + " a\n", "sending -1 " + known + " a\n", "sending 99999999999 " + known + " a\n", "sending 1 " + known + " %zz\n", "x\n", "other 0 " + known + " a\n",
	} {
		f.Add(s)
	}
	dir := f.TempDir()
	k := restore.Known{Recipe: storage.BlobID{1, 2}, MessageID: [4]byte{3}}
	f.Fuzz(func(t *testing.T, lines string) {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			os.Remove(name)
		}
		open := func() *journal {
			j, err := openJournal(dir, "lmtp://host", "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			return j
		}
		j := open()
		if _, err := j.file.WriteString(summed(lines)); err != nil {
			t.Fatal(err)
		}
		j.close()
		j = open()
		if len(j.copies) > len(summed(lines)) {
			t.Errorf("%d copies of %q", len(j.copies), lines)
		}
		for c := range j.all {
			if j.copies[c.id] != c {
				t.Errorf("copy %d stands in another place", c.id)
			}
		}
		to := []string{"bob@example.org"}
		c := j.next(k, to)
		if err := j.add(accepted, c, false, to...); err != nil {
			t.Fatal(err)
		}
		j.close()
		j = open()
		defer j.close()
		found := false
		for again := range j.all {
			found = found || again.id == c.id && again.known.Recipe == k.Recipe && again.has(accepted, to, true)
		}
		if !found {
			t.Errorf("after %q what was added is not there", lines)
		}
	})
}
