package storage

import (
	"errors"
	commandline "flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

var (
	simCrashes = commandline.Int("crashes", 0, "how many machines go down, at most, in the interleavings")
	simLosses  = commandline.Int("losses", 0, "how many answers are lost, at most, in the interleavings")
)

// An exploration goes through every order in which the requests of two writers
// and a pruner can come to a store with three packs, of which one is needed by
// nobody, and of two others little: it is moved into a fourth. Both writers
// bring mail again that only the first pack has, on top of snapshots in the
// others. At any moment a machine may be gone for good, and any request may be
// done without an answer, as often as the budget has it.
//
// A request that commutes with all that others ever do is not a point to choose
// at (see alone): it comes at once. A machine that goes down there, or that ends
// because the answer to a read is lost there, has done to the store what it has
// done when it goes down at the next such point. A state that was met before is
// not gone through again: what lies in the store, what each machine knows (see
// knowledge), what was acknowledged, what is left of the budget.
//
// Whether states that are taken for the same are the same is looked at, too:
// the same can happen in both, and of some the way is followed to an end, on
// which no state may be that is met nowhere else.
type exploration struct {
	image    *simImage
	budget   exploring
	tries    int    // of a writer
	progress func() // is called from time to time; may be nil
	path     []fork
	seen     map[uint64]uint64 // what can happen in each state
	beyond   map[uint64]bool   // states on ways that were followed from one that was met before

	runs, ends, steps int
	followed          int
	most              int // requests in one run
	acknowledged      int // commits at the ends
}

// exploring is what may still go wrong.
type exploring struct{ crashes, losses int }

// A fork is a point to choose at: the options are numbered, next is the one
// that is taken.
type fork struct{ options, next int }

// A branch is what happens next.
type branch struct {
	request *simRequest
	lost    bool      // its answer
	crash   *simActor // instead
}

// explore goes through everything and returns the first thing that must not
// be.
func (x *exploration) explore(t *testing.T) (wrong error) {
	x.seen, x.beyond = map[uint64]uint64{}, map[uint64]bool{}
	for {
		synctest.Test(t, func(t *testing.T) { wrong = x.run() })
		if wrong != nil {
			return wrong
		}
		if x.runs++; x.runs%5_000 == 0 && x.progress != nil {
			x.progress()
		}
		for len(x.path) > 0 {
			last := &x.path[len(x.path)-1]
			if last.next++; last.next < last.options {
				break
			}
			x.path = x.path[:len(x.path)-1]
		}
		if len(x.path) == 0 {
			return x.compare()
		}
	}
}

// run goes along the path, and beyond its end takes the first option of every
// fork, until everybody is done or what comes was seen.
func (x *exploration) run() error {
	w := newSimWorld(1, x.image)
	simNow.Store(w)
	defer simNow.Store(nil)
	k := newKnowledge(x.image)
	for _, name := range []string{"first", "second"} {
		w.join(name, func(a *simActor) { a.backUpMore(x.tries, func() [][]byte { return x.image.pool[:1] }) })
	}
	w.join("pruner", func(a *simActor) { a.pruneWith(everything) })
	for _, a := range w.actors {
		w.running = a
		a.prepare()
		go a.run()
		synctest.Wait()
	}
	left, depth, requests := x.budget, 0, 0
	over, follows := false, false
	for w.settle() {
		if w.wrong != nil || over {
			w.crashAll()
			continue
		}
		branches := x.branches(w, left)
		b := branches[0]
		if len(branches) > 1 && depth == len(x.path) {
			state, offers := k.state(w, left), k.offers(branches)
			before, met := x.seen[state]
			switch {
			case met && before != offers:
				w.fail(errors.New("two states that are taken for the same are not: other things can happen"))
				continue
			case follows:
				x.beyond[state] = true
			case met && x.runs%8 == 0:
				follows = true
				x.followed++
			case met:
				over = true
				continue
			default:
				x.seen[state] = offers
				x.path = append(x.path, fork{options: len(branches)})
			}
			if follows {
				b = branches[(state+uint64(x.runs))%uint64(len(branches))]
			}
		}
		if len(branches) > 1 && !follows {
			b = branches[x.path[depth].next]
			depth++
		}
		requests++
		x.steps++
		if b.crash != nil {
			left.crashes--
			w.crash(b.crash)
			continue
		}
		r := b.request
		if r.op != 0 {
			w.fail(noticed(r))
			w.apply(r)
			k.put(r)
		}
		if b.lost {
			left.losses--
			r.life.faults++
			r.got, r.infos, r.err = nil, nil, fmt.Errorf("%s: %w", r, objectstest.ErrInjected)
		}
		k.tell(r, b.lost)
		w.answer(r)
		if b.lost { // whoever pauses before it asks again has done so
			synctest.Wait()
			time.Sleep(6 * time.Second)
		}
	}
	for _, a := range w.actors {
		a.life.die()
	}
	if !over && w.wrong == nil {
		if !follows {
			x.ends++
		}
		x.most = max(x.most, requests)
		x.acknowledged += w.counts["commits"]
		w.fail(w.judge())
	}
	if w.wrong != nil {
		return fmt.Errorf("%w\nthe choices: %v", w.wrong, x.path[:depth])
	}
	return nil
}

// compare looks whether all states on the ways that were followed are among
// those that were gone through.
func (x *exploration) compare() error {
	for state := range x.beyond {
		if _, met := x.seen[state]; !met {
			return errors.New("two states that were taken for the same are not: from one of them there is a way to a state to which there is none from the other")
		}
	}
	return nil
}

// prepare opens the actor's repository and has it know the packs: what it does
// from then on goes through the scheduler.
func (a *simActor) prepare() {
	a.life.direct = true
	defer func() { a.life.direct = false }()
	r, err := Open(a.life.ctx, simStore{a, a.life}, Passphrase(testPassphrase), Options{NoCache: true, Writer: a.name})
	if err != nil {
		panic(err)
	}
	a.repo, a.keep = r, true
	id, err := r.VaultID(DefaultVault)
	if err != nil {
		panic(err)
	}
	v, err := r.vault(a.life.ctx, id)
	if err == nil {
		err = v.coverPacks(a.life.ctx)
	}
	if err != nil {
		panic(err)
	}
}

// branches are what can happen next. Of several requests of one machine only
// the first counts: those that go out side by side are for different objects,
// and commute.
func (x *exploration) branches(w *simWorld, left exploring) (list []branch) {
	slices.SortFunc(w.parked, compareRequests)
	for _, r := range w.parked {
		if alone(w, r) {
			list = append(list, branch{request: r})
			if left.losses > 0 && r.op&objectstest.Write != 0 && !strings.HasPrefix(r.name, "checkpoints/") {
				list = append(list, branch{request: r, lost: true})
			}
			return list
		}
	}
	for i, r := range w.parked {
		if i > 0 && w.parked[i-1].actor == r.actor {
			continue
		}
		list = append(list, branch{request: r})
		if left.losses > 0 {
			list = append(list, branch{request: r, lost: true})
		}
		if left.crashes > 0 {
			list = append(list, branch{crash: r.actor})
		}
	}
	return list
}

// alone says whether a request gives the same answer, and does the same to
// others, whenever it comes: a beginning; a read of an object that never
// changes, and that at most the one who reads it removes; a write that nobody
// looks at before an entry of the ledger names it. Indexes are written by the
// pruner only, and checkpoints, which are a cache, read by nobody; noticed
// makes sure of both.
func alone(w *simWorld, r *simRequest) bool {
	kind, _, _ := strings.Cut(r.name, "/")
	_, there := w.objects[r.name]
	switch {
	case r.op == 0, kind == "checkpoints", kind == "indexes":
		return true
	case r.op == objectstest.Get && there:
		return kind != "packs" || r.actor.name == "pruner" // which alone removes packs
	}
	return r.op == objectstest.Put && r.actor.name == "pruner" // which alone lists packs
}

// noticed is an error where a request is other than alone takes for granted.
func noticed(r *simRequest) error {
	kind, _, _ := strings.Cut(r.name, "/")
	switch {
	case kind == "indexes" && r.actor.name != "pruner" && r.op != objectstest.Get,
		kind == "checkpoints" && r.op == objectstest.Get,
		r.op == objectstest.List && r.name == "packs/" && r.actor.name != "pruner",
		r.op == objectstest.Delete && kind == "packs" && r.actor.name != "pruner":
		return fmt.Errorf("%s: the exploration takes for granted that this does not happen", r)
	}
	return nil
}

// makeThreePacks makes the repository of an exploration.
func makeThreePacks(t *testing.T) (image *simImage) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &simWorld{running: &simActor{}}
		w.running.octets.Seed(6, 0)
		simNow.Store(w)
		defer simNow.Store(nil)
		store := objects.NewMemory()
		putSmallConfig(t, store)
		r := newRepository(t, store, "")
		defer r.Close()
		rnd := rand.New(rand.NewPCG(6, 6))
		mail := map[ID][][]byte{}
		pool := simMail(rnd, 2)
		gone := []Snapshot{backUp(t, r, "gone", 1, pool)}
		mail[gone[0].ID] = pool
		for _, account := range []string{"first", "second"} {
			w, err := r.Writer(t.Context(), mustVault(t, r))
			if err != nil {
				t.Fatal(err)
			}
			large := simMail(rnd, 8)
			list := saveAll(t, w, large)
			large = slices.Clone(large)
			var both []Snapshot
			for _, part := range []struct {
				account string
				n       int
			}{{"large " + account, len(list)}, {account, 1}} {
				d := w.Draft(nil)
				d.Describe(func(f *Folder) { f.Levels, f.UIDValidity = []string{"INBOX"}, 7 })
				if err := d.Add(slices.Clone(list[:part.n])); err != nil {
					t.Fatal(err)
				}
				saved, err := d.Save(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				s := Snapshot{ID: NewID(), Account: part.account, Started: time.Now().Unix(), Finished: time.Now().Unix()}
				if err := w.SaveTree("test", []SavedFolder{saved}, &s); err != nil {
					t.Fatal(err)
				}
				mail[s.ID] = large[:part.n]
				both = append(both, s)
			}
			if err := w.Commit(t.Context(), both, nil, nil); err != nil {
				t.Fatal(err)
			}
			w.Close()
			gone = append(gone, both[0])
		}
		forget(t, r, gone...)
		image = imageOf(t, r, store, mail)
		image.pool = pool
	})
	return image
}

// TestInterleavings goes through every interleaving, with nothing that goes
// wrong; -crashes=2 -losses=2 says what may.
func TestInterleavings(t *testing.T) {
	simulate(t)
	real := nameTime
	nameTime = func() uint64 { return 1 } // after a pause names would be others, and nothing else
	defer func() { nameTime = real }()
	x := &exploration{image: makeThreePacks(t), budget: exploring{*simCrashes, *simLosses}, tries: 1}
	start := time.Now()
	report := func() {
		t.Logf("%d crashes, %d lost answers: %d states at which to choose, %d runs, %d of them to an end that is new, %d ways followed from states met before, %d requests, %d in the longest run, %s",
			x.budget.crashes, x.budget.losses, len(x.seen), x.runs, x.ends, x.followed, x.steps, x.most, time.Since(start).Round(time.Second))
	}
	x.progress = report
	if err := x.explore(t); err != nil {
		t.Fatal(err)
	}
	report()
	if x.ends < 100 || x.acknowledged == 0 {
		t.Errorf("%d ends, with %d commits: too few to show anything", x.ends, x.acknowledged)
	}
}
