package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"restante/storage/objects"
)

func ok() *http.Response { return reply(200, "") }

func slowDown(wait string) func() *http.Response {
	return func() *http.Response { return fault(503, "SlowDown", "Retry-After", wait) }
}

// TestRetryAfterIsHonoured runs on virtual time, as all tests here do.
func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openFake(t, inTurn(slowDown("30"), ok))
		began := time.Now()
		if err := s.Put(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 30*time.Second || took > 45*time.Second || s.Requests() != 2 {
			t.Errorf("done after %s and %d requests", took, s.Requests())
		}
	})
}

func TestRetryAfterHoldsBackEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openFake(t, inTurn(slowDown("30"), ok))
		began := time.Now()
		var group sync.WaitGroup
		group.Go(func() {
			if err := s.Put(t.Context(), "a", nil); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		if err := s.Put(t.Context(), "b", nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 30*time.Second {
			t.Errorf("another request was sent after %s", took)
		}
		group.Wait()
	})
}

func TestRetryAfterForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, header := range []string{"3600", "99999999999", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)} {
			s := openFake(t, inTurn(slowDown(header), ok))
			began := time.Now()
			err := s.Put(t.Context(), "a", nil)
			wantSentinel(t, "Put", err, nil)
			if !strings.Contains(err.Error(), "left alone") || !strings.Contains(err.Error(), "SlowDown") {
				t.Error(err)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("Retry-After: %s kept Put for %s", header, took)
			}
		}
	})
}

func TestRetryAfterForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for header, want := range map[string]time.Duration{
			"": 0, "0": 0, "7": 7 * time.Second, "-5": 0, "-9223372036854775": 0, "soon": 0, "99999999999999999999": 0, "999999": 24 * time.Hour,
			time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat): 90 * time.Second,
		} {
			if got := retryAfter(header); got != want {
				t.Errorf("retryAfter(%q) = %s; want %s", header, got, want)
			}
		}
	})
}

// TestPausesGrow shows that a store in trouble is not asked again and again.
func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		s := openFake(t, func(*http.Request) (*http.Response, error) {
			times = append(times, time.Now())
			return fault(500, "InternalError"), nil
		})
		wantSentinel(t, "Put", s.Put(t.Context(), "a", nil), nil)
		if len(times) != 8 {
			t.Fatalf("%d tries", len(times))
		}
		for i := 1; i < len(times); i++ {
			// minio-go waits up to 200 ms after its only try.
			most := 250*time.Millisecond<<(i-1) + 200*time.Millisecond
			if pause := times[i].Sub(times[i-1]); pause < most/4 || pause > most {
				t.Errorf("pause %d was %s; want up to %s", i, pause, most)
			}
		}
	})
}

func TestPausesEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openFake(t, inTurn(slowDown("60"), ok))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		err := s.Put(ctx, "a", nil)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "SlowDown") || time.Since(began) > 6*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestLostReply has a store that stores and does not say so.
func TestLostReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := false
		s := openFake(t, func(request *http.Request) (*http.Response, error) {
			if there {
				return fault(412, "PreconditionFailed"), nil
			}
			there = true
			return nil, io.ErrUnexpectedEOF
		})
		wantSentinel(t, "PutIfAbsent", s.PutIfAbsent(t.Context(), "a", nil), objects.ErrExists)
		if s.Requests() != 2 {
			t.Errorf("%d requests; want 2", s.Requests())
		}
	})
}

