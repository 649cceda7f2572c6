package main

import (
	"context"
	"fmt"
	"strings"

	"restante/storage"
)

type repairCmd struct {
	Apply  bool `help:"Do what the plan says."`
	GiveUp bool `help:"Also replace older snapshots that lack something, and forget those of which nothing can be read."`
}

func (*repairCmd) Help() string {
	return `Reads the whole repository, and says what is damaged, what of it can be saved and what is lost. With --apply it makes the best of it:

  - What can be read of damaged packs is copied into new ones. What is lost counts as absent from then on, so that the next backup stores it again if the mail is still on its server.
  - Entries of the ledger that are missing or damaged are bridged. Snapshots that only a lost one named come back as those of an account "found".
  - Damaged indexes are written anew; a config or a key slot that is missing is put back if this machine's cache has it.
  - The newest snapshot of each account that lacks something gets a successor that says so; backups go on from there.

It writes new objects and removes and overwrites none. Older versions of the damaged objects, or a copy of the bucket, are better than any repair: look for those first.

The order that saves most: restante repair --apply, then a backup of every account that is still there, then restante repair --apply --give-up. Until then a prune refuses to remove anything.

Exit code 1 says that something is to be repaired, with --apply 3 that something is lost.

Example:

  restante repair
  restante repair --apply
  restante repair --apply --give-up`
}

// repairJSON is how a repair is printed for programs.
type repairJSON struct {
	Applied bool `json:"applied"`
	*storage.Repaired
}

func (c *repairCmd) Run(ctx context.Context, a *app) error {
	o := a.storageOptions()
	o.Damaged = true
	repo, store, err := a.openRepositoryWith(ctx, o)
	if err != nil {
		return err
	}
	defer repo.Close()
	p := a.progress()
	done, err := repo.Repair(ctx, storage.RepairOptions{DryRun: !c.Apply, GiveUp: c.GiveUp,
		Progress: func(now storage.CheckProgress) { p.step(now.Step, now.Done, now.Total) }})
	p.end()
	if err != nil {
		return err
	}
	if a.JSON {
		err = a.printJSON(repairJSON{c.Apply, done})
	} else {
		c.print(a, done)
		a.log.Info(store.Snapshot().String())
	}
	switch {
	case err != nil:
		return err
	case c.Apply && len(done.Losses)+len(done.ByHand) > 0:
		return errIncomplete
	case !c.Apply && !done.Clean():
		return errReported
	}
	return nil
}

// mostLosses is how many losses of an account are printed; --json has all.
const mostLosses = 20

func (c *repairCmd) print(a *app, r *storage.Repaired) {
	if r.Clean() {
		fmt.Fprintln(a.out, "nothing is damaged")
		return
	}
	for _, p := range r.Packs {
		if p.Unknown {
			fmt.Fprintf(a.out, "%s: %s; nothing of it can be saved\n", p.Pack, p.Problem)
			continue
		}
		fmt.Fprintf(a.out, "%s: %s; %s can be saved, %s not\n", p.Pack, p.Problem, number(int64(p.Saved), "blob"), count(int64(p.Lost)))
	}
	verb := func(plan, done string) string {
		if c.Apply {
			return done
		}
		return plan
	}
	if n := len(r.Entries); n > 0 {
		fmt.Fprintf(a.out, "%s of the ledger cannot be read and %s bridged: %s\n", number(int64(n), "entry"), verb("would be", "was"), numbers(r.Entries))
	}
	if len(r.Skipped) > 0 {
		fmt.Fprintf(a.out, "nobody knows what these said: %s; %s and %s that they may have named %s\n", numbers(r.Skipped),
			number(int64(r.Adopted), "pack"), number(int64(len(r.Found)), "snapshot"), verb("would come back", "came back"))
	}
	for _, s := range r.Found {
		fmt.Fprintf(a.out, "found: a snapshot that was stored on %s, %s in %s\n", s.Stored.Format("2006-01-02 15:04"), messages(s.Messages), number(int64(s.Folders), "folder"))
	}
	if r.Indexes > 0 {
		fmt.Fprintf(a.out, "%s %s written anew\n", number(int64(r.Indexes), "damaged index"), verb("would be", "was"))
	}
	for _, name := range r.Put {
		fmt.Fprintf(a.out, "%s %s put back from the cache\n", name, verb("would be", "was"))
	}
	c.printLosses(a, r)
	for _, s := range r.Snapshots {
		what := "lacks " + messages(s.Lost)
		if s.Unreadable {
			what = "cannot be read"
		}
		switch {
		case s.Replacement != "":
			what += "; made again without them as " + s.Replacement[:8]
		case s.Held:
			what += "; it is under a hold and stays"
		case s.Newest:
			what += "; it would be made again without them"
		case c.GiveUp && s.Unreadable:
			what += verb("; it would be forgotten", "; it was forgotten")
		case c.GiveUp:
			what += "; it would be made again without them"
		}
		fmt.Fprintf(a.out, "snapshot %s of %s, %s, %s\n", s.Snapshot.ID.Short(), s.Account, s.Snapshot.StartedAt().Format("2006-01-02 15:04"), what)
	}
	for _, f := range r.ByHand {
		fmt.Fprintf(a.out, "not repaired: %s: %s\n", f.Object, oneLine(f.Problem))
	}
	switch {
	case !c.Apply:
		fmt.Fprintln(a.err, "restante: nothing was changed\n  hint: put older versions of these objects back if the store has them; else restante repair --apply does this")
	case len(r.Losses) > 0 && !c.GiveUp:
		fmt.Fprintln(a.err, "restante: something is lost\n  hint: back the accounts up now: what is still on their servers is stored again; then restante repair --apply --give-up replaces the snapshots that still lack something")
	}
}

// numbers are the first of some numbers.
func numbers(list []uint64) string {
	const most = 10
	text := strings.Trim(fmt.Sprint(list[:min(len(list), most)]), "[]")
	if len(list) > most {
		text += " …"
	}
	return text
}

// printLosses prints what is lost, account by account.
func (c *repairCmd) printLosses(a *app, r *storage.Repaired) {
	printed, left := map[string]int{}, map[string]int{}
	for i, l := range r.Losses {
		if printed[l.Account]++; printed[l.Account] <= mostLosses {
			where := oneLine(l.Folder)
			if l.UID > 0 && l.Messages > 0 {
				where += fmt.Sprintf("#%d", l.UID)
			}
			if l.Subject != "" {
				where += fmt.Sprintf(" %q", l.Subject)
			}
			fmt.Fprintf(a.out, "lost of %s: %s: %s (in %s)\n", l.Account, where, oneLine(l.Problem), number(int64(l.Snapshots), "snapshot"))
		} else {
			left[l.Account]++
		}
		if n := left[l.Account]; n > 0 && (i+1 == len(r.Losses) || r.Losses[i+1].Account != l.Account) {
			fmt.Fprintf(a.out, "lost of %s: %s more; --json lists all\n", l.Account, count(int64(n)))
		}
	}
}
