package localsource

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"restante/backup"
	"restante/storage"
)

// maildir makes a directory with cur, new and tmp.
func maildir(t testing.TB, dir string) string {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMaildirIsBackedUpAsItIs(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	for path, want := range map[string]string{
		"":                    "INBOX",
		".Lists.go":           "Lists/go",
		".Gr&APwA3w-e":        "Grüße",
		`.a\2eb`:              "a.b",
		"nested/below":        "nested/below",
		"Folder.sbd/of Birds": "Folder/of Birds",
		".caf\xe9":            "caf%E9",
	} {
		dir := maildir(t, filepath.Join(root, filepath.FromSlash(path)))
		write(t, dir+"/dovecot-keywords", "0 $Forwarded\n1 urgent\n")
		write(t, dir+"/cur/1000000001.a.host,S=20,W=21:2,FSab", "Subject: "+want+"\n\n\n")
		write(t, dir+"/new/1000000002.b.host", "Subject: dos\r\n\r\nunseen \x00\r\n")
		write(t, dir+"/cur/1000000003.c.host:2,", "no header, no line end")
		write(t, dir+"/tmp/1000000004.d.host", "half a mess")
		age(t, dir+"/cur/1000000001.a.host,S=20,W=21:2,FSab", time.Unix(1_234_567_890, 5))
		age(t, dir+"/new/1000000002.b.host", time.Unix(86_400, 0))
		age(t, dir+"/cur/1000000003.c.host:2,", time.Unix(4_102_444_800, 0))
	}
	repo := newRepository(t)
	result, v := runDir(t, repo, "maildir", root)
	wantStats(t, result, 21, 0, 0)
	if tree, _ := repo.OpenSnapshot(t.Context(), result.Snapshot); tree.Kind != "maildir" {
		t.Errorf("the snapshot is of a %q", tree.Kind)
	}
	wantEqual(t, "folders", v.folders(), []string{"Folder/of Birds", "Grüße", "INBOX", "Lists/go", "a.b", "caf%E9", "nested/below"})
	for name, list := range v {
		if len(list) != 3 {
			t.Fatalf("%q has %d messages", name, len(list))
		}
		for i, want := range []seen{
			{1, "Subject: " + name + "\n\n\n", `$Forwarded \Flagged \Seen urgent`, 1_234_567_890, list[0].recipe},
			{2, "Subject: dos\r\n\r\nunseen \x00\r\n", "", 86_400, list[1].recipe},
			{3, "no header, no line end", "", 4_102_444_800, list[2].recipe},
		} {
			if list[i] != want {
				t.Errorf("%q: %+v, want %+v", name, list[i], want)
			}
		}
	}
	again, _ := runDir(t, repo, "maildir", root)
	wantStats(t, again, 0, 0, 0)
	if again.Snapshot.Root != result.Snapshot.Root || again.Snapshot.Stats.Stored != 0 {
		t.Errorf("a second run stored %d octets", again.Snapshot.Stats.Stored)
	}
}

func TestMaildirMessagesAreNumberedInOrderOfArrival(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	for i, name := range []string{
		"999999999.M1P1.host:2,S", // in the year 2001, when seconds got a tenth digit
		"1000000000.M9P7Q9.host:2,",
		"1000000000.M9P7Q10.host:2,",
		"1000000000.M100P7Q11.host:2,",
		"1000000001.9_1.host:2,",
	} {
		write(t, filepath.Join(root, "cur", name), letter(i))
	}
	_, v := runDir(t, newRepository(t), "maildir", root)
	wantEqual(t, "order", v.octets("INBOX"), letters(0, 5))
}

func TestMaildirChangesFromRunToRun(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	trash := maildir(t, filepath.Join(root, ".Trash"))
	for i := range 6 {
		write(t, filepath.Join(root, "cur", string(rune('a'+i))+".host:2,S"), letter(i))
	}
	write(t, filepath.Join(root, "new/x.host"), letter(6))
	repo := newRepository(t)
	_, before := runDir(t, repo, "maildir", root)
	for _, c := range []struct {
		name                 string
		do                   func()
		added, gone, flagged int64
		inbox, trash         []uint32
	}{
		{"nothing", func() {}, 0, 0, 0, []uint32{1, 2, 3, 4, 5, 6, 7}, nil},
		{"new mail", func() { write(t, root+"/new/y.host", letter(7)) }, 1, 0, 0, []uint32{1, 2, 3, 4, 5, 6, 7, 8}, nil},
		{"seen by a mail program", func() { rename(t, root+"/new/x.host", root+"/cur/x.host:2,") }, 0, 0, 0, []uint32{1, 2, 3, 4, 5, 6, 7, 8}, nil},
		{"read", func() { rename(t, root+"/new/y.host", root+"/cur/y.host:2,S") }, 0, 0, 1, []uint32{1, 2, 3, 4, 5, 6, 7, 8}, nil},
		{"flagged and marked as unread", func() {
			rename(t, root+"/cur/a.host:2,S", root+"/cur/a.host:2,")
			rename(t, root+"/cur/b.host:2,S", root+"/cur/b.host:2,FS")
		}, 0, 0, 2, []uint32{1, 2, 3, 4, 5, 6, 7, 8}, nil},
		{"deleted", func() { remove(t, root+"/cur/c.host:2,S") }, 0, 1, 0, []uint32{1, 2, 4, 5, 6, 7, 8}, nil},
		{"moved to another folder", func() { rename(t, root+"/cur/d.host:2,S", trash+"/cur/d2.host:2,ST") }, 1, 1, 0, []uint32{1, 2, 5, 6, 7, 8}, []uint32{1}},
		{"the last one deleted, another one new", func() {
			remove(t, root+"/cur/y.host:2,S")
			write(t, root+"/new/z.host", letter(8))
		}, 1, 1, 0, []uint32{1, 2, 5, 6, 7, 9}, []uint32{1}},
	} {
		c.do()
		result, v := runDir(t, repo, "maildir", root)
		t.Log(c.name)
		wantStats(t, result, c.added, c.gone, c.flagged)
		wantEqual(t, "INBOX", v.uids("INBOX"), c.inbox)
		wantEqual(t, "Trash", v.uids("Trash"), c.trash)
		if t.Failed() {
			return
		}
		if c.trash != nil && v["Trash"][0].recipe != before["INBOX"][3].recipe {
			t.Error("a message that was moved is stored twice")
		}
	}
	_, v := runDir(t, repo, "maildir", root)
	if v["INBOX"][0].flags != "" || v["INBOX"][1].flags != `\Flagged \Seen` || v["Trash"][0].flags != `\Deleted \Seen` {
		t.Errorf("%+v", v)
	}
}

// Some programs write files of a Maildir anew under their names, though none
// should: they encrypt, compress or mark messages.
func TestMaildirFileThatIsWrittenAnewIsAnotherMessage(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	name := root + "/cur/1000000001.a.host:2,S"
	write(t, name, letter(1))
	write(t, root+"/cur/1000000002.a.host:2,S", letter(2))
	repo := newRepository(t)
	runDir(t, repo, "maildir", root)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, "X-Spam: no\n"+letter(1))
	age(t, name, info.ModTime()) // as such programs do
	result, v := runDir(t, repo, "maildir", root)
	wantStats(t, result, 1, 1, 0)
	wantEqual(t, "octets", v.octets("INBOX"), []string{letter(2), "X-Spam: no\n" + letter(1)})
	wantEqual(t, "UIDs", v.uids("INBOX"), []uint32{2, 3})
	again, _ := runDir(t, repo, "maildir", root)
	wantStats(t, again, 0, 0, 0)
}

