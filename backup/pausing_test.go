package backup

import (
	"context"
	"sync"
	"testing"
	"time"
)

// slowFolder is a server on which a folder's messages come when all is ready.
type slowFolder struct {
	*fakeServer
	slow  string
	ready chan struct{}
}

func (s slowFolder) Open(ctx context.Context, l Listed, known Known) (Mailbox, error) {
	m, err := s.fakeServer.Open(ctx, l, known)
	if f, ok := m.(*fakeMailbox); ok && f.name == s.slow {
		return slowMailbox{f, s.ready}, err
	}
	return m, err
}

type slowMailbox struct {
	*fakeMailbox
	ready chan struct{}
}

func (m slowMailbox) Fetch(ctx context.Context, uids []uint32, each func(*Fetched) error) error {
	<-m.ready
	return m.fakeMailbox.Fetch(ctx, uids, each)
}

// TestFolderThatAnotherWorkerReadsWhileOnePausesIsSaved: a worker that lost its
// connection rests for a while, and meanwhile another one reads what it put
// back. The folder was missing from the snapshot, which said that it was
// complete.
func TestFolderThatAnotherWorkerReadsWhileOnePausesIsSaved(t *testing.T) {
	t.Parallel()
	for what, surveys := range map[string]bool{"a chunk": false, "a survey": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			repo := newRepository(t)
			s := newFake()
			s.parallel = 2
			s.deliver("Other", 1)
			messages := 1
			if s.folder("INBOX"); !surveys {
				s.deliver("INBOX", 1)
				messages = 2
			}
			failed := false
			once := func(folder string) error {
				if folder == "INBOX" && !failed {
					failed = true
					return errConnection
				}
				return nil
			}
			if surveys {
				s.surveyed = once
			} else {
				s.fetchErr = func(folder string, _ []uint32) error { return once(folder) }
			}
			o := options(t, repo)
			o.Progress = new(Progress)
			ready := make(chan struct{})
			pausing := sync.OnceFunc(func() { close(ready) })
			o.Pause = func(ctx context.Context, _ int) error {
				pausing()
				// Until the other one has done all there is to do.
				for deadline := time.Now().Add(2 * time.Second); o.Progress.FoldersDone.Load() < 2 && time.Now().Before(deadline); {
					time.Sleep(time.Millisecond)
				}
				return ctx.Err()
			}
			result, err := Run(t.Context(), repo, slowFolder{s, "Other", ready}, o)
			if err != nil {
				t.Fatal(err)
			}
			if got := result.Snapshot; got.Messages != int64(messages) || got.Folders != 2 || got.Marks != 0 || !failed {
				t.Errorf("%d messages in %d folders, marked %v", got.Messages, got.Folders, got.Marks)
			}
			wantView(t, "after a pause", snapshotView(t, repo, result.Snapshot), s.view())
		})
	}
}
