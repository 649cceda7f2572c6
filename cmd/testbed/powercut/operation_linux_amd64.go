package powercut

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// An operation changes files, or makes such a change certain.
type operation struct {
	kind      string
	path      string // absolute
	to        string // of a rename or link
	fd        string // of what is open, below /proc
	takesRoom bool
	beside    bool // an operation of another thread
	rmdir     bool
	detail    string
	below     string
}

func (o *operation) String() string {
	s := o.kind + " " + strings.TrimPrefix(o.path, o.below+"/")
	if o.to != "" {
		s += " to " + strings.TrimPrefix(o.to, o.below+"/")
	}
	return s + o.detail
}

// System calls of Linux on amd64 that Go's syscall package does not name.
const (
	sysRenameat2     = 316
	sysCopyFileRange = 326
)

// look says what operation a system call is; nil: none of ours.
func (t *tracer) look(tid int, r *syscall.PtraceRegs) *operation {
	fd := func(n uint64) string { return fmt.Sprintf("/proc/%d/fd/%d", tid, int32(n)) }
	named := func(dir, name uint64) string {
		path := text(tid, name)
		if filepath.IsAbs(path) {
			return filepath.Clean(path)
		}
		at := fd(dir)
		if int32(dir) == -100 { // AT_FDCWD
			at = fmt.Sprintf("/proc/%d/cwd", tid)
		}
		above, _ := os.Readlink(at)
		return filepath.Join(above, path)
	}
	open := func(kind string, n uint64) *operation {
		path, _ := os.Readlink(fd(n))
		return &operation{kind: kind, path: strings.TrimSuffix(path, " (deleted)"), fd: fd(n)}
	}
	var o *operation
	switch r.Orig_rax {
	case syscall.SYS_OPENAT:
		if r.Rdx&(syscall.O_CREAT|syscall.O_TRUNC) == 0 {
			return nil
		}
		o = &operation{kind: "create", path: named(r.Rdi, r.Rsi), takesRoom: true}
		if info, err := os.Lstat(o.path); err == nil {
			if r.Rdx&syscall.O_TRUNC == 0 || info.Size() == 0 || r.Rdx&syscall.O_EXCL != 0 {
				return nil // nothing changes
			}
			o.kind = "truncate"
		}
		if filepath.Base(o.path) == "." || r.Rdx&0x400000 == 0x400000 { // O_TMPFILE
			return nil
		}
	case syscall.SYS_WRITE, syscall.SYS_PWRITE64:
		if r.Rdx == 0 {
			return nil // nothing changes
		}
		o = open("write", r.Rdi)
		o.takesRoom, o.detail = true, fmt.Sprintf(" (%d)", r.Rdx)
	case syscall.SYS_WRITEV, sysCopyFileRange, syscall.SYS_SENDFILE:
		o = open("write at once", r.Rdi)
		if r.Orig_rax == sysCopyFileRange {
			o = open("write at once", r.Rdx)
		}
		o.takesRoom = true
	case syscall.SYS_FTRUNCATE:
		o = open("cut", r.Rdi)
		o.detail = fmt.Sprintf(" (%d)", r.Rsi)
	case syscall.SYS_FSYNC, syscall.SYS_FDATASYNC:
		o = open("fsync", r.Rdi)
	case syscall.SYS_RENAMEAT, sysRenameat2:
		o = &operation{kind: "rename", path: named(r.Rdi, r.Rsi), to: named(r.Rdx, r.R10)}
	case syscall.SYS_LINKAT:
		o = &operation{kind: "link", path: named(r.Rdi, r.Rsi), to: named(r.Rdx, r.R10), takesRoom: true}
	case syscall.SYS_MKDIRAT:
		o = &operation{kind: "mkdir", path: named(r.Rdi, r.Rsi), takesRoom: true}
	case syscall.SYS_MKDIR:
		o = &operation{kind: "mkdir", path: named(uint64(0xffffffffffffff9c), r.Rdi), takesRoom: true}
	case syscall.SYS_UNLINKAT:
		o = &operation{kind: "remove", path: named(r.Rdi, r.Rsi), rmdir: r.Rdx&0x200 != 0}
	case syscall.SYS_RMDIR, syscall.SYS_UNLINK:
		o = &operation{kind: "remove", path: named(uint64(0xffffffffffffff9c), r.Rdi), rmdir: r.Orig_rax == syscall.SYS_RMDIR}
	case syscall.SYS_UTIMENSAT:
		o = &operation{kind: "date", path: named(r.Rdi, r.Rsi)}
		if r.Rsi == 0 {
			o = open("date", r.Rdi)
		}
	default:
		return nil
	}
	if o.kind == "remove" || o.kind == "rename" || o.kind == "link" {
		if _, err := os.Lstat(o.path); err != nil {
			return nil // nothing changes
		}
	}
	if o.kind == "mkdir" {
		if _, err := os.Lstat(o.path); err == nil {
			return nil
		}
	}
	for _, b := range t.Below {
		for _, path := range []string{o.path, o.to} {
			if path == b || strings.HasPrefix(path, b+"/") {
				o.below = filepath.Dir(b)
				return o
			}
		}
	}
	return nil
}

