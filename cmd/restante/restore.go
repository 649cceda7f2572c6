package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"restante/restore"
	"restante/storage"
)

type restoreCmd struct {
	Account string   `arg:"" help:"Account whose mail is restored, by name or URL."`
	Folders []string `arg:"" optional:"" name:"folder" help:"Only these folders: names, or patterns such as 'Lists/*' and 'Lists/**'."`
	Point
	Message  []string `short:"m" placeholder:"FOLDER#UID" help:"Only these messages, as ls shows them."`
	Vanished bool     `help:"Only what vanished: messages of any snapshot since --since that are not in the latest one."`
	Since    string   `placeholder:"WHEN" help:"With --vanished: from this point in time on (default: 7d)."`
	Search
	To   string `placeholder:"URL" help:"Where to: imaps://user@host and the like, maildir:DIR, mbox:DIR, thunderbird:PROFILE, another account's name (default: the account itself), or delivered as new mail: lmtp://host, lmtp+unix:SOCKET, smtp://user@host, smtps://user@host, smtp+insecure://host."`
	Into string `placeholder:"FOLDER" help:"Put everything below this folder instead of where it was."`
	AccountAccess
	Delivery
	ServerSide
	DryRun bool `short:"n" help:"Only say what would be done."`
}

func (*restoreCmd) Help() string {
	return `Adds what is missing there, and nothing else: a message that is in the folder already, octet for octet, is not added again, and nothing is ever changed or deleted. An interrupted restore can be started again.

Messages that the server refuses, and folders that it does not let us have, are named; the rest is restored (exit code 3).

A profile of Thunderbird gets a new folder in its Local Folders, and nothing of it is written to. Mail that is delivered keeps its octets, and loses its folder, flags and internal date. What was delivered is noted in this computer's configuration directory, so that it is delivered once; a message that was sent and never answered is named and not sent again.

With --sieve or --acl, what the server had beside the mail is put back, and no mail. A script goes under a new name where another one has its name. Rights are added, and none is taken away.

Example:

  restante restore alice --at 2026-11-20 --dry-run
  restante restore alice --vanished --since 7d
  restante restore alice INBOX 'Lists/**' --to imaps://bob@mail.example.org --into "From alice"
  restante restore alice --sieve --acl --dry-run
  restante restore alice --message 'INBOX#4711' --to maildir:/tmp/found
  restante restore alice --vanished --to lmtp+unix:/run/dovecot/lmtp --deliver-to alice@example.org`
}

func (c *restoreCmd) Run(ctx context.Context, a *app) error {
	sel, err := c.selection(c.Folders, c.Message)
	if err != nil {
		return err
	}
	if c.Vanished && (c.At != "latest" || len(c.Message) > 0) {
		return withHint(wrongUsage(errors.New("--vanished goes with --since, not with --at or --message")), "restante vanished %s lists what would come back", shellWord(c.Account))
	}
	if c.Since != "" && !c.Vanished {
		return withHint(wrongUsage(errors.New("--since goes with --vanished")), "--after picks messages by their date, --at a point in time")
	}
	if c.ServerSide.given() {
		return c.serverSide(ctx, a, sel.Whole() && !c.Vanished && c.Into == "")
	}
	to := cmp.Or(c.To, c.Account)
	destination, err := a.account(ctx, to, "", &c.AccountAccess)
	if err != nil {
		return err
	}
	if !destination.address.Scheme.Delivers() && c.Delivery.given() {
		return withHint(wrongUsage(errors.New("--deliver-to, --return-path, --crlf and --again are for mail that is delivered")), "deliver it: --to lmtp://HOST or --to smtp://USER@HOST")
	}
	if destination.address.Scheme.Delivers() && c.Into != "" {
		return wrongUsage(errors.New("--into means nothing to mail that is delivered: it goes where the server puts new mail"))
	}
	e, err := a.envelope(c.Delivery, c.Account)
	if err != nil {
		return err
	}
	repo, groups, own, err := c.groups(ctx, a, sel)
	if err != nil {
		return err
	}
	defer repo.Close()
	target, err := destination.target(a, e)
	if err != nil {
		return fmt.Errorf("account %q: %w", destination.name, err)
	}
	defer target.Close()

	o := restore.Options{DryRun: c.DryRun, Progress: new(restore.Progress), Log: a.log, JournalDir: filepath.Join(repo.CacheDir(), "restores"), Again: c.Again}
	if c.Into != "" {
		o.Into = storage.FolderLevels(c.Into)
	} else if destination.name == own {
		o.Known = a.knownIn(repo, own)
	}
	d := a.watch(restoreMoment(o.Progress))
	report, err := restore.Run(ctx, repo, groups, target, o)
	d.end()
	if report != nil {
		if a.JSON {
			if printErr := a.printJSON(report); printErr != nil {
				return printErr
			}
		} else if err == nil || len(report.Folders) > 0 {
			c.print(a, report)
		}
	}
	if err != nil && ctx.Err() != nil {
		return withHint(err, "what was restored stays; the same command again adds only what is still missing")
	}
	if err != nil {
		return err
	}
	if !report.Complete() {
		return errIncomplete
	}
	return nil
}

