package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/storage"
	"restante/storage/ledger"
	"restante/storage/objects"
)

func newRepository(t *testing.T) *storage.Repository {
	t.Helper()
	r, err := storage.Init(t.Context(), objects.NewMemory(), storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func options(t *testing.T, repo *storage.Repository) Options {
	t.Helper()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Account: "alice", Vault: vault, Pause: func(ctx context.Context, _ int) error { return ctx.Err() }}
}

func run1(t *testing.T, repo *storage.Repository, s Source) *Result {
	t.Helper()
	result, err := Run(t.Context(), repo, s, options(t, repo))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A view is all that a snapshot must have kept.
type view map[string]map[string]string // folder → UIDVALIDITY and UID → flags, date and octets

func (s *fakeServer) view() view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{}
	for name, f := range s.folders {
		v[name] = map[string]string{}
		for uid, m := range f.messages {
			v[name][fmt.Sprintf("%d/%d", f.validity, uid)] = fmt.Sprintf("%q %d %s", slices.Sorted(slices.Values(m.flags)), m.date.Unix(), m.body)
		}
	}
	return v
}

func snapshotView(t *testing.T, repo *storage.Repository, s storage.Snapshot) view {
	t.Helper()
	tree, err := repo.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	v := view{}
	for _, f := range tree.Folders {
		v[f.Name()] = map[string]string{}
		for m, err := range f.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := repo.WriteMessage(t.Context(), &b, s.Vault, m.Recipe); err != nil {
				t.Fatal(err)
			}
			v[f.Name()][fmt.Sprintf("%d/%d", f.UIDValidity, m.UID)] = fmt.Sprintf("%q %d %s", slices.Sorted(slices.Values(m.Flags)), m.InternalDate.Unix(), b.String())
		}
	}
	return v
}

func wantView(t *testing.T, what string, got, want view) {
	t.Helper()
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Fatalf("%s: folders %q, want %q", what, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for name := range want {
		for place, m := range want[name] {
			if got[name][place] != m {
				t.Fatalf("%s: folder %q, %s: %.80q, want %.80q", what, name, place, got[name][place], m)
			}
		}
		if len(got[name]) != len(want[name]) {
			t.Fatalf("%s: folder %q has %d messages, want %d", what, name, len(got[name]), len(want[name]))
		}
	}
}

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

func TestInterruptedFirstBackupGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.parallel = 1
	for i := range 6 {
		s.deliver(fmt.Sprintf("Folder %d", i), 1000)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.onFetch = func(string, uint32) {
		if s.fetched == 3500 {
			cancel()
		}
	}
	o := options(t, repo)
	o.CommitBytes = 100_000
	if _, err := Run(ctx, repo, s, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	partial, ok := repo.Latest("alice")
	if !ok || !partial.Marks.Has(ledger.Partial) || partial.Messages < 3000 {
		t.Fatalf("%v %+v", ok, partial)
	}
	if n := len(repo.Snapshots("alice")); n != 1 {
		t.Errorf("%d partial snapshots are left", n)
	}
	s.onFetch, s.fetched = nil, 0
	result := run1(t, repo, s)
	if s.fetched > 3000 {
		t.Errorf("%d messages were read again", s.fetched)
	}
	wantView(t, "in the end", snapshotView(t, repo, result.Snapshot), s.view())
}

func TestPartialSnapshotKeepsWhatTheRunDidNotComeTo(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.parallel = 1
	for i := range 4 {
		s.deliver(fmt.Sprintf("Folder %d", i), 700)
	}
	full := run1(t, repo, s)
	for i := range 4 {
		s.deliver(fmt.Sprintf("Folder %d", i), 600)
	}
	s.mu.Lock()
	delete(s.folders, "Folder 3")
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	s.fetched = 0
	s.onFetch = func(string, uint32) {
		if s.fetched == 700 {
			cancel()
		}
	}
	o := options(t, repo)
	o.CommitBytes = 1
	if _, err := Run(ctx, repo, s, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	partial, _ := repo.Latest("alice")
	if !partial.Marks.Has(ledger.Partial) || partial.Messages < full.Snapshot.Messages+512 || partial.Folders != 4 {
		t.Errorf("%+v", partial)
	}
	if n := len(repo.Snapshots("alice")); n != 2 {
		t.Errorf("%d snapshots, want the full and the last partial one", n)
	}
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

// What is asked for at once is measured in octets: a kill must not cost the
// hours that 512 large messages take.
func TestLargeMessagesDoNotPutOffThePartialSnapshot(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.parallel = 1
	s.deliver("INBOX", 600)
	s.deliver("Small", 3000)
	for uid, m := range s.folders["INBOX"].messages {
		m.body += strings.Repeat(fmt.Sprintf("a long line in the message %d\r\n", uid), 1000)
	}
	most, fetches := map[string]int{}, map[string]int{}
	s.fetchErr = func(folder string, uids []uint32) error {
		octets := 0
		for _, uid := range uids {
			octets += len(s.folders[folder].messages[uid].body)
		}
		most[folder] = max(most[folder], octets)
		fetches[folder]++
		return nil
	}
	o := options(t, repo)
	o.CommitBytes, o.CommitEvery, o.Progress = 4<<20, time.Hour, new(Progress)
	result, err := Run(t.Context(), repo, s, o)
	if err != nil {
		t.Fatal(err)
	}
	wantView(t, "all", snapshotView(t, repo, result.Snapshot), s.view())
	if most["INBOX"] > 1<<20 || o.Progress.Commits.Load() < 4 {
		t.Errorf("%d octets were asked for at once, and there were %d commits", most["INBOX"], o.Progress.Commits.Load())
	}
	if fetches["Small"] > 10 {
		t.Errorf("3000 small messages were asked for in %d parts", fetches["Small"])
	}
}
