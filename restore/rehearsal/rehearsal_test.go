package rehearsal

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"restante/backup"
	"restante/backup/localsource"
	"restante/restore"
	"restante/restore/export"
	"restante/storage"
	"restante/storage/objects"
)

// archive backs a Maildir with n messages up, two of them the same.
func archive(t *testing.T, n int) (*storage.Repository, storage.Snapshot) {
	t.Helper()
	repo, err := storage.Init(t.Context(), objects.NewMemory(), storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	dir := t.TempDir()
	for _, folder := range []string{"", ".Lists"} {
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(dir, folder, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			text := fmt.Sprintf("Subject: %d\nMessage-ID: <%d@x>\n\n%s\n", max(1, i), max(1, i), strings.Repeat("text ", 100))
			if err := os.WriteFile(filepath.Join(dir, folder, "cur", fmt.Sprintf("%d.x:2,S", i)), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	src, err := localsource.OpenMaildir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	result, err := backup.Run(t.Context(), repo, src, backup.Options{Account: "alice", Vault: vault})
	if err != nil {
		t.Fatal(err)
	}
	return repo, result.Snapshot
}

func rehearse(t *testing.T, repo *storage.Repository, s storage.Snapshot, o Options) *Report {
	t.Helper()
	o.TempDir = t.TempDir()
	if o.Open == nil {
		o.Open = export.OpenMaildir
	}
	// What one that was killed left behind.
	if err := os.MkdirAll(filepath.Join(o.TempDir, scratchName(s.Account), "mail", "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), repo, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(o.TempDir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	return r
}

func TestASoundArchive(t *testing.T) {
	t.Parallel()
	repo, s := archive(t, 30)
	r := rehearse(t, repo, s, Options{})
	if len(r.Differences) > 0 || r.Folders != 2 || r.Messages != 60 || r.Restored != 60 || r.Proven != 60 || r.Bytes != s.Bytes {
		t.Errorf("%+v", *r)
	}
}

// TestWhatChangesOnTheWayIsFound changes the files between writing and reading.
func TestWhatChangesOnTheWayIsFound(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(file string) error{
		"a byte": func(file string) error {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(file, b, 0o600)
		},
		"gone":  os.Remove,
		"short": func(file string) error { return os.Truncate(file, 10) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo, s := archive(t, 10)
			opened := 0
			r := rehearse(t, repo, s, Options{Open: func(dir string) (restore.Target, error) {
				if opened++; opened == 2 {
					done := false
					err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
						if err != nil || d.IsDir() || done || filepath.Base(filepath.Dir(path)) != "cur" {
							return err
						}
						done = true
						return change(path)
					})
					if err != nil || !done {
						t.Errorf("nothing was changed: %v", err)
					}
				}
				return export.OpenMaildir(dir)
			}})
			if len(r.Differences) == 0 || r.Proven != 19 || r.Restored != 20 {
				t.Errorf("%+v", *r)
			}
		})
	}
}

func TestALargeAccountIsSampled(t *testing.T) {
	t.Parallel()
	repo, s := archive(t, 100)
	one := rehearse(t, repo, s, Options{Most: s.Bytes / 4, Seed: 1})
	same := rehearse(t, repo, s, Options{Most: s.Bytes / 4, Seed: 1})
	if one.Restored < 25 || one.Restored > 75 || one.Proven != one.Restored || len(one.Differences) > 0 || one.Messages != 200 {
		t.Errorf("%+v", *one)
	}
	if same.Restored != one.Restored || same.Bytes != one.Bytes {
		t.Errorf("%+v and %+v", *one, *same)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	day := func(n int64) time.Time { return time.Unix(n*86400, 0) }
	for _, c := range []struct {
		accounts []string
		last     map[string]time.Time
		want     string
	}{
		{nil, nil, ""},
		{[]string{"b", "a"}, nil, "a"},
		{[]string{"b", "a"}, map[string]time.Time{"a": day(1)}, "b"},
		{[]string{"b", "a", "c"}, map[string]time.Time{"a": day(3), "b": day(1), "c": day(2), "gone": day(0)}, "b"},
	} {
		if got := Next(c.accounts, c.last); got != c.want {
			t.Errorf("%v, %v: %q, want %q", c.accounts, c.last, got, c.want)
		}
	}
}
