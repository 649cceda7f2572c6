package mailfiles

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMboxOnAFullDiskLeavesNothingBeside(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	defer syscall.Unmount(disk, 0)
	name := filepath.Join(disk, "Sent")
	if err := os.WriteFile(name, []byte("From a@example.org Fri Nov 20 10:00:00 2026\n\nhello\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	filler, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err == nil {
		_, err = filler.WriteString(strings.Repeat("x", 512))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	// The lock beside the file has room, what is noted after it has none.
	if info, err := filler.Stat(); err != nil || filler.Truncate(info.Size()-int64(os.Getpagesize())) != nil {
		t.Fatal(err)
	}
	if a, err := AppendMbox(t.Context(), name); !errors.Is(err, syscall.ENOSPC) {
		if err == nil {
			a.Close()
		}
		t.Fatalf("the disk is full: %v", err)
	}
	entries, err := os.ReadDir(disk)
	if err != nil || len(entries) != 2 {
		t.Errorf("there are %v, %v", entries, err)
	}
}
