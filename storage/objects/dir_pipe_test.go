//go:build unix

package objects_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"restante/storage/objects"
)

// TestDirDoesNotWaitForAPipe has a named pipe where an object should be.
func TestDirDoesNotWaitForAPipe(t *testing.T) {
	path := t.TempDir()
	dir := createDir(t, path)
	check(t, syscall.Mkfifo(filepath.Join(path, "pipe"), 0o600))
	if _, err := dir.Get(t.Context(), "pipe", 0, -1); !errors.Is(err, objects.ErrRefused) {
		t.Errorf("Get: %v; want ErrRefused", err)
	}
	if infos := collect(dir.List(t.Context(), "", "")); len(infos) != 0 {
		t.Errorf("List shows %v", infos)
	}
}
