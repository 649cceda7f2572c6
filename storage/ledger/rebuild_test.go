package ledger

import (
	"errors"
	"slices"
	"testing"

	"restante/storage/objects"
)

// TestARebuiltLedgerIsTheSameForEverybody loses an entry in the middle, or the
// last one, and rebuilds: without what it said where nobody knows it, with it
// where a checkpoint does. Whoever reads from the first entry on comes to the
// same state, and appends.
func TestARebuiltLedgerIsTheSameForEverybody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		lost       uint64
		missing    bool // the entry; else its octets are others
		checkpoint bool // behind it
	}{
		{"damaged", 2, false, false},
		{"missing", 2, true, false},
		{"damaged, and a checkpoint knows it", 2, false, true},
		{"missing, and a checkpoint knows it", 2, true, true},
		{"the last one damaged", 4, false, false},
		{"the last one damaged, and a checkpoint knows it", 4, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			memory := objects.NewMemory()
			l := begin(t, memory)
			for i := range byte(4) {
				if err := commit(l, "a", ID{i + 1}); err != nil {
					t.Fatal(err)
				}
			}
			if c.checkpoint {
				if err := l.checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if c.missing {
				err = memory.Delete(t.Context(), Slot(c.lost))
			} else {
				err = memory.Put(t.Context(), Slot(c.lost), []byte("what the store has made of it"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := testLedger(memory).Complete(t.Context()); err == nil {
				t.Fatal("the ledger is read to its end, and should not be")
			}

			l = testLedger(memory)
			r, err := l.Rebuild(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := []ID{{1}, {2}, {3}, {4}}
			if !c.checkpoint {
				want = slices.DeleteFunc(want, func(id ID) bool { return id == ID{byte(c.lost)} })
			}
			if got := snapshots(l); !slices.Equal(got, want) || !slices.Equal(r.Lost, []uint64{c.lost}) || (len(r.Skipped) == 0) != c.checkpoint {
				t.Fatalf("it has the snapshots %v, and says %+v", got, r)
			}
			if err := l.Bridge(t.Context(), r.Lost); err != nil {
				t.Fatal(err)
			}
			cold := testLedger(memory)
			if err := cold.Complete(t.Context()); err != nil {
				t.Fatalf("after the repair: %v", err)
			}
			if !Equal(l, cold) || !slices.Equal(snapshots(cold), want) {
				t.Error("who reads it from the first entry on has another state")
			}
			if err := commit(cold, "a", ID{9}); err != nil {
				t.Fatal(err)
			}
			if err := l.Refresh(t.Context()); err != nil || !Equal(l, cold) {
				t.Errorf("the next entry: %v", err)
			}
		})
	}
}

// TestNobodyPassesAnEntryThatNoRepairHasBridged: a checkpoint behind it is not
// enough.
func TestNobodyPassesAnEntryThatNoRepairHasBridged(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := begin(t, memory)
	for i := range byte(4) {
		if err := commit(l, "a", ID{i + 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := memory.Delete(t.Context(), Slot(2)); err != nil {
		t.Fatal(err)
	}
	if err := testLedger(memory).Complete(t.Context()); !errors.Is(err, ErrHole) {
		t.Errorf("%v", err)
	}
}
