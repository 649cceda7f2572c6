package queue

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// An Alert is something that is wrong, and not over.
type Alert struct {
	Name    string // differs from those of all other alerts of its source
	Topic   string // those of one topic are one message
	Kind    string
	Account string // empty: it is no account's
	Server  string // empty: it is no mail server's
	Text    string // why, in a line
	Since   time.Time
}

const alertColumns = "name, topic, kind, account, server, text, since_at"

func scanAlert(row interface{ Scan(...any) error }) (a Alert, err error) {
	var since int64
	err = row.Scan(&a.Name, &a.Topic, &a.Kind, &a.Account, &a.Server, &a.Text, &since)
	a.Since = when(since)
	return a, err
}

// ReplaceAlerts opens the alerts of a source that are new, touches those that
// are open already and clears the others. One that is open keeps its topic and
// since when it is.
func (q *Queue) ReplaceAlerts(ctx context.Context, source string, list []Alert) error {
	err := q.db.alone(ctx, func(t tx) error {
		there := map[string]Alert{}
		err := t.each(func(r *sql.Rows) error {
			a, err := scanAlert(r)
			there[a.Name] = a
			return err
		}, "SELECT "+alertColumns+" FROM restante_alert WHERE source = ?", source)
		if err != nil {
			return err
		}
		for _, a := range list {
			old, open := there[a.Name]
			delete(there, a.Name)
			switch {
			case !open:
				_, err = t.exec("INSERT INTO restante_alert (source, "+alertColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
					source, a.Name, a.Topic, a.Kind, a.Account, a.Server, a.Text, a.Since.UnixMilli())
			case old.Text != a.Text || old.Server != a.Server:
				_, err = t.exec("UPDATE restante_alert SET text = ?, server = ? WHERE source = ? AND name = ?", a.Text, a.Server, source, a.Name)
			}
			if err != nil {
				return err
			}
		}
		for name := range there {
			if _, err := t.exec("DELETE FROM restante_alert WHERE source = ? AND name = ?", source, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the open alerts into the database: %w", err)
	}
	return nil
}

// Alerts lists what is open, the longest first.
func (q *Queue) Alerts(ctx context.Context) (list []Alert, err error) {
	err = q.db.now(ctx).each(func(r *sql.Rows) error {
		a, err := scanAlert(r)
		list = append(list, a)
		return err
	}, "SELECT "+alertColumns+" FROM restante_alert ORDER BY since_at, topic, name, source")
	return list, err
}

// A Notice is what was said of a topic in one way, and when more is due.
type Notice struct {
	Topic, Way string
	Title      string    // of the last message
	Due        time.Time // when the next message is
	Claimed    time.Time // until then a machine is sending it; zero: none
	Sent       int       // messages, so far
	SentAt     time.Time
	Told       int    // alerts that the last message was of
	Clearing   bool   // the next message says that it is over
	Tries      int    // of the next message that failed
	Error      string // why the last of them did
	version    int64  // 0: it is not in the database
}

const noticeColumns = "topic, way, version, title, due_at, claimed_at, sent, sent_at, told, clearing, tries, error"

// Notices lists all of them.
func (q *Queue) Notices(ctx context.Context) (list []Notice, err error) {
	err = q.db.now(ctx).each(func(r *sql.Rows) error {
		var n Notice
		var due, claimed, sent int64
		var clearing int
		err := r.Scan(&n.Topic, &n.Way, &n.version, &n.Title, &due, &claimed, &n.Sent, &sent, &n.Told, &clearing, &n.Tries, &n.Error)
		n.Due, n.Claimed, n.SentAt, n.Clearing = when(due), when(claimed), when(sent), clearing == 1
		list = append(list, n)
		return err
	}, "SELECT "+noticeColumns+" FROM restante_notice ORDER BY topic, way")
	return list, err
}

// SwapNotice puts a notice into the place of what was read, or of nothing. Of
// many machines that do so with what they read, one succeeds: so a message is
// claimed, and sent once.
func (q *Queue) SwapNotice(ctx context.Context, n *Notice) (ok bool, err error) {
	clearing := 0
	if n.Clearing {
		clearing = 1
	}
	t := q.db.now(ctx)
	args := []any{n.version + 1, n.Title, since(n.Due), since(n.Claimed), n.Sent, since(n.SentAt), n.Told, clearing, n.Tries, n.Error, n.Topic, n.Way}
	var changed int64
	if n.version == 0 {
		changed, err = t.exec("INSERT INTO restante_notice (version, title, due_at, claimed_at, sent, sent_at, told, clearing, tries, error, topic, way) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", args...)
	} else {
		changed, err = t.exec("UPDATE restante_notice SET version = ?, title = ?, due_at = ?, claimed_at = ?, sent = ?, sent_at = ?, told = ?, clearing = ?, tries = ?, error = ? WHERE topic = ? AND way = ? AND version = ?", append(args, n.version)...)
	}
	if err != nil {
		return false, fmt.Errorf("write what was said into the database: %w", err)
	}
	if changed == 1 {
		n.version++
	}
	return changed == 1, nil
}

// DropNotice forgets a notice, if it is still as it was read.
func (q *Queue) DropNotice(ctx context.Context, n Notice) error {
	_, err := q.db.now(ctx).exec("DELETE FROM restante_notice WHERE topic = ? AND way = ? AND version = ?", n.Topic, n.Way, n.version)
	return err
}
