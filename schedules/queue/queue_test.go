package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"restante/cmd/testbed/servers"
	"restante/schedules/queue/queuetest"
)

// onBoth runs a test on SQLite and on PostgreSQL; open opens the test's
// database once more, as another machine would.
func onBoth(t *testing.T, test func(t *testing.T, open func(Options) *Queue)) {
	open := func(t *testing.T, where string) func(Options) *Queue {
		return func(o Options) *Queue {
			if o.Every == 0 {
				o.Every = 10 * time.Millisecond
			}
			q, err := Open(t.Context(), where, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { q.Close() })
			return q
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		test(t, open(t, filepath.Join(t.TempDir(), "state", "restante.db")))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, open(t, servers.Postgres(t)))
	})
}

// hourly is a time table.
type hourly struct{}

func (hourly) Next(_ string, after time.Time) time.Time {
	return after.Truncate(time.Hour).Add(time.Hour)
}
func (hourly) String() string { return "hourly" }

// daily is another one.
type daily struct{ hourly }

func (daily) Next(_ string, after time.Time) time.Time {
	return after.Truncate(24 * time.Hour).Add(24 * time.Hour)
}
func (daily) String() string { return "daily" }

// newClock makes a clock that shows half past midnight.
func newClock() *queuetest.Clock {
	return queuetest.NewClock(time.Date(2026, 6, 1, 0, 30, 0, 0, time.UTC))
}

// A hand is a Handler made of a function.
type hand func(ctx context.Context, r Run) (Outcome, error)

func (h hand) Do(ctx context.Context, r Run) (Outcome, error) { return h(ctx, r) }

var errPassword = errors.New("wrong password")

func (h hand) Classify(err error) Class {
	if errors.Is(err, errPassword) {
		return Login
	}
	return Passing
}

// serve has the queue serve until the function that is returned is called.
func serve(t *testing.T, q *Queue, h Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Serve(ctx, h) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("serve: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// until waits for something to become true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

func runs(t *testing.T, q *Queue, f Filter) []Run {
	t.Helper()
	f.Most = 100_000
	list, err := q.Runs(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

func plan(t *testing.T, q *Queue, entries ...Entry) {
	t.Helper()
	if err := q.Plan(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
}

func tick(t *testing.T, q *Queue) {
	t.Helper()
	if err := q.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsDueIsRunOnceByWhicheverMachine(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		var entries []Entry
		for i := range 30 {
			entries = append(entries, Entry{Schedule: "nightly", Kind: Backup, Account: fmt.Sprintf("user%02d", i), Server: "mail", Timetable: hourly{}})
		}
		var mu sync.Mutex
		done, atOnce, most := map[string]int{}, 0, 0
		handler := hand(func(ctx context.Context, r Run) (Outcome, error) {
			mu.Lock()
			done[fmt.Sprint(r.Account, r.Due)]++
			atOnce++
			most = max(most, atOnce)
			mu.Unlock()
			time.Sleep(2 * time.Millisecond)
			mu.Lock()
			atOnce--
			mu.Unlock()
			return Outcome{Snapshot: "s" + r.Account, Result: map[string]int{"messages": 3}}, nil
		})
		var queues []*Queue
		for i := range 3 {
			q := open(Options{Machine: fmt.Sprintf("m%d", i), Now: c.Now, AtOnce: 4, PerServer: func(string) int { return 3 }})
			plan(t, q, entries...)
			serve(t, q, handler)
			queues = append(queues, q)
		}
		for hour := range 3 {
			c.Pass(time.Hour)
			until(t, "the runs", func() bool {
				return len(runs(t, queues[0], Filter{States: []State{Done}})) == 30*(hour+1)
			})
		}
		if len(done) != 90 {
			t.Errorf("%d different runs, not 90", len(done))
		}
		for what, n := range done {
			if n != 1 {
				t.Errorf("%s was run %d times", what, n)
			}
		}
		if most > 3 {
			t.Errorf("%d runs at once on a server with room for 3", most)
		}
		r := runs(t, queues[1], Filter{Account: "user07"})
		if len(r) != 3 || r[0].Snapshot != "suser07" || string(r[0].Result) != `{"messages":3}` || r[0].Machine == "" || !r[0].Due.Equal(time.Date(2026, 6, 1, 1, 0, 0, 0, time.UTC)) {
			t.Errorf("history: %+v", r)
		}
	})
}

func TestMissedRunsAreCaughtUpOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q := open(Options{Now: c.Now})
		plan(t, q,
			Entry{Schedule: "nightly", Kind: Backup, Account: "caught", Timetable: hourly{}},
			Entry{Schedule: "nightly", Kind: Backup, Account: "left", Timetable: hourly{}, Skip: true},
			Entry{Schedule: "nightly", Kind: Backup, Account: "known", Timetable: daily{}, Last: c.Now().Add(-50 * time.Hour)},
			Entry{Schedule: "nightly", Kind: Backup, Account: "fresh", Timetable: daily{}, Last: c.Now().Add(-10 * time.Minute)},
		)
		tick(t, q)
		if list := runs(t, q, Filter{}); len(list) != 1 || list[0].Account != "known" {
			t.Fatalf("due at once: %+v", list)
		}
		c.Pass(5*time.Hour + 20*time.Minute) // 05:50, after 01:00 to 05:00
		tick(t, q)
		tick(t, q)
		var due []string
		for _, r := range runs(t, q, Filter{}) {
			due = append(due, r.Account+" "+r.Due.Format("15:04"))
		}
		if slices.Sort(due); !slices.Equal(due, []string{"caught 01:00", "known 00:00"}) {
			t.Errorf("due: %q", due)
		}
		next, err := q.Next(t.Context())
		if err != nil || next[0].Next.Format("15:04") != "06:00" || next[1].Next.Format("15:04") != "06:00" {
			t.Errorf("next: %+v, %v", next, err)
		}
	})
}

func TestAChangedTimetableCountsFromNowOn(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q := open(Options{Now: c.Now})
		plan(t, q, Entry{Schedule: "s", Kind: Backup, Account: "a", Timetable: hourly{}}, Entry{Schedule: "s", Kind: Backup, Account: "gone", Timetable: hourly{}})
		c.Pass(time.Hour)
		tick(t, q)
		plan(t, q, Entry{Schedule: "s", Kind: Backup, Account: "a", Timetable: daily{}})
		list := runs(t, q, Filter{Account: "gone"})
		if len(list) != 1 || list[0].State != Dropped {
			t.Errorf("of an account that is not in the plan any more: %+v", list)
		}
		if next, err := q.Next(t.Context()); err != nil || len(next) != 1 || next[0].Next.Day() != 2 {
			t.Errorf("next: %+v, %v", next, err)
		}
	})
}

