package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// recorder stands in for fsync: it notes what is flushed, and what could be
// seen in the directory at that moment.
type recorder struct {
	dir     *Dir
	flushes []string
	fail    func(n int) error // of the n-th flush, from 0
}

func (r *recorder) sync(file *os.File) error {
	n := len(r.flushes)
	local, _ := filepath.Rel(r.dir.path, file.Name())
	if strings.HasPrefix(local, tempFolder) {
		info, _ := file.Stat()
		local = fmt.Sprintf("%d octets in a temporary file", info.Size())
	}
	var visible []string
	for info, err := range r.dir.List(context.Background(), "", "") {
		if err == nil {
			visible = append(visible, info.Name)
		}
	}
	r.flushes = append(r.flushes, fmt.Sprintf("%s, with %v", filepath.ToSlash(local), visible))
	if r.fail != nil {
		return r.fail(n)
	}
	return flush(file)
}

func recordedDir(t *testing.T) (*Dir, *recorder) {
	t.Helper()
	dir, err := CreateDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	r := &recorder{dir: dir}
	dir.sync = r.sync
	return dir, r
}

// TestDirFlushesInOrder shows that a file's octets are on the disk before its
// name is, and its name and those of its folders before the caller is told.
func TestDirFlushesInOrder(t *testing.T) {
	ctx := t.Context()
	dir, r := recordedDir(t)
	for _, step := range []struct {
		what string
		do   func() error
		want []string
	}{
		{"Put", func() error { return dir.Put(ctx, "a/b/c", make([]byte, 10)) }, []string{
			"10 octets in a temporary file, with []", "a/b, with [a/b/c]", "a, with [a/b/c]", "., with [a/b/c]"}},
		{"Put again", func() error { return dir.Put(ctx, "a/b/c", make([]byte, 20)) }, []string{
			"20 octets in a temporary file, with [a/b/c]", "a/b, with [a/b/c]", "a, with [a/b/c]", "., with [a/b/c]"}},
		{"PutIfAbsent", func() error { return dir.PutIfAbsent(ctx, "config", make([]byte, 3)) }, []string{
			"3 octets in a temporary file, with [a/b/c]", "., with [a/b/c config]"}},
		{"PutIfAbsent of what is there", func() error {
			if err := dir.PutIfAbsent(ctx, "a/b/c", nil); !errors.Is(err, ErrExists) {
				return fmt.Errorf("%w, not ErrExists", err)
			}
			return nil
		}, []string{
			"0 octets in a temporary file, with [a/b/c config]", "a/b, with [a/b/c config]", "a, with [a/b/c config]", "., with [a/b/c config]"}},
		{"Delete", func() error { return dir.Delete(ctx, "a/b/c") }, []string{"a/b, with [config]"}},
	} {
		r.flushes = nil
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if !slices.Equal(r.flushes, step.want) {
			t.Errorf("%s flushed\n  %s\nwant\n  %s", step.what, strings.Join(r.flushes, "\n  "), strings.Join(step.want, "\n  "))
		}
	}
	if _, err := os.Stat(filepath.Join(dir.path, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the emptied folder a is still there: %v", err)
	}
}

// TestDirSaysWhatFailed lets each flush of a put fail in turn.
func TestDirSaysWhatFailed(t *testing.T) {
	for _, test := range []struct {
		name   string
		nth    int
		err    error
		want   error // nil: none of the sentinels, since nobody knows
		stored bool
	}{
		{"no space for the file", 0, syscall.ENOSPC, ErrFull, false},
		{"no quota for the file", 0, syscall.EDQUOT, ErrFull, false},
		{"the file system became read-only", 0, syscall.EROFS, ErrRefused, false},
		{"the disk fails", 0, syscall.EIO, nil, false},
		{"no space for the folder", 1, syscall.ENOSPC, nil, true},
		{"the disk fails at the folder", 1, syscall.EIO, nil, true},
		{"the disk fails at the top", 2, syscall.EIO, nil, true},
	} {
		for what, put := range map[string]func(*Dir, context.Context, string, []byte) error{"Put": (*Dir).Put, "PutIfAbsent": (*Dir).PutIfAbsent} {
			t.Run(what+"/"+test.name, func(t *testing.T) {
				dir, r := recordedDir(t)
				r.fail = func(n int) error {
					if n == test.nth {
						return &fs.PathError{Op: "sync", Path: "x", Err: test.err}
					}
					return nil
				}
				err := put(dir, t.Context(), "packs/x", make([]byte, 10))
				if !errors.Is(err, test.err) {
					t.Errorf("%v; want %v", err, test.err)
				}
				for _, sentinel := range []error{ErrFull, ErrRefused, ErrExists, ErrNotFound} {
					if errors.Is(err, sentinel) != (sentinel == test.want) {
						t.Errorf("%v; want %v", err, test.want)
					}
				}
				if _, err := dir.Get(t.Context(), "packs/x", 0, -1); (err == nil) != test.stored {
					t.Errorf("afterwards: %v", err)
				}
				if left, _ := os.ReadDir(filepath.Join(dir.path, tempFolder)); len(left) != 0 {
					t.Errorf("%d temporary files left behind", len(left))
				}
			})
		}
	}
}

func TestDirErrorsFromTheSystem(t *testing.T) {
	for err, want := range map[error]error{
		syscall.ENOSPC: ErrFull, syscall.EDQUOT: ErrFull,
		syscall.EACCES: ErrRefused, syscall.EPERM: ErrRefused, syscall.EROFS: ErrRefused, syscall.EXDEV: ErrRefused,
		syscall.ENOTDIR: ErrRefused, syscall.EISDIR: ErrRefused,
		syscall.EIO: nil, syscall.ENOENT: nil,
	} {
		got := meaning(&fs.PathError{Op: "open", Path: "x", Err: err})
		if !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
		for _, sentinel := range []error{ErrFull, ErrRefused} {
			if errors.Is(got, sentinel) != (sentinel == want) {
				t.Errorf("%v became %v; want %v", err, got, want)
			}
		}
	}
}

// TestDirStopsWritingWhenTheContextEnds has the context end in the middle of a
// large object.
func TestDirStopsWritingWhenTheContextEnds(t *testing.T) {
	dir, _ := recordedDir(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	writing := &countdown{Context: ctx, left: 5, end: cancel}
	if err := dir.Put(writing, "packs/x", make([]byte, 20*piece)); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v; want context.Canceled", err)
	}
	if _, err := dir.Get(t.Context(), "packs/x", 0, -1); !errors.Is(err, ErrNotFound) {
		t.Errorf("afterwards: %v", err)
	}
	if err := dir.Put(t.Context(), "packs/x", make([]byte, 20*piece)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	reading := &countdown{Context: ctx, left: 5, end: cancel}
	if _, err := dir.Get(reading, "packs/x", 0, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v; want context.Canceled", err)
	}
}

// countdown is a context that ends when it has been asked often enough.
type countdown struct {
	context.Context
	left int
	end  context.CancelCauseFunc
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		c.end(nil)
	}
	return c.Context.Err()
}

func TestDirClearsUpAfterDeadWriters(t *testing.T) {
	path := t.TempDir()
	temp := filepath.Join(path, tempFolder)
	now := time.Now()
	leftover := func(name string, age time.Duration) {
		t.Helper()
		file := filepath.Join(temp, name)
		if err := errors.Join(os.MkdirAll(temp, 0o700), os.WriteFile(file, []byte("half"), 0o600), os.Chtimes(file, now, now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	left := func() string {
		entries, err := os.ReadDir(temp)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return strings.Join(names, " ")
	}

	leftover("dead", 25*time.Hour)
	leftover("alive", 23*time.Hour)
	dir, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if got := left(); got != "alive" {
		t.Errorf("after OpenDir there is %q; want alive", got)
	}
	for info, err := range dir.List(t.Context(), "", "") {
		t.Errorf("List shows %v, %v", info, err)
	}

	// A service that runs for months looks again, but not at every put.
	leftover("dead", 25*time.Hour)
	if err := dir.Put(t.Context(), "a", nil); err != nil || left() != "alive dead" {
		t.Errorf("after Put there is %q, %v; want both", left(), err)
	}
	dir.swept = now.Add(-tempAge)
	if err := dir.Put(t.Context(), "a", nil); err != nil || left() != "alive" {
		t.Errorf("after Put a day later there is %q, %v; want alive", left(), err)
	}
}

// TestDirMakesAFolderAgain has another process delete the last object of the
// folder, and so the folder, whenever this one has just made it.
func TestDirMakesAFolderAgain(t *testing.T) {
	dir, _ := recordedDir(t)
	times := 0
	err := dir.put(t.Context(), "a/b/c", nil, func(from, to string) error {
		if times++; times < 10 {
			dir.root.RemoveAll("a")
		}
		return dir.root.Rename(from, to)
	})
	if err != nil || times != 10 {
		t.Errorf("after %d times: %v", times, err)
	}
	if _, err := dir.Get(t.Context(), "a/b/c", 0, -1); err != nil {
		t.Error(err)
	}
}

func TestDirRefusesAFileSystemWithoutHardLinks(t *testing.T) {
	dir, _ := recordedDir(t)
	for _, no := range []error{syscall.EPERM, syscall.ENOTSUP} {
		link := func(string, string) error { return linkError(&os.LinkError{Op: "link", Old: "a", New: "b", Err: no}) }
		err := dir.put(t.Context(), "ledger/0", nil, link)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "hard links") {
			t.Errorf("with %v: %v", no, err)
		}
	}
}
