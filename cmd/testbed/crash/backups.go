package crash

import (
	"context"
	"fmt"
	"os"
	"time"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/site"
)

// Backups kills backups until N kills have hit. After each the repository must
// check clean. Mail arrives, is flagged and is expunged before the next run.
// What comes to its end, by good luck or because nobody kills it, must have
// the account as it is, octet for octet. In the end every octet in the
// repository is proved, and every snapshot is restored.
func Backups(ctx context.Context, s *site.Site, program string, o Options) (*Report, error) {
	t, err := begin(ctx, s, o, "backups", program)
	if err != nil {
		return nil, err
	}
	b := &backups{trial: t, accounts: map[string]*account{}, last: map[string]map[place]int{}}
	began := time.Now()
	if err := b.measure(ctx); err != nil {
		return nil, err
	}
	for t.report.Kills < o.N {
		if err := b.series(ctx); err != nil {
			return nil, fmt.Errorf("after %d kills: %w", t.report.Kills, err)
		}
		s.Say("backups: %d of %d kills", min(t.report.Kills, o.N), o.N)
	}
	if err := b.finish(ctx); err != nil {
		return nil, err
	}
	t.report.Took = time.Since(began)
	return t.report, nil
}

type backups struct {
	*trial
	accounts map[string]*account      // by their names in the repository
	last     map[string]map[place]int // what the last complete snapshot of each must have
}

// backup is a run of restante.
func (b *backups) backup(a *account) []string {
	return []string{b.site.AccountURL(a.user), "--commit-every", b.CommitEvery.String(), "--json"}
}

// measure finds out how long a run takes that nobody kills. It has a
// repository of its own, since what is stored there already would take no
// time.
func (b *backups) measure(ctx context.Context) error {
	place, err := b.site.Place("measure", b.Bucket)
	if err != nil {
		return err
	}
	scratch, err := b.site.NewRestante(ctx, b.program, "measure", place)
	if err != nil {
		return err
	}
	a, err := b.newAccount(ctx, "m", b.Messages)
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := scratch.Do(ctx, "backup", b.backup(a)...); err != nil {
		return err
	}
	b.report.Undamaged = time.Since(began)
	b.site.Say("backups: a run nobody kills takes %v", b.report.Undamaged.Round(time.Millisecond))
	if err := scratch.Remove(); err != nil {
		return err
	}
	return b.site.Forget(a.user)
}

// series has an account of its own, whose mail nobody has stored before. Its
// first backup is killed until it gets through; then half as much mail again
// arrives, and the next one is killed until it gets through.
func (b *backups) series(ctx context.Context) error {
	a, err := b.newAccount(ctx, "s", b.Messages)
	if err != nil {
		return err
	}
	for _, share := range []int{1, 2} {
		if share > 1 {
			if err := a.change(ctx, b.Messages/share); err != nil {
				return err
			}
		}
		run := b.report.Undamaged / time.Duration(share)
		for through := false; !through; {
			if b.moments.IntN(8) == 0 {
				if err := os.RemoveAll(b.r.Cache); err != nil { // as if on another machine
					return err
				}
			}
			after := b.moment(run)
			if b.report.Kills >= b.N {
				after = never // let it get through
			}
			hit, out, err := b.strike(ctx, b.r.Command("backup", b.backup(a)...), after)
			if err != nil {
				return err
			}
			if err := b.check(ctx); err != nil {
				return err
			}
			if hit {
				err = a.change(ctx, b.Messages/200)
			} else {
				through, err = true, b.compare(ctx, a, out)
			}
			if err != nil {
				return err
			}
		}
	}
	// What must be in the repository is known.
	return b.site.Forget(a.user)
}

// compare restores the snapshot of a run into a new account and compares that
// with the one that was backed up.
func (b *backups) compare(ctx context.Context, a *account, out string) error {
	run, err := site.ParseBackup(out)
	if err != nil {
		return err
	}
	want, err := b.site.Dump(ctx, a.user)
	if err != nil {
		return err
	}
	b.accounts[run.Account], b.last[run.Account] = a, places(want)
	if n := messages(want); run.Snapshot.Messages != n {
		return fmt.Errorf("%s has %d messages, and snapshot %s %d", a.user, n, run.Snapshot.ID, run.Snapshot.Messages)
	}
	user := b.user("r")
	if err := b.restore(ctx, *run.Snapshot, user); err != nil {
		return err
	}
	got, err := b.site.Dump(ctx, user)
	if err != nil {
		return err
	}
	b.report.Compared++
	if err := different(fmt.Sprintf("snapshot %s of %s, restored to %s, is not the account", run.Snapshot.ID, a.user, user), rawimap.Difference(want, got)); err != nil {
		return err
	}
	return b.site.Forget(user)
}

// finish proves every octet and restores every snapshot: those of an account
// one after the other into one new account. Then that must have each message
// once at most, none that the account never had, and all of its last snapshot.
func (b *backups) finish(ctx context.Context) error {
	if err := b.check(ctx, "--read-data"); err != nil {
		return err
	}
	list, err := b.r.Snapshots(ctx)
	if err != nil {
		return err
	}
	b.report.Snapshots = len(list)
	b.site.Say("backups: restoring all %d snapshots", len(list))
	of := map[string][]site.Snapshot{}
	for _, s := range list {
		of[s.Account] = append(of[s.Account], s)
		if s.Partial {
			b.report.Partial++
		}
	}
	for name, a := range b.accounts {
		user := b.user("f")
		for _, s := range of[name] {
			if err := b.restore(ctx, s, user); err != nil {
				return err
			}
		}
		got, err := b.site.Dump(ctx, user)
		if err != nil {
			return err
		}
		if err := different(fmt.Sprintf("all snapshots of %s, restored to %s", name, user), a.union(b.last[name], places(got))); err != nil {
			return err
		}
		if err := b.site.Forget(user); err != nil {
			return err
		}
		delete(of, name)
	}
	for name := range of {
		return fmt.Errorf("there are snapshots of %s, which was never backed up to the end", name)
	}
	return nil
}

// union says what is wrong with a mailbox that must have at least what is in
// last, each message once, and nothing that was never in the account.
func (a *account) union(last, got map[place]int) (wrong []string) {
	for p, n := range got {
		if n > 1 {
			wrong = append(wrong, fmt.Sprintf("folder %q message %x: %d times", p.folder, p.octets, n))
		}
		if !a.ever[p] {
			wrong = append(wrong, fmt.Sprintf("folder %q message %x: was never there", p.folder, p.octets))
		}
	}
	for p := range last {
		if got[p] == 0 {
			wrong = append(wrong, fmt.Sprintf("folder %q message %x: missing", p.folder, p.octets))
		}
	}
	return wrong
}
