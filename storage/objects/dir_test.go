package objects_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

func TestDirKeepsEveryPromise(t *testing.T) {
	objectstest.Suite(t, func(t *testing.T) objects.Store { return createDir(t, t.TempDir()) })
}

func BenchmarkDir(b *testing.B) {
	objectstest.Benchmark(b, func(b *testing.B) objects.Store { return createDir(b, b.TempDir()) })
}

func createDir(t testing.TB, path string) *objects.Dir {
	t.Helper()
	dir, err := objects.CreateDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func TestDirOpensOnlyADirectory(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(base, "absent")
	if _, err := objects.OpenDir(absent); !errors.Is(err, objects.ErrRefused) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), absent) {
		t.Errorf("OpenDir of nothing: %v", err)
	}
	for what, open := range map[string]func(string) (*objects.Dir, error){"OpenDir": objects.OpenDir, "CreateDir": objects.CreateDir} {
		for _, path := range []string{file, filepath.Join(file, "below")} {
			if _, err := open(path); err == nil {
				t.Errorf("%s(%s) returned no error", what, path)
			}
		}
	}
	deep := filepath.Join(base, "a", "b", "c")
	createDir(t, deep)
	again := createDir(t, deep)
	if again.Location() != deep {
		t.Errorf("Location: %s; want %s", again.Location(), deep)
	}
}

func TestDirKeepsOthersOut(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	path := filepath.Join(t.TempDir(), "new", "repository")
	dir := createDir(t, path)
	check(t, dir.Put(t.Context(), "a/b/c", nil))
	check(t, dir.PutIfAbsent(t.Context(), "config", nil))
	err := filepath.WalkDir(filepath.Dir(path), func(path string, entry fs.DirEntry, err error) error {
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	check(t, err)
}

// TestDirIgnoresWhatIsNotItsOwn has things in the directory that no store puts
// there.
func TestDirIgnoresWhatIsNotItsOwn(t *testing.T) {
	path := t.TempDir()
	dir := createDir(t, path)
	check(t, dir.Put(t.Context(), "packs/a", []byte("a")))
	for _, name := range []string{".DS_Store", "packs/.nfs0001", "packs/b~", "packs/ü", "packs/c d", "packs/e."} {
		check(t, os.WriteFile(filepath.Join(path, name), nil, 0o600))
	}
	check(t, os.MkdirAll(filepath.Join(path, "lost+found", "x"), 0o700))
	check(t, os.MkdirAll(filepath.Join(path, "packs", "empty"), 0o700))
	var names []string
	for _, info := range collect(dir.List(t.Context(), "", "")) {
		names = append(names, info.Name)
	}
	if len(names) != 1 || names[0] != "packs/a" {
		t.Errorf("List: %q; want packs/a alone", names)
	}
}

func TestDirIsNotLedOutByLinks(t *testing.T) {
	outside, path := t.TempDir(), t.TempDir()
	dir := createDir(t, path)
	check(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	if err := os.Symlink(outside, filepath.Join(path, "folder")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	check(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(path, "object")))
	ctx := t.Context()
	for _, name := range []string{"folder/secret", "object"} {
		if data, err := dir.Get(ctx, name, 0, -1); err == nil {
			t.Errorf("Get(%s) = %q", name, data)
		}
	}
	if err := dir.Put(ctx, "folder/new", nil); err == nil {
		t.Error("Put through a link that leads out returned no error")
	}
	dir.Delete(ctx, "folder/secret")
	// A link itself can be replaced and deleted; what it leads to stays.
	check(t, dir.Put(ctx, "object", []byte("mine")))
	check(t, dir.Delete(ctx, "object"))
	for _, info := range collect(dir.List(ctx, "", "")) {
		t.Errorf("List shows %s", info.Name)
	}
	entries, err := os.ReadDir(outside)
	check(t, err)
	if data, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(data) != "secret" || len(entries) != 1 {
		t.Errorf("outside there is %v, %q, %v", entries, data, err)
	}
}

// TestDirRefusesAnObjectThatIsAFolder shows what a directory cannot keep.
func TestDirRefusesAnObjectThatIsAFolder(t *testing.T) {
	ctx := t.Context()
	dir := createDir(t, t.TempDir())
	check(t, dir.Put(ctx, "a/b", []byte("below")))
	check(t, dir.Put(ctx, "c", []byte("object")))
	for name, err := range map[string]error{
		"Put(a)":           dir.Put(ctx, "a", nil),
		"PutIfAbsent(a)":   dir.PutIfAbsent(ctx, "a", nil),
		"Put(c/d)":         dir.Put(ctx, "c/d", nil),
		"PutIfAbsent(c/d)": dir.PutIfAbsent(ctx, "c/d", nil),
	} {
		if !errors.Is(err, objects.ErrRefused) {
			t.Errorf("%s: %v; want ErrRefused", name, err)
		}
	}
	for name, want := range map[string]string{"a/b": "below", "c": "object"} {
		if data, err := dir.Get(ctx, name, 0, -1); err != nil || string(data) != want {
			t.Errorf("Get(%s) = %q, %v", name, data, err)
		}
	}
}

func TestDirWithoutPermission(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("the superuser is never refused, and Windows has no such modes")
	}
	ctx := t.Context()
	path := t.TempDir()
	dir := createDir(t, path)
	check(t, dir.Put(ctx, "packs/a", nil))
	check(t, dir.Put(ctx, "secret/a", nil))
	check(t, os.Chmod(filepath.Join(path, "secret"), 0))
	check(t, os.Chmod(filepath.Join(path, "packs"), 0o500))
	t.Cleanup(func() {
		os.Chmod(filepath.Join(path, "secret"), 0o700)
		os.Chmod(filepath.Join(path, "packs"), 0o700)
	})
	_, err := dir.Get(ctx, "secret/a", 0, -1)
	for what, err := range map[string]error{
		"Get": err, "Put": dir.Put(ctx, "packs/b", nil), "PutIfAbsent": dir.PutIfAbsent(ctx, "packs/b", nil), "Delete": dir.Delete(ctx, "packs/a"),
	} {
		if !errors.Is(err, objects.ErrRefused) {
			t.Errorf("%s: %v; want ErrRefused", what, err)
		}
	}
	// A list reads only the folders that it needs, so this one does not meet
	// the folder that it may not read; and one that does, says so.
	for _, err := range dir.List(ctx, "packs/", "") {
		check(t, err)
	}
	for _, err = range dir.List(ctx, "", "") {
	}
	if !errors.Is(err, objects.ErrRefused) {
		t.Errorf("List of everything: %v; want ErrRefused", err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
