package export

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"restante/restore"
	"restante/storage"
	"restante/storage/mailfiles"
)

func TestNamesFromAServerStayInTheDirectory(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("langer Name über alles ", 20)
	names := [][]string{
		{"INBOX"}, {"..", "..", "etc"}, {"../../../etc/passwd"}, {"."}, {".."}, {"a", "..", "b"}, {"a/b"}, {"a", "b"}, {"/"}, {"~root"},
		{"", ""}, {""}, {"x", ""}, {"line\nfeed"}, {"nul\x00"}, {"tab\t"}, {`back\slash`}, {`..\..\x`}, {"cur"}, {"new"}, {"tmp", "cur"}, {"subscriptions"},
		{"dovecot-uidlist"}, {"dovecot.index"}, {"a.b"}, {".hidden"}, {"Foo.sbd"}, {"Foo.msf"}, {"Foo.mbox"}, {"mbox"}, {"Foo.lock"}, {"CON"},
		{"Grüße"}, {"日本語", "メール"}, {"😀"}, {"R&D"}, {"&AC8-"}, {"%2e"}, {" space "}, {"inbox", "below"}, {"INBOX", "INBOX"}, {"a (2)"}, {"*"}, {"\"quotes\""},
		{long}, {long + "x"}, {long, long, long}, slices.Repeat([]string{"deep"}, 150),
	}
	var folders []folder
	for i, levels := range names {
		folders = append(folders, folder{levels: levels, letters: []letter{{fmt.Sprintf("Subject: %d\r\n\r\n", i), nil, someLetters("", 1)[0].at}}})
	}
	repo := newRepository(t)
	tree := archive(t, repo, folders...)
	for _, kind := range []string{"maildir", "mbox"} {
		around := t.TempDir()
		dir := filepath.Join(around, "a", "b", "export")
		report := restoreTo(t, repo, tree, kind, dir)
		for _, name := range files(t, around) {
			if !strings.HasPrefix(name, "a/b/export/") {
				t.Errorf("%s: %q was written", kind, name)
			}
		}
		// All names that fit are read back as they were.
		got := viewOf(t, repo, back(t, repo, kind, kind, dir), nil)
		if len(got) != len(names) {
			t.Errorf("%s: %d folders of %d are back: %q", kind, len(got), len(names), slices.Sorted(maps.Keys(got)))
		}
		for i, levels := range names {
			want := storage.FolderName(levels)
			if levels[0] == "inbox" {
				want = "INBOX/below"
			}
			for _, f := range report.Folders {
				if f.Folder == storage.FolderName(levels) && len(f.Notes) > 0 {
					want = f.Place
				}
			}
			if _, fits := fit2(kind, levels); fits != (want == storage.FolderName(levels) || levels[0] == "inbox") {
				t.Errorf("%s: %.50q became %q", kind, levels, want)
			}
			if len(got[want]) != 1 || !strings.Contains(got[want][0], fmt.Sprintf("Subject: %d\\r", i)) {
				t.Errorf("%s: %q has %q", kind, want, got[want])
			}
		}
		if sum := restoreTo(t, repo, tree, kind, dir).Totals(); sum.Appended != 0 || sum.Present != int64(len(names)) {
			t.Errorf("%s: run again, %d were added", kind, sum.Appended)
		}
	}
}

// fit2 says whether a name is a path as it is.
func fit2(kind string, levels []string) (string, bool) {
	path := func(l []string) (string, error) { return mailfiles.MaildirPath(l, mailfiles.MaildirPlusPlus) }
	if kind == "mbox" {
		path = mailfiles.MboxPath
	}
	p, err := path(levels)
	return p, err == nil
}

func TestFoldersThatBothBecomeLongNamesStayApart(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range 2000 {
		levels := []string{strings.Repeat("ä", 200), strings.Repeat("b", 100+i%50) + fmt.Sprint(i)}
		short, notes, err := fit(levels, mailfiles.MboxPath)
		again, _, _ := fit(levels, mailfiles.MboxPath)
		name := storage.FolderName(short)
		if err != nil || len(notes) != 1 || seen[name] || !slices.Equal(short, again) || len(short) != 2 {
			t.Fatalf("%q %q %v", short, notes, err)
		}
		seen[name] = true
	}
}

