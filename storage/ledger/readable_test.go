package ledger

import (
	"testing"

	"restante/storage/objects"
)

// strange is a body that no program can read.
type strange struct{}

func (*strange) kind() string { return "strange" }

// TestNothingIsAppendedThatCannotBeRead: an entry stays in its slot for good, and
// every reader stops at one that it cannot read.
func TestNothingIsAppendedThatCannotBeRead(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	l := begin(t, store)
	if err := l.Append(t.Context(), func(*State) (Body, error) { return &strange{}, nil }); err == nil {
		t.Error("it was appended")
	}
	if err := commit(l, "alice", ID{1}); err != nil {
		t.Fatal(err)
	}
	if err := testLedger(store).Refresh(t.Context()); err != nil {
		t.Errorf("a reader says %v", err)
	}
}

// TestTextsOfAnEntryMayBeNoUTF8: a file's name can be, and stands in a note.
func TestTextsOfAnEntryMayBeNoUTF8(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	l := begin(t, store)
	const odd = "left alone: caf\xe9"
	err := l.Append(t.Context(), func(*State) (Body, error) {
		return &Commit{Snapshots: []Snapshot{{ID: ID{1}, Account: odd, Notes: []string{odd}, Host: odd}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	other := testLedger(store)
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	octets, err := other.Export()
	if err != nil {
		t.Fatal(err)
	}
	cached := testLedger(store)
	if err := cached.Import(octets); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*Ledger{other, cached} {
		l.View(func(s *State) {
			if list := s.Snapshots[odd]; len(list) != 1 || list[0].Notes[0] != odd {
				t.Errorf("%+v", s.Snapshots)
			}
		})
	}
}
