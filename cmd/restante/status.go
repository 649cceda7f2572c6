package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"restante/schedules"
	"restante/schedules/queue"
)

type statusCmd struct{}

func (*statusCmd) Help() string {
	return `Tells whether every account has a good backup, what is wrong where one has none, which machines serve, and what is at work. Exit code 1 says that something is wrong.

Example:

  restante status
  restante status --json`
}

// statusJSON is the state of everything, for programs.
type statusJSON struct {
	Good     bool       `json:"good"`
	Accounts int        `json:"accounts"`
	Fresh    int        `json:"fresh"` // with a good backup that is not too old
	Oldest   *time.Time `json:"oldest_good,omitempty"`
	Messages int64      `json:"messages"`
	// Listed are the messages that servers listed at the last good backups, and
	// Unproven those of them that are not in the archive.
	Listed   int64           `json:"listed"`
	Unproven int64           `json:"unproven"`
	Wrong    []wrongJSON     `json:"wrong"`
	Machines []machineJSON   `json:"machines"`
	Queue    map[string]int  `json:"queue"`
	Upkeep   []upkeepJSON    `json:"upkeep"`
	Next     []nextStartJSON `json:"next"`

	staleAfter time.Duration // how long an account may be without a good backup
}

type wrongJSON struct {
	Account  string     `json:"account,omitempty"`
	Job      string     `json:"job"`
	Problem  string     `json:"problem"`
	LastGood *time.Time `json:"last_good,omitempty"`
}

type machineJSON struct {
	Name   string    `json:"name"`
	AtOnce int       `json:"at_once"`
	Silent float64   `json:"silent_seconds"`
	Since  time.Time `json:"since"`
}

type upkeepJSON struct {
	Job   string    `json:"job"`
	State string    `json:"state"`
	Ended time.Time `json:"ended"`
	What  string    `json:"what"`
}

type nextStartJSON struct {
	Schedule string    `json:"schedule"`
	Next     time.Time `json:"next"`
}

func (c *statusCmd) Run(ctx context.Context, a *app) error {
	q, err := a.history(ctx)
	if err != nil {
		return err
	}
	defer q.Close()
	g, err := a.generation(ctx)
	if err != nil {
		return err
	}
	s, err := status(ctx, q, g, clock()())
	if err != nil {
		return err
	}
	if a.JSON {
		err = a.printJSON(s)
	} else {
		err = s.print(a)
	}
	if err == nil && !s.Good {
		return errReported
	}
	return err
}

