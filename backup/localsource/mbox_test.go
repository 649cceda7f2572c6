package localsource

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/backup"
	"restante/storage"
)

const fromLine = "From joe@example.org Sat Jan  3 01:05:34 1998 +0100\n"

// mbox makes the text of an mbox file.
func mbox(messages ...string) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString(fromLine + m + "\n")
	}
	return b.String()
}

// withStatus puts fields at a message's beginning.
func withStatus(fields, m string) string { return fields + m }

func TestMboxesAreBackedUpAsTheyAre(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dos := "Subject: dos\r\n\r\nthe text\r\n"
	write(t, root+"/Inbox", mbox(letter(0), withStatus("Status: RO\nX-Status: AF\nX-Keywords: urgent\n", letter(1))))
	write(t, root+"/Inbox.sbd/Lists", mbox(letter(2)))
	write(t, root+"/Inbox.msf", "<!-- an index -->")
	write(t, root+"/Sent", mbox(letter(3)))
	write(t, root+"/Empty", "")
	write(t, root+"/Dos", strings.ReplaceAll(fromLine, "\n", "\r\n")+dos+"\r\n")
	write(t, root+"/deep/er/Old.mbox", mbox("no header\n>From quoted\n"))
	repo := newRepository(t)
	result, v := runDir(t, repo, "mbox", root)
	wantStats(t, result, 6, 0, 0)
	wantEqual(t, "folders", v.folders(), []string{"Dos", "Empty", "INBOX", "INBOX/Lists", "Sent", "deep/er/Old"})
	date := time.Date(1998, 1, 3, 0, 5, 34, 0, time.UTC).Unix()
	for folder, want := range map[string][]seen{
		"INBOX":       {{1, letter(0), "", date, storage.BlobID{}}, {2, withStatus("Status: RO\nX-Status: AF\nX-Keywords: urgent\n", letter(1)), `\Answered \Flagged \Seen urgent`, date, storage.BlobID{}}},
		"INBOX/Lists": {{1, letter(2), "", date, storage.BlobID{}}},
		"Dos":         {{1, dos, "", date, storage.BlobID{}}},
		"deep/er/Old": {{1, "no header\n>From quoted\n", "", date, storage.BlobID{}}},
	} {
		for i := range v[folder] {
			v[folder][i].recipe = storage.BlobID{}
		}
		wantEqual(t, folder, v[folder], want)
	}
	if notes := strings.Join(result.Snapshot.Notes, "\n"); !strings.Contains(notes, `1 new messages have lines that begin with ">From "`) {
		t.Errorf("it does not say what it cannot undo: %q", notes)
	}
	again, _ := runDir(t, repo, "mbox", root)
	wantStats(t, again, 0, 0, 0)
	if again.Snapshot.Root != result.Snapshot.Root || again.Snapshot.Stats.Stored != 0 || len(again.Snapshot.Notes) > 0 {
		t.Errorf("a second run stored %d octets, and notes %q", again.Snapshot.Stats.Stored, again.Snapshot.Notes)
	}
}

func TestFromLinesWithoutAZoneAreInLocalTime(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root+"/a", strings.Replace(mbox(letter(0)), " +0100", "", 1))
	_, v := runDir(t, newRepository(t), "mbox", root)
	if want := time.Date(1998, 1, 3, 1, 5, 34, 0, time.Local).Unix(); v["a"][0].date != want {
		t.Errorf("%d, want %d", v["a"][0].date, want)
	}
}

func TestSingleMboxFileIsOneFolder(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]string{"mbox": "INBOX", "old.mbox": "old"} {
		file := filepath.Join(t.TempDir(), name)
		write(t, file, mbox(letter(0), letter(1)))
		repo := newRepository(t)
		result, v := runDir(t, repo, "mbox", file)
		wantStats(t, result, 2, 0, 0)
		wantEqual(t, name, v.octets(folder), letters(0, 2))
		write(t, file, mbox(letter(1), letter(2)))
		result, _ = runDir(t, repo, "mbox", file)
		wantStats(t, result, 1, 1, 0)
	}
}

