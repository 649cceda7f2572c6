package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"restante/storage"
	"restante/storage/ledger"
)

func TestEverySnapshotIsTheAccountAsItWas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		repo := newRepository(t)
		s := newFake()
		s.noModSeq = seed%3 == 0
		s.deliver("INBOX", 700)
		s.deliver("Lists/go", 1500)
		s.folder("Empty")
		s.folder("NoSelect").noSelect = true
		var views []view
		var snapshots []storage.Snapshot
		for range 8 {
			result := run1(t, repo, s)
			if result.Snapshot.Marks.Has(ledger.Incomplete) || len(result.Missing) > 0 {
				t.Fatalf("seed %d: %v %v", seed, result.Snapshot.Marks, result.Missing)
			}
			snapshots, views = append(snapshots, result.Snapshot), append(views, s.view())
			for range 1 + r.IntN(4) {
				names := slices.Sorted(maps.Keys(s.folders))
				names = slices.DeleteFunc(names, func(n string) bool { return s.folders[n].noSelect })
				name := names[r.IntN(len(names))]
				f := s.folder(name)
				uids := slices.Sorted(maps.Keys(f.messages))
				switch r.IntN(7) {
				case 0:
					s.deliver(name, r.IntN(600))
				case 1:
					s.deliver(fmt.Sprintf("New %d", r.IntN(10)), r.IntN(5))
				case 2:
					for range min(len(uids), r.IntN(20)) {
						s.flag(name, uids[r.IntN(len(uids))], []string{`\Seen`, `\Flagged`, "$Junk"}[:r.IntN(4)]...)
					}
				case 3:
					if len(uids) > 0 {
						s.expunge(name, uids[r.IntN(len(uids)):][:1]...)
					}
				case 4: // renamed
					s.folders[name+" renamed"] = f
					delete(s.folders, name)
				case 5: // a new epoch, other UIDs
					messages := map[uint32]*fakeMessage{}
					f.next = 1
					for _, uid := range uids {
						messages[f.next] = f.messages[uid]
						f.next++
					}
					f.validity, f.messages = f.validity+100, messages
				case 6:
					s.expunge(name, uids...)
				}
			}
		}
		for i := range snapshots {
			wantView(t, fmt.Sprintf("seed %d, snapshot %d", seed, i), snapshotView(t, repo, snapshots[i]), views[i])
		}
		if c, err := repo.Check(t.Context(), storage.CheckOptions{ReadData: 1}); err != nil || len(c.Findings) > 0 {
			t.Fatalf("seed %d: %v %v", seed, err, c)
		}
	}
}

func TestUnchangedAccountIsNotOpened(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 10)
	s.folder("Empty")
	first := run1(t, repo, s)
	s.opened, s.fetched = 0, 0
	second := run1(t, repo, s)
	if s.opened != 0 || second.Snapshot.Root != first.Snapshot.Root || second.Snapshot.Stats != (ledger.Stats{Listed: 10}) {
		t.Errorf("%d folders were opened, %+v", s.opened, second.Snapshot.Stats)
	}
	s.folder("Empty").subscribed = true
	third := run1(t, repo, s)
	if s.opened != 0 || third.Snapshot.Root == first.Snapshot.Root {
		t.Errorf("%d folders were opened for a subscription; a new tree: %v", s.opened, third.Snapshot.Root != first.Snapshot.Root)
	}
}

func TestMessageLeftOutOfTheAnswerIsUnknownNotGone(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 20)
	s.leaveOut = func(_ string, uid uint32) bool { return uid == 7 }
	result := run1(t, repo, s)
	if !result.Snapshot.Marks.Has(ledger.Incomplete) || len(result.Missing) != 1 || result.Missing[0].UID != 7 || result.Snapshot.Messages != 19 {
		t.Fatalf("%+v", result)
	}
	if s.fetched != 19 {
		t.Errorf("%d messages were fetched", s.fetched)
	}
	if stats := result.Snapshot.Stats; stats.Listed != 20 || stats.Unproven != 1 {
		t.Errorf("of %d listed messages %d are not there", stats.Listed, stats.Unproven)
	}
	result = run1(t, repo, s) // nothing changed, but it is asked for again
	if len(result.Missing) != 1 {
		t.Fatalf("the second run: %+v", result)
	}
	tree, _ := repo.OpenSnapshot(t.Context(), result.Snapshot)
	if m := tree.Folders[0].Missing; len(m) != 1 || m[0].Tries != 2 {
		t.Errorf("the record says %+v", m)
	}
	s.leaveOut = nil
	result = run1(t, repo, s)
	if len(result.Missing) != 0 || result.Snapshot.Messages != 20 || result.Snapshot.Marks != 0 {
		t.Fatalf("the third run: %+v", result)
	}
	if stats := result.Snapshot.Stats; stats.Listed != 20 || stats.Unproven != 0 {
		t.Errorf("in the end, of %d listed messages %d are not there", stats.Listed, stats.Unproven)
	}
	wantView(t, "in the end", snapshotView(t, repo, result.Snapshot), s.view())
}

