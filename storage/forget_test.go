package storage

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"restante/storage/objects"
)

// hold puts accounts under a hold; "" means all.
func hold(t *testing.T, r *Repository, account string) ID {
	t.Helper()
	h, err := r.Hold(t.Context(), account, "case 12")
	if err != nil {
		t.Fatal(err)
	}
	return h.ID
}

func TestForgetRefusesWhatIsHeldOrNotThere(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	other := openRepository(t, store, Options{})
	mail := testMail(rand.New(rand.NewPCG(30, 1)), 9)
	alice, bob := backUp(t, r, "alice", 1, mail), backUp(t, r, "bob", 1, mail)
	// The other machine puts alice under a hold; r does not know yet.
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := hold(t, other, "alice")
	if err := r.Forget(t.Context(), []ID{bob.ID, alice.ID}, "test"); !errors.Is(err, ErrHeld) {
		t.Fatalf("held: %v", err)
	}
	if len(r.Snapshots("bob")) != 1 {
		t.Error("one of the two was forgotten though the other could not be")
	}
	if got := r.Holds("alice"); !slices.Equal(got, []string{"case 12"}) || r.Holds("bob") != nil {
		t.Errorf("holds: %q", got)
	}
	if err := r.Forget(t.Context(), []ID{NewID()}, "test"); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("not there: %v", err)
	}
	if _, err := other.Release(t.Context(), id.Short(), "closed"); err != nil {
		t.Fatal(err)
	}
	hold(t, other, "") // everybody
	if err := r.Forget(t.Context(), []ID{bob.ID}, "test"); !errors.Is(err, ErrHeld) {
		t.Errorf("all are held: %v", err)
	}
	wantMail(t, r, alice, mail)
}

func TestForgetByChoosesAgainWhenSomebodyWasFaster(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	other := openRepository(t, store, Options{CacheDir: t.TempDir()})
	mail := testMail(rand.New(rand.NewPCG(30, 2)), 9)
	backUp(t, r, "alice", 1, mail[:3])
	backUp(t, r, "alice", 4, mail[3:6])
	backUp(t, r, "bob", 1, mail)
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	backUp(t, r, "alice", 7, mail[6:])
	asked := 0
	ids, err := other.ForgetBy(t.Context(), []string{"alice", "bob", "nobody"}, "test", func(account string, list []Snapshot, holds []string) (ids []ID) {
		if account != "alice" {
			return nil
		}
		asked++
		for _, s := range list[:len(list)-1] { // all but the latest
			ids = append(ids, s.ID)
		}
		return ids
	})
	if err != nil || len(ids) != 2 || asked != 2 {
		t.Fatalf("forgot %d, asked %d times: %v", len(ids), asked, err)
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := r.Snapshots("alice")
	if len(left) != 1 {
		t.Fatalf("%d are left", len(left))
	}
	wantMail(t, r, left[0], mail)

	before := r.ledger.Entries()
	if ids, err := r.ForgetBy(t.Context(), []string{"alice"}, "test", func(string, []Snapshot, []string) []ID { return nil }); err != nil || ids != nil || r.ledger.Entries() != before {
		t.Errorf("nothing to forget: %v, %v, %d entries more", ids, err, r.ledger.Entries()-before)
	}
}
