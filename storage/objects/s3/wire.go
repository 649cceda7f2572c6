package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"restante/storage/objects"
)

// wire is what minio-go sends its requests through. It counts them, ends those
// that make no progress, reads Retry-After, which minio-go does not, and bounds
// what an answer may make us read.
type wire struct {
	next     http.RoundTripper
	patience *patience
	silence  *silence

	requests atomic.Int64
	answered atomic.Bool // the store has answered at least once

	mu    sync.Mutex
	until time.Time // the store asked to be left alone until then; guarded by mu
}

var (
	errStalled = errors.New("no progress") // the cause of a request's end
	errEndless = errors.New("the store's answer does not end")
)

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	expected := sizeExpected(request.Context())
	watch := newWatch(request.Context(), w.patience, request.ContentLength, expected)
	// A RoundTripper must not change the request that it is given.
	request = request.WithContext(watch.ctx)
	if request.Body != nil {
		request.Body = &watched{ReadCloser: request.Body, watch: watch, left: request.ContentLength, moved: w.silence.sent}
	}
	response, err := w.next.RoundTrip(request)
	if err != nil {
		cause := context.Cause(watch.ctx)
		watch.end()
		if errors.Is(cause, errStalled) {
			err = cause
		}
		return nil, err
	}
	w.answered.Store(true)
	watch.progress()
	came := func() {}
	if response.StatusCode < 500 && response.StatusCode != http.StatusTooManyRequests {
		came = w.silence.progress
	}
	came()
	// We need no cookies, and a store that sends a new one each time would
	// fill the memory.
	response.Header.Del("Set-Cookie")
	if response.StatusCode == http.StatusServiceUnavailable || response.StatusCode == http.StatusTooManyRequests {
		w.leaveAlone(retryAfter(response.Header.Get("Retry-After")))
	}
	largest := int64(maxListing)
	if expected > 0 {
		largest = objects.MaxSize + 1
	}
	response.Body = &watched{ReadCloser: response.Body, watch: watch, left: largest, moved: came, last: true}
	return response, nil
}

// maxListing bounds an answer that is no object: 1,000 keys with all there is
// to say of them need less than 4 MiB.
const maxListing = 16 << 20

// leaveAlone holds back all requests for so long, not only the one that was
// told so: the others load the store as much.
func (w *wire) leaveAlone(wait time.Duration) {
	if wait <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if until := time.Now().Add(wait); until.After(w.until) {
		w.until = until
	}
}

// pause returns how long the store wants to be left alone still, and up to a
// quarter more, lest everybody comes back in the same moment.
func (w *wire) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	pause := max(0, time.Until(w.until))
	return pause + randomBelow(pause/4)
}

// retryAfter reads the header's two forms, RFC 9110 section 10.2.3. What it says is
// never more than a day, nor less than nothing: a number far below zero would
// overflow into centuries.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(max(0, min(seconds, 24*60*60))) * time.Second
	}
	if when, err := http.ParseTime(header); err == nil {
		return max(0, min(time.Until(when), 24*time.Hour))
	}
	return 0
}

type sizeKey struct{}

// expectSize tells the wire that a request is for an object, and how large the
// answer may be.
func expectSize(ctx context.Context, size int64) context.Context {
	return context.WithValue(ctx, sizeKey{}, size)
}

func sizeExpected(ctx context.Context) int64 {
	size, _ := ctx.Value(sizeKey{}).(int64)
	return size
}

// watch ends a request that makes no progress, and one that is so slow that a
// store must be doing it on purpose.
type watch struct {
	ctx    context.Context
	end    func()
	limit  time.Duration
	stall  *time.Timer
	atMost *time.Timer
}

func newWatch(ctx context.Context, p *patience, sent, expected int64) *watch {
	ctx, cancel := context.WithCancelCause(ctx)
	// Between the last octet of a large object and the answer, a store needs
	// time that grows with the object: to hash it, and to write it out.
	limit := p.stall + scaled(sent, p.rate)
	atMost := 4*limit + scaled(sent+expected, p.slowest)
	w := &watch{ctx: ctx, limit: limit}
	w.stall = time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w for %s", errStalled, limit.Round(time.Second))) })
	w.atMost = time.AfterFunc(atMost, func() { cancel(fmt.Errorf("%w worth the name for %s", errStalled, atMost.Round(time.Second))) })
	w.end = func() {
		w.stall.Stop()
		w.atMost.Stop()
		cancel(nil)
	}
	return w
}

func (w *watch) progress() { w.stall.Reset(w.limit) }

// scaled returns how long size octets take at so many octets a second.
func scaled(size, rate int64) time.Duration {
	return time.Duration(max(size, 0)) * time.Second / time.Duration(rate)
}

// watched is the body of a request or an answer, of at most left octets.
type watched struct {
	io.ReadCloser
	watch *watch
	left  int64
	moved func() // is told of octets
	last  bool   // the request is over when this has been closed
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if n > 0 {
		b.watch.progress()
		b.moved()
	}
	if b.left -= int64(n); b.left < 0 {
		return n, errEndless
	}
	if cause := context.Cause(b.watch.ctx); err != nil && err != io.EOF && errors.Is(cause, errStalled) {
		err = cause
	}
	return n, err
}

func (b *watched) Close() error {
	err := b.ReadCloser.Close()
	if b.last {
		b.watch.end()
	}
	return err
}
