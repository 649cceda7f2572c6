package queue

import (
	"sync"
	"testing"
	"time"
)

func TestAlertsAreOpenedTouchedAndCleared(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		q, since := open(Options{}), newClock().Now()
		one := Alert{Name: "a", Topic: "t", Kind: "failure", Account: "a", Server: "s", Text: "first", Since: since}
		replace := func(source string, list ...Alert) {
			t.Helper()
			if err := q.ReplaceAlerts(t.Context(), source, list); err != nil {
				t.Fatal(err)
			}
		}
		replace("history", one)
		replace("facts", one) // another source has names of its own
		later := one
		later.Text, later.Topic, later.Since = "second", "other", since.Add(time.Hour)
		replace("history", later, Alert{Name: "b", Since: since.Add(time.Minute)})
		list, err := q.Alerts(t.Context())
		if err != nil || len(list) != 3 || list[2].Name != "b" {
			t.Fatalf("%+v, %v", list, err)
		}
		one.Text = "second"
		if list[0] != one && list[1] != one {
			t.Errorf("%+v; want one that is %+v", list, one)
		}
		replace("history")
		if list, err = q.Alerts(t.Context()); err != nil || len(list) != 1 || list[0].Text != "first" {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestOneOfManyMachinesClaimsANotice(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(Options) *Queue) {
		at := newClock().Now()
		first := open(Options{})
		n := Notice{Topic: "t", Way: "mail", Title: "x", Due: at, Sent: 2, SentAt: at, Told: 3, Clearing: true, Tries: 1, Error: "e"}
		if ok, err := first.SwapNotice(t.Context(), &n); !ok || err != nil {
			t.Fatal(ok, err)
		}
		again := Notice{Topic: "t", Way: "mail"}
		if ok, err := first.SwapNotice(t.Context(), &again); ok || err != nil {
			t.Fatalf("put twice: %v, %v", ok, err)
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		won := 0
		type machine struct {
			q    *Queue
			read Notice
		}
		var machines []machine
		for range 4 {
			q := open(Options{})
			list, err := q.Notices(t.Context())
			if err != nil || len(list) != 1 || list[0] != n {
				t.Fatalf("%+v, %v; want %+v", list, err, n)
			}
			machines = append(machines, machine{q, list[0]})
		}
		for _, m := range machines {
			all.Go(func() {
				m.read.Claimed = at.Add(time.Minute)
				ok, err := m.q.SwapNotice(t.Context(), &m.read)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if ok {
					won++
				}
			})
		}
		all.Wait()
		if won != 1 {
			t.Errorf("%d machines have claimed it", won)
		}
		if err := first.DropNotice(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		list, err := first.Notices(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("one that has changed was dropped: %+v, %v", list, err)
		}
		if err := first.DropNotice(t.Context(), list[0]); err != nil {
			t.Fatal(err)
		}
		if list, err = first.Notices(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
