package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// listsEvery is how often lists of users are read again.
const listsEvery = time.Hour

// reload reads the configuration again when it is told to, and every hour.
func (s *service) reload(ctx context.Context, told <-chan os.Signal) {
	every := time.NewTicker(listsEvery)
	defer every.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-told:
			asked = true
		case <-every.C:
		}
		daemon.SdNotify(false, daemon.SdNotifyReloading)
		old := s.current.Load()
		g, err := s.app.generation(ctx)
		if err == nil {
			err = s.adopt(ctx, g)
		}
		changes := []string(nil)
		if err == nil {
			changes = differences(old, g)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Error("the configuration cannot be read; everything goes on as before", "error", err, "hint", hintFor(err))
		case len(changes) == 0 && asked:
			s.log.Info("the configuration is read again: nothing changed")
		default:
			for _, c := range changes {
				s.log.Info("the configuration changed: " + c)
			}
		}
		daemon.SdNotify(false, daemon.SdNotifyReady)
	}
}

// differences tells what is other in a newer configuration.
func differences(old, g *generation) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(old.accounts)) {
		if g.accounts[name] == nil {
			list = append(list, fmt.Sprintf("account %q is gone", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.accounts)) {
		before, after := old.accounts[name], g.accounts[name]
		switch {
		case before == nil:
			list = append(list, fmt.Sprintf("account %q is new", name))
		case before.address != after.address || before.policy != after.policy || before.vault != after.vault || before.connections != after.connections || !slices.Equal(before.exclude, after.exclude):
			list = append(list, fmt.Sprintf("account %q is another", name))
		}
	}
	before, after := map[string]string{}, map[string]string{}
	for _, s := range old.schedules {
		before[s.Name] = string(s.Job) + " " + s.Table.String()
	}
	for _, s := range g.schedules {
		after[s.Name] = string(s.Job) + " " + s.Table.String()
		switch was, ok := before[s.Name]; {
		case !ok:
			list = append(list, fmt.Sprintf("schedule %q is new", s.Name))
		case was != after[s.Name] || !reflect.DeepEqual(old.config.Schedules[s.Name], g.config.Schedules[s.Name]):
			list = append(list, fmt.Sprintf("schedule %q is another", s.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[name]; !ok {
			list = append(list, fmt.Sprintf("schedule %q is gone", name))
		}
	}
	if !reflect.DeepEqual(old.config.Alerts, g.config.Alerts) {
		list = append(list, "who is told is another")
	}
	if old.config.Keep != g.config.Keep {
		list = append(list, "keep rules are others")
	}
	o, n := old.config, g.config
	if o.Repository != n.Repository || o.Serve != n.Serve && (o.Serve.Database != n.Serve.Database || o.Serve.DatabaseFile != n.Serve.DatabaseFile || o.Serve.Listen != n.Serve.Listen || o.Serve.AtOnce != n.Serve.AtOnce || o.Serve.Machine != n.Serve.Machine) {
		list = append(list, "repository, database, listen, at-once and machine count from the next start on")
	}
	return list
}
