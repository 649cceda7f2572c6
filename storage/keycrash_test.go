package storage

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"restante/storage/objects"
)

const otherPassphrase = "another passphrase"

// TestEveryCrashPointOfKeyChanges: wherever the store fails while a slot is
// added or removed, or a passphrase changed, at least one passphrase opens the
// repository, which holds what it held; the next run does the rest, and then a
// check finds nothing.
func TestEveryCrashPointOfKeyChanges(t *testing.T) {
	t.Parallel()
	outsideBubbles(t)
	mail := testMail(rand.New(rand.NewPCG(52, 1)), 5)
	one := objects.NewMemory()
	r := newRepository(t, one, "")
	saved := backUp(t, r, "alice", 1, mail)
	_, old := r.Keys()
	r.Close()
	two := copyStore(t, one)
	if err := addPassphrase(t.Context(), two, testPassphrase, otherPassphrase); err != nil {
		t.Fatal(err)
	}

	for _, change := range []struct {
		name  string
		base  objects.Store
		do    func(ctx context.Context, store objects.Store) error
		opens []string // passphrases that open it afterwards
	}{
		{"add", one, func(ctx context.Context, store objects.Store) error {
			return addPassphrase(ctx, store, testPassphrase, otherPassphrase)
		}, []string{testPassphrase, otherPassphrase}},
		{"remove", two, func(ctx context.Context, store objects.Store) error {
			return removeSlot(ctx, store, otherPassphrase, old)
		}, []string{otherPassphrase}},
		{"change", one, func(ctx context.Context, store objects.Store) error {
			if err := addPassphrase(ctx, store, testPassphrase, otherPassphrase); err != nil && !errors.Is(err, ErrWrongKey) {
				return err
			}
			return removeSlot(ctx, store, otherPassphrase, old)
		}, []string{otherPassphrase}},
	} {
		t.Run(change.name, func(t *testing.T) {
			done := func(t *testing.T, store objects.Store) bool {
				var opening []string
				for _, p := range []string{testPassphrase, otherPassphrase} {
					r, err := Open(t.Context(), store, Passphrase(p), Options{})
					if errors.Is(err, ErrWrongKey) {
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					opening = append(opening, p)
					wantMail(t, r, saved, mail)
					r.Close()
				}
				if len(opening) == 0 {
					t.Fatal("nothing opens the repository")
				}
				return slices.Equal(opening, change.opens)
			}
			everyCrashPoint(t, change.base, change.do, func(t *testing.T, store *objects.Memory, told error) {
				if isDone := done(t, store); told == nil && !isDone {
					t.Fatal("it was told to be done, and is not")
				}
				if told != nil {
					if err := change.do(t.Context(), store); err != nil {
						t.Fatalf("the next run: %v", err)
					}
				}
				if !done(t, store) {
					t.Fatal("the next run did not do it")
				}
				r, err := Open(t.Context(), store, Passphrase(otherPassphrase), Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				wantNoFindings(t, r)
			})
		})
	}
}

func addPassphrase(ctx context.Context, store objects.Store, with, added string) error {
	r, err := Open(ctx, store, Passphrase(with), Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.AddKey(ctx, Lock{Passphrase: added, WorkFactor: 1})
	return err
}

func removeSlot(ctx context.Context, store objects.Store, with string, slot ID) error {
	r, err := Open(ctx, store, Passphrase(with), Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.RemoveKey(ctx, slot.String())
	return err
}

// TestEveryCrashPointOfInit: wherever the store fails while a repository is
// made, init can be run again and ends with a repository that this passphrase
// opens, or says that there is one, and so there is.
func TestEveryCrashPointOfInit(t *testing.T) {
	t.Parallel()
	outsideBubbles(t)
	mail := testMail(rand.New(rand.NewPCG(53, 1)), 5)
	made := func(ctx context.Context, store objects.Store) error {
		r, err := Init(ctx, store, testLock(), Options{})
		if err != nil {
			return err
		}
		return r.Close()
	}
	everyCrashPoint(t, objects.NewMemory(), made, func(t *testing.T, store *objects.Memory, told error) {
		if told == nil {
			openRepository(t, store, Options{})
		}
		if err := made(t.Context(), store); !errors.Is(err, ErrExists) && (err != nil || told == nil) {
			t.Fatalf("init was told %v, and then, run again, %v", told, err)
		}
		r := openRepository(t, store, Options{})
		s := backUp(t, r, "alice", 1, mail)
		after := openRepository(t, store, Options{})
		wantMail(t, after, s, mail)
		wantNoFindings(t, after)
		if slots, _ := after.Keys(); len(slots) != 1 {
			t.Fatalf("%d key slots", len(slots))
		}
	})
}
