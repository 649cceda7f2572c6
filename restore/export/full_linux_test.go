package export

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"restante/restore"
)

func TestFullDiskIsSaidAndLosesNothing(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	letters := someLetters("x", 300)
	for i := range letters {
		letters[i].octets += strings.Repeat("some text\r\n", 1000)
		letters[i].flags = append(letters[i].flags, "urgent")
	}
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: letters}, folder{levels: []string{"Sent"}, letters: letters[:100]})
	for _, kind := range []string{"maildir", "mbox"} {
		disk := t.TempDir()
		if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
			t.Skipf("a small disk cannot be mounted: %v", err)
		}
		defer syscall.Unmount(disk, 0)
		keep := system
		if kind == "maildir" {
			keep = nil
		}
		want := viewOf(t, repo, tree, keep)
		dir := disk + "/export"
		present := int64(0)
		for size, sizes := 1, []string{"size=1m", "size=2m", "size=3m"}; size <= len(sizes); size++ {
			if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, sizes[size-1]); err != nil {
				t.Fatal(err)
			}
			report, err := tryRestore(t, repo, tree, kind, dir, restore.Options{})
			if !errors.Is(err, restore.ErrRoom) || !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(err.Error(), dir) {
				t.Fatalf("%s: %v", kind, err)
			}
			sum := report.Totals()
			if len(sum.Refused) > 0 || sum.Present < present {
				t.Errorf("%s: %d are present, %d were told of before", kind, sum.Present, present)
			}
			present = sum.Present + sum.Appended
			// No half message is to be seen.
			for folder, list := range viewOf(t, repo, back(t, repo, kind+sizes[size-1], kind, dir), keep) {
				all := strings.Join(want[folder], "\n")
				for _, m := range list {
					if !strings.Contains(all, m) {
						t.Fatalf("%s: %.100q was written", kind, m)
					}
				}
			}
		}
		if present == 0 {
			t.Errorf("%s: nothing was restored", kind)
		}
		if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
		restoreTo(t, repo, tree, kind, dir)
		wantView(t, kind, viewOf(t, repo, back(t, repo, kind, kind, dir), keep), want)
		for _, name := range files(t, dir) {
			if strings.Contains(name, "tmp/") || strings.Contains(name, ".lock") || strings.Contains(name, "restante") {
				t.Errorf("%s: %s was left", kind, name)
			}
		}
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
}
