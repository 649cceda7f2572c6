package weather

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// answers passes requests on and spoils what is answered to some. The answers
// are those of a network and of a store that has a bad day, not of one that
// lies: no change is said to be done that was not, and nothing to be away that
// is there.
type answers struct {
	way       *Way
	to        string
	l         net.Listener
	transport *http.Transport
	n         atomic.Uint64
	again     atomic.Int64
	spoilt    sync.Map // requests whose answers were spoilt

	mu      sync.Mutex // guards what follows
	last    map[string]*answer
	swapper map[string]chan swap // who waits for an answer to swap, by method
}

// An answer is a whole one.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// A swap is two answers, each on its way to the other's asker.
type swap struct {
	mine   *answer
	theirs chan *answer
}

var quiet = log.New(io.Discard, "", 0)

// swapWait is how long an answer waits for another one to be swapped with.
const swapWait = 300 * time.Millisecond

// ServeHTTP implements http.Handler.
func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := a.n.Add(1) - 1
	a.way.mu.Lock()
	odds := a.way.odds
	a.way.mu.Unlock()
	fault, at := odds.spoil(a.way.o.Seed, n)
	asked, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	key := r.Method + " " + r.RequestURI + " " + r.Header.Get("Range")
	if _, loaded := a.spoilt.LoadAndDelete(key); loaded {
		a.again.Add(1)
	}
	var got *answer
	if fault != SlowDown && fault != Skewed && fault != Elsewhere {
		if got, err = a.ask(r, asked); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	got, fault = a.spoil(fault, at, r.Method, got)
	if fault != "" {
		a.way.happened(fault)
		a.spoilt.Store(key, true)
	}
	for name, values := range got.header {
		w.Header()[name] = values
	}
	cut := fault == Truncated
	if r.Method == http.MethodHead {
		w.WriteHeader(got.status)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(got.body)))
	w.WriteHeader(got.status)
	if cut {
		w.Write(got.body[:int(at*float64(len(got.body)))])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(got.body)
}

// ask asks the server itself.
func (a *answers) ask(r *http.Request, body []byte) (*answer, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", a.to, ""
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	resp, err := a.transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	h := resp.Header.Clone()
	if r.Method != http.MethodHead {
		h.Del("Content-Length")
	}
	return &answer{resp.StatusCode, h, b}, nil
}

// spoil makes the answer that is given of the one that should be, and tells
// what has happened to it, if anything.
func (a *answers) spoil(fault Fault, at float64, method string, got *answer) (*answer, Fault) {
	switch fault {
	case SlowDown:
		said := refusal(http.StatusServiceUnavailable, "SlowDown")
		if at < 0.5 { // some stores say how long
			said.header.Set("Retry-After", "1")
		}
		return said, fault
	case Skewed:
		return refusal(http.StatusForbidden, "RequestTimeTooSkewed"), fault
	case Elsewhere:
		said := refusal(http.StatusTemporaryRedirect, "TemporaryRedirect")
		said.header.Set("Location", "http://127.0.0.1:1/nowhere")
		return said, fault
	case Applied:
		return refusal(http.StatusInternalServerError, "InternalError"), fault
	case Truncated:
		if len(got.body) == 0 {
			return got, ""
		}
		return got, Truncated
	case WrongBody:
		if len(got.body) == 0 {
			return got, ""
		}
		b := bytes.Clone(got.body)
		b[int(at*float64(len(b)))] ^= 1 << (int(at*1e6) % 8)
		return &answer{got.status, got.header, b}, WrongBody
	}
	a.mu.Lock()
	last := a.last[method]
	a.last[method] = got
	waiting := a.swapper[method]
	delete(a.swapper, method)
	var mine chan swap
	if waiting == nil && fault == Swapped {
		mine = make(chan swap)
		a.swapper[method] = mine
	}
	a.mu.Unlock()
	switch {
	case waiting != nil:
		theirs := make(chan *answer, 1)
		select {
		case waiting <- swap{got, theirs}:
			if other := <-theirs; honest(method, got, other) {
				return other, Swapped
			}
		case <-time.After(swapWait): // it has gone on
		}
	case mine != nil:
		select {
		case other := <-mine:
			other.theirs <- got
			if honest(method, got, other.mine) {
				return other.mine, Swapped
			}
		case <-time.After(swapWait):
			a.mu.Lock()
			if a.swapper[method] == mine {
				delete(a.swapper, method)
			}
			a.mu.Unlock()
		}
	case fault == Repeated && last != nil && honest(method, got, last):
		return last, Repeated
	}
	return got, ""
}

// honest tells whether an answer may stand in another one's place.
func honest(method string, true, other *answer) bool {
	good := func(a *answer) bool { return a.status/100 == 2 }
	if method != http.MethodGet && method != http.MethodHead {
		return good(true) || !good(other)
	}
	return other.status != http.StatusNotFound
}

// refusal is an error as S3 writes it.
func refusal(status int, code string) *answer {
	return &answer{status, http.Header{"Content-Type": {"application/xml"}},
		fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>the weather is bad</Message></Error>`, code)}
}
