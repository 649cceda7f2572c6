package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

const (
	// messageTries is how often a message is asked for that does not come.
	messageTries = 3
	// chunkTries is how often many messages are asked for at once.
	chunkTries = 2
	// busyTries is how often a folder is tried that the server is too busy for:
	// about two minutes of trying.
	busyTries = 8
	// mostFailures in a row end a run: a server that is not there counts
	// unreached-fold, which makes about a minute of trying; one that is busy a
	// quarter of an hour.
	mostFailures = 30
	unreached    = 5
	// firstSize is how many messages are asked for before it is known how large
	// they are.
	firstSize = 32
	// fetchesPerCommit is of how many FETCHes the octets between two partial
	// snapshots are at least.
	fetchesPerCommit = 8
	// headerLimit is how much of a header is looked at for what a list shows.
	headerLimit = 64 << 10
)

// work surveys and reads all waiting folders with as many workers as the
// source allows. Each worker keeps the folder it has open for as long as there
// is something to do in it, and then helps with another.
func (r *run) work(ctx context.Context) error {
	if len(r.waiting) == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cond.Broadcast()
	})()
	r.workers = max(1, r.src.Parallel())
	for range r.workers {
		g.Go(func() error { return r.worker(ctx) })
	}
	return g.Wait()
}

func (r *run) worker(ctx context.Context) error {
	var at *job // whose folder is open
	var m Mailbox
	shut := func() {
		if m != nil {
			m.Close()
		}
		at, m = nil, nil
	}
	defer shut()
	for {
		j, chunk, err := r.next(ctx, at)
		if err != nil || j == nil {
			return err
		}
		if j != at {
			shut()
			m, err = r.open(ctx, j)
			at = j
		}
		reached := err == nil
		switch {
		case err != nil:
		case chunk == nil:
			err = j.survey(ctx, m)
		case m.Status().UIDValidity != j.epoch():
			err = errEpoch
		default:
			err = chunk.read(ctx, j, m)
		}
		if err != nil {
			shut()
		}
		quit, err := r.done(ctx, j, outcome{chunk: chunk, reached: reached, err: err})
		if err != nil || quit {
			return err
		}
		if err := r.partialIfDue(ctx); err != nil {
			return err
		}
	}
}

func (r *run) open(ctx context.Context, j *job) (Mailbox, error) {
	known := Known{}
	if p := j.parent; p != nil { // with Full, too: places stay what they are
		known.UIDValidity, known.UIDNext = p.UIDValidity, p.UIDNext
		known.Keys = func() (map[string]uint32, error) {
			keys := map[string]uint32{}
			for list, err := range p.PageWise(ctx, nil) {
				if err != nil {
					return nil, &LocalError{Err: err}
				}
				for i := range list {
					keys[list[i].Key] = list[i].UID
				}
			}
			return keys, nil
		}
	}
	m, err := r.src.Open(ctx, j.listed, known)
	if err != nil {
		return nil, fmt.Errorf("open folder %q: %w", j.name, err)
	}
	return m, nil
}

// next finds something to do: in the folder that is open if there is, else a
// folder to survey, which is no chunk, else a chunk of the folder with most to
// do. It waits while others may still find something. A nil job means that all
// is done.
func (r *run) next(ctx context.Context, at *job) (*job, *chunk, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		heldBack := r.heldBack()
		if at == nil || len(at.chunks) == 0 || heldBack && at != r.all {
			at = nil
			for _, j := range r.jobs {
				if heldBack && j != r.all {
					continue
				}
				if len(r.waiting) == 0 && len(j.chunks) > 0 && (at == nil || len(j.chunks) > len(at.chunks)) {
					at = j
				}
			}
		}
		switch {
		case at != nil:
			at.reading++
			r.busy++
			return at, r.take(at), nil
		case len(r.waiting) > 0:
			j := r.waiting[0]
			r.waiting = r.waiting[1:]
			j.reading++
			r.busy++
			return j, nil, nil
		case r.busy == 0:
			r.cond.Broadcast()
			return nil, nil, nil
		}
		r.cond.Wait()
	}
}

// take takes a chunk of a folder, or so much of it as is likely to be read
// before the next partial snapshot is due: nothing of what is asked for at once
// is in it before all of it has come. The caller holds mu.
func (r *run) take(j *job) *chunk {
	c := j.chunks[0]
	n := firstSize
	if each := cmp.Or(j.each, r.stats.Read/max(1, r.fetched)); each > 0 {
		n = int(min(chunkSize, max(1, r.o.CommitBytes/fetchesPerCommit/each)))
	}
	if n >= len(c.uids) {
		j.chunks = j.chunks[1:]
		return c
	}
	j.chunks[0] = &chunk{uids: c.uids[n:], tries: c.tries}
	c.uids = c.uids[:n:n]
	return c
}

// An outcome is how a survey or a chunk went.
type outcome struct {
	chunk   *chunk // nil: it was a survey
	reached bool   // the folder was open when it failed
	err     error
}

