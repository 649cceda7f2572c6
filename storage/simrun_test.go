package storage

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"restante/storage/internal/seal"
)

// simulate readies the test for schedules: one at a time, on one processor,
// with random octets from the schedule.
func simulate(t *testing.T) []*simImage {
	t.Helper()
	before, collect := runtime.GOMAXPROCS(1), debug.SetGCPercent(200)
	real, free, slot, sealer := rand.Reader, freeMemory, openSlot, newSealer
	t.Cleanup(func() {
		runtime.GOMAXPROCS(before)
		debug.SetGCPercent(collect)
		rand.Reader, freeMemory, openSlot, newSealer = real, free, slot, sealer
	})
	fillSimImage(t, 0) // what is made once for all tests is not of a bubble
	rand.Reader = &simRandom{real: real}
	freeMemory = func() {}
	openSlot = rememberSlots(slot)
	newSealer = rememberSealers()
	return []*simImage{makeSimImage(t, 0), makeSimImage(t, 8)}
}

// rememberSlots opens each key slot once: all have the same passphrase.
func rememberSlots(open func([]byte, []age.Identity) ([]byte, error)) func([]byte, []age.Identity) ([]byte, error) {
	var mu sync.Mutex
	known := map[string][]byte{}
	return func(file []byte, identities []age.Identity) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		b, ok := known[string(file)]
		var err error
		if !ok {
			if b, err = open(file, identities); err == nil {
				known[string(file)] = b
			}
		}
		return slices.Clone(b), err
	}
}

// rememberSealers has all processes share the sealer of a repository, which
// keeps ciphers: most boxes that they open are those of the image.
func rememberSealers() func([16]byte) *seal.Sealer {
	var mu sync.Mutex
	known := map[[16]byte]*seal.Sealer{}
	return func(id [16]byte) *seal.Sealer {
		mu.Lock()
		defer mu.Unlock()
		if known[id] == nil {
			known[id] = seal.Keeping(id)
		}
		return known[id]
	}
}

// simKind says who is there.
type simKind int

const (
	simAny simKind = iota // the seed decides
	simAll
	simPrunes
	simParents
	simRough // prunes on a store that is away again and again; no seed decides so
)

// cast has the machines of a schedule join, as its seed has it.
func (w *simWorld) cast(pool [][]byte, caches string) {
	r := mathrand.New(mathrand.NewPCG(w.seed, 2))
	w.stick = []int{0, 0, 0, 1, 2, 8, 30}[r.IntN(7)]
	switch r.IntN(4) {
	case 0: // nothing goes wrong: nobody may fail
	case 1:
		w.trouble = simTrouble{lost: 3, unanswered: 10, late: 10, twice: 10, slow: 30, hang: 3}
	case 2:
		w.trouble = simTrouble{slow: 50, crash: 15, hang: 10, outage: 8}
	case 3:
		w.trouble = simTrouble{lost: 20, unanswered: 40, late: 40, twice: 40, slow: 40, crash: 5, hang: 5, list: 30, outage: 5, broken: r.IntN(4) == 0}
	}
	writers, pruners, forgets, restores := 1+r.IntN(3), 1, r.IntN(3), r.IntN(2)
	kind := []simKind{simPrunes, simPrunes, simParents, simParents, simParents, simAll, simAll, simAll}[r.IntN(8)]
	if w.kind != simAny {
		kind = w.kind
	}
	switch kind {
	case simPrunes: // prunes beside each other; one of them sees what the other has half done
		writers, pruners = r.IntN(2), 2
		w.trouble.hang = 15
		w.trouble.outage *= 3
	case simRough:
		writers, pruners = 1, 1
		w.trouble = simTrouble{outage: 15}
	case simParents: // what a writer builds on is forgotten and pruned
		writers, forgets, restores = 1, 1+r.IntN(2), 0
		w.stick, pool = 0, nil
	}
	for _, name := range []string{"first", "second", "third"}[:writers] {
		w.join(name, slices.Repeat([]func(*simActor){func(a *simActor) { a.backUp(pool) }}, 1+r.IntN(2))...)
	}
	for range pruners {
		w.join("pruner", slices.Repeat([]func(*simActor){(*simActor).prune}, 1+r.IntN(3)/2)...)
	}
	w.join("forgetter", slices.Repeat([]func(*simActor){(*simActor).forget}, forgets)...)
	w.join("reader", slices.Repeat([]func(*simActor){(*simActor).restore}, 2*restores)...)
	for i, rank := range r.Perm(len(w.actors)) {
		w.actors[i].rank = rank
	}
	for _, a := range w.actors {
		if r.IntN(3) == 0 {
			a.skew = time.Duration(r.IntN(20)-10) * 365 * 24 * time.Hour
		}
	}
	switch where := r.IntN(32); {
	case where%8 == 0 && caches != "":
		simCaches(caches, w)
	case where == 1:
		for _, a := range w.actors {
			a.cache = simNoCache
		}
	}
}

