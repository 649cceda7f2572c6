package storage

import (
	"context"
	"crypto/sha512"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"restante/storage/internal/pack"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// TestEveryCrashPointOfRepair: wherever the store fails while a repository is
// repaired, nothing more is lost; repaired again it gives back all that was not
// hit, the next backup stores the rest again, and when the rest is given up a
// check finds nothing.
func TestEveryCrashPointOfRepair(t *testing.T) {
	t.Parallel()
	outsideBubbles(t)
	mail := testMail(rand.New(rand.NewPCG(54, 1)), 6)
	mail[2] = []byte("Subject: all of it is in its recipe\r\n\r\nshort\r\n")
	base := objects.NewMemory()
	r := newRepository(t, base, "")
	lost := backUp(t, r, "lost", 1, mail[:2]) // entry 1
	before := r.packs()
	// Entry 2: so long that it has no room to repeat what entry 1 said.
	account := fmt.Sprintf("hit %x", sha512.Sum512([]byte("no zstd makes this shorter"))) + fmt.Sprintf("%x", sha512.Sum512([]byte("nor this")))
	hit := backUp(t, r, account, 1, mail[2:])
	// Not by their names: packs of the same millisecond are in no order.
	added := slices.DeleteFunc(r.packs(), func(p ledger.Pack) bool {
		return slices.ContainsFunc(before, func(b ledger.Pack) bool { return b.ID == p.ID })
	})
	if len(added) != 1 {
		t.Fatalf("%d packs of the second backup", len(added))
	}
	second := added[0]
	dir, err := mustOpenVault(t, r).readDirectory(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	flipBit(t, base, ledger.Slot(1), 9)
	for _, s := range dir {
		if s.Class == pack.Text || s.Class == pack.Attachments {
			flipBit(t, base, packName(second.ID), int(s.Offset)+s.Box/2)
			break
		}
	}
	repair := func(ctx context.Context, store objects.Store, o RepairOptions) error {
		r, err := Open(ctx, store, Passphrase(testPassphrase), Options{Damaged: true})
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = r.Repair(ctx, o)
		return err
	}
	crashPoints(t, 6, base, func(ctx context.Context, store objects.Store) error { return repair(ctx, store, RepairOptions{}) }, func(t *testing.T, store *objects.Memory, told error) {
		if told != nil {
			if err := repair(t.Context(), store, RepairOptions{}); err != nil {
				t.Fatalf("the next repair: %v", err)
			}
		}
		r := openRepository(t, store, Options{})
		found := r.Snapshots(FoundAccount)
		if len(found) == 0 || found[0].Root != lost.Root {
			t.Fatalf("the snapshot whose entry was lost is not found: %v", found)
		}
		wantMail(t, r, found[0], mail[:2])
		if latest, ok := r.Latest(account); !ok || latest.Messages == 0 || latest.Messages >= hit.Messages {
			t.Fatalf("%d messages are left", latest.Messages)
		}
		backUp(t, r, "again", 1, mail[2:])
		wantMail(t, openRepository(t, store, Options{}), hit, mail[2:])
		if err := repair(t.Context(), store, RepairOptions{GiveUp: true}); err != nil {
			t.Fatalf("giving up: %v", err)
		}
		wantNoFindings(t, openRepository(t, store, Options{}))
	})
}

// TestRepairKnowsWhatALaterEntryRepeats: the snapshot of an entry that is lost is
// there again, under its own name, where a later entry says it, too.
func TestRepairKnowsWhatALaterEntryRepeats(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, "")
	mail := testMail(rand.New(rand.NewPCG(54, 2)), 6)
	lost := backUp(t, r, "lost", 1, mail[:2]) // entry 1
	backUp(t, r, "other", 1, mail[2:])
	r.Close()
	flipBit(t, store, ledger.Slot(1), 9)
	r = openRepository(t, store, Options{Damaged: true})
	if result, err := r.Repair(t.Context(), RepairOptions{}); err != nil || len(result.Entries) != 1 || len(result.Skipped) != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	r = openRepository(t, store, Options{})
	if latest, ok := r.Latest("lost"); !ok || latest.ID != lost.ID {
		t.Fatal("the snapshot is lost")
	}
	wantMail(t, r, lost, mail[:2])
	wantNoFindings(t, r)
}

func mustOpenVault(t *testing.T, r *Repository) *vault {
	t.Helper()
	v, err := r.vault(t.Context(), mustVault(t, r))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// flipBit changes a bit of an object.
func flipBit(t *testing.T, store objects.Store, name string, octet int) {
	t.Helper()
	b, err := store.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	b[octet] ^= 8
	if err := store.Put(t.Context(), name, b); err != nil {
		t.Fatal(err)
	}
}