// text reads a string of the program's.
func text(tid int, at uint64) string {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", tid))
	if err != nil {
		return ""
	}
	defer mem.Close()
	var b []byte
	for len(b) < 4096 && bytes.IndexByte(b, 0) < 0 {
		piece := make([]byte, 64)
		n, err := mem.ReadAt(piece, int64(at)+int64(len(b)))
		b = append(b, piece[:n]...)
		if err != nil {
			break
		}
	}
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// prepare notes how an operation can be taken back. What it returns is called
// once it was done.
func (t *tracer) prepare(o *operation) (done func()) {
	dir, at := t.entry(o.path)
	note := func(in inode, do func() error) {
		t.noted++
		t.lost = append(t.lost, undo{o.String(), in, do, t.noted, o.beside})
	}
	switch o.kind {
	case "create", "mkdir":
		return func() { note(dir, func() error { return os.RemoveAll(at()) }) }
	case "truncate":
		t.soil(o.path)
	case "write", "write at once", "cut":
		t.soil(o.fd)
	case "fsync":
		i, isDir := inodeOf(o.fd)
		before := t.noted
		return func() {
			delete(t.data, i)
			if isDir {
				kept := t.lost[:0]
				for _, u := range t.lost {
					if u.in != i || u.n > before {
						kept = append(kept, u)
					}
				}
				t.lost = kept
			}
		}
	case "link":
		to, there := t.entry(o.to)
		return func() { note(to, func() error { return os.Remove(there()) }) }
	case "rename":
		to, there := t.entry(o.to)
		replaced := t.stash(o.to)
		return func() {
			note(to, func() error {
				if _, err := os.Lstat(at()); err == nil && o.beside {
					return nil // it was not done
				}
				if err := os.Rename(there(), at()); err != nil || replaced == "" {
					return err
				}
				return os.Link(replaced, there())
			})
		}
	case "remove":
		if o.rmdir {
			was, _ := inodeOf(o.path)
			return func() {
				note(dir, func() error {
					err := os.Mkdir(at(), 0o700)
					if err == nil && t.dirs[was] != nil {
						t.dirs[was], err = os.Open(at()) // what was taken out of it comes back here
					}
					return err
				})
			}
		}
		removed := t.stash(o.path)
		return func() { note(dir, func() error { return os.Link(removed, at()) }) }
	}
	return func() {}
}

// entry is the directory of a path, and how it is reached even when that, or one
// above it, has got another name since.
func (t *tracer) entry(path string) (dir inode, at func() string) {
	above, name := filepath.Split(path)
	dir, _ = inodeOf(above)
	if t.dirs[dir] == nil {
		if open, err := os.Open(above); err == nil {
			t.dirs[dir] = open
		}
	}
	dirs := t.dirs
	return dir, func() string {
		if dirs[dir] == nil {
			return path
		}
		return fmt.Sprintf("/proc/self/fd/%d/%s", dirs[dir].Fd(), name)
	}
}

// stash keeps a file that is about to lose its name.
func (t *tracer) stash(path string) string {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	to := filepath.Join(t.Stash, fmt.Sprint(len(t.Operations)))
	if os.Link(path, to) != nil {
		return ""
	}
	return to
}

// soil remembers what is on the disk of a file that is about to change.
func (t *tracer) soil(path string) {
	i, isDir := inodeOf(path)
	if isDir || t.data[i] != nil {
		return
	}
	was, err := os.ReadFile(path)
	if err != nil {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	t.data[i] = &dirty{func() error {
		defer file.Close()
		if err := file.Truncate(0); err != nil {
			return err
		}
		_, err := file.WriteAt(was, 0)
		return err
	}}
}

func inodeOf(path string) (i inode, isDir bool) {
	info, err := os.Stat(path)
	if err != nil {
		return i, false
	}
	s := info.Sys().(*syscall.Stat_t)
	return inode{s.Dev, s.Ino}, info.IsDir()
}
