package calendar

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func table(t testing.TB, r Rule) *Table {
	t.Helper()
	table, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func windows(t testing.TB, texts ...string) (list []Window) {
	t.Helper()
	for _, text := range texts {
		w, err := ParseWindow(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, w)
	}
	return list
}

// year lists the times of a year, by asking for the next one each time.
func year(table *Table, account string, year int, z *time.Location) (list []time.Time) {
	end := time.Date(year+1, 1, 1, 0, 0, 0, 0, z)
	at := time.Date(year, 1, 1, 0, 0, 0, 0, z).Add(-time.Nanosecond)
	for {
		at = table.Next(account, at)
		if at.IsZero() || !at.Before(end) {
			return list
		}
		list = append(list, at)
	}
}

func TestEachDayOfAYearHasOneNight(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "Asia/Kathmandu", "Europe/Dublin", "UTC"} {
		for _, every := range []string{"30 2 * * *", "0 2 * * *", "0 3 * * *", "15 0 * * *", "59 59 23 * * *", "@nightly", "@daily"} {
			for _, y := range []int{2018, 2024, 2026} {
				z := zone(t, name)
				list := year(table(t, Rule{Every: every, Zone: z}), "", y, z)
				days := map[string]int{}
				for _, at := range list {
					days[at.Format(time.DateOnly)]++
				}
				want := time.Date(y, 12, 31, 0, 0, 0, 0, time.UTC).YearDay()
				if len(list) != want || len(days) != want {
					t.Errorf("%s in %s, %d: %d times on %d days, not %d", every, name, y, len(list), len(days), want)
				}
			}
		}
	}
}