// groups finds what is to be restored, and the account's name.
func (c *restoreCmd) groups(ctx context.Context, a *app, sel *restore.Selection) (repo *storage.Repository, groups []restore.Group, own string, err error) {
	if c.Vanished {
		if repo, _, err = a.openRepository(ctx, false); err != nil {
			return nil, nil, "", err
		}
		name, list, err := a.vanished(ctx, repo, c.Account, cmp.Or(c.Since, sinceUsually))
		if err != nil {
			repo.Close()
			return nil, nil, "", err
		}
		return repo, restore.VanishedGroups(list, sel), name, nil
	}
	repo, tree, err := a.openAt(ctx, c.Account, "--at", c.At)
	if err != nil {
		return nil, nil, "", err
	}
	if groups, err = sel.Groups(ctx, tree); err != nil {
		repo.Close()
		return nil, nil, "", err
	}
	return repo, groups, tree.Snapshot.Account, nil
}

// knownIn tells what messages an account's own server has, as far as the
// latest snapshot knows them by their places.
func (a *app) knownIn(repo *storage.Repository, account string) func(context.Context, []string, uint32, func(string, restore.Known)) error {
	return func(ctx context.Context, levels []string, epoch uint32, known func(string, restore.Known)) error {
		latest, ok := repo.Latest(account)
		if !ok {
			return nil
		}
		tree, err := repo.OpenSnapshot(ctx, latest)
		if err != nil {
			return err
		}
		f := tree.Folder(levels)
		if f == nil || f.UIDValidity != epoch {
			return nil
		}
		for list, err := range f.PageWise(ctx, nil) {
			if err != nil {
				return err
			}
			for i := range list {
				known(strconv.FormatUint(uint64(list[i].UID), 10), restore.Known{Recipe: list[i].Recipe, MessageID: list[i].MessageID})
			}
		}
		return nil
	}
}

func (c *restoreCmd) print(a *app, r *restore.Report) {
	verb, restored, there := "appended", "restored", "there already"
	if len(r.Losses) > 0 {
		verb, restored, there = "delivered", "delivered", "delivered before"
	}
	if r.DryRun {
		verb = "would be " + verb
	}
	failed := int64(0)
	for _, f := range r.Folders {
		n := f.Appended
		if r.DryRun {
			n = f.Missing
		}
		if n == 0 && len(f.Refused) == 0 && !f.Create && f.Present == 0 && f.Failed == "" {
			continue
		}
		fmt.Fprintf(a.out, "%s: %s %s, %s %s", oneLine(f.Place), messages(n), verb, count(f.Present), there)
		if f.Labelled > 0 {
			fmt.Fprintf(a.out, ", %s %s labels", count(f.Labelled), map[bool]string{true: "would get", false: "got"}[r.DryRun])
		}
		if f.Create {
			fmt.Fprint(a.out, ", new folder")
		}
		fmt.Fprintln(a.out)
		for _, n := range f.Notes {
			fmt.Fprintf(a.out, "  note: %s\n", oneLine(n))
		}
		for _, flag := range slices.Sorted(maps.Keys(f.Dropped)) {
			fmt.Fprintf(a.out, "  note: the server does not keep %s, which %s had\n", oneLine(flag), messages(f.Dropped[flag]))
		}
		for _, m := range f.Refused {
			fmt.Fprintf(a.out, "  not restored: %s: %s\n", oneLine(m.Reference), oneLine(strings.TrimSpace(m.Reason)))
		}
		if f.Failed != "" {
			fmt.Fprintf(a.out, "  given up: %s\n", oneLine(f.Failed))
			failed++
		}
	}
	for _, l := range r.Losses {
		fmt.Fprintf(a.out, "note: %s\n", l)
	}
	sum := r.Totals()
	if r.DryRun {
		fmt.Fprintf(a.out, "%s (%s) would be %s to %s, %s are %s", messages(sum.Missing), octets(sum.Bytes), restored, r.Target, count(sum.Present), there)
	} else {
		fmt.Fprintf(a.out, "%s %s to %s, %s were %s", messages(sum.Appended), restored, r.Target, count(sum.Present), there)
	}
	if len(sum.Refused) > 0 {
		fmt.Fprintf(a.out, ", %s refused", count(int64(len(sum.Refused))))
	}
	if failed > 0 {
		fmt.Fprintf(a.out, ", %s given up", number(failed, "folder"))
	}
	fmt.Fprintln(a.out)
}
