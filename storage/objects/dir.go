package objects

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Dir is a Store in a directory of this computer. An object is a file, the
// parts of its name before the last are folders:
//
//	<directory>/
//	├── config
//	├── ledger/
//	│   └── 000000000000
//	├── packs/
//	│   └── 01JD…
//	└── .tmp/              what is being written; leftovers go after a day
//
// A file appears under its name only when all of it is on the disk. Files have
// mode 0600, folders 0700. The file system must have hard links, which make
// PutIfAbsent possible: ext4, XFS, Btrfs, ZFS, APFS, NTFS and NFS do, FAT and
// exFAT do not. On Windows the name of a new object is as durable as NTFS's
// journal makes it, for directories cannot be flushed there.
//
// A context ends an operation between two steps of it; a read, write or flush
// that the operating system has begun is waited for.
type Dir struct {
	path string   // absolute
	root *os.Root // so that nothing, not even a symbolic link, leads out of path

	// sync flushes a file or directory to the disk. Tests replace it.
	sync func(*os.File) error

	mu    sync.Mutex
	swept time.Time // when leftovers were last looked for; guarded by mu
}

const (
	tempFolder = ".tmp" // never part of an object's name, since it begins with a dot
	tempAge    = 24 * time.Hour
)

// CreateDir makes the directory, and the directories above it, where they are
// not there yet, and opens it.
func CreateDir(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("create directory: %w", err)
	}
	if err := makeDurable(path); err != nil {
		return nil, fmt.Errorf("create directory %s: %w", path, meaning(err))
	}
	return OpenDir(path)
}

// OpenDir opens a directory that is there. One that is not is ErrRefused.
func OpenDir(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open directory: %w: %w", ErrRefused, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", meaning(err))
	}
	d := &Dir{path: path, root: root, sync: flush}
	d.sweep(time.Now())
	return d, nil
}

// Close gives the directory back to the operating system. No method may be
// called afterwards.
func (d *Dir) Close() error { return d.root.Close() }

// Location implements [Store].
func (d *Dir) Location() string { return d.path }

// sweep removes what dead writers left half-written. A writer that lives has
// its data in memory and is done in minutes. It looks once a day, and what
// goes wrong is left for the next time: a leftover costs space, nothing else.
func (d *Dir) sweep(now time.Time) {
	d.mu.Lock()
	due := now.Sub(d.swept) >= tempAge
	if due {
		d.swept = now
	}
	d.mu.Unlock()
	if !due {
		return
	}
	entries, err := fs.ReadDir(d.root.FS(), tempFolder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name := filepath.Join(tempFolder, entry.Name())
		info, err := d.root.Lstat(name)
		if err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > tempAge {
			d.root.Remove(name)
		}
	}
}

// makeDurable makes the directory at path and those above it as far as they
// are missing, each one durably.
func makeDurable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s is not a directory", ErrRefused, path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	above := filepath.Dir(path)
	if err := makeDurable(above); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	folder, err := os.Open(above)
	if err != nil {
		return err
	}
	defer folder.Close()
	return flush(folder)
}
