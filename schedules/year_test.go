package schedules

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"restante/cmd/testbed/servers"
	"restante/schedules/calendar"
	"restante/schedules/queue"
	"restante/schedules/queue/queuetest"
	"restante/schedules/retention"
	"restante/storage"
)

// TestAYearOfNights has schedules in several zones be served for a year, with
// downtime now and then, a window in which nothing may run, and keep rules, on
// both databases: every account is backed up each night that something served,
// once, and caught up once after those that nothing did.
func TestAYearOfNights(t *testing.T) {
	first, second, days := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), 40
	if os.Getenv("RESTANTE_LONG") != "" {
		first, second, days = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), 365
	} else {
		t.Log("40 nights around each change of clocks; a whole year with RESTANTE_LONG=1")
	}
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); yearOfNights(t, filepath.Join(t.TempDir(), "db"), first, days) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); yearOfNights(t, servers.Postgres(t), second, days) })
}

// A nightOf is what was done for an account.
type nightOf struct {
	account string
	due     time.Time
}

func yearOfNights(t *testing.T, where string, first time.Time, days int) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	window, err := calendar.ParseWindow("mon-fri 03:30-05:00")
	if err != nil {
		t.Fatal(err)
	}
	schedule := func(name string, job queue.Kind, r calendar.Rule, prefix string) Schedule {
		table, err := calendar.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		return Schedule{Name: name, Job: job, Rule: r, Table: table, Of: func(a Account) bool { return a.Group == prefix }}
	}
	list := []Schedule{
		schedule("berlin", queue.Backup, calendar.Rule{Every: "30 2 * * *", Zone: berlin, Spread: 2 * time.Hour, Quiet: []calendar.Window{window}}, "berlin"),
		schedule("york", queue.Backup, calendar.Rule{Every: "30 1 * * *", Zone: newYork}, "york"),
		schedule("forget", queue.Forget, calendar.Rule{Every: "@daily", Zone: berlin}, ""),
	}
	var accounts []Account
	for i := range 6 {
		accounts = append(accounts, Account{Name: fmt.Sprintf("b%d", i), Group: "berlin", Server: "mx"}, Account{Name: fmt.Sprintf("y%d", i), Group: "york", Server: "mx"})
	}
	policy, err := retention.Parse("daily 10, weekly 6, monthly 24")
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	start := time.Date(first.Year(), first.Month(), first.Day(), 12, 0, 0, 0, berlin)
	c := queuetest.NewClock(start)
	var mu sync.Mutex
	done := map[nightOf]int{}
	snapshots := map[string][]storage.Snapshot{} // oldest first
	inQuiet, afterWindow := 0, 0
	h := NewHandler(c.Now, func(error) queue.Class { return queue.Passing })
	h.Use(list, map[queue.Kind]Job{
		queue.Backup: func(ctx context.Context, r queue.Run) (queue.Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			now := c.Now()
			if r.Schedule == "berlin" && !calendar.QuietUntil([]calendar.Window{window}, now, berlin).IsZero() {
				inQuiet++
			}
			if local := r.Due.In(berlin); r.Schedule == "berlin" && local.Hour() >= 5 {
				afterWindow++
			}
			done[nightOf{r.Account, r.Due}]++
			if n := len(snapshots[r.Account]); n > 0 && snapshots[r.Account][n-1].Started >= now.Unix() {
				return queue.Outcome{}, errors.New("the clock stands")
			}
			snapshots[r.Account] = append(snapshots[r.Account], storage.Snapshot{ID: storage.NewID(), Account: r.Account, Started: now.Unix(), Finished: now.Unix(), Messages: 1})
			return queue.Outcome{}, nil
		},
		queue.Forget: func(ctx context.Context, r queue.Run) (queue.Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			for account, list := range snapshots {
				newest := slices.Clone(list)
				slices.Reverse(newest)
				forgotten := retention.Forgotten(policy.Decide(newest, nil, retention.When{Now: c.Now(), Zone: berlin}))
				snapshots[account] = slices.DeleteFunc(list, func(s storage.Snapshot) bool { return slices.Contains(forgotten, s.ID) })
			}
			return queue.Outcome{}, nil
		},
	})
	plan := Plan(list, accounts, func(queue.Kind, string) time.Time { return time.Time{} })
	open := func() (q *queue.Queue, serving func() error) {
		q, err := queue.Open(ctx, where, queue.Options{Now: c.Now, Every: time.Millisecond, AtOnce: 8, PerServer: func(string) int { return 20 }})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Plan(ctx, plan); err != nil {
			t.Fatal(err)
		}
		inner, end := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- q.Serve(inner, h) }()
		return q, func() error { end(); return errors.Join(<-ended, q.Close()) }
	}
	settle := func(q *queue.Queue) {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			next, err := q.Next(ctx)
			counts, countErr := q.Counts(ctx)
			if err != nil || countErr != nil {
				t.Fatal(err, countErr)
			}
			waiting := counts[queue.Waiting]
			if waiting > 0 { // those that wait for a window's end do not count
				list, err := q.Runs(ctx, queue.Filter{States: []queue.State{queue.Waiting}})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range list {
					if r.NotUntil.After(c.Now()) {
						waiting--
					}
				}
			}
			if next[0].Next.After(c.Now()) && waiting+counts[queue.Given]+counts[queue.Running] == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not done in a minute: %v, next %v at %s", counts, next[0], c.Now())
			}
		}
	}

	random := rand.New(rand.NewPCG(7, 7))
	q, end := open()
	down, downs := 0, 0 // days that nothing serves, and how often that was
	served := map[string]bool{}
	for day := range days {
		if down > 0 {
			if down--; down > 0 {
				continue
			}
			c.Set(start.AddDate(0, 0, day))
			q, end = open()
			settle(q)
		} else if random.IntN(15) == 0 {
			if err := end(); err != nil {
				t.Fatal(err)
			}
			down, downs = 1+random.IntN(4), downs+1
			continue
		}
		for _, hours := range []int{10, 13, 14, 15, 17, 18, 20, 24} { // from noon on
			c.Set(start.AddDate(0, 0, day).Add(time.Duration(hours) * time.Hour))
			settle(q)
		}
		served[start.AddDate(0, 0, day+1).Format(time.DateOnly)] = true
	}
	if down == 0 {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	stop()

	for what, n := range done {
		if n != 1 {
			t.Errorf("%s of %s was done %d times", what.account, what.due, n)
		}
	}
	if inQuiet > 0 {
		t.Errorf("%d backups began when nothing may run", inQuiet)
	}
	if afterWindow == 0 {
		t.Error("no backup was put off by the window, so nothing was proven of it")
	}
	for _, a := range accounts {
		zone := berlin
		if a.Group == "york" {
			zone = newYork
		}
		nights := map[string]int{}
		for what := range done {
			if what.account == a.Name {
				nights[what.due.In(zone).Format(time.DateOnly)]++
			}
		}
		if len(nights) > len(served)+downs {
			t.Errorf("%s: backups of %d nights, where something served in %d, and was down %d times", a.Name, len(nights), len(served), downs)
		}
		for day := range served {
			if nights[day] != 1 {
				t.Errorf("%s has %d backups of %s", a.Name, nights[day], day)
			}
		}
		// What the rules keep at the end: ten days, and a month each from the first.
		months := map[string]bool{}
		for _, s := range snapshots[a.Name] {
			months[s.StartedAt().In(berlin).Format("2006-01")] = true
		}
		if n := len(snapshots[a.Name]); n < 10 || n > 10+6+days/30+2 || len(months) < days/31+1 {
			t.Errorf("%s: %d snapshots of %d months are kept", a.Name, n, len(months))
		}
	}
	t.Logf("%d nights were served, %d runs done", len(served), len(done))
}
