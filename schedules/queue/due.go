package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// A Timetable says when. Package calendar has one.
type Timetable interface {
	// Next is the account's first time after that one; zero if there is none.
	Next(account string, after time.Time) time.Time
	// String differs if the times do.
	String() string
}

// An Entry is something that is to be done again and again.
type Entry struct {
	Schedule  string
	Kind      Kind
	Account   string // empty: the whole repository
	Server    string // whose limit it counts for
	Timetable Timetable
	// Last is when it was last done, as far as the repository tells; zero: never.
	// It counts where the database knows nothing yet.
	Last time.Time
	// Skip leaves out what was missed while nothing ran. Otherwise it is caught
	// up once.
	Skip bool
}

// missed is how late a run may begin and still be on time.
const missed = 10 * time.Minute

// Plan says what is to be done from now on, in place of what was said before.
// What is running goes on; what waits and is not in the plan is dropped.
func (q *Queue) Plan(ctx context.Context, plan []Entry) error {
	wanted := make(map[key]Entry, len(plan))
	for _, e := range plan {
		wanted[key{e.Schedule, e.Account}] = e
	}
	now := q.o.Now()
	err := q.db.alone(ctx, func(t tx) error {
		type row struct {
			rule string
			next int64
		}
		there := map[key]row{}
		err := t.each(func(r *sql.Rows) error {
			var k key
			var found row
			err := r.Scan(&k.schedule, &k.account, &found.rule, &found.next)
			there[k] = found
			return err
		}, "SELECT schedule, account, rule, next_at FROM restante_due")
		if err != nil {
			return err
		}
		for k := range there {
			if _, ok := wanted[k]; ok {
				continue
			}
			if _, err := t.exec("DELETE FROM restante_due WHERE schedule = ? AND account = ?", k.schedule, k.account); err != nil {
				return err
			}
			if _, err := t.exec("UPDATE restante_run SET state = ?, over = 1, ended_at = ? WHERE state = ? AND schedule = ? AND account = ?", Dropped, now.UnixMilli(), Waiting, k.schedule, k.account); err != nil {
				return err
			}
		}
		for k, e := range wanted {
			found, ok := there[k]
			if ok && found.rule == e.Timetable.String() {
				continue
			}
			from := now
			if !ok && !e.Last.IsZero() && e.Last.Before(now) {
				from = e.Last
			}
			_, err := t.exec("INSERT INTO restante_due (schedule, account, rule, next_at) VALUES (?, ?, ?, ?) ON CONFLICT (schedule, account) DO UPDATE SET rule = excluded.rule, next_at = excluded.next_at",
				k.schedule, k.account, e.Timetable.String(), milli(e.Timetable.Next(k.account, from)))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the plan into the database: %w", err)
	}
	q.mu.Lock()
	q.plan = wanted
	q.mu.Unlock()
	return nil
}

// never is when what never comes is due.
const never = int64(1) << 62

// milli is a time to come as it stands in the database: never, if there is none.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixMilli()
}

// when reads a time of the database.
func when(ms int64) time.Time {
	if ms == 0 || ms == never {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Tick makes a run of everything that is due, once, whatever was missed. Any
// number of machines may do so at the same time.
func (q *Queue) Tick(ctx context.Context) error {
	now := q.o.Now()
	type due struct {
		key
		next int64
	}
	for {
		var list []due
		err := q.db.now(ctx).each(func(r *sql.Rows) error {
			var d due
			err := r.Scan(&d.schedule, &d.account, &d.next)
			list = append(list, d)
			return err
		}, "SELECT schedule, account, next_at FROM restante_due WHERE next_at <= ? ORDER BY next_at LIMIT 500", now.UnixMilli())
		if err != nil || len(list) == 0 {
			return err
		}
		moved := 0
		err = q.db.alone(ctx, func(t tx) error {
			for _, d := range list {
				q.mu.Lock()
				e, known := q.plan[d.key]
				q.mu.Unlock()
				if !known {
					continue // another machine has a newer configuration
				}
				n, err := t.exec("UPDATE restante_due SET next_at = ? WHERE schedule = ? AND account = ? AND next_at = ?", milli(e.Timetable.Next(d.account, now)), d.schedule, d.account, d.next)
				if err != nil {
					return err
				}
				if n == 0 {
					continue // another machine was first
				}
				moved++
				if e.Skip && now.Sub(when(d.next)) > missed {
					continue
				}
				r := Run{Kind: e.Kind, Account: e.Account, Schedule: e.Schedule, Server: e.Server, Priority: Scheduled, State: Waiting, Due: when(d.next), NotUntil: when(d.next)}
				if _, err := insert(t, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || moved == 0 {
			return err
		}
	}
}

// insert adds a run, unless there is one of that kind and account that is not
// over; it returns which one there is then.
func insert(t tx, r Run) (int64, error) {
	id, err := number(t, "run")
	if err != nil {
		return 0, err
	}
	over := 0
	if r.State.Over() {
		over = 1
	}
	n, err := t.exec(`INSERT INTO restante_run (id, kind, account, schedule, server, lane, priority, state, over, due_at, not_until,
		given_at, started_at, ended_at, turn, tries, machine_id, machine, snapshot, result, error, class)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, 0, 0, ?, ?, ?, '', '') ON CONFLICT DO NOTHING`,
		id, r.Kind, r.Account, r.Schedule, r.Server, r.Kind.lane(), r.Priority, r.State, over, r.Due.UnixMilli(), r.NotUntil.UnixMilli(),
		since(r.Started), since(r.Ended), r.Machine, r.Snapshot, string(r.Result))
	if err != nil || n == 1 {
		return id, err
	}
	return id, t.row("SELECT id FROM restante_run WHERE over = 0 AND kind = ? AND account = ?", r.Kind, r.Account).Scan(&id)
}

// since is a time that is past as it stands in the database; zero for none.
func since(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// number gives the next number of that name.
func number(t tx, name string) (n int64, err error) {
	err = t.row("INSERT INTO restante_number (name, last) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = restante_number.last + 1 RETURNING last", name).Scan(&n)
	return n, err
}

// Ask has a run done as soon as may be, before all that is less urgent. If there
// is one that is not over, it is hurried and is the answer; it may have begun.
func (q *Queue) Ask(ctx context.Context, kind Kind, account, server string, priority int) (id int64, err error) {
	now := q.o.Now()
	err = q.db.alone(ctx, func(t tx) error {
		if id, err = insert(t, Run{Kind: kind, Account: account, Server: server, Priority: priority, State: Waiting, Due: now, NotUntil: now}); err != nil {
			return err
		}
		_, err := t.exec("UPDATE restante_run SET priority = CASE WHEN priority < ? THEN priority ELSE ? END, not_until = ? WHERE id = ? AND state = ?", priority, priority, now.UnixMilli(), id, Waiting)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ask for a %s: %w", kind, err)
	}
	return id, nil
}

// Remembered are the accounts whose backups the history knows.
func (q *Queue) Remembered(ctx context.Context) (accounts map[string]bool, err error) {
	accounts = map[string]bool{}
	err = q.db.now(ctx).each(func(r *sql.Rows) error {
		var account string
		err := r.Scan(&account)
		accounts[account] = true
		return err
	}, "SELECT account FROM restante_last WHERE kind = ?", Backup)
	return accounts, err
}

// Restore writes what the repository tells of earlier runs into the history,
// if that has nothing of the account: the database was lost, or is new.
func (q *Queue) Restore(ctx context.Context, account string, runs []Run) error {
	return q.db.alone(ctx, func(t tx) error {
		var n int
		err := t.row("SELECT 1 FROM restante_run WHERE account = ? AND kind = ? LIMIT 1", account, Backup).Scan(&n)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		for _, r := range runs {
			r.Account, r.NotUntil = account, r.Due
			if r.ID, err = insert(t, r); err != nil {
				return err
			}
			if err := remember(t, r); err != nil {
				return err
			}
		}
		return nil
	})
}