func TestMboxChangesFromRunToRun(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := root + "/a"
	read := func(n int) string { return withStatus("Status: RO\n", letter(n)) }
	quoted := "Subject: x\n\n>From here\n"
	repo := newRepository(t)
	for _, c := range []struct {
		name                 string
		messages             []string
		added, gone, flagged int64
		uids                 []uint32
		octets               []string // of the snapshot, where not as in the file
	}{
		{"the first time", letters(0, 5), 5, 0, 0, []uint32{1, 2, 3, 4, 5}, nil},
		{"nothing", letters(0, 5), 0, 0, 0, []uint32{1, 2, 3, 4, 5}, nil},
		{"appended", letters(0, 7), 2, 0, 0, []uint32{1, 2, 3, 4, 5, 6, 7}, nil},
		{"read", []string{letter(0), read(1), letter(2), read(3), letter(4), letter(5), letter(6)}, 0, 0, 2, []uint32{1, 2, 3, 4, 5, 6, 7}, letters(0, 7)},
		{"compacted", []string{letter(0), read(1), read(3), letter(4), letter(5), letter(6)}, 0, 1, 0, []uint32{1, 2, 4, 5, 6, 7}, slices.Delete(letters(0, 7), 2, 3)},
		{"compacted and appended", []string{read(1), read(3), letter(4), letter(5), letter(6), letter(7)}, 1, 1, 0, []uint32{2, 4, 5, 6, 7, 8}, []string{letter(1), letter(3), letter(4), letter(5), letter(6), letter(7)}},
		{"sorted, and all read", []string{read(7), read(6), read(5), read(4), read(3), read(1)}, 0, 0, 4, []uint32{2, 4, 5, 6, 7, 8}, []string{letter(1), letter(3), letter(4), letter(5), letter(6), letter(7)}},
		{"all other mail", []string{letter(8), quoted}, 2, 6, 0, []uint32{9, 10}, nil},
		{"copies", []string{letter(8), quoted, letter(8), letter(8)}, 2, 0, 0, []uint32{9, 10, 11, 12}, nil},
		{"one copy is read", []string{letter(8), quoted, read(8), letter(8)}, 0, 0, 1, []uint32{9, 10, 11, 12}, []string{letter(8), quoted, letter(8), letter(8)}},
		{"one copy less", []string{quoted, letter(8), letter(8)}, 0, 1, 1, []uint32{9, 10, 11}, []string{letter(8), quoted, letter(8)}},
		{"all gone", nil, 0, 3, 0, nil, nil},
		{"all back", letters(0, 5), 5, 0, 0, []uint32{13, 14, 15, 16, 17}, nil},
	} {
		write(t, file, mbox(c.messages...))
		age(t, file, time.Unix(1_000_000_000, 0)) // whatever its time is
		result, v := runDir(t, repo, "mbox", root)
		t.Log(c.name)
		wantStats(t, result, c.added, c.gone, c.flagged)
		wantEqual(t, "UIDs", v.uids("a"), c.uids)
		if c.octets == nil {
			c.octets = c.messages
		}
		wantEqual(t, "octets", v.octets("a"), c.octets)
		if t.Failed() {
			return
		}
	}
}

func TestHalfAMessageAtTheEndIsLeftToTheNextRun(t *testing.T) {
	t.Parallel()
	whole := mbox(letters(0, 4)...)
	for _, c := range []struct {
		name string
		text string
		age  time.Duration
		take bool
	}{
		{"a mail program is appending", whole[:len(whole)-10], 0, false},
		{"a mail program is appending, with a clock that is ahead", whole[:len(whole)-10], -time.Minute, false},
		{"a mail program is writing the file anew", mbox(letters(0, 2)...) + (fromLine + letter(2))[:100], 0, false},
		{"it has been so for long", whole[:len(whole)-10], 3 * time.Minute, true},
		{"it has been so for long by a clock that was wrong", whole[:len(whole)-10], -time.Hour, true},
	} {
		root := t.TempDir()
		file := root + "/a"
		write(t, file, mbox(letters(0, 3)...))
		repo := newRepository(t)
		runDir(t, repo, "mbox", root)
		write(t, file, c.text)
		age(t, file, time.Now().Add(-c.age))
		result, v := runDir(t, repo, "mbox", root)
		if c.take {
			wantStats(t, result, 1, 0, 0)
			continue
		}
		wantEqual(t, c.name, v.octets("a"), letters(0, 3))
		if !result.Snapshot.Marks.Has(storage.Incomplete) || !strings.Contains(strings.Join(result.Snapshot.Notes, "\n"), "not all there") {
			t.Errorf("%s: marked %q, notes %q", c.name, result.Snapshot.Marks, result.Snapshot.Notes)
		}
		write(t, file, whole)
		result, v = runDir(t, repo, "mbox", root)
		wantStats(t, result, 1, 0, 0)
		wantEqual(t, c.name+", later", v.octets("a"), letters(0, 4))
	}
}

