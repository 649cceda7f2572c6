package storage

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"restante/storage/ledger"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// TestSlotsOfAnInterruptedInitLockNobodyOut: an init that was killed between
// its key slot and entry 0 leaves a slot that opens with the passphrase and
// holds another key. Which slot a reader tries first is left to chance, so it
// is done until both orders have been seen.
func TestSlotsOfAnInterruptedInitLockNobodyOut(t *testing.T) {
	t.Parallel()
	var before, after bool
	for range 40 {
		memory := objects.NewMemory()
		killed := objectstest.NewFaulty(memory, 1, objectstest.Rule{Fault: objectstest.Hang, Prefix: ledger.Prefix},
			objectstest.Rule{Fault: objectstest.Refuse, On: objectstest.Delete})
		ctx, cancel := context.WithCancel(t.Context())
		killed.Before(func(_ context.Context, op objectstest.Op, name string) {
			if op == objectstest.PutIfAbsent && name == ledger.First {
				cancel()
			}
		})
		if _, err := Init(ctx, killed, testLock(), Options{}); err == nil {
			t.Fatal("the init was not interrupted")
		}
		left := slotNames(t, memory)
		r := newRepository(t, memory, "")
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if len(left) != 1 || len(slotNames(t, memory)) != 2 {
			t.Fatalf("slots %v, then %v", left, slotNames(t, memory))
		}
		if slotNames(t, memory)[0] == left[0] {
			before = true
		} else {
			after = true
		}
		openRepository(t, memory, Options{})
		if before && after {
			return
		}
	}
	t.Error("the slots always came in the same order; the test shows nothing")
}

func slotNames(t *testing.T, store objects.Store) (names []string) {
	t.Helper()
	for info, err := range store.List(t.Context(), keysPrefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

// TestRemovedSlotDoesNotHideAnotherOne: a slot was replaced by one with the
// same passphrase, and this machine's cache knows the old one only.
func TestRemovedSlotDoesNotHideAnotherOne(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, "")
	old, err := r.AddKey(t.Context(), Lock{Passphrase: "shared", WorkFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	machine, err := Open(t.Context(), store, Passphrase("shared"), Options{CacheDir: cache})
	if err != nil {
		t.Fatal(err)
	}
	machine.Close()
	octets, err := store.Get(t.Context(), keysPrefix+old.ID.String(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.RemoveKey(t.Context(), old.ID.String()); err != nil {
		t.Fatal(err)
	}
	replacement, err := r.AddKey(t.Context(), Lock{Passphrase: "shared", WorkFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, back := range []bool{false, true} { // the store may have kept the removed object
		for _, stale := range []bool{false, true} {
			for _, dir := range []string{cache, t.TempDir()} {
				b, err := Open(t.Context(), store, Passphrase("shared"), Options{CacheDir: dir, Stale: stale})
				if err != nil {
					t.Fatalf("object back %v, stale %v, cache %v: %v", back, stale, dir == cache, err)
				}
				b.Close()
			}
		}
		if err := store.Put(t.Context(), keysPrefix+old.ID.String(), octets); err != nil {
			t.Fatal(err)
		}
	}
	// With the new one gone, too, the old one still opens nothing.
	if _, err := r.RemoveKey(t.Context(), replacement.ID.String()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{cache, t.TempDir()} {
		if _, err := Open(t.Context(), store, Passphrase("shared"), Options{CacheDir: dir}); !errors.Is(err, ErrWrongKey) {
			t.Errorf("both are removed: %v", err)
		}
	}
}

func TestSlotUnderAnotherNameOrUnknownToTheLedgerOpensNothing(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, "")
	removed, err := r.AddKey(t.Context(), Lock{Passphrase: "removed", WorkFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	octets, err := store.Get(t.Context(), keysPrefix+removed.ID.String(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.RemoveKey(t.Context(), removed.ID.String()); err != nil {
		t.Fatal(err)
	}
	other, err := r.AddKey(t.Context(), Lock{Passphrase: "other", WorkFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{keysPrefix + other.ID.String(), keysPrefix + NewID().String()} {
		if err := store.Put(t.Context(), name, octets); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), store, Passphrase("removed"), Options{}); err == nil {
			t.Errorf("a removed slot opens as %s", name)
		}
		openRepository(t, store, Options{})
	}
	_, lost, err := r.makeSlot(t.Context(), Lock{Passphrase: "half", WorkFactor: 1}) // AddKey, interrupted
	if err != nil || lost == nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), store, Passphrase("half"), Options{}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("a slot that the ledger does not know: %v", err)
	}
}

// TestKeyAddedSinceOpensAMachineThatHasNotLooked: the cached state does not
// know the slot, and the run would rather not look for new entries.
func TestKeyAddedSinceOpensAMachineThatHasNotLooked(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, "")
	cache := t.TempDir()
	openRepository(t, store, Options{CacheDir: cache}).Close()
	if _, err := r.AddKey(t.Context(), Lock{Passphrase: "new", WorkFactor: 1}); err != nil {
		t.Fatal(err)
	}
	machine, err := Open(t.Context(), store, Passphrase("new"), Options{CacheDir: cache, Stale: true})
	if err != nil {
		t.Fatal(err)
	}
	machine.Close()
}

// TestCostlySlotOfAStrangerTakesNoMemory: whoever can write the bucket can put
// a slot there that asks for gigabytes.
func TestCostlySlotOfAStrangerTakesNoMemory(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	newRepository(t, store, "").Close()
	for _, factor := range []string{"21", "22", "30"} {
		file := strings.Join([]string{"age-encryption.org/v1", "-> scrypt " + strings.Repeat("A", 22) + " " + factor,
			strings.Repeat("A", 43), "--- " + strings.Repeat("A", 43), ""}, "\n") + strings.Repeat("x", 40)
		if err := store.Put(t.Context(), keysPrefix+strings.Repeat("00", 16), []byte(file)); err != nil {
			t.Fatal(err)
		}
		openRepository(t, store, Options{})
		if _, err := Open(t.Context(), store, Passphrase("wrong"), Options{}); !errors.Is(err, ErrWrongKey) {
			t.Errorf("factor %s: %v", factor, err)
		}
	}
	if _, err := Init(t.Context(), objects.NewMemory(), Lock{Passphrase: "x", WorkFactor: mostWorkFactor + 1}, Options{}); err == nil {
		t.Error("a slot was made that nobody may open")
	}
}

func TestDamagedSlotIsNamedBesideAWrongPassphrase(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, "")
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	k, err := r.AddKey(t.Context(), Lock{Recipient: identity.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), keysPrefix+k.ID.String(), []byte("no age file")); err != nil {
		t.Fatal(err)
	}
	openRepository(t, store, Options{})
	_, err = Open(t.Context(), store, Passphrase("wrong"), Options{})
	if !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), k.ID.String()) {
		t.Errorf("%v", err)
	}
	f := mustFindings(t, r)
	if !slices.ContainsFunc(f, func(f Finding) bool { return f.Object == keysPrefix+k.ID.String() }) {
		t.Errorf("check: %v", f)
	}
}
