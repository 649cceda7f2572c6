package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/storage/objects"
)

// TestBlackHoles has connections over which nothing comes any more, at
// different moments. No operation may hang for ever.
func TestBlackHoles(t *testing.T) {
	silent := func(request *http.Request) (*http.Response, error) {
		<-request.Context().Done()
		return nil, request.Context().Err()
	}
	for _, test := range []struct {
		name   string
		hole   fake
		do     func(context.Context, *Store) error
		atMost time.Duration
	}{
		{"no answer to a get", silent, get(0, -1), 4 * time.Minute},
		{"no answer to a small put", silent, putIfAbsent, 4 * time.Minute},
		{"no answer to a list", silent, listAll, 4 * time.Minute},
		{"no answer to a large put", func(request *http.Request) (*http.Response, error) {
			io.Copy(io.Discard, request.Body)
			return silent(request)
		}, putLarge, 8 * time.Minute},
		{"a large put is not read", func(request *http.Request) (*http.Response, error) {
			io.ReadFull(request.Body, make([]byte, 1000))
			return silent(request)
		}, putLarge, 8 * time.Minute},
		{"half an answer to a get", func(request *http.Request) (*http.Response, error) {
			r := reply(200, "", "Content-Length", "1000")
			r.Body = stuckBody(request, strings.Repeat("x", 500))
			return r, nil
		}, get(0, -1), 4 * time.Minute},
		{"half an answer to a list", func(request *http.Request) (*http.Response, error) {
			r := reply(200, "")
			r.Body = stuckBody(request, "<ListBucketResult>")
			return r, nil
		}, listAll, 4 * time.Minute},
		{"half an error", func(request *http.Request) (*http.Response, error) {
			r := reply(500, "")
			r.Body = stuckBody(request, "<Error>")
			return r, nil
		}, get(0, -1), 4 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := openFake(t, test.hole)
				began := time.Now()
				err := test.do(t.Context(), s)
				wantSentinel(t, test.name, err, nil)
				if took := time.Since(began); took > test.atMost || !errors.Is(err, errStalled) {
					t.Errorf("after %s: %v; want errStalled after %s at most", took, err, test.atMost)
				}

				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began = time.Now()
				err = test.do(ctx, s)
				if took := time.Since(began); took > 11*time.Second || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("with a deadline of 10s, after %s: %v", took, err)
				}
			})
		})
	}
}

func listAll(ctx context.Context, s *Store) (err error) {
	for _, err = range s.List(ctx, "", "") {
	}
	return err
}

func putLarge(ctx context.Context, s *Store) error {
	return s.Put(ctx, "a", make([]byte, objects.MaxSize))
}

// TestSlowIsNotDead has a line that takes half an hour for an object, but goes
// on all the time.
func TestSlowIsNotDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowly := func(r io.Reader) (n int64) {
			for {
				m, err := io.CopyN(io.Discard, r, objects.MaxSize/64)
				n += m
				if err != nil {
					return n
				}
				time.Sleep(30 * time.Second)
			}
		}
		s := openFake(t, func(request *http.Request) (*http.Response, error) {
			if n := slowly(request.Body); n != objects.MaxSize {
				t.Errorf("%d octets arrived", n)
			}
			time.Sleep(50 * time.Second) // until it is on the store's disk
			return ok(), request.Context().Err()
		})
		if err := putLarge(t.Context(), s); err != nil || s.Requests() != 1 {
			t.Errorf("%d requests, %v", s.Requests(), err)
		}
		s = openFake(t, func(request *http.Request) (*http.Response, error) {
			r := reply(200, strings.Repeat("x", 1<<20))
			r.Body = io.NopCloser(&drip{Reader: r.Body, pause: time.Second, request: request})
			return r, nil
		})
		if data, err := s.Get(t.Context(), "a", 0, -1); err != nil || len(data) != 1<<20 || s.Requests() != 1 {
			t.Errorf("%d octets, %d requests, %v", len(data), s.Requests(), err)
		}
	})
}

// TestDrippingIsNotProgress has a store that sends an octet now and then, to
// keep us for years.
func TestDrippingIsNotProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openFake(t, func(request *http.Request) (*http.Response, error) {
			r := reply(200, strings.Repeat("x", 1<<20), "Content-Length", "1048576")
			r.Body = io.NopCloser(&drip{Reader: r.Body, pause: 50 * time.Second, one: true, request: request})
			return r, nil
		})
		began := time.Now()
		_, err := s.Get(t.Context(), "a", 0, -1)
		if took := time.Since(began); took > 2*time.Hour || !errors.Is(err, errStalled) {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

type drip struct {
	io.Reader
	pause   time.Duration
	one     bool
	request *http.Request
}

func (d *drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(d.pause):
	case <-d.request.Context().Done():
		return 0, d.request.Context().Err()
	}
	if d.one {
		p = p[:1]
	}
	return d.Reader.Read(p)
}

// TestEndlessAnswersAreBounded has a store that never stops sending.
func TestEndlessAnswersAreBounded(t *testing.T) {
	for name, do := range map[string]func(context.Context, *Store) error{"list": listAll, "delete": remove, "put": putIfAbsent, "get": get(0, -1)} {
		for _, status := range []int{200, 404, 500} {
			synctest.Test(t, func(t *testing.T) {
				var sent int64
				s := openFake(t, func(*http.Request) (*http.Response, error) {
					r := reply(status, "")
					r.Header.Del("Content-Length")
					r.ContentLength = -1
					r.Body = io.NopCloser(endless{&sent})
					return r, nil
				})
				s.patience.tries = 1
				if err := do(t.Context(), s); err == nil && (name == "list" || name == "get") {
					t.Errorf("%s with %d: no error", name, status)
				}
				if sent > objects.MaxSize+(1<<20) {
					t.Errorf("%s with %d read %d octets", name, status, sent)
				}
			})
		}
	}
}

type endless struct{ sent *int64 }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '<'
	}
	*e.sent += int64(len(p))
	return len(p), nil
}
