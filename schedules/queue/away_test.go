package queue

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"restante/cmd/testbed/servers"
	"restante/cmd/testbed/weather"
)

// TestRunsGoOnWhileTheDatabaseIsAway shuts the way to PostgreSQL several times,
// longer than a machine may be silent, while two machines are at work: each run
// is done once, though nobody could write that down for a while.
func TestRunsGoOnWhileTheDatabaseIsAway(t *testing.T) {
	u, err := url.Parse(servers.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	g, err := weather.Open(u.Host, weather.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	direct := u.String()
	u.Host = g.Address()
	c := newClock()
	var entries []Entry
	for i := range 20 {
		entries = append(entries, Entry{Schedule: "nightly", Kind: Backup, Account: fmt.Sprintf("user%02d", i), Timetable: daily{}})
	}
	var mu sync.Mutex
	did, finished := map[string]int{}, 0
	held := make(chan struct{})
	handler := hand(func(ctx context.Context, r Run) (Outcome, error) {
		<-held // so that they are at work when the database goes away
		mu.Lock()
		defer mu.Unlock()
		did[fmt.Sprint(r.Account, r.Due)]++
		finished++
		return Outcome{}, ctx.Err()
	})
	const silent = 5 * time.Second // in which a busy computer lets a machine speak
	for i := range 2 {
		q, err := Open(t.Context(), u.String(), Options{Machine: fmt.Sprintf("m%d", i), Now: c.Now, AtOnce: 4, Every: 10 * time.Millisecond, DeadAfter: silent})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { q.Close() })
		plan(t, q, entries...)
		serve(t, q, handler)
	}
	watch, err := Open(t.Context(), direct, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { watch.Close() })
	count := func(s State) int { return len(runs(t, watch, Filter{States: []State{s}})) }

	c.Pass(24 * time.Hour)
	until(t, "runs at work on both", func() bool { return count(Running) == 8 })
	g.Shut()
	mu.Lock()
	before := finished
	mu.Unlock()
	close(held) // they end while nobody can be told
	until(t, "what was at work to end", func() bool { mu.Lock(); defer mu.Unlock(); return finished >= before+8 })
	for away := time.Now(); time.Since(away) < silent+time.Second; time.Sleep(10 * time.Millisecond) {
		// How long the others wait before they take a machine's runs over is a
		// time, and it has to be over.
	}
	if n := count(Done); n > 12 {
		t.Fatalf("%d are done, and nobody could say so", n)
	}
	g.Let()
	until(t, "all", func() bool { return count(Done) == 20 })
	if _, broken := g.Turned(); broken == 0 {
		t.Error("no connection was broken")
	}
	for what, n := range did {
		if n != 1 {
			t.Errorf("%s was run %d times", what, n)
		}
	}
	if len(did) != 20 {
		t.Errorf("%d different runs", len(did))
	}
}