func TestMessageExpungedWhileReadingIsNotMissing(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 20)
	s.onFetch = func(_ string, uid uint32) {
		if uid == 5 {
			delete(s.folders["INBOX"].messages, 9)
		}
	}
	result := run1(t, repo, s)
	if len(result.Missing) != 0 || result.Snapshot.Messages != 19 {
		t.Errorf("%+v", result)
	}
	if stats := result.Snapshot.Stats; stats.Listed != 19 || stats.Unproven != 0 {
		t.Errorf("of %d messages that are still there %d are not in the snapshot", stats.Listed, stats.Unproven)
	}
}

func TestOneBadMessageDoesNotBlockTheFolder(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 1200)
	s.fetchErr = func(_ string, uids []uint32) error {
		if slices.Contains(uids, 777) {
			return fmt.Errorf("%w: NO internal error", ErrRefused)
		}
		return nil
	}
	result := run1(t, repo, s)
	if result.Snapshot.Messages != 1199 || len(result.Missing) != 1 || !strings.Contains(result.Missing[0].Reason, "internal error") {
		t.Errorf("%d messages, missing %+v", result.Snapshot.Messages, result.Missing)
	}
}

func TestLostConnectionsAreTriedAgainAndEndInAnErrorIfTheyStay(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 1200)
	s.deliver("Other", 600)
	fetches := map[string]int{} // by what is asked for
	asked := 0                  // messages, in all that is asked for
	s.fetchErr = func(folder string, uids []uint32) error {
		set := fmt.Sprint(folder, uids)
		if fetches[set]++; fetches[set] == 1 {
			asked += len(uids)
			return errConnection
		}
		return nil
	}
	result := run1(t, repo, s)
	wantView(t, "flaky", snapshotView(t, repo, result.Snapshot), s.view())
	if asked != 1800 || len(result.Missing) > 0 {
		t.Errorf("a connection lost once cut what was asked for: %d different ones, with %d messages; missing: %v", len(fetches), asked, result.Missing)
	}

	s.deliver("INBOX", 1)
	s.openErr = func(string) error { return errConnection }
	if _, err := Run(t.Context(), repo, s, options(t, repo)); !errors.Is(err, errConnection) {
		t.Errorf("%v", err)
	}
	if latest, _ := repo.Latest("alice"); latest.ID != result.Snapshot.ID {
		t.Error("a run that read nothing committed something")
	}
}

func TestFolderThatMayNotBeReadStaysAsItWas(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 20)
	s.deliver("Secret", 10)
	first := run1(t, repo, s)
	s.deliver("Secret", 1)
	s.deliver("INBOX", 1)
	s.openErr = func(name string) error {
		if name == "Secret" {
			return fmt.Errorf("%w: no permission", ErrAccess)
		}
		return nil
	}
	second := run1(t, repo, s)
	if !second.Snapshot.Marks.Has(ledger.Incomplete) || second.Snapshot.Messages != first.Snapshot.Messages+1 {
		t.Fatalf("%+v", second.Snapshot)
	}
	s.openErr = nil
	third := run1(t, repo, s)
	wantView(t, "with access again", snapshotView(t, repo, third.Snapshot), s.view())
}

// A folder that one worker gives up while another reads in it is said to be
// given up, and its messages are not said to be lost without a reason.
func TestFolderThatIsGivenUpInTheMiddleIsSaidOnce(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 2000)
	s.fetchErr = func(_ string, uids []uint32) error {
		if slices.Contains(uids, 1200) {
			return fmt.Errorf("%w: no permission any more", ErrAccess)
		}
		return nil
	}
	result := run1(t, repo, s)
	if stats := result.Snapshot.Stats; !result.Snapshot.Marks.Has(ledger.Incomplete) || stats.Listed != 2000 || stats.Unproven != 2000-result.Snapshot.Messages {
		t.Errorf("%+v", result.Snapshot)
	}
	for _, n := range result.Snapshot.Notes {
		if strings.Contains(n, "nobody knows") {
			t.Errorf("note: %s", n)
		}
	}
}

