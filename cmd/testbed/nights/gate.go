package nights

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// A gate is a way to a server that can be shut, altogether or for every second
// connection.
type gate struct {
	l       net.Listener
	to      string
	shut    atomic.Bool
	half    atomic.Bool
	excuse  string // what a connection is told that is not let through
	refused atomic.Int64

	mu   sync.Mutex // guards what follows
	n    int
	open map[net.Conn]bool
}

func newGate(to, excuse string) (*gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{l: l, to: to, excuse: excuse, open: map[net.Conn]bool{}}
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

func (g *gate) address() string { return g.l.Addr().String() }

func (g *gate) pass(c net.Conn) {
	defer c.Close()
	g.mu.Lock()
	g.n++
	second := g.n%2 == 0
	g.mu.Unlock()
	if g.shut.Load() || g.half.Load() && second {
		g.refused.Add(1)
		io.WriteString(c, g.excuse)
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

// close shuts the gate and breaks the connections that are through.
func (g *gate) close() {
	g.shut.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.open {
		c.Close()
	}
}
