package scale

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// turns passes connections on to a mail server and counts how often they turn:
// how often the client says something after the server did. Each is a round
// trip that somebody far away waits for; commands that are sent in one go are
// one turn.
type turns struct {
	address string // host:port to connect to
	count   atomic.Int64

	server   string
	listener net.Listener
	mu       sync.Mutex // guards open
	open     []net.Conn
	all      sync.WaitGroup
}

func countTurns(server string) (*turns, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &turns{address: l.Addr().String(), server: server, listener: l}
	t.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			t.all.Go(func() { t.pass(client) })
		}
	})
	return t, nil
}

func (t *turns) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", t.server)
	if err != nil {
		return // the client sees a connection that ends
	}
	defer server.Close()
	t.mu.Lock()
	t.open = append(t.open, client, server)
	t.mu.Unlock()
	var spoke atomic.Bool // the server, and nobody after it
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(watch{server, func() {
			if spoke.CompareAndSwap(true, false) {
				t.count.Add(1)
			}
		}}, client)
		server.(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		io.Copy(watch{client, func() { spoke.Store(true) }}, server)
		client.(*net.TCPConn).CloseWrite()
	})
	both.Wait()
}

// close ends all connections.
func (t *turns) close() {
	t.listener.Close()
	t.mu.Lock()
	for _, c := range t.open {
		c.Close()
	}
	t.mu.Unlock()
	t.all.Wait()
}

// watch calls seen before it passes anything on.
type watch struct {
	to   io.Writer
	seen func()
}

func (w watch) Write(b []byte) (int, error) {
	w.seen()
	return w.to.Write(b)
}
