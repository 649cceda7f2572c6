// Package calendar says when: [Parse] reads a time table as people write it,
// [Table.Next] gives an account's next time.
//
// An account has a time of its own within the table's spread, the same one
// each night, so that a thousand accounts do not begin at once.
package calendar

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A Rule is a time table as it is written down.
type Rule struct {
	// Every is a cron expression of five fields, or six with seconds first, or
	// one of @hourly, @daily, @nightly (at one o'clock), @weekly, @monthly,
	// @yearly, @every 6h.
	Every string
	// Zone is where its hours are.
	Zone *time.Location
	// Spread is how far apart accounts may begin.
	Spread time.Duration
	// Quiet are the windows in which nothing begins.
	Quiet []Window
}

// A Table is a time table that can be asked.
type Table struct {
	rule Rule
	tick ticker
	late time.Duration // that a time may be put off by, at most
}

// A ticker gives the first time after t, or zero if there is none.
type ticker interface {
	next(t time.Time) time.Time
}

var parser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// nightly is an hour that no zone skips or has twice when clocks change, as
// far as its name tells: those do it at two or three, a few at midnight.
const nightly = "0 1 * * *"

// Parse reads a rule. A time table that never comes is an error.
func Parse(r Rule) (*Table, error) {
	t := &Table{rule: r}
	if r.Zone == nil {
		t.rule.Zone = time.UTC
	}
	if r.Spread < 0 {
		return nil, errors.New("a spread cannot be negative")
	}
	if stretch(r.Quiet) == longest {
		return nil, errors.New("the windows in which nothing may run leave no time")
	}
	if len(r.Quiet) > 0 {
		t.late = stretch(r.Quiet) + longestChange + r.Spread
	}
	text := strings.TrimSpace(r.Every)
	switch {
	case text == "":
		return nil, errors.New("no time is given")
	case strings.Contains(text, "TZ="): // the parser panics at some of these
		return nil, errors.New("the time zone has a key of its own")
	case text == "@reboot":
		return nil, errors.New("@reboot is no time")
	case text == "@nightly":
		text = nightly
	case strings.HasPrefix(text, "@every"):
		every, err := time.ParseDuration(strings.TrimSpace(strings.TrimPrefix(text, "@every")))
		if err != nil || every < time.Second {
			return nil, fmt.Errorf("%q: write @every and a time of a second or more, such as @every 6h", r.Every)
		}
		t.tick = interval(every)
		return t.proven()
	}
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no time table: %w", r.Every, err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q is no time table", r.Every)
	}
	t.tick = newWall(spec, t.rule.Zone)
	return t.proven()
}

// proven looks whether there is any time: the 31st of February never comes.
func (t *Table) proven() (*Table, error) {
	at := t.Next("", time.Date(2024, 1, 1, 0, 0, 0, 0, t.rule.Zone))
	if at.IsZero() {
		return nil, fmt.Errorf("%q never comes", t.rule.Every)
	}
	return t, nil
}

// String is the table in a form that two tables share only if they give the
// same times.
func (t *Table) String() string {
	quiet := make([]string, len(t.rule.Quiet))
	for i, w := range t.rule.Quiet {
		quiet[i] = w.String()
	}
	return fmt.Sprintf("%s|%s|%s|%s", t.rule.Every, t.rule.Zone, t.rule.Spread, strings.Join(quiet, ","))
}

// Next is the account's first time after that one; zero if it never comes
// again. It does not depend on when it is asked: every machine finds the same.
func (t *Table) Next(account string, after time.Time) time.Time {
	offset := t.offset(account)
	tick := after.Add(-offset - t.late) // a time before this one may have been put off until after it
	for {
		if tick = t.tick.next(tick); tick.IsZero() {
			return tick
		}
		if at := t.putOff(tick.Add(offset), offset); at.After(after) {
			return at
		}
	}
}

// offset is where within the spread the account's time is.
func (t *Table) offset(account string) time.Duration {
	if t.rule.Spread < time.Second {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(account))
	// The lower bits of FNV are good for short names that differ in one letter,
	// the upper ones are not; mix them once more.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return time.Duration(x%uint64(t.rule.Spread/time.Second)) * time.Second
}

// putOff moves a time out of the windows, to the end of the one it is in and
// as far after it as it would have been after the start.
func (t *Table) putOff(at time.Time, offset time.Duration) time.Time {
	until := QuietUntil(t.rule.Quiet, at, t.rule.Zone)
	if until.IsZero() {
		return at
	}
	if later := until.Add(offset); QuietUntil(t.rule.Quiet, later, t.rule.Zone).IsZero() {
		return later
	}
	return until
}

// interval is every so often, counted from 1970 on, so that no machine counts
// from when it was started.
type interval time.Duration

func (i interval) next(t time.Time) time.Time {
	n := t.UnixNano() / int64(i)
	if t.UnixNano() < 0 && t.UnixNano()%int64(i) != 0 {
		n--
	}
	return time.Unix(0, (n+1)*int64(i)).In(t.Location())
}