func TestRestoreIntoATreeThatIsThere(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	tree := archive(t, repo,
		folder{levels: []string{"INBOX"}, letters: someLetters("INBOX", 3)},
		folder{levels: []string{"Lists", "go"}, letters: someLetters("go", 3)},
		folder{levels: []string{"INBOX", "Below"}, letters: someLetters("below", 3)},
		folder{levels: []string{"Fresh", "One"}, letters: someLetters("new", 3)})
	for _, c := range []struct {
		name, kind string
		there      []string // Maildirs, or mbox files with something in them
		want       []string // directories or files that must be there, and others must not
		not        []string
	}{
		{"Maildir++", "maildir", []string{".", ".Lists.go"}, []string{".Fresh.One/cur", ".INBOX.Below/cur", ".Lists.go/cur"}, []string{"Fresh", "Lists"}},
		{"nested Maildir", "maildir", []string{".", "Lists/go"}, []string{"Fresh/One/cur", "INBOX/Below/cur", "Lists/go/cur"}, []string{".Fresh.One", ".Lists.go", "subscriptions"}},
		{"nothing", "maildir", nil, []string{".Fresh.One/cur", "cur", ".Lists.go/cur", "subscriptions"}, []string{"Fresh"}},
		{"Thunderbird", "mbox", []string{"Inbox", "Lists.sbd/go"}, []string{"Inbox.sbd/Below", "Fresh.sbd/One"}, []string{"INBOX", "INBOX.sbd"}},
		{"plain directories", "mbox", []string{"inbox", "Lists/go"}, []string{"Lists/go", "Fresh.sbd/One"}, []string{"Lists.sbd", "INBOX"}},
		{"exported by Apple Mail", "mbox", []string{"INBOX.mbox/mbox", "Lists/go.mbox"}, []string{"Fresh.sbd/One"}, []string{"Lists.sbd", "INBOX"}},
		{"nothing", "mbox", nil, []string{"INBOX", "INBOX.sbd/Below", "Lists.sbd/go", "Fresh.sbd/One"}, nil},
	} {
		dir := t.TempDir()
		for _, name := range c.there {
			if c.kind == "maildir" {
				write(t, maildir(t, filepath.Join(dir, name))+"/cur/old:2,S", "Subject: old\n\n")
			} else {
				write(t, filepath.Join(dir, name), "From x Sat Jan  3 01:05:34 1998\nSubject: old\n\nno end")
			}
		}
		sum := restoreTo(t, repo, tree, c.kind, dir).Totals()
		if sum.Appended != 12 {
			t.Errorf("%s: %d were added", c.name, sum.Appended)
		}
		for _, name := range c.want {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		for _, name := range c.not {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%s: there is %s", c.name, name)
			}
		}
		for place, list := range viewOf(t, repo, back(t, repo, c.name+c.kind, c.kind, dir), nil) {
			want := 3
			if c.there != nil && (place == "INBOX" || place == "Lists/go") {
				want++
			}
			if len(list) != want {
				t.Errorf("%s: %q has %d messages, want %d", c.name, place, len(list), want)
			}
		}
		if sum := restoreTo(t, repo, tree, c.kind, dir).Totals(); sum.Appended != 0 {
			t.Errorf("%s: run again, %d were added", c.name, sum.Appended)
		}
	}
}

func TestFileThatIsNoMboxIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/Notes", "my notes, no mail")
	repo := newRepository(t)
	tree := archive(t, repo, folder{levels: []string{"Notes"}, letters: someLetters("x", 1)})
	if _, err := tryRestore(t, repo, tree, "mbox", dir, restore.Options{}); !errors.Is(err, restore.ErrAccess) || !strings.Contains(err.Error(), "Notes") {
		t.Errorf("%v", err)
	}
	if got := read(t, dir+"/Notes"); got != "my notes, no mail" {
		t.Errorf("it is now %q", got)
	}
}

func TestSingleMboxFileTakesItsFolderOnly(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/mbox"
	write(t, file, "")
	repo := newRepository(t)
	letters := someLetters("x", 5)
	inbox := archive(t, repo, folder{levels: []string{"INBOX"}, letters: letters})
	if sum := restoreTo(t, repo, inbox, "mbox", file).Totals(); sum.Appended != 5 {
		t.Errorf("%+v", sum)
	}
	if sum := restoreTo(t, repo, inbox, "mbox", file).Totals(); sum.Appended != 0 {
		t.Errorf("run again: %+v", sum)
	}
	wantView(t, "back", viewOf(t, repo, back(t, repo, "x", "mbox", file), nil), viewOf(t, repo, inbox, nil))
	other := archive(t, repo, folder{levels: []string{"Sent"}, letters: letters})
	if _, err := tryRestore(t, repo, other, "mbox", file, restore.Options{}); err == nil || !strings.Contains(err.Error(), "no folder but \"INBOX\"") {
		t.Errorf("%v", err)
	}
}

func TestDryRunMakesNothing(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: someLetters("x", 5)})
	for _, kind := range []string{"maildir", "mbox"} {
		around := t.TempDir()
		report, err := tryRestore(t, repo, tree, kind, around+"/export", restore.Options{DryRun: true})
		if sum := report.Totals(); err != nil || sum.Missing != 5 || report.Target != kind+":"+around+"/export" {
			t.Errorf("%v, %+v", err, sum)
		}
		if _, err := os.Stat(around + "/export"); err == nil {
			t.Errorf("%s: there is a directory", kind)
		}
	}
}

