package localsource

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestFileNamesInNotesAreText: what is left alone is named in the snapshot, and a
// name in Latin-1 once made that unreadable, and the repository with it.
func TestFileNamesInNotesAreText(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "caf\xe9"), []byte("no mbox at all\n"), 0o600); err != nil {
		t.Skipf("this file system has no such names: %v", err)
	}
	write(t, root+"/a", mbox(letters(0, 2)...))
	repo := newRepository(t)
	src := open(t, "mbox", root)
	defer src.Close()
	result, v := run(t, repo, src)
	notes := strings.Join(result.Snapshot.Notes, "\n")
	if !strings.Contains(notes, "left alone: caf\uFFFD") || !utf8.ValidString(notes) || len(v["a"]) != 2 {
		t.Errorf("%q, %v", notes, v)
	}
}
