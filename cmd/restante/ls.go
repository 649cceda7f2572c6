package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"restante/restore"
	"restante/storage"
)

type lsCmd struct {
	Account string   `arg:"" help:"Account, by name or URL."`
	Folders []string `arg:"" optional:"" name:"folder" help:"Folders whose messages are listed: names, or patterns such as 'Lists/*'."`
	Details bool     `help:"What the server said beside the mail: rights, quotas, METADATA, filter scripts."`
	Point
	Search
}

func (*lsCmd) Help() string {
	return `Without a folder and without anything to search for, the folders are listed. Each message is shown with the reference that cat and restore take.

The server is asked for details by the first backup of a day (UTC), and by one with --full.

Example:

  restante ls alice
  restante ls alice INBOX --at 2026-11-20
  restante ls alice --details
  restante ls alice --sender bob@example.org --subject invoice --after 2026-01-01`
}

func (c *lsCmd) Run(ctx context.Context, a *app) error {
	sel, err := c.selection(c.Folders, nil)
	if err != nil {
		return err
	}
	if c.Details && !sel.Whole() {
		return wrongUsage(errors.New("--details are of the whole account, so name no folder and search for nothing"))
	}
	repo, tree, err := a.openAt(ctx, c.Account, "--at", c.At)
	if err != nil {
		return err
	}
	defer repo.Close()
	if c.Details {
		return c.details(ctx, a, tree)
	}
	if sel.Whole() {
		return c.folders(a, tree)
	}
	groups, err := sel.Groups(ctx, tree)
	if err != nil {
		return err
	}
	return c.messages(ctx, a, groups)
}

// folderJSON is how folders are printed for programs.
type folderJSON struct {
	Name          string   `json:"name"`
	Messages      int64    `json:"messages"`
	Bytes         int64    `json:"bytes"`
	SpecialUse    []string `json:"special_use,omitempty"`
	Subscribed    bool     `json:"subscribed"`
	Attributes    []string `json:"attributes,omitempty"`
	UIDValidity   uint32   `json:"uidvalidity"`
	UIDNext       uint32   `json:"uidnext"`
	HighestModSeq uint64   `json:"highestmodseq"`
	Missing       []uint32 `json:"missing_uids,omitempty"`
}

func (c *lsCmd) folders(a *app, tree *storage.Tree) error {
	if a.JSON {
		out := []folderJSON{}
		for _, f := range tree.Folders {
			j := folderJSON{Name: f.Name(), Messages: f.Messages, Bytes: f.Bytes, SpecialUse: f.SpecialUse, Subscribed: f.Subscribed,
				Attributes: f.Attributes, UIDValidity: f.UIDValidity, UIDNext: f.UIDNext, HighestModSeq: f.HighestModSeq}
			for _, m := range f.Missing {
				j.Missing = append(j.Missing, m.UID)
			}
			out = append(out, j)
		}
		return a.printJSON(map[string]any{"snapshot": toJSON(tree.Snapshot), "folders": out})
	}
	s := tree.Snapshot
	fmt.Fprintf(a.out, "%s at %s (snapshot %s): %s in %s, %s\n", oneLine(s.Account), at(s.StartedAt()), s.ID.Short(), messages(s.Messages), number(int64(s.Folders), "folder"), octets(s.Bytes))
	return a.table(func(row func(...any)) {
		row("FOLDER", "MESSAGES", "SIZE", "")
		for _, f := range tree.Folders {
			notes := append([]string{}, f.SpecialUse...)
			notes = append(notes, f.Attributes...)
			if !f.Subscribed {
				notes = append(notes, "not subscribed")
			}
			if n := len(f.Missing); n > 0 {
				notes = append(notes, fmt.Sprintf("%s could not be had", messages(int64(n))))
			}
			row(f.Name(), count(f.Messages), octets(f.Bytes), strings.Join(notes, ", "))
		}
	})
}

// messageJSON is how messages are printed for programs.
type messageJSON struct {
	Reference    string     `json:"reference"`
	Folder       string     `json:"folder"`
	UID          uint32     `json:"uid"`
	From         string     `json:"from"`
	To           string     `json:"to"`
	Subject      string     `json:"subject"`
	Date         *time.Time `json:"date,omitempty"`
	InternalDate *time.Time `json:"internal_date,omitempty"`
	Bytes        int64      `json:"bytes"`
	Flags        []string   `json:"flags"`
}

func messageToJSON(folder string, m *storage.Message) messageJSON {
	j := messageJSON{Reference: restore.Reference(folder, m.UID), Folder: folder, UID: m.UID, From: m.From, To: m.To, Subject: m.Subject, Bytes: m.Size, Flags: m.Flags}
	if j.Flags == nil {
		j.Flags = []string{}
	}
	if !m.Date.IsZero() {
		j.Date = &m.Date
	}
	if !m.InternalDate.IsZero() {
		j.InternalDate = &m.InternalDate
	}
	return j
}

func (c *lsCmd) messages(ctx context.Context, a *app, groups []restore.Group) error {
	if a.JSON {
		return jsonArray(a.out, func(add func(any) error) error {
			for _, g := range groups {
				for m, err := range g.Messages {
					if err != nil {
						return err
					}
					if err := add(messageToJSON(g.Folder.Name(), &m)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	found := int64(0)
	for _, g := range groups {
		for m, err := range g.Messages {
			if err != nil {
				return err
			}
			found++
			a.printMessage(g.Folder.Name(), &m, "")
		}
	}
	fmt.Fprintf(a.err, "%s\n", messages(found))
	return nil
}

// printMessage prints one line of a list of messages, which a terminal is not
// made to break.
func (a *app) printMessage(folder string, m *storage.Message, note string) {
	when := m.Date
	if when.IsZero() {
		when = m.InternalDate
	}
	line := fmt.Sprintf("%s  %s  %s  %8s  %s", columns.FillRight(oneLine(restore.Reference(folder, m.UID)), 16), at(when),
		columns.FillRight(cut(oneLine(m.From), 24), 24), octets(m.Size), oneLine(m.Subject))
	if width := width(a.out); width > 0 {
		line = cut(line, max(40, width-columns.StringWidth(note)-3)) // 3: what a line may begin with
	} else {
		line = cut(line, 160)
	}
	fmt.Fprintln(a.out, line+note)
}
