package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/site"
)

// tryRestante backs the account up three times: for the first time, with
// nothing changed, and with one new message in the largest folder.
func (b *bench) tryRestante(bucket bool) func(context.Context, *loaded, string, func(string, Sample)) error {
	return func(ctx context.Context, l *loaded, dir string, record func(string, Sample)) error {
		place, err := b.site.Place(filepath.Join(filepath.Base(dir), "repository"), bucket)
		if err != nil {
			return err
		}
		r, err := b.site.NewRestante(ctx, b.restante, filepath.Join(filepath.Base(dir), "restante"), place)
		if err != nil {
			return err
		}
		backup := func(run string, messages int64) error {
			s, out, err := b.run(ctx, r.Command("backup", b.site.AccountURL(l.user), "--connections", strconv.Itoa(b.Connections), "--json"))
			if err != nil {
				return err
			}
			said, err := site.ParseBackup(out)
			if err != nil {
				return err
			}
			if said.Snapshot.Messages != messages {
				return fmt.Errorf("the account has %d messages, and the snapshot %d", messages, said.Snapshot.Messages)
			}
			s.Requests, s.Sent, s.Fetched = said.Requests, said.Sent, said.Fetched
			if s.Stored, err = r.Stored(ctx); err != nil {
				return err
			}
			record(run, s)
			return nil
		}
		if err := backup(firstRun, l.served.Messages); err != nil {
			return err
		}
		if err := backup(nothing, l.served.Messages); err != nil {
			return err
		}
		undo, err := b.deliver(ctx, l)
		if err != nil {
			return err
		}
		if err := backup(oneLetter, l.served.Messages+1); err != nil {
			return err
		}
		return undo()
	}
}

// deliver adds a message to the largest folder; undo takes it away again.
func (b *bench) deliver(ctx context.Context, l *loaded) (undo func() error, err error) {
	c, err := b.site.Login(ctx, l.user)
	if err != nil {
		return nil, err
	}
	m := site.NewMaker(uint64(b.trials)).Next()
	if err := c.Append(l.largest, nil, m.Date, m.Octets); err != nil {
		c.Close()
		return nil, err
	}
	return func() error {
		defer c.Close()
		for _, command := range []string{"SELECT " + rawimap.Quote(l.largest), `STORE * +FLAGS.SILENT (\Deleted)`, "EXPUNGE", "LOGOUT"} {
			if _, err := c.Do(command); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// tryBareFetch reads all mail and throws it away.
func (b *bench) tryBareFetch(connections int) func(context.Context, *loaded, string, func(string, Sample)) error {
	return func(ctx context.Context, l *loaded, _ string, record func(string, Sample)) error {
		ca := ""
		if b.site.TLS {
			ca = b.site.CA
		}
		s, out, err := b.run(ctx, b.site.Command(b.Self, PartFlag, "fetch", b.site.Address(), ca, l.user, strconv.Itoa(connections)))
		if err != nil {
			return err
		}
		var got fetched
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			return err
		}
		if got != l.served {
			return fmt.Errorf("the server has %+v, and the bare fetch got %+v", l.served, got)
		}
		record(firstRun, s)
		return nil
	}
}

// tryMbsync pulls the account into a Maildir, and once more.
func (b *bench) tryMbsync(ctx context.Context, l *loaded, dir string, record func(string, Sample)) error {
	host, port, err := net.SplitHostPort(b.site.Address())
	if err != nil {
		return err
	}
	security := "SSLType None\nAuthMechs LOGIN\n"
	if b.site.TLS {
		security = "SSLType IMAPS\nSystemCertificates no\nCertificateFile " + b.site.CA + "\n"
	}
	config := fmt.Sprintf(`FSync no

IMAPAccount server
Host %[1]s
Port %[2]s
User %[3]s
Pass %[4]s
%[5]s
IMAPStore far
Account server

MaildirStore near
Path %[6]s/mail/
Inbox %[6]s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Sync Pull
CopyArrivalDate yes
SyncState %[6]s/state/
`, host, port, l.user, site.Password, security, dir)
	for _, sub := range []string{"mail", "state"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	rc := filepath.Join(dir, "mbsyncrc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		return err
	}
	for i, run := range []string{firstRun, nothing} {
		if i > 0 {
			time.Sleep(2 * time.Second) // else it waits itself, until the Maildir is not of this second
		}
		s, _, err := b.run(ctx, b.site.Command("mbsync", "-c", rc, "-a", "-q"))
		if err != nil {
			return err
		}
		n, err := messagesIn(filepath.Join(dir, "mail"))
		if err != nil {
			return err
		}
		if n != l.served.Messages {
			return fmt.Errorf("the account has %d messages, and mbsync pulled %d", l.served.Messages, n)
		}
		if s.Stored, err = site.DirSize(filepath.Join(dir, "mail")); err != nil {
			return err
		}
		record(run, s)
	}
	return nil
}

// messagesIn counts the files in a tree of Maildirs.
func messagesIn(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if in := filepath.Base(filepath.Dir(path)); err == nil && !d.IsDir() && (in == "cur" || in == "new") {
			n++
		}
		return err
	})
	return n, err
}
