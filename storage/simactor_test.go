package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing/synctest"
	"time"

	"restante/storage/objects/objectstest"
)

// A simActor is a machine.
type simActor struct {
	name   string
	index  int
	w      *simWorld
	random *rand.Rand // of what it decides to do
	octets rand.PCG   // of what it takes from crypto/rand
	tasks  []func(*simActor)
	cache  string        // a directory; empty: none
	skew   time.Duration // of what it hears of the store's clock
	out    int           // so many requests more do not reach the store
	life   *simLife
	repo   *Repository
	done   bool
	keep   bool // the repository stays open
	rank   int
}

// A simLife is a process on a machine, from its start to its end or its crash.
type simLife struct {
	ctx    context.Context
	die    context.CancelFunc
	dead   bool
	faults int  // that it met
	direct bool // nobody else is there; nothing is scheduled
}

// join has a machine join that does these tasks one after another.
func (w *simWorld) join(name string, tasks ...func(*simActor)) *simActor {
	a := &simActor{name: name, index: len(w.actors), w: w, tasks: tasks,
		random: rand.New(rand.NewPCG(w.seed, 100+uint64(len(w.actors))))}
	a.octets.Seed(w.seed, 200+uint64(len(w.actors)))
	a.begin()
	w.actors = append(w.actors, a)
	return a
}

func (a *simActor) begin() {
	a.life = &simLife{}
	a.life.ctx, a.life.die = context.WithCancel(context.Background())
}

// run does the tasks. After a crash the next one is done by a new process.
func (a *simActor) run() {
	growStack()
	defer func() { a.done = true }()
	for _, task := range a.tasks {
		if a.life.dead {
			a.letGo()
			a.begin()
		}
		if a.park(&simRequest{ctx: a.life.ctx}); !a.life.dead {
			task(a)
		}
	}
	a.letGo()
}

// growStack makes the goroutine's stack as large as it will become, while there
// is nothing on it to copy.
//
//go:noinline
func growStack() byte {
	var room [24 << 10]byte
	return room[len(os.Args)]
}

// letGo ends a process. One that crashed writes nothing into its cache any
// more.
func (a *simActor) letGo() {
	if a.repo == nil {
		return
	}
	if a.life.dead {
		a.repo.ledger = nil
	}
	a.repo.Close()
	a.repo = nil
}

var errCrashed = fmt.Errorf("the machine is gone: %w", context.Canceled)

// park waits until the scheduler has let a request through.
func (a *simActor) park(r *simRequest) error {
	w := a.w
	r.actor = a
	if r.life == nil {
		r.life = a.life
	}
	w.mu.Lock()
	if r.life.dead {
		w.mu.Unlock()
		return errCrashed
	}
	if err := r.ctx.Err(); err != nil {
		w.mu.Unlock()
		return err
	}
	r.answered = make(chan struct{})
	w.parked = append(w.parked, r)
	w.mu.Unlock()
	<-r.answered
	return r.err
}

// crash ends an actor's process: nothing that it asks for is done any more,
// but for what is on its way.
func (w *simWorld) crash(a *simActor) {
	w.counts["crashes"]++
	w.note("crash of "+a.name, nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	a.life.dead = true
	w.running = a
	var rest []*simRequest
	for _, r := range w.parked {
		if r.actor != a {
			rest = append(rest, r)
			continue
		}
		if r.op&objectstest.Write != 0 && !r.applied && w.wrong == nil && w.random.IntN(2) == 0 {
			w.late = append(w.late, r.again())
		}
		r.err, r.got, r.infos = errCrashed, nil, nil
		close(r.answered)
	}
	w.parked = rest
	a.life.die()
}

// crashAll ends all processes, one after another: what one of them does on its
// way out comes before what the next does.
func (w *simWorld) crashAll() {
	for _, a := range w.actors {
		w.crash(a)
		synctest.Wait()
	}
}
