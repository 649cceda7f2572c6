package storage

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"restante/storage/ledger"
	"restante/storage/objects"
)

// TestEveryCrashPointOfBackup: wherever the store fails during a backup,
// nothing is lost, a check finds nothing, the next run does what was left, and
// whoever was told that it is done finds it so.
func TestEveryCrashPointOfBackup(t *testing.T) {
	t.Parallel()
	outsideBubbles(t)
	rnd := rand.New(rand.NewPCG(51, 1))
	old, more := testMail(rnd, 20), testMail(rnd, 5)
	base := objects.NewMemory()
	r := newRepository(t, base, "")
	first := backUp(t, r, "alice", 1, old)
	r.Close()

	backup := func(ctx context.Context, store objects.Store) error {
		r, err := Open(ctx, store, Passphrase(testPassphrase), Options{})
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = tryBackUp(ctx, r, "alice", 21, more)
		return err
	}
	done := func(t *testing.T, r *Repository) (done bool) {
		for _, s := range r.Snapshots("alice") {
			if s.ID != first.ID {
				wantMail(t, r, s, slices.Concat(old, more))
				done = true
			}
		}
		return done
	}
	everyCrashPoint(t, base, backup, func(t *testing.T, store *objects.Memory, told error) {
		r := openRepository(t, store, Options{})
		isDone := done(t, r)
		if told == nil && !isDone {
			t.Fatal("it was told to be done, and is not")
		}
		wantMail(t, r, first, old)
		wantNoFindings(t, r)
		if !isDone {
			if err := backup(t.Context(), store); err != nil {
				t.Fatalf("the next run: %v", err)
			}
			if r := openRepository(t, store, Options{}); !done(t, r) {
				t.Fatal("the next run did not do it")
			}
		}
	})
}

// wantNoFindings fails unless a check that reads all data finds nothing.
func wantNoFindings(t *testing.T, r *Repository) {
	t.Helper()
	if f := mustFindings(t, r); len(f) > 0 {
		t.Fatalf("%v", f)
	}
	r.ledger.View(func(s *ledger.State) {
		if len(s.Violations) > 0 {
			t.Fatalf("%q", s.Violations)
		}
	})
}
