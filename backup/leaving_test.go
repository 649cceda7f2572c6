package backup

import (
	"sync"
	"testing"
	"time"

	"restante/storage"
)

// TestFolderThatIsGivenUpIsInDoubtBeforeAnotherWorkerMaySaveIt: one worker gives
// a folder up while another one reads the last of what it had taken of it, and
// saves it. The next run must not find that nothing has changed in it.
func TestFolderThatIsGivenUpIsInDoubtBeforeAnotherWorkerMaySaveIt(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	o := options(t, repo)
	o.Progress = new(Progress)
	o.defaults()
	w, err := repo.Writer(t.Context(), o.Vault)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r := &run{o: o, repo: repo, src: newFake(), w: w, gone: map[string]*storage.Folder{}, busy: 2}
	r.cond = sync.NewCond(&r.mu)
	j := &job{run: r, name: "INBOX", listed: Listed{Levels: []string{"INBOX"}}, reading: 2, chunks: []*chunk{{uids: []uint32{3}}},
		draft: w.Draft(nil), status: Status{UIDValidity: 7, UIDNext: 4, HighestModSeq: 9, Messages: 3}, exists: []uint32{1, 2, 3}}
	j.draft.Describe(j.describe)
	if err := j.draft.Add([]storage.Message{{UID: 1}, {UID: 2}}); err != nil {
		t.Fatal(err)
	}

	r.mu.Lock() // nobody can be told that there is nothing left to be read
	left := make(chan error, 1)
	go func() { left <- r.leaveAsItWas(t.Context(), j) }()
	for end := time.Now().Add(30 * time.Second); !j.left(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("others are told first that there is nothing left to be read")
			break
		}
	}
	r.mu.Unlock()
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	if _, err := r.done(t.Context(), j, outcome{chunk: &chunk{}, reached: true}); err != nil {
		t.Fatal(err)
	}
	if f := j.draft.Folder(); f.Messages != 2 || f.HighestModSeq != 0 || !j.saved.Valid() {
		t.Errorf("%d messages of 3 are saved, with HIGHESTMODSEQ %d", f.Messages, f.HighestModSeq)
	}
}
