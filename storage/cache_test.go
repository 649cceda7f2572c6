package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"restante/storage/internal/pack"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// useAll opens, restores, backs up, counts and checks: whatever its cache is
// like, a sound repository must do it all.
func (sp *specimen) useAll(t *testing.T, what string, store objects.Store, o Options) {
	t.Helper()
	for _, stale := range []bool{false, true} {
		o.Stale = stale
		r, err := Open(t.Context(), store, Passphrase(testPassphrase), o)
		if err != nil {
			t.Errorf("%s, stale %v: %v", what, stale, err)
			return
		}
		if !stale {
			sp.wantRestored(t, what, damage{}, r)
		} else if err := backUpOnTop(t.Context(), r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := r.Stats(t.Context()); err != nil {
			t.Errorf("%s: count: %v", what, err)
		}
		if c, err := r.Check(t.Context(), CheckOptions{}); err != nil || len(c.Findings) > 0 {
			t.Errorf("%s: check: %v %v", what, err, c)
		}
		if err := r.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}
}

// backUpOnTop commits one more snapshot of alice with a message more, often
// enough that tables are merged and indexes gathered.
func backUpOnTop(ctx context.Context, r *Repository) error {
	random := rand.New(rand.NewPCG(5, 5))
	for range 10 {
		latest, ok := r.Latest("alice")
		if !ok {
			return errors.New("alice has no snapshot")
		}
		tree, err := r.OpenSnapshot(ctx, latest)
		if err != nil {
			return err
		}
		w, err := r.Writer(ctx, latest.Vault)
		if err != nil {
			return err
		}
		defer w.Close()
		d := w.Draft(tree.Folders[0])
		octets := specimenMessage(random)
		saved, err := w.SaveMessage(bytes.NewReader(octets), int64(len(octets)))
		if err != nil {
			return err
		}
		if err := d.Add([]Message{{UID: uint32(1000 + random.IntN(1e9)), Size: int64(len(octets)), Recipe: saved.Recipe}}); err != nil {
			return err
		}
		f, err := d.Save(ctx)
		if err != nil {
			return err
		}
		s := Snapshot{ID: NewID(), Account: "alice", Parent: latest.ID, Started: latest.Started}
		if err := w.SaveTree("test", []SavedFolder{f}, &s); err != nil {
			return err
		}
		if err := w.Commit(ctx, []Snapshot{s}, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// TestDamagedCacheCostsNothingButTime damages each file of a cache in turn.
func TestDamagedCacheCostsNothingButTime(t *testing.T) {
	t.Parallel()
	sp := mustSpecimen(t)
	files := slices.Sorted(maps.Keys(sp.cache))
	random := rand.New(rand.NewPCG(3, 3))
	structure := 0
	for i, name := range files {
		if strings.Contains(name, "/structure/") {
			if structure++; structure%8 != 1 && os.Getenv("RESTANTE_LONG") == "" {
				continue // they are all alike
			}
		}
		b := sp.cache[name]
		other := files[(i+1)%len(files)]
		for _, n := range files { // rather one that could pass for it
			if n != name && filepath.Dir(n) == filepath.Dir(name) && len(sp.cache[n]) == len(b) {
				other = n
			}
		}
		flipped := bytes.Clone(b)
		flipped[random.IntN(len(b))] ^= 1 << random.IntN(8)
		hows := map[string][]byte{"flipped": flipped, "short": b[:random.IntN(len(b))], "empty": {}, "another file": sp.cache[other], "gone": nil, "a directory": nil}
		list := slices.Sorted(maps.Keys(hows))
		if os.Getenv("RESTANTE_LONG") == "" {
			list = []string{list[i%len(list)], "flipped"}
		}
		for _, how := range list {
			cache := sp.copyCache(t)
			path := filepath.Join(cache, name)
			err := os.Remove(path)
			switch how {
			case "gone":
			case "a directory":
				err = errors.Join(err, os.Mkdir(path, 0o700))
			default:
				err = errors.Join(err, os.WriteFile(path, hows[how], 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			sp.useAll(t, name+": "+how, sp.copy(t), Options{CacheDir: cache})
		}
	}
}

// TestCacheIsDeletedAtEveryMoment deletes the cache before one of the
// requests of a run, and then once before every single one.
func TestCacheIsDeletedAtEveryMoment(t *testing.T) {
	t.Parallel()
	sp := mustSpecimen(t)
	step := 16
	if os.Getenv("RESTANTE_LONG") != "" {
		step = 1
	}
	for at := -1; ; at += step {
		store := objectstest.NewFaulty(sp.copy(t), 1)
		cache := sp.copyCache(t)
		n := 0
		store.Before(func(context.Context, objectstest.Op, string) {
			if at < 0 || n == at {
				if err := os.RemoveAll(cache); err != nil && !errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "not empty") {
					t.Error(err)
				}
			}
			n++
		})
		r, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{CacheDir: cache})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sp.mail[len(sp.mail)-3:] {
			sp.wantSnapshot(t, fmt.Sprint("deleted before request ", at), damage{}, r, s, true)
		}
		if err := backUpOnTop(t.Context(), r); err != nil {
			t.Fatalf("deleted before request %d: %v", at, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if at >= n {
			return
		}
	}
}

// TestWhereTheCacheCannotBeWrittenItIsDoneWithout stands for a full disk, too:
// what cannot be made or written fails alike.
func TestWhereTheCacheCannotBeWrittenItIsDoneWithout(t *testing.T) {
	t.Parallel()
	sp := mustSpecimen(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sp.useAll(t, "its place is a file", sp.copy(t), Options{CacheDir: file})
	for _, part := range []string{"index", "structure", "keys"} {
		cache := t.TempDir()
		c := openCache(Options{CacheDir: cache}, objects.NewMemory().Location())
		if err := errors.Join(os.MkdirAll(c.dir, 0o700), os.WriteFile(filepath.Join(c.dir, part), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		sp.useAll(t, part+" is a file", sp.copy(t), Options{CacheDir: cache})
	}
}

// TestNoCacheKeepsNothingOnDisk: neither where this process is, nor where
// temporary files go.
func TestNoCacheKeepsNothingOnDisk(t *testing.T) {
	sp := mustSpecimen(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Chdir(dir)
	store := sp.copy(t)
	sp.useAll(t, "no cache", store, Options{NoCache: true})
	r, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{NoCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Prune(t.Context(), everything); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("on disk: %v %v", left, err)
	}
}

// TestPruneDoesWithoutACache: it is deleted, or its place is a file.
func TestPruneDoesWithoutACache(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"deleted", "a file"} {
		store, cache := objects.NewMemory(), filepath.Join(t.TempDir(), "cache")
		r := newRepository(t, store, cache)
		t.Cleanup(func() { r.Close() })
		mail := testMail(rand.New(rand.NewPCG(1, 8)), 400)
		gone := []Snapshot{backUp(t, r, "one", 1, mail[:200]), backUp(t, r, "other", 1, mail[200:])}
		few := slices.Concat(mail[:2], mail[200:202])
		kept := backUp(t, r, "kept", 1, few)
		for i := range 16 { // packs of more than one table
			backUp(t, r, "nights", uint32(1+i), testMail(rand.New(rand.NewPCG(2, uint64(i))), 1))
		}
		forget(t, r, gone...)
		if err := os.RemoveAll(cache); err != nil {
			t.Fatal(err)
		}
		if place == "a file" {
			if err := os.WriteFile(cache, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if p, err := r.Prune(t.Context(), everything); err != nil || p.Rewritten.Packs == 0 {
			t.Fatalf("%s: %+v, %v", place, p, err)
		}
		wantMail(t, r, kept, few)
		wantClean(t, store)
		if left, _ := filepath.Glob(filepath.Join(cache, "*", prunePrefix+"*")); len(left) > 0 {
			t.Errorf("%s: left in the cache: %v", place, left)
		}
	}
}

// TestCachePutBackFromABackupIsOnlyOlder: the cache is that of some commits
// ago.
func TestCachePutBackFromABackupIsOnlyOlder(t *testing.T) {
	t.Parallel()
	sp := mustSpecimen(t)
	store := sp.copy(t)
	cache := t.TempDir()
	r := openRepository(t, store, Options{CacheDir: cache})
	if err := backUpOnTop(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	latest, _ := r.Latest("alice")
	r.Close()
	for range 3 {
		older := sp.copyCache(t)
		sp.useAll(t, "older", store, Options{CacheDir: older})
	}
	again := openRepository(t, store, Options{CacheDir: sp.copyCache(t)})
	if _, err := again.At("alice", Point{id: latest.ID.String()}); err != nil {
		t.Error(err)
	}
}

// TestProcessesShareACache lets two processes' worth of repositories work at
// once on one cache, which a third deletes again and again.
func TestProcessesShareACache(t *testing.T) {
	t.Parallel()
	sp := mustSpecimen(t)
	store := sp.copy(t)
	cache := sp.copyCache(t)
	results := make(chan error, 3)
	for n := range cap(results) {
		go func() {
			results <- func() error {
				for round := range 3 {
					r, err := Open(context.Background(), store, Passphrase(testPassphrase), Options{CacheDir: cache, Stale: n == 0})
					if err != nil {
						return err
					}
					if n == 2 && round == 1 {
						os.RemoveAll(cache) // may fail while others write into it
					}
					for range 3 {
						if err = backUpAs(context.Background(), r, fmt.Sprint("process ", n)); err != nil {
							return err
						}
					}
					if err := r.Close(); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	r := openRepository(t, store, Options{CacheDir: cache})
	sp.wantRestored(t, "after all", damage{}, r)
	for n := range cap(results) {
		if list := r.Snapshots(fmt.Sprint("process ", n)); len(list) != 9 {
			t.Errorf("process %d has %d snapshots", n, len(list))
		}
	}
	if f := mustFindings(t, r); len(f) > 0 {
		t.Errorf("%v", f)
	}
}

func backUpAs(ctx context.Context, r *Repository, account string) error {
	_, err := tryBackUp(ctx, r, account, uint32(1000*len(r.Snapshots(account))+1), testMail(rand.New(rand.NewPCG(1, uint64(len(account)))), 5))
	return err
}

// TestBlobInTwoPacksOutlivesOneOfThem: two machines stored the same mail at
// the same time, and one of the packs is lost.
func TestBlobInTwoPacksOutlivesOneOfThem(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	first := newRepository(t, store, t.TempDir())
	second := openRepository(t, store, Options{})
	mail := testMail(rand.New(rand.NewPCG(30, 1)), 30)
	// The second machine has looked for new entries before the first commits,
	// and does not look again.
	held := objectstest.NewFaulty(store, 1)
	second.store = held
	vaultID, _ := second.VaultID(DefaultVault)
	w, err := second.Writer(t.Context(), vaultID)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, m := range mail {
		if _, err := w.SaveMessage(bytes.NewReader(m), int64(len(m))); err != nil {
			t.Fatal(err)
		}
	}
	a := backUp(t, first, "alice", 1, mail)
	if err := w.Commit(t.Context(), nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	b := backUp(t, second, "bob", 1, mail)
	packs := first.packs()
	if err := first.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range packs { // those of the first commit
		octets, err := store.Get(t.Context(), packName(p.ID), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		dir, err := second.vaults[vaultID].readDirectory(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range dir {
			if s.Class != pack.Structure { // the list of alice's folder is nowhere else
				octets[s.Offset+30] ^= 1
			}
		}
		if err := store.Put(t.Context(), packName(p.ID), octets); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []*Repository{first, second, openRepository(t, store, Options{})} {
		r.segments = newSegmentCache(1)
		wantMail(t, r, a, mail)
		wantMail(t, r, b, mail)
	}
}

// TestStructureOfAnotherPackInTheCacheIsNotBelieved: a segment's box is not
// tied to its pack, so one of the same length opens in its place.
func TestStructureOfAnotherPackInTheCacheIsNotBelieved(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	cache := t.TempDir()
	r := newRepository(t, store, cache)
	mail := [][]byte{[]byte("Subject: 1\r\n\r\n"), []byte("Subject: 2\r\n\r\n")}
	a := backUp(t, r, "alice", 1, mail[:1])
	b := backUp(t, r, "bob", 2, mail[1:]) // another UID: the flags are not shared
	dir := r.CacheDir()
	r.Close()
	files, err := filepath.Glob(filepath.Join(dir, "structure", "*"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	x, errX := os.ReadFile(files[0])
	y, errY := os.ReadFile(files[1])
	if err := errors.Join(errX, errY, os.WriteFile(files[0], y, 0o600), os.WriteFile(files[1], x, 0o600)); err != nil {
		t.Fatal(err)
	}
	r = openRepository(t, store, Options{CacheDir: cache})
	v, err := r.vault(t.Context(), a.Vault)
	if err != nil {
		t.Fatal(err)
	}
	l, found, err := v.locate(t.Context(), a.Root)
	if err != nil || !found {
		t.Fatal(err)
	}
	for _, box := range [][]byte{x, y} {
		if _, err := v.scope.OpenSegment(pack.Structure, box, l.Raw); err != nil {
			t.Fatal("the boxes cannot be taken for each other; the test shows nothing")
		}
	}
	wantMail(t, r, a, mail[:1])
	wantMail(t, r, b, mail[1:])
}
