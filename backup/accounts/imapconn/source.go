package imapconn

import (
	"fmt"
	"io"
	"time"
)

// source hands on what a goroutine of its own reads from the socket. That
// goroutine is what lets a reader wait for the server, for words of our own
// to go-imap and for the end of its patience, all at once, whatever lies
// below: TCP, TLS or DEFLATE.
//
// The clock runs only while the reader wants octets and has none. A slow
// consumer costs the server nothing.
type source struct {
	full  chan chunk
	empty chan []byte
	cur   []byte // the unread part of whole
	whole []byte
	err   error // what ended it; comes after the last octet

	wake     chan struct{}
	closed   <-chan struct{}
	cause    func() error
	patience func(midway bool) time.Duration // 0: for ever
	passed   func(time.Duration)             // told how long an impatient wait took

	timer   *time.Timer
	waited  time.Duration // since the rate was last looked at
	got     int
	minRate int
	window  time.Duration
	idle    time.Duration // the longest patience but for IDLE
}

type chunk struct {
	b   []byte
	err error
}

const (
	chunkSize  = 64 << 10
	chunkCount = 3
)

// run reads from r until it ends or closed is closed, which must also make
// r's Read return.
func (s *source) run(r io.Reader) {
	for {
		var b []byte
		select {
		case b = <-s.empty:
		case <-s.closed:
			return
		}
		n, err := r.Read(b)
		select {
		case s.full <- chunk{b[:n], err}:
		case <-s.closed:
			return
		}
		if err != nil {
			return
		}
	}
}

// Read is for the middle of an answer.
func (s *source) Read(p []byte) (int, error) {
	for len(s.cur) == 0 {
		if err := s.more(true); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.cur)
	s.cur = s.cur[n:]
	return n, nil
}

// more waits for octets. Between answers (midway is false) it also returns
// when woken.
func (s *source) more(midway bool) error {
	if s.err != nil {
		return s.err
	}
	if s.whole != nil {
		s.empty <- s.whole[:cap(s.whole)] // never blocks: the buffers are counted
		s.whole, s.cur = nil, nil
	}
	select {
	case c := <-s.full:
		s.got += len(c.b)
		return s.take(c)
	default:
	}
	for {
		c, woken, err := s.wait(midway)
		switch {
		case err != nil:
			return err
		case !woken:
			return s.take(c)
		case !midway:
			return nil
		}
	}
}

// wait waits for a chunk, for being woken, for the end of patience, or for
// the end of the connection.
func (s *source) wait(midway bool) (c chunk, woken bool, err error) {
	var out <-chan time.Time
	limit := s.patience(midway)
	if limit > 0 {
		s.timer.Reset(limit)
		out = s.timer.C
	}
	start := time.Now()
	select {
	case c = <-s.full:
		if midway {
			err = s.tooSlow(time.Since(start), len(c.b))
		}
	case <-s.wake:
		woken = true
	case <-out:
		if limit < s.idle { // what is left of Options.Total
			return c, false, fmt.Errorf("%w: neither a message nor the end of a command for too long", ErrTimeout)
		}
		return c, false, fmt.Errorf("%w: silent for %v", ErrTimeout, limit)
	case <-s.closed:
		return c, false, s.cause()
	}
	s.timer.Stop()
	if limit > 0 {
		s.passed(time.Since(start))
	}
	return c, woken, err
}

func (s *source) take(c chunk) error {
	s.whole, s.cur, s.err = c.b, c.b, c.err
	if len(c.b) == 0 {
		return c.err
	}
	return nil
}

// tooSlow adds a wait of d that ended with n octets and says whether the
// server is below the rate that was asked of it.
func (s *source) tooSlow(d time.Duration, n int) error {
	s.waited += d
	s.got += n
	if s.waited < s.window {
		return nil
	}
	rate := float64(s.got) / s.waited.Seconds()
	s.waited, s.got = 0, 0
	if rate < float64(s.minRate) {
		return fmt.Errorf("%w: %.0f octets per second in the middle of an answer", ErrTimeout, rate)
	}
	return nil
}