func TestReadingAllAgainKeepsThePlaces(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	for i := range 5 {
		write(t, filepath.Join(root, "cur", string(rune('a'+i))), letter(i))
	}
	repo := newRepository(t)
	runDir(t, repo, "maildir", root)
	remove(t, root+"/cur/b")
	write(t, root+"/cur/f", letter(5))
	o := options(t, repo)
	o.Full = true
	result, err := backup.Run(t.Context(), repo, open(t, "maildir", root), o)
	if err != nil {
		t.Fatal(err)
	}
	v := viewOf(t, repo, result.Snapshot)
	wantEqual(t, "UIDs", v.uids("INBOX"), []uint32{1, 3, 4, 5, 6})
	if result.Snapshot.Stats.New != 5 {
		t.Errorf("%d messages were read", result.Snapshot.Stats.New)
	}
}

func TestFileThatMovesOrVanishesBetweenListingAndReading(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	for i := range 5 {
		write(t, filepath.Join(root, "new", string(rune('a'+i))), letter(i))
	}
	src := &interrupted{Source: open(t, "maildir", root), do: func() {
		rename(t, root+"/new/a", root+"/cur/a:2,")
		rename(t, root+"/new/b", root+"/cur/b:2,S")
		remove(t, root+"/new/d")
	}}
	repo := newRepository(t)
	result, v := run(t, repo, src)
	wantStats(t, result, 4, 0, 0)
	wantEqual(t, "messages", v.octets("INBOX"), []string{letter(0), letter(1), letter(2), letter(4)})
	if v["INBOX"][1].flags != `\Seen` {
		t.Errorf("the flags are %q", v["INBOX"][1].flags)
	}
	again, _ := run(t, repo, src)
	wantStats(t, again, 0, 0, 0)
}