// done takes note of how a survey or a chunk went, and puts what failed back to
// be tried again. It tells the worker to quit where the server wants fewer
// connections; an error ends the run.
func (r *run) done(ctx context.Context, j *job, o outcome) (quit bool, _ error) {
	err := o.err
	if ctx.Err() == nil && o.hopeless() {
		j.setAside(o.chunk.uids[0], err.Error())
		r.o.Progress.MessagesDone.Add(1)
		err = nil
	}
	if err == nil {
		r.mu.Lock()
		r.failures, j.tries = 0, 0
		j.reading--
		whole := j.reading == 0 && len(j.chunks) == 0
		r.mu.Unlock()
		if whole {
			err = j.finish(ctx)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy--
		r.cond.Broadcast()
		return false, err
	}
	// From where a folder is left on, whoever reads the last of it saves it, also
	// while this worker pauses; but as long as it is at work, so are the others.
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy--
		r.cond.Broadcast()
	}()
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case local(err):
		return false, err
	case errors.Is(err, ErrGone):
		// Or the server lists what it does not let be seen. The next run finds
		// out: what is really gone is not listed.
		r.note("folder %q: it vanished while it was being read", j.name)
		r.setIncomplete()
		return false, r.leaveAsItWas(ctx, j)
	case errors.Is(err, ErrAccess), errors.Is(err, errEpoch), r.enough(j, o):
		r.note("folder %q: %v", j.name, err)
		r.setIncomplete()
		return false, r.leaveAsItWas(ctx, j)
	}
	r.mu.Lock()
	j.reading--
	if o.chunk == nil {
		r.waiting = append(r.waiting, j)
	} else if again := o.chunk.again(); len(again) == 1 {
		j.chunks = slices.Insert(j.chunks, 0, again...)
	} else {
		j.chunks = append(j.chunks, again...) // the others first
	}
	fewer := errors.Is(err, ErrBusy) && r.workers > 1
	if fewer {
		r.workers--
	} else {
		r.failures += o.weight()
	}
	failures := r.failures
	r.mu.Unlock()
	r.o.Log.Info("trying again", "account", r.o.Account, "folder", j.name, "error", err)
	if fewer {
		return true, nil
	}
	if failures >= mostFailures {
		return false, err
	}
	return false, r.o.Pause(ctx, (failures-1)/o.weight())
}

// weight is how much a failure counts: a server that is there and fails may
// fail in one folder only, or ask for patience.
func (o *outcome) weight() int {
	if o.reached || errors.Is(o.err, ErrBusy) {
		return 1
	}
	return unreached
}

// hopeless says whether it is one message that cannot be read, however often
// it is tried. Where the folder is open and the server not busy, it counts the
// try.
func (o *outcome) hopeless() bool {
	if o.err == nil || !o.reached || o.chunk == nil || local(o.err) {
		return false
	}
	for _, other := range []error{ErrGone, ErrAccess, ErrBusy, errEpoch} {
		if errors.Is(o.err, other) {
			return false
		}
	}
	o.chunk.tries++
	return len(o.chunk.uids) == 1 && o.chunk.tries == messageTries
}

// enough says whether a folder that failed is not to be tried again in this
// run.
func (r *run) enough(j *job, o outcome) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	j.tries++
	switch {
	case errors.Is(o.err, ErrBusy):
		return j.tries >= busyTries
	case errors.Is(o.err, ErrRefused), o.reached && o.chunk == nil:
		return j.tries >= messageTries
	}
	return false
}

// errEpoch says that another one has taken the place of the folder.
var errEpoch = errors.New("its UIDVALIDITY changed while it was being read")

// local says that an error is not the source's: there is no use in asking the
// source again.
func local(err error) bool {
	_, ok := errors.AsType[*LocalError](err)
	return ok
}

// leaveAsItWas gives a folder up for this run: the snapshot has it as the
// parent had it, with what was read of it.
func (r *run) leaveAsItWas(ctx context.Context, j *job) error {
	j.leave() // first: once nothing is left to be read, another worker may save it
	r.mu.Lock()
	j.chunks = nil
	j.reading--
	alone := j.reading == 0
	r.mu.Unlock()
	ended, err := j.giveUp(ctx, alone)
	if !ended || err != nil {
		return err // the last worker at it finishes it
	}
	if s := j.listed.Status; s != nil && j.saved.Valid() {
		r.counted(int(s.Messages), max(0, int(int64(s.Messages)-j.saved.Messages)))
	}
	r.o.Progress.FoldersDone.Add(1)
	return nil
}

// leave notes that the folder is given up.
func (j *job) leave() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.doubt, j.givenUp = true, true
}

// giveUp saves what there is of a folder that was left, unless another worker
// is still at it, who will.
func (j *job) giveUp(ctx context.Context, alone bool) (ended bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.draft == nil && j.parent != nil:
		j.saved = j.parent.Keep()
	case j.draft != nil && !alone:
		return false, nil
	case j.draft != nil:
		saved, err := j.draft.Save(ctx)
		if err != nil {
			return false, &LocalError{Err: err}
		}
		j.saved = saved
	}
	return true, nil
}

// left says whether the folder was given up.
func (j *job) left() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.givenUp
}