func TestWhatPassesIsTriedAgainAndAPasswordIsNot(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q := open(Options{Now: c.Now, Backoff: func(n int) (time.Duration, bool) { return time.Minute, n < 3 }})
		plan(t, q, Entry{Schedule: "s", Kind: Backup, Account: "busy", Timetable: daily{}}, Entry{Schedule: "s", Kind: Backup, Account: "locked", Timetable: daily{}}, Entry{Schedule: "s", Kind: Backup, Account: "dead", Timetable: daily{}})
		serve(t, q, hand(func(ctx context.Context, r Run) (Outcome, error) {
			switch {
			case r.Account == "locked":
				return Outcome{}, errPassword
			case r.Account == "busy" && r.Tries == 1:
				return Outcome{Incomplete: true}, nil
			}
			return Outcome{}, errors.New("the connection was lost")
		}))
		c.Pass(24 * time.Hour)
		state := func(account string) Run { return runs(t, q, Filter{Account: account})[0] }
		until(t, "the first tries", func() bool {
			list := runs(t, q, Filter{})
			return len(list) == 3 && !slices.ContainsFunc(list, func(r Run) bool { return r.Error == "" })
		})
		until(t, "the end of the one that cannot log in", func() bool { return state("locked").State == Failed })
		if r := state("locked"); r.Class != Login || r.Tries != 1 {
			t.Errorf("%+v", r)
		}
		if r := state("busy"); r.State != Waiting || r.Class != Passing || !r.NotUntil.Equal(r.Ended.Add(time.Minute)) {
			t.Errorf("%+v", r)
		}
		c.Pass(2 * time.Minute)
		until(t, "the second try", func() bool { return state("busy").State == Incomplete && state("dead").Tries == 2 })
		c.Pass(2 * time.Minute)
		until(t, "the last try", func() bool { return state("dead").State == Failed })
		if r := state("busy"); r.Error != "" || r.Class != "" {
			t.Errorf("it went well, and says %+v", r)
		}
	})
}

