package storage

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// dead is the fault after which no operation does anything any more: the
// machine is gone, or its way to the store.
const dead objectstest.Fault = "dead"

// outsideBubbles has made what is made once for all tests, as that which
// compresses and its opposite: made in a bubble, it could not be used outside,
// nor in the next one.
func outsideBubbles(t *testing.T) {
	t.Helper()
	r := newRepository(t, objects.NewMemory(), "")
	defer r.Close()
	mail := testMail(rand.New(rand.NewPCG(56, 1)), 3)
	wantMail(t, r, backUp(t, r, "outside", 1, mail), mail)
}

// everyCrashPoint has a store fail at the k-th operation of do, for each k:
// before it, after it, late, and for good from then on. do is a program from
// its beginning to its end; of what it did, after gets the store, which does
// not fail any more, and what do was told. It is called once for each point,
// also where do got through because it had tried again.
func everyCrashPoint(t *testing.T, base objects.Store, do func(context.Context, objects.Store) error, after func(t *testing.T, store *objects.Memory, told error)) {
	t.Helper()
	crashPoints(t, 1, base, do, after)
}

// crashPoints is everyCrashPoint for one operation in so many, or, under
// RESTANTE_LONG, for each.
func crashPoints(t *testing.T, stride int, base objects.Store, do func(context.Context, objects.Store) error, after func(t *testing.T, store *objects.Memory, told error)) {
	t.Helper()
	if os.Getenv("RESTANTE_LONG") != "" {
		stride = 1
	}
	var operations []objectstest.Op
	synctest.Test(t, func(t *testing.T) {
		store := objectstest.NewFaulty(copyStore(t, base), 1)
		store.Before(func(_ context.Context, op objectstest.Op, _ string) { operations = append(operations, op) })
		if err := do(t.Context(), store); err != nil {
			t.Fatal(err)
		}
	})
	points, failed := 0, 0
	for k, op := range operations {
		if k%stride != 0 {
			continue
		}
		for _, fault := range []objectstest.Fault{dead, objectstest.FailBefore, objectstest.FailAfter, objectstest.FailLate} {
			if fault == objectstest.FailLate && op&objectstest.Write == 0 {
				continue // it would strike the next write, which has its own turn
			}
			points++
			synctest.Test(t, func(t *testing.T) {
				defer func() {
					if t.Failed() {
						t.Logf("operation %d of %d, %s, %s", k+1, len(operations), op, fault)
					}
				}()
				memory := copyStore(t, base)
				store := objectstest.NewFaulty(memory, uint64(k))
				ctx, die := context.WithCancel(t.Context())
				defer die()
				rule := objectstest.Rule{Fault: fault, Skip: k, Times: 1}
				if fault == dead {
					rule.Fault, rule.Times = objectstest.FailBefore, 0
					left := k
					store.Before(func(context.Context, objectstest.Op, string) {
						if left--; left < 0 {
							die() // nobody waits for the store to come back
						}
					})
				}
				store.Add(rule)
				err := do(ctx, store)
				store.Heal()
				store.Before(nil)
				store.Settle()
				if err != nil {
					failed++
				}
				after(t, memory, err)
			})
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d operations, %d crash points, of which %d ended it", len(operations), points, failed)
	if failed == 0 || len(operations) < 3 {
		t.Errorf("%d operations, and nothing ever failed; the test shows little", len(operations))
	}
}
