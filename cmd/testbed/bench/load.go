package bench

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"restante/cmd/testbed/rawimap"
)

// A loaded corpus is one that the mail server has.
type loaded struct {
	user    string
	served  fetched // what the server gives of it
	leftOut int     // messages that the server refused
	largest string  // the folder with most messages
	maildir string  // the same mail in files, with LF as the server keeps it
	files   int64   // octets in them
}

// loaders is how many connections load a corpus. The messages of a folder go
// through one of them, so that their order is always the same.
const loaders = 4

// load puts a corpus into an account of the mail server.
func (b *bench) load(ctx context.Context, c Corpus, user string) (*loaded, error) {
	b.site.Say("%s: loading it into the mail server", c.Name)
	began := time.Now()
	l := &loaded{user: user}
	queues := make([]chan letter, loaders)
	var mu sync.Mutex // guards count, refused and failed
	count, failed := map[string]int{}, error(nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan letter, 16)
		wg.Go(func() {
			err := b.append(ctx, user, queues[i], func(folder string, taken bool) {
				mu.Lock()
				defer mu.Unlock()
				if taken {
					count[folder]++
				} else {
					l.leftOut++
				}
			})
			if err != nil {
				cancel()
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			}
		})
	}
	var readErr error
	for letter, err := range c.mail {
		if readErr = err; err != nil {
			break
		}
		h := fnv.New32a()
		io.WriteString(h, letter.folder)
		select {
		case queues[h.Sum32()%loaders] <- letter:
			continue
		case <-ctx.Done():
		}
		break
	}
	for _, q := range queues {
		close(q)
	}
	wg.Wait()
	if err := errors.Join(readErr, failed, context.Cause(ctx)); err != nil {
		return nil, fmt.Errorf("loading %s: %w", c.Name, err)
	}
	messages := 0
	for folder, n := range count {
		messages += n
		if n > count[l.largest] || n == count[l.largest] && folder < l.largest {
			l.largest = folder
		}
	}
	if messages == 0 {
		return nil, fmt.Errorf("%s has no messages", c.Name)
	}
	b.site.Say("%s: %d messages loaded in %.0f s", c.Name, messages, time.Since(began).Seconds())
	if err := b.warm(ctx, l, messages); err != nil {
		return nil, err
	}
	return l, b.copyMaildir(l)
}

// append puts letters into folders, which it makes.
func (b *bench) append(ctx context.Context, user string, letters <-chan letter, done func(folder string, taken bool)) error {
	c, err := b.site.Login(ctx, user)
	if err != nil {
		return err
	}
	defer c.Close()
	made := map[string]bool{"INBOX": true}
	folder, batch := "", []rawimap.Outgoing(nil)
	flush := func() error {
		if !made[folder] && len(batch) > 0 {
			made[folder] = true
			if _, err := c.Do("CREATE " + rawimap.Quote(folder)); err != nil && !strings.Contains(err.Error(), "[ALREADYEXISTS]") {
				return err
			}
		}
		err := appendAll(c, folder, batch, done)
		batch = batch[:0]
		return err
	}
	date := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	n := 0
	for l := range letters {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if l.folder != folder || len(batch) == atOnce {
			if err := flush(); err != nil {
				return err
			}
			folder = l.folder
		}
		date = dateOf(l.octets, date)
		n++
		var flags []string
		if n%5 != 0 {
			flags = append(flags, `\Seen`)
		}
		if n%7 == 0 {
			flags = append(flags, `\Answered`)
		}
		batch = append(batch, rawimap.Outgoing{Flags: flags, Date: date, Octets: l.octets})
	}
	return flush()
}

// atOnce is how many messages are appended with one command.
const atOnce = 50

// appendAll appends messages; those that the server refuses it leaves out.
func appendAll(c *rawimap.Conn, folder string, list []rawimap.Outgoing, done func(folder string, taken bool)) error {
	if len(list) == 0 {
		return nil
	}
	err := c.AppendAll(folder, list)
	_, refused := errors.AsType[*rawimap.Refused](err)
	switch {
	case err != nil && !refused:
		return err
	case err != nil && len(list) > 1: // one of them is the reason
		for i := range list {
			if err := appendAll(c, folder, list[i:i+1], done); err != nil {
				return err
			}
		}
		return nil
	}
	for range list {
		done(folder, err == nil)
	}
	return nil
}

// dateOf is when a message says it was sent, or a minute after the one before.
func dateOf(message []byte, before time.Time) time.Time {
	header, _, _ := strings.Cut(string(message[:min(len(message), 16<<10)]), "\n\n")
	for line := range strings.Lines(header) {
		if len(line) > 5 && strings.EqualFold(line[:5], "Date:") {
			if d, err := mail.ParseDate(strings.TrimSpace(line[5:])); err == nil && d.Year() > 1970 && d.Year() < 2038 {
				return d
			}
		}
	}
	return before.Add(time.Minute)
}

// warm has the server read all messages once, so that its own indexes are
// there before anybody's time is taken.
func (b *bench) warm(ctx context.Context, l *loaded, messages int) error {
	c, err := b.site.Login(ctx, l.user)
	if err != nil {
		return err
	}
	defer c.Close()
	folders, err := c.List()
	if err != nil {
		return err
	}
	for _, f := range folders {
		if !f.Selectable() {
			continue
		}
		answer, err := c.Do("EXAMINE " + rawimap.Quote(f.Name) + " (CONDSTORE)")
		if err != nil {
			return err
		}
		l.served.Folders++
		if strings.Contains(strings.Join(answer, "\n"), "* 0 EXISTS") {
			continue
		}
		n, octets, err := c.Discard("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ BODY.PEEK[])")
		if err != nil {
			return err
		}
		l.served.Messages += n
		l.served.Octets += octets
	}
	if l.served.Messages != int64(messages) {
		return fmt.Errorf("%d messages were loaded, and the server has %d", messages, l.served.Messages)
	}
	return nil
}

// cool takes the server's indexes away, but for the numbers of the messages.
func (b *bench) cool(user string) error {
	return filepath.WalkDir(filepath.Join(b.site.Mail, user), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), "dovecot.") {
			return err
		}
		return os.Remove(path)
	})
}

// copyMaildir makes a Maildir with the messages as the mail server keeps them,
// and with nothing else, for programs that store files.
func (b *bench) copyMaildir(l *loaded) error {
	from := filepath.Join(b.site.Mail, l.user, "Maildir")
	l.maildir = filepath.Join(b.site.Dir, "maildir")
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.Join(l.maildir, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		if in := filepath.Base(filepath.Dir(path)); in != "cur" && in != "new" {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		octets, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, octets, 0o600); err != nil {
			return err
		}
		l.files += int64(len(octets))
		return os.Chtimes(to, info.ModTime(), info.ModTime())
	})
	if err != nil {
		return fmt.Errorf("copying the Maildir: %w", err)
	}
	return nil
}
