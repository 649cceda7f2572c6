package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"
)

const columns = "id, kind, account, schedule, server, priority, state, due_at, not_until, started_at, ended_at, turn, tries, machine, snapshot, result, error, class"

func scan(row interface{ Scan(...any) error }) (r Run, err error) {
	var due, notUntil, started, ended int64
	var result string
	err = row.Scan(&r.ID, &r.Kind, &r.Account, &r.Schedule, &r.Server, &r.Priority, &r.State, &due, &notUntil, &started, &ended, &r.turn, &r.Tries, &r.Machine, &r.Snapshot, &result, &r.Error, &r.Class)
	r.Due, r.NotUntil, r.Started, r.Ended = when(due), when(notUntil), when(started), when(ended)
	if result != "" {
		r.Result = json.RawMessage(result)
	}
	return r, err
}

func one(t tx, id int64) (Run, error) {
	return scan(t.row("SELECT "+columns+" FROM restante_run WHERE id = ?", id))
}

// Run finds a run by its number; the error is sql.ErrNoRows if there is none.
func (q *Queue) Run(ctx context.Context, id int64) (Run, error) { return one(q.db.now(ctx), id) }

// A Filter chooses runs. Zero fields choose all.
type Filter struct {
	Account string
	Kind    Kind
	States  []State
	Since   time.Time // due since then
	Most    int       // 0 for 100
}

// Runs lists runs, the newest first.
func (q *Queue) Runs(ctx context.Context, f Filter) (list []Run, err error) {
	where, args := []string{"1 = 1"}, []any{}
	if f.Account != "" {
		where, args = append(where, "account = ?"), append(args, f.Account)
	}
	if f.Kind != "" {
		where, args = append(where, "kind = ?"), append(args, f.Kind)
	}
	if !f.Since.IsZero() {
		where, args = append(where, "due_at >= ?"), append(args, f.Since.UnixMilli())
	}
	if len(f.States) > 0 {
		where = append(where, "state IN (?"+strings.Repeat(", ?", len(f.States)-1)+")")
		for _, s := range f.States {
			args = append(args, s)
		}
	}
	if f.Most == 0 {
		f.Most = 100
	}
	err = q.db.now(ctx).each(func(r *sql.Rows) error {
		one, err := scan(r)
		list = append(list, one)
		return err
	}, "SELECT "+columns+" FROM restante_run WHERE "+strings.Join(where, " AND ")+" ORDER BY due_at DESC, id DESC LIMIT ?", append(args, f.Most)...)
	return list, err
}

// Last finds the newest run of each account and kind that is over, and of each
// the newest that brought a snapshot or did its job.
func (q *Queue) Last(ctx context.Context) (last, good map[Subject]Run, err error) {
	last, good = map[Subject]Run{}, map[Subject]Run{}
	for column, runs := range map[string]map[Subject]Run{"run": last, "good": good} {
		err := q.db.now(ctx).each(func(r *sql.Rows) error {
			one, err := scan(r)
			runs[Subject{one.Kind, one.Account}] = one
			return err
		}, "SELECT "+columns+" FROM restante_run WHERE id IN (SELECT "+column+" FROM restante_last)")
		if err != nil {
			return nil, nil, err
		}
	}
	return last, good, nil
}

// A Subject is what a run is of.
type Subject struct {
	Kind    Kind
	Account string
}

// An Appointment is when something is due next.
type Appointment struct {
	Schedule, Account string
	Next              time.Time // zero: never
}

// Next lists what is due next, the first first.
func (q *Queue) Next(ctx context.Context) (list []Appointment, err error) {
	err = q.db.now(ctx).each(func(r *sql.Rows) error {
		var a Appointment
		var next int64
		err := r.Scan(&a.Schedule, &a.Account, &next)
		a.Next = when(next)
		list = append(list, a)
		return err
	}, "SELECT schedule, account, next_at FROM restante_due ORDER BY next_at, schedule, account")
	return list, err
}

// Counts are how many runs there are in each state that is not over.
func (q *Queue) Counts(ctx context.Context) (map[State]int, error) {
	counts := map[State]int{}
	err := q.db.now(ctx).each(func(r *sql.Rows) error {
		var s State
		var n int
		err := r.Scan(&s, &n)
		counts[s] = n
		return err
	}, "SELECT state, COUNT(*) FROM restante_run WHERE over = 0 GROUP BY state")
	return counts, err
}

// A Machine is a process that serves.
type Machine struct {
	Name    string
	AtOnce  int
	Silent  time.Duration // since it was last heard of
	Started time.Time
}

// Machines lists those that serve, and those that fell silent in the last day.
func (q *Queue) Machines(ctx context.Context) (list []Machine, err error) {
	t := q.db.now(ctx)
	err = t.each(func(r *sql.Rows) error {
		var m Machine
		var silent, started int64
		err := r.Scan(&m.Name, &m.AtOnce, &silent, &started)
		m.Silent, m.Started = time.Duration(silent)*time.Millisecond, when(started)
		list = append(list, m)
		return err
	}, "SELECT name, at_once, "+t.clock()+" - seen_at, started_at FROM restante_machine ORDER BY name, id")
	return list, err
}

func stack() string { return string(debug.Stack()) }

// quieter is a log for the engine, which says more than an admin reads: where
// the database is away, several errors a second, of what was said once already.
func quieter(log *slog.Logger) *slog.Logger {
	return slog.New(debugging{log.Handler()})
}

// debugging leaves out what is less than a warning, and lets the rest count as
// what is of use when something is looked into.
type debugging struct{ slog.Handler }

func (h debugging) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h debugging) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.Handler.Handle(ctx, r)
}

func (h debugging) WithAttrs(a []slog.Attr) slog.Handler { return debugging{h.Handler.WithAttrs(a)} }

func (h debugging) WithGroup(name string) slog.Handler { return debugging{h.Handler.WithGroup(name)} }
