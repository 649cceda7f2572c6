package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"restante/storage/objects"
)

// TestGetBelievesNothing has a store give odd answers to GET of an object of
// 1,000 octets.
func TestGetBelievesNothing(t *testing.T) {
	object := strings.Repeat("0123456789", 100)
	for _, test := range []struct {
		name           string
		offset, length int64
		answer         func() *http.Response
		want           string
		err            error // nil with want "": any that is no sentinel
	}{
		{"as it should be", 10, 20, part(object[10:30], "bytes 10-29/1000"), object[10:30], nil},
		{"to the end", 990, -1, part(object[990:], "bytes 990-999/1000"), object[990:], nil},
		{"another offset", 10, 20, part(object[11:31], "bytes 11-30/1000"), "", nil},
		{"one octet less", 10, 20, part(object[10:29], "bytes 10-28/1000"), "", nil},
		{"one octet more", 10, 20, part(object[10:31], "bytes 10-30/1000"), "", nil},
		{"a range of fewer octets than come", 10, 20, part(object[10:30], "bytes 10-28/1000"), "", nil},
		{"a range and other octets", 10, 20, part(object[10:25], "bytes 10-29/1000"), "", nil},
		{"a range and more octets", 10, 20, part(object[10:35], "bytes 10-29/1000"), "", nil},
		{"cut at the end", 990, 20, part(object[990:], "bytes 990-999/1000"), "", objects.ErrRange},
		{"not all to the end", 990, -1, part(object[990:995], "bytes 990-994/1000"), "", nil},
		{"the range ignored", 10, 20, whole(object), "", nil},
		{"the range ignored, the whole asked for", 0, 1000, whole(object), object, nil},
		{"the range ignored, too much asked for", 0, 1001, whole(object), "", objects.ErrRange},
		{"the range ignored, the beginning asked for", 0, 999, whole(object), "", nil},
		{"no range but words", 10, 20, part(object[10:30], "octets ten to thirty"), "", nil},
		{"an unknown size", 10, 20, part(object[10:30], "bytes 10-29/*"), "", nil},
		{"an unsatisfied range", 10, 20, part(object[10:30], "bytes */1000"), "", nil},
		{"a range the wrong way round", 10, 20, part(object[10:30], "bytes 29-10/1000"), "", nil},
		{"huge numbers", 10, 20, part(object[10:30], "bytes 10-99999999999999999999999/1000"), "", nil},
		{"a range outside the object", 10, 20, part(object[10:30], "bytes 10-29/20"), "", nil},
		{"the whole", 0, -1, whole(object), object, nil},
		{"the whole, in chunks", 0, -1, unannounced(object), object, nil},
		{"less than announced", 0, -1, announced(object, 1001), "", nil},
		{"more than announced", 0, -1, announced(object, 999), "", nil},
		{"more announced than any object has", 0, -1, announced(object, objects.MaxSize+1), "", objects.ErrRefused},
		{"far more announced than the memory has", 0, -1, announced(object, 1<<60), "", objects.ErrRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := openFake(t, inTurn(test.answer)).Get(t.Context(), "a", test.offset, test.length)
				if test.want != "" {
					if err != nil || string(got) != test.want {
						t.Errorf("%d octets, %v", len(got), err)
					}
					return
				}
				wantSentinel(t, "Get", err, test.err)
				if got != nil {
					t.Errorf("%d octets with an error", len(got))
				}
			})
		})
	}
}

func part(body, contentRange string) func() *http.Response {
	return func() *http.Response { return reply(206, body, "Content-Range", contentRange) }
}

func whole(body string) func() *http.Response {
	return func() *http.Response { return reply(200, body) }
}

func announced(body string, size int64) func() *http.Response {
	return func() *http.Response { return reply(200, body, "Content-Length", fmt.Sprint(size)) }
}

func unannounced(body string) func() *http.Response {
	return func() *http.Response {
		r := reply(200, body)
		r.Header.Del("Content-Length")
		r.ContentLength = -1
		return r
	}
}

