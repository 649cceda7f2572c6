package localsource

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"restante/backup"
	"restante/storage"
	"restante/storage/mailfiles/thunderbird"
)

// aHome is somebody's home, with the mail of many programs in it.
func aHome(t *testing.T) Places {
	t.Helper()
	home, spool := t.TempDir(), t.TempDir()
	p := Places{Home: home, User: "anna", Spools: []string{spool + "/none", spool}, Thunderbird: thunderbird.Places{System: "linux", Home: home}}
	write(t, spool+"/anna", mbox(letter(0)))
	write(t, spool+"/bert", mbox(letter(100)))
	write(t, maildir(t, home+"/Maildir")+"/new/1000000001.a.host", letter(1))
	write(t, maildir(t, home+"/Maildir/.Lists")+"/cur/1000000002.a.host:2,S", letter(2))
	write(t, home+"/mail/sent", mbox(letter(3)))
	write(t, home+"/mail/notes.txt", "no mail\n")
	write(t, maildir(t, home+"/Mail/work")+"/cur/1000000003.a.host:2,S", letter(4))
	write(t, home+"/Mail/old", mbox(letter(5)))
	write(t, home+"/mbox", mbox(letter(6)))
	root := home + "/.thunderbird"
	write(t, root+"/profiles.ini", "[Profile0]\nName=work\nIsRelative=1\nPath=work\n\n[Profile1]\nName=home\nIsRelative=1\nPath=home\nDefault=1\n")
	for i, name := range []string{"work", "home"} {
		dir := profile(t, root+"/"+name, server{"none", "nobody", "Local Folders", "Mail/Local Folders", berkeley})
		write(t, dir+"/Mail/Local Folders/Sent", tbox(letter(7+i)))
	}
	return p
}

func find(t *testing.T, p Places) []Found {
	t.Helper()
	found, err := Find(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func runComputer(t *testing.T, repo *storage.Repository, p Places) (*backup.Result, view) {
	t.Helper()
	src := OpenComputer(p, find(t, p), nil)
	defer src.Close()
	return run(t, repo, src)
}

func TestMailOfAComputerIsFoundAndIsOneAccount(t *testing.T) {
	t.Parallel()
	p := aHome(t)
	var got []string
	for _, f := range find(t, p) {
		below, err := filepath.Rel(p.Home, f.Dir)
		if err != nil || strings.HasPrefix(below, "..") {
			below = "spool/" + filepath.Base(f.Dir)
		}
		got = append(got, fmt.Sprintf("%s: %s, %s", f.Name, below, f.What))
	}
	wantEqual(t, "found", got, []string{
		": spool/anna, mbox file", "Maildir: Maildir, Maildir", "mail: mail, mbox files", "Mail: Mail, mbox files and Maildir", ": mbox, mbox file",
		`Thunderbird: .thunderbird/home, profile "home" of Thunderbird`, `Thunderbird work: .thunderbird/work, profile "work" of Thunderbird`,
	})
	repo := newRepository(t)
	result, v := runComputer(t, repo, p)
	want := map[string]int{"INBOX": 0, "Maildir/INBOX": 1, "Maildir/Lists": 2, "mail/sent": 3, "Mail/work": 4, "Mail/old": 5, "mbox": 6,
		"Thunderbird work/Local Folders/Sent": 7, "Thunderbird/Local Folders/Sent": 8}
	wantEqual(t, "folders", v.folders(), slices.Sorted(maps.Keys(want)))
	for name, n := range want {
		wantEqual(t, name, v.octets(name), []string{letter(n)})
	}
	wantStats(t, result, int64(len(want)), 0, 0)
	tree, err := repo.OpenSnapshot(t.Context(), result.Snapshot)
	if err != nil || tree.Kind != "computer" {
		t.Errorf("the snapshot is of a %q, %v", tree.Kind, err)
	}
	for _, f := range tree.Folders {
		if is := f.Name() == "Thunderbird/Local Folders/Sent" || f.Name() == "Thunderbird work/Local Folders/Sent"; is != slices.Equal(f.SpecialUse, []string{`\Sent`}) || !f.Subscribed {
			t.Errorf("%s: special use %q, subscribed %v", f.Name(), f.SpecialUse, f.Subscribed)
		}
	}
	if notes := strings.Join(result.Snapshot.Notes, "\n"); !strings.Contains(notes, "mail/notes.txt (not an mbox file)") {
		t.Errorf("the notes are %q", notes)
	}
	again, _ := runComputer(t, repo, p)
	wantStats(t, again, 0, 0, 0)
	if again.Snapshot.Root != result.Snapshot.Root {
		t.Error("a second run came to something else")
	}
	// Mail comes, and a place of it.
	write(t, p.Home+"/mail/sent", mbox(letter(3), letter(9)))
	third, v := runComputer(t, repo, p)
	wantStats(t, third, 1, 0, 0)
	wantEqual(t, "sent", v.uids("mail/sent"), []uint32{1, 2})
}

func TestComputerWithoutMail(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	p := Places{Home: home, User: "anna", Spools: []string{home}, Thunderbird: thunderbird.Places{System: "linux", Home: home}}
	write(t, home+"/mail/notes.txt", "no mail\n")
	write(t, home+"/Maildir", "a file\n")
	if err := os.Mkdir(home+"/mbox", 0o700); err != nil {
		t.Fatal(err)
	}
	if found := find(t, p); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	// The environment's word comes before the system's, if it is a file.
	write(t, home+"/anna", mbox(letter(0)))
	write(t, home+"/elsewhere", mbox(letter(1)))
	for mail, want := range map[string]string{"": "anna", home: "anna", home + "/none": "anna", home + "/elsewhere": "elsewhere"} {
		p.Mail = mail
		if found := find(t, p); len(found) != 1 || filepath.Base(found[0].Dir) != want {
			t.Errorf("with MAIL=%q: %+v", mail, found)
		}
	}
}

func TestOnePlaceThatCannotBeReadKeepsNoOtherFromBeingRead(t *testing.T) {
	t.Parallel()
	needsOthers(t)
	p := aHome(t)
	repo := newRepository(t)
	runComputer(t, repo, p)
	for _, dir := range []string{"mail", "Maildir", ".thunderbird/work"} {
		chmod(t, filepath.Join(p.Home, dir), 0)
	}
	write(t, p.Home+"/mbox", mbox(letter(6), letter(10)))
	result, v := runComputer(t, repo, p)
	if !result.Snapshot.Marks.Has(storage.Incomplete) || result.Snapshot.Stats.New != 1 || result.Snapshot.Stats.Gone != 0 {
		t.Errorf("marked %q, %+v", result.Snapshot.Marks, result.Snapshot.Stats)
	}
	for _, name := range []string{"mail/sent", "Maildir/Lists", "Thunderbird work/Local Folders/Sent"} {
		if len(v[name]) != 1 {
			t.Errorf("%s has %d messages", name, len(v[name]))
		}
	}
}
