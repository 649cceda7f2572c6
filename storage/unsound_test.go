package storage

import (
	"errors"
	"math/rand/v2"
	"testing"

	"restante/storage/internal/pack"
	"restante/storage/objects"
)

func TestABitThatChangesBetweenSavingAndSealingIsFoundBeforeACommit(t *testing.T) {
	t.Parallel()
	for class := range pack.Structure + 1 {
		store := objects.NewMemory()
		r := newRepository(t, store, t.TempDir())
		w, err := r.Writer(t.Context(), mustVault(t, r))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, _, err := w.save(class, simMail(rand.New(rand.NewPCG(uint64(class), 1)), 1)[0]); err != nil {
			t.Fatal(err)
		}
		w.open[class].raw[17] ^= 1
		s := Snapshot{ID: NewID(), Account: "a"}
		if err := w.SaveTree("test", nil, &s); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: the commit says %v", class, err)
		}
		if _, there := r.Latest("a"); there {
			t.Errorf("%s: there is a snapshot", class)
		}
	}
}
