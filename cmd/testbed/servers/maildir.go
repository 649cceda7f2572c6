package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"restante/cmd/testbed/site"
)

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
	m, err := site.OpenMaildir(s.mail, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range messages {
		if err := m.Write(message.Octets, message.Flags, message.Date); err != nil {
			t.Fatal(err)
		}
	}
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
