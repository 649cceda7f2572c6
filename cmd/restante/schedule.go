package main

import (
	"context"
	"restante/schedules/calendar"
	"strings"
	"time"
)

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
