package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"restante/schedules/calendar"
	"restante/schedules/queue"
)

// history opens the database of restante serve, which must be there.
func (a *app) history(ctx context.Context) (*queue.Queue, error) {
	c, err := a.configuration()
	if err != nil {
		return nil, err
	}
	where, err := c.database()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(where); !queue.IsPostgres(where) && errors.Is(err, os.ErrNotExist) {
		return nil, withHint(fmt.Errorf("nothing was served here yet: there is no database %s", where), "restante serve makes one; [serve] in restante.toml says where it is")
	}
	return queue.Open(ctx, where, queue.Options{Log: a.warnings()})
}

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

type runCmd struct {
	Accounts []string `arg:"" name:"account" help:"Accounts, by their names in the configuration."`
	Job      string   `enum:"backup,export" default:"backup" help:"backup or export (default: backup)."`
	Wait     bool     `short:"w" help:"Wait until it is done, and print what came of it."`
}

func (*runCmd) Help() string {
	return `Asks whoever serves for a backup now, before all that is scheduled. It returns at once, unless it is told to wait.

Without restante serve, restante backup ACCOUNT does the same here.

Example:

  restante run alice --wait`
}

func (c *runCmd) Run(ctx context.Context, a *app) error {
	q, err := a.history(ctx)
	if err != nil {
		return err
	}
	defer q.Close()
	list, err := a.accounts(ctx, c.Accounts, "", new(AccountAccess))
	if err != nil {
		return err
	}
	machines, err := q.Machines(ctx)
	if err != nil {
		return err
	}
	alive := false
	for _, m := range machines {
		alive = alive || m.Silent < time.Minute
	}
	if !alive {
		return withHint(errors.New("no machine serves"), "start one with: restante serve; restante backup does it without")
	}
	var ids []int64
	for _, acct := range list {
		id, err := q.Ask(ctx, queue.Kind(c.Job), acct.name, acct.address.Host, queue.Asked)
		if err != nil {
			return err
		}
		ids = append(ids, id)
		if !a.JSON && !c.Wait {
			fmt.Fprintf(a.out, "%s: run %d is asked for\n", oneLine(acct.name), id)
		}
	}
	var out []runJSON
	bad := false
	for _, id := range ids {
		r, err := q.Run(ctx, id)
		for c.Wait && err == nil && !r.State.Over() {
			select {
			case <-ctx.Done():
				return withHint(context.Cause(ctx), "the run goes on; restante runs tells what comes of it")
			case <-time.After(200 * time.Millisecond):
			}
			r, err = q.Run(ctx, id)
		}
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("run %d is not in the history any more", id)
		}
		if err != nil {
			return err
		}
		out = append(out, runToJSON(r))
		bad = bad || r.State == queue.Failed || r.State == queue.Dropped
		if c.Wait && !a.JSON {
			fmt.Fprintf(a.out, "%s: %s: %s\n", oneLine(r.Account), r.State, oneLine(cameOf(r)))
		}
	}
	if a.JSON {
		if err := a.printJSON(out); err != nil {
			return err
		}
	}
	if bad {
		return errReported
	}
	return nil
}

type scheduleCmd struct {
	List scheduleListCmd `cmd:"" default:"withargs" help:"List schedules with their next times."`
}

type scheduleListCmd struct {
	Accounts bool `help:"List each account's next time, too."`
	Times    int  `short:"n" default:"3" help:"So many of the next times (default: 3)."`
}

func (*scheduleListCmd) Help() string {
	return `Lists the schedules of the configuration, those that stand for it if it has none, and when they come next.

Example:

  restante schedule list
  restante schedule list --accounts`
}

// scheduleJSON is a schedule for programs.
type scheduleJSON struct {
	Name     string      `json:"name"`
	Job      string      `json:"job"`
	Every    string      `json:"every"`
	Zone     string      `json:"zone"`
	Spread   string      `json:"spread,omitempty"`
	Accounts int         `json:"accounts,omitempty"` // how many it is for
	Next     []time.Time `json:"next"`               // without the spread
	Each     []nextJSON  `json:"each,omitempty"`
}

type nextJSON struct {
	Account string    `json:"account"`
	Next    time.Time `json:"next"`
}

func (c *scheduleListCmd) Run(ctx context.Context, a *app) error {
	g, err := a.generation(ctx)
	if err != nil {
		return err
	}
	now := clock()()
	var out []scheduleJSON
	for _, s := range g.schedules {
		j := scheduleJSON{Name: s.Name, Job: string(s.Job), Every: s.Rule.Every, Zone: s.Rule.Zone.String(), Next: []time.Time{}}
		if s.Rule.Spread > 0 {
			j.Spread = s.Rule.Spread.String()
		}
		for _, acct := range g.list {
			if !s.Has(acct) {
				continue
			}
			j.Accounts++
			if c.Accounts {
				j.Each = append(j.Each, nextJSON{acct.Name, s.Table.Next(acct.Name, now)})
			}
		}
		plain := s.Rule
		plain.Spread = 0
		if table, err := calendar.Parse(plain); err == nil {
			for at := table.Next("", now); !at.IsZero() && len(j.Next) < c.Times; at = table.Next("", at) {
				j.Next = append(j.Next, at)
			}
		}
		out = append(out, j)
	}
	if a.JSON {
		return a.printJSON(out)
	}
	return a.table(func(row func(...any)) {
		for _, j := range out {
			what := "-"
			if j.Accounts > 0 {
				what = number(int64(j.Accounts), "account")
			}
			var next []string
			for _, at := range j.Next {
				form := "Mon 2006-01-02 15:04 MST"
				if at.Second() != 0 {
					form = "Mon 2006-01-02 15:04:05 MST"
				}
				next = append(next, at.Format(form))
			}
			spread := ""
			if j.Spread != "" {
				spread = "within " + strings.TrimSuffix(strings.TrimSuffix(j.Spread, "0s"), "0m")
			}
			row(j.Name, j.Job, what, j.Every, spread, strings.Join(next, ", "))
			for _, e := range j.Each {
				row("", "", e.Account, "", "", e.Next.Format("Mon 2006-01-02 15:04:05 MST"))
			}
		}
	})
}
