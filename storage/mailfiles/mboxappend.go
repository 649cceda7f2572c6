package mailfiles

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// An MboxAppender adds messages to an mbox file that mail programs use, too.
// It holds the file's locks until Close. What it writes is as [MboxWriter]
// writes it, whatever is in the file already.
//
// While it works, a hidden file beside the mbox says up to where the mbox was
// whole and durable. If the program dies, the next AppendMbox finds it and
// cuts off what was begun, provided that nobody has written behind it.
type MboxAppender struct {
	root    *os.Root
	name    string
	dotlock string
	file    *os.File
	w       *MboxWriter

	durable int64  // up to here everything is whole and synced
	end     int64  // up to here everything is whole
	missing string // line ends that must come before the first From_ line
	broken  error  // why nothing more can be written

	// Repaired is how many octets of an interrupted run were cut off.
	Repaired int64
	// LeftAsItWas says that an interrupted run left something behind, and that
	// it was not cut off because another program wrote to the file since.
	LeftAsItWas bool
}

// AppendMbox opens the mbox file name for adding messages, and creates it if
// there is none. It waits half a minute for other programs to let go of the
// file, then says ErrLocked.
func AppendMbox(ctx context.Context, name string) (*MboxAppender, error) {
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, fmt.Errorf("opening the mbox for writing: %w", err)
	}
	return appendMbox(ctx, root, filepath.Base(name))
}

// appendMbox is AppendMbox for a file in root, which it closes in the end.
func appendMbox(ctx context.Context, root *os.Root, name string) (*MboxAppender, error) {
	a := &MboxAppender{root: root, name: name}
	var err error
	if a.file, a.dotlock, err = lockMbox(ctx, root, name); err == nil {
		err = a.begin()
	}
	if err != nil {
		a.close()
		return nil, fmt.Errorf("opening the mbox %s for writing: %w", name, err)
	}
	a.w = NewMboxWriter(a.file, root.Name())
	return a, nil
}

// begin repairs what an interrupted run left, and finds the end.
func (a *MboxAppender) begin() error {
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	a.end = info.Size()
	if err := a.repair(); err != nil {
		return err
	}
	if err := a.writeJournal(a.end); err != nil {
		return err
	}
	if a.missing, err = missingLineEnds(a.file, a.end); err != nil {
		return err
	}
	_, err = a.file.Seek(a.end, io.SeekStart)
	return err
}

// missingLineEnds returns what must follow before a From_ line can: it has an
// empty line before it.
func missingLineEnds(file *os.File, size int64) (string, error) {
	tail := make([]byte, min(size, 3))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil {
		return "", err
	}
	switch text := string(tail); {
	case text == "", strings.HasSuffix(text, "\n\n"), strings.HasSuffix(text, "\n\r\n"):
		return "", nil
	case strings.HasSuffix(text, "\n"):
		return "\n", nil
	default:
		return "\n\n", nil
	}
}

// Write adds one message, as [MboxWriter.Write] does. After an error the file
// holds what it held before. The message is durable after Sync or Close.
// ErrChanged says that another program wrote to the file in spite of the
// locks; then nothing more can be written.
func (a *MboxAppender) Write(ctx context.Context, d Delivery, r io.Reader) (Delivered, error) {
	if a.broken == nil {
		a.broken = a.sizeIs(a.end)
	}
	if a.broken != nil {
		return Delivered{}, a.broken
	}
	done, err := a.write(ctx, d, r)
	if err != nil {
		if a.broken = a.undo(); a.broken != nil {
			err = errors.Join(err, fmt.Errorf("taking half a message back from the mbox %s: %w", a.name, a.broken))
		}
		return Delivered{}, err
	}
	return done, nil
}

func (a *MboxAppender) write(ctx context.Context, d Delivery, r io.Reader) (Delivered, error) {
	if _, err := a.file.WriteString(a.missing); err != nil {
		return Delivered{}, err
	}
	done, err := a.w.Write(ctx, d, r)
	if err != nil {
		return Delivered{}, err
	}
	a.missing = ""
	a.end, err = a.file.Seek(0, io.SeekCurrent)
	return done, err
}

// sizeIs checks that the file ends where we left it.
func (a *MboxAppender) sizeIs(size int64) error {
	info, err := a.file.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("the mbox %s has %d octets and should have %d: %w", a.name, info.Size(), size, ErrChanged)
	}
	return err
}

