package queue

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
)

// TestAJobThatComesTwiceDoesNotHideTheRun: the job engine gives the same job
// again after a day, or a run is given anew to the machine that it was taken from.
// The run that goes on there is neither given away nor forgotten.
func TestAJobThatComesTwiceDoesNotHideTheRun(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q := open(Options{Now: c.Now, Every: time.Hour})
		plan(t, q, Entry{Schedule: "s", Kind: Backup, Account: "a", Timetable: daily{}})
		c.Pass(24 * time.Hour)
		tick(t, q)
		if err := q.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		give := func(turn int) {
			if _, err := q.db.now(t.Context()).exec("UPDATE restante_run SET state = ?, turn = ?, machine_id = 0", Given, turn); err != nil {
				t.Fatal(err)
			}
		}
		goes, causes, end := make(chan int), make(chan error, 1), make(chan struct{})
		w := &worker{q: q, h: hand(func(ctx context.Context, r Run) (Outcome, error) {
			goes <- r.turn
			if r.turn == 1 {
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return Outcome{}, ctx.Err()
			}
			<-end
			return Outcome{}, nil
		})}
		var group sync.WaitGroup
		work := func(turn int) {
			if err := w.Work(t.Context(), &river.Job[runJob]{Args: runJob{1, turn}}); err != nil {
				t.Error(err)
			}
		}
		give(1)
		group.Go(func() { work(1) })
		<-goes
		work(1) // nothing: it has begun
		if _, err := q.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := runs(t, q, Filter{}); r[0].State != Running {
			t.Fatalf("the run that goes on is %s", r[0].State)
		}
		give(2)
		group.Go(func() { work(2) })
		<-goes
		if _, err := q.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		if cause := <-causes; !errors.Is(cause, ErrLost) {
			t.Errorf("the run that was given anew was cancelled because of %v", cause)
		}
		close(end)
		group.Wait()
		if r := runs(t, q, Filter{}); r[0].State != Done {
			t.Errorf("%+v", r)
		}
	})
}

// TestAMachineDoesNotTakeItsOwnRunsOver: the database keeps one waiting between
// the moment that a machine is heard and the moment that it looks for others that
// are silent, for longer than one may be.
func TestAMachineDoesNotTakeItsOwnRunsOver(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		c := newClock()
		q, other := open(Options{Machine: "slow", Now: c.Now}), open(Options{Machine: "other", Now: c.Now})
		plan(t, q, Entry{Schedule: "s", Kind: Backup, Account: "a", Timetable: daily{}})
		c.Pass(24 * time.Hour)
		tick(t, q)
		for _, machine := range []*Queue{q, other} {
			if err := machine.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := q.db.now(t.Context()).exec("UPDATE restante_run SET state = ?, turn = 1", Given); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := q.begin(t.Context(), runJob{1, 1}); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if _, err := q.db.now(t.Context()).exec("UPDATE restante_machine SET seen_at = seen_at - ?", 2*q.o.DeadAfter.Milliseconds()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			machine *Queue
			want    State
		}{{q, Running}, {other, Waiting}} {
			if err := c.machine.takeOver(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r := runs(t, q, Filter{}); r[0].State != c.want {
				t.Errorf("after %s has looked, the run is %s, not %s", c.machine.o.Machine, r[0].State, c.want)
			}
		}
	})
}
