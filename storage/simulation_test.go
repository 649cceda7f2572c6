package storage

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	commandline "flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// The simulation runs production code, several machines of it, over one store,
// one clock and one source of random octets, all of which a seeded scheduler
// has in hand. Each request to the store is a scheduling point: the goroutine
// that makes it parks, and the scheduler lets one request at a time through,
// when everybody waits for it. So a seed is a schedule, to the octet.

var (
	simSeed      = commandline.Uint64("seed", 0, "run this schedule of the simulation and no other, and print what happens")
	simSchedules = commandline.Uint64("schedules", 0, "how many schedules the simulation runs; 0 for a short share")
	simFirst     = commandline.Uint64("first", 1, "the first seed of the simulation")
)

// A simWorld is one schedule.
type simWorld struct {
	seed    uint64
	random  *rand.Rand // the scheduler's
	kind    simKind
	trouble simTrouble
	objects map[string]simObject
	shared  [][2][]byte // octets that somebody has, and the store's
	truth   *simTruth
	actors  []*simActor
	running *simActor // whose code runs; it gives the random octets

	mu      sync.Mutex // guards parked, against goroutines of one actor
	parked  []*simRequest
	late    []*simRequest // writes that are done some time later, or again
	last    *simActor
	stick   int // one in so many steps another actor comes next; 0: they have ranks
	lowest  int // rank that was given last
	steps   int
	trace   uint64
	tell    func(format string, a ...any) // of every step; may be nil
	counts  map[string]int
	wrong   error // the first thing that must not be
	drained bool  // nothing goes wrong any more
}

// simTrouble says how often things go wrong, of 1,000 requests each.
type simTrouble struct {
	lost, unanswered, late, twice, slow, crash, hang, list, outage int
	broken                                                         bool // a LIST may end early without saying so
}

// A simRequest is parked until the scheduler lets it through.
type simRequest struct {
	actor          *simActor
	life           *simLife
	ctx            context.Context
	op             objectstest.Op // 0: no request, only a place to begin at
	name, after    string
	data           []byte
	offset, length int64

	until    int  // the step up to which it hangs
	applied  bool // done, and not answered yet
	answered chan struct{}
	err      error
	got      []byte
	infos    []objects.Info
}

func (r *simRequest) String() string {
	what := "begins"
	if r.op != 0 {
		what = r.op.String() + " " + r.name
	}
	if r.op == objectstest.Get && r.length >= 0 {
		what += fmt.Sprintf(" [%d+%d]", r.offset, r.length)
	}
	return r.actor.name + " " + what
}

func compareRequests(a, b *simRequest) int {
	return cmp.Or(cmp.Compare(a.actor.index, b.actor.index), cmp.Compare(a.op, b.op), cmp.Compare(a.name, b.name),
		cmp.Compare(a.offset, b.offset), cmp.Compare(a.length, b.length))
}

func newSimWorld(seed uint64, image *simImage) *simWorld {
	w := &simWorld{seed: seed, random: rand.New(rand.NewPCG(seed, 1)), objects: maps.Clone(image.objects), counts: map[string]int{}, trace: 14695981039346656037}
	w.truth = image.truth.clone(w)
	return w
}

// run runs the schedule to its end. It must be called in a bubble.
func (w *simWorld) run() {
	simNow.Store(w)
	defer simNow.Store(nil)
	for _, a := range w.actors {
		w.running = a
		go a.run()
		synctest.Wait()
	}
	for w.settle() {
		if w.wrong != nil {
			w.crashAll()
			continue
		}
		w.step()
	}
	for _, r := range w.late {
		if w.wrong == nil && w.random.IntN(2) == 0 {
			w.apply(r)
		}
	}
	for _, a := range w.actors {
		a.life.die()
	}
}

// settle waits until every actor that is not done has parked, and says whether
// there is one. Who pauses between two tries is not waited for by others: its
// next request may be let through at any time.
func (w *simWorld) settle() bool {
	for i := 0; ; i++ {
		synctest.Wait()
		busy, pausing := false, false
		for _, a := range w.actors {
			parked := slices.ContainsFunc(w.parked, func(r *simRequest) bool { return r.actor == a })
			busy = busy || !a.done
			pausing = pausing || !a.done && !parked
		}
		if !pausing {
			return busy
		}
		if i > 10_000 {
			panic(fmt.Sprintf("seed %d: somebody neither asks the store nor ends", w.seed))
		}
		time.Sleep(6 * time.Second) // more than the longest pause
	}
}

// step lets one request through, or something happen.
func (w *simWorld) step() {
	w.steps++
	slices.SortFunc(w.parked, compareRequests)
	if w.steps > 20_000 {
		w.fail(errors.New("it does not come to an end"))
		return
	}
	t := &w.trouble
	if n := t.crash; n > 0 && w.random.IntN(1000) < n {
		w.crash(w.parked[w.random.IntN(len(w.parked))].actor)
		return
	}
	if len(w.late) > 0 && w.random.IntN(12) == 0 {
		i := w.random.IntN(len(w.late))
		r := w.late[i]
		w.late = slices.Delete(w.late, i, i+1)
		w.note("late", r)
		w.apply(r)
		return
	}
	r := w.choose()
	if n := t.hang; n > 0 && w.random.IntN(1000) < n && len(w.parked) > 1 {
		r.until = w.steps + 20 + w.random.IntN(200)
		w.count("hung", r)
		time.Sleep(time.Duration(1+w.random.IntN(100)) * 24 * time.Hour)
		return
	}
	w.letThrough(r)
}

