//go:build simclock

package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// clock is read from a file, as seconds since 1970, that the testbed sets.
func clock() func() time.Time {
	path := os.Getenv("TESTBED_CLOCK")
	var last atomic.Int64
	last.Store(time.Now().Unix())
	return func() time.Time {
		if b, err := os.ReadFile(path); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
				last.Store(n)
			}
		}
		return time.Unix(last.Load(), 0)
	}
}
