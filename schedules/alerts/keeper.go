package alerts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"restante/schedules/queue"
)

// A Keeper keeps the alerts of a queue. On each machine that serves there is
// one; they share the work.
type Keeper struct {
	q   *queue.Queue
	now func() time.Time
	log *slog.Logger

	mu       sync.Mutex // guards what follows
	o        Options
	ways     []Way
	accounts []Account

	// Of the database, while it does not answer; used by Tick only.
	away time.Time
	told bool
}

// New makes a keeper, which does nothing before Use and [Keeper.Run].
func New(q *queue.Queue, now func() time.Time, log *slog.Logger) *Keeper {
	k := &Keeper{q: q, now: now, log: log}
	k.o.defaults()
	return k
}

// Use has the keeper look after these accounts from now on, and tell in these
// ways. It may be called while it runs.
func (k *Keeper) Use(o Options, accounts []Account, ways []Way) {
	o.defaults()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.o, k.accounts, k.ways = o, accounts, ways
}

func (k *Keeper) used() (Options, []Account, []Way) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.o, k.accounts, k.ways
}

// Run looks again and again until the context ends.
func (k *Keeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := k.Tick(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("alerts cannot be kept for now", "error", err)
		}
		o, _, _ := k.used()
		select {
		case <-ctx.Done():
		case <-time.After(o.Every):
		}
	}
}

// Tell tells of a fact: when a certificate or a grant expires. It is told each
// time it is seen; one with a later time ends the alert. On whichever machine.
func (k *Keeper) Tell(ctx context.Context, f Fact) error {
	o, _, _ := k.used()
	list := []queue.Alert{}
	if a, ok := Expiring(f, k.now(), o.Before); ok {
		list = append(list, a)
	}
	kind := "account"
	if f.Server {
		kind = "server"
	}
	return k.q.ReplaceAlerts(ctx, fmt.Sprintf("fact %s %s %s", kind, f.What, f.Subject), list)
}

// Tick looks once, and sends what is due. Of many machines one looks; an error
// is the database's.
func (k *Keeper) Tick(ctx context.Context) error {
	o, accounts, ways := k.used()
	err := k.tick(ctx, o, accounts, ways)
	if ctx.Err() != nil {
		return err
	}
	k.database(ctx, o, ways, err)
	return err
}

func (k *Keeper) tick(ctx context.Context, o Options, accounts []Account, ways []Way) error {
	now := k.now()
	notices, err := k.notices(ctx)
	if err != nil {
		return err
	}
	look := notices[at{topicLook, ""}]
	look.Topic = topicLook
	if look.Due.After(now) && look.Due.Sub(now) <= o.Every {
		return nil // another machine has looked just now
	}
	look.Due = now.Add(o.Every - o.Every/10) // its next tick must not come a moment too soon
	if ok, err := k.q.SwapNotice(ctx, &look); err != nil || !ok {
		return err
	}
	v, err := See(ctx, k.q, accounts, o, now)
	if err != nil {
		return err
	}
	if err := k.q.ReplaceAlerts(ctx, "history", Find(v)); err != nil {
		return err
	}
	if err := k.q.ReplaceAlerts(ctx, "ways", failing(notices, ways, now)); err != nil {
		return err
	}
	open, err := k.q.Alerts(ctx)
	if err != nil {
		return err
	}
	topics := byTopic(open)
	for at := range notices { // those that may be over
		if _, ok := topics[at.topic]; !ok && !regularly(at.topic) {
			topics[at.topic] = nil
		}
	}
	if err := k.dropOthers(ctx, notices, ways); err != nil {
		return err
	}
	// One that takes its time does not keep the others waiting.
	wrong := make([]error, len(ways))
	var all sync.WaitGroup
	for i, way := range ways {
		all.Go(func() {
			for _, topic := range slices.Sorted(maps.Keys(topics)) {
				if topic != topicOfWay(way.Name()) { // a way is not told by itself that it fails
					wrong[i] = errors.Join(wrong[i], k.topic(ctx, o, way, noticeOf(notices, topic, way), topics[topic], len(open)))
				}
			}
			wrong[i] = errors.Join(wrong[i], k.regular(ctx, o, way, notices, v, open))
		})
	}
	all.Wait()
	return errors.Join(wrong...)
}

// at is what a notice is found by.
type at struct{ topic, way string }

// Topics of what comes at certain times, and of the looking itself.
const (
	topicLook   = "look"
	topicReport = "report"
	topicPing   = "ping"
)

func regularly(topic string) bool {
	return topic == topicLook || topic == topicReport || topic == topicPing
}

func topicOfWay(name string) string { return topic(WayOut, "", "", name) }

func (k *Keeper) notices(ctx context.Context) (map[at]queue.Notice, error) {
	list, err := k.q.Notices(ctx)
	m := make(map[at]queue.Notice, len(list))
	for _, n := range list {
		m[at{n.Topic, n.Way}] = n
	}
	return m, err
}

func noticeOf(notices map[at]queue.Notice, topic string, way Way) queue.Notice {
	n, ok := notices[at{topic, way.Name()}]
	if !ok {
		n = queue.Notice{Topic: topic, Way: way.Name()}
	}
	return n
}

