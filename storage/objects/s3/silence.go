package s3

import (
	"log/slog"
	"sync"
	"time"
)

// silence tells the log of a store that keeps everybody waiting: operations
// are under way, and for a while nothing came of any of them. An octet that
// moves is something, and so is every answer but those that mean "later".
type silence struct {
	log   *slog.Logger
	store string        // where it is
	first time.Duration // when it is told; and then each time it has lasted twice as long

	mu      sync.Mutex // guards what follows
	waiting int        // operations
	since   time.Time
	next    time.Duration // when it is told again
	told    bool
	last    error // what the last try said
	timer   *time.Timer
}

// tellAfter is longer than what a store that is well takes for anything, but
// short for a person at a terminal where nothing moves.
const tellAfter = 15 * time.Second

// enter says that an operation waits for the store from now on.
func (s *silence) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting++; s.waiting == 1 {
		s.begin()
	}
}

// leave says that it waits no longer.
func (s *silence) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting--; s.waiting == 0 {
		s.timer.Stop()
		s.told, s.last = false, nil
	}
}

// failed says what the last try of an operation came to.
func (s *silence) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = err
}

// sent says that octets are on their way. Behind a try that failed they prove
// nothing: the system takes some for a store that is gone.
func (s *silence) sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting > 0 && !s.told && s.last == nil {
		s.begin()
	}
}

// progress says that something came.
func (s *silence) progress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told {
		s.log.Warn("the store answers again", "store", s.store, "after", time.Since(s.since).Round(time.Second))
	}
	s.told, s.last = false, nil
	if s.waiting > 0 {
		s.begin()
	}
}

func (s *silence) begin() {
	s.since, s.next = time.Now(), s.first
	if s.timer == nil {
		s.timer = time.AfterFunc(s.first, s.tell)
		return
	}
	s.timer.Reset(s.first)
}

func (s *silence) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	lasted := time.Since(s.since)
	if s.waiting == 0 || lasted < s.next {
		return // it was over just now
	}
	args := []any{"store", s.store, "for", lasted.Round(time.Second)}
	if s.last != nil {
		args = append(args, "last answer", s.last)
	}
	s.log.Warn("the store keeps us waiting; it is asked again until it answers, or for a few minutes", args...)
	s.told, s.next = true, 2*s.next
	s.timer.Reset(s.next - lasted)
}
