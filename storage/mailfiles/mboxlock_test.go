package mailfiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A process may die at any moment. What it leaves must say whose it was.
func TestLockFileIsNeverEmpty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	seen, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-seen:
				return
			default:
			}
			lock, err := createDotlock(t.Context(), root, "a.lock", time.Now())
			if err != nil {
				t.Error(err)
				return
			}
			root.Remove(lock)
		}
	}()
	for looks := 0; looks < 500; {
		text, err := os.ReadFile(filepath.Join(dir, "a.lock"))
		if err == nil {
			looks++
		}
		if err == nil && len(text) == 0 {
			t.Error("it is empty")
			break
		}
	}
	close(seen)
	<-stopped
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

// inUse reports whether somebody has the mbox locked.
func inUse(t *testing.T, name string) bool {
	t.Helper()
	b, err := OpenMbox(name, MboxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	is, err := b.InUse()
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestLockFilesSayThatAnMboxIsInUse(t *testing.T) {
	t.Parallel()
	name := writeMbox(t)
	if inUse(t, name) {
		t.Error("without a lock it is in use")
	}
	if err := os.WriteFile(name+".lock", []byte("0"), 0o400); err != nil {
		t.Fatal(err)
	}
	if !inUse(t, name) {
		t.Error("with a lock file it is not in use")
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(name+".lock", old, old); err != nil {
		t.Fatal(err)
	}
	if inUse(t, name) {
		t.Error("a lock that was left an hour ago counts")
	}
	b := ReadMbox(strings.NewReader(""), 0, MboxOptions{})
	if is, err := b.InUse(); is || err != nil {
		t.Errorf("what is no file: %v, %v", is, err)
	}
}
