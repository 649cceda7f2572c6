// Package memory watches how much memory a test makes use of: [Limit]. Only
// tests import it.
package memory

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// Reachable runs the collector and returns how many octets of memory are
// reachable. What is allocated while the collector runs, which it takes for
// reachable, does not count: on a busy machine that is a lot.
func Reachable() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	before := samples[0].Value.Uint64()
	runtime.GC()
	metrics.Read(samples)
	meanwhile := samples[0].Value.Uint64() - before
	return max(samples[1].Value.Uint64(), meanwhile) - meanwhile
}

// Limit begins to look how many octets of memory are in use. The function that
// it returns ends it, and fails the test if what, which the failure names, took
// more than most on top at any time. It is for defer: a bubble of synctest in
// which something fails ends the test, and nothing behind it is reached. What is
// not reachable does not count, so that nothing depends on when the collector
// runs: from most on, the collector is asked.
func Limit(t testing.TB, what string, most uint64) (end func()) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	inUse := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before, highest := Reachable(), uint64(0)
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-enough:
				return
			case <-time.After(2 * time.Millisecond):
			}
			if inUse() < before+highest+most {
				continue
			}
			if now := Reachable(); now > before {
				highest = max(highest, now-before)
			}
		}
	}()
	return func() {
		close(enough)
		<-ended
		if highest > most {
			t.Errorf("%s took %d MiB of memory", what, highest>>20)
		}
	}
}