func TestTargetThatCannotBeADirectoryIsRefused(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/file"
	write(t, file, "x")
	if _, err := OpenMaildir(file); err == nil {
		t.Error("a file was taken for a Maildir")
	}
	for _, f := range []func(string) (restore.Target, error){OpenMaildir, OpenMbox} {
		if _, err := f(""); err == nil {
			t.Error("a directory without a name was opened")
		}
	}
	repo := newRepository(t)
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: someLetters("x", 1)})
	for _, kind := range []string{"maildir", "mbox"} {
		if _, err := func() (*restore.Report, error) {
			to, err := map[string]func(string) (restore.Target, error){"maildir": OpenMaildir, "mbox": OpenMbox}[kind](file + "/below")
			if err != nil {
				return nil, err
			}
			groups, _ := new(restore.Selection).Groups(t.Context(), tree)
			return restore.Run(t.Context(), repo, groups, to, restore.Options{Pause: pause})
		}(); err == nil {
			t.Errorf("%s: a directory below a file was written to", kind)
		}
	}
}

func TestSubscriptionsAreKept(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	tree := archive(t, repo,
		folder{levels: []string{"INBOX"}, subscribed: true}, folder{levels: []string{"Lists", "go"}, subscribed: true},
		folder{levels: []string{"Old"}}, folder{levels: []string{"a.b"}, subscribed: true})
	subscribed := func(dir string) (list []string) {
		for _, f := range back(t, repo, dir, "maildir", dir).Folders {
			if f.Subscribed {
				list = append(list, f.Name())
			}
		}
		return list
	}
	all := []string{"INBOX", "Lists/go", "a.b"}
	dir := t.TempDir()
	restoreTo(t, repo, tree, "maildir", dir)
	if got := subscribed(dir); !slices.Equal(got, all) {
		t.Errorf("subscribed to %q", got)
	}
	// Somebody unsubscribes; the folder is there, and is subscribed to again.
	write(t, dir+"/subscriptions", "V\t2\n\nINBOX\n")
	restoreTo(t, repo, tree, "maildir", dir)
	if got := subscribed(dir); !slices.Equal(got, all) {
		t.Errorf("subscribed to %q", got)
	}
	// Where nobody keeps subscriptions, all folders are shown. They must not
	// vanish because one is subscribed to.
	dir = maildir(t, t.TempDir())
	maildir(t, dir+"/.Mine")
	restoreTo(t, repo, tree, "maildir", dir)
	if _, err := os.Stat(dir + "/subscriptions"); err == nil {
		t.Error("there are subscriptions now")
	}
}

func TestWhatFilesCannotKeepIsToldOf(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	var letters []letter
	for i := range 40 {
		letters = append(letters, letter{fmt.Sprintf("Subject: %d\r\n\r\n", i), []string{`\Seen`, fmt.Sprintf("Keyword%d", i)}, someLetters("", 1)[0].at})
	}
	letters[39].flags = []string{`\Unheard`, "not an atom", `\Seen`}
	tree := archive(t, repo, folder{levels: []string{"Sent"}, use: []string{`\Sent`}, letters: letters})
	dir := t.TempDir()
	report := restoreTo(t, repo, tree, "maildir", dir)
	sum := report.Totals()
	var dropped int64
	for _, n := range sum.Dropped {
		dropped += n
	}
	if sum.Appended != 40 || dropped != 39-26+2 || sum.Dropped[`\Unheard`] != 1 || sum.Dropped["not an atom"] != 1 {
		t.Errorf("%d appended, dropped %v", sum.Appended, sum.Dropped)
	}
	if notes := report.Folders[0].Notes; len(notes) != 1 || !strings.Contains(notes[0], `\Sent`) {
		t.Errorf("notes %q", notes)
	}
	second := back(t, repo, "x", "maildir", dir)
	kept := 0
	for m, err := range second.Folder([]string{"Sent"}).All(t.Context()) {
		if err != nil || !slices.Contains(m.Flags, `\Seen`) {
			t.Fatal(m.Flags, err)
		}
		kept += len(m.Flags) - 1
	}
	if kept != 26 {
		t.Errorf("%d keywords are kept", kept)
	}
	if sum := restoreTo(t, repo, tree, "mbox", t.TempDir()).Totals(); sum.Dropped["Keyword0"] != 1 || sum.Dropped[`\Seen`] != 0 {
		t.Errorf("mbox: dropped %v", sum.Dropped)
	}
}

func TestErrorsSayWhatTheyMean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ err, means error }{
		{syscall.ENOSPC, restore.ErrRoom}, {syscall.EDQUOT, restore.ErrRoom}, {syscall.EACCES, restore.ErrAccess}, {syscall.EROFS, restore.ErrAccess},
	} {
		if got := explain(fmt.Errorf("writing: %w", c.err)); !errors.Is(got, c.means) || !errors.Is(got, c.err) {
			t.Errorf("%v means %v", c.err, got)
		}
	}
	if got := explain(syscall.EIO); errors.Is(got, restore.ErrRoom) || errors.Is(got, restore.ErrAccess) {
		t.Errorf("%v", got)
	}
}
