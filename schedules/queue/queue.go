// Package queue decides which run is next, and has one of many machines do it:
// [Open] a database, tell the [Queue] what there is to do with [Queue.Plan],
// and [Queue.Serve] runs on this machine.
//
// A run is one execution of a job: the backup of an account, or a prune. It is
// waiting until its server and a machine have room for it, then given to the
// job engine (River), then running, then over. At most one run of a kind and an
// account is not over.
//
// The database holds nothing that the repository cannot give back. Nor does
// anything here keep the repository safe: two runs of one account at a time
// would be a waste, not a danger.
package queue

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"
)

// A Kind is what a run does.
type Kind string

// The kinds there are.
const (
	Backup    Kind = "backup"
	Export    Kind = "export"
	Forget    Kind = "forget"
	Prune     Kind = "prune"
	Check     Kind = "check"
	Rehearsal Kind = "rehearsal"
)

// Kinds are all of them.
var Kinds = []Kind{Backup, Export, Forget, Prune, Check, Rehearsal}

// lane is which of a machine's places a kind takes: upkeep of the repository
// does not wait behind ten thousand accounts.
func (k Kind) lane() string {
	if k == Backup || k == Export {
		return laneMail
	}
	return laneUpkeep
}

const (
	laneMail   = "mail"
	laneUpkeep = "upkeep"
)

// A State is how far a run is.
type State string

// The states of a run; the last four are those of one that is over.
const (
	Waiting    State = "waiting"
	Given      State = "given" // to the job engine
	Running    State = "running"
	Done       State = "done"
	Incomplete State = "incomplete" // done, but for what it reports
	Failed     State = "failed"
	Dropped    State = "dropped" // before it was begun: nobody wants it any more
)

// Priorities, the most urgent first.
const (
	Asked     = 1 // a person waits for it
	Woken     = 2 // something changed in the account
	Scheduled = 3
)

// A Run is one execution of a job.
type Run struct {
	ID       int64
	Kind     Kind
	Account  string // empty: it is the whole repository's
	Schedule string // that made it due; empty: a person asked for it
	Server   string // whose limit it counts for; empty: none's
	Priority int
	State    State
	Due      time.Time // when it should have begun
	NotUntil time.Time // it waits until then: it failed, or nothing may run
	Started  time.Time
	Ended    time.Time
	Tries    int    // that failed
	Machine  string // that it was on last
	Snapshot string // that it made
	// Result is what the run says of itself, in JSON.
	Result json.RawMessage
	// Error is why it failed, or has to be tried again; Class what kind of error.
	Error string
	Class Class
	turn  int // counts how often it was given; a machine that lost it has an old one
}

// Over says that nothing more comes of it.
func (s State) Over() bool {
	return s == Done || s == Incomplete || s == Failed || s == Dropped
}

// A Class says what to do about an error.
type Class string

// The classes of errors.
const (
	// Passing errors go away: the connection was lost, the server is busy.
	Passing Class = "passing"
	// Login errors do not: a password is wrong, a grant was taken back. It is
	// not tried again before the next time it is due, lest the account be locked.
	Login Class = "login"
	// Lasting errors need a person, too.
	Lasting Class = "lasting"
)

// An Outcome is what a run did.
type Outcome struct {
	Incomplete bool
	Snapshot   string // that it made; empty: none
	Result     any    // marshalled into the run's Result
}

// A Handler does runs. It may be called from many goroutines.
//
// It should end soon after its context does. The run then goes back to wait if
// the context's cause is [ErrStopping] or [ErrLost], or the error is a [*Quiet].
type Handler interface {
	Do(ctx context.Context, r Run) (Outcome, error)
	// Classify tells what kind of error Do returned.
	Classify(err error) Class
}

// Causes that a run's context ends for. It is no fault of the run.
var (
	ErrStopping = errors.New("this machine stops")
	ErrLost     = errors.New("another machine has taken this run over")
)

// Quiet is the error of a run that has to wait: nothing may run for now.
type Quiet struct{ Until time.Time }

// NotBefore makes one.
func NotBefore(until time.Time) *Quiet { return &Quiet{until} }

// Error implements error.
func (q *Quiet) Error() string { return "nothing may run before " + q.Until.Format(time.DateTime) }

// Options say how a queue works. The zero value is sensible.
type Options struct {
	// Machine is this machine's name in the history; the host name if empty.
	Machine string
	// AtOnce is how many accounts this machine works at; 0 for 8.
	AtOnce int
	// PerServer is how many runs one mail server gets at once, of all machines
	// together; nil: 8. The number must be the same on each.
	PerServer func(server string) int
	// Now is the time; nil: the clock's.
	Now func() time.Time
	// Every is how often it looks for what is due or asked for; 0 for 1 s.
	Every time.Duration
	// DeadAfter is how long a machine is silent until its runs are others'; 0
	// for a minute.
	DeadAfter time.Duration
	// Backoff is how long a run waits after its n-th failure, and whether it is
	// tried again at all; nil: 1, 5, 15 minutes, then each hour, 8 times.
	Backoff func(n int) (time.Duration, bool)
	// KeepHistory is how long runs that are over are kept; 0 for 400 days.
	KeepHistory time.Duration
	Log         *slog.Logger
	// Ended is told of each run that is over on this machine; or nil.
	Ended func(Run)

	patience time.Duration // with PostgreSQL that is silent; tests set less

	// Wrap returns what is to stand between the queue and its database; or nil.
	// It is for tests: package queuetest has one that fails.
	Wrap func(driver.Connector) driver.Connector
}

func (o *Options) defaults() {
	if o.Machine == "" {
		o.Machine, _ = os.Hostname()
	}
	if o.AtOnce == 0 {
		o.AtOnce = 8
	}
	if o.PerServer == nil {
		o.PerServer = func(string) int { return 8 }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.DeadAfter == 0 {
		o.DeadAfter = time.Minute
	}
	if o.Backoff == nil {
		o.Backoff = func(n int) (time.Duration, bool) {
			waits := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}
			if n > 8 {
				return 0, false
			}
			if n <= len(waits) {
				return waits[n-1], true
			}
			return time.Hour, true
		}
	}
	if o.KeepHistory == 0 {
		o.KeepHistory = 400 * 24 * time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.patience == 0 {
		o.patience = patience
	}
}

// A Queue is the runs of all machines that share a database.
type Queue struct {
	db *database
	o  Options

	mu      sync.Mutex // guards what follows
	plan    map[key]Entry
	machine int64                 // this one's number while it serves, or 0
	running map[*working]struct{} // a run may be here twice, if it was given anew
}

// A key is what an entry of the plan is found by.
type key struct{ schedule, account string }

// Open opens the database at a path (SQLite), which is made if need be, or at
// a URL that begins with postgres://, and brings its tables up to date.
func Open(ctx context.Context, where string, o Options) (*Queue, error) {
	o.defaults()
	db, err := openDatabase(ctx, where, o)
	if err != nil {
		return nil, err
	}
	return &Queue{db: db, o: o, plan: map[key]Entry{}, running: map[*working]struct{}{}}, nil
}

// Close closes the database. Serve must have returned.
func (q *Queue) Close() error { return q.db.close() }

// AtOnce is how many accounts this machine works at.
func (q *Queue) AtOnce() int { return q.o.AtOnce }

// Ping asks the database whether it is there.
func (q *Queue) Ping(ctx context.Context) error { return q.db.sql.PingContext(ctx) }