func TestServerThatContradictsItselfRemovesNothing(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 20)
	run1(t, repo, s)
	s.expunge("INBOX", 3)
	s.deliver("INBOX", 1)
	s.uidsErr = ErrEnumeration
	result := run1(t, repo, s)
	if result.Snapshot.Messages != 21 || !result.Snapshot.Marks.Has(ledger.Incomplete) {
		t.Fatalf("%+v", result.Snapshot)
	}
	s.uidsErr = nil
	result = run1(t, repo, s)
	wantView(t, "when it is well again", snapshotView(t, repo, result.Snapshot), s.view())
}

func TestNewEpochIsMatchedWithoutReadingItAll(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 1000)
	run1(t, repo, s)
	f := s.folder("INBOX")
	f.validity++
	s.fetched = 0
	result := run1(t, repo, s)
	if s.fetched > 1000/sampleEvery+1 || s.headers != 1000 {
		t.Errorf("%d messages and %d headers were read", s.fetched, s.headers)
	}
	wantView(t, "matched", snapshotView(t, repo, result.Snapshot), s.view())
	if !slices.ContainsFunc(result.Snapshot.Notes, func(n string) bool { return strings.Contains(n, "UIDVALIDITY") }) {
		t.Errorf("the run does not say so: %q", result.Snapshot.Notes)
	}

	// Another epoch, in which bodies changed behind the same headers and sizes.
	f.validity++
	for _, m := range f.messages {
		b := []byte(m.body)
		b[len(b)-3] ^= 1
		m.body = string(b)
	}
	result = run1(t, repo, s)
	wantView(t, "changed behind the headers", snapshotView(t, repo, result.Snapshot), s.view())
}

func TestFolderOfTheSameEpochThatIsAnotherIsReadWhole(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("Old", 300)
	run1(t, repo, s)
	old := s.folder("Old")
	s.mu.Lock()
	delete(s.folders, "Old")
	s.mu.Unlock()
	s.deliver("New", 300)
	s.folder("New").validity = old.validity // as when both were made in the same second
	result := run1(t, repo, s)
	wantView(t, "another folder", snapshotView(t, repo, result.Snapshot), s.view())
	if !result.Snapshot.Marks.Has(ledger.Anomalous) {
		t.Error("a folder is gone with its mail, and the snapshot is not marked")
	}
}

func TestMassDeletionIsMarked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		have, gone int
		marked     bool
	}{{1000, 201, true}, {1000, 200, false}, {100, 51, true}, {100, 50, false}, {60, 49, false}} {
		repo := newRepository(t)
		s := newFake()
		s.deliver("INBOX", c.have)
		run1(t, repo, s)
		for uid := range uint32(c.gone) {
			s.expunge("INBOX", uid+1)
		}
		if got := run1(t, repo, s).Snapshot.Marks.Has(ledger.Anomalous); got != c.marked {
			t.Errorf("%d of %d gone: marked %v", c.gone, c.have, got)
		}
	}
}

func TestRunBeginsAgainWhenItsParentIsForgotten(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 100)
	first := run1(t, repo, s)
	s.deliver("INBOX", 100)
	forgotten := false
	s.onFetch = func(string, uint32) {
		if !forgotten {
			forgotten = true
			if err := repo.Forget(context.Background(), []storage.ID{first.Snapshot.ID}, "test"); err != nil {
				t.Error(err)
			}
		}
	}
	result := run1(t, repo, s)
	if !forgotten || result.Parent.ID == first.Snapshot.ID {
		t.Errorf("the parent is %s", result.Parent.ID)
	}
	wantView(t, "after all", snapshotView(t, repo, result.Snapshot), s.view())
}

func TestExcludedFoldersAreLeftOutAndNoAnomaly(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 10)
	s.deliver("Trash", 200)
	run1(t, repo, s)
	o := options(t, repo)
	o.Exclude = func(levels []string) bool { return levels[0] == "Trash" }
	result, err := Run(t.Context(), repo, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if result.Snapshot.Folders != 1 || result.Snapshot.Messages != 10 {
		t.Errorf("%+v", result.Snapshot)
	}
}

func TestBusyServerGetsFewerConnections(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	for i := range 20 {
		s.deliver(fmt.Sprintf("Folder %d", i), 30)
	}
	s.parallel = 4
	open := 0
	s.openErr = func(string) error {
		if open++; open%3 == 0 && open < 30 {
			return fmt.Errorf("%w: too many connections", ErrBusy)
		}
		return nil
	}
	result := run1(t, repo, s)
	wantView(t, "busy", snapshotView(t, repo, result.Snapshot), s.view())
}
