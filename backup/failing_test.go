package backup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"restante/storage/ledger"
)

// Servers on which some things fail every time, and the rest must be had.

func TestMessageThatEndsEveryConnectionIsSetAside(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 1200)
	s.deliver("Other", 600)
	s.fetchErr = func(folder string, uids []uint32) error {
		if folder == "INBOX" && slices.Contains(uids, 777) {
			return errConnection
		}
		return nil
	}
	result := run1(t, repo, s)
	if result.Snapshot.Messages != 1799 || len(result.Missing) != 1 || result.Missing[0].UID != 777 || !result.Snapshot.Marks.Has(ledger.Incomplete) {
		t.Fatalf("%d messages, marked %v, missing %+v", result.Snapshot.Messages, result.Snapshot.Marks, result.Missing)
	}
	if !strings.Contains(result.Missing[0].Reason, errConnection.Error()) {
		t.Errorf("the reason is %q", result.Missing[0].Reason)
	}
	s.fetchErr, s.fetched = nil, 0
	result = run1(t, repo, s)
	wantView(t, "in the end", snapshotView(t, repo, result.Snapshot), s.view())
	if s.fetched != 1 || result.Snapshot.Marks != 0 {
		t.Errorf("%d messages were read, marked %v", s.fetched, result.Snapshot.Marks)
	}
}

func TestConnectionLostBetweenTheTriesForAMessageThatWasLeftOutAddsNothingTwice(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 600)
	s.leaveOut = func(_ string, uid uint32) bool { return uid == 7 || uid == 300 }
	lost := 0
	s.fetchErr = func(_ string, uids []uint32) error {
		if len(uids) == 1 && lost < 2 {
			lost++
			return errConnection
		}
		if len(uids) == 1 {
			s.leaveOut = nil
		}
		return nil
	}
	result := run1(t, repo, s)
	wantView(t, "after lost connections", snapshotView(t, repo, result.Snapshot), s.view())
	if result.Snapshot.Messages != 600 || s.fetched != 600 {
		t.Errorf("%d messages, %d were read", result.Snapshot.Messages, s.fetched)
	}
}

func TestFoldersThatCannotBeSurveyedStayAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		err    error
		broken int // folders
	}{
		{"the connection ends", errConnection, 1},
		{"the connection ends in many folders", errConnection, 7},
		{"the server refuses", ErrRefused, 7},
		{"the server is always busy", ErrBusy, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			repo := newRepository(t)
			s := newFake()
			for i := range 12 {
				s.deliver(fmt.Sprintf("Folder %02d", i), 5)
			}
			run1(t, repo, s)
			for i := range 12 {
				s.deliver(fmt.Sprintf("Folder %02d", i), 1)
			}
			s.surveyed = func(folder string) error {
				if folder < fmt.Sprintf("Folder %02d", c.broken) {
					return c.err
				}
				return nil
			}
			result := run1(t, repo, s)
			if got := result.Snapshot; got.Messages != int64(12*6-c.broken) || !got.Marks.Has(ledger.Incomplete) || len(got.Notes) != c.broken {
				t.Fatalf("%d messages, marked %v, %q", got.Messages, got.Marks, got.Notes)
			}
			s.surveyed = nil
			result = run1(t, repo, s)
			wantView(t, "when they can be", snapshotView(t, repo, result.Snapshot), s.view())
		})
	}
}

func TestServerThatFailsEverywhereEndsTheRun(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	for i := range 200 {
		s.deliver(fmt.Sprintf("Folder %d", i), 1)
	}
	tries := 0
	s.surveyed = func(string) error { tries++; return errConnection }
	if _, err := Run(t.Context(), repo, s, options(t, repo)); !errors.Is(err, errConnection) {
		t.Errorf("%v", err)
	}
	if tries > mostFailures+s.parallel {
		t.Errorf("%d tries", tries)
	}
}

func TestFolderThatIsReplacedWhileItIsReadIsNotMixedWithItsSuccessor(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.parallel = 1
	s.deliver("INBOX", 1200)
	before := s.view()
	replaced := false
	s.fetchErr = func(_ string, uids []uint32) error {
		if slices.Contains(uids, 600) && !replaced {
			replaced = true
			f := s.folders["INBOX"]
			f.validity++
			for uid, m := range f.messages {
				f.messages[uid] = &fakeMessage{body: "another " + m.body, flags: m.flags, date: m.date, modseq: m.modseq}
			}
			return errConnection
		}
		return nil
	}
	result := run1(t, repo, s)
	got := snapshotView(t, repo, result.Snapshot)
	for place, m := range got["INBOX"] {
		if before["INBOX"][place] != m {
			t.Fatalf("%s is %.60q, which was never there", place, m)
		}
	}
	if !result.Snapshot.Marks.Has(ledger.Incomplete) {
		t.Errorf("marked %v", result.Snapshot.Marks)
	}
	result = run1(t, repo, s)
	wantView(t, "the successor", snapshotView(t, repo, result.Snapshot), s.view())
}

func TestServerThatWasPutBackToAnEarlierStateTellsAllFlags(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	s := newFake()
	s.deliver("INBOX", 20)
	for range 10 {
		s.flag("INBOX", 3, `\Flagged`)
	}
	run1(t, repo, s)
	f := s.folders["INBOX"]
	f.modseq = 25 // of 31
	f.messages[3].flags, f.messages[3].modseq = []string{`\Seen`}, 20
	result := run1(t, repo, s)
	wantView(t, "put back", snapshotView(t, repo, result.Snapshot), s.view())
}
