package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
	"restante/storage/ledger"
	"restante/storage/messages"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// A schedule lets writers and a pruner work on one store that fails on
// purpose. Only one thing happens at a time: in the middle of what one of them
// does, before one of its requests, another may do something from its
// beginning to its end. What happens follows from the seed, but for the order
// of requests that go out side by side, and time is virtual.
type schedule struct {
	t      *testing.T
	random *rand.Rand
	memory *objects.Memory
	actors []*machine
	depth  int
	pool   [][]byte // messages that several accounts get

	mail         map[ID][][]byte // what a snapshot must hold
	acknowledged map[ID]bool
	forgotten    map[ID]bool // or perhaps; nobody needs it any more
	counts       map[string]int
}

// A machine is a repository, a faulty way to the store, a cache.
type machine struct {
	name  string
	store *objectstest.Faulty
	cache string
	repo  *Repository
	busy  bool
	turn  chan struct{} // requests that go out side by side are interrupted one by one
}

const scheduleSteps = 40

// TestWritersBesideAPrunerOnAFaultyStore: whatever the schedule, a snapshot
// that was acknowledged, and that nobody wanted to forget, restores.
// RESTANTE_SEEDS=first-last runs other seeds.
func TestWritersBesideAPrunerOnAFaultyStore(t *testing.T) {
	t.Parallel()
	outsideBubbles(t)
	first, last := uint64(1), uint64(6)
	if s := os.Getenv("RESTANTE_SEEDS"); s != "" {
		if _, err := fmt.Sscanf(s, "%d-%d", &first, &last); err != nil {
			t.Fatal(err)
		}
	}
	total := map[string]int{}
	for seed := first; seed <= last; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for what, n := range runSchedule(t, seed) {
					total[what] += n
				}
			})
		})
	}
	t.Log(total)
	for _, what := range []string{"commit", "pruned while saving", "condemned", "repacked", "forgotten", "read", "interrupted", "faults"} {
		if total[what] == 0 {
			t.Errorf("no schedule had any %q; the test shows little", what)
		}
	}
}

func runSchedule(t *testing.T, seed uint64) map[string]int {
	s := &schedule{t: t, random: rand.New(rand.NewPCG(seed, 17)), memory: objects.NewMemory(),
		mail: map[ID][][]byte{}, acknowledged: map[ID]bool{}, forgotten: map[ID]bool{}, counts: map[string]int{}}
	newRepository(t, s.memory, t.TempDir()).Close()
	s.pool = testMail(s.random, 12)
	for i, name := range []string{"first", "second", "third", "pruner"} {
		a := &machine{name: name, cache: t.TempDir(), turn: make(chan struct{}, 1), store: objectstest.NewFaulty(s.memory, seed<<8+uint64(i))}
		if chance := float64(seed%4) * 0.01; chance > 0 {
			a.store.Add(objectstest.Trouble(chance)...)
			if seed%8 > 4 { // reads that miss what is there, lists that end early
				a.store.Add(objectstest.Rule{Fault: objectstest.Lose, On: objectstest.Get | objectstest.List, Chance: chance / 2},
					objectstest.Rule{Fault: objectstest.Shorten, On: objectstest.List, Chance: chance / 2})
			}
		}
		a.store.Before(func(context.Context, objectstest.Op, string) {
			a.turn <- struct{}{}
			s.interrupt()
			<-a.turn
		})
		s.actors = append(s.actors, a)
	}
	for range scheduleSteps {
		s.step()
	}
	for _, a := range s.actors {
		s.counts["faults"] += len(a.store.Strikes())
		a.store.Before(nil)
		a.store.Heal()
		a.store.Settle()
		if a.repo != nil {
			a.repo.Close()
		}
	}
	s.judge(seed)
	return s.counts
}

// interrupt lets somebody else act before a request, now and then.
func (s *schedule) interrupt() {
	if s.depth < 3 && s.random.IntN(12) == 0 {
		s.counts["interrupted"]++
		s.step()
	}
}

// step lets one of those who do nothing do something.
func (s *schedule) step() {
	var idle []*machine
	for _, a := range s.actors {
		if !a.busy {
			idle = append(idle, a)
		}
	}
	if len(idle) == 0 {
		return
	}
	a := idle[s.random.IntN(len(idle))]
	a.busy = true
	s.depth++
	defer func() { a.busy = false; s.depth-- }()
	ctx := context.Background()
	if a.repo != nil && s.random.IntN(6) == 0 {
		a.repo.Close()
		a.repo = nil
	}
	if a.repo == nil {
		if s.random.IntN(6) == 0 {
			os.RemoveAll(a.cache)
		}
		r, err := Open(ctx, a.store, Passphrase(testPassphrase), Options{CacheDir: a.cache, Stale: s.random.IntN(2) == 0})
		if err != nil {
			s.wantExcuse(a, "open", err)
			return
		}
		a.repo = r
	}
	if a.name != "pruner" {
		if s.random.IntN(4) == 0 {
			s.read(ctx, a)
		} else {
			s.backUp(ctx, a)
		}
		return
	}
	if err := a.repo.Refresh(ctx); err != nil {
		s.wantExcuse(a, "refresh", err)
		return
	}
	what := s.random.IntN(3)
	if what > 0 {
		s.forget(ctx, a)
	}
	if what < 2 {
		s.prune(ctx, a)
	}
}

