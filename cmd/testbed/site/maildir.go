package site

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A Maildir is a folder that is filled by writing the files where the mail
// server keeps them: much faster than APPEND.
type Maildir struct {
	dir      string
	giveAway func(path string) error
}

// OpenMaildir makes a folder if it is not there: the directory dir, below mail,
// where the homes of the server's users are. What is made belongs to whom mail
// belongs to.
func OpenMaildir(mail, dir string) (*Maildir, error) {
	giveAway, err := toOwnerOf(mail)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		path := filepath.Join(dir, sub)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
		for ; path != mail && len(path) > 1; path = filepath.Dir(path) {
			if err := giveAway(path); err != nil {
				return nil, err
			}
		}
	}
	return &Maildir{dir, giveAway}, nil
}

// maildirFlags are the letters of a Maildir file's name.
var maildirFlags = map[string]string{
	`\Draft`: "D", `\Flagged`: "F", `\Answered`: "R", `\Seen`: "S", `\Deleted`: "T",
}

// written makes the names of messages ascend and differ.
var written = struct {
	since int64 // seconds
	count atomic.Int64
}{since: time.Now().Unix()}

// name is the name of the next message's file, which has so many octets. Flags
// are the five system flags. The server numbers what it finds by the numbers in
// the names.
func (m *Maildir) name(octets int64, flags []string) (string, error) {
	var letters []string
	for _, flag := range flags {
		letter, ok := maildirFlags[flag]
		if !ok {
			return "", fmt.Errorf("a Maildir's file cannot have the flag %s", flag)
		}
		letters = append(letters, letter)
	}
	slices.Sort(letters)
	return fmt.Sprintf("%d.M%dP%d.testbed,S=%d:2,%s", written.since, written.count.Add(1), os.Getpid(), octets, strings.Join(letters, "")), nil
}

// Write adds a message, with the current time as its internal date if date is
// zero: a file in tmp, that moves to cur when it is complete.
func (m *Maildir) Write(octets []byte, flags []string, date time.Time) error {
	return m.WriteFile(int64(len(octets)), flags, date, func(path string) error { return os.WriteFile(path, octets, 0o600) })
}

// WriteFile is like [Maildir.Write] for a message whose file write makes.
func (m *Maildir) WriteFile(octets int64, flags []string, date time.Time, write func(path string) error) error {
	name, err := m.name(octets, flags)
	if err != nil {
		return err
	}
	path := filepath.Join(m.dir, "tmp", name)
	if err := write(path); err != nil {
		return err
	}
	if err := m.giveAway(path); err != nil {
		return err
	}
	if !date.IsZero() {
		if err := os.Chtimes(path, date, date); err != nil {
			return err
		}
	}
	return os.Rename(path, filepath.Join(m.dir, "cur", name))
}

// toOwnerOf returns what makes files belong to the mail server, which owns dir;
// that needs doing, and can be done, by root alone.
func toOwnerOf(dir string) (func(path string) error, error) {
	if os.Geteuid() != 0 {
		return func(string) error { return nil }, nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	uid, gid := owner(info)
	return func(path string) error { return os.Lchown(path, uid, gid) }, nil
}
