package calendar

import (
	"fmt"
	"strings"
	"time"
)

// A Window is when nothing may run: on some days of the week, from one time of
// the day to another, which may be one of the day after.
type Window struct {
	days     [7]bool // by time.Weekday
	from, to int     // minutes of the day; to before from is on the next day
	text     string
}

// longest is more than the longest window takes, with those that follow on it.
const longest = 8 * 24 * time.Hour

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseWindow reads a window: "08:00-18:00", "mon-fri 08:00-18:00",
// "sat,sun 00:00-24:00", "fri 22:00-06:00".
func ParseWindow(text string) (Window, error) {
	w := Window{text: strings.Join(strings.Fields(strings.ToLower(text)), " ")}
	days, hours, both := strings.Cut(w.text, " ")
	if !both {
		days, hours = "sun-sat", days
	}
	wrong := fmt.Errorf("%q is no window: write it as 08:00-18:00, or mon-fri 08:00-18:00", text)
	for part := range strings.SplitSeq(days, ",") {
		first, last, span := strings.Cut(part, "-")
		if !span {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			return w, wrong
		}
		for d := from; ; d = (d + 1) % 7 {
			w.days[d] = true
			if d == to {
				break
			}
		}
	}
	first, last, ok := strings.Cut(hours, "-")
	from, fromOK := minutes(first)
	to, toOK := minutes(last)
	if !ok || !fromOK || !toOK || from == 24*60 || from == to {
		return w, wrong
	}
	w.from, w.to = from, to
	return w, nil
}

func weekday(name string) int {
	for i, d := range weekdays {
		if name == d {
			return i
		}
	}
	return -1
}

func minutes(text string) (int, bool) {
	if text == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil
}

// String is the window as it was written.
func (w Window) String() string { return w.text }

// until is when the window that the time is in ends; zero: it is in none.
func (w Window) until(at time.Time) time.Time {
	for _, ago := range []int{0, 1} { // today's, and yesterday's if it goes on
		year, month, day := at.AddDate(0, 0, -ago).Date()
		begins := time.Date(year, month, day, 0, w.from, 0, 0, at.Location())
		end := w.to
		if w.to < w.from {
			end += 24 * 60
		}
		ends := time.Date(year, month, day, 0, end, 0, 0, at.Location())
		if w.days[begins.Weekday()] && !at.Before(begins) && at.Before(ends) {
			return ends
		}
	}
	return time.Time{}
}

// QuietUntil is when something may run again; zero: it may at that time.
func QuietUntil(windows []Window, at time.Time, zone *time.Location) time.Time {
	free := at.In(zone)
	for moved := true; moved && free.Sub(at) < longest; { // one window may follow on another
		moved = false
		for _, w := range windows {
			if until := w.until(free); !until.IsZero() {
				free, moved = until, true
			}
		}
	}
	if free.Equal(at) {
		return time.Time{}
	}
	return free
}

// stretch is the longest time that nothing may run in a week with no change of
// clocks; longest if there is no other.
func stretch(windows []Window) (most time.Duration) {
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for begins := at; begins.Sub(at) < 7*24*time.Hour; {
		if begins = QuietFrom(windows, begins, time.UTC); begins.IsZero() {
			break
		}
		if until := QuietUntil(windows, begins, time.UTC); until.Sub(begins) > most {
			most = until.Sub(begins)
		}
	}
	return min(most, longest)
}

// QuietFrom is when the next window begins after that time, looking a week
// ahead; zero: there is none.
func QuietFrom(windows []Window, at time.Time, zone *time.Location) (first time.Time) {
	local := at.In(zone)
	for _, w := range windows {
		for ahead := range 8 {
			year, month, day := local.AddDate(0, 0, ahead).Date()
			begins := time.Date(year, month, day, 0, w.from, 0, 0, zone)
			if w.days[begins.Weekday()] && begins.After(at) && (first.IsZero() || begins.Before(first)) {
				first = begins
			}
		}
	}
	return first
}
