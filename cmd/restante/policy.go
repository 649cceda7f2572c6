package main

import (
	"context"
	"fmt"
	"time"

	"restante/backup/pop3source"
	"restante/storage"
)

// policyOf is the policy for a maildrop: the one said on the command line, else
// the configuration's.
func (c *backupCmd) policyOf(acct *account) (pop3source.Policy, error) {
	text := acct.policy
	if c.Policy != "" {
		text = c.Policy
	}
	p, err := pop3source.ParsePolicy(text)
	if err != nil {
		return p, wrongUsage(err)
	}
	if !p.Keeps() && !acct.address.Scheme.Maildrop() {
		return p, withHint(wrongUsage(fmt.Errorf("account %q is no maildrop, and nothing is ever deleted from others", acct.name)), "policies are for pop3s://, pop3:// and pop3+insecure://")
	}
	if c.DryRun && p.Keeps() {
		return p, withHint(wrongUsage(fmt.Errorf("--dry-run says what a policy would delete, and account %q has none", acct.name)), "give --policy, or write policy = \"delete-after: 30d\" into restante.toml")
	}
	return p, nil
}

// delete does what the policy of a maildrop says, after its backup.
func (c *backupCmd) delete(ctx context.Context, a *app, repo *storage.Repository, drop *pop3source.Source, acct *account, policy pop3source.Policy) (*pop3source.Report, error) {
	proof, err := a.openProof(ctx)
	if err != nil {
		return nil, fmt.Errorf("nothing was deleted: open the repository to read back from it: %w", err)
	}
	defer proof.Close()
	report, err := drop.Remove(ctx, pop3source.Removal{
		Account: acct.name, Policy: policy, Repo: repo, Proof: proof, Now: time.Now(), DryRun: c.DryRun,
	})
	if err != nil {
		return nil, err
	}
	if !a.JSON {
		printDeletion(a, report)
	}
	return report, nil
}

func printDeletion(a *app, r *pop3source.Report) {
	verb := "deleted from the server"
	if r.DryRun {
		verb = "would be deleted from the server"
	}
	fmt.Fprintf(a.out, "  %s: %s %s, %s and %s left there\n", r.Policy, messages(int64(len(r.Deleted))), verb, messages(int64(r.Left)), octets(r.LeftOctets))
	list := func(what string, verdicts []pop3source.Verdict) {
		const most = 20
		for i, v := range verdicts {
			if i == most {
				fmt.Fprintf(a.out, "  and %d more\n", len(verdicts)-most)
				break
			}
			fmt.Fprintf(a.out, "  %s: INBOX#%d %q, %s: %s\n", what, v.UID, oneLine(v.Subject), octets(v.Size), oneLine(v.Reason))
		}
	}
	if r.DryRun {
		list("would be deleted", r.Deleted)
	} else {
		list("deleted", r.Deleted)
	}
	list("kept", r.Kept)
	list("not known whether deleted", r.Unknown)
	if len(r.Unknown) > 0 {
		fmt.Fprintln(a.out, "  the next run sees what has become of them")
	}
}
