package retention

import (
	"fmt"
	"time"

	"restante/storage"
)

// Within keeps every snapshot that is not older than this when the newest one
// was made: where backups have stopped, none grows too old. A snapshot dated
// later than now, by a clock that was wrong, does not count as the newest.
type Within struct {
	Years, Months, Days, Hours int
}

// String implements [Rule].
func (w Within) String() string {
	s := "within "
	for _, part := range []struct {
		n    int
		unit string
	}{{w.Years, "y"}, {w.Months, "mo"}, {w.Days, "d"}, {w.Hours, "h"}} {
		if part.n > 0 {
			s += fmt.Sprintf("%d%s", part.n, part.unit)
		}
	}
	return s
}

// Keep implements [Rule].
func (w Within) Keep(list []storage.Snapshot, when When) []string {
	why := make([]string, len(list))
	if len(list) == 0 {
		return why
	}
	newest := when.Now
	for i := range list {
		if at := list[i].StartedAt(); !at.After(when.Now) {
			newest = at
			break
		}
	}
	oldest := w.before(newest.In(when.Zone))
	for i := range list {
		if at := list[i].StartedAt(); !at.Before(oldest) {
			why[i] = fmt.Sprintf("not before %s", oldest.Format("2006-01-02 15:04"))
		}
	}
	return why
}

// before counts back by the calendar: a day ago is the same time of day, also
// where clocks were changed in between. A day of the month that is not there
// is the last one that is.
func (w Within) before(t time.Time) time.Time {
	year, month, day := t.Date()
	first := time.Date(year-w.Years, month-time.Month(w.Months), 1, 0, 0, 0, 0, t.Location())
	day = min(day, first.AddDate(0, 1, -1).Day())
	h, m, s := t.Clock()
	t = time.Date(first.Year(), first.Month(), day-w.Days, h, m, s, 0, t.Location())
	return t.Add(-time.Duration(w.Hours) * time.Hour)
}
