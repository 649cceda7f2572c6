package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/oauth"
	"restante/backup/accounts/pop3conn"
	"restante/restore"
	"restante/restore/export"
	"restante/restore/rehearsal"
	"restante/schedules"
	"restante/schedules/alerts"
	"restante/schedules/queue"
	"restante/schedules/retention"
	"restante/storage"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// A generation is a configuration and what was made of it. Runs that began
// with one end with it, whatever is read meanwhile.
type generation struct {
	app       *app
	config    *config
	schedules []schedules.Schedule
	accounts  map[string]*account // by the names they have in the repository
	list      []schedules.Account
}

// generation makes one of the configuration file as it is now.
func (a *app) generation(ctx context.Context) (*generation, error) {
	own := *a
	own.file, own.groupsRead = nil, false
	own.out, own.Globals = io.Discard, new(Globals)
	*own.Globals = *a.Globals
	own.Globals.Quiet, own.Globals.JSON = true, true // a run says nothing by itself
	own.ask = func(context.Context, string) (string, error) { return "", errors.New("nobody is there to ask") }
	g := &generation{app: &own, accounts: map[string]*account{}}
	var err error
	if g.config, err = own.expanded(ctx); err != nil {
		return nil, err
	}
	if g.schedules, err = g.config.scheduled(); err != nil {
		return nil, err
	}
	all, err := own.accounts(ctx, nil, "", new(AccountAccess))
	if err != nil {
		return nil, err
	}
	names := g.config.accountNames()
	at := 0
	for _, acct := range all {
		for g.config.Accounts[names[at]].Skip {
			at++
		}
		configured := g.config.Accounts[names[at]]
		at++
		if g.accounts[acct.name] != nil {
			return nil, withHint(wrongUsage(fmt.Errorf("two accounts are called %q in the repository", acct.name)), "give one another name, or another computer")
		}
		g.accounts[acct.name] = acct
		g.list = append(g.list, schedules.Account{Name: acct.name, Group: configured.group, Server: acct.address.Host, Schedules: configured.Schedules})
	}
	return g, nil
}

// jobs does what a generation has to be done, in one repository.
type jobs struct {
	g    *generation
	repo *storage.Repository
	// group has accounts that are backed up at the same time share packs.
	group *storage.Group
	queue *queue.Queue
	now   func() time.Time
	note  func(alerts.Fact)
	// upkeep is one at a time in this process: a prune that meets another one
	// begins again, which helps nobody.
	upkeep *sync.Mutex
}

// all are the jobs by what they do.
func (j *jobs) all() map[queue.Kind]schedules.Job {
	return map[queue.Kind]schedules.Job{
		queue.Backup: j.backup, queue.Export: j.export, queue.Forget: j.forget, queue.Prune: j.prune, queue.Check: j.check,
		queue.Rehearsal: j.rehearse,
	}
}

func (j *jobs) account(name string) (*account, error) {
	acct := j.g.accounts[name]
	if acct == nil {
		// Another machine may have read a newer configuration, and this one will.
		return nil, fmt.Errorf("there is no account %q in the configuration that this machine has read", name)
	}
	return acct, nil
}

// backup backs one account up.
func (j *jobs) backup(ctx context.Context, r queue.Run) (queue.Outcome, error) {
	acct, err := j.account(r.Account)
	if err != nil {
		return queue.Outcome{}, err
	}
	if err := j.repo.Refresh(ctx); err != nil { // another machine may have been at it
		return queue.Outcome{}, err
	}
	c := &backupCmd{now: j.now, group: j.group, CommitEvery: time.Minute}
	done, err := c.one(ctx, j.g.app, j.repo, acct)
	if acct.login != nil {
		j.note(alerts.Fact{Subject: r.Account, What: "grant", Expires: acct.login.Ends()})
	}
	o := queue.Outcome{Result: done}
	if done.Snapshot != nil {
		o.Snapshot = done.Snapshot.ID
		o.Incomplete = done.incomplete()
	}
	return o, err
}

