package retention

import (
	"fmt"
	"time"

	"restante/storage"
)

// Each keeps the newest snapshot of each period, for the newest so many
// periods that have any. Periods without a snapshot do not count, so that
// nothing is forgotten only because nothing was backed up.
type Each struct {
	Period Period
	Number int
}

// String implements [Rule].
func (e Each) String() string { return fmt.Sprintf("%s %d", e.Period, e.Number) }

// Keep implements [Rule].
func (e Each) Keep(list []storage.Snapshot, when When) []string {
	why := make([]string, len(list))
	n, last := 0, ""
	for i := range list {
		label := e.Period.label(list[i].StartedAt().In(when.Zone))
		if label == last {
			continue
		}
		if n++; n > e.Number {
			break
		}
		last = label
		why[i] = fmt.Sprintf("the last of %s, %s", label, ordinal(n, e.Number))
	}
	return why
}

// A Period is an hour, day, week, month or year, by the name of its rule.
type Period string

// The periods that rules know, the shortest first.
const (
	Hourly  Period = "hourly"
	Daily   Period = "daily"
	Weekly  Period = "weekly"
	Monthly Period = "monthly"
	Yearly  Period = "yearly"
)

var periods = []Period{Hourly, Daily, Weekly, Monthly, Yearly}

// label names the period that a local time is in, no two alike.
func (p Period) label(local time.Time) string {
	switch p {
	case Hourly:
		// Two hours have the same name when clocks go back.
		return local.Format("2006-01-02 15h -07:00")
	case Daily:
		return local.Format(time.DateOnly)
	case Weekly: // from Monday on (ISO 8601)
		year, week := local.ISOWeek()
		return fmt.Sprintf("%d-W%02d", year, week)
	case Monthly:
		return local.Format("2006-01")
	}
	return local.Format("2006")
}
