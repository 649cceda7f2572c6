package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"restante/schedules/retention"
	"restante/storage"
)

type forgetCmd struct {
	Accounts []string `arg:"" optional:"" name:"account" help:"Accounts, by name or URL. Without any: all that have keep rules in the configuration."`
	KeepRules
	Snapshot []string `placeholder:"ID" help:"Forget just these snapshots of the one account named, whatever the rules keep."`
	DryRun   bool     `help:"Only say which rule keeps which snapshot, and what would be forgotten."`
}

func (*forgetCmd) Help() string {
	return `A snapshot is kept if any rule keeps it. Rules on the command line take the place of those in the configuration:

  keep = "last 7, daily 30, weekly 12, monthly 36, yearly 10, within 90d"

Whatever the rules say, the latest complete snapshot of an account is kept, the latest that lacks no message, an anomalous one with the one before it, one that has the only copy of mail that a policy deleted from the server, and all of an account under a hold.

What only forgotten snapshots needed stays in the repository until restante prune.

Example:

  restante forget alice --keep-daily 30 --keep-monthly 12 --dry-run
  restante forget
  restante forget alice --snapshot 3f0a9c21`
}

// forgottenJSON is what became of an account's snapshots, for programs.
type forgottenJSON struct {
	Account   string         `json:"account"`
	Rules     string         `json:"rules"`
	Kept      []decisionJSON `json:"kept"`
	Forgotten []decisionJSON `json:"forgotten"`
}

type decisionJSON struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Reasons []string  `json:"reasons,omitempty"`
}

var errNoRules = errors.New("no account has keep rules")

func (c *forgetCmd) Run(ctx context.Context, a *app) error {
	file, err := a.expanded(ctx)
	if err != nil {
		return err
	}
	given, err := c.given()
	if err != nil {
		return err
	}
	zone, err := c.zone(file)
	if err != nil {
		return err
	}
	if len(c.Snapshot) > 0 && (len(c.Accounts) != 1 || given != nil) {
		return withHint(wrongUsage(errors.New("--snapshot goes with one account and without keep rules")), "restante forget alice --snapshot 3f0a9c21")
	}
	if given != nil && len(c.Accounts) == 0 {
		return withHint(wrongUsage(errors.New("rules on the command line need accounts")), "restante forget alice --keep-daily 30")
	}
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	names, policies, err := c.policies(a, file, repo, given)
	if err != nil {
		return err
	}
	if len(c.Snapshot) > 0 {
		return c.named(ctx, a, repo, names[0])
	}
	when := retention.When{Now: time.Now(), Zone: zone}
	decisions := map[string][]retention.Decision{}
	decide := func(account string, list []storage.Snapshot, holds []string) []storage.ID {
		decisions[account] = policies[account].Decide(list, holds, when)
		return retention.Forgotten(decisions[account])
	}
	if c.DryRun {
		for _, account := range names {
			decide(account, repo.Snapshots(account), repo.Holds(account))
		}
	} else if _, err := repo.ForgetBy(ctx, names, "keep rules", decide); err != nil {
		return err
	}
	return c.print(a, names, policies, decisions, zone)
}

// policies finds the accounts that are meant and the rules of each.
func (c *forgetCmd) policies(a *app, file *config, repo *storage.Repository, given retention.Policy) (names []string, policies map[string]retention.Policy, err error) {
	policies = map[string]retention.Policy{}
	all := len(c.Accounts) == 0
	asked := c.Accounts
	if all {
		asked = repo.Accounts()
	}
	for _, nameOrURL := range asked {
		name, err := a.accountName(nameOrURL)
		if err != nil {
			return nil, nil, err
		}
		if _, err := repo.At(name, storage.Latest); err != nil {
			return nil, nil, err
		}
		p := given
		if p == nil && len(c.Snapshot) == 0 {
			if p, err = file.keepRules(name); err != nil {
				return nil, nil, err
			}
			if p == nil && all {
				continue
			}
			if p == nil {
				return nil, nil, withHint(wrongUsage(fmt.Errorf("what is to be kept of %q?", name)), "say --keep-daily 30, or write keep = \"daily 30, monthly 12\" into restante.toml")
			}
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		policies[name] = p
	}
	if len(names) == 0 {
		return nil, nil, withHint(wrongUsage(errNoRules), "write keep = \"last 7, daily 30, monthly 12\" into restante.toml, or name an account with --keep-daily 30 and the like")
	}
	return names, policies, nil
}

// named forgets snapshots by their ids.
func (c *forgetCmd) named(ctx context.Context, a *app, repo *storage.Repository, account string) error {
	out := forgottenJSON{Account: account, Kept: []decisionJSON{}}
	var ids []storage.ID
	for _, text := range c.Snapshot {
		p, err := storage.ParsePoint(text, time.Now())
		if err != nil || !p.IsID() {
			return withHint(wrongUsage(fmt.Errorf("--snapshot: %q is no snapshot's id", text)), "restante snapshots %s lists them", account)
		}
		s, err := repo.At(account, p)
		if err != nil {
			return err
		}
		if !slices.Contains(ids, s.ID) {
			ids = append(ids, s.ID)
			out.Forgotten = append(out.Forgotten, decisionJSON{ID: s.ID.String(), Started: s.StartedAt().UTC()})
		}
	}
	if !c.DryRun {
		if err := repo.Forget(ctx, ids, "by name"); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.printJSON(c.document([]forgottenJSON{out}))
	}
	c.sum(a, int64(len(ids)))
	return nil
}

func (c *forgetCmd) document(accounts []forgottenJSON) map[string]any {
	return map[string]any{"dry_run": c.DryRun, "accounts": accounts}
}

func (c *forgetCmd) print(a *app, names []string, policies map[string]retention.Policy, decisions map[string][]retention.Decision, zone *time.Location) error {
	var out []forgottenJSON
	for _, account := range names {
		j := forgottenJSON{Account: account, Rules: policies[account].String(), Kept: []decisionJSON{}, Forgotten: []decisionJSON{}}
		for _, d := range decisions[account] {
			one := decisionJSON{d.Snapshot.ID.String(), d.Snapshot.StartedAt().UTC(), d.Reasons}
			if d.Keep() {
				j.Kept = append(j.Kept, one)
			} else {
				j.Forgotten = append(j.Forgotten, one)
			}
		}
		out = append(out, j)
	}
	if a.JSON {
		return a.printJSON(c.document(out))
	}
	total := 0
	for _, j := range out {
		total += len(j.Forgotten)
		fmt.Fprintf(a.out, "%s: %s, %d kept, %d forgotten (%s)\n", oneLine(j.Account), number(int64(len(j.Kept)+len(j.Forgotten)), "snapshot"), len(j.Kept), len(j.Forgotten), j.Rules)
		if !c.DryRun {
			continue
		}
		err := a.table(func(row func(...any)) {
			for _, d := range decisions[j.Account] {
				what := "keep"
				if !d.Keep() {
					what = "forget"
				}
				row("  "+what, d.Snapshot.ID.Short(), d.Snapshot.StartedAt().In(zone).Format("2006-01-02 15:04"), strings.Join(d.Reasons, "; "))
			}
		})
		if err != nil {
			return err
		}
	}
	c.sum(a, int64(total))
	return nil
}

// sum says what was done, or would be.
func (c *forgetCmd) sum(a *app, n int64) {
	switch {
	case c.DryRun:
		fmt.Fprintf(a.out, "%s would be forgotten; nothing was changed\n", number(n, "snapshot"))
	case n > 0:
		fmt.Fprintf(a.out, "%s forgotten; restante prune frees what only they needed\n", number(n, "snapshot"))
	}
}
