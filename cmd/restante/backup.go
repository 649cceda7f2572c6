package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"restante/backup"
	"restante/backup/accounts/oauth"
	"restante/backup/pop3source"
	"restante/restore"
	"restante/storage"
	"restante/storage/objects"
)

type backupCmd struct {
	Accounts []string `arg:"" optional:"" name:"account" help:"Accounts: names from the configuration, or URLs. Without any: all of the configuration."`
	Name     string   `help:"What the account is called in the repository, if it is given as a URL or is this computer."`
	AccountAccess
	Computer    string        `placeholder:"NAME" help:"For a maildrop (POP3): the computer that sees it so (default: the one in the configuration, else the host name)."`
	Exclude     []string      `placeholder:"PATTERN" help:"Folders to leave out: names, or patterns such as 'Lists/*' and 'Lists/**'."`
	Full        bool          `help:"Read every message again, whatever the last snapshot has."`
	CommitEvery time.Duration `default:"1m" help:"How often what was read so far is committed."`
	Policy      string        `placeholder:"POLICY" help:"For a maildrop (POP3): what to delete from the server when it is proven to be in the repository: keep (the default), delete-after-backup, 'delete-after: 30d' or 'delete-over: 5GB oldest first'."`
	DryRun      bool          `short:"n" help:"Back up, but delete nothing: say what the policy would delete, and why."`

	Parallel int `default:"1" placeholder:"N" help:"Back up so many accounts at a time. They share packs and ledger entries, which many small accounts should."`

	ThisComputer  bool `help:"All mail on this computer, found by itself, as one account such as anna@laptop; and the local accounts of the configuration."`
	PrintSchedule bool `help:"Back up nothing, but print a cron line and a systemd timer that do it every hour."`

	now   func() time.Time // what time snapshots say it is; nil: the clock's
	group *storage.Group   // that accounts are backed up in together; nil: each alone
}

func (*backupCmd) Help() string {
	return `Reads all folders of an account and commits a snapshot of it. Only what is new since the last snapshot is read. It changes nothing on the server, but for the policy of a maildrop.

The first run of a day (UTC), and one with --full, also asks an IMAP server for rights, quotas and METADATA, and for filter scripts where sieve in the configuration says, or at port 4190; restante ls ACCOUNT --details shows them.

A run that is interrupted has committed what it read until a minute ago; the next one goes on from there. Messages that the server does not give are named, and asked for again by the next run (exit code 3).

Account URLs: imaps://user@host (TLS), imap://user@host (STARTTLS), imap+insecure://user@host (clear text, password included), maildir:DIR, mbox:DIR, thunderbird:PROFILE (a profile's directory; without one, the profile that Thunderbird opens); for a maildrop pop3s://user@host (TLS), pop3://user@host (STLS), pop3+insecure://user@host.

A maildrop is kept for each computer that sees it: alice@mail.example.org/laptop. A snapshot holds what is on the server; what a mail program has removed since is in the snapshots before. With a policy, it deletes mail from the server: after its snapshot is committed, each message is read back from the repository, compared with what the server sent, and looked at once more on the server; what does not pass is kept and said. Age is counted from the first snapshot that has the message.

Example:

  RESTANTE_ACCOUNT_PASSWORD=… restante backup imaps://alice@mail.example.org
  restante backup alice bob
  restante backup
  restante backup --this-computer
  restante backup --this-computer --print-schedule
  restante backup pop3s://alice@mail.example.org --policy 'delete-after: 30d' --dry-run`
}

// backupJSON is how a run is printed for programs.
type backupJSON struct {
	Account  string        `json:"account"`
	Snapshot *snapshotJSON `json:"snapshot,omitempty"`
	Error    string        `json:"error,omitempty"`
	Login    bool          `json:"login_needed,omitempty"` // with restante login, by a person
	Missing  []missingJSON `json:"missing,omitempty"`
	// Deletion is what the policy of a maildrop did.
	Deletion *pop3source.Report `json:"deletion,omitempty"`
	Seconds  float64            `json:"seconds"`
	Requests int64              `json:"store_requests"` // 0 with --parallel, as the two below: they are of all together
	Sent     int64              `json:"store_bytes_sent"`
	Fetched  int64              `json:"store_bytes_fetched"`
}

// incomplete says that it is done, but for what it reports.
func (j *backupJSON) incomplete() bool {
	return j.Snapshot != nil && j.Snapshot.Incomplete || j.Deletion != nil && j.Deletion.Problems()
}

type missingJSON struct {
	Folder      string `json:"folder"`
	UIDValidity uint32 `json:"uidvalidity"`
	UID         uint32 `json:"uid"`
	Reason      string `json:"reason"`
}

