package imapsource

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// The same as with a directory that is not there, where it is full.
func TestTemporaryDirectoryThatIsFull(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	defer syscall.Unmount(disk, 0)
	for name, change := range map[string]func(imaptest.Command, string) string{
		"as usual":            func(_ imaptest.Command, text string) string { return text },
		"UID behind the body": uidBehind,
	} {
		c := newChain(t, everything)
		c.source = func(o *Options) { o.TempDir = disk }
		c.conn = func(o *imapconn.Options) { o.TempDir = disk }
		c.account.Add("INBOX", letter(1), ``)
		c.account.Add("Large", long(2*inMemory), ``)
		script := c.rewritten("UID FETCH", change)
		_, err := c.backup(script)
		if _, ours := errors.AsType[*backup.LocalError](err); !ours || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), disk) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(disk); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
		c.source, c.conn = nil, nil
		c.whole(name, script)
	}
}
