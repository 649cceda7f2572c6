package storage

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"restante/storage/ledger"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// TestEveryCrashPointOfBackupAndKeyChange has the store fail at the k-th
// operation of a backup and of a change of keys: before it, after it, late, and
// for good from then on. Afterwards nothing is lost, a check finds nothing, the
// next run does what was left, and whoever was told that something is done
// finds it so.
func TestEveryCrashPointOfBackupAndKeyChange(t *testing.T) {
	t.Parallel()
	newRepository(t, objects.NewMemory(), "").Close() // what is made once for all tests is not of a bubble
	rnd := rand.New(rand.NewPCG(51, 1))
	old, more := testMail(rnd, 20), testMail(rnd, 5)
	base := objects.NewMemory()
	r := newRepository(t, base, "")
	first := backUp(t, r, "alice", 1, old)
	r.Close()
	const passphrase = "another passphrase"

	works := map[string]struct {
		do   func(ctx context.Context, r *Repository) error
		done func(t *testing.T, store objects.Store) bool // what do does is so
	}{
		"backup": {
			func(ctx context.Context, r *Repository) error {
				_, err := tryBackUp(ctx, r, "alice", 21, more)
				return err
			},
			func(t *testing.T, store objects.Store) bool {
				r := openRepository(t, store, Options{})
				done := false
				for _, s := range r.Snapshots("alice") {
					if s.ID != first.ID {
						wantMail(t, r, s, slices.Concat(old, more))
						done = true
					}
				}
				return done
			},
		},
		"key change": {
			func(ctx context.Context, r *Repository) error {
				_, err := r.AddKey(ctx, Lock{Passphrase: passphrase, WorkFactor: 1, Label: "new"})
				return err
			},
			func(t *testing.T, store objects.Store) bool {
				r, err := Open(t.Context(), store, Passphrase(passphrase), Options{})
				if errors.Is(err, ErrWrongKey) {
					return false
				}
				if err != nil {
					t.Fatal(err)
				}
				wantMail(t, r, first, old)
				return r.Close() == nil
			},
		},
	}
	for name, work := range works {
		var operations []objectstest.Op
		synctest.Test(t, func(t *testing.T) {
			store := objectstest.NewFaulty(copyStore(t, base), 1)
			r := openRepository(t, store, Options{})
			store.Before(func(_ context.Context, op objectstest.Op, _ string) { operations = append(operations, op) })
			if err := work.do(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		})
		failed := 0
		for k := range operations {
			for _, fault := range []objectstest.Fault{"dead", objectstest.FailBefore, objectstest.FailAfter, objectstest.FailLate} {
				synctest.Test(t, func(t *testing.T) {
					memory := copyStore(t, base)
					store := objectstest.NewFaulty(memory, uint64(k))
					r := openRepository(t, store, Options{})
					ctx, die := context.WithCancel(t.Context())
					defer die()
					rule := objectstest.Rule{Fault: fault, Skip: k, Times: 1}
					if fault == "dead" {
						rule.Fault, rule.Times = objectstest.FailBefore, 0
						left := k
						store.Before(func(context.Context, objectstest.Op, string) {
							if left--; left < 0 {
								die() // nobody waits for the store to come back
							}
						})
					}
					store.Add(rule)
					err := work.do(ctx, r)
					store.Heal()
					store.Before(nil)
					store.Settle()
					done := work.done(t, memory)
					if err == nil && !done {
						t.Fatalf("%s, operation %d, %s: it was told to be done, and is not", name, k, fault)
					}
					if err != nil {
						failed++
					}
					after := openRepository(t, memory, Options{})
					wantMail(t, after, first, old)
					if f := mustFindings(t, after); len(f) > 0 {
						t.Fatalf("%s, operation %d, %s: %v", name, k, fault, f)
					}
					if !done {
						if err := work.do(t.Context(), after); err != nil || !work.done(t, memory) {
							t.Fatalf("%s, operation %d, %s: the next run: %v", name, k, fault, err)
						}
					}
					var violations []string
					after.ledger.View(func(s *ledger.State) { violations = s.Violations })
					if len(violations) > 0 {
						t.Fatalf("%s, operation %d, %s: %q", name, k, fault, violations)
					}
				})
			}
		}
		t.Logf("%s: %d operations, four faults each, of which %d ended it", name, len(operations), failed)
		if failed == 0 || len(operations) < 3 {
			t.Errorf("%s: %d operations, and nothing ever failed; the test shows little", name, len(operations))
		}
	}
}
