package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
)

// Get implements [Store].
func (d *Dir) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	data, err := d.get(ctx, name, offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", shorten(name), err)
	}
	return data, nil
}

func (d *Dir) get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := CheckGet(name, offset); err != nil {
		return nil, err
	}
	local := filepath.FromSlash(name)
	// Looked at first, because opening a pipe would wait for somebody to write.
	info, err := d.root.Lstat(local)
	switch {
	case isAbsent(err), err == nil && info.IsDir():
		return nil, ErrNotFound
	case err != nil:
		return nil, meaning(err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is not a regular file (%s)", ErrRefused, info.Mode())
	}
	file, err := d.root.Open(local)
	if isAbsent(err) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, meaning(err)
	}
	defer file.Close()
	// Once more, of the file that was opened: it may be a newer one.
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	size := info.Size()
	if length < 0 {
		length = max(0, size-offset)
	}
	if offset > size || length > size-offset {
		return nil, fmt.Errorf("%w: it has %d octets", ErrRange, size)
	}
	if length > MaxSize {
		return nil, fmt.Errorf("%w: %d octets are more than any object of a repository has", ErrRefused, length)
	}
	data := make([]byte, length)
	for done := 0; done < len(data); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := file.ReadAt(data[done:min(len(data), done+piece)], offset+int64(done))
		done += n
		if err == io.EOF && done < len(data) {
			return nil, fmt.Errorf("the file was cut short while it was read: %w", io.ErrUnexpectedEOF)
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
	}
	return data, nil
}

// List implements [Store]. It reads only the folders that can hold names that
// are asked for.
func (d *Dir) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := CheckList(prefix, after); err != nil {
			yield(Info{}, fmt.Errorf("list: %w", err))
			return
		}
		folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if err := d.list(ctx, folder, prefix, after, yield); err != nil && err != errStopped {
			yield(Info{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

// errStopped says that whoever lists has seen enough.
var errStopped = errors.New("stopped")

// list goes through a folder, which is "" or ends with '/', and those below.
//
// A folder's place among the files beside it is that of its name with a '/'
// behind it, since all names in it begin so: "a-b" comes before "a/b", and
// "a0" after. Sorted like that, a walk meets whole names in byte order.
func (d *Dir) list(ctx context.Context, folder, prefix, after string, yield func(Info, error) bool) error {
	names, err := d.entries(folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.HasSuffix(name, "/") {
			wanted := strings.HasPrefix(name, prefix) || strings.HasPrefix(prefix, name)
			passed := name < after && !strings.HasPrefix(after, name)
			if wanted && !passed {
				if err := d.list(ctx, name, prefix, after, yield); err != nil {
					return err
				}
			}
			continue
		}
		if !strings.HasPrefix(name, prefix) || name <= after {
			continue
		}
		info, err := d.root.Lstat(filepath.FromSlash(name))
		if isAbsent(err) {
			continue // deleted since the folder was read
		}
		if err != nil {
			return meaning(err)
		}
		if info.IsDir() {
			continue // replaced since
		}
		if !yield(Info{Name: name, Size: info.Size(), Modified: info.ModTime()}, nil) {
			return errStopped
		}
	}
	return ctx.Err()
}

// entries returns the names of objects in a folder, and of the folders in it
// with a '/' behind them, in byte order. A folder that is not there is empty.
func (d *Dir) entries(folder string) ([]string, error) {
	local := "."
	if folder != "" {
		local = filepath.FromSlash(strings.TrimSuffix(folder, "/"))
	}
	file, err := d.root.Open(local)
	if isAbsent(err) && folder != "" {
		return nil, nil
	}
	if err != nil {
		return nil, meaning(err)
	}
	defer file.Close()
	found, err := file.ReadDir(-1)
	if err != nil && !(isAbsent(err) && folder != "") {
		return nil, meaning(err)
	}
	var names []string
	for _, entry := range found {
		name := folder + entry.Name()
		if checkName(name) != nil {
			continue // ours in .tmp, or somebody else's like lost+found
		}
		switch entry.Type() {
		case 0:
			names = append(names, name)
		case fs.ModeDir:
			names = append(names, name+"/")
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