// TestTruncatedBody has a server on a real connection announce an object and
// close the connection half-way, once or always.
func TestTruncatedBody(t *testing.T) {
	object := bytes.Repeat([]byte("0123456789"), 10_000)
	for _, cuts := range []int{1, 100} {
		requests := 0
		s := openServer(t, func(c net.Conn, request *http.Request) {
			requests++
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nLast-Modified: Wed, 01 Jul 2026 12:00:00 GMT\r\n\r\n", len(object))
			if requests <= cuts {
				c.Write(object[:len(object)/2])
			} else {
				c.Write(object)
			}
		})
		s.patience.tries, s.patience.first = 3, 1
		got, err := s.Get(t.Context(), "a", 0, -1)
		if cuts == 1 {
			if err != nil || !bytes.Equal(got, object) || requests != 2 {
				t.Errorf("cut once: %d octets after %d requests, %v", len(got), requests, err)
			}
			continue
		}
		wantSentinel(t, "cut always", err, nil)
		if !errors.Is(err, io.ErrUnexpectedEOF) || requests != 3 || got != nil {
			t.Errorf("cut always: %d octets after %d requests, %v", len(got), requests, err)
		}
	}
}

// TestSilentServer has a server on a real connection that accepts and never
// says a word.
func TestSilentServer(t *testing.T) {
	s := openServer(t, func(c net.Conn, request *http.Request) { io.Copy(io.Discard, c) })
	s.patience = patience{tries: 2, first: 1, most: 1, total: 1e9, stall: 50e6, rate: 1 << 30, slowest: 1 << 30}
	for name, do := range map[string]func(context.Context, *Store) error{"get": get(0, -1), "put": putIfAbsent, "large put": putLarge, "list": listAll, "delete": remove} {
		if err := do(t.Context(), s); !errors.Is(err, errStalled) {
			t.Errorf("%s: %v; want errStalled", name, err)
		}
	}
	if s.Requests() != 10 {
		t.Errorf("%d requests; want 10", s.Requests())
	}
}

// TestAnswersToSomethingElse has what is between mix answers up, once or always.
func TestAnswersToSomethingElse(t *testing.T) {
	list := func(ctx context.Context, s *Store) error {
		for _, err := range s.List(ctx, "a/", "a/2") {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, test := range []struct {
		name        string
		do          func(context.Context, *Store) error
		wrong, good func() *http.Response
	}{
		{"another range", get(10, 3), part("xyz", "bytes 20-22/100"), part("abc", "bytes 10-12/100")},
		{"a shorter range", get(10, 3), part("xy", "bytes 10-11/100"), part("abc", "bytes 10-12/100")},
		{"half an error", get(0, -1), func() *http.Response { return reply(404, "<?xml version=\"1.0\"?><Error><Code>NoSuch") }, whole("abc")},
		{"a wrong bit in an error", get(0, -1), func() *http.Response { return fault(404, "NoSucjKey") }, whole("abc")},
		{"a whole object for a range", get(10, 3), whole("abcdefghijklmnopqrst"), part("abc", "bytes 10-12/100")},
		{"names from elsewhere", list, func() *http.Response { return page("", "pre/b/1") }, func() *http.Response { return page("", "pre/a/3") }},
		{"names from before", list, func() *http.Response { return page("", "pre/a/1") }, func() *http.Response { return page("", "pre/a/3") }},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := openFake(t, inTurn(test.wrong, test.good))
			if err := test.do(t.Context(), s); err != nil || s.Requests() != 2 {
				t.Errorf("%s, once: %d requests, %v", test.name, s.Requests(), err)
			}
			s = openFake(t, inTurn(test.wrong))
			err := test.do(t.Context(), s)
			if err == nil || errors.Is(err, objects.ErrNotFound) {
				t.Errorf("%s, always: %v", test.name, err)
			}
			if s.Requests() != 3 {
				t.Errorf("%s, always: %d requests", test.name, s.Requests())
			}
		})
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 10-19/100")
	f.Add("bytes */100")
	f.Add("bytes 0-0/*")
	f.Fuzz(func(t *testing.T, header string) {
		first, last, total, ok := parseContentRange(header)
		if ok && (first < 0 || last < first || total < 0) {
			t.Errorf("%q is %d to %d of %d", header, first, last, total)
		}
		if want, err := checkRange(header, 10, 20, 20); err == nil && want != 20 {
			t.Errorf("%q gives %d octets of 20", header, want)
		}
	})
}
