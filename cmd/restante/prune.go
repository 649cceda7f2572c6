package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"restante/storage"
)

type pruneCmd struct {
	DryRun    bool          `help:"Only say what would be done."`
	AllowMuch bool          `help:"Remove it even if it is more than a tenth of what is stored."`
	Grace     time.Duration `default:"24h" placeholder:"AGE" help:"Leave what was written since then: a running backup that needs it would have to begin again (default: 24h)."`
	KeepPacks bool          `help:"Write no packs anew, only remove those that nothing is needed of."`
}

func (*pruneCmd) Help() string {
	return `Removes from the repository what no snapshot needs: what restante forget left, and what interrupted runs wrote. Packs that hold little that is needed, and many small ones, are written anew.

Other machines may back up, restore and prune at the same time. It may be interrupted at any point; the next prune does what was left undone. It reads the whole ledger, all snapshots' trees and all recipes (headers) from the store, and trusts no cache.

Where more than a tenth of what is stored would go, it refuses and says so: look at what was forgotten, then run it with --allow-much.

Example:

  restante prune --dry-run
  restante prune
  restante prune --allow-much --grace 0s`
}

// pruneJSON is how a prune is printed for programs.
type pruneJSON struct {
	DryRun bool `json:"dry_run"`
	// TooMuch says that it takes --allow-much.
	TooMuch bool `json:"too_much"`
	*storage.Pruned
	Seconds  float64 `json:"seconds"`
	Requests int64   `json:"store_requests"`
}

func (c *pruneCmd) Run(ctx context.Context, a *app) error {
	repo, store, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	began := time.Now()
	p := a.progress()
	pruned, err := repo.Prune(ctx, storage.PruneOptions{DryRun: c.DryRun, AllowMuch: c.AllowMuch, Grace: c.Grace, KeepPacks: c.KeepPacks,
		Progress: func(now storage.PruneProgress) { p.step(now.Step, now.Done, now.Total) }})
	p.end()
	if errors.Is(err, storage.ErrTooMuch) {
		if !a.JSON {
			c.print(a, pruned, true)
		}
		return withHint(err, "restante prune --dry-run says what it is; if it was forgotten on purpose, run restante prune --allow-much")
	}
	if err != nil {
		return err
	}
	if a.JSON {
		err = a.printJSON(pruneJSON{c.DryRun, pruned.TooMuch(), pruned, time.Since(began).Seconds(), store.Snapshot().Requests})
	} else {
		c.print(a, pruned, c.DryRun)
		a.log.Info(store.Snapshot().String())
	}
	if err == nil && len(pruned.Findings) > 0 {
		return errIncomplete
	}
	return err
}

func (c *pruneCmd) print(a *app, p *storage.Pruned, plan bool) {
	fmt.Fprintf(a.out, "%s of %s in %s (%s) are needed by %s\n", count(p.Needed), number(p.Blobs, "blob"),
		number(int64(p.Before.Packs), "pack"), octets(p.Before.Bytes), number(int64(p.Snapshots), "snapshot"))
	line := func(what string, n storage.Amount) {
		if n.Packs > 0 {
			fmt.Fprintf(a.out, "  %s: %s, %s\n", what, number(int64(n.Packs), "pack"), octets(n.Bytes))
		}
	}
	removed, rewritten, freed := "removed, needed by no snapshot", "written anew", "freed"
	if plan {
		removed, rewritten, freed = "to be removed, needed by no snapshot", "to be written anew", "would be freed; nothing was changed"
	}
	line(removed, p.Unneeded)
	line(removed+", of runs that were interrupted", p.Stray)
	line(removed+", left by an earlier prune", p.Leftover)
	line("left, because they are younger than "+c.Grace.String(), p.Young)
	line(rewritten, p.Rewritten)
	if p.Written > 0 {
		fmt.Fprintf(a.out, "    as %s\n", octets(p.Written))
	}
	for _, f := range p.Findings {
		fmt.Fprintf(a.out, "  left, because it is damaged: %s: %s\n", f.Object, oneLine(f.Problem))
	}
	fmt.Fprintf(a.out, "%s %s\n", signedOctets(p.Freed), freed)
	if plan && p.TooMuch() {
		fmt.Fprintf(a.out, "%.1f %% of what is stored would go: that takes --allow-much\n", 100*p.Dropped)
	}
}

// signedOctets may be less than nothing: packs written anew have a directory
// and an index of their own.
func signedOctets(n int64) string {
	if n < 0 {
		return "-" + octets(-n)
	}
	return octets(n)
}