func TestAMachineThatStopsHandsItsRunsBack(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		first := open(Options{Machine: "first", Now: c.Now})
		entry := Entry{Schedule: "s", Kind: Backup, Account: "a", Timetable: daily{}}
		plan(t, first, entry)
		running := make(chan struct{})
		stop := serve(t, first, hand(func(ctx context.Context, r Run) (Outcome, error) {
			close(running)
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrStopping) {
				t.Errorf("cancelled because of %v", context.Cause(ctx))
			}
			return Outcome{}, fmt.Errorf("read mail: %w", ctx.Err())
		}))
		c.Pass(24 * time.Hour)
		<-running
		stop()
		if r := runs(t, first, Filter{}); len(r) != 1 || r[0].State != Waiting || r[0].Tries != 0 {
			t.Fatalf("%+v", r)
		}
		second := open(Options{Machine: "second", Now: c.Now})
		plan(t, second, entry)
		serve(t, second, hand(func(ctx context.Context, r Run) (Outcome, error) { return Outcome{}, nil }))
		until(t, "the other machine", func() bool { return runs(t, second, Filter{})[0].State == Done })
		if r := runs(t, second, Filter{}); len(r) != 1 || r[0].Machine != "second" {
			t.Errorf("%+v", r)
		}
	})
}

func TestRunsOfAMachineThatDiedAreTakenOver(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		entry := Entry{Schedule: "s", Kind: Backup, Account: "a", Timetable: daily{}}
		// The dead machine: it has begun a run, and is not heard of again.
		dead := open(Options{Machine: "dead", Now: c.Now, DeadAfter: 300 * time.Millisecond})
		plan(t, dead, entry)
		c.Pass(24 * time.Hour)
		tick(t, dead)
		if err := dead.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := dead.db.now(t.Context()).exec("UPDATE restante_run SET state = ?, turn = 1", Given); err != nil {
			t.Fatal(err)
		}
		r, ok, err := dead.begin(t.Context(), runJob{1, 1})
		if err != nil || !ok || r.State != Running {
			t.Fatal(r, ok, err)
		}
		if _, ok, err := dead.begin(t.Context(), runJob{1, 1}); ok || err != nil {
			t.Fatalf("begun twice: %v", err)
		}

		alive := open(Options{Machine: "alive", Now: c.Now, DeadAfter: 300 * time.Millisecond})
		plan(t, alive, entry)
		serve(t, alive, hand(func(ctx context.Context, r Run) (Outcome, error) { return Outcome{Snapshot: "new"}, nil }))
		until(t, "the other machine", func() bool { return runs(t, alive, Filter{})[0].State == Done })
		// The dead one was only slow: what it did does not count any more.
		r.State, r.Ended, r.Snapshot = Done, c.Now(), "old"
		if err := dead.finish(t.Context(), r); !errors.Is(err, errNotOurs) {
			t.Errorf("its end was written down: %v", err)
		}
		if list := runs(t, alive, Filter{}); len(list) != 1 || list[0].Snapshot != "new" || list[0].Machine != "alive" {
			t.Errorf("%+v", list)
		}
	})
}

func TestAMachineWhoseRunWasTakenOverStopsIt(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q := open(Options{Now: c.Now})
		plan(t, q, Entry{Schedule: "s", Kind: Backup, Account: "a", Timetable: daily{}})
		running, cause := make(chan struct{}, 2), make(chan error, 2)
		serve(t, q, hand(func(ctx context.Context, r Run) (Outcome, error) {
			if r.turn > 5 {
				return Outcome{}, nil
			}
			running <- struct{}{}
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return Outcome{}, ctx.Err()
		}))
		c.Pass(24 * time.Hour)
		<-running
		if _, err := q.db.now(t.Context()).exec("UPDATE restante_run SET turn = turn + 5, state = ?, machine_id = 0", Waiting); err != nil {
			t.Fatal(err)
		}
		if err := <-cause; !errors.Is(err, ErrLost) {
			t.Errorf("it was cancelled because of %v", err)
		}
		until(t, "the end", func() bool { return runs(t, q, Filter{})[0].State == Done })
	})
}

func TestWhatIsAskedForComesFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q := open(Options{Now: c.Now, AtOnce: 1})
		var entries []Entry
		for i := range 20 {
			entries = append(entries, Entry{Schedule: "s", Kind: Backup, Account: fmt.Sprintf("user%02d", i), Timetable: daily{}})
		}
		plan(t, q, entries...)
		c.Pass(24 * time.Hour)
		tick(t, q)
		asked, err := q.Ask(t.Context(), Backup, "user17", "", Asked)
		if err != nil {
			t.Fatal(err)
		}
		again, err := q.Ask(t.Context(), Backup, "user17", "", Asked)
		if err != nil || again != asked {
			t.Errorf("asked twice: runs %d and %d, %v", asked, again, err)
		}
		other, err := q.Ask(t.Context(), Backup, "other", "", Asked)
		if err != nil || other == asked {
			t.Fatal(other, err)
		}
		var mu sync.Mutex
		var order []string
		serve(t, q, hand(func(ctx context.Context, r Run) (Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, r.Account)
			return Outcome{}, nil
		}))
		until(t, "all", func() bool { mu.Lock(); defer mu.Unlock(); return len(order) == 21 })
		if first := slices.Sorted(slices.Values(order[:2])); !slices.Equal(first, []string{"other", "user17"}) {
			t.Errorf("first were %q", order[:2])
		}
	})
}

func TestUpkeepDoesNotWaitBehindMail(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q := open(Options{Now: c.Now, AtOnce: 1})
		plan(t, q, Entry{Schedule: "s", Kind: Backup, Account: "a", Timetable: daily{}}, Entry{Schedule: "p", Kind: Prune, Timetable: daily{}})
		release := make(chan struct{})
		serve(t, q, hand(func(ctx context.Context, r Run) (Outcome, error) {
			if r.Kind == Backup {
				<-release
			}
			return Outcome{}, nil
		}))
		c.Pass(24 * time.Hour)
		until(t, "the prune", func() bool { return len(runs(t, q, Filter{Kind: Prune, States: []State{Done}})) == 1 })
		close(release)
		until(t, "the backup", func() bool { return len(runs(t, q, Filter{States: []State{Done}})) == 2 })
	})
}

func TestAPanicOfOneRunLeavesTheOthers(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q := open(Options{Now: c.Now, Backoff: func(int) (time.Duration, bool) { return 0, false }, Log: slog.New(slog.DiscardHandler)})
		plan(t, q, Entry{Schedule: "s", Kind: Backup, Account: "a", Timetable: daily{}}, Entry{Schedule: "s", Kind: Backup, Account: "b", Timetable: daily{}})
		serve(t, q, hand(func(ctx context.Context, r Run) (Outcome, error) {
			if r.Account == "a" {
				panic("oh")
			}
			return Outcome{}, nil
		}))
		c.Pass(24 * time.Hour)
		until(t, "both", func() bool { return len(runs(t, q, Filter{States: []State{Done, Failed}})) == 2 })
	})
}

func TestHistoryIsRestoredOnlyWhereThereIsNone(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q := open(Options{Now: c.Now})
		old := []Run{{Kind: Backup, State: Done, Due: c.Now().Add(-48 * time.Hour), Started: c.Now().Add(-48 * time.Hour), Ended: c.Now().Add(-47 * time.Hour), Snapshot: "one"},
			{Kind: Backup, State: Incomplete, Due: c.Now().Add(-24 * time.Hour), Started: c.Now().Add(-24 * time.Hour), Ended: c.Now().Add(-23 * time.Hour), Snapshot: "two"}}
		for range 2 {
			if err := q.Restore(t.Context(), "a", old); err != nil {
				t.Fatal(err)
			}
		}
		if list := runs(t, q, Filter{}); len(list) != 2 || list[1].Snapshot != "two" {
			t.Errorf("%+v", list)
		}
		if known, err := q.Remembered(t.Context()); err != nil || len(known) != 1 || !known["a"] {
			t.Errorf("remembered: %v, %v", known, err)
		}
		last, good, err := q.Last(t.Context())
		if err != nil || last[Subject{Backup, "a"}].Snapshot != "two" || good[Subject{Backup, "a"}].State != Incomplete {
			t.Errorf("%+v, %+v, %v", last, good, err)
		}
		if _, err := q.Run(t.Context(), 99); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("run 99: %v", err)
		}
		if err := q.Restore(t.Context(), "b", old); err != nil {
			t.Fatal(err)
		}
		q.o.KeepHistory = 36 * time.Hour
		for left, want := range []bool{true, true, false} { // the last of each account stay
			more, err := q.clean(t.Context(), 1)
			if err != nil || more != want {
				t.Fatalf("more after %d: %v, %v", left+1, more, err)
			}
		}
		if list := runs(t, q, Filter{}); len(list) != 2 || list[0].Snapshot != "two" || list[1].Snapshot != "two" {
			t.Errorf("after cleaning: %+v", list)
		}
	})
}