// dropOthers forgets what was said in ways that there are no more.
func (k *Keeper) dropOthers(ctx context.Context, notices map[at]queue.Notice, ways []Way) error {
	for at, n := range notices {
		if at.way != "" && !slices.ContainsFunc(ways, func(w Way) bool { return w.Name() == at.way }) {
			if err := k.q.DropNotice(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// topic does what is to be done about a topic in one way.
func (k *Keeper) topic(ctx context.Context, o Options, way Way, n queue.Notice, list []queue.Alert, open int) error {
	now := k.now()
	next, do, event := o.step(n, len(list), now)
	switch do {
	case wait:
		return nil
	case drop:
		return k.q.DropNotice(ctx, n)
	case change:
		_, err := k.q.SwapNotice(ctx, &next)
		return err
	}
	m := Message{}
	if event == Cleared {
		m = over(n, now)
	} else {
		m = compose(event, n.Topic, list, now)
	}
	m.Open = open
	return k.send(ctx, o, way, next, m, now.Add(o.Repeat))
}

// regular sends the morning report and pings.
func (k *Keeper) regular(ctx context.Context, o Options, way Way, notices map[at]queue.Notice, v View, open []queue.Alert) error {
	for _, r := range []struct {
		topic string
		event Event
		next  func(after time.Time) time.Time
		write func() Message
	}{
		{topicReport, Report, o.ReportAt, func() Message { return Write(v, open) }},
		{topicPing, Ping, func(after time.Time) time.Time { return after.Add(o.PingEvery) }, func() Message { return pingOf(v.Now, open) }},
	} {
		n := noticeOf(notices, r.topic, way)
		if r.next == nil || !way.Takes(r.event) {
			if n.Due.IsZero() {
				continue
			}
			if err := k.q.DropNotice(ctx, n); err != nil {
				return err
			}
			continue
		}
		now := k.now()
		next, do := o.regular(n, now, r.next)
		var err error
		switch do {
		case change:
			_, err = k.q.SwapNotice(ctx, &next)
		case send:
			m := r.write()
			m.Open = len(open)
			err = k.send(ctx, o, way, next, m, r.next(now))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pingOf says nothing but whether anything is open.
func pingOf(now time.Time, open []queue.Alert) Message {
	m := Message{Event: Ping, Topic: topicPing, Title: "all is well", Time: now, List: []queue.Alert{}}
	if len(open) > 0 {
		m.Title = number(int64(len(open)), "open alert")
	}
	m.Text = m.Title + "\n"
	return m
}

// send claims a message, sends it, and writes down how that ended, all at once:
// of what is over the notice goes. If another machine has claimed it, that is
// all.
func (k *Keeper) send(ctx context.Context, o Options, way Way, n queue.Notice, m Message, due time.Time) error {
	claimed, err := k.q.SwapNotice(ctx, &n)
	if err != nil || !claimed {
		return err
	}
	failed := error(nil)
	if way.Takes(m.Event) {
		within, cancel := context.WithTimeoutCause(ctx, o.SendWithin, fmt.Errorf("it has not taken the message within %v", o.SendWithin))
		failed = way.Send(within, m)
		cancel()
	}
	ctx = context.WithoutCancel(ctx) // the message is out, whatever the context says by now
	end := ended(n, m, len(m.List), due, k.now(), failed)
	switch {
	case failed != nil:
		k.log.Warn("a message could not be sent; it is tried again", "way", way.Name(), "message", m.Title, "tries", end.Tries, "error", failed)
	case way.Takes(m.Event):
		k.log.Info("told", "way", way.Name(), "event", string(m.Event), "message", m.Title)
	}
	if failed == nil && m.Event == Cleared {
		return k.q.DropNotice(ctx, n)
	}
	_, err = k.q.SwapNotice(ctx, &end)
	return err
}

// failing are the alerts of ways that fail again and again.
func failing(notices map[at]queue.Notice, ways []Way, now time.Time) (list []queue.Alert) {
	for _, w := range ways {
		worst := queue.Notice{}
		for at, n := range notices {
			if at.way == w.Name() && n.Tries > worst.Tries {
				worst = n
			}
		}
		if worst.Tries >= 3 {
			list = append(list, queue.Alert{Name: w.Name(), Topic: topicOfWay(w.Name()), Kind: string(WayOut), Text: worst.Error, Since: now})
		}
	}
	return list
}

// database tells that the database does not answer, which it cannot keep
// itself: each machine that sees it does, once, and once when it is over.
func (k *Keeper) database(ctx context.Context, o Options, ways []Way, err error) {
	now := k.now()
	m := Message{Event: Opened, Topic: string(Database), Kind: Database, Time: now, Open: 1, Since: k.away, List: []queue.Alert{}}
	switch {
	case err == nil && k.told:
		m = over(queue.Notice{Topic: string(Database), Title: "the database of restante serve does not answer"}, now)
	case err == nil:
		k.away = time.Time{}
		return
	case k.away.IsZero():
		k.away = now
		return
	case k.told || now.Sub(k.away) < o.Settle:
		return
	default:
		m.Title = "the database of restante serve does not answer"
		m.Text = fmt.Sprintf("%s\n\nSince %s: %s\nWhat runs goes on, and nothing new begins until it answers.\n", m.Title, k.away.UTC().Format("2006-01-02 15:04 MST"), oneLine(err.Error()))
		m.List = []queue.Alert{{Name: string(Database), Topic: string(Database), Kind: string(Database), Text: oneLine(err.Error()), Since: k.away}}
	}
	sent := len(ways) == 0
	for _, w := range ways {
		if !w.Takes(m.Event) {
			continue
		}
		within, cancel := context.WithTimeout(ctx, o.SendWithin)
		if failed := w.Send(within, m); failed != nil {
			k.log.Warn("a message could not be sent", "way", w.Name(), "message", m.Title, "error", failed)
		} else {
			sent = true
		}
		cancel()
	}
	if k.told = sent && err != nil; err == nil {
		k.away = time.Time{}
	}
}
