package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"restante/cmd/testbed/servers"
	"restante/cmd/testbed/weather"
)

func TestAConnectionOnWhichNothingComesIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		what string
		set  time.Duration // a deadline; 0: none
		want time.Duration
	}{
		{"no deadline", 0, time.Minute},
		{"a later deadline", time.Hour, time.Minute},
		{"a sooner deadline", time.Second, time.Second},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, other := net.Pipe()
				defer other.Close()
				conn := &patientConn{Conn: one, limit: time.Minute}
				defer conn.Close()
				for what, do := range map[string]func([]byte) (int, error){"read": conn.Read, "write": conn.Write} {
					if err := conn.SetDeadline(time.Time{}); err != nil {
						t.Fatal(err)
					}
					if c.set > 0 {
						if err := conn.SetDeadline(time.Now().Add(c.set)); err != nil {
							t.Fatal(err)
						}
					}
					began := time.Now()
					_, err := do([]byte("x"))
					if took := time.Since(began); took != c.want || !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("%s: %v after %v, and should be after %v", what, err, took, c.want)
					}
				}
				// What is set while a read waits ends it.
				conn.SetDeadline(time.Time{})
				began := time.Now()
				time.AfterFunc(2*time.Second, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
				if _, err := conn.Read(make([]byte, 1)); time.Since(began) != 2*time.Second {
					t.Errorf("a deadline that is set later does not end a read: %v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// TestRunsGoOnAfterTheDatabaseFellSilent has every connection to PostgreSQL
// fall silent for good after a while, without an end that could be seen.
func TestRunsGoOnAfterTheDatabaseFellSilent(t *testing.T) {
	u, err := url.Parse(servers.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	way, err := weather.Open(u.Host, weather.Options{Seed: 11})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(way.Close)
	direct := u.String()
	u.Host = way.Address()
	c := newClock()
	q, err := Open(t.Context(), u.String(), Options{Machine: "m", Now: c.Now, AtOnce: 4, Every: 10 * time.Millisecond, DeadAfter: 10 * time.Second, patience: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	watch, err := Open(t.Context(), direct, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { watch.Close() })
	var entries []Entry
	for i := range 10 {
		entries = append(entries, Entry{Schedule: "nightly", Kind: Backup, Account: fmt.Sprintf("user%02d", i), Timetable: daily{}})
	}
	plan(t, q, entries...)
	done := func() int { return len(runs(t, watch, Filter{States: []State{Done}})) }
	serve(t, q, hand(func(ctx context.Context, r Run) (Outcome, error) { return Outcome{}, ctx.Err() }))
	c.Pass(24 * time.Hour)
	until(t, "the first night", func() bool { return done() == 10 })
	way.Set(weather.Odds{weather.Silence: 1})
	way.Drop() // what is through had fine weather
	c.Pass(24 * time.Hour)
	until(t, "silence", func() bool { return way.Faults()[weather.Silence] > 5 })
	way.Set(nil)
	until(t, "the second night", func() bool { return done() == 20 })
}
