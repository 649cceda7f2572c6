package backup

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"restante/storage/ledger"
)

// What sources of local mail need besides.

func TestListingThatIsUncertainTakesNoFolderForGone(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 20)
	s.deliver("Lists/go", 10)
	s.deliver("Empty", 0)
	first := run1(t, repo, s)
	hidden := s.folders["Lists/go"]
	delete(s.folders, "Lists/go")
	delete(s.folders, "Empty")
	s.deliver("INBOX", 1)
	s.listErr = fmt.Errorf("%w: Lists may not be read", ErrEnumeration)
	second := run1(t, repo, s)
	if m := second.Snapshot.Marks; !m.Has(ledger.Incomplete) || m.Has(ledger.Anomalous) {
		t.Errorf("the snapshot is marked %v", m)
	}
	if second.Snapshot.Messages != first.Snapshot.Messages+1 || second.Snapshot.Folders != 3 {
		t.Errorf("%d messages in %d folders", second.Snapshot.Messages, second.Snapshot.Folders)
	}
	if !slices.ContainsFunc(second.Snapshot.Notes, func(n string) bool { return strings.Contains(n, "Lists may not be read") }) {
		t.Errorf("the notes do not say why: %q", second.Snapshot.Notes)
	}
	s.folders["Lists/go"], s.listErr = hidden, nil
	s.folder("Empty")
	third := run1(t, repo, s)
	wantView(t, "when all can be listed again", snapshotView(t, repo, third.Snapshot), s.view())
	if third.Snapshot.Marks != 0 || third.Snapshot.Stats.New != 0 {
		t.Errorf("%v %+v", third.Snapshot.Marks, third.Snapshot.Stats)
	}
}

func TestSourceIsToldWhatIsKnownWhenAllIsReadAgain(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 5)
	run1(t, repo, s)
	o := options(t, repo)
	o.Full = true
	s.fetched = 0
	if _, err := Run(t.Context(), repo, s, o); err != nil {
		t.Fatal(err)
	}
	f := s.folders["INBOX"]
	if s.known.UIDValidity != f.validity || s.known.UIDNext != f.next || s.known.Keys == nil || s.fetched != 5 {
		t.Errorf("known is %+v, %d messages were read", s.known, s.fetched)
	}
}

type notingServer struct{ *fakeServer }

func (notingServer) Notes() []string { return []string{"left alone: a pipe"} }

func TestNotesOfTheSourceAreInTheSnapshot(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := notingServer{newFake()}
	s.deliver("INBOX", 5)
	if got := run1(t, repo, s).Snapshot; !slices.Equal(got.Notes, []string{"left alone: a pipe"}) || got.Marks != 0 {
		t.Errorf("%q, marked %v", got.Notes, got.Marks)
	}
}