// TestLostReplyThenRefusal: ErrRefused and ErrFull say that nothing was done,
// and after a lost reply nobody knows.
func TestLostReplyThenRefusal(t *testing.T) {
	for name, last := range map[string]func() *http.Response{
		"refused": func() *http.Response { return fault(403, "AccessDenied") },
		"full":    func() *http.Response { return fault(507, "InsufficientStorage") },
	} {
		for first, c := range map[string]struct {
			answer func() *http.Response
			err    error
			lost   bool
		}{
			"no answer":     {nil, io.ErrUnexpectedEOF, true},
			"500":           {func() *http.Response { return fault(500, "InternalError") }, nil, true},
			"502":           {func() *http.Response { return reply(502, "") }, nil, true},
			"too many":      {func() *http.Response { return fault(429, "TooManyRequests") }, nil, false},
			"damaged":       {func() *http.Response { return fault(400, "BadDigest") }, nil, false},
			"no connection": {nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}, false},
		} {
			synctest.Test(t, func(t *testing.T) {
				for what, do := range map[string]func(context.Context, *Store) error{"PutIfAbsent": putIfAbsent, "Delete": remove, "Put": putLarge} {
					n := 0
					s := openFake(t, func(*http.Request) (*http.Response, error) {
						if n++; n == 1 && c.err != nil {
							return nil, c.err
						} else if n == 1 {
							return c.answer(), nil
						}
						return last(), nil
					})
					want := map[string]error{"refused": objects.ErrRefused, "full": objects.ErrFull}[name]
					if c.lost {
						want = nil
					}
					wantSentinel(t, what+" with "+first+", then "+name, do(t.Context(), s), want)
					if n != 2 {
						t.Errorf("%d requests; want 2", n)
					}
				}
			})
		}
	}
}

// TestConflict: Amazon's 409 does not say that the object exists, only that
// another write is under way, which may fail.
func TestConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conflict := func() *http.Response { return fault(409, "ConditionalRequestConflict") }
		if err := openFake(t, inTurn(conflict, ok)).PutIfAbsent(t.Context(), "a", nil); err != nil {
			t.Errorf("the other write failed: %v", err)
		}
		exists := func() *http.Response { return fault(412, "PreconditionFailed") }
		wantSentinel(t, "the other write succeeded", openFake(t, inTurn(conflict, conflict, exists)).PutIfAbsent(t.Context(), "a", nil), objects.ErrExists)
	})
}

func TestWrongEndpointIsSaidSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answered := false
		s := openFake(t, func(*http.Request) (*http.Response, error) {
			if answered {
				answered = false
				return reply(200, ""), nil
			}
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		})
		err := s.Put(t.Context(), "a", nil)
		if s.Requests() != 2 || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%d requests, %v", s.Requests(), err)
		}
		// A store that was there a moment ago may come back.
		answered = true
		if err := s.Put(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		before := s.Requests()
		wantSentinel(t, "Put", s.Put(t.Context(), "a", nil), nil)
		if n := s.Requests() - before; n != 8 {
			t.Errorf("%d requests; want 8", n)
		}
	})
}

// TestPutSends looks at the headers of both puts, in every try.
func TestPutSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		var want map[string]string
		s := openFake(t, func(request *http.Request) (*http.Response, error) {
			for name, value := range want {
				if got := request.Header.Get(name); got != value {
					t.Errorf("try %d: %s is %q; want %q", tries, name, got, value)
				}
			}
			body, err := io.ReadAll(request.Body)
			if err != nil || string(body) != "hello" || request.ContentLength != 5 || len(request.TransferEncoding) > 0 {
				t.Errorf("try %d: body %q, %v, length %d, %v", tries, body, err, request.ContentLength, request.TransferEncoding)
			}
			if request.URL.Path != "/bucket/pre/a/b" || request.URL.RawQuery != "" {
				t.Errorf("try %d: %s", tries, request.URL)
			}
			if tries++; tries%2 == 1 {
				return reply(500, "", "Set-Cookie", fmt.Sprintf("c%d=x", tries)), nil
			}
			return ok(), nil
		})
		want = map[string]string{
			"If-None-Match":        "",
			"Content-Md5":          "XUFAKrxLKna5cZ2REBfFkg==",
			"X-Amz-Content-Sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
			"Content-Type":         "application/octet-stream",
			"Cookie":               "",
		}
		if err := s.Put(t.Context(), "a/b", []byte("hello")); err != nil {
			t.Error(err)
		}
		want["If-None-Match"] = "*"
		if err := s.PutIfAbsent(t.Context(), "a/b", []byte("hello")); err != nil {
			t.Error(err)
		}
		if tries != 4 || s.Requests() != 4 {
			t.Errorf("%d tries, %d requests; want 4", tries, s.Requests())
		}
	})
}