func (c *backupCmd) Run(ctx context.Context, a *app) error {
	c.computer = c.Computer
	if c.ThisComputer && len(c.Accounts) > 0 {
		return wrongUsage(errors.New("--this-computer finds the accounts itself, so name none"))
	}
	if c.PrintSchedule {
		return c.printSchedule(a)
	}
	list, err := c.list(ctx, a)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return withHint(wrongUsage(fmt.Errorf("which account?")), "restante backup imaps://alice@mail.example.org, or write accounts into restante.toml")
	}
	repo, store, err := a.openRepository(ctx, true)
	if err != nil {
		return err
	}
	defer repo.Close()
	if c.Parallel < 1 {
		return withHint(wrongUsage(fmt.Errorf("%d accounts at a time are too few", c.Parallel)), "leave --parallel out, or write 2 or more")
	}
	var out []backupJSON
	var failed []error
	incomplete := false
	if c.Parallel > 1 && len(list) > 1 {
		out, failed = c.several(ctx, a, repo, list)
		for _, j := range out {
			incomplete = incomplete || j.incomplete()
		}
		list = nil
	}
	for i, acct := range list {
		before := store.Snapshot()
		if i == 0 {
			before = objects.Counts{} // opening the repository is part of the first run
		}
		j, err := c.one(ctx, a, repo, acct)
		spent := store.Snapshot().Since(before)
		j.Requests, j.Sent, j.Fetched = spent.Requests, spent.Stored, spent.Fetched
		out = append(out, j)
		incomplete = incomplete || j.incomplete()
		if err != nil {
			failed = append(failed, fmt.Errorf("account %q: %w", acct.name, err))
			if ctx.Err() != nil || len(list) == 1 {
				break
			}
			a.report(failed[len(failed)-1])
		}
	}
	if a.JSON {
		if err := a.printJSON(out); err != nil {
			return err
		}
	}
	switch {
	case len(out) == 1 && len(failed) == 1, ctx.Err() != nil && len(failed) > 0:
		return failed[len(failed)-1]
	case len(failed) > 0:
		return failedAlike(failed)
	case incomplete:
		return errIncomplete
	}
	return nil
}

func (c *backupCmd) list(ctx context.Context, a *app) ([]*account, error) {
	if c.ThisComputer {
		return a.thisComputer(ctx, c.Name)
	}
	return a.accounts(ctx, c.Accounts, c.Name, &c.AccountAccess)
}

// one backs up one account and prints what came of it.
func (c *backupCmd) one(ctx context.Context, a *app, repo *storage.Repository, acct *account) (backupJSON, error) {
	j := backupJSON{Account: acct.name}
	began := time.Now()
	vault, err := repo.VaultID(acct.vault)
	if err != nil {
		return j, err
	}
	policy, err := c.policyOf(acct)
	if err != nil {
		return j, err
	}
	src, err := acct.source(a)
	if err != nil {
		return j, err
	}
	defer src.Close()
	progress := new(backup.Progress)
	d := a.watch(backupMoment(acct.name, progress))
	patterns := slices.Concat(acct.exclude, c.Exclude)
	result, err := backup.Run(ctx, repo, src, backup.Options{
		Account: acct.name, Vault: vault, Full: c.Full, Drains: !policy.Keeps() && !c.DryRun, CommitEvery: c.CommitEvery, Progress: progress, Log: a.log, Now: c.now, Group: c.group,
		Exclude: func(levels []string) bool {
			name := storage.FolderName(levels)
			return slices.ContainsFunc(patterns, func(p string) bool { return restore.MatchFolder(p, name) })
		},
	})
	d.end()
	j.Seconds = time.Since(began).Seconds()
	if err != nil {
		j.Error, j.Login = err.Error(), errors.Is(err, oauth.ErrLoginNeeded)
		switch {
		case progress.Commits.Load() > 0:
			err = withPartial(err, progress.MessagesDone.Load())
		case ctx.Err() != nil:
			err = withHint(err, "nothing was committed yet; the next run begins where the last snapshot is")
		}
		return j, err
	}
	s := toJSON(result.Snapshot)
	j.Snapshot = &s
	for _, m := range result.Missing {
		j.Missing = append(j.Missing, missingJSON{m.Folder, m.UIDValidity, m.UID, m.Reason})
	}
	if !a.JSON {
		c.print(a, result, time.Since(began))
	}
	if drop, ok := src.(*pop3source.Source); ok && !policy.Keeps() {
		if j.Deletion, err = c.delete(ctx, a, repo, drop, acct, policy); err != nil {
			j.Error = err.Error()
		}
	}
	return j, err
}

// withPartial says that an interrupted run was not for nothing.
func withPartial(err error, read int64) error {
	hint := hintFor(err)
	if hint != "" {
		hint += "\n"
	}
	return withHint(err, "%s%s read until then are committed; the next run goes on from there", hint, messages(read))
}

func (c *backupCmd) print(a *app, r *backup.Result, took time.Duration) {
	s := r.Snapshot
	fmt.Fprintf(a.out, "%s: snapshot %s: %s in %s, %s\n", oneLine(s.Account), s.ID.Short(), messages(s.Messages), number(int64(s.Folders), "folder"), octets(s.Bytes))
	fmt.Fprintf(a.out, "  %s new (%s read), %s gone, %s with other flags; %s stored in %s\n",
		count(s.Stats.New), octets(s.Stats.Read), count(s.Stats.Gone), count(s.Stats.Flagged), octets(s.Stats.Stored), took.Round(10*time.Millisecond))
	if s.Stats.Unproven > 0 {
		fmt.Fprintf(a.out, "  the server lists %s, and %s of them are in the archive\n", messages(s.Stats.Listed), count(s.Stats.Listed-s.Stats.Unproven))
	}
	for _, n := range s.Notes {
		fmt.Fprintf(a.out, "  note: %s\n", oneLine(n))
	}
	const most = 20
	for i, m := range r.Missing {
		if i == most {
			fmt.Fprintf(a.out, "  and %d more\n", len(r.Missing)-most)
			break
		}
		fmt.Fprintf(a.out, "  could not be had: %s: %s\n", oneLine(restore.Reference(m.Folder, m.UID)), oneLine(m.Reason))
	}
	if s.Marks.Has(storage.Incomplete) {
		fmt.Fprintln(a.out, "  incomplete: the next run asks again for what is missing")
	}
}
