package crash

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/site"
)

// Commits says how two writers got on.
type Commits struct {
	Writers, Each int
	Requests      int64 // of all runs to the store
	Took          time.Duration
	All           time.Duration // with the proofs in the end
}

func (c *Commits) String() string {
	return fmt.Sprintf("writers: %d of them made %d commits each in %v, %.1f a second; %.1f store requests a commit; all %d snapshots are there, every octet is proved; %v in all",
		c.Writers, c.Each, c.Took.Round(time.Second), float64(c.Writers*c.Each)/c.Took.Seconds(), float64(c.Requests)/float64(c.Writers*c.Each), c.Writers*c.Each, c.All.Round(time.Second))
}

// Writers has two machines, each with its account and its cache, back up into
// one repository at the same time until each has made N commits. In the end
// every snapshot that was reported is there, and no other, the repository
// checks clean, and the accounts are restored as they are.
func Writers(ctx context.Context, s *site.Site, program string, o Options) (*Commits, error) {
	t, err := begin(ctx, s, o, "writers", program)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	writers := make([]*writer, 2)
	for i := range writers {
		a, err := t.newAccount(ctx, "w", o.Messages)
		if err != nil {
			return nil, err
		}
		writers[i] = &writer{account: a, r: t.r.With(filepath.Join(s.Dir, a.user+".cache"))}
	}
	commits := &Commits{Writers: len(writers), Each: o.N}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	started := time.Now()
	for i, w := range writers {
		wg.Go(func() {
			if w.err = w.work(ctx, o.N, func(done int) {
				if i == 0 && done%20 == 0 {
					s.Say("writers: %d of %d commits each", done, o.N)
				}
			}); w.err != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	commits.Took = time.Since(started)
	var reported []site.Snapshot
	for _, w := range writers {
		if w.err != nil && !errors.Is(w.err, context.Canceled) {
			return nil, w.err
		}
		commits.Requests += w.requests
		reported = append(reported, w.snapshots...)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	list, err := t.r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	if err := different("the snapshots that were reported, and those that are there", compareSnapshots(reported, list)); err != nil {
		return nil, err
	}
	if err := t.check(ctx, "--read-data"); err != nil {
		return nil, err
	}
	for _, w := range writers {
		last := w.snapshots[len(w.snapshots)-1]
		user := t.user("r")
		if err := t.restore(ctx, last, user); err != nil {
			return nil, err
		}
		want, err := s.Dump(ctx, w.user)
		if err != nil {
			return nil, err
		}
		got, err := s.Dump(ctx, user)
		if err != nil {
			return nil, err
		}
		if err := different(fmt.Sprintf("%s, restored to %s", w.user, user), rawimap.Difference(want, got)); err != nil {
			return nil, err
		}
	}
	commits.All = time.Since(began)
	return commits, nil
}

// A writer is a machine that backs up an account.
type writer struct {
	*account
	r         *site.Restante
	snapshots []site.Snapshot // as they were reported
	requests  int64
	err       error
}

// work backs up until there are n commits. Before each, a letter arrives.
func (w *writer) work(ctx context.Context, n int, done func(int)) error {
	for i := range n {
		if err := w.deliver(ctx, 1); err != nil {
			return err
		}
		out, err := w.r.Do(ctx, "backup", w.site.AccountURL(w.user), "--json")
		if err != nil {
			return fmt.Errorf("commit %d of %s: %w", i+1, w.user, err)
		}
		run, err := site.ParseBackup(out)
		if err != nil {
			return err
		}
		if want := int64(len(w.ever)); run.Snapshot.Messages != want {
			return fmt.Errorf("commit %d of %s has %d messages, and the account %d", i+1, w.user, run.Snapshot.Messages, want)
		}
		w.snapshots = append(w.snapshots, *run.Snapshot)
		w.requests += run.Requests
		done(i + 1)
	}
	return nil
}

// compareSnapshots says which snapshots only one of the lists has, or one has
// twice.
func compareSnapshots(reported, list []site.Snapshot) (wrong []string) {
	count := map[string]int{}
	for _, s := range list {
		count[fmt.Sprintf("%s of %s with %d messages", s.ID, s.Account, s.Messages)]++
	}
	for _, s := range reported {
		count[fmt.Sprintf("%s of %s with %d messages", s.ID, s.Account, s.Messages)] -= 1
	}
	for s, n := range count {
		switch {
		case n < 0:
			wrong = append(wrong, fmt.Sprintf("snapshot %s: not there", s))
		case n > 0:
			wrong = append(wrong, fmt.Sprintf("snapshot %s: nobody reported it", s))
		}
	}
	return wrong
}