// read restores the latest snapshot that the actor knows of.
func (s *schedule) read(ctx context.Context, a *machine) {
	account := s.actors[s.random.IntN(len(s.actors)-1)].name
	latest, ok := a.repo.Latest(account)
	if _, known := s.mail[latest.ID]; !ok || !known {
		return // committed, but who did it has not come to say so
	}
	a.repo.segments = newSegmentCache(1)
	err := func() error {
		tree, err := a.repo.OpenSnapshot(ctx, latest)
		if err != nil {
			return err
		}
		i := 0
		for m, err := range tree.Folders[0].All(ctx) {
			if err != nil {
				return err
			}
			var got bytes.Buffer
			if err := a.repo.WriteMessage(ctx, &got, latest.Vault, m.Recipe); err != nil {
				return err
			}
			if i >= len(s.mail[latest.ID]) || !bytes.Equal(got.Bytes(), s.mail[latest.ID][i]) {
				s.t.Errorf("%s reads wrong octets", a.name)
			}
			i++
		}
		if i != len(s.mail[latest.ID]) {
			s.t.Errorf("%s reads %d messages of %d", a.name, i, len(s.mail[latest.ID]))
		}
		return nil
	}()
	switch {
	case err == nil:
		s.counts["read"]++
	case !errors.Is(err, ErrMissing) || !s.forgotten[latest.ID]:
		s.wantExcuse(a, "reading", err)
	}
}

// wantExcuse fails where an actor could not do its work though nothing went
// wrong with its store.
func (s *schedule) wantExcuse(a *machine, what string, err error) {
	if len(a.store.Strikes()) == 0 {
		s.t.Errorf("%s of %s: %v", what, a.name, err)
	}
	s.counts["failed"]++
}

// backUp commits a snapshot of the actor's account, with some messages more.
func (s *schedule) backUp(ctx context.Context, a *machine) {
	for range 3 {
		latest, _ := a.repo.Latest(a.name)
		before, known := s.mail[latest.ID]
		if !latest.ID.IsZero() && !known {
			s.t.Errorf("%s finds a snapshot that nobody saved", a.name)
		}
		var more [][]byte
		for range 1 + s.random.IntN(3) {
			if s.random.IntN(2) == 0 {
				more = append(more, s.pool[s.random.IntN(len(s.pool))])
			} else {
				more = append(more, testMail(s.random, 1)...)
			}
		}
		snap, err := tryBackUp(ctx, a.repo, a.name, uint32(len(before)+1), more)
		if !snap.ID.IsZero() {
			s.mail[snap.ID] = slices.Concat(before, more)
		}
		if err == nil {
			s.counts["commit"]++
			s.acknowledged[snap.ID] = true
			return
		}
		// What it builds on may be forgotten and deleted while it is read.
		lost := errors.Is(err, ErrMissing) && s.forgotten[latest.ID]
		if !errors.Is(err, ErrPruned) && !lost {
			s.wantExcuse(a, "backup", err)
			return
		}
		s.counts["pruned while saving"]++
		if err := a.repo.Refresh(ctx); err != nil {
			s.wantExcuse(a, "refresh", err)
			return
		}
	}
}

// forget drops some snapshots of an account, perhaps all.
func (s *schedule) forget(ctx context.Context, a *machine) {
	account := s.actors[s.random.IntN(len(s.actors)-1)].name
	list := a.repo.Snapshots(account)
	if s.random.IntN(2) > 0 {
		list = list[:max(0, len(list)-1)]
	}
	var ids []ID
	for _, snap := range list {
		if s.random.IntN(4) > 0 {
			ids = append(ids, snap.ID)
			s.forgotten[snap.ID] = true
		}
	}
	if len(ids) == 0 {
		return
	}
	if err := a.repo.Forget(ctx, ids, "schedule"); err != nil {
		s.counts["failed"]++
		return
	}
	s.counts["forgotten"]++
}

var errMovedOn = errors.New("somebody committed meanwhile")

