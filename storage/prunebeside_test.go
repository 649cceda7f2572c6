package storage

import (
	"context"
	"errors"
	"math/rand/v2"
	"restante/storage/ledger"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
)

// between lets do happen just before the n-th entry is put, from 1 up.
func between(t *testing.T, store objects.Store, n int, do func()) *Repository {
	t.Helper()
	faulty := objectstest.NewFaulty(store, 1)
	r := openRepository(t, faulty, Options{CacheDir: t.TempDir()})
	faulty.Before(func(_ context.Context, op objectstest.Op, name string) {
		if op == objectstest.PutIfAbsent {
			if n--; n == 0 {
				do()
			}
		}
	})
	return r
}

func TestPruneSparesWhatACommitInBetweenNeeds(t *testing.T) {
	t.Parallel()
	for _, rewritten := range []bool{false, true} {
		store := objects.NewMemory()
		r := newRepository(t, store, t.TempDir())
		rnd := rand.New(rand.NewPCG(40, 9))
		mail := testMail(rnd, 1000)
		forget(t, r, backUp(t, r, "bob", 1, mail))
		var some Snapshot
		if rewritten { // the pack is rewritten, not dropped
			some = backUp(t, r, "alice", 1, mail[:50])
		}
		var again Snapshot
		pruner := between(t, store, 1, func() { again = backUp(t, r, "carol", 1, mail[500:600]) })
		p := prune(t, pruner, everything)
		if p.Unneeded.Packs+p.Rewritten.Packs != 0 {
			t.Errorf("rewritten %v: %+v", rewritten, p)
		}
		for _, reader := range []*Repository{r, openRepository(t, store, Options{})} {
			wantMail(t, reader, again, mail[500:600])
			if rewritten {
				wantMail(t, reader, some, mail[:50])
			}
		}
		if f := mustFindings(t, r); len(f) > 0 {
			t.Errorf("%v", f)
		}
		prune(t, pruner, everything)
		wantMail(t, r, again, mail[500:600])
		wantClean(t, store)
	}
}

func TestTwoPrunesAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 10))
	mail := testMail(rnd, 2000)
	bob := backUp(t, r, "bob", 1, mail)
	alice := backUp(t, r, "alice", 1, mail[:100])
	forget(t, r, bob, backUp(t, r, "carol", 1, testMail(rnd, 300)))
	var first *Pruned
	second := between(t, store, 1, func() { first = prune(t, r, everything) })
	p := prune(t, second, everything)
	if first.Unneeded.Packs+first.Rewritten.Packs < 2 {
		t.Errorf("the faster one: %+v", first)
	}
	if p.Unneeded.Packs+p.Rewritten.Packs != 0 {
		t.Errorf("the slower one: %+v", p)
	}
	wantMail(t, r, alice, mail[:100])
	prune(t, r, everything) // what the slower one wrote in vain
	wantClean(t, store)
	for _, v := range []*Repository{r, second} {
		v.ledger.View(func(s *ledger.State) {
			if len(s.Violations) > 0 {
				t.Errorf("%q", s.Violations)
			}
		})
	}
}

// TestPruneWritesAgainWhatAnotherTookForAStray: between writing a pack and
// naming it in the ledger, another prune removes it, as it must be able to
// remove what a machine that died has left.
func TestPruneWritesAgainWhatAnotherTookForAStray(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"before it is read back", "before the entry"} {
		store := objects.NewMemory()
		r := newRepository(t, store, t.TempDir())
		rnd := rand.New(rand.NewPCG(40, 11))
		mail := testMail(rnd, 800)
		gone := []Snapshot{backUp(t, r, "bob", 1, mail[:400]), backUp(t, r, "carol", 1, mail[400:])}
		some := slices.Concat(mail[:20], mail[400:420])
		alice := backUp(t, r, "alice", 1, some)
		forget(t, r, gone...)

		var other *Pruned
		written := ""
		faulty := objectstest.NewFaulty(store, 1)
		faulty.Before(func(_ context.Context, op objectstest.Op, name string) {
			if op == objectstest.Put && strings.HasPrefix(name, "packs/") {
				written = name
			}
			read := op == objectstest.Get && name == written
			if written != "" && other == nil && (op == objectstest.PutIfAbsent || read && moment == "before it is read back") {
				other = prune(t, r, PruneOptions{AllowMuch: true, KeepPacks: true})
			}
		})
		slow := openRepository(t, faulty, Options{CacheDir: t.TempDir()})
		p := prune(t, slow, everything)
		if other == nil || other.Stray.Packs != 1 {
			t.Fatalf("%s: the other one: %+v", moment, other)
		}
		if p.Rewritten.Packs == 0 {
			t.Errorf("%s: it did not begin again: %+v", moment, p)
		}
		wantMail(t, openRepository(t, store, Options{}), alice, some)
		for range 2 {
			prune(t, r, everything)
		}
		wantMail(t, openRepository(t, store, Options{}), alice, some)
		wantClean(t, store)
	}
}

