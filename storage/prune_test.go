package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"restante/storage/ledger"
	"restante/storage/messages"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// everything has a prune wait for nothing.
var everything = PruneOptions{AllowMuch: true}

func prune(t *testing.T, r *Repository, o PruneOptions) *Pruned {
	t.Helper()
	p, err := r.Prune(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func forget(t *testing.T, r *Repository, snapshots ...Snapshot) {
	t.Helper()
	var ids []ID
	for _, s := range snapshots {
		ids = append(ids, s.ID)
	}
	if err := r.Forget(t.Context(), ids, "test"); err != nil {
		t.Fatal(err)
	}
}

// stored counts the octets of the packs in a store.
func stored(t *testing.T, store objects.Store) (packs int, octets int64) {
	t.Helper()
	for info, err := range store.List(t.Context(), "packs/", "") {
		if err != nil {
			t.Fatal(err)
		}
		packs++
		octets += info.Size
	}
	return packs, octets
}

// wantClean fails unless a check of everything finds nothing, and the packs in
// the store are just those of the ledger.
func wantClean(t *testing.T, store objects.Store) {
	t.Helper()
	r := openRepository(t, store, Options{})
	c, err := r.Check(t.Context(), CheckOptions{ReadData: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Findings) > 0 || c.Unneeded > 0 {
		t.Fatalf("%d packs unknown to the ledger, findings: %v", c.Unneeded, c.Findings)
	}
	r.ledger.View(func(s *ledger.State) {
		for info := range store.List(t.Context(), "packs/", "") {
			if _, live := s.Packs[ulid.MustParse(info.Name[len("packs/"):])]; !live {
				t.Errorf("%s is still there", info.Name)
			}
		}
		for info := range store.List(t.Context(), "indexes/", "") {
			if _, live := s.Indexes[ulid.MustParse(info.Name[len("indexes/"):])]; !live {
				t.Errorf("%s is still there", info.Name)
			}
		}
	})
}

func TestPruneFreesWhatOnlyForgottenSnapshotsNeeded(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 1))
	shared, gone := testMail(rnd, 300), testMail(rnd, 3000)
	alice := backUp(t, r, "alice", 1, shared)
	both := append(append([][]byte{}, shared...), gone...)
	bob := backUp(t, r, "bob", 1, both)
	wantMail(t, r, bob, both)
	if p := prune(t, r, everything); p.Unneeded.Packs+p.Stray.Packs+p.Rewritten.Packs != 0 || p.Needed != p.Blobs || p.Freed != 0 {
		t.Errorf("all is needed: %+v", p)
	}
	_, before := stored(t, store)
	forget(t, r, bob)
	p := prune(t, r, everything)
	_, after := stored(t, store)
	if p.Unneeded.Packs != 1 || after != before-p.Unneeded.Bytes || p.Freed != before-after || after >= before/2 {
		t.Errorf("%d octets before, %d after: %+v", before, after, p)
	}
	wantMail(t, r, alice, shared)
	wantMail(t, openRepository(t, store, Options{}), alice, shared)
	wantClean(t, store)
	if p := prune(t, r, everything); p.Unneeded.Packs+p.Stray.Packs+p.Leftover.Packs+p.Rewritten.Packs != 0 || p.Freed != 0 {
		t.Errorf("again: %+v", p)
	}
}

func TestPruneRewritesPacksOfWhichLittleIsNeeded(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 2))
	mail := testMail(rnd, 3000)
	bob := backUp(t, r, "bob", 1, mail)                // one pack with all
	alice := backUp(t, r, "alice", 1, mail[1400:1500]) // needs little of it
	reader := openRepository(t, store, Options{})
	reader.segments = newSegmentCache(1)
	wantMail(t, reader, alice, mail[1400:1500])
	reader.cache.clear()
	_, before := stored(t, store)
	forget(t, r, bob)
	dry := prune(t, r, PruneOptions{DryRun: true})
	if _, now := stored(t, store); now != before || dry.Rewritten.Packs != 1 || !dry.TooMuch() {
		t.Errorf("the dry run: %d octets, %d before; %+v", now, before, dry)
	}
	p := prune(t, r, everything)
	_, after := stored(t, store)
	if p.Rewritten != dry.Rewritten || after > before/3 || p.Written == 0 || p.Freed <= 0 {
		t.Errorf("%d octets before, %d after: %+v", before, after, p)
	}
	if dry.Freed < p.Freed/2 || dry.Freed > p.Freed*2 {
		t.Errorf("the plan said that %d octets would be freed, %d were", dry.Freed, p.Freed)
	}
	wantMail(t, r, alice, mail[1400:1500])
	wantMail(t, reader, alice, mail[1400:1500]) // finds what was moved
	wantMail(t, openRepository(t, store, Options{}), alice, mail[1400:1500])
	wantClean(t, store)
}

