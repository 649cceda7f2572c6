package s3

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"restante/storage/objects"
)

// patience says how long to wait for what.
type patience struct {
	tries         int           // of one operation
	first, most   time.Duration // pauses between tries: they double
	total         time.Duration // no new try begins later than this after the first
	stall         time.Duration // a request may make no progress for so long,
	rate, slowest int64         // and longer for large objects: octets a second
}

var defaultPatience = patience{
	tries: 8,
	first: 250 * time.Millisecond,
	most:  20 * time.Second,
	total: 3 * time.Minute,
	stall: time.Minute,
	// 64 MiB may take two minutes from the last octet to the answer, and
	// 76 minutes in all.
	rate:    1 << 20,
	slowest: 16 << 10,
}

// do tries until the store gives a clear answer, and translates it. What the
// last try said is in the error.
func (s *Store) do(ctx context.Context, what, name string, try func(context.Context) error) error {
	wrap := func(err error) error { return fmt.Errorf("%s: %w", strings.TrimSpace(what+" "+name), err) }
	s.silence.enter()
	defer s.silence.leave()
	began := time.Now()
	last := errors.New("not tried yet")
	for n := 0; ; n++ {
		asked, pause := s.wire.pause(), s.backOff(n)
		switch {
		case time.Since(began)+asked > s.patience.total:
			return wrap(fmt.Errorf("the store wants to be left alone for %s more: %w", asked.Round(time.Second), last))
		case time.Since(began)+pause > s.patience.total:
			return wrap(fmt.Errorf("gave up after %s: %w", time.Since(began).Round(time.Second), last))
		}
		if err := wait(ctx, max(asked, pause)); err != nil {
			return wrap(fmt.Errorf("%w (%w)", err, last))
		}
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return wrap(fmt.Errorf("%w (%w)", ctx.Err(), err))
		}
		meaning := s.translate(err)
		if !meaning.again {
			return wrap(meaning.err)
		}
		last = meaning.err
		s.silence.failed(last)
		if most := s.tries(err, meaning); n+1 >= most {
			return wrap(fmt.Errorf("tried %d times: %w", most, last))
		}
		if meaning.expired {
			s.credentials.Expire()
		}
	}
}

// write is do for what changes the store.
//
// A try that had no answer may have been carried out, or may be later on.
// Trying again is right all the same: the octets are the same, and
// PutIfAbsent promises no more. But from then on no answer proves any more
// that nothing was done, which is what ErrRefused and ErrFull say.
func (s *Store) write(ctx context.Context, what, name string, try func(context.Context) error) error {
	lost := false
	return s.do(ctx, what, name, func(ctx context.Context) error {
		err := try(ctx)
		if err == nil {
			return nil
		}
		m := s.translate(err)
		if lost && (errors.Is(m.err, objects.ErrRefused) || errors.Is(m.err, objects.ErrFull)) {
			return means("an earlier try had no answer, so it may be done or not; now %v", m.err)
		}
		lost = lost || m.lost
		return err
	})
}

// tries returns how often to try in view of an error.
func (s *Store) tries(err error, m meaning) int {
	var dial *net.OpError
	var dns *net.DNSError
	switch {
	case m.expired:
		return 2 // once with newer credentials, if there are any
	case !s.wire.answered.Load() && (errors.As(err, &dns) || errors.As(err, &dial) && dial.Op == "dial"):
		return 2 // a wrong endpoint is more likely than one that is down
	case m.few:
		return min(3, s.patience.tries)
	}
	return s.patience.tries
}

// backOff returns the pause after n tries: twice as long each time, less a
// random half, so that many programs do not come back together.
func (s *Store) backOff(n int) time.Duration {
	if n == 0 {
		return 0
	}
	pause := s.patience.most
	if n < 20 {
		pause = min(s.patience.first<<(n-1), pause)
	}
	return pause - randomBelow(pause/2)
}

// wait returns after so long, or with the context's error when it has ended.
func wait(ctx context.Context, pause time.Duration) error {
	if pause <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func randomBelow(d time.Duration) time.Duration {
	var b [8]byte
	rand.Read(b[:])
	return time.Duration(binary.LittleEndian.Uint64(b[:]) % uint64(max(d, 1)))
}