// export writes an account's latest snapshot to files: what is not there yet.
func (j *jobs) export(ctx context.Context, r queue.Run) (queue.Outcome, error) {
	s := j.g.config.Schedules[r.Schedule]
	if s == nil || s.To == "" {
		return queue.Outcome{}, wrongUsage(fmt.Errorf("schedule %q does not say where to", r.Schedule))
	}
	if err := j.repo.Refresh(ctx); err != nil {
		return queue.Outcome{}, err
	}
	latest, ok := j.repo.Latest(r.Account)
	if !ok {
		return queue.Outcome{}, fmt.Errorf("account %q: %w", r.Account, storage.ErrNoSnapshot)
	}
	tree, err := j.repo.OpenSnapshot(ctx, latest)
	if err != nil {
		return queue.Outcome{}, err
	}
	groups, err := new(restore.Selection).Groups(ctx, tree)
	if err != nil {
		return queue.Outcome{}, err
	}
	place, err := j.g.app.account(ctx, exportPlace(s.To, r.Account), "", new(AccountAccess))
	if err != nil {
		return queue.Outcome{}, err
	}
	place.address.Dir = beside(j.g.config.path, place.address.Dir)
	target, err := place.target(j.g.app, envelope{})
	if err != nil {
		return queue.Outcome{}, err
	}
	defer target.Close()
	report, err := restore.Run(ctx, j.repo, groups, target, restore.Options{Progress: new(restore.Progress), Log: j.g.app.log, JournalDir: filepath.Join(j.repo.CacheDir(), "restores")})
	if report == nil {
		return queue.Outcome{}, err
	}
	return queue.Outcome{Snapshot: latest.ID.String(), Result: report.Totals(), Incomplete: !report.Complete()}, err
}

// forget forgets what no keep rule keeps, of all accounts that have any.
func (j *jobs) forget(ctx context.Context, _ queue.Run) (queue.Outcome, error) {
	j.upkeep.Lock()
	defer j.upkeep.Unlock()
	if err := j.repo.Refresh(ctx); err != nil {
		return queue.Outcome{}, err
	}
	c := new(forgetCmd)
	names, policies, err := c.policies(j.g.app, j.g.config, j.repo, nil)
	if errors.Is(err, errNoRules) {
		return queue.Outcome{Result: forgotten{}}, nil
	}
	if err != nil {
		return queue.Outcome{}, err
	}
	zone, err := c.zone(j.g.config)
	if err != nil {
		return queue.Outcome{}, err
	}
	when := retention.When{Now: j.now(), Zone: zone}
	ids, err := j.repo.ForgetBy(ctx, names, "keep rules", func(account string, list []storage.Snapshot, holds []string) []storage.ID {
		return retention.Forgotten(policies[account].Decide(list, holds, when))
	})
	return queue.Outcome{Result: forgotten{Accounts: len(names), Snapshots: len(ids)}}, err
}

// forgotten is what a scheduled forget did.
type forgotten struct {
	Accounts  int `json:"accounts"`
	Snapshots int `json:"snapshots"`
}

// prune removes what no snapshot needs. More than a tenth is a person's to
// allow.
func (j *jobs) prune(ctx context.Context, _ queue.Run) (queue.Outcome, error) {
	j.upkeep.Lock()
	defer j.upkeep.Unlock()
	began := time.Now()
	pruned, err := j.repo.Prune(ctx, storage.PruneOptions{Grace: 24 * time.Hour})
	if pruned == nil {
		return queue.Outcome{}, err
	}
	if errors.Is(err, storage.ErrTooMuch) {
		err = withHint(err, "restante prune --dry-run says what it is; if it was forgotten on purpose, run restante prune --allow-much")
	}
	return queue.Outcome{Incomplete: len(pruned.Findings) > 0, Result: pruneJSON{Pruned: pruned, TooMuch: pruned.TooMuch(), Seconds: time.Since(began).Seconds()}}, err
}

// errFound says that a check found something.
var errFound = errors.New("something is wrong with the archive")

