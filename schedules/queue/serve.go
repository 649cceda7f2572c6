package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// A working is a run on this machine.
type working struct {
	run    int64
	turn   int
	begun  bool // the database says so; guarded by the queue's mutex
	cancel context.CancelCauseFunc
}

// stopWithin is how long Serve waits for runs to come to an end.
const stopWithin = 25 * time.Second

// Serve has this machine do runs until the context ends; those that it has
// then are cancelled, have a moment to commit what they read, and wait for
// another machine. It returns within half a minute of that.
func (q *Queue) Serve(ctx context.Context, h Handler) error {
	e, err := q.newEngine(h)
	if err != nil {
		return err
	}
	if err := q.enter(ctx); err != nil {
		return fmt.Errorf("tell the database of this machine: %w", err)
	}
	q.db.engine = e
	// The engine's own context must outlive this one, so that it can write down
	// how its jobs ended.
	outliving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if err := e.Start(outliving); err != nil {
		return fmt.Errorf("start the job engine: %w", err)
	}
	q.turnRound(ctx)

	q.mu.Lock()
	for w := range q.running {
		w.cancel(ErrStopping)
	}
	q.mu.Unlock()
	grace, cancel := context.WithTimeout(outliving, stopWithin)
	defer cancel()
	stopped := e.StopAndCancel(grace)
	if err := q.leave(grace); err != nil {
		q.o.Log.Warn("the database was not told that this machine stops; others wait until it is silent for a while", "error", err)
	}
	if stopped != nil {
		return fmt.Errorf("stop the job engine: %w", stopped)
	}
	return nil
}

// turnRound does what has to be done again and again.
func (q *Queue) turnRound(ctx context.Context) {
	heard := time.Now() // since when the database has known this machine without a gap
	cleaned := time.Time{}
	away := false
	for ctx.Err() == nil {
		late, err := q.beat(ctx)
		if late {
			heard = time.Now()
		}
		if err == nil && time.Since(heard) >= q.o.DeadAfter {
			err = q.takeOver(ctx)
		}
		if err == nil {
			err = q.Tick(ctx)
		}
		if err == nil {
			err = q.give(ctx)
		}
		if err == nil && time.Since(cleaned) > time.Hour {
			var more bool
			if more, err = q.clean(ctx, mostCleaned); !more {
				cleaned = time.Now()
			}
		}
		switch {
		case err != nil && ctx.Err() == nil && !away:
			away = true
			q.o.Log.Error("the database does not answer; runs go on, and nothing new begins until it does", "error", err)
		case err == nil && away:
			away = false
			q.o.Log.Info("the database answers again")
		}
		select {
		case <-ctx.Done():
		case <-time.After(q.o.Every):
		}
	}
}

// newEngine is River on the database there is.
func (q *Queue) newEngine(h Handler) (engine, error) {
	if q.db.postgres {
		return riverOn(q, riverpgxv5.New(q.db.pool), h)
	}
	return riverOn(q, riversqlite.New(q.db.sql), h)
}

func riverOn[TTx any](q *Queue, driver riverdriver.Driver[TTx], h Handler) (engine, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{q: q, h: h})
	return river.NewClient(driver, &river.Config{
		Logger: quieter(q.o.Log),
		Queues: map[string]river.QueueConfig{
			laneMail:   {MaxWorkers: q.o.AtOnce},
			laneUpkeep: {MaxWorkers: 1},
		},
		Workers: workers,
		// A backup takes as long as it takes. Jobs of a machine that died are given
		// anew after DeadAfter; what the engine itself rescues later finds its turn
		// over.
		JobTimeout:           -1,
		RescueStuckJobsAfter: 24 * time.Hour,
		FetchCooldown:        20 * time.Millisecond,
		FetchPollInterval:    500 * time.Millisecond,
	})
}

// A worker does the engine's jobs.
type worker struct {
	river.WorkerDefaults[runJob]
	q *Queue
	h Handler
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, job *river.Job[runJob]) error {
	q := w.q
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	self := &working{run: job.Args.Run, turn: job.Args.Turn, cancel: cancel}
	q.mu.Lock()
	q.running[self] = struct{}{}
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.running, self)
		q.mu.Unlock()
	}()
	r, ok, err := q.begin(ctx, job.Args)
	if err != nil || !ok {
		return err
	}
	q.mu.Lock()
	self.begun = true
	q.mu.Unlock()
	log := q.o.Log.With("run", r.ID, "kind", string(r.Kind), "account", r.Account)
	log.Info("run begins", "due", r.Due)
	outcome, err := w.do(ctx, r)
	q.mu.Lock()
	self.begun = false
	q.mu.Unlock()
	q.settle(ctx, w.h, &r, outcome, err)
	q.record(ctx, log, r)
	// There is room now.
	if context.Cause(ctx) != nil {
		return nil
	}
	if err := q.give(ctx); err != nil {
		log.Debug("the next run is given a little later", "error", err)
	}
	return nil
}

// do runs the handler; a panic of one account must not end the others.
func (w *worker) do(ctx context.Context, r Run) (o Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this is a mistake in Restante: %v", p)
			w.q.o.Log.Error("a run panicked", "run", r.ID, "panic", p, "stack", stack())
		}
	}()
	return w.h.Do(ctx, r)
}

// settle decides what becomes of a run.
func (q *Queue) settle(ctx context.Context, h Handler, r *Run, o Outcome, err error) {
	r.Ended, r.Snapshot = q.o.Now(), o.Snapshot
	if o.Result != nil {
		if b, jsonErr := json.Marshal(o.Result); jsonErr == nil {
			r.Result = b
		}
	}
	cause := context.Cause(ctx)
	quiet, isQuiet := errors.AsType[*Quiet](err)
	switch {
	case isQuiet:
		r.State, r.NotUntil, r.Error, r.Class = Waiting, quiet.Until, "", ""
	case err == nil:
		r.State, r.Error, r.Class = Done, "", ""
		if o.Incomplete {
			r.State = Incomplete
		}
	case errors.Is(cause, ErrStopping), errors.Is(cause, ErrLost), errors.Is(cause, context.Canceled):
		r.State, r.NotUntil, r.Error, r.Class = Waiting, r.Ended, textOf(err), ""
	default:
		r.Error, r.Class = textOf(err), h.Classify(err)
		r.State = Failed
		r.Tries++
		if wait, again := q.o.Backoff(r.Tries); again && r.Class == Passing {
			r.State, r.NotUntil = Waiting, r.Ended.Add(wait)
		}
	}
}

// textOf is an error as databases take it: PostgreSQL refuses what is no UTF-8, as
// the name of a file may be, and NUL.
func textOf(err error) string {
	return strings.ReplaceAll(strings.ToValidUTF8(err.Error(), "\uFFFD"), "\x00", "\uFFFD")
}

// record writes down how a run ended, and keeps trying while the database is
// away: what was done is done.
func (q *Queue) record(ctx context.Context, log *slog.Logger, r Run) {
	ctx = context.WithoutCancel(ctx)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := q.finish(ctx, r)
		if err == nil {
			break
		}
		if errors.Is(err, errNotOurs) {
			log.Warn("another machine has taken this run over", "error", r.Error)
			return
		}
		log.Warn("how the run ended cannot be written down yet", "error", err)
		time.Sleep(wait)
	}
	log.Info("run ended", "state", string(r.State), "error", r.Error, "tries", r.Tries)
	if q.o.Ended != nil {
		q.o.Ended(r)
	}
}