func TestFolderThatVanishesBetweenListingAndReading(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	write(t, root+"/cur/a", letter(0))
	write(t, maildir(t, root+"/.Old")+"/cur/b", letter(1))
	repo := newRepository(t)
	runDir(t, repo, "maildir", root)
	write(t, root+"/cur/c", letter(2))
	write(t, root+"/.Old/cur/d", letter(3))
	result, v := run(t, repo, &interrupted{Source: open(t, "maildir", root), do: func() { remove(t, root+"/.Old") }})
	if len(result.Missing) > 0 || len(v["INBOX"]) != 2 || len(v["Old"]) == 0 {
		t.Errorf("missing %v, %v", result.Missing, v)
	}
}

func TestMaildirThatNeverHoldsStillLosesNothing(t *testing.T) {
	t.Parallel()
	for range 20 {
		root := maildir(t, t.TempDir())
		for i := range 20 {
			write(t, filepath.Join(root, "cur", string(rune('a'+i))+":2,"), letter(i))
		}
		repo := newRepository(t)
		runDir(t, repo, "maildir", root)
		remove(t, root+"/cur/t:2,")
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				names := []string{root + "/cur/a:2,", root + "/cur/a:2,S"}
				os.Rename(names[i%2], names[1-i%2])
			}
		}()
		result, v := runDir(t, repo, "maildir", root)
		close(stop)
		<-stopped
		if !result.Snapshot.Marks.Has(storage.Incomplete) {
			continue // it held still for a moment: nothing to see
		}
		if len(v["INBOX"]) != 20 {
			t.Errorf("%d messages are left", len(v["INBOX"]))
		}
		after, v := runDir(t, repo, "maildir", root)
		if len(v["INBOX"]) != 19 || after.Snapshot.Marks != 0 {
			t.Errorf("when it holds still, %d messages are left, marked %q", len(v["INBOX"]), after.Snapshot.Marks)
		}
		return
	}
	t.Error("it always held still")
}

