package backup

import (
	"context"
	"errors"
	"fmt"
	"restante/storage/ledger"
	"restante/storage/objects"
	"restante/storage/objects/objectstest"
	"strings"
	"testing"
	"time"
)

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

// TestRunThatIsInterruptedWhileItCommitsKeepsWhatItHas: the commit that was under
// way is finished, and where it failed, there is another one in the end.
func TestRunThatIsInterruptedWhileItCommitsKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	for what, rules := range map[string][]objectstest.Rule{
		"it goes well":      nil,
		"it fails at first": {{Fault: objectstest.Full, On: objectstest.PutIfAbsent, Prefix: "ledger/", Skip: 1, Times: 1}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			store := objectstest.NewFaulty(objects.NewMemory(), 1, rules...)
			repo := newRepositoryIn(t, store)
			s := newFake()
			s.parallel = 1
			s.deliver("INBOX", 1000)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			store.Before(func(_ context.Context, op objectstest.Op, name string) {
				if op == objectstest.Put && strings.HasPrefix(name, "packs/") {
					cancel()
				}
			})
			o := options(t, repo)
			o.CommitBytes = 1
			if _, err := Run(ctx, repo, s, o); !errors.Is(err, context.Canceled) && !errors.Is(err, objects.ErrFull) {
				t.Fatal(err)
			}
			partial, ok := repo.Latest("alice")
			if !ok || !partial.Marks.Has(ledger.Partial) || partial.Messages != int64(s.fetched) {
				t.Fatalf("%v, %d messages of %d that were read, marked %v", ok, partial.Messages, s.fetched, partial.Marks)
			}
			result := run1(t, repo, s)
			wantView(t, "in the end", snapshotView(t, repo, result.Snapshot), s.view())
		})
	}
}

func TestRunThatIsInterruptedWhileItCommitsTheLastOfItComesToItsEnd(t *testing.T) {
	t.Parallel()
	store := objectstest.NewFaulty(objects.NewMemory(), 1)
	repo := newRepositoryIn(t, store)
	s := newFake()
	s.deliver("INBOX", 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store.Before(func(_ context.Context, op objectstest.Op, name string) {
		if op == objectstest.Put && strings.HasPrefix(name, "packs/") {
			cancel()
		}
	})
	result, err := Run(ctx, repo, s, options(t, repo))
	if err != nil || ctx.Err() == nil {
		t.Fatal(err, ctx.Err())
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
