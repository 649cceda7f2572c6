package calendar

import (
	"math/bits"
	"time"

	"github.com/robfig/cron/v3"
)

// wall is a cron expression whose hours are those of the clock on the wall
// where clocks change.
//
// The library alone leaves a time out that the clock skips, and has one twice
// that the clock has twice. Here a time that is skipped comes when the clock
// goes on, and one that there is twice comes the first time. An expression for
// every hour is in no need of that: it means every hour there is.
type wall struct {
	spec *cron.SpecSchedule // in UTC, or in the zone if it is hourly
	zone *time.Location
	// hourly says that it is for every hour.
	hourly bool
}

func newWall(spec *cron.SpecSchedule, zone *time.Location) *wall {
	w := &wall{spec: spec, zone: zone}
	const allHours = 1<<24 - 1
	w.hourly = bits.OnesCount64(spec.Hour&allHours) == 24
	spec.Location = time.UTC
	if w.hourly {
		spec.Location = zone
	}
	return w
}

// longestChange is more than clocks ever change by, but for the days that
// islands have skipped to change sides of the date line.
const longestChange = 26 * time.Hour

func (w *wall) next(t time.Time) time.Time {
	if w.hourly {
		return w.spec.Next(t)
	}
	local := t.In(w.zone)
	_, east := local.Zone()
	// What the clock on the wall shows, as if it were UTC; and some before, since
	// it may show the same again.
	shown := local.UTC().Add(time.Duration(east)*time.Second - longestChange)
	for {
		if shown = w.spec.Next(shown); shown.IsZero() {
			return shown
		}
		if at := w.when(shown); at.After(t) {
			return at
		}
	}
}

// when is the first time that the clock on the wall shows that, or, where it
// skips it, the time it goes on.
func (w *wall) when(shown time.Time) time.Time {
	// The offset before any change of that day, and the one after it.
	before := shift(shown.Add(-longestChange), w.zone)
	after := shift(shown.Add(longestChange), w.zone)
	for _, east := range []time.Duration{before, after} {
		at := shown.Add(-east)
		if shift(at, w.zone) == east {
			return at.In(w.zone)
		}
	}
	// Skipped: it is the change itself, between the two readings.
	low, high := shown.Add(-max(before, after)), shown.Add(-min(before, after))
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2).Truncate(time.Second)
		if middle.Equal(low) {
			break
		}
		if shift(middle, w.zone) == before {
			low = middle
		} else {
			high = middle
		}
	}
	return high.Truncate(time.Second).In(w.zone)
}

// shift is how far east of UTC the zone's clock is at that time.
func shift(at time.Time, zone *time.Location) time.Duration {
	_, east := at.In(zone).Zone()
	return time.Duration(east) * time.Second
}
