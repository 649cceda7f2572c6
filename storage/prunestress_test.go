package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"restante/storage/ledger"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// A stage is one store, actors on it, and what is known to be true of it. One
// actor acts at a time, but between any two requests of its to the store
// another may act, and between two of its, a third one. Which, and when,
// a seeded source decides, so that what happens can be had again.
type stage struct {
	t      *testing.T
	memory *objects.Memory
	rnd    *rand.Rand // guarded by turn
	chance float64    // of each kind of trouble, for each request

	turn   sync.Mutex // held while it is decided who acts, and while they do
	actors []*actor
	depth  int // how many act within one another

	pool         [][]byte // mail of which all accounts get some, so that they share it
	mail         map[ID][][]byte
	acknowledged []Snapshot
	forgotten    map[ID]bool // somebody tried to forget it
	done         map[string]int
}

// An actor is a machine that works on the repository.
type actor struct {
	repo *Repository
	act  func(r *Repository) string // what became of it
	busy bool
}

// join has an actor join, with a store of its own in front of the common one.
func (s *stage) join(trouble float64, act func(r *Repository) string) {
	s.t.Helper()
	store := objectstest.NewFaulty(s.memory, s.rnd.Uint64())
	r := openRepository(s.t, store, Options{CacheDir: s.t.TempDir(), SegmentMemory: 1 << 16})
	if trouble > 0 {
		store.Add(objectstest.Trouble(trouble)...)
	}
	store.Before(func(context.Context, objectstest.Op, string) { s.meanwhile() })
	s.t.Cleanup(store.Settle)
	s.actors = append(s.actors, &actor{repo: r, act: act})
}

// meanwhile lets another actor act now and then.
func (s *stage) meanwhile() {
	const deepest, oneIn = 3, 40
	if !s.turn.TryLock() {
		return // another request of the same actor decides
	}
	defer s.turn.Unlock()
	if s.depth == 0 || s.depth >= deepest || s.rnd.IntN(oneIn) != 0 {
		return
	}
	s.perform()
}

// perform has one actor act that is not at it already. The caller holds turn.
func (s *stage) perform() {
	var idle []*actor
	for _, a := range s.actors {
		if !a.busy {
			idle = append(idle, a)
		}
	}
	a := idle[s.rnd.IntN(len(idle))]
	a.busy = true
	s.depth++
	s.turn.Unlock()
	what := a.act(a.repo)
	s.turn.Lock()
	s.depth--
	a.busy = false
	s.done[what]++
}

// know does something with what is known.
func (s *stage) know(do func()) {
	s.turn.Lock()
	defer s.turn.Unlock()
	do()
}

// writer backs an account up, always from the latest snapshot that is there.
func (s *stage) writer(account string) func(r *Repository) string {
	return func(r *Repository) string {
		ctx := s.t.Context()
		r.Refresh(ctx)
		var more [][]byte
		first := uint32(1)
		latest, _ := r.Latest(account)
		s.know(func() {
			first = uint32(len(s.mail[latest.ID]) + 1)
			for range 1 + s.rnd.IntN(12) {
				more = append(more, s.pool[s.rnd.IntN(len(s.pool))])
			}
		})
		// What is in it must be known before anybody can find it in the ledger.
		snapshot, err := tryBackUp(ctx, r, account, first, more, func(made Snapshot) {
			s.know(func() { s.mail[made.ID] = slices.Concat(s.mail[made.Parent], more) })
		})
		what := "commits that met trouble"
		s.know(func() {
			switch {
			case err == nil:
				s.acknowledged = append(s.acknowledged, snapshot)
				what = "commits"
			case errors.Is(err, ErrPruned):
				what = "commits refused"
			case (errors.Is(err, ErrMissing) || errors.Is(err, ErrDamaged)) && !s.forgotten[latest.ID]:
				s.t.Errorf("%s: %v", account, err)
			}
		})
		return what
	}
}

// forgetter forgets some snapshots.
func (s *stage) forgetter(r *Repository) string {
	ctx := s.t.Context()
	r.Refresh(ctx)
	var ids []ID
	s.know(func() {
		for _, account := range r.Accounts() {
			list := r.Snapshots(account)
			if i := s.rnd.IntN(2 * len(list)); i < len(list) {
				ids = append(ids, list[i].ID)
				s.forgotten[list[i].ID] = true
			}
		}
	})
	if len(ids) == 0 || r.Forget(ctx, ids, "test") != nil {
		return "forgets that met trouble"
	}
	return "forgets"
}

