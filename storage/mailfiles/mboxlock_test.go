package mailfiles

import (
	"os"
	"path/filepath"
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