// check proves the ledger, the snapshots and a share of the data.
func (j *jobs) check(ctx context.Context, _ queue.Run) (queue.Outcome, error) {
	j.upkeep.Lock()
	defer j.upkeep.Unlock()
	if err := j.repo.Refresh(ctx); err != nil {
		return queue.Outcome{}, err
	}
	days := j.g.config.Serve.CheckWithin
	if days == 0 {
		days = 30
	}
	checked, err := j.repo.Check(ctx, storage.CheckOptions{ReadShare: &storage.DayShare{Days: days, Day: storage.DayOf(j.now())}})
	if err != nil {
		return queue.Outcome{}, err
	}
	if n := len(checked.Findings); n > 0 {
		first := checked.Findings[0]
		err = fmt.Errorf("%w: %s, the first: %s: %s", errFound, number(int64(n), "finding"), first.Object, first.Problem)
	}
	return queue.Outcome{Result: checked}, err
}

// rehearsed is how many rehearsals are looked at to find whose turn it is.
const rehearsed = 100_000

// rehearse restores the account that was not for longest, and compares.
func (j *jobs) rehearse(ctx context.Context, _ queue.Run) (queue.Outcome, error) {
	if err := j.repo.Refresh(ctx); err != nil {
		return queue.Outcome{}, err
	}
	earlier, err := j.queue.Runs(ctx, queue.Filter{Kind: queue.Rehearsal, Most: rehearsed})
	if err != nil {
		return queue.Outcome{}, err
	}
	last := map[string]time.Time{}
	for _, r := range earlier {
		var of rehearsal.Report
		if json.Unmarshal(r.Result, &of) == nil && r.Ended.After(last[of.Account]) {
			last[of.Account] = r.Ended
		}
	}
	account := rehearsal.Next(j.repo.Accounts(), last)
	latest, ok := j.repo.Latest(account)
	if !ok {
		return queue.Outcome{}, nil // there is nothing yet
	}
	report, err := rehearsal.Run(ctx, j.repo, latest, rehearsal.Options{Open: export.OpenMaildir, TempDir: beside(j.g.config.path, j.g.config.Serve.ScratchDir), Most: 1 << 30,
		Seed: uint64(j.now().Unix()), Progress: new(restore.Progress)})
	if err != nil {
		return queue.Outcome{}, fmt.Errorf("account %q: %w", account, err)
	}
	o := queue.Outcome{Snapshot: latest.ID.String(), Result: report}
	if n := len(report.Differences); n > 0 {
		first := report.Differences[0]
		return o, fmt.Errorf("account %q was not given back as it was: %w: %s, the first in %q: %s", account, errFound, number(int64(n), "difference"), first.Folder, first.Problem)
	}
	return o, nil
}

// classify tells what passes from what takes a person.
func classify(err error) queue.Class {
	switch {
	case errors.Is(err, imapconn.ErrLogin), errors.Is(err, pop3conn.ErrLogin), errors.Is(err, oauth.ErrLoginNeeded):
		return queue.Login
	case errors.Is(err, errUsage), errors.Is(err, errFound), errors.Is(err, imapconn.ErrTLS), errors.Is(err, pop3conn.ErrTLS),
		errors.Is(err, storage.ErrTooMuch), errors.Is(err, storage.ErrImplausible),
		errors.Is(err, storage.ErrWrongKey), errors.Is(err, storage.ErrDamaged), errors.Is(err, objects.ErrFull), errors.Is(err, objects.ErrRefused),
		errors.Is(err, ledger.ErrChain), errors.Is(err, ledger.ErrHole), errors.Is(err, ledger.ErrNewer):
		return queue.Lasting
	}
	return queue.Passing
}

// earlier are the runs that an account's snapshots tell of.
func earlier(list []storage.Snapshot) (runs []queue.Run) {
	for _, s := range list {
		if s.Marks.Has(storage.Partial) {
			continue
		}
		r := queue.Run{Kind: queue.Backup, State: queue.Done, Priority: queue.Scheduled, Due: s.StartedAt(), Started: s.StartedAt(), Ended: time.Unix(s.Finished, 0), Snapshot: s.ID.String(), Machine: s.Host}
		if s.Marks.Has(storage.Incomplete) {
			r.State = queue.Incomplete
		}
		j := toJSON(s)
		r.Result = marshal(backupJSON{Account: s.Account, Snapshot: &j, Seconds: float64(s.Finished - s.Started)})
		runs = append(runs, r)
	}
	return runs
}
