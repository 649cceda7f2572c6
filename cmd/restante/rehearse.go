package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"restante/restore"
	"restante/restore/export"
	"restante/restore/rehearsal"
	"restante/storage"
)

type rehearseCmd struct {
	Account string `arg:"" optional:"" help:"Account, by name or URL (default: each day another one, all in turn)."`
	Point
	TempDir string `placeholder:"DIR" help:"Where to restore to for the time being (default: the system's directory for temporary files)."`
	MostMB  int64  `name:"most" default:"1024" placeholder:"MB" help:"Restore about so much: of a larger account, messages chosen by chance."`
	Seed    uint64 `placeholder:"NUMBER" help:"Choose the same messages as the rehearsal that printed this number."`
}

func (*rehearseCmd) Help() string {
	return `Restores an account into a Maildir of its own, reads it back, and compares every message with the snapshot, octet for octet. The Maildir is removed afterwards.

Exit code 1 says that something was not given back as it was.

Example:

  restante rehearse
  restante rehearse alice --at 2026-11-20 --json`
}

func (c *rehearseCmd) Run(ctx context.Context, a *app) error {
	if c.MostMB < 1 {
		return wrongUsage(fmt.Errorf("--most=%d: it has to be 1 or more", c.MostMB))
	}
	repo, s, err := c.snapshot(ctx, a)
	if err != nil {
		return err
	}
	defer repo.Close()
	if c.Seed == 0 {
		var b [8]byte
		rand.Read(b[:])
		c.Seed = binary.BigEndian.Uint64(b[:]) >> 11 // so that JSON can hold it
	}
	progress := new(restore.Progress)
	d := a.watch(restoreMoment(progress))
	r, err := rehearsal.Run(ctx, repo, s, rehearsal.Options{Open: export.OpenMaildir, TempDir: c.TempDir, Most: c.MostMB << 20, Seed: c.Seed, Progress: progress})
	d.end()
	if err != nil {
		return err
	}
	if a.JSON {
		err = a.printJSON(r)
	} else {
		c.print(a, s, r)
	}
	if err == nil && len(r.Differences) > 0 {
		return errReported
	}
	return err
}

// snapshot is what is to be rehearsed.
func (c *rehearseCmd) snapshot(ctx context.Context, a *app) (*storage.Repository, storage.Snapshot, error) {
	if c.Account != "" {
		repo, tree, err := a.openAt(ctx, c.Account, "--at", c.At)
		if err != nil {
			return nil, storage.Snapshot{}, err
		}
		return repo, tree.Snapshot, nil
	}
	point, err := parsePoint("--at", c.At)
	if err != nil {
		return nil, storage.Snapshot{}, err
	}
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return nil, storage.Snapshot{}, err
	}
	account := ""
	if accounts := repo.Accounts(); len(accounts) > 0 {
		account = accounts[storage.DayOf(time.Now())%int64(len(accounts))]
	}
	s, err := repo.At(account, point)
	if err != nil {
		repo.Close()
	}
	return repo, s, err
}

func (c *rehearseCmd) print(a *app, s storage.Snapshot, r *rehearsal.Report) {
	fmt.Fprintf(a.out, "%s at %s (snapshot %s): %s of %s restored (%s) and read back, %s as they were\n", oneLine(s.Account), at(s.StartedAt()), s.ID.Short(),
		count(r.Restored), messages(r.Messages), octets(r.Bytes), count(r.Proven))
	if r.Restored < r.Messages {
		fmt.Fprintf(a.out, "  chosen by chance; --seed %d chooses the same again\n", r.Seed)
	}
	for _, d := range r.Differences {
		fmt.Fprintf(a.out, "%s: %s\n", oneLine(d.Folder), oneLine(d.Problem))
	}
	if len(r.Differences) > 0 {
		fmt.Fprintf(a.err, "restante: %s found\n  hint: restante check --read-data tells whether the archive is damaged, or the disk that was restored to\n", number(int64(len(r.Differences)), "difference"))
	}
}
