package alerts

import (
	"time"

	"restante/schedules/queue"
)

// Options say how alerts are kept and told. The zero value is sensible.
type Options struct {
	// Settle is how long an alert is open, or over, until somebody is told: what
	// is alike comes together meanwhile. 0 for 5 minutes.
	Settle time.Duration
	// Repeat is after how long what is still open is told again; 0 for a day.
	Repeat time.Duration
	// StaleAfter is how long an account may be without a good backup; 0 for 36
	// hours.
	StaleAfter time.Duration
	// Patience is how often a run that is tried again may fail before that is an
	// alert; 0 for 2: a server that was started anew meanwhile is none.
	Patience int
	// Before is how long before it expires a fact is an alert; 0 for 14 days.
	Before time.Duration
	// ReportAt finds the time of the next morning report after a time; nil: there
	// is none.
	ReportAt func(after time.Time) time.Time
	// PingEvery is how often ways that take pings get one; 0 for an hour.
	PingEvery time.Duration
	// Every is how often one of the machines looks; 0 for a minute.
	Every time.Duration
	// SendWithin bounds the sending of a message; 0 for 2 minutes.
	SendWithin time.Duration
}

func (o *Options) defaults() {
	for _, d := range []struct {
		to *time.Duration
		is time.Duration
	}{{&o.Settle, 5 * time.Minute}, {&o.Repeat, 24 * time.Hour}, {&o.StaleAfter, 36 * time.Hour}, {&o.Before, 14 * 24 * time.Hour},
		{&o.PingEvery, time.Hour}, {&o.Every, time.Minute}, {&o.SendWithin, 2 * time.Minute}} {
		if *d.to == 0 {
			*d.to = d.is
		}
	}
	if o.Patience == 0 {
		o.Patience = 2
	}
}

// growthWait is how long ago the last message was before one comes because
// alerts have become many more.
const growthWait = time.Hour

// again is when a message that could not be sent is tried again, after so many
// tries.
func again(tries int) time.Duration {
	waits := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}
	if tries <= len(waits) {
		return waits[tries-1]
	}
	return time.Hour
}

// An action is what is to be done about a notice.
type action int

const (
	wait action = iota
	change
	drop
	send
)

// step decides about the notice of a topic in one way, of which so many alerts
// are open; a notice that never was is the zero one. If something is to be
// sent, event says what it is.
func (o *Options) step(n queue.Notice, open int, now time.Time) (next queue.Notice, do action, event Event) {
	next = n
	switch {
	case n.Claimed.After(now):
		return n, wait, ""
	case open == 0 && n.Due.IsZero():
		return n, wait, ""
	case open == 0 && n.Sent == 0:
		return n, drop, "" // it was over before anybody was told
	case open == 0 && !n.Clearing:
		next.Clearing, next.Due, next.Tries, next.Error = true, now.Add(o.Settle), 0, ""
		return next, change, ""
	case open > 0 && n.Due.IsZero():
		next.Due = now.Add(o.Settle)
		return next, change, ""
	case open > 0 && n.Clearing: // it has come again before anybody heard that it was over
		next.Clearing, next.Due, next.Tries, next.Error = false, n.SentAt.Add(o.Repeat), 0, ""
		return next, change, ""
	}
	due := n.Due
	if soon := n.SentAt.Add(growthWait); open > 0 && n.Sent > 0 && n.Tries == 0 && open >= 2*n.Told && soon.Before(due) {
		due = soon
	}
	if due.After(now) {
		return n, wait, ""
	}
	next.Claimed = now.Add(2*o.SendWithin + time.Minute)
	switch {
	case open == 0:
		return next, send, Cleared
	case n.Sent == 0:
		return next, send, Opened
	}
	return next, send, Repeated
}

// regular decides about a notice that is due at certain times, whatever is
// open. The first is at the first such time.
func (o *Options) regular(n queue.Notice, now time.Time, at func(after time.Time) time.Time) (next queue.Notice, do action) {
	next = n
	switch {
	case n.Claimed.After(now):
		return n, wait
	case n.Due.IsZero():
		next.Due = at(now)
		return next, change
	case at(now).Before(n.Due) && n.Tries == 0: // they were others before
		next.Due = at(now)
		return next, change
	case n.Due.After(now):
		return n, wait
	}
	next.Claimed = now.Add(2*o.SendWithin + time.Minute)
	return next, send
}

// ended is the notice after a message was sent, or could not be.
func ended(n queue.Notice, m Message, told int, due time.Time, now time.Time, err error) queue.Notice {
	n.Claimed = time.Time{}
	if err != nil {
		n.Tries++
		n.Error, n.Due = oneLine(err.Error()), now.Add(again(n.Tries))
		return n
	}
	n.Title, n.Due, n.SentAt, n.Told, n.Tries, n.Error = m.Title, due, now, told, 0, ""
	n.Sent++
	return n
}
