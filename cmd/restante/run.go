package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"restante/schedules/queue"
	"time"
)

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
