package oauth

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// On a full disk a refresh token is not spent, and nothing is left there.
func TestAFullDiskCostsNoGrant(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	defer syscall.Unmount(disk, 0)
	path := filepath.Join(disk, "alice")
	if err := os.WriteFile(path, []byte(`{"token_url":"https://t.example/token","client_id":"restante","refresh_token":"r1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := rotating()
	s := NewStored(clientOf(f), path)
	if _, err := s.Token(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "no space left") || f.requests() != 0 {
		t.Error(err, f.requests())
	}
	if entries, err := os.ReadDir(disk); err != nil || len(entries) != 2 {
		t.Error(entries, err)
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	if token, err := s.Token(t.Context(), ""); token != "a2" || err != nil {
		t.Error(token, err)
	}
}