func TestMboxThatChangesBetweenListingAndReading(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(file string)
		want   []string
		whole  bool
	}{
		{"appended", func(file string) { write(t, file, mbox(letters(0, 12)...)) }, letters(0, 10), true},
		{"compacted in place", func(file string) { write(t, file, mbox(slices.Delete(letters(0, 10), 2, 4)...)) }, slices.Delete(letters(0, 10), 2, 4), true},
		{"compacted, and another file put in its place", func(file string) {
			write(t, file+".tmp", mbox(slices.Delete(letters(0, 10), 2, 4)...))
			rename(t, file+".tmp", file)
		}, letters(0, 10), true}, // the old file is still open
		{"read by a mail program, in place", func(file string) {
			var all []string
			for _, m := range letters(0, 10) {
				all = append(all, withStatus("Status: RO\n", m))
			}
			write(t, file, mbox(all...))
		}, nil, true},
		{"emptied", func(file string) { write(t, file, "") }, nil, true},
		{"emptied and filled again", func(file string) { write(t, file, mbox(letters(5, 30)...)) }, letters(5, 10), true},
		{"sorted in place", func(file string) {
			all := letters(0, 10)
			slices.Reverse(all)
			write(t, file, mbox(all...))
		}, letters(0, 10), true},
	} {
		for _, kept := range []bool{true, false} {
			root := t.TempDir()
			file := root + "/a"
			write(t, file, mbox(letters(0, 10)...))
			src := open(t, "mbox", root)
			repo := newRepository(t)
			result, v := run(t, repo, &interrupted{Source: src, do: func() {
				if !kept {
					f := src.(*source).begun["a"].(*mboxFolder)
					f.mu.Lock()
					clear(f.kept)
					f.mu.Unlock()
				}
				c.change(file)
			}})
			got := v.octets("a")
			if c.name == "read by a mail program, in place" {
				for i := range got {
					got[i] = strings.TrimPrefix(got[i], "Status: RO\n")
				}
				c.want = letters(0, 10)
			}
			wantEqual(t, c.name, got, c.want)
			if len(result.Missing) > 0 || result.Snapshot.Marks.Has(storage.Incomplete) == c.whole {
				t.Errorf("%s: missing %v, marked %q, %q", c.name, result.Missing, result.Snapshot.Marks, result.Snapshot.Notes)
			}
			// The next run sees what is there by then.
			_, v = run(t, repo, src)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), "\nSubject: letter") + strings.Count(string(text[:min(1, len(text))]), "S"); len(v["a"]) != n {
				t.Errorf("%s: the next run has %d messages, the file %d", c.name, len(v["a"]), n)
			}
			src.Close()
		}
	}
}

func TestMboxThatNeverHoldsStillLosesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root+"/a", mbox(letters(0, 10)...))
	repo := newRepository(t)
	runDir(t, repo, "mbox", root)
	write(t, root+"/a", mbox(letters(4, 12)...))
	src := open(t, "mbox", root)
	n := 12
	src.(*source).tree.(*mboxTree).reading = func() {
		n++
		write(t, root+"/a", mbox(letters(4, n)...))
	}
	result, v := run(t, repo, src)
	if !result.Snapshot.Marks.Has(storage.Incomplete) || len(v["a"]) < 12 || v["a"][0].octets != letter(0) {
		t.Errorf("marked %q, %d messages", result.Snapshot.Marks, len(v["a"]))
	}
	for _, m := range v["a"] {
		if m.octets == letter(n-2) {
			t.Error("the last message of a file that was being written was read")
		}
	}
	result, v = runDir(t, repo, "mbox", root)
	wantEqual(t, "when it holds still", v.octets("a"), letters(4, n))
	if result.Snapshot.Marks.Has(storage.Incomplete) {
		t.Errorf("marked %q", result.Snapshot.Marks)
	}
}

// A mail program writes a file anew, and stops in the middle of it, as a slow
// disk makes it: the file holds still, and half of it is not there.
func TestMboxThatIsHalfWrittenUnderALockLosesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root+"/a", mbox(letters(0, 10)...))
	repo := newRepository(t)
	runDir(t, repo, "mbox", root)
	write(t, root+"/a.lock", "4711")
	write(t, root+"/a", mbox(letters(0, 3)...))
	result, v := runDir(t, repo, "mbox", root)
	if !result.Snapshot.Marks.Has(storage.Incomplete) || result.Snapshot.Stats.Gone != 0 {
		t.Errorf("marked %q, %d gone", result.Snapshot.Marks, result.Snapshot.Stats.Gone)
	}
	wantEqual(t, "while it is locked", v.octets("a"), letters(0, 10))
	write(t, root+"/a", mbox(letters(0, 11)...))
	remove(t, root+"/a.lock")
	result, v = runDir(t, repo, "mbox", root)
	wantEqual(t, "when it is written", v.octets("a"), letters(0, 11))
	wantStats(t, result, 1, 0, 0)
}

