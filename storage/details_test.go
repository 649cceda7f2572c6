package storage

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"restante/storage/objects"
)

// detailed commits a snapshot of an account with details.
func detailed(t *testing.T, r *Repository, account string, d *Details) (Snapshot, SavedDetails) {
	t.Helper()
	w, err := r.Writer(t.Context(), mustVault(t, r))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	draft := w.Draft(nil)
	draft.Describe(func(f *Folder) { f.Levels = []string{"INBOX"} })
	folder, err := draft.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	saved, err := w.SaveDetails(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := Snapshot{ID: NewID(), Account: account}
	if err := w.SaveTreeWith("test", []SavedFolder{folder}, saved, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	return s, saved
}

func someDetails() *Details {
	return &Details{
		Quotas:   []Quota{{Root: "User quota", Resources: []Resource{{Name: "STORAGE", Usage: 10, Limit: 512}}}, {Root: ""}},
		Folders:  []FolderDetails{{Levels: []string{"INBOX"}, Rights: "lrsa", ACL: []Grant{{Identifier: "bob", Rights: "lr"}}, Quotas: []string{"User quota"}, Metadata: []Annotation{{Entry: "/private/comment", Value: []byte("a\x00b")}}}},
		Metadata: []Annotation{{Entry: "/shared/admin", Value: []byte("mailto:x")}},
		Scripts:  []Script{{Name: "main", Octets: []byte("keep;\r\n"), Active: true}},
	}
}

func TestDetailsComeBack(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	s, _ := detailed(t, r, "alice", someDetails())
	plain := backUp(t, r, "bob", 1, testMail(rand.New(rand.NewPCG(1, 1)), 1))
	r = openRepository(t, store, Options{CacheDir: t.TempDir()})
	tree, err := r.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := tree.Details(t.Context())
	if err != nil || !reflect.DeepEqual(d, someDetails()) {
		t.Errorf("%+v, %v", d, err)
	}
	if f := d.Folder([]string{"INBOX"}); f == nil || f.Rights != "lrsa" || d.Folder([]string{"x"}) != nil {
		t.Errorf("%+v", f)
	}
	if tree, err = r.OpenSnapshot(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	if d, err := tree.Details(t.Context()); d != nil || err != nil {
		t.Errorf("of a snapshot without details: %+v, %v", d, err)
	}
}

// What did not change is not written again: with another usage of a quota it is
// one small piece that is new.
func TestDetailsThatDidNotChangeAreTheSameBlobs(t *testing.T) {
	t.Parallel()
	r := newRepository(t, objects.NewMemory(), t.TempDir())
	first, one := detailed(t, r, "alice", someDetails())
	second, _ := detailed(t, r, "alice", someDetails())
	if first.Root != second.Root {
		t.Error("the same details made another tree")
	}
	other := someDetails()
	other.Quotas[0].Resources[0].Usage++
	_, three := detailed(t, r, "alice", other)
	if one.pieces[0] == three.pieces[0] || !reflect.DeepEqual(one.pieces[1:], three.pieces[1:]) {
		t.Errorf("%x and %x", one.pieces, three.pieces)
	}
}

// Details alone keep a pack, and its loss is found.
func TestDetailsAreReached(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	gone, _ := detailed(t, r, "bob", someDetails())
	kept, _ := detailed(t, r, "alice", someDetails()) // in the pack of the other
	forget(t, r, gone)
	prune(t, r, everything)
	wantClean(t, store)
	tree, err := openRepository(t, store, Options{}).OpenSnapshot(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := tree.Details(t.Context()); err != nil || len(d.Scripts) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestCheckFindsDetailsThatAreLost(t *testing.T) {
	t.Parallel()
	r := newRepository(t, objects.NewMemory(), t.TempDir())
	w, err := r.Writer(t.Context(), mustVault(t, r))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := Snapshot{ID: NewID(), Account: "alice"}
	if err := w.SaveTreeWith("test", nil, SavedDetails{pieces: []BlobID{{1}}}, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	c, err := r.Check(t.Context(), CheckOptions{})
	if err != nil || len(c.Findings) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := r.Prune(t.Context(), everything); !errors.Is(err, ErrMissing) {
		t.Errorf("a prune says %v", err)
	}
}
