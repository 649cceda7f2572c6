package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/storage/internal/pack"
	"restante/storage/ledger"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// condemn appends a condemn entry and then deletes the packs, as a pruner does.
func condemn(t *testing.T, r *Repository, packs []ledger.Pack, relocated []ledger.Pack) {
	t.Helper()
	var body ledger.Condemn
	for _, p := range packs {
		c := ledger.Condemned{Pack: p.ID}
		for _, to := range relocated {
			c.Relocated = append(c.Relocated, to.ID)
		}
		body.Condemned = append(body.Condemned, c)
	}
	body.Packs = relocated
	if err := r.ledger.Append(t.Context(), func(*ledger.State) (ledger.Body, error) { return &body, nil }); err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if err := r.store.Delete(t.Context(), packName(p.ID)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCommitThatReachesACondemnedPackIsRefused(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	a := newRepository(t, store, t.TempDir())
	pruner := openRepository(t, store, Options{})
	mail := testMail(rand.New(rand.NewPCG(20, 1)), 30)
	first := backUp(t, a, "gone", 1, mail)

	// a saves the same mail for another account: all of it is there already …
	vaultID, _ := a.VaultID(DefaultVault)
	w, err := a.Writer(t.Context(), vaultID)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d := w.Draft(nil)
	d.Describe(func(f *Folder) { f.Levels = []string{"INBOX"} })
	var list []Message
	for i, m := range mail {
		saved, err := w.SaveMessage(strings.NewReader(string(m)), int64(len(m)))
		if err != nil || saved.New {
			t.Fatalf("new %v, %v", saved.New, err)
		}
		list = append(list, Message{UID: uint32(i + 1), Size: int64(len(m)), Recipe: saved.Recipe, Flags: []string{`\Seen`}})
	}
	if err := d.Add(list); err != nil {
		t.Fatal(err)
	}
	folder, err := d.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := Snapshot{ID: NewID(), Account: "alice"}
	if err := w.SaveTree("test", []SavedFolder{folder}, &s); err != nil {
		t.Fatal(err)
	}
	// … when a pruner finds that nobody needs it any more.
	if err := pruner.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := pruner.Forget(t.Context(), []ID{first.ID}, "test"); err != nil {
		t.Fatal(err)
	}
	condemn(t, pruner, pruner.packs(), nil)
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); !errors.Is(err, ErrPruned) {
		t.Fatalf("a commit that reaches a condemned pack: %v", err)
	}
	// Begun again, it stores the mail again.
	again := backUp(t, a, "alice", 1, mail)
	wantMail(t, a, again, mail)
	wantMail(t, openRepository(t, store, Options{}), again, mail)
}

func TestCommitOnAForgottenParentIsRefused(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	mail := testMail(rand.New(rand.NewPCG(20, 2)), 5)
	first := backUp(t, r, "alice", 1, mail)
	vaultID, _ := r.VaultID(DefaultVault)
	w, err := r.Writer(t.Context(), vaultID)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := first
	s.ID, s.Parent = NewID(), first.ID
	if err := r.Forget(t.Context(), []ID{first.ID}, "test"); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); !errors.Is(err, ErrPruned) {
		t.Errorf("as a parent: %v", err)
	}
	s.Parent = ID{}
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, []ID{first.ID}); !errors.Is(err, ErrPruned) {
		t.Errorf("as a base: %v", err)
	}
}

func TestReaderFollowsBlobsThatWereMovedToAnotherPack(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	a := newRepository(t, store, t.TempDir())
	mail := testMail(rand.New(rand.NewPCG(20, 3)), 200)
	s := backUp(t, a, "alice", 1, mail)
	reader := openRepository(t, store, Options{})
	wantMail(t, reader, s, mail[:200])
	reader.segments = newSegmentCache(1) // nothing is kept
	reader.cache.clear()

	// Another machine copies all segments to a new pack, as they are.
	v, err := a.vault(t.Context(), s.Vault)
	if err != nil {
		t.Fatal(err)
	}
	old := a.packs()
	b := pack.NewBuilder(&v.scope, newName())
	blobs := 0
	for _, p := range old {
		octets, err := store.Get(t.Context(), packName(p.ID), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		dir, err := v.readDirectory(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, seg := range dir {
			b.Add(seg.Class, octets[seg.Offset:][:seg.Box], seg.Raw, seg.IDs, seg.Lengths)
			blobs += len(seg.IDs)
		}
	}
	octets, _, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), packName(b.ID()), octets); err != nil {
		t.Fatal(err)
	}
	condemn(t, a, old, []ledger.Pack{{ID: b.ID(), Vault: s.Vault, Size: int64(len(octets)), Blobs: blobs}})

	wantMail(t, reader, s, mail)
	wantMail(t, a, s, mail)
	if f := mustFindings(t, a); len(f) > 0 {
		t.Errorf("%v", f)
	}
}

