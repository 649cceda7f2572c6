package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"restante/storage"
)

type holdCmd struct {
	Add     holdAddCmd     `cmd:"" help:"Put accounts under a hold."`
	List    holdListCmd    `cmd:"" help:"List the holds."`
	Release holdReleaseCmd `cmd:"" help:"End a hold."`
}

// holdJSON is a hold, for programs.
type holdJSON struct {
	ID      string    `json:"id"`
	Account string    `json:"account"` // empty: all
	Reason  string    `json:"reason"`
	Added   time.Time `json:"added"`
}

func holdOf(h storage.Hold) holdJSON {
	return holdJSON{h.ID.String(), h.Account, h.Reason, time.Unix(h.Added, 0).UTC()}
}

type holdAddCmd struct {
	Accounts []string `arg:"" optional:"" name:"account" help:"Accounts, by name or URL."`
	All      bool     `help:"All accounts there are and will be, with one hold."`
	Reason   string   `required:"" placeholder:"TEXT" help:"Why: it is shown wherever the hold keeps something."`
}

func (*holdAddCmd) Help() string {
	return `No snapshot of an account under a hold is forgotten, by rules or by name, on any machine, until the hold is released. Backups go on. What was forgotten before is not brought back; it is still in the repository until the next prune.

Example:

  restante hold add alice bob --reason "case 2026/17"
  restante hold add --all --reason "audit of 2026"`
}

func (c *holdAddCmd) Run(ctx context.Context, a *app) error {
	if c.All == (len(c.Accounts) > 0) {
		return withHint(wrongUsage(errors.New("which accounts?")), "name some, or say --all")
	}
	names := []string{""}
	if !c.All {
		names = nil
	}
	for _, nameOrURL := range c.Accounts {
		name, err := a.accountName(nameOrURL)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	for _, name := range names { // all of them are there, or none is held
		if name == "" {
			continue
		}
		if _, err := repo.At(name, storage.Latest); err != nil {
			return err
		}
	}
	held := []holdJSON{}
	for _, name := range names {
		h, err := repo.Hold(ctx, name, c.Reason)
		if err != nil {
			return err
		}
		held = append(held, holdOf(h))
		if !a.JSON {
			fmt.Fprintf(a.out, "hold %s: %s, until it is released\n", h.ID.Short(), heldAccounts(h))
		}
	}
	if a.JSON {
		return a.printJSON(held)
	}
	return nil
}

func heldAccounts(h storage.Hold) string {
	return oneLine(cmp.Or(h.Account, "all accounts"))
}

type holdListCmd struct{}

func (*holdListCmd) Help() string {
	return `Example:

  restante hold list`
}

func (*holdListCmd) Run(ctx context.Context, a *app) error {
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	list := repo.AllHolds()
	if a.JSON {
		out := []holdJSON{}
		for _, h := range list {
			out = append(out, holdOf(h))
		}
		return a.printJSON(out)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "no holds")
		return nil
	}
	return a.table(func(row func(...any)) {
		row("ID", "ACCOUNT", "SINCE", "REASON")
		for _, h := range list {
			row(h.ID.Short(), heldAccounts(h), at(time.Unix(h.Added, 0)), h.Reason)
		}
	})
}

type holdReleaseCmd struct {
	ID     string `arg:"" help:"What the hold's id begins with, as hold list shows it."`
	Reason string `required:"" placeholder:"TEXT" help:"Why; the ledger keeps it."`
}

func (*holdReleaseCmd) Help() string {
	return `What the hold kept is forgotten by the next forget whose rules do not keep it, unless another hold does.

Example:

  restante hold release 4be0d3a1 --reason "case closed"`
}

func (c *holdReleaseCmd) Run(ctx context.Context, a *app) error {
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	h, err := repo.Release(ctx, c.ID, c.Reason)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(map[string]holdJSON{"released": holdOf(h)})
	}
	fmt.Fprintf(a.out, "released hold %s: %s\n", h.ID.Short(), heldAccounts(h))
	return nil
}
