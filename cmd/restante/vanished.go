package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"restante/storage"
)

type vanishedCmd struct {
	Account string   `arg:"" help:"Account, by name or URL."`
	Folders []string `arg:"" optional:"" name:"folder" help:"Only what was in these folders."`
	Since   string   `default:"${since}" placeholder:"WHEN" help:"From this point in time on (default: 7d)."`
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
	first := repo.Snapshots(account)[0]
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
	since := c.Since
	if point, err := storage.ParsePoint(since, time.Now()); err == nil && point.Before(first) {
		since += fmt.Sprintf(" (the first snapshot is from %s)", at(first.StartedAt()))
	}
	fmt.Fprintf(a.out, "%s vanished since %s\n", messages(int64(len(kept))), oneLine(since))
	if len(kept) > 0 {
		fmt.Fprintf(a.out, "Put them back with: %s\n", c.undo(a))
	}
	return nil
}

// sinceUsually is how far back vanished looks.
const sinceUsually = "7d"

// undo is the command line that puts back what this one lists.
func (c *vanishedCmd) undo(a *app) string {
	words := []string{"restante", "restore", shellWord(c.Account)}
	for _, f := range c.Folders {
		words = append(words, shellWord(f))
	}
	words = append(words, "--vanished", "--since", shellWord(c.Since))
	for _, flag := range []struct{ name, value string }{
		{"--sender", c.Sender}, {"--recipient", c.Recipient}, {"--subject", c.Subject}, {"--after", c.After}, {"--before", c.Before},
	} {
		if flag.value != "" {
			words = append(words, flag.name, shellWord(flag.value))
		}
	}
	if a.file != nil && a.file.Accounts[c.Account] == nil && !isURL(c.Account) {
		words = append(words, "--to", "URL") // nothing says where the account is
	}
	return strings.Join(words, " ")
}

// vanished finds what vanished from an account since a point in time.
func (a *app) vanished(ctx context.Context, repo *storage.Repository, account, since string) (name string, list []storage.Vanished, err error) {
	if name, err = a.accountName(account); err != nil {
		return name, nil, err
	}
	point, err := parsePoint("--since", since)
	if err != nil {
		return name, nil, err
	}
	snapshots, err := repo.Since(name, point)
	if err != nil {
		return name, nil, err
	}
	list, err = repo.FindVanished(ctx, snapshots)
	return name, list, err
}