func TestPruneGathersSmallPacks(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 3))
	mail := testMail(rnd, 400)
	var all []Snapshot
	most := 0
	for i := range 40 { // forty nights
		all = append(all, backUp(t, r, "alice", uint32(10*i+1), mail[10*i:10*i+10]))
		p := prune(t, r, PruneOptions{}) // nothing goes, so nothing must be allowed
		if p.Dropped > 0 {
			t.Fatalf("night %d: %+v", i, p)
		}
		n, _ := stored(t, store)
		most = max(most, n)
	}
	if most > 12 {
		t.Errorf("%d packs after a night", most)
	}
	indexes := 0
	for range store.List(t.Context(), "indexes/", "") {
		indexes++
	}
	if indexes > 12 {
		t.Errorf("%d indexes", indexes)
	}
	for i, s := range all {
		wantMail(t, r, s, mail[:10*i+10])
	}
	wantClean(t, store)
}

func TestPruneRefusesToDropMuchWithoutBeingTold(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 4))
	backUp(t, r, "alice", 1, testMail(rnd, 500))
	forget(t, r, backUp(t, r, "bob", 1, testMail(rnd, 500)))
	before, _ := stored(t, store)
	entries := r.ledger.Entries()
	p, err := r.Prune(t.Context(), PruneOptions{})
	if !errors.Is(err, ErrTooMuch) || p.Unneeded.Packs != 1 || p.Dropped < 0.4 {
		t.Errorf("%v: %+v", err, p)
	}
	if after, _ := stored(t, store); after != before || r.ledger.Entries() != entries {
		t.Error("something was done all the same")
	}
}

func TestPruneRefusesWhereSomethingNeededIsMissing(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"missing", "cut", "directory", "structure"} {
		store := objects.NewMemory()
		r := newRepository(t, store, t.TempDir())
		rnd := rand.New(rand.NewPCG(40, 5))
		mail := testMail(rnd, 500)
		s := backUp(t, r, "alice", 1, mail)
		kept := r.packs()[0]
		forget(t, r, backUp(t, r, "bob", 1, testMail(rnd, 500)))
		wantMail(t, r, s, mail) // the local cache has all that there is of structure
		b, err := store.Get(t.Context(), packName(kept.ID), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		switch what {
		case "missing":
			err = store.Delete(t.Context(), packName(kept.ID))
		case "cut":
			err = store.Put(t.Context(), packName(kept.ID), b[:len(b)/2])
		case "directory":
			b[len(b)-200] ^= 1
			err = store.Put(t.Context(), packName(kept.ID), b)
		case "structure":
			v, vaultErr := r.vault(t.Context(), s.Vault)
			if vaultErr != nil {
				t.Fatal(vaultErr)
			}
			l, _, locateErr := v.locate(t.Context(), s.Root)
			if locateErr != nil {
				t.Fatal(locateErr)
			}
			b[l.Offset+int64(l.Box)/2] ^= 1
			err = store.Put(t.Context(), packName(kept.ID), b)
		}
		if err != nil {
			t.Fatal(err)
		}
		entries := r.ledger.Entries()
		if _, err := r.Prune(t.Context(), everything); !errors.Is(err, ErrImplausible) || !strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: %v", what, err)
		}
		if r.ledger.Entries() != entries {
			t.Errorf("%s: something was condemned", what)
		}
	}
}

// What is missing and not needed does not stand in the way.
func TestPruneCondemnsAMissingPackThatNobodyNeeds(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 6))
	mail := testMail(rnd, 50)
	s := backUp(t, r, "alice", 1, mail)
	first := r.packs()[0].ID
	forget(t, r, backUp(t, r, "bob", 1, testMail(rnd, 500)))
	for _, p := range r.packs() {
		if p.ID != first {
			if err := store.Delete(t.Context(), packName(p.ID)); err != nil {
				t.Fatal(err)
			}
		}
	}
	prune(t, r, everything)
	wantMail(t, r, s, mail)
	wantClean(t, store)
}

// A vault whose key was destroyed holds nothing that anybody can read.
func TestPruneFreesAVaultThatWasDestroyedAndForgotten(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 16))
	var all []Snapshot
	for i := range 2 * mostUncovered { // enough for an index
		all = append(all, backUp(t, r, fmt.Sprint("account ", i), 1, testMail(rnd, 5)))
	}
	if err := store.Delete(t.Context(), vaultName(all[0].Vault)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prune(t.Context(), everything); !errors.Is(err, ErrImplausible) || !strings.Contains(err.Error(), "destroyed") {
		t.Errorf("with snapshots in it: %v", err)
	}
	forget(t, r, all...)
	p := prune(t, r, everything)
	if n, octets := stored(t, store); n != 0 || p.Unneeded.Packs != 2*mostUncovered || p.Freed < p.Unneeded.Bytes {
		t.Errorf("%d packs, %d octets are left: %+v", n, octets, p)
	}
	for info := range store.List(t.Context(), "indexes/", "") {
		t.Errorf("%s is left", info.Name)
	}
}

