package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"restante/restore"
	"restante/storage"
)

type catCmd struct {
	Account string `arg:"" help:"Account, by name or URL."`
	Message string `arg:"" help:"Message, as ls shows it: FOLDER#UID."`
	Point
	Output string `short:"o" placeholder:"FILE" help:"Write into this file, which must not be there yet."`
}

func (*catCmd) Help() string {
	return `The message comes out with the octets that the server sent. Only on a terminal, control characters are shown as ^X instead: a message could make it do something.

Example:

  restante cat alice 'INBOX#4711' > message.eml`
}

func (c *catCmd) Run(ctx context.Context, a *app) (err error) {
	folder, uid, err := restore.ParseReference(c.Message)
	if err != nil {
		return wrongUsage(err)
	}
	repo, tree, err := a.openAt(ctx, c.Account, "--at", c.At)
	if err != nil {
		return err
	}
	defer repo.Close()
	f := tree.Folder(storage.FolderLevels(folder))
	if f == nil {
		return withHint(fmt.Errorf("snapshot %s has no folder %q", tree.Snapshot.ID.Short(), folder), "restante ls %s lists the folders", shellWord(c.Account))
	}
	m, found, err := f.Message(ctx, uid)
	if err != nil {
		return err
	}
	if !found {
		return withHint(fmt.Errorf("snapshot %s has no message %d in %q", tree.Snapshot.ID.Short(), uid, folder), "restante ls %s %s lists the messages", shellWord(c.Account), shellWord(folder))
	}
	write := func(w io.Writer) error { return repo.WriteMessage(ctx, w, tree.Snapshot.Vault, m.Recipe) }
	switch {
	case c.Output != "":
		return writeNew(c.Output, write)
	case terminal(a.out):
		return buffered(a.out, func(w io.Writer) error {
			visible := &visibleWriter{w: w}
			if err := write(visible); err != nil {
				return err
			}
			return visible.flush()
		})
	}
	return buffered(a.out, write)
}

// buffered has something written to out, in large pieces.
func buffered(out io.Writer, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(out, 64<<10)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}

// writeNew writes a file that is not there yet, durably. After an error there
// is none.
func writeNew(path string, write func(io.Writer) error) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			os.Remove(path)
		}
	}()
	if err := buffered(file, write); err != nil {
		return err
	}
	return file.Sync()
}
