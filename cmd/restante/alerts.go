package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"restante/schedules/alerts"
)

type alertsCmd struct {
	List alertsListCmd `cmd:"" default:"withargs" help:"List the alerts that are open."`
	Test alertsTestCmd `cmd:"" help:"Send a message in every way that the configuration has."`
}

type alertsListCmd struct{}

func (*alertsListCmd) Help() string {
	return `Lists what restante serve found to be wrong and is not over, and messages that could not be sent. Who is told stands under [alerts] in the configuration.

Example:

  restante alerts
  restante alerts list --json`
}

// alertsJSON is what is open, for programs.
type alertsJSON struct {
	Alerts []alertJSON  `json:"alerts"`
	Unsent []unsentJSON `json:"unsent"`
}

type alertJSON struct {
	Kind    string    `json:"kind"`
	Topic   string    `json:"topic"` // those of one topic are one message
	Account string    `json:"account,omitempty"`
	Server  string    `json:"server,omitempty"`
	Text    string    `json:"text"`
	Since   time.Time `json:"since"`
}

// unsentJSON is a message that could not be sent.
type unsentJSON struct {
	Way   string    `json:"way"`
	Topic string    `json:"topic"`
	Error string    `json:"error"`
	Tries int       `json:"failed_tries"`
	Next  time.Time `json:"next"`
}

func (c *alertsListCmd) Run(ctx context.Context, a *app) error {
	q, err := a.history(ctx)
	if err != nil {
		return err
	}
	defer q.Close()
	open, err := q.Alerts(ctx)
	if err != nil {
		return err
	}
	notices, err := q.Notices(ctx)
	if err != nil {
		return err
	}
	list := alertsJSON{[]alertJSON{}, []unsentJSON{}}
	for _, o := range open {
		list.Alerts = append(list.Alerts, alertJSON{o.Kind, o.Topic, o.Account, o.Server, o.Text, o.Since})
	}
	for _, n := range notices {
		if n.Error != "" {
			list.Unsent = append(list.Unsent, unsentJSON{n.Way, n.Topic, n.Error, n.Tries, n.Due})
		}
	}
	if a.JSON {
		return a.printJSON(list)
	}
	if len(open) == 0 && len(list.Unsent) == 0 {
		fmt.Fprintln(a.out, "no open alerts")
		return nil
	}
	return a.table(func(row func(...any)) {
		for _, o := range open {
			row(o.Since.Local().Format("2006-01-02 15:04"), o.Kind, cmp.Or(o.Account, o.Server, "-"), o.Text)
		}
		for _, n := range list.Unsent {
			row("unsent", n.Way, number(int64(n.Tries), "try"), fmt.Sprintf("%s; again at %s", n.Error, n.Next.Local().Format("15:04")))
		}
	})
}

type alertsTestCmd struct{}

func (*alertsTestCmd) Help() string {
	return `Sends a test message by mail and to every webhook that stands under [alerts] in the configuration, and says which of them took it. Exit code 1 says that one did not.

Example:

  restante alerts test
  restante alerts test --json`
}

// triedJSON is a way that was tried.
type triedJSON struct {
	Way   string `json:"way"`
	Sent  bool   `json:"sent"`
	Error string `json:"error,omitempty"`
}

func (c *alertsTestCmd) Run(ctx context.Context, a *app) error {
	conf, err := a.configuration()
	if err != nil {
		return err
	}
	list, err := conf.alertWays(a.warnings())
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return withHint(wrongUsage(errors.New("the configuration has no way to tell anybody")), "write [alerts.mail] with server, from and to, or [[alerts.webhook]] with url, into restante.toml")
	}
	tried, failed := []triedJSON{}, false
	for _, way := range list {
		within, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("it has not taken the message within two minutes"))
		err := way.Send(within, alerts.TestMessage(clock()()))
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t := triedJSON{Way: way.Name(), Sent: err == nil}
		if err != nil {
			t.Error, failed = err.Error(), true
		}
		tried = append(tried, t)
		if a.JSON {
			continue
		}
		if err != nil {
			fmt.Fprintf(a.out, "%s: failed: %s\n", oneLine(t.Way), oneLine(t.Error))
		} else {
			fmt.Fprintf(a.out, "%s: sent\n", oneLine(t.Way))
		}
	}
	if a.JSON {
		if err := a.printJSON(tried); err != nil {
			return err
		}
	}
	if failed {
		return errReported
	}
	return nil
}
