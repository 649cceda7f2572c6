package scale

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"restante/cmd/testbed/bench"
	"restante/cmd/testbed/rawimap"
)

// manyFolders are where very many messages are.
var manyFolders = []string{"INBOX", "Archive", "Lists", "Sent"}

// prepare fills the account and has the server number what is there, so that
// no time is taken of that.
func (t *trial) prepare(ctx context.Context, folders []string, messages int) error {
	if err := t.fill(ctx, folders, messages); err != nil {
		return err
	}
	c, err := t.site.Login(ctx, t.user)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, f := range folders {
		if _, err := c.Do("SELECT " + rawimap.Quote(f)); err != nil {
			return err
		}
	}
	return nil
}

// firstOnly is a first backup of messages, to compare with.
func (t *trial) firstOnly(ctx context.Context, messages int) error {
	if err := t.prepare(ctx, manyFolders, messages); err != nil {
		return err
	}
	_, err := t.backup(ctx, first, messages, messages)
	return err
}

// messages is the account of very many messages.
func (t *trial) messages(ctx context.Context, messages int) error {
	if err := t.firstOnly(ctx, messages); err != nil {
		return err
	}
	if err := t.nothingChanged(ctx, messages); err != nil {
		return err
	}
	folder := manyFolders[1]
	c, err := t.site.Login(ctx, t.user)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Append(folder, nil, at(messages), letter(messages)); err != nil {
		return err
	}
	messages++
	s, err := t.backup(ctx, "one new message", messages, 1)
	if err != nil {
		return err
	}
	s.atMost("requests", s.Requests, mostOne)

	flagged := min(1000, messages/len(manyFolders))
	for _, command := range []string{"SELECT " + folder, fmt.Sprintf(`STORE 1:%d +FLAGS.SILENT (\Flagged)`, flagged)} {
		if _, err := c.Do(command); err != nil {
			return err
		}
	}
	if s, err = t.backup(ctx, fmt.Sprintf("%d flags changed", flagged), messages, 0); err != nil {
		return err
	}
	s.atMost("requests", s.Requests, mostOne)
	if err := t.nothingAtHand(ctx, messages, mostCold); err != nil {
		return err
	}
	if err := t.open(ctx, folder, messages/len(manyFolders), flagged); err != nil {
		return err
	}
	if err := t.restoreTwice(ctx, messages); err != nil {
		return err
	}
	_, _, err = t.run(ctx, "check", "check")
	return err
}

// open lists a folder with nothing at hand: what counts is when a screen full
// of it is there. So many of its messages must be flagged.
func (t *trial) open(ctx context.Context, folder string, messages, flagged int) error {
	if err := os.RemoveAll(t.restante.Cache); err != nil {
		return err
	}
	t.site.Say("%s: opening a folder", t.name)
	listed := &listing{began: time.Now()}
	u, err := bench.Measure(ctx, t.site, t.Self, t.restante.Command("ls", t.user, folder, "--json"), listed)
	if err != nil {
		return err
	}
	s := &Step{Trial: t.name, What: fmt.Sprintf("ls of %s, no cache", bench.Count(int64(messages))), Usage: u, Note: fmt.Sprintf("first messages after %.2f s", listed.first.Seconds())}
	s.atMost("octets of memory", u.Peak, mostMemory)
	if listed.first > mostOpening && !t.Untimed {
		s.Broken = append(s.Broken, fmt.Sprintf("at most %v", mostOpening))
	}
	t.report.Steps = append(t.report.Steps, s)
	if listed.references < messages || listed.flagged != flagged {
		return fmt.Errorf("ls tells of %d messages, %d of them flagged; there are %d, %d", listed.references, listed.flagged, messages, flagged)
	}
	return nil
}

// screen is how many messages are enough to begin with.
const screen = 50

// A listing looks at what ls prints while it comes.
type listing struct {
	began               time.Time
	first               time.Duration // until a screen of messages was there
	references, flagged int
	line                []byte // the last one, not complete
}

func (l *listing) Write(b []byte) (int, error) {
	l.line = append(l.line, b...)
	whole := l.line[:bytes.LastIndexByte(l.line, '\n')+1]
	l.references += bytes.Count(whole, []byte(`"reference":`))
	l.flagged += bytes.Count(whole, []byte(`"\\Flagged"`))
	l.line = append(l.line[:0], l.line[len(whole):]...)
	if l.references >= screen && l.first == 0 {
		l.first = time.Since(l.began)
	}
	return len(b), nil
}

// restoreTwice restores all mail, and once more, which must not add any.
func (t *trial) restoreTwice(ctx context.Context, messages int) error {
	// Not a Maildir: Dovecot would read its list of files again with each message,
	// to count a quota, while others are appended to other folders.
	other := t.user + "mdbox"
	to := t.site.AccountURL(other)
	if t.Maildir {
		to = "maildir:" + t.dir("restored")
		defer os.RemoveAll(t.dir("restored"))
	}
	defer t.site.Forget(other)
	for _, run := range []struct {
		what string
		want int64
	}{{"restore", int64(messages)}, {"restore again", 0}} {
		_, out, err := t.run(ctx, run.what, "restore", t.user, "--to", to, "--json")
		if err != nil {
			return err
		}
		var said struct {
			Folders []struct{ Selected, Present, Appended int64 }
		}
		if err := json.Unmarshal([]byte(out), &said); err != nil {
			return fmt.Errorf("reading what restante restore --json printed: %w", err)
		}
		var selected, present, appended int64
		for _, f := range said.Folders {
			selected, present, appended = selected+f.Selected, present+f.Present, appended+f.Appended
		}
		if selected != int64(messages) || appended != run.want || present != selected-appended {
			return fmt.Errorf("%s: of %d messages %d were there and %d appended; %d were to be", run.what, selected, present, appended, run.want)
		}
	}
	return nil
}
