package main

import (
	"context"
	"encoding/json"
	"fmt"
	"restante/schedules/queue"
	"strings"
	"time"
)

type runsCmd struct {
	Account string        `arg:"" optional:"" help:"Only of this account, as snapshots call it."`
	Job     string        `enum:"backup,export,forget,prune,check,rehearsal," default:"" placeholder:"JOB" help:"Only backup, export, forget, prune, check or rehearsal."`
	Failed  bool          `help:"Only what failed, or is incomplete."`
	Since   time.Duration `placeholder:"AGE" help:"Only what was due since then: 48h."`
	Last    int           `short:"n" default:"50" help:"At most so many, the newest first (default: 50)."`
}

func (*runsCmd) Help() string {
	return `Lists what restante serve did and is about to do, the newest first.

Example:

  restante runs
  restante runs alice@mail.example.org
  restante runs --failed --since 48h`
}

// runJSON is a run for programs.
type runJSON struct {
	ID       int64           `json:"id"`
	Job      string          `json:"job"`
	Account  string          `json:"account,omitempty"`
	Schedule string          `json:"schedule,omitempty"`
	State    string          `json:"state"`
	Due      time.Time       `json:"due"`
	NotUntil *time.Time      `json:"not_until,omitempty"` // it waits until then
	Started  *time.Time      `json:"started,omitempty"`
	Ended    *time.Time      `json:"ended,omitempty"`
	Tries    int             `json:"failed_tries"`
	Machine  string          `json:"machine,omitempty"`
	Snapshot string          `json:"snapshot,omitempty"`
	Error    string          `json:"error,omitempty"`
	Class    string          `json:"error_class,omitempty"` // passing, login or lasting
	Result   json.RawMessage `json:"result,omitempty"`
}

func runToJSON(r queue.Run) runJSON {
	j := runJSON{ID: r.ID, Job: string(r.Kind), Account: r.Account, Schedule: r.Schedule, State: string(r.State), Due: r.Due, Tries: r.Tries,
		Machine: r.Machine, Snapshot: r.Snapshot, Error: r.Error, Class: string(r.Class), Result: r.Result}
	some := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	j.Started = some(r.Started)
	if r.State.Over() {
		j.Ended = some(r.Ended)
	}
	if r.State == queue.Waiting && r.NotUntil.After(r.Due) {
		j.NotUntil = some(r.NotUntil)
	}
	return j
}

func (c *runsCmd) Run(ctx context.Context, a *app) error {
	q, err := a.history(ctx)
	if err != nil {
		return err
	}
	defer q.Close()
	f := queue.Filter{Kind: queue.Kind(c.Job), Most: max(c.Last, 1)}
	if c.Account != "" {
		if f.Account, err = a.accountName(c.Account); err != nil {
			return err
		}
	}
	if c.Failed {
		f.States = []queue.State{queue.Failed, queue.Incomplete}
	}
	if c.Since > 0 {
		f.Since = time.Now().Add(-c.Since)
	}
	list, err := q.Runs(ctx, f)
	if err != nil {
		return err
	}
	if a.JSON {
		out := []runJSON{}
		for _, r := range list {
			out = append(out, runToJSON(r))
		}
		return a.printJSON(out)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "no runs")
		return nil
	}
	return a.table(func(row func(...any)) {
		for _, r := range list {
			what := r.Account
			if what == "" {
				what = "-"
			}
			row(r.ID, r.Due.Local().Format("2006-01-02 15:04"), string(r.Kind), what, string(r.State), r.Machine, cameOf(r))
		}
	})
}

// cameOf says in a few words what came of a run.
func cameOf(r queue.Run) string {
	var done struct {
		Snapshot *snapshotJSON `json:"snapshot"`
		Freed    *int64        `json:"freed_bytes"`
		Accounts *int          `json:"accounts"`
		Forgot   *int          `json:"snapshots"`
	}
	json.Unmarshal(r.Result, &done)
	took := ""
	if d := r.Ended.Sub(r.Started).Round(10 * time.Millisecond); r.State.Over() && !r.Started.IsZero() && d > 0 {
		took = ", " + d.String()
	}
	switch {
	case r.State == queue.Running:
		return "since " + r.Started.Local().Format("15:04:05")
	case r.State == queue.Waiting && r.Error != "":
		return fmt.Sprintf("again at %s: %s", r.NotUntil.Local().Format("15:04:05"), r.Error)
	case r.Error != "":
		return r.Error
	case done.Snapshot != nil:
		text := fmt.Sprintf("%s, %s new%s", messages(done.Snapshot.Messages), count(done.Snapshot.New), took)
		if done.Snapshot.Missing > 0 {
			text += fmt.Sprintf("; %s could not be had", count(done.Snapshot.Missing))
		}
		if done.Snapshot.Anomalous {
			text += "; an unlikely share of the mail is gone"
		}
		return text
	case r.Kind == queue.Prune && done.Freed != nil:
		return signedOctets(*done.Freed) + " freed" + took
	case r.Kind == queue.Forget && done.Forgot != nil:
		return number(int64(*done.Forgot), "snapshot") + " forgotten" + took
	}
	return strings.TrimPrefix(took, ", ")
}
