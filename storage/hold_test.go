package storage

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"restante/storage/objects"
)

func TestHoldsAreListedOldestFirstUntilTheyAreReleased(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	backUp(t, r, "alice", 1, testMail(rand.New(rand.NewPCG(31, 1)), 3))
	began := time.Now().Unix()
	first, second := hold(t, r, "alice"), hold(t, r, "")
	for _, again := range []*Repository{r, openRepository(t, store, Options{})} {
		list := again.AllHolds()
		if len(list) != 2 || list[0].Account+list[1].Account != "alice" || list[0].Reason != "case 12" {
			t.Fatalf("holds: %+v", list)
		}
		for _, h := range list {
			if h.Added < began || h.Added > time.Now().Unix() {
				t.Errorf("hold %s is from %d", h.ID.Short(), h.Added)
			}
		}
	}
	if h, err := r.Release(t.Context(), first.String(), "closed"); err != nil || h.ID != first || h.Account != "alice" {
		t.Errorf("released %+v, %v", h, err)
	}
	if list := r.AllHolds(); len(list) != 1 || list[0].ID != second {
		t.Errorf("holds: %+v", list)
	}
}

func TestReleaseAndHoldRefuseWhatIsNotThere(t *testing.T) {
	t.Parallel()
	r := newRepository(t, objects.NewMemory(), t.TempDir())
	if _, err := r.Hold(t.Context(), "alcie", "case 12"); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("an account without snapshots: %v", err)
	}
	id := hold(t, r, "")
	for _, prefix := range []string{"", "x", id.String()[:3], NewID().String()} {
		if _, err := r.Release(t.Context(), prefix, ""); !errors.Is(err, ErrNoHold) {
			t.Errorf("released %q: %v", prefix, err)
		}
	}
	if len(r.AllHolds()) != 1 {
		t.Error("the hold is gone")
	}
}