func TestTimesWhereClocksChange(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for _, c := range []struct{ every, after, want string }{
		// 2026-03-29 02:00 to 03:00 is skipped.
		{"30 2 * * *", "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"30 2 * * *", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"},
		{"30 1 * * *", "2026-03-28T12:00:00+01:00", "2026-03-29T01:30:00+01:00"},
		{"0 3 * * *", "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"0 2,3 * * *", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"0 2,3 * * *", "2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"},
		// 2026-10-25 02:00 to 03:00 is there twice.
		{"30 2 * * *", "2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"30 2 * * *", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
		{"30 2 * * *", "2026-10-25T02:15:00+01:00", "2026-10-26T02:30:00+01:00"},
		{"0 4 * * *", "2026-10-25T02:15:00+01:00", "2026-10-25T04:00:00+01:00"},
		// Every hour is every hour there is.
		{"0 * * * *", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"},
		{"0 * * * *", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"},
		{"0 * * * *", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"@hourly", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"*/20 * * * *", "2026-10-25T02:40:00+02:00", "2026-10-25T02:00:00+01:00"},
	} {
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := table(t, Rule{Every: c.every, Zone: berlin}).Next("", after).In(berlin).Format(time.RFC3339); got != c.want {
			t.Errorf("%s after %s: %s, not %s", c.every, c.after, got, c.want)
		}
	}
}

func TestNextAgreesWithAClockWatchedForAYear(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"} {
		z := zone(t, name)
		r := rand.New(rand.NewPCG(1, uint64(len(name))))
		for range 4 {
			hour, minute := r.IntN(24), r.IntN(60)
			every := fmt.Sprintf("%d %d * * *", minute, hour)
			got := year(table(t, Rule{Every: every, Zone: z}), "", 2018, z)
			// Watch the clock, minute by minute: a day's time is when the clock
			// first shows it, or has gone past it without.
			var want []time.Time
			done := ""
			for at := time.Date(2018, 1, 1, 0, 0, 0, 0, z); at.Year() == 2018; at = at.Add(time.Minute) {
				day := at.Format(time.DateOnly)
				if shows := at.Hour()*60 + at.Minute(); day != done && shows >= hour*60+minute {
					want, done = append(want, at), day
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%s in %s: %d times, not %d", every, name, len(got), len(want))
			}
			for i := range got {
				if !got[i].Equal(want[i]) {
					t.Fatalf("%s in %s: %s, not %s", every, name, got[i], want[i])
				}
			}
		}
	}
}

func TestSpreadGivesEachAccountAStableTime(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	spread := table(t, Rule{Every: "0 1 * * *", Zone: berlin, Spread: 2 * time.Hour})
	day := time.Date(2026, 6, 1, 12, 0, 0, 0, berlin)
	quarters := make([]int, 8)
	for i := range 2000 {
		account := fmt.Sprintf("user%04d", i)
		at := spread.Next(account, day)
		since := at.Sub(time.Date(2026, 6, 2, 1, 0, 0, 0, berlin))
		if since < 0 || since >= 2*time.Hour {
			t.Fatalf("%s at %s", account, at)
		}
		quarters[since/(15*time.Minute)]++
		if again := spread.Next(account, at); again.Sub(at) != 24*time.Hour {
			t.Fatalf("%s at %s and %s", account, at, again)
		}
		if asked := spread.Next(account, at.Add(-time.Second)); !asked.Equal(at) {
			t.Fatalf("%s at %s, and asked a second before, at %s", account, at, asked)
		}
	}
	for i, n := range quarters {
		if n < 180 || n > 320 {
			t.Errorf("%d of 2000 accounts begin in quarter %d of 8", n, i)
		}
	}
}

func TestNothingBeginsInAWindow(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for _, c := range []struct {
		every   string
		spread  time.Duration
		windows []string
	}{
		{"0 * * * *", 0, []string{"mon-fri 08:00-18:00"}},
		{"0 7 * * *", 4 * time.Hour, []string{"08:00-18:00", "18:00-19:00"}},
		{"0 23 * * *", time.Hour, []string{"22:00-06:00", "sun 06:00-24:00"}},
		{"30 2 * * *", 0, []string{"sat-sun 00:00-24:00"}},
		{"@every 7h", 0, []string{"fri 22:00-06:00"}},
	} {
		tab := table(t, Rule{Every: c.every, Zone: berlin, Spread: c.spread, Quiet: windows(t, c.windows...)})
		n := 0
		for _, account := range []string{"a", "bert", "carla"} {
			last := time.Time{}
			for _, at := range year(tab, account, 2026, berlin) {
				if until := QuietUntil(tab.rule.Quiet, at, berlin); !until.IsZero() {
					t.Fatalf("%s without %s: %s", c.every, c.windows, at)
				}
				if !at.After(last) {
					t.Fatalf("%s without %s: %s after %s", c.every, c.windows, at, last)
				}
				last = at
				n++
			}
		}
		if n < 3*200 {
			t.Errorf("%s without %s: %d times in a year", c.every, c.windows, n)
		}
	}
}

func TestWindowsEndAndBegin(t *testing.T) {
	quiet := windows(t, "fri 22:00-06:00", "sat 06:00-08:00")
	friday := time.Date(2026, 6, 5, 23, 0, 0, 0, time.UTC)
	if got, want := QuietUntil(quiet, friday, time.UTC), time.Date(2026, 6, 6, 8, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("ends %s, not %s", got, want)
	}
	if got, want := QuietFrom(quiet, friday, time.UTC), time.Date(2026, 6, 6, 6, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("the next begins %s, not %s", got, want)
	}
	if got := QuietUntil(quiet, time.Date(2026, 6, 6, 8, 0, 0, 0, time.UTC), time.UTC); !got.IsZero() {
		t.Errorf("quiet until %s at its end", got)
	}
	if got := QuietFrom(nil, friday, time.UTC); !got.IsZero() {
		t.Errorf("no window begins %s", got)
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	for _, r := range []Rule{
		{Every: ""}, {Every: "TZ=UTC"}, {Every: "CRON_TZ=Europe/Berlin 0 1 * * *"}, {Every: "0 0 31 2 *"}, {Every: "@reboot"},
		{Every: "@every"}, {Every: "@every 10ms"}, {Every: "@every -1h"}, {Every: "61 * * * *"}, {Every: "nightly"}, {Every: "* * *"},
		{Every: "@nightly", Spread: -1}, {Every: "@nightly", Quiet: windows(t, "00:00-12:00", "12:00-24:00")},
	} {
		if _, err := Parse(r); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
	for _, w := range []string{"", "8-18", "25:00-26:00", "mon", "mon-xyz 08:00-09:00", "08:00-08:00", "24:00-08:00", "mon 08:00"} {
		if _, err := ParseWindow(w); err == nil {
			t.Errorf("window %q was taken", w)
		}
	}
}

func TestIntervalsDoNotDependOnWhenTheyAreAsked(t *testing.T) {
	six := table(t, Rule{Every: "@every 6h"})
	for _, hour := range []int{0, 1, 5} {
		at := time.Date(2026, 6, 1, hour, 10, 0, 0, time.UTC)
		if got, want := six.Next("", at), time.Date(2026, 6, 1, 6, 0, 0, 0, time.UTC); !got.Equal(want) {
			t.Errorf("after %s: %s", at, got)
		}
	}
	if got, want := interval(time.Hour).next(time.Unix(-1, 0)), time.Unix(0, 0); !got.Equal(want) {
		t.Errorf("before 1970: %s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"@nightly", "0 2 * * *", "*/5 * * * * *", "@every 3h", "TZ=", "0 0 29 2 *", "@daily", "0 0 ? * mon"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, every string) {
		table, err := Parse(Rule{Every: every, Zone: time.UTC, Spread: time.Hour})
		if err != nil {
			return
		}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if next := table.Next("x", at); !next.IsZero() && !next.After(at) {
			t.Fatalf("%q: %s is not after %s", every, next, at)
		}
	})
}
