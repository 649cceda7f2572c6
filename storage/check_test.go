package storage

import (
	"math/rand/v2"
	"strings"
	"testing"

	"restante/storage/objects"
)

// manyCommits makes a repository with two accounts and some indexes.
func manyCommits(t *testing.T, store objects.Store, cache string) *Repository {
	t.Helper()
	r := newRepository(t, store, cache)
	mail := testMail(rand.New(rand.NewPCG(7, 7)), 400)
	for n := 0; n < len(mail); n += 40 {
		backUp(t, r, "alice", uint32(n+1), mail[n:n+40])
		backUp(t, r, "bob", uint32(n/2+1), mail[n:n+20])
	}
	return r
}

func mustCheck(t *testing.T, r *Repository) []Finding {
	t.Helper()
	c, err := r.Check(t.Context(), CheckOptions{ReadData: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Findings) == 0 && (c.Packs == 0 || c.Indexes == 0 || c.Snapshots < 18 || c.Messages == 0 || c.PacksRead == 0) {
		t.Errorf("the check went through %+v", *c)
	}
	if len(c.Findings) == 0 && c.Unneeded > 0 {
		// The one sign that the last entry of the ledger was taken away.
		c.Findings = append(c.Findings, Finding{"packs", "unneeded packs"})
	}
	return c.Findings
}

func TestCheckOfASoundRepositoryFindsNothing(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := manyCommits(t, store, t.TempDir())
	if f := mustCheck(t, r); len(f) > 0 {
		t.Errorf("%v", f)
	}
	if f := mustCheck(t, openRepository(t, store, Options{})); len(f) > 0 {
		t.Errorf("cold: %v", f)
	}
}

func TestCheckFindsEveryDamagedMissingOrSwappedObject(t *testing.T) {
	t.Parallel()
	source := objects.NewMemory()
	manyCommits(t, source, t.TempDir()).Close()
	var names []string
	for info := range source.List(t.Context(), "", "") {
		names = append(names, info.Name)
	}
	r := rand.New(rand.NewPCG(8, 8))
	for _, how := range []string{"flipped", "truncated", "missing", "swapped"} {
		for _, name := range names {
			if strings.HasPrefix(name, "checkpoints/") {
				continue // a cache; a damaged one is passed over
			}
			store := objects.NewMemory()
			var first, second string // two of the same kind, to swap
			for _, n := range names {
				b, err := source.Get(t.Context(), n, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				if err := store.Put(t.Context(), n, b); err != nil {
					t.Fatal(err)
				}
				if n != name && strings.Split(n, "/")[0] == strings.Split(name, "/")[0] {
					second = n
				}
			}
			first = name
			b, _ := store.Get(t.Context(), name, 0, -1)
			switch how {
			case "flipped":
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
				store.Put(t.Context(), name, b)
			case "truncated":
				store.Put(t.Context(), name, b[:r.IntN(len(b))])
			case "missing":
				store.Delete(t.Context(), name)
			case "swapped":
				if second == "" {
					continue
				}
				other, _ := store.Get(t.Context(), second, 0, -1)
				store.Put(t.Context(), first, other)
				store.Put(t.Context(), second, b)
			}
			repo, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{})
			if err != nil {
				continue // found at once
			}
			padding := strings.HasPrefix(name, "packs/") && how == "flipped"
			if f := mustCheck(t, repo); len(f) == 0 && !padding {
				t.Errorf("%s %s: nothing found", name, how)
			} else if len(f) == 0 && !sameSegments(t, source, store, name) {
				t.Errorf("%s %s: nothing found, and it is not the padding that changed", name, how)
			}
			repo.Close()
		}
	}
}

// sameSegments says whether a pack differs from the original in its padding
// only.
func sameSegments(t *testing.T, a, b objects.Store, name string) bool {
	t.Helper()
	r := openRepository(t, a, Options{})
	vaultID, _ := r.VaultID(DefaultVault)
	v, err := r.vault(t.Context(), vaultID)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.packs() {
		if packName(p.ID) != name {
			continue
		}
		x, _ := a.Get(t.Context(), name, 0, -1)
		y, _ := b.Get(t.Context(), name, 0, -1)
		d, err := v.readDirectory(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		last := d[len(d)-1]
		end := last.Offset + int64(last.Box)
		return string(x[:end]) == string(y[:end])
	}
	return false
}

func TestDamageIsNeverGivenOutAsMail(t *testing.T) {
	t.Parallel()
	source := objects.NewMemory()
	first := newRepository(t, source, "")
	mail := testMail(rand.New(rand.NewPCG(9, 9)), 50)
	s := backUp(t, first, "alice", 1, mail)
	r := rand.New(rand.NewPCG(10, 10))
	failed := 0
	for range 200 {
		store := objects.NewMemory()
		for info := range source.List(t.Context(), "", "") {
			b, _ := source.Get(t.Context(), info.Name, 0, -1)
			if strings.HasPrefix(info.Name, "packs/") {
				b[r.IntN(len(b)/2)] ^= 1 << r.IntN(8)
			}
			store.Put(t.Context(), info.Name, b)
		}
		repo, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{})
		if err != nil {
			t.Fatal(err)
		}
		tree, err := repo.OpenSnapshot(t.Context(), s)
		if err != nil {
			failed++
			continue
		}
		i := 0
		for m, err := range tree.Folders[0].All(t.Context()) {
			var got strings.Builder
			if err == nil {
				err = repo.WriteMessage(t.Context(), &got, s.Vault, m.Recipe)
			}
			if err != nil {
				failed++
				break
			}
			if got.String() != string(mail[i]) {
				t.Fatal("wrong octets without an error")
			}
			i++
		}
		repo.Close()
	}
	if failed == 0 {
		t.Error("no flipped bit hit anything; the test shows nothing")
	}
}
