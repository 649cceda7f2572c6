package queue

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"restante/cmd/testbed/servers"
	"restante/cmd/testbed/weather"
	"restante/schedules/queue/queuetest"
)

// A lane is a database on which crash points are tried one after another, each
// with accounts of its own.
type lane struct {
	where string
	tried int
}

// A program is one that serves: it may be gone from some operation on.
type program struct {
	*Queue
	faulty *queuetest.FaultyDatabase
	cancel context.CancelFunc
	served chan error
	gate   *weather.Way // on PostgreSQL; else nil

	mu    sync.Mutex // guards what follows
	ended map[string]int
}

// A tally counts how often the runs of each account were done.
type tally struct {
	mu   sync.Mutex
	done map[string]int
}

func (l *lane) start(c interface{ Now() time.Time }, accounts []string, did *tally, at int, commitOf string, what queuetest.Fault) (*program, error) {
	p := &program{ended: map[string]int{}}
	p.faulty = &queuetest.FaultyDatabase{At: at, CommitOf: commitOf, What: what}
	where := l.where
	if IsPostgres(where) {
		u, err := url.Parse(where)
		if err != nil {
			return nil, err
		}
		if p.gate, err = weather.Open(u.Host, weather.Options{}); err != nil {
			return nil, err
		}
		u.Host = p.gate.Address()
		where = u.String()
		p.faulty.Die = p.gate.Shut
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	var err error
	p.Queue, err = Open(ctx, where, Options{Machine: "m", Now: c.Now, Every: 10 * time.Millisecond, DeadAfter: 400 * time.Millisecond,
		Wrap: p.faulty.Wrap,
		Ended: func(r Run) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.ended[r.Account]++
		}})
	if err != nil {
		return p, err
	}
	var entries []Entry
	for _, a := range accounts {
		entries = append(entries, Entry{Schedule: "nightly", Kind: Backup, Account: a, Server: "mail", Timetable: hourly{}, Last: c.Now().Add(-2 * time.Hour)})
	}
	if err := p.Plan(ctx, entries); err != nil {
		return p, err
	}
	served := make(chan error, 1)
	p.served = served
	go func() {
		served <- p.Serve(ctx, hand(func(_ context.Context, r Run) (Outcome, error) {
			did.mu.Lock()
			defer did.mu.Unlock()
			did.done[r.Account]++
			return Outcome{Snapshot: "s"}, nil
		}))
	}()
	return p, nil
}

// stop ends it; one that is gone is left alone, as nobody waits for it.
func (p *program) stop() error {
	p.cancel()
	if struck, _ := p.faulty.Hit(); struck != "" && p.faulty.What == queuetest.Gone || p.Queue == nil {
		return nil
	}
	if p.gate != nil {
		defer p.gate.Close()
	}
	defer p.Close()
	if p.served == nil {
		return nil
	}
	return <-p.served
}

