package mailfiles

import (
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// MaildirPath returns the path of a folder below the root of a Maildir tree,
// where CreateFolder makes it. ErrName says that the name cannot be a path.
func MaildirPath(levels []string, layout Layout) (string, error) { return folderPath(levels, layout) }

// MboxPath returns the path of a folder below the root of an mbox tree, where
// Append makes it. ErrName says that the name cannot be a path.
func MboxPath(levels []string) (string, error) { return folderPath(levels, thunderbird) }

// Unfinished reports whether an MboxAppender was interrupted while it wrote to
// the file at that path, and nobody has taken back since what it left. Such a
// file need not begin as an mbox does.
func (t *MboxTree) Unfinished(name string) bool {
	a := MboxAppender{name: path.Base(name)}
	_, err := t.root.Lstat(path.Join(path.Dir(name), a.journal()))
	return err == nil
}

// InboxInCapitals writes the first level of names as "INBOX" where it is that
// in other letters: IMAP has one INBOX, with its subfolders, however it is
// written (RFC 9051 section 5.1). Names that would no longer differ stay.
func InboxInCapitals(folders []Folder) {
	taken := make(map[string]bool, len(folders))
	for _, f := range folders {
		taken[strings.Join(f.Levels, "\x00")] = true
	}
	for i, f := range folders {
		if len(f.Levels) == 0 || f.Levels[0] == "INBOX" || !strings.EqualFold(f.Levels[0], "INBOX") {
			continue
		}
		levels := slices.Clone(f.Levels)
		levels[0] = "INBOX"
		if key := strings.Join(levels, "\x00"); !taken[key] {
			taken[key] = true
			folders[i].Levels = levels
		}
	}
}

// FileFolder returns the folder that a single mbox file is: INBOX where it is
// a system's mail spool, or is called that or "mbox"; else it has the file's
// name.
func FileFolder(name string) Folder {
	base := filepath.Base(name)
	if short := strings.TrimSuffix(base, ".mbox"); short != "" {
		base = short
	}
	f := folderAt(filepath.Base(name), []string{base})
	switch dir := filepath.Dir(name); {
	case strings.EqualFold(base, "inbox"), strings.EqualFold(base, "mbox"):
		f.Inbox = true
	case runtime.GOOS != "windows":
		f.Inbox = dir == "/var/mail" || dir == "/var/spool/mail"
	}
	if f.Inbox {
		f.Levels, f.Raw = []string{"INBOX"}, false
	}
	return f
}

// IsState reports whether a header field of this name is one in which mail
// programs keep a message's state, and which they add, change and remove as
// they use an mbox.
func IsState(name []byte) bool { return lookUpField(name).changing }
