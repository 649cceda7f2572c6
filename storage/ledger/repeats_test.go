package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/oklog/ulid/v2"

	"restante/storage/objects"
)

// paddedBoxes are plainBoxes that are padded as real ones are.
type paddedBoxes struct{ plainBoxes }

func (p paddedBoxes) SealEntry(n uint64, plain []byte) ([]byte, error) {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(plain)))
	b = append(b, plain...)
	return p.plainBoxes.SealEntry(n, append(b, make([]byte, (512-len(b)%512)%512)...))
}

func (p paddedBoxes) OpenEntry(n uint64, box []byte) ([]byte, error) {
	b, err := p.plainBoxes.OpenEntry(n, box)
	if err != nil {
		return nil, err
	}
	if len(b) < 4 || len(b)-4 < int(binary.BigEndian.Uint32(b)) {
		return nil, errBox
	}
	return b[4:][:binary.BigEndian.Uint32(b)], nil
}

func paddedLedger(store objects.Store) *Ledger {
	l := testLedger(store)
	l.sealer = paddedBoxes{}
	return l
}

// something appends an entry of one kind or another; the n-th.
func something(l *Ledger, n int) error {
	return l.Append(context.Background(), func(*State) (Body, error) {
		switch {
		case n%13 == 12:
			return &Forget{Snapshots: []ID{{1, byte(n - 3)}}}, nil
		case n%11 == 10:
			return &Hold{ID: ID{byte(n)}, Account: "a"}, nil
		case n%17 == 16: // too much to be repeated
			c := &Commit{}
			for range 30 {
				c.Packs = append(c.Packs, Pack{ID: ulid.Make(), Size: 1})
			}
			return c, nil
		}
		return &Commit{Snapshots: []Snapshot{{ID: ID{1, byte(n), byte(n >> 8)}, Account: fmt.Sprint(n % 3)}}}, nil
	})
}

// leapt opens a ledger with nothing at hand, and says how many entries it got.
func leapt(t *testing.T, memory objects.Store) (*Ledger, int64) {
	t.Helper()
	counted := objects.Counted(memory)
	l := paddedLedger(counted)
	if err := l.Leap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l, counted.Snapshot().Gets
}

func TestLeapGivesTheStateThatAllEntriesGive(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := paddedLedger(memory)
	if err := l.Append(t.Context(), func(*State) (Body, error) { return &Init{}, nil }); err != nil {
		t.Fatal(err)
	}
	other := paddedLedger(memory) // knows of no checkpoint that l writes
	most := int64(0)
	for i := range 300 {
		by := l
		if i%5 == 4 {
			by = other
		}
		if err := by.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := something(by, i); err != nil {
			t.Fatal(err)
		}
		if err := l.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.Checkpoint(t.Context(), int64(i%2)); err != nil {
			t.Fatal(err)
		}
		whole := paddedLedger(memory)
		if err := whole.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		cold, gets := leapt(t, memory)
		if !Equal(cold, whole) || !Equal(cold, l) {
			t.Fatalf("after entry %d, a leap gives another state than all entries", i+1)
		}
		if len(whole.state.Violations) > 0 {
			t.Fatal(whole.state.Violations)
		}
		most = max(most, gets)
	}
	// A checkpoint, the entries that are not repeated, and the first absent one.
	if most > 1+dueAnyway+1 {
		t.Errorf("%d requests", most)
	}
}

