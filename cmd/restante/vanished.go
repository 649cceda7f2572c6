package main

import (
	"context"
	"fmt"
	"time"

	"restante/storage"
)

type vanishedCmd struct {
	Account string   `arg:"" help:"Account, by name or URL."`
	Folders []string `arg:"" optional:"" name:"folder" help:"Only what was in these folders."`
	Since   string   `default:"7d" placeholder:"WHEN" help:"From this point in time on (default: 7d)."`
	Search
}

func (*vanishedCmd) Help() string {
	return `Lists messages that some snapshot since then has and the latest has not: what was deleted, by whomever, and is not just somewhere else. What came and went between two days is found, too, if a snapshot saw it.

Example:

  restante vanished alice --since 7d
  restante restore alice --vanished --since 7d`
}

// vanishedJSON is how vanished messages are printed for programs.
type vanishedJSON struct {
	messageJSON
	Origin   string    `json:"origin"` // where restore puts it
	LastSeen time.Time `json:"last_seen"`
	Snapshot string    `json:"snapshot"`
}

func (c *vanishedCmd) Run(ctx context.Context, a *app) error {
	sel, err := c.selection(c.Folders, nil)
	if err != nil {
		return err
	}
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	account, list, err := a.vanished(ctx, repo, c.Account, c.Since)
	if err != nil {
		return err
	}
	kept := list[:0]
	for _, v := range list {
		if sel.Matches(v.Origin.Name(), &v.Message) {
			kept = append(kept, v)
		}
	}
	if a.JSON {
		out := []vanishedJSON{}
		for i := range kept {
			v := &kept[i]
			out = append(out, vanishedJSON{messageToJSON(v.Folder.Name(), &v.Message), v.Origin.Name(), v.Seen.StartedAt().UTC(), v.Seen.ID.String()})
		}
		return a.printJSON(out)
	}
	for i := range kept {
		v := &kept[i]
		note := "  (last seen " + at(v.Seen.StartedAt())
		if v.Origin != v.Folder {
			note += ", before that in " + oneLine(v.Origin.Name())
		}
		a.printMessage(v.Folder.Name(), &v.Message, note+")")
	}
	fmt.Fprintf(a.out, "%s vanished since %s\n", messages(int64(len(kept))), c.Since)
	if len(kept) > 0 {
		fmt.Fprintf(a.out, "Put them back with: restante restore %s --vanished --since %s\n", account, c.Since)
	}
	return nil
}

// vanished finds what vanished from an account since a point in time.
func (a *app) vanished(ctx context.Context, repo *storage.Repository, account, since string) (name string, list []storage.Vanished, err error) {
	if name, err = a.accountName(account); err != nil {
		return name, nil, err
	}
	point, err := storage.ParsePoint(since, time.Now())
	if err != nil {
		return name, nil, fmt.Errorf("--since: %w: %w", err, errUsage)
	}
	snapshots, err := repo.Since(name, point)
	if err != nil {
		return name, nil, err
	}
	list, err = repo.FindVanished(ctx, snapshots)
	return name, list, err
}
