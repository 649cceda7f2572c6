// Package mailfiles reads and writes mail that lies in files, as Maildir and
// as mbox: begin with [OpenMaildirTree] or [OpenMboxTree] to see what folders
// a directory holds.
//
//	tree  MaildirTree, MboxTree     a directory: which folders are there
//	  folder  MaildirFolder, Mbox   list the messages, open one, add one
//	    message  MaildirMessage, MboxMessage
//
// Everything that is particular to these formats is here and nowhere else:
// how a mail program's flags become IMAP's, how folder names become file
// names and back, and how a line that begins with "From " is quoted. Messages
// are octets; no line end is changed on the way in, and on the way out only
// where the change is written down and undone again on the way in.
//
// Directories and files are hostile until checked: no symbolic link is
// followed out of a tree, nothing but regular files is opened, and a name
// from a server becomes a file name only after it was encoded.
package mailfiles

import "errors"

// What the errors of this package say. Whatever wraps none of these is an
// error of the file system, or of the reader a message came from.
var (
	// ErrGone: the message was there and has been removed since. It is known
	// to be gone, not merely renamed.
	ErrGone = errors.New("the message is no longer there")
	// ErrUnsettled: the message was not found, but the folder never held
	// still long enough to be sure that it is gone.
	ErrUnsettled = errors.New("the folder keeps changing")
	// ErrChanged: a file changed while it was being read. What was read of it
	// may be a mixture of two states.
	ErrChanged = errors.New("the file changed while it was being read")
	// ErrNotMbox: there is something in the file, and no message begins in it.
	ErrNotMbox = errors.New("not an mbox file")
	// ErrLocked: another program kept the file locked for half a minute.
	ErrLocked = errors.New("another program has the file locked")
	// ErrName: the folder's name cannot be written in this layout, because it
	// is not UTF-8, or longer than file systems allow.
	ErrName = errors.New("the folder name cannot be a file name")
)

// A Folder is one folder of a tree.
type Folder struct {
	// Levels is the folder's name, outermost level first, in UTF-8. No two
	// folders of one listing have the same: where two paths mean one name,
	// the later ones get " (2)", " (3)" and so on at their end.
	Levels []string
	// Path is where the folder lies below the tree's root, in the file
	// system's own octets, with '/' between its parts; "." is the root.
	Path string
	// Inbox marks the folder that IMAP calls INBOX.
	Inbox bool
	// Raw says that the path does not decode: Levels show its octets as they
	// stand, with %XX for those that are not UTF-8.
	Raw bool
}

// Skipped is something that a listing found and left alone.
type Skipped struct {
	Path   string // below the root of the tree, or of the folder
	Reason string
}

// Limits on what a tree may hold. A directory that exceeds them is no mail
// anybody keeps on purpose.
const (
	maxDepth   = 100
	maxFolders = 100_000
)
