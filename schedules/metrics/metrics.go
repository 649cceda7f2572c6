// Package metrics shows Prometheus how things are: make [New] metrics, have the
// queue tell them of runs that are over ([Metrics.Ended]), and serve
// [Metrics.Handler] at /metrics.
//
// What is of accounts is read from the history when it is asked for, and is the
// same on each machine; what is of runs, of the store and of pools is this
// machine's alone, and is to be summed.
//
// For each account there are seven series. 50,000 accounts would be 350,000 on
// each machine: Options.Aggregate leaves them out, and the totals, which are
// always there, say how many accounts are good and how old the oldest backup is.
package metrics

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"restante/schedules/queue"
	"restante/storage/objects"
)

// Options say what is shown.
type Options struct {
	// Accounts are the accounts there are now.
	Accounts func() []string
	// Aggregate leaves out what is of single accounts.
	Aggregate bool
	// StaleAfter is how long an account may be without a good backup; 0 for 36
	// hours.
	StaleAfter time.Duration
	// Store counts what was asked of the store; nil: it is not shown.
	Store func() objects.Counts
	// Pools are how many there may be of something in this process, by a name
	// such as "accounts" or "connections"; nil: none is shown.
	Pools func() map[string]int
	Now   func() time.Time // nil: the clock's
	// Fresh is how old what was read from the history may be; 0 for 15 s.
	Fresh time.Duration
	Log   *slog.Logger
}

// Metrics are the metrics of a machine that serves.
type Metrics struct {
	q        *queue.Queue
	o        Options
	registry *prometheus.Registry

	runs     *prometheus.CounterVec
	retries  *prometheus.CounterVec
	duration *prometheus.HistogramVec
	stored   prometheus.Counter

	mu   sync.Mutex // guards what follows
	seen history
}

// A history is what was read of the queue.
type history struct {
	at         time.Time
	err        error
	last, good map[queue.Subject]queue.Run
	counts     map[queue.State]int
	machines   []queue.Machine
	alerts     []queue.Alert
}

// New makes metrics of a queue.
func New(q *queue.Queue, o Options) *Metrics {
	if o.StaleAfter == 0 {
		o.StaleAfter = 36 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Fresh == 0 {
		o.Fresh = 15 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Metrics{
		q: q, o: o, registry: prometheus.NewRegistry(),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restante_runs_total", Help: "Runs that came to an end on this machine, by what they do and how they ended.",
		}, []string{"kind", "state"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restante_run_retries_total", Help: "Tries that failed, of runs that came to an end on this machine.",
		}, []string{"kind"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "restante_run_duration_seconds", Help: "How long the last try of runs took on this machine.",
			Buckets: []float64{0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600},
		}, []string{"kind"}),
		stored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "restante_backup_stored_bytes_total", Help: "Octets that backups on this machine added to the repository.",
		}),
	}
	for _, k := range queue.Kinds { // so that a rate of what never was is 0
		m.retries.WithLabelValues(string(k))
		for _, s := range []queue.State{queue.Done, queue.Incomplete, queue.Failed} {
			m.runs.WithLabelValues(string(k), string(s))
		}
	}
	m.registry.MustRegister(m.runs, m.retries, m.duration, m.stored, m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(m.o.Log.Handler(), slog.LevelWarn),
	})
}

// Ended counts a run that is over on this machine.
func (m *Metrics) Ended(r queue.Run) {
	m.runs.WithLabelValues(string(r.Kind), string(r.State)).Inc()
	m.retries.WithLabelValues(string(r.Kind)).Add(float64(r.Tries))
	if d := r.Ended.Sub(r.Started); !r.Started.IsZero() && d >= 0 {
		m.duration.WithLabelValues(string(r.Kind)).Observe(d.Seconds())
	}
	if s := snapshotOf(r); r.Kind == queue.Backup && s.Stored > 0 {
		m.stored.Add(float64(s.Stored))
	}
}

// snapshot is what is read of the Result of a backup.
type snapshot struct {
	Messages int64 `json:"messages"`
	Missing  int64 `json:"missing"` // on the server, and could not be had
	Bytes    int64 `json:"bytes"`
	Stored   int64 `json:"stored_bytes"`
}

func snapshotOf(r queue.Run) snapshot {
	var result struct {
		Snapshot snapshot `json:"snapshot"`
	}
	if len(r.Result) > 0 {
		json.Unmarshal(r.Result, &result) // what it does not say is zero
	}
	return result.Snapshot
}

// history reads the queue, unless it was read just now.
func (m *Metrics) history() history {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now()
	if age := now.Sub(m.seen.at); !m.seen.at.IsZero() && age >= 0 && age < m.o.Fresh {
		return m.seen
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	h := history{at: now}
	if h.last, h.good, h.err = m.q.Last(ctx); h.err == nil {
		h.counts, h.err = m.q.Counts(ctx)
	}
	if h.err == nil {
		h.machines, h.err = m.q.Machines(ctx)
	}
	if h.err == nil {
		h.alerts, h.err = m.q.Alerts(ctx)
	}
	if h.err != nil {
		m.o.Log.Warn("the history cannot be read for metrics", "error", h.err)
	}
	m.seen = h
	return h
}
