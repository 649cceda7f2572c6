// Package memory watches how much memory a test makes use of: [Watch]. Only
// tests import it.
package memory

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

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
	before, highest := inUse(), uint64(0)
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
			runtime.GC()
			if now := inUse(); now > before {
				highest = max(highest, now-before)
			}
		}
	}()
	return sync.OnceValue(func() uint64 { close(end); <-ended; return highest })
}
