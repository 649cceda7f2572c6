package schedules

import (
	"context"
	"fmt"
	"sync"
	"time"

	"restante/schedules/calendar"
	"restante/schedules/queue"
)

// A Handler does what comes due. Its jobs can be changed while it is at work.
type Handler struct {
	now      func() time.Time
	classify func(error) queue.Class

	mu    sync.RWMutex // guards what follows
	jobs  map[queue.Kind]Job
	rules map[string]calendar.Rule // of the schedules, by name
}

// A Job does one kind of runs.
type Job func(ctx context.Context, r queue.Run) (queue.Outcome, error)

// NewHandler makes a handler without jobs.
func NewHandler(now func() time.Time, classify func(error) queue.Class) *Handler {
	return &Handler{now: now, classify: classify}
}

// Use has runs that begin from now on done by these jobs.
func (h *Handler) Use(list []Schedule, jobs map[queue.Kind]Job) {
	rules := map[string]calendar.Rule{}
	for _, s := range list {
		rules[s.Name] = s.Rule
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jobs, h.rules = jobs, rules
}

// Classify implements queue.Handler.
func (h *Handler) Classify(err error) queue.Class { return h.classify(err) }

// Do implements queue.Handler. A run that goes on when a window begins in
// which nothing may run is stopped, and goes on where it was afterwards; what a
// person asked for is not.
func (h *Handler) Do(ctx context.Context, r queue.Run) (queue.Outcome, error) {
	h.mu.RLock()
	job, rule := h.jobs[r.Kind], h.rules[r.Schedule]
	h.mu.RUnlock()
	if job == nil {
		return queue.Outcome{}, fmt.Errorf("there is no job %q", r.Kind)
	}
	if r.Priority <= queue.Asked || len(rule.Quiet) == 0 {
		return job(ctx, r)
	}
	now := h.now()
	if until := calendar.QuietUntil(rule.Quiet, now, rule.Zone); !until.IsZero() {
		return queue.Outcome{}, queue.NotBefore(until) // it has waited for long
	}
	from := calendar.QuietFrom(rule.Quiet, now, rule.Zone)
	if from.IsZero() {
		return job(ctx, r)
	}
	until := calendar.QuietUntil(rule.Quiet, from, rule.Zone)
	ctx, cancel := context.WithTimeoutCause(ctx, from.Sub(now), queue.NotBefore(until))
	defer cancel()
	o, err := job(ctx, r)
	if cause, ok := context.Cause(ctx).(*queue.Quiet); ok && err != nil {
		return o, cause
	}
	return o, err
}