// status finds out how everything is.
func status(ctx context.Context, q *queue.Queue, g *generation, now time.Time) (*statusJSON, error) {
	s := &statusJSON{Accounts: len(g.list), Wrong: []wrongJSON{}, Machines: []machineJSON{}, Queue: map[string]int{}, Upkeep: []upkeepJSON{}, Next: []nextStartJSON{}}
	last, good, err := q.Last(ctx)
	if err != nil {
		return nil, err
	}
	o, err := g.config.alertOptions()
	if err != nil {
		return nil, err
	}
	s.staleAfter = cmp.Or(o.StaleAfter, 36*time.Hour)
	trying, err := q.Runs(ctx, queue.Filter{States: []queue.State{queue.Waiting, queue.Given, queue.Running}, Most: 1 << 20})
	if err != nil {
		return nil, err
	}
	again := map[queue.Subject]queue.Run{}
	for _, r := range trying {
		if r.Tries > 0 {
			again[queue.Subject{Kind: r.Kind, Account: r.Account}] = r
		}
	}
	unplanned := map[string]bool{}
	for _, name := range schedules.Unplanned(g.schedules, g.list) {
		unplanned[name] = true
	}
	for _, acct := range g.list {
		s.account(acct.Name, last, good, again, now, unplanned[acct.Name])
	}
	for _, kind := range queue.Kinds {
		r, ok := last[queue.Subject{Kind: kind}]
		if !ok || schedules.PerAccount(kind) {
			continue
		}
		s.Upkeep = append(s.Upkeep, upkeepJSON{string(kind), string(r.State), r.Ended, cameOf(r)})
		if r.State != queue.Done {
			s.Wrong = append(s.Wrong, wrongJSON{Job: string(kind), Problem: cameOf(r), LastGood: endOf(good, queue.Subject{Kind: kind})})
		}
	}
	machines, err := q.Machines(ctx)
	if err != nil {
		return nil, err
	}
	alive := 0
	for _, m := range machines {
		if m.Silent < time.Minute {
			alive++
		}
		s.Machines = append(s.Machines, machineJSON{m.Name, m.AtOnce, m.Silent.Seconds(), m.Started})
	}
	if alive == 0 {
		s.Wrong = append(s.Wrong, wrongJSON{Job: "serve", Problem: "no machine serves: nothing happens until restante serve is started"})
	}
	counts, err := q.Counts(ctx)
	if err != nil {
		return nil, err
	}
	for state, n := range counts {
		s.Queue[string(state)] = n
	}
	next, err := q.Next(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, n := range next {
		if !seen[n.Schedule] && !n.Next.IsZero() {
			seen[n.Schedule] = true
			s.Next = append(s.Next, nextStartJSON{n.Schedule, n.Next})
		}
	}
	s.Good = len(s.Wrong) == 0
	return s, nil
}

// endOf is when something was last well.
func endOf(runs map[queue.Subject]queue.Run, of queue.Subject) *time.Time {
	r, ok := runs[of]
	if !ok {
		return nil
	}
	return &r.Ended
}

// account looks at one account.
func (s *statusJSON) account(name string, last, good, again map[queue.Subject]queue.Run, now time.Time, unplanned bool) {
	of := queue.Subject{Kind: queue.Backup, Account: name}
	ran, ever := last[of]
	ok, fine := good[of]
	w := wrongJSON{Account: name, Job: string(queue.Backup), LastGood: endOf(good, of)}
	var done struct {
		Snapshot *snapshotJSON `json:"snapshot"`
	}
	if fine {
		json.Unmarshal(ok.Result, &done)
		if done.Snapshot != nil {
			s.Messages += done.Snapshot.Messages
			s.Listed += done.Snapshot.Listed
			s.Unproven += done.Snapshot.Unproven
		}
		if s.Oldest == nil || ok.Ended.Before(*s.Oldest) {
			s.Oldest = &ok.Ended
		}
	}
	fresh := fine && now.Sub(ok.Ended) <= s.staleAfter
	if fresh {
		s.Fresh++
	}
	retried, trying := again[of]
	switch {
	case trying:
		w.Problem = fmt.Sprintf("failed %s, and is tried again: %s", number(int64(retried.Tries), "time"), retried.Error)
	case ever && ran.State == queue.Failed:
		w.Problem = ran.Error
	case unplanned:
		w.Problem = "no schedule backs it up"
	case !fine && !ever:
		return // its first time has not come yet
	case !fresh:
		w.Problem = "no good backup for " + ago(now.Sub(ok.Ended))
	case ran.State == queue.Incomplete:
		w.Problem = "incomplete: " + cameOf(ran)
	case done.Snapshot != nil && done.Snapshot.Anomalous:
		w.Problem = "an unlikely share of the mail is gone since the backup before"
	default:
		return
	}
	s.Wrong = append(s.Wrong, w)
}

// ago is a length of time as people say it.
func ago(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return number(int64(d/(24*time.Hour)), "day")
}

func (s *statusJSON) print(a *app) error {
	if s.Good {
		fmt.Fprintf(a.out, "good: %s of %s backed up, %s", count(int64(s.Fresh)), number(int64(s.Accounts), "account"), messages(s.Messages))
	} else {
		fmt.Fprintf(a.out, "%s wrong; %s of %s have a good backup, %s", number(int64(len(s.Wrong)), "thing"), count(int64(s.Fresh)), number(int64(s.Accounts), "account"), messages(s.Messages))
	}
	if s.Oldest != nil {
		fmt.Fprintf(a.out, ", the oldest from %s", s.Oldest.Local().Format("2006-01-02 15:04"))
	}
	fmt.Fprintln(a.out)
	if s.Listed > 0 {
		fmt.Fprintf(a.out, "%s on the servers at the last backup, %s proven in the archive\n", messages(s.Listed), count(s.Listed-s.Unproven))
	}
	for i, w := range s.Wrong {
		if i == 50 {
			fmt.Fprintf(a.out, "  and %d more (restante status --json)\n", len(s.Wrong)-i)
			break
		}
		what := w.Account
		if what == "" {
			what = w.Job
		}
		fmt.Fprintf(a.out, "  %s: %s", oneLine(what), oneLine(w.Problem))
		if w.LastGood != nil {
			fmt.Fprintf(a.out, " (last good %s)", w.LastGood.Local().Format("2006-01-02 15:04"))
		}
		fmt.Fprintln(a.out)
	}
	if n := s.Queue[string(queue.Running)] + s.Queue[string(queue.Given)]; n+s.Queue[string(queue.Waiting)] > 0 {
		fmt.Fprintf(a.out, "at work: %d, waiting: %d\n", n, s.Queue[string(queue.Waiting)])
	}
	return a.table(func(row func(...any)) {
		for _, m := range s.Machines {
			state := "serves, " + number(int64(m.AtOnce), "account") + " at once"
			if m.Silent >= 60 {
				state = "silent for " + ago(time.Duration(m.Silent*float64(time.Second)))
			}
			row("machine", m.Name, state)
		}
		for _, u := range s.Upkeep {
			row("last "+u.Job, u.Ended.Local().Format("2006-01-02 15:04"), u.State+" "+u.What)
		}
		for _, n := range s.Next {
			row("next "+n.Schedule, n.Next.Local().Format("2006-01-02 15:04"), "")
		}
	})
}
