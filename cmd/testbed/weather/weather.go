// Package weather is a way to a server on which things go wrong: [Open] one,
// have clients connect to its [Way.Address], and say with [Way.Set] how likely
// each [Fault] is, or [Way.Shut] it.
//
// What happens to the n-th connection, and to the n-th request of HTTP, is made
// of the seed and n, and of nothing else. Which connection is the n-th is the
// client's doing.
package weather

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a way is like that is not shut.
type Options struct {
	Seed uint64
	Odds Odds // none: fine weather
	HTTP bool // the server speaks HTTP in clear text, and faults of its answers are possible
}

// A Way passes connections on to a server.
type Way struct {
	l       net.Listener
	to      string
	o       Options
	answers *answers // nil: not of HTTP

	shut            atomic.Bool
	refused, broken atomic.Int64
	moved           atomic.Int64 // counts connections, and passages of octets

	mu     sync.Mutex // guards what follows
	n      uint64     // connections so far
	odds   Odds
	open   map[net.Conn]bool // clients' ends
	closed map[net.Conn]chan struct{}
	faults map[Fault]int
}

// Open opens a way to host:port. It stays until Close.
func Open(to string, o Options) (*Way, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a way to %s: %w", to, err)
	}
	w := &Way{l: l, to: to, o: o, odds: o.Odds, open: map[net.Conn]bool{}, closed: map[net.Conn]chan struct{}{}, faults: map[Fault]int{}}
	if o.HTTP {
		if err := w.readAnswers(); err != nil {
			l.Close()
			return nil, err
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.mu.Lock()
			n := w.n
			w.n++
			w.mu.Unlock()
			go w.pass(c.(*net.TCPConn), n)
		}
	}()
	return w, nil
}

// readAnswers puts a server between the connections and the server that they
// are for, which reads what is asked and answered.
func (w *Way) readAnswers() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening a way to %s: %w", w.to, err)
	}
	w.answers = &answers{way: w, to: w.to, l: l, last: map[string]*answer{}, swapper: map[string]chan swap{},
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
	w.to = l.Addr().String()
	go (&http.Server{Handler: w.answers, ErrorLog: quiet}).Serve(l)
	return nil
}

// Address is the host:port to connect to.
func (w *Way) Address() string { return w.l.Addr().String() }

// Set changes the weather for connections and requests from now on.
func (w *Way) Set(odds Odds) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.odds = maps.Clone(odds)
}

// Moved counts what passes: while it stays as it is, nothing does.
func (w *Way) Moved() int64 { return w.moved.Load() }

// Faults counts those that have come to pass.
func (w *Way) Faults() map[Fault]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.faults)
}

// Connections is how many there were so far.
func (w *Way) Connections() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(w.n)
}

// Again is how many requests of HTTP came again that an answer was spoilt for.
func (w *Way) Again() int64 {
	if w.answers == nil {
		return 0
	}
	return w.answers.again.Load()
}

func (w *Way) happened(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[f]++
}

// Shut refuses what comes from now on, and breaks what is through.
func (w *Way) Shut() {
	w.shut.Store(true)
	w.broken.Add(int64(w.Drop()))
}

// Drop breaks what is through, as when the client's computer is switched off,
// and returns how much that was.
func (w *Way) Drop() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		c.Close()
		close(w.closed[c])
	}
	n := len(w.open)
	clear(w.open)
	return n
}

// Let lets everything through again.
func (w *Way) Let() { w.shut.Store(false) }

// Turned tells how many connections were refused, and how many broken.
func (w *Way) Turned() (refused, broken int64) { return w.refused.Load(), w.broken.Load() }

// Close shuts it for good.
func (w *Way) Close() {
	w.l.Close()
	w.Shut()
	if w.answers != nil {
		w.answers.l.Close()
		w.answers.transport.CloseIdleConnections()
	}
}

// pass has the n-th connection through, or not.
func (w *Way) pass(c *net.TCPConn, n uint64) {
	defer c.Close()
	w.moved.Add(1)
	if w.shut.Load() {
		w.refused.Add(1)
		return
	}
	w.mu.Lock()
	trip := w.odds.trip(w.o.Seed, n)
	over := make(chan struct{})
	w.open[c], w.closed[c] = true, over
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open, c)
		delete(w.closed, c)
	}()
	j := &journey{way: w, trip: trip, client: c, over: over, ended: make(chan struct{})}
	if trip.end == Hole {
		w.happened(Hole)
		j.swallow(c)
		return
	}
	s, err := net.DialTimeout("tcp", w.to, 10*time.Second)
	if err != nil {
		return
	}
	defer s.Close()
	j.server = s.(*net.TCPConn)
	j.travel()
}
