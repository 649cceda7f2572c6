// Package alerts knows what is wrong, and tells people: a [Keeper] looks at the
// history of runs, keeps the alerts that are open in the queue's database, and
// sends one message for all that are alike, once after a short while, each day
// until it is over, and once when it is.
//
// What is wrong is found anew each time ([Find]); the database only knows since
// when, and what was said. If it is lost, the history is looked at again.
package alerts

import (
	"time"

	"restante/schedules/queue"
)

// A Kind is a kind of alert.
type Kind string

// The kinds there are. A program that is told of alerts may rely on them.
const (
	Failure    Kind = "failure"    // a run failed, and is not tried again or was several times
	Incomplete Kind = "incomplete" // a backup is done, but for messages that could not be had
	Anomaly    Kind = "anomaly"    // an unlikely share of the mail is gone since the backup before
	Stale      Kind = "stale"      // no good backup for too long
	Check      Kind = "check"      // a check found something, or could not be done
	Rehearsal  Kind = "rehearsal"  // a rehearsal of a restore did
	Prune      Kind = "prune"      // a prune was refused, or failed
	Expiry     Kind = "expiry"     // a certificate or a grant expires
	Database   Kind = "database"   // the queue's database does not answer
	WayOut     Kind = "way"        // a way of telling people fails
)

// Kinds are all of them.
var Kinds = []Kind{Failure, Incomplete, Anomaly, Stale, Check, Rehearsal, Prune, Expiry, Database, WayOut}

// An Account is one that is to be looked after.
type Account struct {
	Name   string // as runs have it
	Group  string
	Server string // host name; empty: none
}

// A Fact is something that will be over at a time.
type Fact struct {
	Subject string // an account or a server
	Server  bool   // it is a server
	What    string // "certificate", "grant"
	Expires time.Time
}

// A View is all that there is to see at a time.
type View struct {
	Now      time.Time
	Accounts []Account
	// Last and Good are the newest runs, as queue.Last finds them; Pending are
	// those that are not over.
	Last, Good map[queue.Subject]queue.Run
	Pending    []queue.Run
	Next       []queue.Appointment
	// StaleAfter is how long an account may be without a good backup.
	StaleAfter time.Duration
	// Patience is how often a run that is tried again may fail before that is
	// an alert.
	Patience int
}
