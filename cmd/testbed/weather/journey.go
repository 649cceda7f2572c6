package weather

import (
	"io"
	"net"
	"sync"
	"time"
)

// A journey is a connection under way.
type journey struct {
	way            *Way
	trip           trip
	client, server *net.TCPConn
	over           <-chan struct{} // closed when the way breaks it
	once           sync.Once
	ended          chan struct{}
}

// longest is how long a connection stays on which nothing comes any more and
// whose end cannot be seen.
const longest = 3 * time.Minute

// end closes both ends, with RST if it is to be rude.
func (j *journey) end(rude bool) {
	j.once.Do(func() {
		if rude {
			j.client.SetLinger(0)
			j.server.SetLinger(0)
		}
		j.client.Close()
		j.server.Close()
		close(j.ended)
	})
}

// travel passes octets in both directions until both are at their end.
func (j *journey) travel() {
	for _, f := range j.trip.styles() {
		j.way.happened(f)
	}
	var wg sync.WaitGroup
	wg.Go(func() { j.oneWay(j.server, j.client, true) })
	wg.Go(func() { j.oneWay(j.client, j.server, false) })
	go func() {
		select {
		case <-j.over:
			j.end(false)
		case <-j.ended:
		}
	}()
	wg.Wait()
	j.end(false)
}

// drips is how many octets of a connection that drips come alone. It takes much
// of the machine's time.
const drips = 8 << 10

// oneWay passes octets from one end to the other.
func (j *journey) oneWay(to, from *net.TCPConn, up bool) {
	t := j.trip
	random := source(t.seed, ofJourneys, 2*t.n+map[bool]uint64{true: 1}[up])
	size := 16 << 10
	switch {
	case t.drip:
		size = 1
	case t.rate > 0:
		size = int(t.rate / 20)
	}
	buf := make([]byte, size)
	left := t.after // until what is to happen here; below 0: nothing is
	if t.end == "" || up != t.up {
		left = -1
	}
	for dripped := 0; ; dripped++ {
		if t.drip && dripped == drips {
			buf = make([]byte, 16<<10)
		}
		n, err := from.Read(buf)
		if n > 0 && t.latest > 0 && !j.sleep(time.Duration(random.Int64N(int64(t.latest)))) {
			return
		}
		b := buf[:n]
		happens := left >= 0 && int64(n) >= left
		if happens && t.end == Flipped {
			b[left-1] ^= t.bit
			j.way.happened(Flipped)
			happens, left = false, -1
		}
		if happens {
			b = b[:left]
		}
		if len(b) > 0 {
			j.way.moved.Add(1)
			if _, err := to.Write(b); err != nil {
				j.end(false)
				return
			}
		}
		if left > 0 {
			left -= int64(len(b))
		}
		switch {
		case happens:
			j.way.happened(t.end)
			j.happen(to, from)
			return
		case err != nil:
			// A way that is at its end does not end the other one; but nothing of
			// one that broke comes later.
			if err != io.EOF || to.CloseWrite() != nil {
				j.end(false)
			}
			return
		case t.rate > 0 && !j.sleep(time.Duration(n)*time.Second/time.Duration(t.rate)):
			return
		}
	}
}

// happen does what the trip ends with.
func (j *journey) happen(to, from *net.TCPConn) {
	switch j.trip.end {
	case Reset:
		j.end(true)
	case Cut:
		j.end(false)
	case HalfClosed:
		to.CloseWrite()
		j.swallow(from)
	case Silence:
		if j.trip.both {
			// What the other way has passes into nothing, too.
			go j.swallow(to)
		}
		if j.trip.stuff {
			j.sleep(longest)
		} else {
			j.swallow(from)
		}
		j.end(false)
	}
}

// swallow reads what comes, and forgets it.
func (j *journey) swallow(from *net.TCPConn) {
	from.SetReadDeadline(time.Now().Add(longest))
	io.Copy(io.Discard, from)
}

// sleep waits, and tells whether the journey goes on.
func (j *journey) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-j.over:
	case <-j.ended:
	}
	return false
}
