package storage

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/index"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// TestWhoGivesUpReadingEndsNobodyElsesReading: two read the same segment at the
// same time, so one waits for what the other reads, and that one is cancelled.
func TestWhoGivesUpReadingEndsNobodyElsesReading(t *testing.T) {
	t.Parallel()
	outsideBubbles(t)
	synctest.Test(t, func(t *testing.T) {
		store := objectstest.NewFaulty(objects.NewMemory(), 1)
		mail := testMail(rand.New(rand.NewPCG(70, 1)), 3)
		r := newRepository(t, store, "")
		s := backUp(t, r, "alice", 1, mail)
		r.Close()
		r = openRepository(t, store, Options{NoCache: true})
		tree, err := r.OpenSnapshot(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := tree.Folder([]string{"INBOX"}).Message(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}

		store.Add(objectstest.Rule{Fault: objectstest.Hang, On: objectstest.Get, Prefix: "packs/", Times: 1})
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { first <- r.WriteMessage(ctx, new(bytes.Buffer), s.Vault, m.Recipe) }()
		synctest.Wait() // until the store keeps it waiting
		var got bytes.Buffer
		second := make(chan error, 1)
		go func() { second <- r.WriteMessage(t.Context(), &got, s.Vault, m.Recipe) }()
		synctest.Wait() // until it waits for the first one
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("whoever was cancelled: %v", err)
		}
		if err := <-second; err != nil || !bytes.Equal(got.Bytes(), mail[1]) {
			t.Errorf("the other one: %v", err)
		}
	})
}

// TestTableThatAnotherGoroutineFindsDamagedIsMadeAgain: between its look whether
// all packs are covered and its lookup, another one meets a damaged table, and
// drops it with what it covered.
func TestTableThatAnotherGoroutineFindsDamagedIsMadeAgain(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	cache := t.TempDir()
	r := newRepository(t, store, cache)
	s := backUp(t, r, "alice", 1, testMail(rand.New(rand.NewPCG(70, 2)), 30))
	v, err := r.vault(t.Context(), s.Vault)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(r.CacheDir(), "index", "*", "*.table"))
	if err != nil || len(tables) != 1 {
		t.Fatal(tables, err)
	}
	f, err := os.OpenFile(tables[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("rubbish"), 0); err != nil {
		t.Fatal(err)
	}
	live, found, calls := func(ulid.ULID) bool { return true }, false, 0
	err = v.withIndex(t.Context(), func() (err error) {
		if calls++; calls == 1 { // as if it had come in between
			if _, _, err := v.index.Lookup(s.Root, live); !errors.Is(err, index.ErrDamaged) {
				t.Fatalf("the damage is not noticed: %v", err)
			}
		}
		_, found, err = v.index.Lookup(s.Root, live)
		return err
	})
	if err != nil || !found {
		t.Errorf("the root is found: %v, %v", found, err)
	}
}
