package queue

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/riverqueue/river"
)

// A runJob is what the job engine is told of a run.
type runJob struct {
	Run  int64 `json:"run"`
	Turn int   `json:"turn"`
}

// Kind implements river.JobArgs.
func (runJob) Kind() string { return "restante_run" }

// give gives the job engine the runs that a server and a machine have room
// for, the most urgent first. Holding the others back is what keeps each
// server within its limit, whatever the machines do.
func (q *Queue) give(ctx context.Context) error {
	var jobs []river.InsertManyParams
	now := q.o.Now().UnixMilli()
	err := q.db.alone(ctx, func(t tx) error {
		jobs = nil
		for _, lane := range []string{laneMail, laneUpkeep} {
			room, err := q.room(t, lane)
			if err != nil {
				return err
			}
			list, err := q.urgent(t, lane, now, room)
			if err != nil {
				return err
			}
			for _, r := range list {
				if _, err := t.exec("UPDATE restante_run SET state = ?, turn = ?, given_at = "+t.clock()+" WHERE id = ?", Given, r.turn+1, r.id); err != nil {
					return err
				}
				jobs = append(jobs, river.InsertManyParams{Args: runJob{r.id, r.turn + 1}, InsertOpts: &river.InsertOpts{Queue: lane, Priority: r.priority, MaxAttempts: 3}})
			}
		}
		return nil
	})
	if err != nil || len(jobs) == 0 {
		return err
	}
	// If this does not happen any more, the runs are given once more by whoever
	// finds that nobody took them.
	_, err = q.db.engine.InsertMany(ctx, jobs)
	return err
}

// room is how many more runs the machines can do.
func (q *Queue) room(t tx, lane string) (int, error) {
	places := "COALESCE(SUM(at_once), 0)"
	if lane == laneUpkeep {
		places = "COUNT(*)"
	}
	var room, busy int
	err := t.row("SELECT "+places+" FROM restante_machine WHERE seen_at > "+t.clock()+" - ?", q.o.DeadAfter.Milliseconds()).Scan(&room)
	if err != nil {
		return 0, err
	}
	err = t.row("SELECT COUNT(*) FROM restante_run WHERE over = 0 AND lane = ? AND state IN (?, ?)", lane, Given, Running).Scan(&busy)
	return max(room-busy, 0), err
}

// A candidate is a run that may be given.
type candidate struct {
	id       int64
	turn     int
	priority int
	due      int64
}

// urgent lists the runs to give, at most so many, and of each server no more
// than it has room for.
func (q *Queue) urgent(t tx, lane string, now int64, most int) ([]candidate, error) {
	if most == 0 {
		return nil, nil
	}
	busy, waiting := map[string]int{}, []string{}
	err := t.each(func(r *sql.Rows) error {
		var server string
		var open, ready int
		err := r.Scan(&server, &open, &ready)
		busy[server] = open
		if ready > 0 {
			waiting = append(waiting, server)
		}
		return err
	}, `SELECT server, SUM(CASE WHEN state = ? THEN 0 ELSE 1 END), SUM(CASE WHEN state = ? AND not_until <= ? THEN 1 ELSE 0 END)
		FROM restante_run WHERE over = 0 AND lane = ? GROUP BY server`, Waiting, Waiting, now, lane)
	if err != nil {
		return nil, err
	}
	var list []candidate
	for _, server := range waiting {
		limit := most
		if server != "" {
			limit = min(limit, q.o.PerServer(server)-busy[server])
		}
		if limit <= 0 {
			continue
		}
		err := t.each(func(r *sql.Rows) error {
			var c candidate
			err := r.Scan(&c.id, &c.turn, &c.priority, &c.due)
			list = append(list, c)
			return err
		}, "SELECT id, turn, priority, due_at FROM restante_run WHERE over = 0 AND state = ? AND lane = ? AND server = ? AND not_until <= ? ORDER BY priority, due_at, id LIMIT ?", Waiting, lane, server, now, limit)
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.due, b.due), cmp.Compare(a.id, b.id))
	})
	return list[:min(most, len(list))], nil
}
