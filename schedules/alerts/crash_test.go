package alerts

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"restante/cmd/testbed/servers"
	"restante/schedules/queue"
	"restante/schedules/queue/queuetest"
)

// TestEveryCrashPointOfAnAlert has each operation on the database fail between
// an alert and its end, before it, though it was done, or as the last that a
// machine comes to. It is told of once, or once more, and so is its end; then
// nothing is open and nothing more is said.
func TestEveryCrashPointOfAnAlert(t *testing.T) {
	test := func(t *testing.T, most int, fresh func(t *testing.T) string) {
		try := func(t *testing.T, at int, what queuetest.Fault) (seen int) {
			where := fresh(t)
			f := &queuetest.FaultyDatabase{At: at, What: what}
			clock := queuetest.NewClock(monday)
			mail := &box{name: "mail"}
			begin := func(o queue.Options) *Keeper {
				o.Now = clock.Now
				q, err := queue.Open(t.Context(), where, o)
				if err != nil {
					return nil
				}
				t.Cleanup(func() { q.Close() })
				k := New(q, clock.Now, slog.New(slog.DiscardHandler))
				k.Use(Options{Settle: 2 * time.Minute}, nil, []Way{mail})
				return k
			}
			k := begin(queue.Options{Wrap: f.Wrap})
			// each does something each minute, with another program once this one is gone.
			each := func(minutes int, do func(k *Keeper) error) {
				for range minutes {
					struck, _ := f.Hit()
					if k == nil || struck != "" && what == queuetest.Gone {
						what = ""
						if k = begin(queue.Options{}); k == nil {
							t.Fatalf("operation %d, %.60s: %s: the next one cannot open the database", at, struck, f.What)
						}
					}
					if do(k) == nil { // what could not be told is told again, as it is by whoever looks
						do = func(*Keeper) error { return nil }
					}
					k.Tick(t.Context())
					clock.Pass(time.Minute)
				}
			}
			fact := func(expires time.Duration) func(k *Keeper) error {
				return func(k *Keeper) error {
					return k.Tell(t.Context(), Fact{Subject: "a", What: "grant", Expires: monday.Add(expires)})
				}
			}
			each(30, fact(5*24*time.Hour))
			each(30, fact(90*24*time.Hour))
			told := map[string]int{}
			for _, m := range mail.new() {
				event, _, _ := strings.Cut(m, ":")
				told[event]++
			}
			struck, seen := f.Hit()
			for _, event := range []string{"opened", "cleared"} {
				if n := told[event]; n < 1 || n > 2 || at < 0 && n != 1 {
					t.Errorf("operation %d, %.60s: %s: it was told %v", at, struck, f.What, told)
				}
			}
			each(5, func(*Keeper) error { return nil })
			if more := mail.new(); len(more) > 0 {
				t.Errorf("operation %d, %.60s: %s: in the end it was told %q", at, struck, f.What, more)
			}
			q, err := queue.Open(t.Context(), where, queue.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			list, err := q.Alerts(t.Context())
			notices, err2 := q.Notices(t.Context())
			if err != nil || err2 != nil || len(list) > 0 || len(notices) != 1 {
				t.Errorf("operation %d, %.60s: %s: in the end there is %+v, %+v, %v, %v", at, struck, f.What, list, notices, err, err2)
			}
			return seen
		}
		n := try(t, -1, "")
		points := 0
		for at := range queuetest.Points(n, most) {
			for _, what := range queuetest.Faults() {
				points++
				// Its database goes when it is done: there are thousands.
				t.Run(fmt.Sprintf("operation %d, %s", at, what), func(t *testing.T) { try(t, at, what) })
			}
		}
		t.Logf("%d operations, %d crash points", n, points)
	}
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, 12, onSQLite)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, 3, func(t *testing.T) string { return servers.Postgres(t) })
	})
}
