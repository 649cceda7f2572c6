package main

import (
	"context"
	"fmt"
	"strings"

	"restante/storage"
)

type diffCmd struct {
	Account string `arg:"" help:"Account, by name or URL."`
	From    string `default:"1d" placeholder:"WHEN" help:"Earlier point in time (default: 1d)."`
	To      string `default:"latest" placeholder:"WHEN" help:"Later point in time (default: latest)."`
}

func (*diffCmd) Help() string {
	return `Messages are told apart by their octets, so one that was moved is shown as moved. Lines begin with + (new), - (gone), > (moved) or ! (other flags).

Where the account has no snapshot as old as --from says, its first one is taken.

Example:

  restante diff alice --from 7d --to latest`
}

// changeJSON is how changes are printed for programs.
type changeJSON struct {
	messageJSON
	To     string   `json:"moved_to,omitempty"`
	Before []string `json:"flags_before,omitempty"`
}

func (c *diffCmd) Run(ctx context.Context, a *app) error {
	point, err := parsePoint("--from", c.From)
	if err != nil {
		return err
	}
	repo, to, err := a.openAt(ctx, c.Account, "--to", c.To)
	if err != nil {
		return err
	}
	defer repo.Close()
	later := to.Snapshot
	since, err := repo.Since(later.Account, point)
	if err != nil {
		return err
	}
	if point.Before(since[0]) && !a.JSON {
		fmt.Fprintf(a.err, "There is no snapshot from %s or before; this is since the first one.\n", oneLine(c.From))
	}
	from, err := repo.OpenSnapshot(ctx, since[0])
	if err != nil {
		return err
	}
	d, err := storage.Compare(ctx, from, to)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(map[string]any{
			"from": toJSON(from.Snapshot), "to": toJSON(later),
			"folders_added": append([]string{}, d.FoldersAdded...), "folders_removed": append([]string{}, d.FoldersRemoved...),
			"added": changesToJSON(d.Added), "removed": changesToJSON(d.Removed), "moved": changesToJSON(d.Moved), "flagged": changesToJSON(d.Flagged),
		})
	}
	fmt.Fprintf(a.out, "%s from %s to %s:\n", oneLine(later.Account), at(from.Snapshot.StartedAt()), at(later.StartedAt()))
	for _, f := range d.FoldersAdded {
		fmt.Fprintf(a.out, "+ folder %s\n", oneLine(f))
	}
	for _, f := range d.FoldersRemoved {
		fmt.Fprintf(a.out, "- folder %s\n", oneLine(f))
	}
	line := func(mark string, list []storage.Change, note func(*storage.Change) string) {
		for i := range list {
			fmt.Fprint(a.out, mark, " ")
			a.printMessage(list[i].Folder, &list[i].Message, note(&list[i]))
		}
	}
	none := func(*storage.Change) string { return "" }
	line("+", d.Added, none)
	line("-", d.Removed, none)
	line(">", d.Moved, func(ch *storage.Change) string { return "  → " + oneLine(ch.To) })
	line("!", d.Flagged, func(ch *storage.Change) string {
		return fmt.Sprintf("  (%s) → (%s)", oneLine(strings.Join(ch.Before, " ")), oneLine(strings.Join(ch.Message.Flags, " ")))
	})
	fmt.Fprintf(a.out, "%s new, %s gone, %s moved, %s with other flags\n", count(int64(len(d.Added))), count(int64(len(d.Removed))), count(int64(len(d.Moved))), count(int64(len(d.Flagged))))
	return nil
}

func changesToJSON(list []storage.Change) []changeJSON {
	out := []changeJSON{}
	for i := range list {
		out = append(out, changeJSON{messageToJSON(list[i].Folder, &list[i].Message), list[i].To, list[i].Before})
	}
	return out
}
