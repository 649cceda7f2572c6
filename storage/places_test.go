package storage

import (
	"math/rand/v2"
	"testing"

	"github.com/oklog/ulid/v2"

	"restante/storage/ledger"
	"restante/storage/objects"
)

// TestPlaceOfARootIsOnlyAHint: a snapshot is read where its root is not where
// the ledger says, or the ledger says nothing.
func TestPlaceOfARootIsOnlyAHint(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, "")
	mail := testMail(rand.New(rand.NewPCG(61, 1)), 300)
	backUp(t, r, "alice", 1, mail)
	backUp(t, r, "bob", 1, testMail(rand.New(rand.NewPCG(61, 2)), 3))
	s, _ := r.Latest("alice")
	other, _ := r.Latest("bob")
	if s.Where == nil || other.Where == nil {
		t.Fatalf("the places are not noted: %v, %v", s.Where, other.Where)
	}
	for what, change := range map[string]func(p *ledger.Place){
		"right":              func(*ledger.Place) {},
		"another's":          func(p *ledger.Place) { *p = *other.Where },
		"a pack of nobody":   func(p *ledger.Place) { p.Pack = ulid.Make() },
		"beside it":          func(p *ledger.Place) { p.Start++ },
		"longer":             func(p *ledger.Place) { p.Length++ },
		"outside":            func(p *ledger.Place) { p.Start = p.Raw },
		"before it":          func(p *ledger.Place) { p.Start = -1 },
		"no length":          func(p *ledger.Place) { p.Length = -1 },
		"another box":        func(p *ledger.Place) { p.Offset += 16 },
		"outside the pack":   func(p *ledger.Place) { p.Offset = 1 << 40 },
		"a longer box":       func(p *ledger.Place) { p.Box += 1 << 20 },
		"a box of no length": func(p *ledger.Place) { p.Box = 0 },
		"more blobs":         func(p *ledger.Place) { p.Raw++ },
	} {
		cold := openRepository(t, store, Options{})
		place := *s.Where
		change(&place)
		at := s
		at.Where = &place
		if err := sameMail(t.Context(), cold, at, mail); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.Where = nil
	wantMail(t, openRepository(t, store, Options{}), s, mail)
}

// TestCopiesInARootAreCheckedByTheirIDs: another octet string in the place of a
// folder's record or of details is not taken for it.
func TestCopiesInARootAreCheckedByTheirIDs(t *testing.T) {
	t.Parallel()
	r := newRepository(t, objects.NewMemory(), "")
	s, _ := detailed(t, r, "alice", someDetails())
	tree, err := r.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want, err := tree.load(t.Context(), tree.Folders[0].id)
	if err != nil {
		t.Fatal(err)
	}
	for what, copied := range map[string][]byte{"right": want, "none": nil, "another": append([]byte{0}, want...)} {
		got, err := tree.copied(t.Context(), tree.Folders[0].id, copied)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	tree.details.octets[0] = []byte{0xa0}
	if d, err := tree.Details(t.Context()); err != nil || len(d.Quotas) != 2 {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestFoldersAndDetailsNeedNoIndex: with nothing at hand, whoever opens a
// snapshot and finds its details unchanged has read them all with its root.
func TestFoldersAndDetailsNeedNoIndex(t *testing.T) {
	t.Parallel()
	store := objects.Counted(objects.NewMemory())
	r := newRepository(t, store, "")
	s, before := detailed(t, r, "alice", someDetails())
	r = openRepository(t, store, Options{})
	w, err := r.Writer(t.Context(), s.Vault)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	asked := store.Snapshot()
	tree, err := r.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := tree.Details(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	saved, err := w.SaveDetails(d, tree)
	if err != nil || !saved.Same(tree) || len(saved.pieces) != len(before.pieces) {
		t.Errorf("%+v, %v", saved, err)
	}
	if n := store.Snapshot().Since(asked); n.Requests != 1 {
		t.Errorf("%d requests: %+v", n.Requests, n)
	}
}