// TestRepeatsCostNothing: an entry is as long as it would be without.
func TestRepeatsCostNothing(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := paddedLedger(memory)
	if err := l.Append(t.Context(), func(*State) (Body, error) { return &Init{}, nil }); err != nil {
		t.Fatal(err)
	}
	repeated := 0
	for i := range 100 {
		if err := something(l, i); err != nil {
			t.Fatal(err)
		}
		n := l.state.Next - 1
		box, err := memory.Get(t.Context(), Slot(n), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		e, err := l.unseal(n, box)
		if err != nil {
			t.Fatal(err)
		}
		repeated += len(e.Earlier)
		e.Earlier = nil
		plain, err := encMode.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if without, _ := l.sealer.SealEntry(n, plain); len(without) != len(box) {
			t.Errorf("entry %d has %d octets, and %d without what it repeats", n, len(box), len(without))
		}
	}
	if repeated < 100 {
		t.Errorf("%d entries are repeated", repeated)
	}
}

// TestRepeatsThatDoNotFollowAreNotUsed: what an entry repeats is of another
// ledger, or of other entries; or it cannot be read, or is a bridge.
func TestRepeatsThatDoNotFollowAreNotUsed(t *testing.T) {
	t.Parallel()
	other, err := encMode.Marshal(&Commit{Snapshots: []Snapshot{{ID: ID{66}, Account: "other"}}})
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(e *entry){
		"another ledger": func(e *entry) {
			e.Earlier[0].Prev, e.Earlier[1].Body = []byte{1, 2, 3, 4, 5, 6, 7, 8}, other
		},
		"no SHA-256":      func(e *entry) { e.Earlier[0].Prev, e.Earlier[1].Body = nil, other },
		"an unknown kind": func(e *entry) { e.Earlier[1].Kind = "erase" },
		"too many":        func(e *entry) { e.Earlier = append(e.Earlier, e.Earlier...) },
		"a bridge": func(e *entry) {
			e.Earlier[1].Kind, e.Earlier[1].Body = "bridge", []byte{0xa1, 0x01, 0x80}
		},
	} {
		memory := objects.NewMemory()
		l := paddedLedger(memory)
		if err := l.Append(t.Context(), func(*State) (Body, error) { return &Init{}, nil }); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if err := something(l, i); err != nil {
				t.Fatal(err)
			}
		}
		// The last one repeats all before it. Another takes its place.
		last := l.state.Next - 1
		box, err := memory.Get(t.Context(), Slot(last), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		e, err := l.unseal(last, box)
		if err != nil || len(e.Earlier) != 2 {
			t.Fatalf("%d repeats, %v", len(e.Earlier), err)
		}
		change(e)
		plain, err := encMode.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		box, _ = l.sealer.SealEntry(last, plain)
		if err := memory.Put(t.Context(), Slot(last), box); err != nil {
			t.Fatal(err)
		}
		whole := paddedLedger(memory)
		if err := whole.Complete(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if cold, _ := leapt(t, memory); !Equal(cold, whole) {
			t.Errorf("%s: a leap gives another state than all entries", what)
		}
	}
}

// TestLeapStopsBeforeABridge: an entry that is damaged was bridged by somebody
// who did not know what it said, and a later one repeats it.
func TestLeapStopsBeforeABridge(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := paddedLedger(memory)
	if err := l.Append(t.Context(), func(*State) (Body, error) { return &Init{}, nil }); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		if err := something(l, i); err != nil {
			t.Fatal(err)
		}
	}
	memory.Put(t.Context(), Slot(1), []byte("rubbish"))
	repairer := paddedLedger(memory)
	r, err := repairer.Rebuild(t.Context(), nil)
	if err != nil || len(r.Skipped) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := repairer.Bridge(t.Context(), r.Lost); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := something(repairer, 20+i); err != nil {
			t.Fatal(err)
		}
	}
	if cold, _ := leapt(t, memory); !Equal(cold, repairer) {
		t.Error("from the checkpoint: another state than who bridged it has")
	}
	// Without the checkpoint of the bridge nobody knows; nor does a leap.
	for info := range memory.List(t.Context(), checkpointPrefix, "") {
		memory.Delete(t.Context(), info.Name)
	}
	cold := paddedLedger(memory)
	if err := cold.Leap(t.Context()); err != nil || cold.Entries() != 0 {
		t.Errorf("it leapt to entry %d, %v", cold.Entries(), err)
	}
}

// TestLeapDoesNotHideAHole: an entry that is lost is missed, whatever later
// ones repeat.
func TestLeapDoesNotHideAHole(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := paddedLedger(memory)
	if err := l.Append(t.Context(), func(*State) (Body, error) { return &Init{}, nil }); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if err := something(l, i); err != nil {
			t.Fatal(err)
		}
	}
	for hole := range uint64(8) {
		octets, err := memory.Get(t.Context(), Slot(hole), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		memory.Delete(t.Context(), Slot(hole))
		cold := paddedLedger(memory)
		if err := cold.Leap(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := cold.Complete(t.Context()); !errors.Is(err, ErrHole) {
			t.Errorf("without entry %d: %v", hole, err)
		}
		memory.Put(t.Context(), Slot(hole), octets)
	}
}
