package index

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
)

// TestCoversWaitsForNobody: who asks which packs are covered holds the ledger,
// and who looks up or adds asks the ledger which packs are live. So Covers must
// answer while another goroutine looks up and a third one waits to add.
func TestCoversWaitsForNobody(t *testing.T) {
	t.Parallel()
	packs := somePacks(rand.New(rand.NewPCG(8, 1)), 2, 50)
	s := OpenSet("")
	defer s.Close()
	if err := s.Add(packs[:1], all); err != nil {
		t.Fatal(err)
	}
	const patience = 30 * time.Second // decides nothing when all is well
	added, looked, covered := make(chan error, 1), make(chan error, 1), make(chan bool, 1)
	go func() {
		_, _, err := s.Lookup(packs[0].Directory[0].IDs[0], func(ulid.ULID) bool {
			go func() { added <- s.Add(packs[1:], all) }()
			for end := time.Now().Add(patience); s.mu.TryRLock(); time.Sleep(time.Millisecond) {
				s.mu.RUnlock() // it does not wait yet
				if time.Now().After(end) {
					t.Error("Add does not wait for Lookup")
					return true
				}
			}
			go func() { covered <- s.Covers(packs[0].ID) }()
			select {
			case c := <-covered:
				if !c {
					t.Error("a pack is not covered")
				}
			case <-time.After(patience):
				t.Error("Covers waits for whoever waits for Lookup")
			}
			return true
		})
		looked <- err
	}()
	if err := <-looked; err != nil {
		t.Error(err)
	}
	if err := <-added; err != nil {
		t.Error(err)
	}
	if !s.Covers(packs[1].ID) {
		t.Error("what was added is not covered")
	}
}
