package queue

import (
	"context"
	"database/sql"
	"errors"
)

// enter writes this machine into the database.
func (q *Queue) enter(ctx context.Context) error {
	return q.db.alone(ctx, func(t tx) error {
		id, err := number(t, "machine")
		if err != nil {
			return err
		}
		if _, err := t.exec("INSERT INTO restante_machine (id, name, at_once, seen_at, started_at) VALUES (?, ?, ?, "+t.clock()+", "+t.clock()+")", id, q.o.Machine, q.o.AtOnce); err != nil {
			return err
		}
		q.mu.Lock()
		q.machine = id
		q.mu.Unlock()
		return nil
	})
}

// leave takes it out again. What it ran has gone back to wait by then.
func (q *Queue) leave(ctx context.Context) error {
	_, err := q.db.now(ctx).exec("DELETE FROM restante_machine WHERE id = ?", q.number())
	return err
}

func (q *Queue) number() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.machine
}

// beat says that this machine lives, cancels what is not its any more, and gives
// back what it does not know to have. It says whether the machine had been silent
// for too long.
func (q *Queue) beat(ctx context.Context) (late bool, err error) {
	t := q.db.now(ctx)
	n, err := t.exec("UPDATE restante_machine SET seen_at = "+t.clock()+" WHERE id = ? AND seen_at > "+t.clock()+" - ?", q.number(), q.o.DeadAfter.Milliseconds())
	if err != nil {
		return true, err
	}
	if late = n == 0; late {
		_, err := t.exec("INSERT INTO restante_machine (id, name, at_once, seen_at, started_at) VALUES (?, ?, ?, "+t.clock()+", "+t.clock()+") ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at", q.number(), q.o.Machine, q.o.AtOnce)
		if err != nil {
			return true, err
		}
	}
	// Those begun before the question: the answer tells nothing of later ones.
	var begun []*working
	q.mu.Lock()
	for w := range q.running {
		if w.begun {
			begun = append(begun, w)
		}
	}
	q.mu.Unlock()
	mine := map[int64]int{}
	err = t.each(func(r *sql.Rows) error {
		var id int64
		var turn int
		err := r.Scan(&id, &turn)
		mine[id] = turn
		return err
	}, "SELECT id, turn FROM restante_run WHERE over = 0 AND state = ? AND machine_id = ?", Running, q.number())
	if err != nil {
		return late, err
	}
	q.mu.Lock()
	for _, w := range begun {
		if turn, ok := mine[w.run]; w.begun && (!ok || turn != w.turn) { // and not ended meanwhile
			w.cancel(ErrLost)
		}
	}
	for w := range q.running {
		if mine[w.run] == w.turn {
			delete(mine, w.run)
		}
	}
	q.mu.Unlock()
	// What is left began, and the answer to that was lost: nobody is at it. (Or it
	// has ended since the question. Then its state or turn is another one.)
	for id, turn := range mine {
		n, err := t.exec("UPDATE restante_run SET state = ?, machine_id = 0 WHERE id = ? AND turn = ? AND state = ? AND machine_id = ?", Waiting, id, turn, Running, q.number())
		if err != nil {
			return late, err
		}
		if n > 0 {
			q.o.Log.Warn("a run is given back, since the database did not answer when it began", "run", id)
		}
	}
	return late, nil
}

// Share says which of the machines that serve this one is, from 0 on, and how
// many there are: for what each account needs done on one of them. It is -1 of
// 0 while the database does not know this machine.
func (q *Queue) Share(ctx context.Context) (i, of int, err error) {
	t := q.db.now(ctx)
	i = -1
	err = t.each(func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		if id == q.number() {
			i = of
		}
		of++
		return err
	}, "SELECT id FROM restante_machine WHERE seen_at > "+t.clock()+" - ? ORDER BY id", q.o.DeadAfter.Milliseconds())
	if i < 0 {
		of = 0
	}
	return i, of, err
}

