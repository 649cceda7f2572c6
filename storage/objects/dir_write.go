package objects

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"
)

// piece is how many octets are written or read before the context is asked
// again.
const piece = 1 << 20

// Put implements [Store].
func (d *Dir) Put(ctx context.Context, name string, data []byte) error {
	if err := d.put(ctx, name, data, d.root.Rename); err != nil {
		return fmt.Errorf("put %s: %w", shorten(name), err)
	}
	return nil
}

// PutIfAbsent implements [Store]. The finished file gets a second name with
// link(2), which fails if that name is taken: so there is one winner, and no
// reader ever sees a file that is not finished.
func (d *Dir) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	if err := d.put(ctx, name, data, d.link); err != nil {
		return fmt.Errorf("put if absent %s: %w", shorten(name), err)
	}
	return nil
}

// put writes data to a file of its own and then gives it its name with move.
func (d *Dir) put(ctx context.Context, name string, data []byte, move func(from, to string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckPut(name, data); err != nil {
		return err
	}
	d.sweep(time.Now())
	temp := filepath.Join(tempFolder, rand.Text())
	defer d.root.Remove(temp)
	if err := d.write(ctx, temp, data); err != nil {
		return meaning(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}

	err := d.move(temp, name, move)
	if err != nil && !errors.Is(err, ErrExists) {
		return meaning(err)
	}
	// Whoever is told that an object exists may build on it, so the loser of
	// a race makes the winner's entry durable too.
	if e := d.flushFolders(name); e != nil {
		return e
	}
	return err
}

// write makes the file temp with data in it, on the disk.
func (d *Dir) write(ctx context.Context, temp string, data []byte) error {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	file, err := d.root.OpenFile(temp, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.root.Mkdir(tempFolder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		file, err = d.root.OpenFile(temp, flags, 0o600)
	}
	if err != nil {
		return err
	}
	for len(data) > 0 && err == nil {
		if err = ctx.Err(); err == nil {
			n := min(len(data), piece)
			_, err = file.Write(data[:n])
			data = data[n:]
		}
	}
	if err == nil {
		err = d.sync(file)
	}
	return errors.Join(err, file.Close())
}

// move gives the file temp its name, and makes the folders that it needs. It
// tries again where a Delete in another process, having emptied a folder, has
// removed it in between.
func (d *Dir) move(temp, name string, move func(from, to string) error) error {
	var err error
	for range 100 {
		err = move(temp, filepath.FromSlash(name))
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		err = d.root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o700)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err == nil {
		return nil
	}
	if info, e := d.root.Lstat(filepath.FromSlash(name)); e == nil && info.IsDir() {
		return fmt.Errorf("%w: there is a folder of that name", ErrRefused)
	}
	return err
}

func (d *Dir) link(from, to string) error { return linkError(d.root.Link(from, to)) }

// linkError says what an error of link(2) means for PutIfAbsent.
func linkError(err error) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return ErrExists
	// link(2): EPERM says that the file system has no hard links.
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("%w: a file system without hard links cannot keep a repository safe (%w)", ErrRefused, err)
	}
	return err
}

// flushFolders makes the entry of name durable, and those of the folders it is
// in: another process may have made them and not have come so far yet.
func (d *Dir) flushFolders(name string) error {
	for folder := path.Dir(name); ; folder = path.Dir(folder) {
		if err := d.flushFolder(folder); err != nil {
			return err
		}
		if folder == "." {
			return nil
		}
	}
}

func (d *Dir) flushFolder(folder string) error {
	file, err := d.root.Open(filepath.FromSlash(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // with everything in it, by a Delete that came later
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return d.sync(file)
}

// Delete implements [Store]. It also removes the folders that it empties.
func (d *Dir) Delete(ctx context.Context, name string) error {
	if err := d.delete(ctx, name); err != nil {
		return fmt.Errorf("delete %s: %w", shorten(name), err)
	}
	return nil
}

func (d *Dir) delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckName(name); err != nil {
		return err
	}
	info, err := d.root.Lstat(filepath.FromSlash(name))
	if err == nil && info.IsDir() {
		return nil // a folder is no object
	}
	if err == nil {
		err = d.root.Remove(filepath.FromSlash(name))
	}
	if err != nil && !isAbsent(err) {
		return meaning(err)
	}
	// Also where the file was gone already: whoever removed it may not have
	// flushed the folder yet.
	if err := d.flushFolder(path.Dir(name)); err != nil && !isAbsent(err) {
		return err
	}
	for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
		// Not os.Remove, which would remove a file of that name as well.
		if syscall.Rmdir(filepath.Join(d.path, filepath.FromSlash(folder))) != nil {
			break
		}
	}
	return nil
}
