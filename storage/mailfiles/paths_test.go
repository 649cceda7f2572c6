package mailfiles

import (
	"slices"
	"testing"
)

func TestPathsAreWhereFoldersAreMade(t *testing.T) {
	t.Parallel()
	maildir, err := CreateMaildirTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer maildir.Close()
	mbox, err := OpenMboxTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer mbox.Close()
	for _, levels := range [][]string{{"INBOX"}, {"a.b", "c/d"}, {"Grüße"}, {"cur"}, {"x", ""}} {
		for _, layout := range []Layout{MaildirPlusPlus, MaildirNested} {
			want, err := MaildirPath(levels, layout)
			made, made2 := maildir.CreateFolder(levels, layout)
			if err != nil || made2 != nil || made.Path != want {
				t.Errorf("%q: %q, %v; made at %q, %v", levels, want, err, made.Path, made2)
			}
		}
		a, err := mbox.Append(t.Context(), levels)
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
		want, err := MboxPath(levels)
		if _, lstat := mbox.root.Lstat(want); err != nil || lstat != nil {
			t.Errorf("%q: %q, %v; %v", levels, want, err, lstat)
		}
	}
}

func TestInboxIsWrittenInCapitalsUnlessNamesWouldBecomeOne(t *testing.T) {
	t.Parallel()
	folders := []Folder{{Levels: []string{"Inbox"}}, {Levels: []string{"inbox", "a"}}, {Levels: []string{"INBOX", "b"}}, {Levels: []string{"Inbox", "b"}}, {Levels: []string{"a", "inbox"}}}
	InboxInCapitals(folders)
	want := [][]string{{"INBOX"}, {"INBOX", "a"}, {"INBOX", "b"}, {"Inbox", "b"}, {"a", "inbox"}}
	for i := range folders {
		if !slices.Equal(folders[i].Levels, want[i]) {
			t.Errorf("%q, want %q", folders[i].Levels, want[i])
		}
	}
}

func TestFolderOfASingleFile(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"/var/mail/alice": "INBOX", "/var/spool/mail/bob": "INBOX", "/home/a/mbox": "INBOX", "Mail/Inbox.mbox": "INBOX",
		"/home/a/old mail.mbox": "old mail", "/home/a/.mbox": ".mbox", "caf\xe9": "caf%E9", "Sent": "Sent",
	} {
		if f := FileFolder(name); !slices.Equal(f.Levels, []string{want}) || f.Inbox != (want == "INBOX") {
			t.Errorf("%q: %+v, want %q", name, f, want)
		}
	}
}

func TestInterruptedAppendLeavesTheFileUnfinished(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tree, err := OpenMboxTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	a, err := tree.Append(t.Context(), []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if !tree.Unfinished("a.sbd/b") || tree.Unfinished("b") {
		t.Error("a file that is being written is finished")
	}
	if err := a.Close(); err != nil || tree.Unfinished("a.sbd/b") {
		t.Errorf("%v, or it is unfinished still", err)
	}
}
