package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// maildirFlags are the letters of a Maildir file's name.
var maildirFlags = map[string]string{
	`\Draft`: "D", `\Flagged`: "F", `\Answered`: "R", `\Seen`: "S", `\Deleted`: "T",
}

// filled makes the names of messages ascend and differ.
var filled = struct {
	since int64 // seconds
	count atomic.Int64
}{since: time.Now().Unix()}

// Fill adds messages to a folder by writing their files where the mail server
// keeps them: much faster than [Load]. The folder is made if it is not there.
// Its name, as on the wire, may hold letters, digits, spaces, and ',', '-',
// '&', '+', '_' between the delimiters; flags are the five system flags.
func Fill(t testing.TB, s Server, user, folder string, messages ...Message) {
	t.Helper()
	dir, err := maildirPath(filepath.Join(s.mail, user, "Maildir"), s, folder)
	if err != nil {
		t.Fatal(err)
	}
	giveAway, err := toOwnerOf(s.mail)
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		path := filepath.Join(dir, sub)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		for ; path != s.mail; path = filepath.Dir(path) {
			if err := giveAway(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, m := range messages {
		var letters []string
		for _, flag := range m.Flags {
			letter, ok := maildirFlags[flag]
			if !ok {
				t.Fatalf("Fill cannot set the flag %s; Load can", flag)
			}
			letters = append(letters, letter)
		}
		slices.Sort(letters)
		// The server numbers what it finds by the numbers in the names.
		name := fmt.Sprintf("%d.M%dP%d.testbed,S=%d:2,%s", filled.since, filled.count.Add(1), os.Getpid(), len(m.Octets), strings.Join(letters, ""))
		if err := writeMessage(dir, name, m, giveAway); err != nil {
			t.Fatal(err)
		}
	}
}

// writeMessage writes a file in tmp and moves it to cur when it is complete.
func writeMessage(dir, name string, m Message, giveAway func(string) error) error {
	path := filepath.Join(dir, "tmp", name)
	if err := os.WriteFile(path, m.Octets, 0o600); err != nil {
		return err
	}
	if err := giveAway(path); err != nil {
		return err
	}
	if !m.Date.IsZero() {
		if err := os.Chtimes(path, m.Date, m.Date); err != nil {
			return err
		}
	}
	return os.Rename(path, filepath.Join(dir, "cur", name))
}

// Unnumber removes the files, by pattern, in which the mail server keeps the
// UIDs of a folder, which is named as on the wire: it gives others, under
// another UIDVALIDITY. The first pattern must match one file.
func (s Server) Unnumber(t testing.TB, user, folder string, patterns ...string) {
	t.Helper()
	dir, err := maildirPath(filepath.Join(s.mail, user, "Maildir"), s, folder)
	if err != nil {
		t.Fatal(err)
	}
	for i, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || i == 0 && len(found) != 1 {
			t.Fatalf("%d files %s in %s: %v", len(found), pattern, dir, err)
		}
		for _, file := range found {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// maildirPath is where the mail server keeps a folder: in directories within
// each other, or in Maildir++ where the delimiter is a dot.
func maildirPath(root string, s Server, folder string) (string, error) {
	if strings.EqualFold(folder, "INBOX") {
		return root, nil
	}
	name, ok := strings.CutPrefix(folder, s.Prefix)
	if !ok {
		return "", fmt.Errorf("folder %q does not begin with %q", folder, s.Prefix)
	}
	levels := strings.Split(name, s.Delimiter)
	for _, level := range levels {
		if level == "" || strings.Trim(level, plain) != "" {
			return "", fmt.Errorf("Fill does not know how the server writes the folder %q; Load does", folder)
		}
		if level == "cur" || level == "new" || level == "tmp" {
			return "", fmt.Errorf("the server reserves %q", level)
		}
	}
	if s.Delimiter == "." {
		return filepath.Join(root, "."+strings.Join(levels, ".")), nil
	}
	return filepath.Join(root, filepath.Join(levels...)), nil
}

// plain are the characters that the server writes as they are.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,-&+_"

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
