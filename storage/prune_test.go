package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

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