func TestPruneReadsNothingFromCaches(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	cacheDir := t.TempDir()
	r := newRepository(t, store, cacheDir)
	rnd := rand.New(rand.NewPCG(40, 7))
	for i := range 20 { // enough for indexes and a checkpoint
		backUp(t, r, fmt.Sprint("account ", i), 1, testMail(rnd, 20))
	}
	// A checkpoint that knows of less than there is: a program was wrong.
	var body ledger.Forget
	for i := range 10 {
		s, _ := r.Latest(fmt.Sprint("account ", i))
		body.Snapshots = append(body.Snapshots, s.ID)
	}
	lying := objectstest.NewFaulty(store, 1)
	liar := openRepository(t, lying, Options{})
	n := liar.ledger.Entries()
	if err := liar.ledger.Append(t.Context(), func(*ledger.State) (ledger.Body, error) { return &body, nil }); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), ledger.Slot(n)); err != nil {
		t.Fatal(err)
	}
	// What liar keeps says n+1 entries, the store has n.
	if _, err := liar.Prune(t.Context(), everything); !errors.Is(err, ledger.ErrShorter) {
		t.Errorf("shorter: %v", err)
	}
	backUp(t, r, "one more", 1, testMail(rnd, 5))
	if _, err := liar.Prune(t.Context(), everything); !errors.Is(err, ErrImplausible) {
		t.Errorf("another entry in its place: %v", err)
	}
	if p := prune(t, r, PruneOptions{KeepPacks: true}); p.Unneeded.Packs != 0 || p.Snapshots != 21 {
		t.Errorf("%+v", p)
	}
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

// saveAll saves messages, for UIDs from 1 up.
func saveAll(t *testing.T, w *Writer, mail [][]byte) (list []Message) {
	t.Helper()
	for i, m := range mail {
		saved, err := w.SaveMessage(strings.NewReader(string(m)), int64(len(m)))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, Message{UID: uint32(i + 1), Size: int64(len(m)), Recipe: saved.Recipe, Flags: []string{`\Seen`}})
	}
	return list
}

// commitAll commits a snapshot of an account with one folder of these messages.
func commitAll(t *testing.T, w *Writer, account string, list []Message) Snapshot {
	t.Helper()
	d := w.Draft(nil)
	d.Describe(func(f *Folder) { f.Levels, f.UIDValidity = []string{"INBOX"}, 8 })
	if err := d.Add(list); err != nil {
		t.Fatal(err)
	}
	folder, err := d.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := Snapshot{ID: NewID(), Account: account}
	if err := w.SaveTree("test", []SavedFolder{folder}, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustVault(t *testing.T, r *Repository) ID {
	t.Helper()
	id, err := r.VaultID(DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	return id
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

func TestPruneLeavesADamagedPackAndSaysSo(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	rnd := rand.New(rand.NewPCG(40, 12))
	mail := testMail(rnd, 3000)
	bob := backUp(t, r, "bob", 1, mail)
	alice := backUp(t, r, "alice", 1, mail[:200])
	forget(t, r, bob)
	v, err := r.vault(t.Context(), alice.Vault)
	if err != nil {
		t.Fatal(err)
	}
	// One text segment of those that alice needs is damaged, after others of
	// the same pack were read. Its recipes are sound, so that the prune goes on.
	tree, err := r.OpenSnapshot(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	damaged := ulid.ULID{}
	for m, err := range tree.Folders[0].All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		octets, err := v.load(t.Context(), m.Recipe, recipeDomain)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range references(t, octets) {
			l, _, err := v.locate(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if damaged == (ulid.ULID{}) {
				damaged = l.Pack
				b, err := store.Get(t.Context(), packName(l.Pack), 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				b[l.Offset+int64(l.Box)-1] ^= 1
				if err := store.Put(t.Context(), packName(l.Pack), b); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	p := prune(t, r, everything)
	if len(p.Findings) != 1 || p.Findings[0].Object != packName(damaged) || p.Rewritten.Packs != 0 {
		t.Errorf("%+v", p)
	}
	if _, err := store.Get(t.Context(), packName(damaged), 0, -1); err != nil {
		t.Errorf("the damaged pack: %v", err)
	}
}

// references are the ids of the blobs that a recipe names.
func references(t *testing.T, recipe []byte) (ids []BlobID) {
	t.Helper()
	refs, err := messages.References(recipe)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		ids = append(ids, ref.ID)
	}
	return ids
}
