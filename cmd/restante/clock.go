//go:build !simclock

package main

import "time"

// clock is what time it is for schedules and snapshots. The testbed builds a
// program with another one, to have a month of nights in some minutes.
func clock() func() time.Time { return time.Now }