func TestWhatIsNoMailInAnMboxIsLeftOut(t *testing.T) {
	t.Parallel()
	pseudo := "Date: 5 Sep 2000 10:36:07 -0700\nFrom: Mail System Internal Data <MAILER-DAEMON@h>\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nMessage-ID: <968175367@h>\nX-IMAP: 0968175367 0000000001\nStatus: RO\n\n" +
		"This text is part of the internal format of your mail folder, and is not\na real message.  It is created automatically by the mail system software.\nIf deleted, important folder data will be lost, and it will be re-created\nwith the data reset to initial values.\n"
	daemon := strings.Replace(fromLine, "joe@example.org", "MAILER-DAEMON", 1)
	expunged := "X-Mozilla-Status: 0009\nX-Mozilla-Status2: 00000000\n" + letter(1)
	for _, c := range []struct {
		name  string
		first string
		mail  bool
	}{
		{"c-client's", pseudo, false},
		{"with CRLF", strings.ReplaceAll(pseudo, "\n", "\r\n"), false},
		{"that has come a long way", "Received: from evil\n" + pseudo, true},
		{"that is to somebody", "To: alice@example.org\n" + pseudo, true},
		{"with another text", strings.Replace(pseudo, "This text", "This letter", 1), true},
		{"with much text", pseudo + strings.Repeat("secret plans\n", 1000), true},
	} {
		root := t.TempDir()
		write(t, root+"/a", daemon+c.first+"\n"+mbox(letter(0), expunged, letter(2)))
		repo := newRepository(t)
		result, v := runDir(t, repo, "mbox", root)
		want := []string{letter(0), letter(2)}
		if c.mail {
			want = append([]string{c.first}, want...)
		}
		wantStats(t, result, int64(len(want)), 0, 0)
		wantEqual(t, c.name, v.octets("a"), want)
		// What its owner deletes goes, whenever the file is compacted.
		write(t, root+"/a", daemon+c.first+"\n"+mbox(letter(0), letter(2)))
		again, _ := runDir(t, repo, "mbox", root)
		wantStats(t, again, 0, 0, 0)
	}
}

func TestSenderCannotDeleteHisMailFromTheArchive(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root+"/a", mbox("Received: from evil\nX-Mozilla-Status: 0009\n"+letter(0)))
	_, v := runDir(t, newRepository(t), "mbox", root)
	if len(v["a"]) != 1 {
		t.Error("it is not there")
	}
}

func TestLargeMboxIsReadByAll(t *testing.T) {
	t.Parallel()
	const n = 3*keepNew + 5
	root := t.TempDir()
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("Subject: %d\n\n%s\n", i, strings.Repeat("x", i%300))
	}
	write(t, root+"/a", mbox(all...))
	repo := newRepository(t)
	result, v := runDir(t, repo, "mbox", root)
	wantStats(t, result, n, 0, 0)
	wantEqual(t, "octets", v.octets("a"), all)
	// Sorted the other way round and read again, all UIDs are elsewhere.
	back := slices.Clone(all)
	slices.Reverse(back)
	write(t, root+"/a", mbox(back...))
	o := options(t, repo)
	o.Full = true
	result, err := backup.Run(t.Context(), repo, open(t, "mbox", root), o)
	if err != nil {
		t.Fatal(err)
	}
	v = viewOf(t, repo, result.Snapshot)
	wantEqual(t, "octets when read again", v.octets("a"), all)
	if result.Snapshot.Stats.New != n {
		t.Errorf("%d messages were read", result.Snapshot.Stats.New)
	}
}

