package main

import (
	"bytes"
	"log/slog"
	"testing"
)

// TestAStoreThatKeepsEverybodyWaitingIsToldToWhoWantsToKnow, and to nobody who
// has cron send mail for each line, or reads JSON.
func TestAStoreThatKeepsEverybodyWaitingIsToldToWhoWantsToKnow(t *testing.T) {
	for name, c := range map[string]struct {
		globals Globals
		serves  bool
		want    bool
	}{
		"a person": {Globals{}, false, true},
		"verbose":  {Globals{Verbose: true}, false, true},
		"cron":     {Globals{Quiet: true}, false, false},
		"a script": {Globals{JSON: true}, false, false},
		"serve":    {Globals{Quiet: true}, true, true},
	} {
		var told bytes.Buffer
		least := slog.LevelError
		if c.serves || c.globals.Verbose {
			least = slog.LevelInfo
		}
		a := &app{Globals: &c.globals, serves: c.serves, screen: &screen{w: &told}, log: newLog(&told, least)}
		a.storeLog().Warn("the store keeps us waiting")
		if got := told.Len() > 0; got != c.want {
			t.Errorf("%s: told %q", name, &told)
		}
	}
}
