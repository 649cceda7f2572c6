package imapsource

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

// A serverEnd is the server's end of a connection in memory. Both directions are
// buffered, as those of TCP are, and what was said before somebody hung up arrives.
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

// newLine returns both ends.
func newLine() (client, server net.Conn) {
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

// A tap is the client's end of a line: what goes out in clear is kept, and the
// memory is looked at whenever something comes in.
type tap struct {
	net.Conn
	heard *heard
	peak  *peak
}

func (t *tap) Read(p []byte) (int, error) {
	t.peak.look()
	return t.Conn.Read(p)
}

func (t *tap) Write(p []byte) (int, error) {
	t.heard.Write(p)
	return t.Conn.Write(p)
}

// heard is text that nothing secret may be in.
type heard struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.text.Len() < 4<<20 {
		h.text.Write(p)
	}
	return len(p), nil
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// A plainLog keeps what is logged without escaping anything of it.
type plainLog struct{ to *heard }

func (l plainLog) Enabled(context.Context, slog.Level) bool { return true }
func (l plainLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l plainLog) WithGroup(string) slog.Handler            { return l }
func (l plainLog) Handle(_ context.Context, r slog.Record) error {
	said := r.Message
	r.Attrs(func(a slog.Attr) bool { said += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	fmt.Fprintln(l.to, said)
	return nil
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

// secrets are the forms in which the password goes over the wire.
func secrets() (list []string) {
	for _, s := range []string{password, "\x00alice\x00" + password,
		"n,a=alice,\x01auth=Bearer " + password + "\x01\x01", "user=alice\x01auth=Bearer " + password + "\x01\x01"} {
		list = append(list, s, base64.StdEncoding.EncodeToString([]byte(s)))
	}
	return list
}

// unfit finds what must not be shown to people: secrets, and characters that
// command a terminal or turn the direction of writing.
func unfit(text string) string {
	for _, s := range secrets() {
		if i := strings.Index(text, s); i >= 0 {
			return fmt.Sprintf("it shows the password: %.200q", text[max(0, i-80):])
		}
	}
	if i := strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
	}); i >= 0 {
		return fmt.Sprintf("it shows control characters: %.200q", text[max(0, i-80):])
	}
	return ""
}