func TestLargeMessagesAreReadWhole(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"maildir", "mbox"} {
		root := maildir(t, t.TempDir())
		var all []string
		for i, size := range []int{0, 64<<10 - 1, 64 << 10, 64<<10 + 1, inMemory - 1, inMemory, inMemory + 1, 3*inMemory + 7, 10} {
			text := fmt.Appendf(nil, "Subject: %d\n\n", i)
			for len(text) < size-1 {
				text = fmt.Appendf(text, "%x\n", sha256.Sum256(text[max(0, len(text)-40):]))
			}
			text = append(text[:max(min(size-1, len(text)), 10)], '\n')
			all = append(all, string(text))
			if kind == "maildir" {
				write(t, fmt.Sprintf("%s/cur/%d", root, i), string(text))
			}
		}
		if kind == "mbox" {
			remove(t, root+"/cur")
			write(t, root+"/INBOX", mbox(all...))
		}
		_, v := runDir(t, newRepository(t), kind, root)
		got := v.octets("INBOX")
		if len(got) != len(all) {
			t.Fatalf("%s: %d messages, want %d", kind, len(got), len(all))
		}
		for i := range all {
			if got[i] != all[i] {
				t.Errorf("%s: message %d has %d octets, or others, want %d", kind, i, len(got[i]), len(all[i]))
			}
		}
	}
}

func TestMboxThatWasDamagedIsToldOf(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root+"/a", mbox(letters(0, 3)...))
	write(t, root+"/b", mbox(letters(3, 5)...))
	repo := newRepository(t)
	runDir(t, repo, "mbox", root)
	write(t, root+"/a", string(make([]byte, 1000))) // what a crash leaves
	result, _ := runDir(t, repo, "mbox", root)
	if notes := strings.Join(result.Snapshot.Notes, "\n"); !result.Snapshot.Marks.Has(storage.Anomalous) || !strings.Contains(notes, "a (not an mbox file)") {
		t.Errorf("marked %q, notes %q", result.Snapshot.Marks, notes)
	}
}

func TestUnreadableMboxIsNotGone(t *testing.T) {
	t.Parallel()
	needsOthers(t)
	root := t.TempDir()
	write(t, root+"/a", mbox(letters(0, 3)...))
	write(t, root+"/Lists.sbd/b", mbox(letters(3, 5)...))
	repo := newRepository(t)
	runDir(t, repo, "mbox", root)
	for _, hidden := range []string{"/a", "/Lists.sbd", "/Lists.sbd/b"} {
		chmod(t, root+hidden, 0)
		result, v := runDir(t, repo, "mbox", root)
		if m := result.Snapshot.Marks; !m.Has(storage.Incomplete) || m.Has(storage.Anomalous) || len(v["a"]) != 3 || len(v["Lists/b"]) != 2 {
			t.Errorf("%s: marked %q, %v, notes %q", hidden, m, v.folders(), result.Snapshot.Notes)
		}
		chmod(t, root+hidden, 0o700)
	}
}

// The census of a million messages must be small; so flags are shared.
func TestFlagsAreTheMessages(t *testing.T) {
	t.Parallel()
	c := newCounter()
	want := map[uint32]string{}
	for uid := uint32(1000); uid > 0; uid-- {
		flags := [][]string{nil, {`\Seen`}, {`\Seen`, "a"}, {"a"}, {`\Seen`}}[uid%5]
		c.add(uid, uid, flags)
		want[uid] = flagText(flags)
	}
	census := c.finish(1001)
	last := uint32(0)
	err := census.Flags(context.Background(), 0, func(uid uint32, flags []string) {
		if flagText(flags) != want[uid] || uid != last+1 {
			t.Errorf("UID %d: %q, want %q", uid, flags, want[uid])
		}
		last = uid
	})
	if err != nil || last != 1000 || len(census.sets) != 4 {
		t.Errorf("%v, %d messages, %d sets of flags", err, last, len(census.sets))
	}
}

func TestErrorsAreWhatTheBackupTakesThemFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ err, as error }{
		{os.ErrNotExist, backup.ErrGone}, {os.ErrPermission, backup.ErrAccess}, {errors.New("input/output error"), backup.ErrRefused},
	} {
		if got := ofFolder(fmt.Errorf("opening: %w", c.err)); !errors.Is(got, c.as) || !errors.Is(got, c.err) || strings.Contains(got.Error(), "server") {
			t.Errorf("%v became %v", c.err, got)
		}
	}
	local := &backup.LocalError{Err: os.ErrPermission}
	for _, err := range []error{context.Canceled, local} {
		if got := ofFolder(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestSpoolReadsOneAfterAnother(t *testing.T) {
	t.Parallel()
	var s spool
	defer s.drop()
	for _, size := range []int{0, 1, 64 << 10, inMemory, inMemory + 1, 5, 2 * inMemory, 100} {
		want := bytes.Repeat([]byte("0123456789\n"), size/11+1)[:size]
		r, n, err := s.read(bytes.NewReader(want))
		got := make([]byte, n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.ReadAt(got, 0); n > 0 && err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets: %v, %d read", size, err, n)
		}
	}
}
