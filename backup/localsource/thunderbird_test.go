package localsource

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/backup"
	"restante/storage"
	"restante/storage/mailfiles/thunderbird"
)

// A server is an account of Thunderbird as its settings have it.
type server struct{ kind, user, host, dir, store string }

const (
	berkeley = "@mozilla.org/msgstore/berkeleystore;1"
	maildirs = "@mozilla.org/msgstore/maildirstore;1"
)

// profile makes a profile with these accounts, and the files that Thunderbird
// has beside the mail.
func profile(t testing.TB, dir string, servers ...server) string {
	t.Helper()
	var prefs strings.Builder
	prefs.WriteString("// Mozilla User Preferences\n\nuser_pref(\"mail.root.none-rel\", \"[ProfD]Mail\");\n")
	for i, s := range servers {
		for key, value := range map[string]string{"type": s.kind, "userName": s.user, "hostname": s.host, "name": "an account", "directory-rel": "[ProfD]" + s.dir, "storeContractID": s.store} {
			fmt.Fprintf(&prefs, "user_pref(\"mail.server.server%d.%s\", %q);\n", i+1, key, value)
		}
		for _, name := range []string{"msgFilterRules.dat", "popstate.dat", "filterlog.html"} {
			write(t, filepath.Join(dir, s.dir, name), "version=\"9\"\n")
		}
	}
	write(t, dir+"/prefs.js", prefs.String())
	write(t, dir+"/places.sqlite", "SQLite format 3\x00")
	return dir
}

// stored is a message as Thunderbird stores it, which it tells from the text.
func stored(status int, keys, m string) string {
	return fmt.Sprintf("X-Account-Key: account1\nX-UIDL: 4711\nX-Mozilla-Status: %04x\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: %-80s\n%s", status, keys, m)
}

// tbox is an mbox as Thunderbird writes one.
func tbox(messages ...string) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString("From - Sat Jan  3 01:05:34 1998\n" + m + "\n")
	}
	return b.String()
}

