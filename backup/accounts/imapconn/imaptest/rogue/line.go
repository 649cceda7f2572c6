package rogue

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A serverEnd is the server's end of a connection in memory.
type serverEnd struct {
	net.Conn // what the server says
	in       net.Conn
	out      chan []byte
	came     chan []byte
	rest     []byte
	closed   chan struct{}
	once     sync.Once
}

// A clientEnd is the client's.
type clientEnd struct {
	net.Conn // is read
	out      net.Conn
}

// NewLine returns both ends of a connection in memory. Both directions are buffered,
// as those of TCP are, and what was said before somebody hung up arrives.
func NewLine() (client, server net.Conn) {
	heard, says := net.Pipe()
	said, hears := net.Pipe()
	s := &serverEnd{Conn: says, in: hears, out: make(chan []byte, 64), came: make(chan []byte, 64), closed: make(chan struct{})}
	go s.send()
	go s.receive()
	return &clientEnd{Conn: heard, out: said}, s
}

// spare are buffers that were sent, so that what a server says is no garbage.
var spare = sync.Pool{New: func() any { return []byte(nil) }}

func (c *clientEnd) Write(p []byte) (int, error)        { return c.out.Write(p) }
func (c *clientEnd) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }
func (c *clientEnd) SetDeadline(t time.Time) error {
	return errors.Join(c.Conn.SetDeadline(t), c.out.SetDeadline(t))
}
func (c *clientEnd) Close() error { return errors.Join(c.Conn.Close(), c.out.Close()) }

func (s *serverEnd) Write(p []byte) (int, error) {
	select {
	case <-s.closed:
		return 0, net.ErrClosed
	default:
	}
	b := append(spare.Get().([]byte)[:0], p...)
	select {
	case s.out <- b:
		return len(p), nil
	case <-s.closed:
		return 0, net.ErrClosed
	}
}

func (s *serverEnd) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		select {
		case b, ok := <-s.came:
			if !ok {
				return 0, io.EOF
			}
			s.rest = b
		case <-s.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// send sends what was written, all of it even when the server has hung up.
func (s *serverEnd) send() {
	defer s.Close()
	defer s.Conn.Close()
	for {
		select {
		case b := <-s.out:
			_, err := s.Conn.Write(b)
			if spare.Put(b); err != nil {
				return
			}
		case <-s.closed:
			for len(s.out) > 0 {
				if _, err := s.Conn.Write(<-s.out); err != nil {
					return
				}
			}
			return
		}
	}
}

// receive takes what the client says, which is forgotten when the server has hung
// up.
func (s *serverEnd) receive() {
	defer close(s.came)
	for {
		b := make([]byte, 16<<10)
		n, err := s.in.Read(b)
		if err != nil {
			return
		}
		select {
		case s.came <- b[:n]:
		case <-s.closed:
		}
	}
}

func (s *serverEnd) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// The deadlines of TLS would be those of what is still to be sent.
func (s *serverEnd) SetDeadline(time.Time) error      { return nil }
func (s *serverEnd) SetReadDeadline(time.Time) error  { return nil }
func (s *serverEnd) SetWriteDeadline(time.Time) error { return nil }