// TestReaderFollowsBlobsThatAreMovedAgainWhileItLooks moves them again each
// time that the reader has read where they are.
func TestReaderFollowsBlobsThatAreMovedAgainWhileItLooks(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	a := newRepository(t, memory, t.TempDir())
	mail := testMail(rand.New(rand.NewPCG(20, 5)), 30)
	s := backUp(t, a, "alice", 1, mail)
	for i := range gatherFrom + 2 {
		backUp(t, a, fmt.Sprint("account ", i), 1, mail[:1])
	}
	store := objectstest.NewFaulty(memory, 1)
	reader := openRepository(t, store, Options{SegmentMemory: 1})
	moves := 0
	var mu sync.Mutex
	store.Before(func(_ context.Context, op objectstest.Op, name string) {
		mu.Lock()
		defer mu.Unlock()
		if moves < 4 && op == objectstest.Get && strings.HasPrefix(name, "packs/") {
			moves++
			more := testMail(rand.New(rand.NewPCG(20, uint64(5+moves))), gatherFrom)
			for i, m := range more { // small packs, for it to be gathered with
				backUp(t, a, fmt.Sprint("account ", moves, i), 1, [][]byte{m})
			}
			if p := prune(t, a, everything); p.Rewritten.Packs == 0 {
				t.Errorf("nothing was moved: %+v", p)
			}
		}
	})
	wantMail(t, reader, s, mail)
	if moves != 4 {
		t.Errorf("%d moves", moves)
	}
}

func mustFindings(t *testing.T, r *Repository) []Finding {
	t.Helper()
	c, err := r.Check(t.Context(), CheckOptions{ReadData: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c.Findings
}

func TestMissingPackIsAHardErrorThatNamesTheBlob(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, "")
	s := backUp(t, r, "alice", 1, testMail(rand.New(rand.NewPCG(20, 4)), 5))
	r.segments = newSegmentCache(1)
	for _, p := range r.packs() {
		if err := store.Delete(t.Context(), packName(p.ID)); err != nil {
			t.Fatal(err)
		}
	}
	r.cache.clear()
	_, err := r.OpenSnapshot(t.Context(), s)
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), fmt.Sprintf("%x", s.Root)) {
		t.Errorf("%v", err)
	}
}

// TestWritersOnATroubledStoreLoseNothingThatWasAcknowledged lets several
// machines commit at once, with lost replies, late writes and errors.
func TestWritersOnATroubledStoreLoseNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		memory := objects.NewMemory()
		newRepository(t, memory, "").Close()
		const writers, each = 3, 8
		var wg sync.WaitGroup
		var mu sync.Mutex
		acknowledged := map[ID][][]byte{}
		for n := range writers {
			cache := t.TempDir()
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(n)))
				account := fmt.Sprint("account ", n)
				var mail [][]byte
				for i := range each {
					faulty := objectstest.NewFaulty(memory, seed*1000+uint64(n*100+i), objectstest.Trouble(0.04)...)
					defer faulty.Settle()
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					repo, err := Open(ctx, faulty, Passphrase(testPassphrase), Options{CacheDir: cache})
					if err != nil {
						continue
					}
					more := testMail(r, 1+r.IntN(40))
					s, err := tryBackUp(ctx, repo, account, uint32(len(mail)+1), more)
					repo.Close()
					if err == nil {
						mail = append(mail, more...)
						mu.Lock()
						acknowledged[s.ID] = mail[:len(mail):len(mail)]
						mu.Unlock()
					} else {
						return // whether it is there nobody knows; the UIDs are used up
					}
				}
			})
		}
		wg.Wait()
		r := openRepository(t, memory, Options{})
		for id, mail := range acknowledged {
			var s Snapshot
			var there bool
			r.ledger.View(func(st *ledger.State) { s, there = st.Snapshot(id) })
			if !there {
				t.Fatalf("seed %d: acknowledged snapshot %s is not there", seed, id.Short())
			}
			wantMail(t, r, s, mail)
		}
		if f := mustFindings(t, r); len(f) > 0 {
			t.Errorf("seed %d: %v", seed, f)
		}
	}
}