// takeOver has the runs of machines that are silent wait again, and those that
// nobody took though there is room.
//
// A machine that was silent itself must not do so before the others had the
// time to be heard: the database may have been away for all of them. Of its own
// runs it knows better: it has just been heard, however long the database has
// kept it waiting since, and beat gives back what it does not have.
func (q *Queue) takeOver(ctx context.Context) error {
	return q.db.alone(ctx, func(t tx) error {
		silent := q.o.DeadAfter.Milliseconds()
		n, err := t.exec(`UPDATE restante_run SET state = ?, machine_id = 0 WHERE over = 0 AND state = ? AND machine_id <> ? AND machine_id NOT IN
			(SELECT id FROM restante_machine WHERE seen_at > `+t.clock()+` - ?)`, Waiting, Running, q.number(), silent)
		if err != nil {
			return err
		}
		given, err := t.exec("UPDATE restante_run SET state = ? WHERE over = 0 AND state = ? AND given_at < "+t.clock()+" - ?", Waiting, Given, silent)
		if err != nil {
			return err
		}
		if n+given > 0 {
			q.o.Log.Warn("runs are taken over from a machine that is silent", "runs", n+given)
		}
		_, err = t.exec("DELETE FROM restante_machine WHERE seen_at < "+t.clock()+" - ?", 24*60*60*1000)
		return err
	})
}

// mostCleaned is how many old runs are removed at once. There may be millions;
// meanwhile a machine is not heard, and PostgreSQL seems to be silent.
const mostCleaned = 10_000

// clean removes old history, but for what is the last of its subject, and says
// whether there is more.
func (q *Queue) clean(ctx context.Context, most int) (more bool, err error) {
	before := q.o.Now().Add(-q.o.KeepHistory).UnixMilli()
	n, err := q.db.now(ctx).exec(`DELETE FROM restante_run WHERE id IN (SELECT id FROM restante_run WHERE over = 1 AND ended_at < ? AND ended_at > 0
		AND id NOT IN (SELECT run FROM restante_last) AND id NOT IN (SELECT good FROM restante_last) LIMIT ?)`, before, most)
	return n == int64(most), err
}

// begin takes a run that was given. False: somebody else has, or nobody wants
// it any more.
func (q *Queue) begin(ctx context.Context, job runJob) (r Run, ok bool, err error) {
	err = q.db.alone(ctx, func(t tx) error {
		n, err := t.exec("UPDATE restante_run SET state = ?, machine_id = ?, machine = ?, started_at = ? WHERE id = ? AND turn = ? AND state = ?",
			Running, q.number(), q.o.Machine, q.o.Now().UnixMilli(), job.Run, job.Turn, Given)
		if err != nil || n == 0 {
			return err
		}
		ok = true
		r, err = one(t, job.Run)
		return err
	})
	return r, ok && err == nil, err
}

// finish writes what came of a run, if it is this machine's still.
func (q *Queue) finish(ctx context.Context, r Run) error {
	over := 0
	if r.State.Over() {
		over = 1
	}
	return q.db.alone(ctx, func(t tx) error {
		n, err := t.exec(`UPDATE restante_run SET state = ?, over = ?, ended_at = ?, not_until = ?, tries = ?, snapshot = ?, result = ?, error = ?, class = ?, machine_id = 0
			WHERE id = ? AND turn = ? AND state = ?`,
			r.State, over, r.Ended.UnixMilli(), r.NotUntil.UnixMilli(), r.Tries, r.Snapshot, string(r.Result), r.Error, r.Class, r.ID, r.turn, Running)
		if err == nil && n == 0 {
			return written(t, r)
		}
		if err != nil || over == 0 {
			return err
		}
		return remember(t, r)
	})
}

// written says whether a run's end was written down before, and the answer to
// that was lost; else the run is another machine's.
func written(t tx, r Run) error {
	var n int
	err := t.row("SELECT COUNT(*) FROM restante_run WHERE id = ? AND turn = ? AND state = ? AND ended_at = ?", r.ID, r.turn, r.State, r.Ended.UnixMilli()).Scan(&n)
	if err == nil && n == 0 {
		return errNotOurs
	}
	return err
}

// remember notes that a run which is over is the last of its subject, and, if
// it went well, the last good one. Whoever asks for those asks often, and there
// may be millions of runs.
func remember(t tx, r Run) error {
	_, err := t.exec("INSERT INTO restante_last (kind, account, run, good) VALUES (?, ?, ?, 0) ON CONFLICT (kind, account) DO UPDATE SET run = excluded.run", r.Kind, r.Account, r.ID)
	if err == nil && (r.State == Done || r.State == Incomplete) {
		_, err = t.exec("UPDATE restante_last SET good = ? WHERE kind = ? AND account = ?", r.ID, r.Kind, r.Account)
	}
	return err
}

var errNotOurs = errors.New("the run is another machine's by now")
