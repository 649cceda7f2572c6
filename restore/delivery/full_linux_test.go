package delivery

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"restante/backup/accounts/smtpconn/smtptest"
	"restante/restore"
)

// Where nothing can be noted, nothing is delivered, and no message is blamed.
func TestAFullDiskDeliversNothing(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	defer syscall.Unmount(disk, 0)
	d := newDesk(t, &smtptest.Server{}, letters(3)...)
	d.journal = filepath.Join(disk, "deliveries")
	fill := filepath.Join(disk, "full")
	if err := os.WriteFile(fill, make([]byte, 128<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	report, err := d.run(restore.Options{})
	if !errors.Is(err, restore.ErrNotes) || !errors.Is(err, syscall.ENOSPC) || len(d.got()) > 0 {
		t.Errorf("%v; %d were delivered", err, len(d.got()))
	}
	if report != nil && len(report.Totals().Refused) > 0 {
		t.Errorf("refused are %v", report.Totals().Refused)
	}
	if n := strings.Count(strings.Join(d.server.Said(), "\n"), "MAIL FROM"); n > 1 {
		t.Errorf("it was tried %d times", n)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if d.do(restore.Options{}); !slices.Equal(d.got(), letters(3)) {
		t.Errorf("%q were delivered", d.got())
	}
}
