package export

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"restante/restore"
)

// aProfile is a profile of Thunderbird with mail in it.
func aProfile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/prefs.js", `user_pref("mail.server.server1.type", "none");
user_pref("mail.server.server1.hostname", "Local Folders");
user_pref("mail.server.server1.directory-rel", "[ProfD]Mail/Local Folders");
user_pref("mail.server.server1.storeContractID", "@mozilla.org/msgstore/berkeleystore;1");
user_pref("mail.server.server2.type", "pop3");
user_pref("mail.server.server2.hostname", "pop.example.org");
user_pref("mail.server.server2.directory-rel", "[ProfD]Mail/pop.example.org");
user_pref("mail.server.server2.storeContractID", "@mozilla.org/msgstore/maildirstore;1");
`)
	write(t, dir+"/Mail/Local Folders/Sent", "")
	write(t, dir+"/Mail/Local Folders/Old", "")
	write(t, dir+"/Mail/Local Folders/Old.sbd/Deep", "")
	write(t, dir+"/Mail/pop.example.org/Inbox/cur/1.eml", "Subject: x\n\nx\n")
	write(t, dir+"/ImapMail/imap.example.org/INBOX", "")
	return dir
}

func TestNothingInAThunderbirdProfileIsWrittenTo(t *testing.T) {
	t.Parallel()
	dir := aProfile(t)
	before := files(t, dir)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir+"/Mail", link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, path string
		maildir    bool // or an mbox target
	}{
		{"the profile", "", false},
		{"all its mail", "/Mail", false},
		{"an account", "/Mail/Local Folders", false},
		{"a folder", "/Mail/Local Folders/Sent", false},
		{"what is below a folder", "/Mail/Local Folders/Old.sbd", false},
		{"what is to be below a folder that is there", "/Mail/Local Folders/Sent.sbd", false},
		{"a folder that would not be shown", "/Mail/Local Folders/New", false},
		{"nor that", "/Mail/Local Folders/New.sbd/Deep.sbd", false},
		{"a folder without a name", "/Mail/Local Folders/.sbd", false},
		{"an mbox file among Maildirs", "/Mail/pop.example.org/New.sbd", false},
		{"a folder of an IMAP account", "/ImapMail/imap.example.org/New.sbd", false},
		{"a Maildir", "/Mail/Local Folders/New.sbd", true},
		{"something else", "/chrome", false},
	} {
		open := OpenMbox
		if c.maildir {
			open = OpenMaildir
		}
		var hint interface{ Hint() string }
		to, err := open(dir + c.path)
		if !errors.Is(err, restore.ErrAccess) || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), filepath.Join("Local Folders", "Restored.sbd")) {
			t.Errorf("%s: %v, %v", c.what, to, err)
		}
	}
	if to, err := OpenMbox(link + "/Local Folders/Sent"); err == nil {
		t.Errorf("by a link: %v", to)
	}
	if got := files(t, dir); !slices.Equal(got, before) {
		t.Errorf("%q became %q", before, got)
	}
}

func TestRestoringToANewFolderOfThunderbird(t *testing.T) {
	t.Parallel()
	dir := aProfile(t)
	before := files(t, dir)
	repo := newRepository(t)
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: someLetters("x", 3)}, folder{levels: []string{"Lists", "go"}, letters: someLetters("y", 2)}, folder{levels: []string{"Lists"}, letters: someLetters("z", 1)},
		folder{levels: []string{"Only", "deep"}, letters: someLetters("d", 1)})
	to := dir + "/Mail/Local Folders/Restored.sbd"
	if sum := restoreTo(t, repo, tree, "mbox", to).Totals(); sum.Appended != 7 {
		t.Errorf("%+v", sum)
	}
	if sum := restoreTo(t, repo, tree, "mbox", to).Totals(); sum.Appended != 0 || sum.Present != 7 {
		t.Errorf("again: %+v", sum)
	}
	var made []string
	for _, name := range files(t, dir) {
		if !slices.Contains(before, name) {
			made = append(made, strings.TrimPrefix(name, "Mail/Local Folders/"))
		}
	}
	slices.Sort(made)
	if want := []string{"Restored", "Restored.sbd/.restante-restored", "Restored.sbd/INBOX", "Restored.sbd/Lists", "Restored.sbd/Lists.sbd/go", "Restored.sbd/Only", "Restored.sbd/Only.sbd/deep"}; !slices.Equal(made, want) {
		t.Errorf("made were %q, want %q", made, want)
	}
	if got := back(t, repo, "thunderbird", "mbox", to); got.Snapshot.Messages != 7 {
		t.Errorf("%d messages came back", got.Snapshot.Messages)
	}
}
