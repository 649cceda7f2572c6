// Package memory watches how much memory a test makes use of: [Watch]. Only
// tests import it.
package memory

import (
	"runtime"
	"runtime/metrics"
	"sync"
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

// Watch begins to look how many octets of memory are in use. The function that
// it returns ends it, and tells how many came on top at most, where that is more
// than most. What is not reachable does not count, so that nothing depends on
// when the collector runs: from most on, the collector is asked.
func Watch(most uint64) (peak func() uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	inUse := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before, highest := Reachable(), uint64(0)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
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
	return sync.OnceValue(func() uint64 { close(end); <-ended; return highest })
}
