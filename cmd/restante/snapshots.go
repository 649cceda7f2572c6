package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"restante/storage"
)

type snapshotsCmd struct {
	Account string `arg:"" optional:"" help:"Only of this account."`
	Last    int    `short:"n" help:"Only the last so many of each account."`
}

func (*snapshotsCmd) Help() string {
	return `Example:

  restante snapshots
  restante snapshots alice@mail.example.org --last 7`
}

// snapshotJSON is how snapshots are printed for programs.
type snapshotJSON struct {
	ID         string    `json:"id"`
	Account    string    `json:"account"`
	Started    time.Time `json:"started"`
	Finished   time.Time `json:"finished"`
	Parent     string    `json:"parent,omitempty"`
	Folders    int       `json:"folders"`
	Messages   int64     `json:"messages"`
	Bytes      int64     `json:"bytes"`
	Partial    bool      `json:"partial"`
	Incomplete bool      `json:"incomplete"`
	Anomalous  bool      `json:"anomalous"`
	Drained    bool      `json:"drained"` // the one before may have the only copy of what a policy deleted
	New        int64     `json:"new"`
	Gone       int64     `json:"gone"`
	Flagged    int64     `json:"flagged"`
	Missing    int64     `json:"missing"`
	Listed     int64     `json:"listed"`   // by the server, when it was made; 0: not known
	Unproven   int64     `json:"unproven"` // of them, not in the snapshot
	Stored     int64     `json:"stored_bytes"`
	Host       string    `json:"host"`
	Notes      []string  `json:"notes,omitempty"`
}

func toJSON(s storage.Snapshot) snapshotJSON {
	j := snapshotJSON{
		ID: s.ID.String(), Account: s.Account, Started: time.Unix(s.Started, 0).UTC(), Finished: time.Unix(s.Finished, 0).UTC(),
		Folders: s.Folders, Messages: s.Messages, Bytes: s.Bytes, Partial: s.Marks.Has(storage.Partial),
		Incomplete: s.Marks.Has(storage.Incomplete), Anomalous: s.Marks.Has(storage.Anomalous), Drained: s.Marks.Has(storage.Drained),
		New: s.Stats.New, Gone: s.Stats.Gone, Flagged: s.Stats.Flagged, Missing: s.Stats.Missing, Listed: s.Stats.Listed, Unproven: s.Stats.Unproven, Stored: s.Stats.Stored,
		Host: s.Host, Notes: s.Notes,
	}
	if !s.Parent.IsZero() {
		j.Parent = s.Parent.String()
	}
	return j
}

func (c *snapshotsCmd) Run(ctx context.Context, a *app) error {
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	accounts := repo.Accounts()
	if c.Account != "" {
		account, err := a.accountName(c.Account)
		if err != nil {
			return err
		}
		if _, err := repo.At(account, storage.Latest); err != nil {
			return err
		}
		accounts = []string{account}
	}
	var list []storage.Snapshot
	for _, account := range accounts {
		of := repo.Snapshots(account)
		if c.Last > 0 && len(of) > c.Last {
			of = of[len(of)-c.Last:]
		}
		list = append(list, of...)
	}
	if a.JSON {
		out := make([]snapshotJSON, len(list))
		for i, s := range list {
			out[i] = toJSON(s)
		}
		return a.printJSON(out)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "There are no snapshots yet. Make the first one with: restante backup ACCOUNT")
		return nil
	}
	return a.table(func(row func(...any)) {
		row("ID", "TIME", "ACCOUNT", "MESSAGES", "SIZE", "NEW", "GONE", "")
		for _, s := range list {
			row(s.ID.Short(), at(s.StartedAt()), s.Account, count(s.Messages), octets(s.Bytes), count(s.Stats.New), count(s.Stats.Gone), remarks(s))
		}
	})
}

// remarks says what is particular about a snapshot.
func remarks(s storage.Snapshot) string {
	parts := []string{}
	if m := (s.Marks &^ storage.Draining).String(); m != "" { // that says something of the next one only
		parts = append(parts, m)
	}
	if s.Stats.Missing > 0 {
		parts = append(parts, fmt.Sprintf("%s missing", messages(s.Stats.Missing)))
	}
	parts = append(parts, s.Notes...)
	return strings.Join(parts, "; ")
}

// Point is the flag that says which point in time is meant.
type Point struct {
	At string `default:"latest" placeholder:"WHEN" help:"Point in time: a date (the end of that day), \"2026-11-20 14:00\", an age (12h, 3d, 2w), latest, or a snapshot's id."`
}

// parsePoint reads a point in time that was said with a flag.
func parsePoint(flag, when string) (storage.Point, error) {
	point, err := storage.ParsePoint(when, time.Now())
	if err != nil {
		err = withHint(wrongUsage(fmt.Errorf("%s: %w", flag, err)), "write a date (2026-11-20), a time (\"2026-11-20 14:00\"), an age (12h, 3d, 2w), latest, or a snapshot's id")
	}
	return point, err
}

// openAt opens the repository and an account's snapshot at a point in time
// that was said with a flag.
func (a *app) openAt(ctx context.Context, account, flag, when string) (*storage.Repository, *storage.Tree, error) {
	name, err := a.accountName(account)
	if err != nil {
		return nil, nil, err
	}
	point, err := parsePoint(flag, when)
	if err != nil {
		return nil, nil, err
	}
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	s, err := repo.At(name, point)
	if err == nil {
		var tree *storage.Tree
		if tree, err = repo.OpenSnapshot(ctx, s); err == nil {
			return repo, tree, nil
		}
	}
	repo.Close()
	return nil, nil, err
}
