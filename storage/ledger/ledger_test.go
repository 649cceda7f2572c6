package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oklog/ulid/v2"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// plainBoxes seals nothing, but ties entries to their number as real boxes do.
type plainBoxes struct{}

var errBox = errors.New("another box")

func (plainBoxes) SealEntry(n uint64, plain []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(bytes.Clone(plain), n), nil
}

func (plainBoxes) OpenEntry(n uint64, box []byte) ([]byte, error) {
	if len(box) < 8 || binary.BigEndian.Uint64(box[len(box)-8:]) != n {
		return nil, errBox
	}
	return box[:len(box)-8], nil
}

func (p plainBoxes) SealCheckpoint(n uint64, plain []byte) ([]byte, error) {
	return p.SealEntry(n, plain)
}

func (p plainBoxes) OpenCheckpoint(n uint64, box []byte) ([]byte, error) { return p.OpenEntry(n, box) }

func testLedger(store objects.Store) *Ledger {
	l := New(store, plainBoxes{}, [32]byte{1}, "test")
	l.pause = func(ctx context.Context, _ int) error { return ctx.Err() }
	return l
}

func begin(t testing.TB, store objects.Store) *Ledger {
	t.Helper()
	l := testLedger(store)
	err := l.Append(t.Context(), func(*State) (Body, error) { return &Init{Vault: Vault{Name: "default"}}, nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func commit(l *Ledger, account string, id ID) error {
	return l.Append(context.Background(), func(*State) (Body, error) {
		return &Commit{Snapshots: []Snapshot{{ID: id, Account: account}}, Packs: []Pack{{ID: ulid.Make(), Size: 1}}}, nil
	})
}

func snapshots(l *Ledger) (ids []ID) {
	l.View(func(s *State) {
		for _, list := range s.Snapshots {
			for _, snap := range list {
				ids = append(ids, snap.ID)
			}
		}
	})
	return ids
}

func TestAcknowledgedEntriesOfManyWritersAreAllThereOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		memory := objects.NewMemory()
		begin(t, memory)
		chance := float64(seed%6) * 0.06 // up to a third of all operations of each kind
		const writers, each = 5, 12
		var wg sync.WaitGroup
		var mu sync.Mutex
		acknowledged, unknown := map[ID]bool{}, map[ID]bool{}
		var stores []*objectstest.Faulty
		for w := range writers {
			store := objectstest.NewFaulty(memory, seed*100+uint64(w))
			if chance > 0 {
				store.Add(objectstest.Trouble(chance)...)
			}
			stores = append(stores, store)
			wg.Go(func() {
				l := testLedger(store)
				for i := range each {
					id := ID{byte(w + 1), byte(i + 1)}
					var err error
					for tries := 0; tries < 100; tries++ {
						if err = l.Refresh(context.Background()); err == nil {
							break
						}
					}
					if err == nil {
						err = commit(l, fmt.Sprint(w), id)
					}
					mu.Lock()
					switch {
					case err == nil:
						acknowledged[id] = true
					case errors.Is(err, ErrUnknown):
						unknown[id] = true
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for _, s := range stores {
			s.Settle() // what was late comes now, and must do no harm
		}
		l := testLedger(memory)
		if err := l.Refresh(t.Context()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		seen := map[ID]int{}
		for _, id := range snapshots(l) {
			seen[id]++
		}
		for id := range acknowledged {
			if seen[id] != 1 {
				t.Errorf("seed %d: acknowledged entry %x is there %d times", seed, id[:2], seen[id])
			}
		}
		for id, n := range seen {
			if n > 1 || !acknowledged[id] && !unknown[id] {
				t.Errorf("seed %d: entry %x is there %d times, acknowledged %v, unknown %v", seed, id[:2], n, acknowledged[id], unknown[id])
			}
		}
		if chance == 0 && len(seen) != writers*each {
			t.Errorf("%d entries of %d", len(seen), writers*each)
		}
		slots := uint64(0)
		for info := range memory.List(t.Context(), Prefix, "") {
			if info.Name != Slot(slots) {
				t.Fatalf("seed %d: %s where %s should be", seed, info.Name, Slot(slots))
			}
			slots++
		}
		l.View(func(s *State) {
			if s.Next != slots || len(s.Violations) > 0 {
				t.Errorf("seed %d: %d of %d slots read, violations: %q", seed, s.Next, slots, s.Violations)
			}
		})
	}
}

func TestLostReplyIsRecognisedAsOurs(t *testing.T) {
	t.Parallel()
	for _, fault := range []objectstest.Fault{objectstest.FailAfter, objectstest.FailLate, objectstest.FailBefore} {
		memory := objects.NewMemory()
		begin(t, memory)
		store := objectstest.NewFaulty(memory, 1, objectstest.Rule{Fault: fault, On: objectstest.PutIfAbsent, Times: 1})
		l := testLedger(store)
		if err := l.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := commit(l, "a", ID{1}); err != nil {
			t.Fatalf("%s: %v", fault, err)
		}
		store.Settle()
		if got := snapshots(l); len(got) != 1 {
			t.Errorf("%s: %d snapshots", fault, len(got))
		}
	}
}

func TestFasterWriterMakesTheOtherCheckAgain(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	begin(t, memory)
	a, b := testLedger(memory), testLedger(memory)
	for _, l := range []*Ledger{a, b} {
		if err := l.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p := ulid.Make()
	if err := a.Append(t.Context(), func(*State) (Body, error) { return &Condemn{Condemned: []Condemned{{Pack: p}}}, nil }); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("condemned")
	proposals := 0
	err := b.Append(t.Context(), func(s *State) (Body, error) {
		proposals++
		if _, condemned := s.Condemned[p]; condemned {
			return nil, refused
		}
		return &Commit{Packs: []Pack{{ID: p}}}, nil
	})
	if !errors.Is(err, refused) || proposals != 2 {
		t.Errorf("%v after %d proposals", err, proposals)
	}
}

func TestRefusedAppendSaysSoAtOnce(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	begin(t, memory)
	store := objectstest.NewFaulty(memory, 1, objectstest.Rule{Fault: objectstest.Refuse, On: objectstest.PutIfAbsent})
	l := testLedger(store)
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := commit(l, "a", ID{1}); !errors.Is(err, objects.ErrRefused) || len(store.Strikes()) != 1 {
		t.Errorf("%v after %d tries", err, len(store.Strikes()))
	}
}

func TestDamagedOrMovedEntryStopsTheReader(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := begin(t, memory)
	for i := range 5 {
		if err := commit(l, "a", ID{byte(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	get := func(n uint64) []byte {
		b, err := memory.Get(t.Context(), Slot(n), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	second, third := get(2), get(3)
	for what, bad := range map[string][]byte{
		"truncated":              third[:len(third)/2],
		"empty":                  {},
		"another entry's octets": second,
		"flipped":                append(append([]byte{third[0] ^ 1}, third[1:len(third)-9]...), third[len(third)-9:]...),
	} {
		if err := memory.Put(t.Context(), Slot(3), bad); err != nil {
			t.Fatal(err)
		}
		if err := testLedger(memory).Refresh(t.Context()); err == nil {
			t.Errorf("%s: read without an error", what)
		}
	}
	// An entry of the right number that does not follow from the one before.
	other := objects.NewMemory()
	o := begin(t, other)
	for i := range 3 {
		if err := commit(o, "b", ID{byte(i + 9)}); err != nil {
			t.Fatal(err)
		}
	}
	foreign, err := other.Get(t.Context(), Slot(3), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := memory.Put(t.Context(), Slot(3), foreign); err != nil {
		t.Fatal(err)
	}
	if err := testLedger(memory).Refresh(t.Context()); !errors.Is(err, ErrChain) {
		t.Errorf("foreign entry: %v", err)
	}
}

func TestEntryOfAnUnknownKindAsksForANewerProgram(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := begin(t, memory)
	e := entry{N: 1, Prev: l.state.Head, Kind: "erase", Body: []byte{0xa0}}
	plain, err := encMode.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	box, _ := plainBoxes{}.SealEntry(1, plain)
	if err := memory.Put(t.Context(), Slot(1), box); err != nil {
		t.Fatal(err)
	}
	if err := l.Refresh(t.Context()); !errors.Is(err, ErrNewer) {
		t.Errorf("%v", err)
	}
	if err := commit(l, "a", ID{1}); !errors.Is(err, ErrNewer) {
		t.Errorf("append behind it: %v", err)
	}
}

func TestCheckpointAndExportGiveTheSameStateAsAllEntries(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := begin(t, memory)
	r := rand.New(rand.NewPCG(1, 1))
	var packs []ulid.ULID
	for i := range 100 {
		err := l.Append(t.Context(), func(s *State) (Body, error) {
			switch {
			case i%17 == 16:
				return &Condemn{Condemned: []Condemned{{Pack: packs[i/17]}}}, nil
			case i%13 == 12:
				return &Forget{Snapshots: []ID{{1, byte(i - 3)}}}, nil
			case i%11 == 10:
				return &Key{ID: ID{byte(i)}, Label: "a key", Removed: i%2 == 0}, nil
			case i%7 == 6:
				return &Hold{ID: ID{byte(i)}, Account: "a"}, nil
			}
			p := Pack{ID: ulid.Make(), Size: r.Int64N(1 << 30)}
			packs = append(packs, p.ID)
			return &Commit{Packs: []Pack{p}, Snapshots: []Snapshot{{ID: ID{1, byte(i)}, Account: fmt.Sprint(i % 5), Notes: []string{"n"}}}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Checkpoint(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	whole := testLedger(memory)
	if err := whole.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	fromCheckpoint := testLedger(memory)
	if err := fromCheckpoint.LoadCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if fromCheckpoint.state.Next < 90 {
		t.Errorf("the checkpoint is of entry %d of 101", fromCheckpoint.state.Next)
	}
	if err := fromCheckpoint.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	exported, err := l.Export()
	if err != nil {
		t.Fatal(err)
	}
	imported := testLedger(memory)
	if err := imported.Import(exported); err != nil {
		t.Fatal(err)
	}
	if err := imported.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, other := range map[string]*Ledger{"the writer": l, "from a checkpoint": fromCheckpoint, "imported": imported} {
		if !Equal(whole, other) {
			t.Errorf("%s has another state than all entries give", what)
		}
	}
	changed := testLedger(memory)
	if err := changed.Import(exported); err != nil {
		t.Fatal(err)
	}
	changed.state.Vaults[ID{9}] = Vault{ID: ID{9}}
	if Equal(whole, changed) {
		t.Error("Equal does not see a difference")
	}
}

func TestDamagedCheckpointIsPassedOver(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := begin(t, memory)
	for i := range 30 {
		if err := commit(l, "a", ID{byte(i + 1)}); err != nil {
			t.Fatal(err)
		}
		if err := l.Checkpoint(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for info := range memory.List(t.Context(), checkpointPrefix, "") {
		names = append(names, info.Name)
	}
	if len(names) != 2 {
		t.Fatalf("checkpoints: %v", names)
	}
	if err := memory.Put(t.Context(), names[1], []byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{names[0], ""} {
		cold := testLedger(memory)
		if err := cold.LoadCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want != "" && checkpointName(cold.state.Next-1) != want {
			t.Errorf("began at entry %d, want that of %s", cold.state.Next, want)
		}
		if err := cold.Refresh(t.Context()); err != nil || !Equal(cold, l) {
			t.Errorf("%v", err)
		}
		if err := memory.Put(t.Context(), names[0], nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStateOfAnotherOrLongerLedgerIsNotBuiltOn(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	l := begin(t, memory)
	for i := range 3 {
		if err := commit(l, "a", ID{byte(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	exported, err := l.Export()
	if err != nil {
		t.Fatal(err)
	}
	if err := memory.Delete(t.Context(), Slot(3)); err != nil {
		t.Fatal(err)
	}
	imported := testLedger(memory)
	if err := imported.Import(exported); err != nil {
		t.Fatal(err)
	}
	if err := commit(imported, "a", ID{9}); !errors.Is(err, ErrShorter) {
		t.Errorf("append: %v", err)
	}
	if err := imported.Refresh(t.Context()); !errors.Is(err, ErrShorter) {
		t.Errorf("refresh: %v", err)
	}
	var names []string
	for info := range memory.List(t.Context(), "", "") {
		names = append(names, info.Name)
	}
	if !slices.Equal(names, []string{Slot(0), Slot(1), Slot(2)}) {
		t.Errorf("there is a gap now: %v", names)
	}
}

func TestHoleInTheLedgerIsNotTakenForItsEnd(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	l := begin(t, store)
	for i := range 9 {
		if err := commit(l, "a", ID{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := testLedger(store).Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, hole := range []uint64{0, 1, 5, 8} {
		name := Slot(hole)
		octets, err := store.Get(t.Context(), name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		store.Delete(t.Context(), name)
		reader := testLedger(store)
		err = reader.Complete(t.Context())
		if !errors.Is(err, ErrHole) || !strings.Contains(err.Error(), name) {
			t.Errorf("without entry %d: %v", hole, err)
		}
		damaged, err := reader.Damaged(t.Context())
		if err != nil || len(damaged) != 1 || damaged[name] == nil {
			t.Errorf("without entry %d: damaged are %v, %v", hole, damaged, err)
		}
		store.Put(t.Context(), name, octets)
	}
	store.Delete(t.Context(), Slot(9)) // a shorter one cannot be told from the whole
	if err := testLedger(store).Complete(t.Context()); err != nil {
		t.Error(err)
	}
	if err := testLedger(objects.NewMemory()).Complete(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("no ledger: %v", err)
	}
}

// TestOthersWhoAppendMeanwhileMakeNoHole lets two entries come between the
// look at the first free slot and the look behind it.
func TestOthersWhoAppendMeanwhileMakeNoHole(t *testing.T) {
	t.Parallel()
	memory := objects.NewMemory()
	writer := begin(t, memory)
	store := objectstest.NewFaulty(memory, 1)
	n := byte(0)
	store.Before(func(_ context.Context, op objectstest.Op, _ string) {
		for ; op == objectstest.List && n < 2; n++ {
			if err := commit(writer, "a", ID{n}); err != nil {
				t.Error(err)
			}
		}
	})
	reader := testLedger(store)
	if err := reader.Complete(t.Context()); err != nil || reader.Entries() != 3 {
		t.Errorf("%d entries, %v", reader.Entries(), err)
	}
}