// try has the at-th operation of a program fail, or else a COMMIT, and proves that in the end
// every run was done and written down once. It returns how many operations
// there were, and which one it was.
func (l *lane) try(at int, commitOf string, what queuetest.Fault) (seen int, struck string, err error) {
	l.tried++
	accounts := []string{fmt.Sprintf("%d.a", l.tried), fmt.Sprintf("%d.b", l.tried)}
	c := newClock()
	did := &tally{done: map[string]int{}}
	watch, err := Open(context.Background(), l.where, Options{})
	if err != nil {
		return 0, "", err
	}
	defer watch.Close()
	done := func() (n int, err error) {
		for _, a := range accounts {
			list, err := watch.Runs(context.Background(), Filter{Account: a, Most: 100})
			if err != nil {
				return 0, err
			}
			if len(list) > 1 {
				return 0, fmt.Errorf("%s has the runs %+v", a, list)
			}
			if len(list) == 1 && list[0].State == Done {
				n++
			}
		}
		return n, nil
	}
	ended := map[string]int{}
	for i := range 5 { // more than two are not needed
		p, err := l.start(c, accounts, did, at, commitOf, what)
		died := err != nil
		for deadline := time.Now().Add(time.Minute); !died; time.Sleep(2 * time.Millisecond) {
			n, err := done()
			if err != nil {
				return 0, struck, err
			}
			var operation string
			if operation, seen = p.faulty.Hit(); operation != "" {
				struck = operation
			}
			if n == len(accounts) {
				break
			}
			select {
			case err = <-p.served: // as where the database cannot be told of this machine
				died, p.served = true, nil
			default:
			}
			died = died || struck != "" && what == queuetest.Gone && i == 0
			if time.Now().After(deadline) {
				list, _ := watch.Runs(context.Background(), Filter{Most: 4})
				return 0, struck, fmt.Errorf("after a minute %d of the runs are done: %+v", n, list)
			}
		}
		if operation, _ := p.faulty.Hit(); operation != "" {
			struck = operation
		}
		if died && (at < 0 && commitOf == "" || i > 1) {
			return 0, struck, fmt.Errorf("it ended: %w", err)
		}
		if err := p.stop(); err != nil && !died {
			return 0, struck, err
		}
		p.mu.Lock()
		for a, n := range p.ended {
			ended[a] += n
		}
		p.mu.Unlock()
		if !died {
			break
		}
		at, commitOf = -1, ""
	}
	for _, a := range accounts {
		most := 1
		if what == queuetest.Gone {
			most = 2 // it was gone before it could say that it was done
		}
		if n := did.done[a]; n < 1 || n > most {
			return 0, struck, fmt.Errorf("the run of %s was done %d times", a, n)
		}
		if n := ended[a]; n > 1 || n < 1 && what != queuetest.Gone {
			return 0, struck, fmt.Errorf("the end of the run of %s was told %d times", a, n)
		}
	}
	last, good, err := watch.Last(context.Background())
	for _, a := range accounts {
		if s := (Subject{Backup, a}); err != nil || last[s].State != Done || good[s].ID != last[s].ID {
			return 0, struck, fmt.Errorf("the last run of %s is %+v, %w", a, last[s], err)
		}
	}
	return seen, struck, nil
}

// TestEveryCrashPointOfARun has each operation on the database of a machine that
// does what is due fail before it, fail though it was done, or be the first that
// the machine does not come to any more.
func TestEveryCrashPointOfARun(t *testing.T) {
	test := func(t *testing.T, lanes []*lane) {
		n, _, err := lanes[0].try(-1, "", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, commit := range []string{"INSERT INTO restante_due", "INSERT INTO restante_machine", "INSERT INTO restante_run", "UPDATE restante_run SET state = ?, turn", "UPDATE restante_run SET state = ?, machine_id", "UPDATE restante_run SET state = ?, over"} {
			if lanes[0].where[0] == 'p' {
				commit = tx{postgres: true}.bind(commit)
			}
			for _, what := range queuetest.Faults() {
				if _, struck, err := lanes[0].try(-1, commit, what); err != nil || struck == "" {
					t.Errorf("%s after %q, %s: %v", struck, commit, what, err)
				}
			}
		}
		points := make(chan int)
		var group sync.WaitGroup
		var mu sync.Mutex
		struck := map[string]int{}
		for _, l := range lanes {
			group.Go(func() {
				for at := range points {
					for _, what := range queuetest.Faults() {
						_, operation, err := l.try(at, "", what)
						if err != nil {
							t.Errorf("operation %d of %d, %s: %s: %v", at, n, operation, what, err)
						}
						mu.Lock()
						struck[fmt.Sprintf("%.40s", operation)]++
						mu.Unlock()
					}
				}
			})
		}
		for at := range queuetest.Points(n, 6) {
			points <- at
		}
		close(points)
		group.Wait()
		t.Logf("%d operations; struck:", n)
		for _, operation := range slices.Sorted(maps.Keys(struck)) {
			t.Logf("%d %q", struck[operation], operation)
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		var lanes []*lane
		for range 4 {
			lanes = append(lanes, &lane{where: filepath.Join(t.TempDir(), "restante.db")})
		}
		test(t, lanes)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		var lanes []*lane
		for range 2 {
			lanes = append(lanes, &lane{where: servers.Postgres(t)})
		}
		test(t, lanes)
	})
}
