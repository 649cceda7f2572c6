package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/site"
)

// Pruned says how writers and pruners got on that were killed all the time.
type Pruned struct {
	Writers, Pruners int
	Kills            int
	Backups, Prunes  int // that came to their end
	GaveUp           int // that ended because of the others, and said so
	Snapshots        int // in the end, all of which restore
	Packs            int // in the end
	Took             time.Duration
}

func (p *Pruned) String() string {
	return fmt.Sprintf("pruners: %d writers and %d pruners at once, %d killed; %d backups and %d prunes came to their end, %d gave way to others; %d snapshots, all restored, every octet proved; %d packs, none left over; %v in all",
		p.Writers, p.Pruners, p.Kills, p.Backups, p.Prunes, p.GaveUp, p.Snapshots, p.Packs, p.Took.Round(time.Second))
}

// Pruners has three machines back up and two forget and prune, all at once in
// one repository, each ended by a kill -9 at a random moment of its run, until
// there were N kills. In the end the repository checks clean, every snapshot
// restores, the last that each writer was told of is there or a later one, and
// another prune leaves nothing that nobody needs.
func Pruners(ctx context.Context, s *site.Site, program string, o Options) (*Pruned, error) {
	t, err := begin(ctx, s, o, "pruners", program)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p := &pruners{trial: t, result: &Pruned{Writers: 3, Pruners: 2}}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var accounts []*account
	last := make([]site.Snapshot, p.result.Writers) // that were reported
	for range p.result.Writers {
		a, err := t.newAccount(ctx, "w", o.Messages)
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}
	var wg sync.WaitGroup
	for i, a := range accounts {
		r := t.r.With(filepath.Join(s.Dir, a.user+".cache"))
		random := rand.New(rand.NewPCG(o.Seed, uint64(10+i)))
		wg.Go(func() {
			for p.more() && ctx.Err() == nil {
				if err := a.deliver(ctx, 1+random.IntN(5)); err != nil {
					cancel(err)
					return
				}
				out, ended, err := p.strike(ctx, random, r.Command("backup", s.AccountURL(a.user), "--json", "--commit-every", "30ms"))
				if err != nil {
					cancel(err)
					return
				}
				if !ended {
					continue
				}
				run, err := site.ParseBackup(out)
				if err == nil && run.Snapshot.Messages != int64(len(a.ever)) {
					err = fmt.Errorf("%s: %d messages in a snapshot, of %d", a.user, run.Snapshot.Messages, len(a.ever))
				}
				if err != nil {
					cancel(err)
					return
				}
				last[i] = *run.Snapshot
				p.count(func(r *Pruned) { r.Backups++ })
			}
		})
	}
	for i := range p.result.Pruners {
		r := t.r.With(filepath.Join(s.Dir, fmt.Sprintf("pruner%d.cache", i)))
		random := rand.New(rand.NewPCG(o.Seed, uint64(20+i)))
		wg.Go(func() {
			for p.more() && ctx.Err() == nil {
				a := accounts[random.IntN(len(accounts))]
				if _, _, err := p.strike(ctx, random, r.Command("forget", s.AccountURL(a.user), "--keep-last", "2")); err != nil {
					cancel(err)
					return
				}
				_, ended, err := p.strike(ctx, random, r.Command("prune", "--grace", "0s", "--allow-much"))
				if err != nil {
					cancel(err)
					return
				}
				if ended {
					p.count(func(r *Pruned) { r.Prunes++ })
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := p.prove(ctx, accounts, last); err != nil {
		return nil, err
	}
	p.result.Took = time.Since(began)
	return p.result, nil
}

type pruners struct {
	*trial
	mu     sync.Mutex // guards what follows
	result *Pruned
}

func (p *pruners) more() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.result.Kills < p.N
}

func (p *pruners) count(what func(*Pruned)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what(p.result)
}

// give are what a program says that ended because of the others.
var give = []string{"was removed meanwhile", "another prune is at work", "no such snapshot"}

// strike runs a program and kills it at a moment when it may be at work. Ended
// says that it came to its end before, and a good one.
func (p *pruners) strike(ctx context.Context, random *rand.Rand, cmd *exec.Cmd) (out string, ended bool, err error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// Some are killed while they start, most at work, some not at all.
	deadline, cancel := context.WithTimeout(ctx, time.Duration(random.Int64N(int64(1500*time.Millisecond))))
	defer cancel()
	err = p.site.Run(deadline, cmd)
	switch {
	case ctx.Err() != nil:
		return "", false, nil // somebody else says why
	case err == nil:
		return stdout.String(), true, nil
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == -1:
		p.count(func(r *Pruned) {
			if r.Kills++; r.Kills%50 == 0 {
				p.site.Say("pruners: %d of %d killed", r.Kills, p.N)
			}
		})
		return "", false, nil
	}
	for _, text := range give {
		if strings.Contains(stderr.String(), text) {
			p.count(func(r *Pruned) { r.GaveUp++ })
			return "", false, nil
		}
	}
	return "", false, fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, stdout.String(), stderr.String())
}

// prove looks at what is there in the end.
func (p *pruners) prove(ctx context.Context, accounts []*account, last []site.Snapshot) error {
	if err := p.check(ctx, "--read-data"); err != nil {
		return err
	}
	for i, a := range accounts {
		list, err := p.r.Snapshots(ctx, p.site.AccountURL(a.user))
		if err != nil && last[i].ID != "" {
			return err
		}
		there := last[i].ID == ""
		for _, s := range list {
			there = there || s.ID == last[i].ID || s.Started.After(last[i].Started)
			user := p.user("r")
			if err := p.restore(ctx, s, user); err != nil {
				return err
			}
			got, err := p.site.Dump(ctx, user)
			if err != nil {
				return err
			}
			if n := messagesOf(got); n != s.Messages {
				return fmt.Errorf("snapshot %s of %s has %d messages, and %d came back", s.ID, a.user, s.Messages, n)
			}
			p.result.Snapshots++
		}
		if !there {
			return fmt.Errorf("snapshot %s of %s was reported, and neither it nor a later one is there", last[i].ID, a.user)
		}
		// One more run, that nobody kills, has all that is on the server.
		out, err := p.r.Do(ctx, "backup", p.site.AccountURL(a.user), "--json")
		if err != nil {
			return err
		}
		run, err := site.ParseBackup(out)
		if err != nil {
			return err
		}
		user := p.user("r")
		if err := p.restore(ctx, *run.Snapshot, user); err != nil {
			return err
		}
		want, err := p.site.Dump(ctx, a.user)
		if err != nil {
			return err
		}
		got, err := p.site.Dump(ctx, user)
		if err != nil {
			return err
		}
		if err := different(fmt.Sprintf("%s, restored to %s", a.user, user), rawimap.Difference(want, got)); err != nil {
			return err
		}
	}
	if _, err := p.r.Do(ctx, "prune", "--grace", "0s", "--allow-much"); err != nil {
		return err
	}
	if err := p.check(ctx, "--read-data"); err != nil {
		return err
	}
	if p.report.Unneeded > 0 {
		return fmt.Errorf("after the last prune %d packs are left that nobody needs", p.report.Unneeded)
	}
	p.result.Packs = p.report.Packs
	return nil
}

func messagesOf(m rawimap.Mailbox) (n int64) {
	for _, f := range m.Folders {
		n += int64(len(f.Messages))
	}
	return n
}
