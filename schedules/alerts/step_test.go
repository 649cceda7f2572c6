package alerts

import (
	"errors"
	"testing"
	"time"

	"restante/schedules/queue"
)

// A machine that dies while it sends leaves a claim, which ends by itself.
func TestAClaimEndsByItself(t *testing.T) {
	t.Parallel()
	var o Options
	o.defaults()
	due := queue.Notice{Topic: "t", Way: "mail", Due: monday}
	claimed, do, event := o.step(due, 1, monday)
	if do != send || event != Opened || !claimed.Claimed.After(monday.Add(o.SendWithin)) {
		t.Fatalf("%v %s %+v", do, event, claimed)
	}
	for _, c := range []struct {
		at   time.Time
		want action
	}{{monday, wait}, {claimed.Claimed.Add(-time.Second), wait}, {claimed.Claimed, send}} {
		if _, do, _ := o.step(claimed, 1, c.at); do != c.want {
			t.Errorf("at %v: %v, want %v", c.at, do, c.want)
		}
		if _, do := o.regular(claimed, c.at, func(after time.Time) time.Time { return after.Add(time.Hour) }); do != c.want {
			t.Errorf("regularly, at %v: %v, want %v", c.at, do, c.want)
		}
	}
}

func TestAMessageThatFailsWaitsLongerEachTime(t *testing.T) {
	t.Parallel()
	n := queue.Notice{Topic: "t", Way: "mail", Claimed: monday.Add(time.Minute)}
	for tries, want := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, time.Hour} {
		n = ended(n, Message{Title: "x"}, 1, monday.Add(24*time.Hour), monday, errors.New("two\nlines"))
		if n.Tries != tries+1 || n.Due.Sub(monday) != want || n.Error != "two lines" || !n.Claimed.IsZero() || n.Sent != 0 {
			t.Errorf("%+v", n)
		}
	}
	if n = ended(n, Message{Title: "x"}, 3, monday.Add(24*time.Hour), monday, nil); n.Tries != 0 || n.Error != "" || n.Sent != 1 || n.Told != 3 || n.Title != "x" {
		t.Errorf("%+v", n)
	}
}