// A blob that one prune moved, and of which it drops the other copy, must not
// be dropped where it was moved to by another prune that means to keep that
// other copy.
func TestTwoPrunesDoNotEachCountOnTheCopyThatTheOtherDrops(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	a := newRepository(t, store, t.TempDir())
	b := openRepository(t, store, Options{CacheDir: t.TempDir()})
	rnd := rand.New(rand.NewPCG(40, 13))
	mail := testMail(rnd, 2000)
	w, err := b.Writer(t.Context(), mustVault(t, b))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	list := saveAll(t, w, mail[:200]) // b does not know yet of what a has
	bob := backUp(t, a, "bob", 1, mail)
	alice := backUp(t, a, "alice", 1, mail[:200])
	carol := commitAll(t, w, "carol", list)
	forget(t, a, bob)

	var second *Pruned
	slow := between(t, store, 2, func() { second = prune(t, a, everything) })
	o := everything
	o.batch = 1
	prune(t, slow, o)
	if second == nil || second.Unneeded.Packs == 0 {
		t.Fatalf("the faster one had nothing to do: %+v", second)
	}
	for _, r := range []*Repository{a, openRepository(t, store, Options{})} {
		wantMail(t, r, alice, mail[:200])
		wantMail(t, r, carol, mail[:200])
	}
	prune(t, a, everything)
	wantClean(t, store)
}

func TestPruneSparesAStrayThatItsWriterCommitsInBetween(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	mail := testMail(rand.New(rand.NewPCG(40, 14)), 100)
	w, err := r.Writer(t.Context(), mustVault(t, r))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	list := saveAll(t, w, mail)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	pruner := between(t, store, 1, func() { s = commitAll(t, w, "alice", list) })
	if p := prune(t, pruner, everything); p.Stray.Packs != 0 {
		t.Errorf("%+v", p)
	}
	wantMail(t, r, s, mail)
	wantMail(t, pruner, s, mail)
	wantClean(t, store)
}

func TestPruneLeavesTheIndexOfACommitThatIsBeingMade(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 15))
	var mail [][]byte
	more := func(repo *Repository) Snapshot {
		fresh := testMail(rnd, 5)
		s := backUp(t, repo, "alice", uint32(len(mail)+1), fresh)
		mail = append(mail, fresh...)
		return s
	}
	for range mostUncovered {
		more(r)
	}
	careful := PruneOptions{Grace: 1 << 50}
	writer := between(t, store, 1, func() { prune(t, r, careful) })
	s := more(writer) // with this one, an index is due
	indexes := 0
	for range store.List(t.Context(), "indexes/", "") {
		indexes++
	}
	if indexes != 1 {
		t.Fatalf("%d indexes", indexes)
	}
	wantMail(t, writer, s, mail)
	wantClean(t, store)
}

func TestPruneLeavesYoungPacksAndFinishesWhatOthersBegan(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 8))
	mail := testMail(rnd, 50)
	s := backUp(t, r, "alice", 1, mail)
	forget(t, r, backUp(t, r, "bob", 1, testMail(rnd, 60)))
	// A writer that died: its pack is there, no entry names it.
	w, err := r.Writer(t.Context(), s.Vault)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.SaveMessage(strings.NewReader("From: a\r\n\r\nnever committed\r\n"), 28); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	// A prune that died between its entry and the removal.
	left := backUp(t, r, "carol", 1, testMail(rnd, 70))
	before := map[ulid.ULID]bool{}
	for _, p := range r.packs() {
		before[p.ID] = true
	}
	_ = left
	old := PruneOptions{AllowMuch: true, Grace: time.Hour}
	if p := prune(t, r, old); p.Young.Packs != 2 || p.Unneeded.Packs+p.Stray.Packs+p.Rewritten.Packs != 0 {
		t.Errorf("all are young: %+v", p)
	}
	failing := objectstest.NewFaulty(store, 1, objectstest.Rule{Fault: objectstest.Refuse, On: objectstest.Delete})
	dying := openRepository(t, failing, Options{})
	if _, err := dying.Prune(t.Context(), everything); !errors.Is(err, objects.ErrRefused) {
		t.Errorf("%v", err)
	}
	p := prune(t, r, old) // what is condemned goes, however young
	if p.Leftover.Packs != 2 || p.Young.Packs != 0 {
		t.Errorf("%+v", p)
	}
	wantMail(t, r, s, mail)
	wantClean(t, store)

	// The writer was not dead after all: it is told to begin again.
	late := s
	late.ID, late.Parent = NewID(), ID{}
	if err := w.Commit(t.Context(), []Snapshot{late}, nil, nil); !errors.Is(err, ErrPruned) {
		t.Errorf("a commit of a condemned pack: %v", err)
	}
	wantClean(t, store)
}

func TestPruneKeepsOneOfTwoCopies(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	a := newRepository(t, store, t.TempDir())
	b := openRepository(t, store, Options{CacheDir: t.TempDir()})
	mail := testMail(rand.New(rand.NewPCG(40, 11)), 800)
	w, err := b.Writer(t.Context(), mustVault(t, b))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	list := saveAll(t, w, mail) // b does not know yet of what a has
	one := backUp(t, a, "alice", 1, mail)
	two := commitAll(t, w, "bob", list)
	_, before := stored(t, store)
	p := prune(t, a, everything)
	_, after := stored(t, store)
	if after > before*2/3 || p.Rewritten.Packs == 0 {
		t.Errorf("%d octets before, %d after: %+v", before, after, p)
	}
	for _, r := range []*Repository{a, b, openRepository(t, store, Options{})} {
		wantMail(t, r, one, mail)
		wantMail(t, r, two, mail)
	}
	wantClean(t, store)
}
