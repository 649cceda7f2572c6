package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
	"time"
)

// A Delivery is what comes with a message that is put into a folder.
type Delivery struct {
	Flags []string // IMAP's flags and keywords
	// Date is the internal date; the zero time says that there is none, and a
	// file in a Maildir has the present one then. Whole seconds are kept, in
	// an mbox the zone as well. In a Maildir a date that no file can have,
	// before 1902 or after 2262, becomes the nearest one.
	Date time.Time
	// New puts the message into new of a Maildir, for a mail program to find.
	// With flags it goes into cur in any case, new has no place for them.
	New bool
}

// Delivered is what became of a delivery.
type Delivered struct {
	Key  string // the message's key in a Maildir folder; an mbox has none
	Size int64  // octets
	// NotKept are flags that could not be kept: system flags that local mail
	// does not know, keywords that are no atoms, and those for which the 26
	// letters of a Maildir did not suffice; of an mbox, all keywords but
	// $Forwarded.
	NotKept []string
}

// A MaildirWriter adds messages to a folder. It is for one goroutine; a folder
// may have several writers.
type MaildirWriter struct {
	folder  *MaildirFolder
	batch   int
	ready   bool // cur, new and tmp are there
	copied  []byte
	waiting []waiting
}

// waiting is a message that is whole in tmp.
type waiting struct {
	tmp, final string
	file       *os.File
}

// Writer returns a writer that makes messages visible and durable in batches
// of that many: a message is first in tmp, then synced, then renamed, then
// its directory is synced. With a batch of 1 a message is safe when Deliver
// returns; with more it is when Flush or Close does. Every message that waits
// keeps a file open.
func (f *MaildirFolder) Writer(batch int) *MaildirWriter {
	return &MaildirWriter{folder: f, batch: max(batch, 1), copied: make([]byte, 32<<10)}
}

// Deliver writes the octets of r into a new message. After an error the
// message is not in the folder, unless the error came from Flush.
func (w *MaildirWriter) Deliver(ctx context.Context, d Delivery, r io.Reader) (Delivered, error) {
	done, err := w.deliver(ctx, d, r)
	if err != nil {
		return Delivered{}, fmt.Errorf("delivering into a Maildir folder: %w", err)
	}
	if len(w.waiting) >= w.batch {
		if err := w.Flush(); err != nil {
			return Delivered{}, err
		}
	}
	return done, nil
}

func (w *MaildirWriter) deliver(ctx context.Context, d Delivery, r io.Reader) (done Delivered, err error) {
	root := w.folder.root
	if !w.ready {
		// Not every mail program makes all three.
		if err := makeMaildir(root, "."); err != nil {
			return done, err
		}
		w.ready = true
	}
	letters, notKept, err := w.folder.letters(ctx, d.Flags)
	if err != nil {
		return done, err
	}
	unique := newUnique(time.Now())
	tmp := "tmp/" + unique
	file, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return done, err
	}
	defer func() {
		if err != nil {
			file.Close()
			root.Remove(tmp)
		}
	}()
	size, err := io.CopyBuffer(struct{ io.Writer }{file}, &contextReader{ctx, r}, w.copied)
	if err != nil {
		return done, err
	}
	if !d.Date.IsZero() {
		date := fileTime(d.Date)
		if err := root.Chtimes(tmp, date, date); err != nil {
			return done, err
		}
	}
	done = Delivered{Key: fmt.Sprintf("%s,S=%d", unique, size), Size: size, NotKept: notKept}
	final := "cur/" + done.Key + infoSeparator + "2," + letters
	if d.New && letters == "" {
		final = "new/" + done.Key
	}
	w.waiting = append(w.waiting, waiting{tmp, final, file})
	return done, nil
}

// Flush makes everything delivered so far visible and durable. After an error
// some of it may be and some not; what is not is no longer in tmp either.
func (w *MaildirWriter) Flush() error {
	root := w.folder.root
	synced := make([]error, len(w.waiting))
	var syncs sync.WaitGroup
	slots := make(chan struct{}, parallelSyncs)
	for i, m := range w.waiting {
		slots <- struct{}{}
		syncs.Go(func() {
			synced[i] = errors.Join(m.file.Sync(), m.file.Close())
			<-slots
		})
	}
	syncs.Wait()
	var failed error // the first of maybe many
	moved := make(map[string]bool)
	for i, m := range w.waiting {
		err := synced[i]
		if err == nil {
			err = root.Rename(m.tmp, m.final)
		}
		if err == nil {
			moved[m.final[:len("cur")]] = true
			continue
		}
		root.Remove(m.tmp)
		if failed == nil {
			failed = err
		}
	}
	w.waiting = nil
	for dir := range moved {
		if err := syncDirOf(root, dir); failed == nil {
			failed = err
		}
	}
	if failed != nil {
		return fmt.Errorf("delivering into a Maildir folder: %w", failed)
	}
	return nil
}

// parallelSyncs is how many files are synced at the same time: file systems
// write down together what they are asked for together.
const parallelSyncs = 16

// Close flushes. The writer must not be used afterwards.
func (w *MaildirWriter) Close() error { return w.Flush() }

// letters returns the info letters for flags, with letters for keywords that
// the folder's table has or gets, and the flags that have to be left out.
func (f *MaildirFolder) letters(ctx context.Context, flags []string) (letters string, notKept []string, err error) {
	letters, keywords, notKept := sortFlags(flags)
	// Dovecot keeps $Forwarded as a keyword, others as the letter P. Written
	// both ways everybody sees it.
	named := keywords
	for i := range letters {
		if letters[i] == 'P' {
			named = append(named, flagForwarded)
		}
	}
	if len(named) == 0 {
		return letters, notKept, nil
	}
	table, err := f.keywordsFor(ctx, named)
	if err != nil {
		return "", nil, err
	}
	var set [256]bool
	for _, k := range named {
		if letter := table.letter(k); letter != 0 {
			set[letter] = true
		} else if k != flagForwarded {
			notKept = append(notKept, k)
		}
	}
	for letter := byte('a'); letter <= 'z'; letter++ {
		if set[letter] {
			letters += string(rune(letter))
		}
	}
	return letters, notKept, nil
}

// fileTime returns the date as a file has it.
func fileTime(date time.Time) time.Time {
	first, last := time.Unix(math.MinInt32, 0), time.Unix(math.MaxInt64/int64(time.Second), 0)
	switch {
	case date.Before(first):
		return first
	case date.After(last):
		return last
	}
	return date.Truncate(time.Second)
}

// contextReader is a reader that fails when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// makeMaildir makes the directories of one folder where they are missing.
func makeMaildir(root *os.Root, dir string) error {
	for _, name := range []string{"tmp", "new", "cur"} {
		if err := root.Mkdir(dir+"/"+name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return syncDirOf(root, dir)
}
