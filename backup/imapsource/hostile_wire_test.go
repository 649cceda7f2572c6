package imapsource

import (
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"restante/backup/accounts/imapconn/imaptest/rogue"
)

// A tap is the client's end of a line: what goes out in clear is kept, and the
// memory is looked at whenever something comes in.
type tap struct {
	rogue.Tapped
	peak *peak
}

func (t *tap) Read(p []byte) (int, error) {
	t.peak.look()
	return t.Conn.Read(p)
}

// A peak is the most memory in use that was seen, garbage included.
type peak struct {
	before uint64
	most   atomic.Uint64
	stop   chan struct{}
	done   sync.WaitGroup
}

// heapNow is how many octets objects take that the collector has not freed.
func heapNow() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// newPeak begins to look, and compares with what was in use before. It must not be called in a bubble: it looks at the
// time that there really is.
func newPeak(before uint64) *peak {
	p := &peak{before: before, stop: make(chan struct{})}
	p.done.Go(func() {
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			select {
			case <-tick.C:
				p.look()
			case <-p.stop:
				return
			}
		}
	})
	return p
}

func (p *peak) look() {
	now := heapNow()
	for {
		was := p.most.Load()
		if now <= was || p.most.CompareAndSwap(was, now) {
			return
		}
	}
}

// took ends the looking and returns how many octets were in use beyond those
// at the beginning.
func (p *peak) took() int64 {
	close(p.stop)
	p.done.Wait()
	return int64(p.most.Load()) - int64(p.before)
}