func runProfile(t testing.TB, repo *storage.Repository, dir string) (*backup.Result, view) {
	t.Helper()
	src, err := OpenThunderbird(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	return run(t, repo, src)
}

func TestThunderbirdProfileIsBackedUpAsItIs(t *testing.T) {
	t.Parallel()
	dir := profile(t, t.TempDir(),
		server{"pop3", "anna", "pop.example.org", "Mail/pop.example.org", berkeley},
		server{"none", "nobody", "Local Folders", "Mail/Local Folders", maildirs},
		server{"imap", "anna", "imap.example.org", "ImapMail/imap.example.org", ""})
	pop := dir + "/Mail/pop.example.org"
	write(t, pop+"/Inbox", tbox(stored(0x0001, "", letter(0)), stored(0x1006, "$label1 NonJunk", letter(1)), stored(0x0009, "", letter(2)), stored(0, "", letter(3))))
	write(t, pop+"/Inbox.msf", "// <!-- <mdb:mork:z v=\"1.4\"/> -->\n")
	write(t, pop+"/Inbox.sbd/Familie", tbox(stored(1, "", letter(4))))
	write(t, pop+"/Inbox.sbd/Familie.sbd/Größe", tbox(stored(1, "", letter(5))))
	write(t, pop+"/Sent", tbox(stored(1, "", letter(6))))
	write(t, pop+"/Trash", "")
	write(t, pop+"/Old/cur/1.eml", letter(7)) // of the other format
	local := dir + "/Mail/Local Folders"
	write(t, local+"/Archives/cur/1700000001.M1P1Q1.host.eml", stored(0x0005, "$label2", letter(8)))
	write(t, local+"/Archives/cur/1700000002.M1P1Q1.host.eml", letter(9))
	write(t, local+"/Archives.sbd/2026/cur/1700000003.M1P1Q1.host.eml", stored(0, "", letter(10)))
	write(t, local+"/Templates/cur/.keep", "")
	write(t, local+"/Drafts", tbox(letter(11))) // of the other format
	imap := dir + "/ImapMail/imap.example.org"
	write(t, imap+"/INBOX", tbox(stored(1, "", letter(12))))
	write(t, imap+"/INBOX.sbd/Sent", tbox(stored(1, "", letter(13))))
	write(t, imap+"/Junk/cur/x", letter(14))
	write(t, dir+"/Mail/gone.example.org/Inbox", tbox(letter(15)))
	write(t, dir+"/Mail/gone.example.org/Kept/cur/y", letter(16))

	repo := newRepository(t)
	result, v := runProfile(t, repo, dir)
	wantStats(t, result, 14, 0, 0)
	tree, err := repo.OpenSnapshot(t.Context(), result.Snapshot)
	if err != nil || tree.Kind != "thunderbird" {
		t.Errorf("the snapshot is of a %q, %v", tree.Kind, err)
	}
	want := map[string][]string{
		"anna@pop.example.org/Inbox":               {stored(0x0001, "", letter(0)), stored(0x1006, "$label1 NonJunk", letter(1)), stored(0, "", letter(3))},
		"anna@pop.example.org/Inbox/Familie":       {stored(1, "", letter(4))},
		"anna@pop.example.org/Inbox/Familie/Größe": {stored(1, "", letter(5))},
		"anna@pop.example.org/Sent":                {stored(1, "", letter(6))},
		"anna@pop.example.org/Trash":               nil,
		"Local Folders/Archives":                   {stored(0x0005, "$label2", letter(8)), letter(9)},
		"Local Folders/Archives/2026":              {stored(0, "", letter(10))},
		"Local Folders/Templates":                  nil,
		"anna@imap.example.org/INBOX":              {stored(1, "", letter(12))},
		"anna@imap.example.org/INBOX/Sent":         {stored(1, "", letter(13))},
		"anna@imap.example.org/Junk":               {letter(14)},
		"gone.example.org/Inbox":                   {letter(15)},
		"gone.example.org/Kept":                    {letter(16)},
	}
	wantEqual(t, "folders", v.folders(), slices.Sorted(maps.Keys(want)))
	for name, list := range want {
		wantEqual(t, name, v.octets(name), list)
	}
	for name, flags := range map[string][]string{
		"anna@pop.example.org/Inbox": {`\Seen`, `$Forwarded $label1 NonJunk \Answered \Flagged`, ""},
		"Local Folders/Archives":     {`$label2 \Flagged \Seen`, ""},
	} {
		var got []string
		for _, m := range v[name] {
			got = append(got, m.flags)
		}
		wantEqual(t, "flags in "+name, got, flags)
	}
	uses := map[string]string{}
	for _, f := range tree.Folders {
		if len(f.SpecialUse) > 0 {
			uses[f.Name()] = strings.Join(f.SpecialUse, " ")
		}
	}
	if !maps.Equal(uses, map[string]string{"anna@pop.example.org/Sent": `\Sent`, "anna@pop.example.org/Trash": `\Trash`, "Local Folders/Archives": `\Archive`,
		"anna@imap.example.org/INBOX/Sent": `\Sent`, "anna@imap.example.org/Junk": `\Junk`}) {
		t.Errorf("special uses: %v", uses)
	}
	notes := strings.Join(result.Snapshot.Notes, "\n")
	for _, said := range []string{"Mail/pop.example.org/Old (a Maildir", "Mail/Local Folders/Drafts (an mbox file", "until it compacts the folders: 1"} {
		if !strings.Contains(notes, said) {
			t.Errorf("the notes do not say %q: %s", said, notes)
		}
	}
	again, _ := runProfile(t, repo, dir)
	wantStats(t, again, 0, 0, 0)
	if again.Snapshot.Root != result.Snapshot.Root || again.Snapshot.Stats.Stored != 0 {
		t.Errorf("a second run stored %d octets", again.Snapshot.Stats.Stored)
	}
}

func TestThunderbirdProfileChangesFromRunToRun(t *testing.T) {
	t.Parallel()
	dir := profile(t, t.TempDir(),
		server{"pop3", "anna", "pop.example.org", "Mail/pop.example.org", berkeley},
		server{"none", "nobody", "Local Folders", "Mail/Local Folders", maildirs})
	inbox, archive := dir+"/Mail/pop.example.org/Inbox", dir+"/Mail/Local Folders/Archives/cur/1700000001.M1P1Q1.host.eml"
	write(t, inbox, tbox(stored(0, "", letter(0)), stored(0, "", letter(1)), stored(0, "", letter(2))))
	write(t, archive, stored(0, "", letter(3)))
	repo := newRepository(t)
	first, before := runProfile(t, repo, dir)
	wantStats(t, first, 4, 0, 0)
	// Somebody reads two messages and deletes a third, of which the fields in
	// the files tell; and one comes.
	write(t, inbox, tbox(stored(1, "", letter(0)), stored(8, "", letter(1)), stored(0, "", letter(2)), stored(0, "", letter(4))))
	write(t, archive, stored(1, "$label1", letter(3)))
	second, v := runProfile(t, repo, dir)
	wantStats(t, second, 1, 1, 2)
	wantEqual(t, "inbox", v.uids("anna@pop.example.org/Inbox"), []uint32{1, 3, 4})
	if m := v["Local Folders/Archives"][0]; m.flags != `$label1 \Seen` || m.recipe != before["Local Folders/Archives"][0].recipe {
		t.Errorf("what was read in the Maildir: %+v", m)
	}
	// The folder is compacted, and the account is called something else.
	write(t, inbox, tbox(stored(1, "", letter(0)), stored(0, "", letter(2)), stored(0, "", letter(4))))
	third, _ := runProfile(t, repo, dir)
	wantStats(t, third, 0, 0, 0)
	if third.Snapshot.Root != second.Snapshot.Root {
		t.Error("a folder that was compacted is another one")
	}
}

// While Thunderbird compacts a folder, another file has part of its messages.
func TestFolderThatIsBeingCompactedIsNotTwo(t *testing.T) {
	t.Parallel()
	dir := profile(t, t.TempDir(), server{"none", "nobody", "Local Folders", "Mail/Local Folders", berkeley})
	local := dir + "/Mail/Local Folders/"
	old := time.Now().Add(-time.Hour)
	write(t, local+"Inbox", tbox(letter(0), letter(1)))
	write(t, local+"Inbox-1", tbox(letter(0))) // what it compacts into
	write(t, local+"nstmp", tbox(letter(0)))   // the same, long ago
	write(t, local+"nstmp-2", tbox(letter(0)))
	write(t, local+"Inbox.sbd/Old", tbox(letter(2)))
	write(t, local+"Inbox.sbd/Old-12", tbox(letter(2)))
	write(t, local+"Inbox-2", tbox(letter(3))) // a folder, and Thunderbird has an index of it
	write(t, local+"Inbox-2.msf", "")
	write(t, local+"Inbox-3", tbox(letter(4))) // somebody has put it there
	age(t, local+"Inbox-3", old)
	write(t, local+"Lists-1", tbox(letter(5))) // beside no Lists
	write(t, local+"Inbox-x", tbox(letter(6)))
	write(t, local+"Inbox-", tbox(letter(7)))
	repo := newRepository(t)
	result, v := runProfile(t, repo, dir)
	var want []string
	for _, name := range []string{"Inbox", "Inbox-", "Inbox-2", "Inbox-3", "Inbox-x", "Inbox/Old", "Lists-1"} {
		want = append(want, "Local Folders/"+name)
	}
	wantEqual(t, "folders", v.folders(), want)
	if notes := strings.Join(result.Snapshot.Notes, "\n"); !strings.Contains(notes, "Inbox-1 (Thunderbird seems to be compacting") || result.Snapshot.Marks != 0 {
		t.Errorf("marked %q, notes %q", result.Snapshot.Marks, notes)
	}
	// If nobody writes to it any more, it is mail.
	age(t, local+"Inbox-1", old)
	_, v = runProfile(t, repo, dir)
	wantEqual(t, "what was left", v.octets("Local Folders/Inbox-1"), letters(0, 1))
}

func TestServerThatCannotBeReadTakesNoMailAway(t *testing.T) {
	t.Parallel()
	needsOthers(t)
	dir := profile(t, t.TempDir(),
		server{"pop3", "anna", "pop.example.org", "Mail/pop.example.org", berkeley},
		server{"none", "nobody", "Local Folders", "Mail/Local Folders", berkeley})
	write(t, dir+"/Mail/pop.example.org/Inbox", tbox(letter(0)))
	write(t, dir+"/Mail/Local Folders/Sent", tbox(letter(1)))
	repo := newRepository(t)
	runProfile(t, repo, dir)
	chmod(t, dir+"/Mail/pop.example.org", 0)
	result, v := runProfile(t, repo, dir)
	if !result.Snapshot.Marks.Has(storage.Incomplete) || len(v["anna@pop.example.org/Inbox"]) != 1 || len(v["Local Folders/Sent"]) != 1 {
		t.Errorf("marked %q, %v", result.Snapshot.Marks, v.folders())
	}
}

// The folders of an account whose directory was removed are gone, as any folder
// is: that is told of, and keeps no other from being read.
func TestAccountWithoutADirectory(t *testing.T) {
	t.Parallel()
	dir := profile(t, t.TempDir(),
		server{"pop3", "anna", "pop.example.org", "Mail/pop.example.org", berkeley},
		server{"none", "nobody", "Local Folders", "Mail/Local Folders", berkeley})
	write(t, dir+"/Mail/pop.example.org/Inbox", tbox(letter(0)))
	write(t, dir+"/Mail/Local Folders/Sent", tbox(letter(1)))
	repo := newRepository(t)
	runProfile(t, repo, dir)
	remove(t, dir+"/Mail/pop.example.org")
	result, v := runProfile(t, repo, dir)
	if !result.Snapshot.Marks.Has(storage.Anomalous) {
		t.Errorf("marked %q", result.Snapshot.Marks)
	}
	wantEqual(t, "folders", v.folders(), []string{"Local Folders/Sent"})
}

func TestDirectoryThatIsNoProfile(t *testing.T) {
	t.Parallel()
	if _, err := OpenThunderbird(t.TempDir(), nil); !errors.Is(err, thunderbird.ErrNoProfile) {
		t.Errorf("%v", err)
	}
	src, err := OpenThunderbird(profile(t, t.TempDir(), server{"none", "nobody", "Local Folders", "Mail/Local Folders", ""}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := src.List(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no mail of Thunderbird in") {
		t.Errorf("a profile without a folder: %v", err)
	}
}

// Thunderbird writes the time of a From_ line as the computer's clock shows it.
func TestThunderbirdsDatesAreLocal(t *testing.T) {
	t.Parallel()
	dir := profile(t, t.TempDir(), server{"none", "nobody", "Local Folders", "Mail/Local Folders", berkeley})
	write(t, dir+"/Mail/Local Folders/Sent", tbox(letter(0)))
	_, v := runProfile(t, newRepository(t), dir)
	if got, want := v["Local Folders/Sent"][0].date, time.Date(1998, 1, 3, 1, 5, 34, 0, time.Local).Unix(); got != want {
		t.Errorf("%d, want %d", got, want)
	}
	if err := os.Remove(dir + "/prefs.js"); err != nil {
		t.Fatal(err)
	}
	if _, v := runProfile(t, newRepository(t), dir); len(v["Local Folders/Sent"]) != 1 {
		t.Errorf("without settings: %v", v.folders())
	}
}
