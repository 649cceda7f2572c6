package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"restante/schedules"
	"restante/schedules/alerts"
	"restante/schedules/queue"
	"restante/schedules/queue/queuetest"
)

// TestWhatIsPlannedCanBeDone: an account that is new may be due, and begun by
// another goroutine, in the moment in which the plan has it. Where the database
// did not take the plan, all is as before.
func TestWhatIsPlannedCanBeDone(t *testing.T) {
	b := newBench(t, "")
	ctx, dir := t.Context(), filepath.Dir(b.args[1])
	if err := os.MkdirAll(filepath.Join(dir, "mail", "cur"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := &app{Globals: &Globals{Config: b.args[1], Repository: b.args[3], CacheDir: b.args[5], Identity: b.args[7]}, out: io.Discard, err: io.Discard, screen: &screen{w: io.Discard}, log: quietLog, env: lookupEnv}
	generation := func(text string) *generation {
		t.Helper()
		b.write("restante.toml", text)
		g, err := a.generation(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	const old, fresh = "[account.old]\nurl = \"maildir:mail\"\n", "[account.fresh]\nurl = \"maildir:mail\"\n"
	s := &service{app: a, log: quietLog, now: clock(), h: schedules.NewHandler(clock(), classify)}
	s.current.Store(generation(old))
	var err error
	if s.repo, s.counted, err = a.openRepository(ctx, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.repo.Close() })
	s.group = s.repo.Group(ctx)
	do := func(account string) error {
		_, err := s.h.Do(ctx, queue.Run{Kind: queue.Backup, Account: account, Schedule: "nightly", Priority: queue.Scheduled})
		return err
	}
	knows := func(when string, known, unknown string) {
		t.Helper()
		if err := do(known); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if err := do(unknown); err == nil || !strings.Contains(err.Error(), "there is no account") {
			t.Errorf("%s: the backup of %s: %v", when, unknown, err)
		}
	}
	planned := false
	f := &queuetest.FaultyDatabase{At: -1}
	f.Die = func() {
		if !planned {
			planned = true
			if err := do("fresh"); err != nil {
				t.Errorf("while the plan is written: %v", err)
			}
		}
	}
	if s.queue, err = queue.Open(ctx, filepath.Join(dir, "restante.db"), queue.Options{Wrap: f.Wrap}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.queue.Close() })
	s.alerts = alerts.New(s.queue, clock(), quietLog)
	if err := s.adopt(ctx, s.current.Load()); err != nil {
		t.Fatal(err)
	}
	knows("at first", "old", "fresh")

	g := generation(fresh)
	_, f.At = f.Hit() // the plan is not written
	f.What = queuetest.Gone
	if err := s.adopt(ctx, g); err == nil || !planned {
		t.Fatalf("planned: %v, %v", planned, err)
	}
	knows("where the plan was not written", "old", "fresh")
}

// A configuration reaches one machine after the other: what the first one plans
// is tried again where the second one does not know the account yet.
func TestAnAccountThatThisMachineDoesNotKnowYetIsTriedAgain(t *testing.T) {
	j := &jobs{g: &generation{accounts: map[string]*account{}}}
	_, err := j.backup(t.Context(), queue.Run{Account: "new"})
	if err == nil || classify(err) != queue.Passing {
		t.Errorf("%v is %q", err, classify(err))
	}
}