// pruner prunes with no patience at all.
func (s *stage) pruner(r *Repository) string {
	p, err := r.Prune(s.t.Context(), everything)
	switch {
	case errors.Is(err, ErrImplausible), err == nil && len(p.Findings) > 0:
		s.t.Errorf("prune: %v, %v", err, p.Findings)
	case errors.Is(err, errAgain):
		return "prunes that gave way"
	case err != nil:
		return "prunes that met trouble"
	case p.Unneeded.Packs+p.Stray.Packs+p.Leftover.Packs+p.Rewritten.Packs > 0:
		return "prunes with something to do"
	}
	return "prunes"
}

// reader restores an acknowledged snapshot with what it has kept all along.
func (s *stage) reader(r *Repository) string {
	var snapshot Snapshot
	var mail [][]byte
	s.know(func() {
		if n := len(s.acknowledged); n > 0 {
			snapshot = s.acknowledged[n-1-s.rnd.IntN(min(n, 8))]
			mail = s.mail[snapshot.ID]
		}
	})
	if snapshot.ID.IsZero() {
		return "nothing to restore"
	}
	err := sameMail(s.t.Context(), r, snapshot, mail)
	what := "restores"
	s.know(func() {
		if err != nil {
			what = "restores of what was forgotten"
			if !s.forgotten[snapshot.ID] {
				s.t.Errorf("restore of %s: %v", snapshot.ID.Short(), err)
			}
		}
	})
	return what
}

// TestWritersPrunersForgettersAndReadersAtOnce has machines of all kinds work
// on one store with lost replies, late writes and errors, and proves that no
// acknowledged snapshot loses an octet that nobody forgot, and that the space
// of all others comes free.
func TestWritersPrunersForgettersAndReadersAtOnce(t *testing.T) {
	t.Parallel()
	total := map[string]int{}
	for seed := range stressSeeds() {
		memory := objects.NewMemory()
		newRepository(t, memory, "").Close()
		s := &stage{t: t, memory: memory, rnd: rand.New(rand.NewPCG(seed, 60)), chance: 0.002 * float64(seed%3),
			pool: testMail(rand.New(rand.NewPCG(seed, 61)), 80), mail: map[ID][][]byte{}, forgotten: map[ID]bool{}, done: map[string]int{}}
		for i := range 3 {
			s.join(4*s.chance, s.writer(fmt.Sprint("account ", i)))
		}
		s.join(s.chance, s.pruner)
		s.join(s.chance, s.pruner)
		s.join(s.chance, s.forgetter)
		s.join(0, s.reader)
		s.join(0, s.reader)
		s.turn.Lock()
		for range 60 {
			s.perform()
		}
		s.turn.Unlock()
		t.Logf("seed %d: %v", seed, s.done)
		for what, n := range s.done {
			total[what] += n
		}
		s.settled(seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	// How many commits are refused is left to chance here; the simulation has
	// schedules in which they are.
	for _, what := range []string{"commits", "forgets", "prunes with something to do", "restores"} {
		if total[what] < 3 {
			t.Errorf("too few %s: %v", what, total)
		}
	}
}

// settled proves what must be true when nobody acts any more.
func (s *stage) settled(seed uint64) {
	t := s.t
	t.Helper()
	r := openRepository(t, s.memory, Options{})
	r.ledger.View(func(st *ledger.State) {
		if len(st.Violations) > 0 {
			t.Errorf("%q", st.Violations)
		}
	})
	for _, snapshot := range s.acknowledged {
		if s.forgotten[snapshot.ID] {
			continue
		}
		if err := sameMail(t.Context(), r, snapshot, s.mail[snapshot.ID]); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	if f := mustFindings(t, r); len(f) > 0 {
		t.Errorf("seed %d: %v", seed, f)
	}

	// All but one snapshot of an account go.
	backUp(t, r, "large", 1, testMail(rand.New(rand.NewPCG(seed, 62)), 1000))
	for range 2 {
		prune(t, r, everything)
	}
	_, before := stored(t, s.memory)
	var gone []ID
	var latest []Snapshot
	for _, account := range r.Accounts() {
		list := r.Snapshots(account)
		for _, old := range list[:len(list)-1] {
			gone = append(gone, old.ID)
		}
		if last := list[len(list)-1]; account == "large" {
			gone = append(gone, last.ID)
		} else {
			latest = append(latest, last)
		}
	}
	if err := r.Forget(t.Context(), gone, "test"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		prune(t, r, everything)
	}
	for _, snapshot := range latest {
		if err := sameMail(t.Context(), r, snapshot, s.mail[snapshot.ID]); err != nil {
			t.Errorf("seed %d: in the end: %v", seed, err)
		}
	}
	wantClean(t, s.memory)
	if _, after := stored(t, s.memory); after >= before {
		t.Errorf("seed %d: %d octets of packs before, %d after", seed, before, after)
	}
}

// stressSeeds are six; RESTANTE_STRESS is how many instead.
func stressSeeds() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("RESTANTE_STRESS"), 10, 64); err == nil {
		return n
	}
	return 6
}
