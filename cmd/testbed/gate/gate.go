// Package gate is a way to a server that can be shut: [Open] one, have clients
// connect to its [Gate.Address], and [Gate.Shut] it.
package gate

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// A Gate passes connections on to a server.
type Gate struct {
	l  net.Listener
	to string

	shut            atomic.Bool
	refused, broken atomic.Int64

	mu   sync.Mutex // guards what follows
	open map[net.Conn]bool
}

// Open opens a gate to host:port. It stays until Close.
func Open(to string) (*Gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &Gate{l: l, to: to, open: map[net.Conn]bool{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.pass(c)
		}
	}()
	return g, nil
}

// Address is the host:port to connect to.
func (g *Gate) Address() string { return g.l.Addr().String() }

// Shut refuses what comes from now on, and breaks what is through.
func (g *Gate) Shut() {
	g.shut.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.open {
		c.Close()
		g.broken.Add(1)
	}
}

// Let lets everything through again.
func (g *Gate) Let() { g.shut.Store(false) }

// Turned tells how many connections were refused, and how many broken.
func (g *Gate) Turned() (refused, broken int64) { return g.refused.Load(), g.broken.Load() }

// Close shuts it for good.
func (g *Gate) Close() {
	g.l.Close()
	g.Shut()
}

func (g *Gate) pass(c net.Conn) {
	defer c.Close()
	if g.shut.Load() {
		g.refused.Add(1)
		return
	}
	s, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer s.Close()
	g.mu.Lock()
	g.open[c] = true
	g.mu.Unlock()
	go func() { io.Copy(s, c); s.Close() }()
	io.Copy(c, s)
	g.mu.Lock()
	delete(g.open, c)
	g.mu.Unlock()
}
