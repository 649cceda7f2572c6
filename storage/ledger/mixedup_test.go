package ledger

import (
	"context"
	"testing"

	"restante/storage/objects"
)

// mixedUp answers the first question for each slot with another one's entry.
type mixedUp struct {
	objects.Store
	asked map[string]bool
}

func (m *mixedUp) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if other := Slot(1); name != other && !m.asked[name] {
		m.asked[name] = true
		return m.Store.Get(ctx, other, offset, length)
	}
	return m.Store.Get(ctx, name, offset, length)
}

func TestAnEmptySlotThatIsAnsweredWithAnotherEntryIsTheEnd(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := begin(t, memory)
	for i := range 2 {
		if err := commit(l, "alice", ID{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	reader := testLedger(&mixedUp{memory, map[string]bool{}})
	if err := reader.Refresh(t.Context()); err != nil || reader.Entries() != 3 {
		t.Errorf("%d entries, %v", reader.Entries(), err)
	}
}