// choose chooses the request that comes next: often one of the same actor, or,
// without stick, that of the actor with the highest rank. Such an actor goes on
// until it is put last, most often just before a write: whatever the others do
// now comes between what it knows and what it does with it (Burckhardt et al.,
// "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs").
func (w *simWorld) choose() *simRequest {
	if w.stick == 0 {
		for {
			r := slices.MaxFunc(w.parked, func(a, b *simRequest) int { return cmp.Compare(a.actor.rank, b.actor.rank) })
			oneIn := 80
			switch {
			case r.op == objectstest.PutIfAbsent:
				oneIn = 4
			case r.op&objectstest.Write != 0:
				oneIn = 5
			}
			if r.op == 0 || w.random.IntN(oneIn) > 0 {
				return r
			}
			w.lowest--
			r.actor.rank = w.lowest
		}
	}
	ready := make([]*simRequest, 0, len(w.parked))
	same := w.random.IntN(w.stick) != 0
	for _, r := range w.parked {
		if r.until <= w.steps && (!same || r.actor == w.last) {
			ready = append(ready, r)
		}
	}
	if len(ready) == 0 && same {
		for _, r := range w.parked {
			if r.until <= w.steps {
				ready = append(ready, r)
			}
		}
	}
	if len(ready) == 0 {
		ready = w.parked
	}
	r := ready[w.random.IntN(len(ready))]
	w.last = r.actor
	return r
}

// letThrough does what a request asks for, or something goes wrong, and
// answers.
func (w *simWorld) letThrough(r *simRequest) {
	fault := objectstest.Fault("")
	if r.op != 0 && !r.applied && w.wrong == nil {
		fault = w.fault(r)
	}
	w.note(string(fault), r)
	if fault != "" {
		r.life.faults++
		w.counts["faults"]++
	}
	injected := func() error { return fmt.Errorf("%s: %w (%s)", r, objectstest.ErrInjected, fault) }
	switch {
	case r.op == 0 || r.applied:
	case r.ctx.Err() != nil:
		// Whoever asked does not wait any more; the request was on its way.
		if w.random.IntN(2) == 0 {
			w.apply(r)
		}
		r.err = r.ctx.Err()
	case fault == objectstest.FailBefore:
		r.err = injected()
	case fault == objectstest.FailAfter:
		w.apply(r)
		r.got, r.err = nil, injected()
		r.infos = r.infos[:len(r.infos)/2]
	case fault == objectstest.FailLate:
		w.late = append(w.late, r.again())
		r.err = injected()
	case fault == "twice":
		w.apply(r)
		again := r.again()
		if w.random.IntN(2) == 0 {
			w.late = append(w.late, again)
		} else {
			w.apply(again) // the second answer is what comes
			r.err = again.err
		}
	case fault == "slow":
		w.apply(r)
		r.applied = true
		return // the answer comes later
	case fault == objectstest.Shorten:
		w.apply(r)
		r.infos = r.infos[:len(r.infos)/2]
	default:
		w.apply(r)
	}
	w.answer(r)
}

// fault decides what goes wrong with a request.
func (w *simWorld) fault(r *simRequest) objectstest.Fault {
	t, n := &w.trouble, w.random.IntN(1000)
	write := r.op&objectstest.Write != 0
	outage := t.outage
	if write { // what is read at that moment fails, and no more is seen of it
		outage *= 8
	}
	if outage > 0 && w.random.IntN(1000) < outage {
		r.actor.out = 1 + w.random.IntN(12)
	}
	if r.actor.out > 0 {
		r.actor.out--
		return objectstest.FailBefore
	}
	for _, f := range []struct {
		chance int
		fault  objectstest.Fault
		can    bool
	}{
		{t.lost, objectstest.FailBefore, true},
		{t.unanswered, objectstest.FailAfter, true},
		{t.late, objectstest.FailLate, write},
		{t.twice, "twice", write},
		{t.slow, "slow", true},
		{t.list, objectstest.Shorten, t.broken && r.op == objectstest.List},
	} {
		if n < f.chance {
			if f.can {
				return f.fault
			}
			return ""
		}
		n -= f.chance
	}
	return ""
}

func (r *simRequest) again() *simRequest {
	return &simRequest{actor: r.actor, op: r.op, name: r.name, data: r.data}
}

// answer lets the actor go on.
func (w *simWorld) answer(r *simRequest) {
	w.mu.Lock()
	w.parked = slices.DeleteFunc(w.parked, func(p *simRequest) bool { return p == r })
	w.mu.Unlock()
	w.running = r.actor
	close(r.answered)
}

// fail notes the first thing that must not be.
func (w *simWorld) fail(err error) {
	if err != nil && w.wrong == nil {
		w.wrong = fmt.Errorf("seed %d, step %d: %w", w.seed, w.steps, err)
		w.note(err.Error(), nil)
	}
}

func (w *simWorld) count(what string, r *simRequest) {
	w.counts[what]++
	w.note(what, r)
}

// note puts a step into the trace.
func (w *simWorld) note(what string, r *simRequest) {
	h := fnv.New64a()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], w.trace)
	h.Write(b[:])
	h.Write([]byte(what))
	if r != nil {
		h.Write([]byte{byte(r.actor.index), byte(r.op)})
		h.Write([]byte(r.name))
		binary.LittleEndian.PutUint64(b[:], uint64(r.offset))
		h.Write(b[:])
		h.Write(r.data[:min(len(r.data), 256)])
	}
	w.trace = h.Sum64()
	if w.tell != nil {
		w.tell("%5d %s %v %s", w.steps, time.Now().Format("2006-01-02 15:04:05"), r, what)
	}
}
