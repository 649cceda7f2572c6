package storage

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/index"
)

// A Group hands out Writers whose blobs go into packs together, and whose
// commits into ledger entries together. A thousand small accounts that are
// backed up at the same time would otherwise make a thousand packs of 64 KiB.
//
// A Commit of a member means what every Commit means; it takes a moment longer,
// in which others come along. What ends one run takes nothing from the others:
// its blobs may be in their packs, its snapshot is in no entry. Only where the
// store fails do all fail that were writing.
type Group struct {
	repo *Repository
	ctx  context.Context // of what goes on in the background
	wait time.Duration

	mu    sync.Mutex // guards rooms, and what is in them
	rooms map[ID]*room
}

// company is how long a commit waits for others, unless all are there sooner.
const company = time.Second

// mostTogether is how many snapshots an entry takes.
const mostTogether = 256

// Group makes one. What its Writers do in the background ends with ctx.
func (r *Repository) Group(ctx context.Context) *Group {
	return &Group{repo: r, ctx: ctx, wait: company, rooms: map[ID]*room{}}
}

// Writer returns a Writer for the vault that shares with the others of the
// group. It must be closed.
func (g *Group) Writer(ctx context.Context, vaultID ID) (*Writer, error) {
	v, err := g.repo.vault(ctx, vaultID)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.rooms[vaultID]
	if r == nil || r.w.broken() {
		r = &room{g: g, w: g.repo.writer(g.ctx, v), members: map[*Writer]bool{}}
		r.w.members = r.members
		g.rooms[vaultID] = r
	}
	m := &Writer{repo: g.repo, v: v, room: r, used: map[ulid.ULID]struct{}{}}
	r.join(m)
	return m, nil
}

// broken says that nothing more can be written.
func (w *Writer) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil || w.ctx.Err() != nil
}

// A room is the members that share one Writer.
type room struct {
	g *Group
	w *Writer // shared

	// Guarded by the group's mutex; members by that of w, too, for changes.
	members    map[*Writer]bool
	waiting    []*commitRequest
	committing bool
	timer      *time.Timer
}

func (r *room) join(m *Writer) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.members[m] = true
}

// leave is the end of a member. The last one closes the shared Writer.
func (r *room) leave(m *Writer) {
	r.g.mu.Lock()
	r.w.mu.Lock()
	delete(r.members, m)
	empty := len(r.members) == 0
	r.w.mu.Unlock()
	if empty && r.g.rooms[r.w.v.id] == r {
		delete(r.g.rooms, r.w.v.id)
	}
	r.begin(false) // who waits may have waited for this one
	r.g.mu.Unlock()
	if empty {
		r.w.Close()
	}
}

// spread notes packs that were written and are not committed yet: every member
// may have blobs in them, so its snapshots need them, and has written as much of
// them as it brought octets. The caller holds mu.
func (w *Writer) spread(written []index.Pack) {
	if w.members == nil { // it is nobody's but its own
		for _, p := range written {
			w.used[p.ID] = struct{}{}
		}
		return
	}
	var raw, stored int64
	for m := range w.members {
		raw += m.raw - m.counted
		for _, p := range written {
			m.used[p.ID] = struct{}{}
		}
	}
	stored = w.stored - w.counted
	w.counted = w.stored
	for m := range w.members {
		if raw > 0 {
			m.stored += int64(float64(stored) * float64(m.raw-m.counted) / float64(raw))
		}
		m.counted = m.raw
	}
}

// commit has a request committed with those of others.
func (r *room) commit(ctx context.Context, c *commitRequest) error {
	c.done = make(chan error, 1)
	r.g.mu.Lock()
	r.waiting = append(r.waiting, c)
	r.begin(false)
	if !c.begun && r.timer == nil {
		r.timer = time.AfterFunc(r.g.wait, func() {
			r.g.mu.Lock()
			defer r.g.mu.Unlock()
			r.timer = nil
			r.begin(true)
		})
	}
	r.g.mu.Unlock()
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
	}
	r.g.mu.Lock()
	if !c.begun {
		for i, other := range r.waiting {
			if other == c {
				r.waiting = append(r.waiting[:i:i], r.waiting[i+1:]...)
			}
		}
		r.begin(false)
		r.g.mu.Unlock()
		return context.Cause(ctx)
	}
	r.g.mu.Unlock()
	return <-c.done // it is on its way, and whether it came through matters
}

// begin begins a commit if it is time: all members wait, or one has waited for
// long enough. The caller holds the group's mutex.
func (r *room) begin(late bool) {
	if r.committing || len(r.waiting) == 0 || !late && len(r.waiting) < len(r.members) {
		return
	}
	n, snapshots := 0, 0
	for n < len(r.waiting) && (n == 0 || snapshots+len(r.waiting[n].snapshots) <= mostTogether) {
		snapshots += len(r.waiting[n].snapshots)
		n++
	}
	list := r.waiting[:n:n]
	r.waiting = r.waiting[n:]
	for _, c := range list {
		c.begun = true
	}
	r.committing = true
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	go func() {
		r.together(list)
		r.g.mu.Lock()
		defer r.g.mu.Unlock()
		r.committing = false
		// Whoever came meanwhile has waited long enough.
		r.begin(true)
	}()
}

// together commits what several ask for. Where something was removed that one
// of them builds on, each is committed by itself, so that only that one begins
// again.
func (r *room) together(list []*commitRequest) {
	err := r.w.commit(r.w.ctx, list)
	if errors.Is(err, ErrPruned) && len(list) > 1 {
		for _, c := range list {
			c.done <- r.w.commit(r.w.ctx, []*commitRequest{c})
		}
		return
	}
	for _, c := range list {
		c.done <- err
	}
}