// undo takes back what was written of a message.
func (a *MboxAppender) undo() error {
	a.w = NewMboxWriter(a.file, a.root.Name())
	written, err := a.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := a.sizeIs(written); err != nil {
		return err
	}
	if err := a.file.Truncate(a.end); err != nil {
		return err
	}
	_, err = a.file.Seek(a.end, io.SeekStart)
	return err
}

// Sync makes everything written so far durable.
func (a *MboxAppender) Sync() error {
	err := a.broken
	if err == nil {
		err = a.file.Sync()
	}
	if err == nil && a.end != a.durable {
		err = a.writeJournal(a.end)
	}
	if err != nil {
		return fmt.Errorf("syncing the mbox %s: %w", a.name, err)
	}
	return nil
}

// Close makes everything durable and lets go of the file.
func (a *MboxAppender) Close() error {
	err := a.broken
	if err == nil {
		err = a.file.Sync()
	}
	if err == nil {
		if err = a.root.Remove(a.journal()); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = syncDirOf(a.root, ".")
	}
	if err = errors.Join(err, a.close()); err != nil {
		return fmt.Errorf("closing the mbox %s: %w", a.name, err)
	}
	return nil
}

// close releases what there is, the locks last.
func (a *MboxAppender) close() error {
	var err error
	if a.file != nil {
		err = a.file.Close()
	}
	if a.dotlock != "" {
		err = errors.Join(err, removeDotlock(a.root, a.dotlock))
	}
	return errors.Join(err, a.root.Close())
}

// journal is the name of the file that says how much of the mbox is whole.
func (a *MboxAppender) journal() string { return "." + a.name + ".restante-append" }

// journalHead begins the journal; the number of octets follows, and a LF.
const journalHead = "restante mbox append 1\n"

func (a *MboxAppender) writeJournal(size int64) error {
	next := a.journal() + ".new"
	if err := a.root.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := a.root.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s%d\n", journalHead, size)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = a.root.Rename(next, a.journal())
	}
	if err != nil { // the disk is full: an empty file has room and is of no use
		a.root.Remove(next)
		return err
	}
	a.durable = size
	return syncDirOf(a.root, ".")
}

// repair cuts off what an interrupted run began and nobody was told of.
func (a *MboxAppender) repair() error {
	text, err := readSmall(a.root, a.journal())
	if err != nil || text == nil {
		return err
	}
	number, ok := strings.CutPrefix(string(text), journalHead)
	whole, err := strconv.ParseInt(strings.TrimSuffix(number, "\n"), 10, 64)
	if !ok || err != nil || whole < 0 || whole >= a.end {
		return nil // nothing was written, or the file is another one by now
	}
	ours, err := isOurs(io.NewSectionReader(a.file, whole, a.end-whole))
	if err != nil {
		return err
	}
	if !ours {
		a.LeftAsItWas = true
		return nil
	}
	if err := a.file.Truncate(whole); err != nil {
		return err
	}
	a.Repaired, a.end = a.end-whole, whole
	return a.file.Sync()
}

// isOurs reports whether what follows the whole part of a file is what an
// interrupted run of MboxAppender can have left: an empty line or two, then
// our messages, the last of them cut off anywhere, or zeros where the file
// system lost what was not synced. In our messages no line begins with
// "From " but From_ lines with our mark.
func isOurs(r *io.SectionReader) (bool, error) {
	head := make([]byte, min(r.Size(), 64))
	if _, err := io.ReadFull(r, head); err != nil {
		return false, err
	}
	head = head[lineEnds(head):]
	if begin := len(ourPrefix); len(head) >= begin && !bytes.HasPrefix(head, ourPrefix) && head[0] != 0 ||
		len(head) < begin && !bytes.HasPrefix(ourPrefix, head) && head[0] != 0 {
		return false, nil
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	in := bufio.NewReaderSize(r, 64<<10)
	for lineStart := true; ; {
		line, err := in.ReadSlice('\n')
		if lineStart && bytes.HasPrefix(line, fromPrefix) && !bytes.HasPrefix(line, ourPrefix) && !bytes.HasPrefix(ourPrefix, line) {
			return false, nil
		}
		lineStart = err == nil
		if err == io.EOF {
			return true, nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return false, err
		}
	}
}

// ourPrefix begins every From_ line that MboxWriter writes.
var ourPrefix = []byte("From mboxrd.")
