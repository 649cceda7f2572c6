package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"restante/storage"
)

// several backs up accounts at the same time, in one group. What each prints
// comes out whole, in the order in which they end; the documents are in the
// order of the list.
func (c *backupCmd) several(ctx context.Context, a *app, repo *storage.Repository, list []*account) ([]backupJSON, []error) {
	out, errs := make([]backupJSON, len(list)), make([]error, len(list))
	var ended atomic.Int64
	d := a.watch(func() moment {
		n := ended.Load()
		return moment{[]string{fmt.Sprintf("%s of %s backed up", count(n), number(int64(len(list)), "account"))}, n, int64(len(list))}
	})
	together := *c
	together.group = repo.Group(context.WithoutCancel(ctx))
	var printing sync.Mutex
	var work errgroup.Group
	work.SetLimit(c.Parallel)
	for i, acct := range list {
		work.Go(func() error {
			if ctx.Err() != nil {
				errs[i] = fmt.Errorf("account %q: %w", acct.name, context.Cause(ctx))
				return nil
			}
			var printed bytes.Buffer
			own := *a
			own.Globals = new(Globals)
			*own.Globals = *a.Globals
			own.Globals.Quiet, own.out = true, &printed
			j, err := together.one(ctx, &own, repo, acct)
			out[i] = j
			ended.Add(1)
			printing.Lock()
			defer printing.Unlock()
			a.screen.clear()
			a.out.Write(printed.Bytes())
			if err != nil {
				errs[i] = fmt.Errorf("account %q: %w", acct.name, err)
				if ctx.Err() == nil {
					a.report(errs[i])
				}
			}
			return nil
		})
	}
	work.Wait()
	d.end()
	var failed []error
	for _, err := range errs {
		if err != nil {
			failed = append(failed, err)
		}
	}
	return out, failed
}
