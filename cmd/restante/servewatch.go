package main

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"restante/backup/accounts"
	"restante/backup/imapwatch"
	"restante/schedules/queue"
)

const (
	// shareEvery is how often it is looked whose accounts are whose to watch:
	// machines come and go, and so do accounts.
	shareEvery = 5 * time.Second
	// watchAgain is how long after a server refused to be watched it is tried again.
	watchAgain = time.Hour
	// usuallyWatched is how many connections may wait for changes.
	usuallyWatched = 200
)

// watch has the accounts that want it backed up when something changes in them,
// each watched by one of the machines.
func (s *service) watch(ctx context.Context) {
	type watched struct {
		acct *account
		stop context.CancelFunc
	}
	now := map[string]watched{}
	var all sync.WaitGroup
	defer all.Wait()
	defer func() {
		for _, w := range now {
			w.stop()
		}
	}()
	most := s.current.Load().config.Serve.WatchConnections
	if most == 0 {
		most = usuallyWatched
	}
	places := make(chan struct{}, most)
	for wait := time.Duration(0); ctx.Err() == nil; pause(ctx, wait) {
		i, of, err := s.queue.Share(ctx)
		if wait = shareEvery; err != nil {
			continue // what is watched stays so
		}
		if of == 0 {
			wait = time.Second / 5 // it is about to be known
		}
		g := s.current.Load()
		for name, w := range now {
			if g.accounts[name] != w.acct || !mine(name, i, of) {
				w.stop()
				delete(now, name)
			}
		}
		for name, acct := range g.accounts {
			if _, there := now[name]; there || !acct.watch || !mine(name, i, of) {
				continue
			}
			inner, stop := context.WithCancel(ctx)
			now[name] = watched{acct, stop}
			all.Go(func() { s.watchOne(inner, g.app, acct, places) })
		}
	}
}

// mine says whether an account is the i-th of so many machines' to watch.
func mine(account string, i, of int) bool {
	if of == 0 {
		return false
	}
	h := fnv.New32a()
	h.Write([]byte(account))
	return int(h.Sum32()%uint32(of)) == i
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// watchOne watches an account until ctx ends.
func (s *service) watchOne(ctx context.Context, a *app, acct *account, places chan struct{}) {
	log := s.log.With("account", acct.name)
	if acct.address.Scheme.Local() || acct.address.Scheme.Maildrop() {
		log.Warn("only IMAP accounts can be watched")
		return
	}
	changed := make(chan struct{}, 1)
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { s.wake(ctx, acct, changed) })
	for ctx.Err() == nil {
		var d *accounts.Dialer
		d, err := acct.dialer(a)
		if err == nil {
			err = imapwatch.Watch(ctx, d.DialNews, imapwatch.Options{
				Connections: 1, Log: log,
				Hold: func(ctx context.Context) (func(), error) {
					select {
					case places <- struct{}{}:
						return func() { <-places }, nil
					case <-ctx.Done():
						return nil, context.Cause(ctx)
					}
				},
			}, func() {
				select {
				case changed <- struct{}{}:
				default: // it is known already
				}
			})
		}
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, imapwatch.ErrCannot) {
			log.Warn("the account cannot be watched; its schedule backs it up all the same", "error", err)
		} else {
			log.Warn("the account is not watched for an hour; its schedule backs it up all the same", "error", err, "hint", hintFor(err))
		}
		pause(ctx, watchAgain)
	}
}

// wake asks for a backup after each change. A run that had begun before the
// change may have missed it, so another one follows on that.
func (s *service) wake(ctx context.Context, acct *account, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		for again := true; again && ctx.Err() == nil; {
			id, err := s.queue.Ask(ctx, queue.Backup, acct.name, acct.address.Host, queue.Woken)
			if err != nil {
				pause(ctx, 5*time.Second) // the database is away
				continue
			}
			r, err := s.queue.Run(ctx, id)
			again = err != nil || r.State == queue.Running
			for err == nil && again && !r.State.Over() && ctx.Err() == nil {
				pause(ctx, time.Second)
				r, err = s.queue.Run(ctx, id)
				if r.State == queue.Waiting {
					break // it will be done from the start
				}
			}
		}
	}
}
