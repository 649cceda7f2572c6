// Package queuetest has what tests of a queue and of what is made of one need:
// a [Clock] that is set by hand, and a [FaultyDatabase] of whose operations one
// fails, at each of some [Points].
package queuetest

import (
	"sync"
	"time"
)

// A Clock stands still unless it is moved. It may be read and moved from many
// goroutines.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock makes a clock that shows a time.
func NewClock(at time.Time) *Clock { return &Clock{at: at} }

// Now is what it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Set has it show another time.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// Pass moves it on.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