func TestUnreadableKeywordsTakeNoFlagsAway(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	write(t, root+"/dovecot-keywords", "0 urgent\n")
	write(t, root+"/cur/a:2,Sa", letter(0))
	repo := newRepository(t)
	runDir(t, repo, "maildir", root)
	remove(t, root+"/dovecot-keywords")
	if err := os.Mkdir(root+"/dovecot-keywords", 0o700); err != nil {
		t.Fatal(err)
	}
	result, v := runDir(t, repo, "maildir", root)
	if v["INBOX"][0].flags != `\Seen urgent` || !result.Snapshot.Marks.Has(storage.Incomplete) {
		t.Errorf("%q, marked %q", v["INBOX"][0].flags, result.Snapshot.Marks)
	}
}

func TestOneUnreadableMessageIsSetAside(t *testing.T) {
	t.Parallel()
	needsOthers(t)
	root := maildir(t, t.TempDir())
	for i := range 5 {
		write(t, filepath.Join(root, "cur", string(rune('a'+i))), letter(i))
	}
	chmod(t, root+"/cur/c", 0)
	repo := newRepository(t)
	result, v := runDir(t, repo, "maildir", root)
	if len(v["INBOX"]) != 4 || len(result.Missing) != 1 || !strings.Contains(result.Missing[0].Reason, "permission denied") {
		t.Errorf("%d messages, missing %+v", len(v["INBOX"]), result.Missing)
	}
	chmod(t, root+"/cur/c", 0o600)
	result, v = runDir(t, repo, "maildir", root)
	wantStats(t, result, 1, 0, 0)
	if len(v["INBOX"]) != 5 {
		t.Errorf("%d messages", len(v["INBOX"]))
	}
}

func TestUnreadableFolderIsNotGone(t *testing.T) {
	t.Parallel()
	needsOthers(t)
	root := maildir(t, t.TempDir())
	write(t, root+"/cur/a", letter(0))
	write(t, maildir(t, root+"/Lists/go")+"/cur/b", letter(1))
	write(t, maildir(t, root+"/.Old")+"/cur/c", letter(2))
	repo := newRepository(t)
	runDir(t, repo, "maildir", root)
	for _, hidden := range []string{"/Lists", "/Lists/go", "/.Old", "/.Old/cur"} {
		chmod(t, root+hidden, 0)
		write(t, root+"/new/x"+filepath.Base(hidden), letter(3))
		result, v := runDir(t, repo, "maildir", root)
		if m := result.Snapshot.Marks; !m.Has(storage.Incomplete) || m.Has(storage.Anomalous) || len(v["Lists/go"]) != 1 || len(v["Old"]) != 1 || result.Snapshot.Stats.New != 1 {
			t.Errorf("%s: marked %q, %v, notes %q", hidden, m, v.folders(), result.Snapshot.Notes)
		}
		chmod(t, root+hidden, 0o700)
	}
	result, _ := runDir(t, repo, "maildir", root)
	wantStats(t, result, 0, 0, 0)
}

func TestFolderThatIsGoneIsToldOf(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	write(t, maildir(t, root+"/.Old")+"/cur/c", letter(2))
	repo := newRepository(t)
	runDir(t, repo, "maildir", root)
	remove(t, root+"/.Old")
	write(t, maildir(t, root+"/.New")+"/cur/d", letter(3)) // another one with the same UIDVALIDITY
	result, v := runDir(t, repo, "maildir", root)
	if !result.Snapshot.Marks.Has(storage.Anomalous) || len(v["New"]) != 1 || v["New"][0].octets != letter(3) {
		t.Errorf("marked %q, %v", result.Snapshot.Marks, v)
	}
}

func TestSubscriptionsOfAMaildir(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	maildir(t, root+"/.Lists.go")
	maildir(t, root+"/.Old")
	subscribed := func() map[string]bool {
		list, err := open(t, "maildir", root).List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		is := map[string]bool{}
		for _, l := range list {
			is[storage.FolderName(l.Levels)] = l.Subscribed
		}
		return is
	}
	if is := subscribed(); !is["INBOX"] || !is["Lists/go"] || !is["Old"] {
		t.Errorf("without a file of subscriptions, all folders are shown: %v", is)
	}
	write(t, root+"/subscriptions", "V\t2\n\nInbox\nLists\tgo\n")
	if is := subscribed(); !is["INBOX"] || !is["Lists/go"] || is["Old"] {
		t.Errorf("%v", is)
	}
}