// prune condemns what no snapshot needs, moves what is live out of a pack now
// and then, and deletes. It keeps the rules of FORMAT.md section 8: live packs
// come from the ledger and the trees, and are computed again where a commit
// came in between.
func (s *schedule) prune(ctx context.Context, a *machine) {
	var known map[ID]bool
	var packs map[ulid.ULID]ledger.Pack
	a.repo.ledger.View(func(st *ledger.State) {
		known, packs = map[ID]bool{}, map[ulid.ULID]ledger.Pack{}
		for _, list := range st.Snapshots {
			for _, snap := range list {
				known[snap.ID] = true
			}
		}
		for id, p := range st.Packs {
			packs[id] = p
		}
	})
	live, err := livePacks(ctx, a.repo)
	if err != nil {
		s.wantExcuse(a, "finding live packs", err)
		return
	}
	var body ledger.Condemn
	var moved ulid.ULID
	ids := make([]ulid.ULID, 0, len(packs))
	for id := range packs {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, ulid.ULID.Compare)
	for _, id := range ids {
		if !live[id] {
			body.Condemned = append(body.Condemned, ledger.Condemned{Pack: id})
		} else if moved.IsZero() && s.random.IntN(6) == 0 {
			moved = id
		}
	}
	if !moved.IsZero() {
		to, err := copyPack(ctx, a.repo, packs[moved])
		if err != nil {
			s.wantExcuse(a, "repacking", err)
			return
		}
		body.Packs = []ledger.Pack{to}
		body.Condemned = append(body.Condemned, ledger.Condemned{Pack: moved, Relocated: []ulid.ULID{to.ID}})
	}
	if len(body.Condemned) == 0 {
		return
	}
	err = a.repo.ledger.Append(ctx, func(st *ledger.State) (ledger.Body, error) {
		for _, list := range st.Snapshots {
			for _, snap := range list {
				if !known[snap.ID] {
					return nil, errMovedOn
				}
			}
		}
		return &body, nil
	})
	if errors.Is(err, errMovedOn) {
		s.counts["too late to prune"]++
		return
	}
	if err != nil {
		s.wantExcuse(a, "condemning", err)
		return
	}
	s.counts["condemned"] += len(body.Condemned)
	if !moved.IsZero() {
		s.counts["repacked"]++
	}
	for _, c := range body.Condemned {
		a.store.Delete(ctx, packName(c.Pack)) // what fails stays there, and does no harm
	}
}

// livePacks finds the packs that snapshots reach.
func livePacks(ctx context.Context, r *Repository) (map[ulid.ULID]bool, error) {
	live := map[ulid.ULID]bool{}
	for _, account := range r.Accounts() {
		for _, snap := range r.Snapshots(account) {
			tree, err := r.OpenSnapshot(ctx, snap)
			if err != nil {
				return nil, err
			}
			need := []BlobID{snap.Root}
			for _, f := range tree.Folders {
				need = append(need, f.id)
				for _, p := range slices.Concat(f.MailList.refs, f.FlagList.refs) {
					need = append(need, p.ID)
				}
				for m, err := range f.All(ctx) {
					if err != nil {
						return nil, err
					}
					recipe, err := tree.v.load(ctx, m.Recipe, recipeDomain)
					if err != nil {
						return nil, err
					}
					refs, err := messages.References(recipe)
					if err != nil {
						return nil, err
					}
					need = append(need, m.Recipe)
					for _, ref := range refs {
						need = append(need, ref.ID)
					}
				}
			}
			for _, id := range need {
				l, found, err := tree.v.locate(ctx, id)
				if err != nil || !found {
					return nil, errors.Join(err, fmt.Errorf("blob %x: %w", id, ErrMissing))
				}
				live[l.Pack] = true
			}
		}
	}
	return live, nil
}

// copyPack puts the segments of a pack into a new one.
func copyPack(ctx context.Context, r *Repository, p ledger.Pack) (ledger.Pack, error) {
	v, err := r.vault(ctx, p.Vault)
	if err != nil {
		return p, err
	}
	octets, err := r.store.Get(ctx, packName(p.ID), 0, -1)
	if err != nil {
		return p, err
	}
	dir, err := v.readDirectory(ctx, p)
	if err != nil {
		return p, err
	}
	b := pack.NewBuilder(&v.scope, newName())
	for _, seg := range dir {
		b.Add(seg.Class, octets[seg.Offset:][:seg.Box], seg.Raw, seg.IDs, seg.Lengths)
	}
	octets, _, err = b.Finish()
	if err != nil {
		return p, err
	}
	p.ID, p.Size = b.ID(), int64(len(octets))
	return p, r.put(ctx, packName(p.ID), octets)
}

// judge reads with nothing at hand what must be there.
func (s *schedule) judge(seed uint64) {
	r := openRepository(s.t, s.memory, Options{CacheDir: s.t.TempDir()})
	for id := range s.acknowledged {
		var snap Snapshot
		var there bool
		r.ledger.View(func(st *ledger.State) { snap, there = st.Snapshot(id) })
		switch {
		case !there && !s.forgotten[id]:
			s.t.Errorf("seed %d: acknowledged snapshot %s is not there", seed, id.Short())
		case there:
			wantMail(s.t, r, snap, s.mail[id])
		}
	}
	if f := mustFindings(s.t, r); len(f) > 0 {
		s.t.Errorf("seed %d: %v", seed, f)
	}
}