// play plays the schedule of a seed and judges it.
func play(t *testing.T, images []*simImage, seed uint64, caches string, tell func(string, ...any)) (w *simWorld) {
	return playKind(t, images, seed, caches, tell, simAny)
}

func playKind(t *testing.T, images []*simImage, seed uint64, caches string, tell func(string, ...any), kind simKind) (w *simWorld) {
	synctest.Test(t, func(t *testing.T) {
		growStack()
		image := images[0]
		if seed%3 == 0 {
			image = images[1]
		}
		w = newSimWorld(seed, image)
		w.tell, w.kind = tell, kind
		w.cast(image.pool, caches)
		w.run()
		if w.wrong == nil {
			w.fail(w.judge())
		}
	})
	return w
}

// TestSimulation plays schedules. -seed=N plays one again; -schedules=N plays
// so many, in -workers=N processes.
func TestSimulation(t *testing.T) {
	workers := *simWorkers
	if workers == 0 && *simSchedules > 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if workers > 1 && *simSeed == 0 && *simSchedules > 0 {
		playInWorkers(t, workers, *simFirst, *simSchedules)
		return
	}
	images := simulate(t)
	caches := simCacheRoot(t)
	first, n := *simFirst, *simSchedules
	var tell func(string, ...any)
	if n == 0 {
		n = 1000
		if testing.Short() {
			n = 300
		}
	}
	if *simSeed != 0 {
		first, n, tell = *simSeed, 1, t.Logf
	}
	total := map[string]int{}
	start := time.Now()
	report := func(done uint64) {
		spent := time.Since(start)
		counts, _ := json.Marshal(total) // playInWorkers reads them
		t.Logf("%d schedules in %s, %.0f a second: %s", done, spent.Round(time.Second), float64(done)/spent.Seconds(), counts)
	}
	for i := range n {
		w := play(t, images, first+i, caches, tell)
		for what, k := range w.counts {
			total[what] += k
		}
		total["requests"] += w.steps
		if w.wrong != nil {
			t.Fatalf("%v\nplay it again with: go test ./storage -run TestSimulation -seed %d -v", w.wrong, w.seed)
		}
		if (i+1)%50_000 == 0 {
			report(i + 1)
		}
	}
	report(n)
	for _, what := range []string{"commits", "pruned while saving", "condemned", "repacked", "forgets", "restores", "crashes", "hung", "faults"} {
		if total[what] == 0 && n >= 300 {
			t.Errorf("no schedule had any %q; the test shows little", what)
		}
	}
}

// simCacheRoot is a directory for caches, in memory where there is such a
// place: what is written there has to outlive no crash but simulated ones.
func simCacheRoot(t *testing.T) string {
	t.Helper()
	if dir, err := os.MkdirTemp("/dev/shm", "restante-simulation-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// TestSimulationIsDeterministic: the same seed gives the same trace, on one
// processor and on several.
func TestSimulationIsDeterministic(t *testing.T) {
	images := simulate(t)
	caches := simCacheRoot(t)
	traces := map[uint64]bool{}
	for seed := uint64(1); seed <= 60; seed++ {
		a := play(t, images, seed, caches, nil)
		runtime.GOMAXPROCS(4)
		b := play(t, images, seed, caches, nil)
		runtime.GOMAXPROCS(1)
		if a.trace != b.trace || a.steps != b.steps || !maps.Equal(a.counts, b.counts) {
			var lines [2][]string
			for i := range lines {
				play(t, images, seed, caches, func(format string, args ...any) { lines[i] = append(lines[i], fmt.Sprintf(format, args...)) })
			}
			at := 0
			for at < min(len(lines[0]), len(lines[1])) && lines[0][at] == lines[1][at] {
				at++
			}
			t.Fatalf("seed %d: %d and %d steps, the traces differ; two more plays differ at line %d:\n%s\n----\n%s", seed, a.steps, b.steps, at,
				strings.Join(lines[0][max(0, at-3):min(len(lines[0]), at+3)], "\n"), strings.Join(lines[1][max(0, at-3):min(len(lines[1]), at+3)], "\n"))
		}
		traces[a.trace] = true
	}
	if len(traces) < 60 {
		t.Errorf("%d different traces of 60 seeds", len(traces))
	}

}