func TestWhatIsLeftAloneIsToldOf(t *testing.T) {
	t.Parallel()
	root, elsewhere := maildir(t, t.TempDir()), maildir(t, t.TempDir())
	write(t, elsewhere+"/cur/secret", letter(1))
	write(t, root+"/cur/a", letter(0))
	for _, link := range []string{"/.Linked", "/cur/linked"} {
		if err := os.Symlink(elsewhere, root+link); err != nil {
			t.Skip(err)
		}
	}
	result, v := runDir(t, newRepository(t), "maildir", root)
	wantStats(t, result, 1, 0, 0)
	if notes := strings.Join(result.Snapshot.Notes, "\n"); !strings.Contains(notes, ".Linked") || !strings.Contains(notes, "cur/linked") || len(v) != 1 {
		t.Errorf("notes %q, folders %q", notes, v.folders())
	}
}

func TestDirectoryWithoutMailIsAnErrorAndNoEmptySnapshot(t *testing.T) {
	t.Parallel()
	for kind, f := range map[string]func() (backup.Source, error){
		"maildir": func() (backup.Source, error) { return OpenMaildir(t.TempDir(), nil) },
		"mbox":    func() (backup.Source, error) { return OpenMbox(t.TempDir(), nil) },
	} {
		src, err := f()
		if err != nil {
			t.Fatal(err)
		}
		repo := newRepository(t)
		if _, err := backup.Run(t.Context(), repo, src, options(t, repo)); err == nil || !strings.Contains(err.Error(), "there is no "+kind) {
			t.Errorf("%s: %v", kind, err)
		}
		if len(repo.Accounts()) > 0 {
			t.Errorf("%s: there is a snapshot", kind)
		}
	}
	if _, err := OpenMaildir(filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("a Maildir that is not there was opened")
	}
	if _, err := OpenMbox(filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("an mbox that is not there was opened")
	}
}

func TestSeveralFilesWithOneUniqueNameAreSeveralMessages(t *testing.T) {
	t.Parallel()
	root := maildir(t, t.TempDir())
	write(t, root+"/cur/a:2,S", letter(0))
	write(t, root+"/cur/a:2,F", letter(1))
	write(t, root+"/new/:2,", letter(2)) // and one with none
	repo := newRepository(t)
	result, v := runDir(t, repo, "maildir", root)
	wantStats(t, result, 3, 0, 0)
	if len(v["INBOX"]) != 3 {
		t.Errorf("%d messages", len(v["INBOX"]))
	}
	_, v = runDir(t, repo, "maildir", root)
	if len(v["INBOX"]) != 3 {
		t.Errorf("%d messages after the second run", len(v["INBOX"]))
	}
}

func TestNewSourceOfTheSameKindOfEpochBeginsAnew(t *testing.T) {
	t.Parallel()
	known := backup.Known{UIDValidity: 7, UIDNext: 743_000_000, Keys: func() (map[string]uint32, error) { return map[string]uint32{"": 5}, nil }}
	if n, err := newNumbering(known); err != nil || n.next != 1 || len(n.known) != 0 {
		t.Errorf("%+v %v", n, err)
	}
	known.UIDValidity = validity
	if n, err := newNumbering(known); err != nil || n.next != 743_000_000 || len(n.known) != 0 {
		t.Errorf("%+v %v", n, err)
	}
	known.UIDNext = 1<<32 - 1
	n, err := newNumbering(known)
	if err != nil {
		t.Fatal(err)
	}
	if uid, err := n.fresh(); err == nil {
		t.Errorf("UID %d was given, and the next one would be 0", uid)
	}
}
