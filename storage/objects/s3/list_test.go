package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/storage/objects"
)

// listed goes through a list and returns its names and its error.
func listed(ctx context.Context, s *Store, prefix, after string) (names []string, err error) {
	for info, e := range s.List(ctx, prefix, after) {
		if err = e; err == nil {
			names = append(names, info.Name)
		}
	}
	return names, err
}

func TestListBelievesNothing(t *testing.T) {
	pages := func(pages ...func() *http.Response) fake { return inTurn(pages...) }
	one := func(next string, keys ...string) func() *http.Response {
		return func() *http.Response { return page(next, keys...) }
	}
	for _, test := range []struct {
		name  string
		store fake
		names string
		err   bool
	}{
		{"two pages", pages(one("t1", "pre/a", "pre/b"), one("", "pre/c")), "a b c", false},
		{"no objects", pages(one("")), "", false},
		{"keys that are no objects", pages(one("", "pre/", "pre/.hidden", "pre/a", "pre/a b", "pre/dir/", "pre/x~")), "a", false},
		{"keys of others, that nobody asked for", pages(one("", "elsewhere/a", "pre/a", "prefix/b")), "", true},
		{"another order", pages(one("", "pre/a", "pre/c", "pre/b")), "a c", true},
		{"an object twice", pages(one("", "pre/a", "pre/a")), "a", true},
		{"the same page again and again", pages(one("t", "pre/a", "pre/b")), "a b", true},
		{"truncated, and no way to go on", pages(func() *http.Response {
			return reply(200, "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")
		}), "", true},
		{"no XML", pages(func() *http.Response { return reply(200, "hello") }), "", true},
		{"half a page", pages(func() *http.Response {
			return reply(200, "<ListBucketResult><Contents><Key>pre/a</Key></Contents>")
		}), "", true},
		{"trouble in the middle", pages(one("t1", "pre/a", "pre/b"), func() *http.Response { return fault(500, "InternalError") }, one("", "pre/c")), "a b c", false},
		{"trouble for good", pages(one("t1", "pre/a", "pre/b"), func() *http.Response { return fault(500, "InternalError") }), "a b", true},
		{"refusal in the middle", pages(one("t1", "pre/a", "pre/b"), func() *http.Response { return fault(403, "AccessDenied") }), "a b", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				names, err := listed(t.Context(), openFake(t, test.store), "", "")
				if strings.Join(names, " ") != test.names || (err != nil) != test.err {
					t.Errorf("%q, %v; want %q and an error: %t", names, err, test.names, test.err)
				}
			})
		})
	}
}

// TestListGoesOnWhereItWas fails in the middle of a list and looks at what is
// asked for then.
func TestListGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		s := openFake(t, func(request *http.Request) (*http.Response, error) {
			q := request.URL.Query()
			asked = append(asked, q.Get("start-after")+"|"+q.Get("continuation-token"))
			switch len(asked) {
			case 1:
				return page("t1", "pre/packs/b", "pre/packs/c"), nil
			case 2, 3:
				return fault(503, "SlowDown"), nil
			case 4:
				return page("", "pre/packs/d"), nil
			}
			return nil, errors.New("too many requests")
		})
		names, err := listed(t.Context(), s, "packs/", "packs/a")
		if want := []string{"packs/b", "packs/c", "packs/d"}; err != nil || !slices.Equal(names, want) {
			t.Errorf("%q, %v; want %q", names, err, want)
		}
		if want := []string{"pre/packs/a|", "pre/packs/a|t1", "pre/packs/c|", "pre/packs/c|"}; !slices.Equal(asked, want) {
			t.Errorf("asked for %q; want %q", asked, want)
		}
	})
}

// TestListIsNotCompleteWhenTheContextEnds: minio-go just stops then.
func TestListIsNotCompleteWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := openFake(t, func(*http.Request) (*http.Response, error) { return page("t1", "pre/a", "pre/b"), nil })
		var seen int
		var err error
		for _, err = range s.List(ctx, "", "") {
			if seen++; seen == 2 {
				cancel()
			}
		}
		if seen != 3 || !errors.Is(err, context.Canceled) {
			t.Errorf("after 2 objects and %d more: %v; want context.Canceled", seen-2, err)
		}
	})
}

// TestListOfEmptyPages has a store that always has one more page, with nothing
// in it.
func TestListOfEmptyPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openFake(t, func(request *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			if err := request.Context().Err(); err != nil {
				return nil, err
			}
			return page(fmt.Sprint("t", time.Now().UnixNano())), nil
		})
		began := time.Now()
		_, err := listed(t.Context(), s, "", "")
		if took := time.Since(began); !errors.Is(err, errStalled) || took > 10*time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
		// Whoever looks at each object for long is not to blame.
		s = openFake(t, inTurn(func() *http.Response { return page("", "pre/a", "pre/b") }))
		for _, err := range s.List(t.Context(), "", "") {
			if err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		}
	})
}

func TestStartAfter(t *testing.T) {
	for _, test := range [][3]string{
		{"", "", ""},
		{"", "config", "config"},
		{"", "packs/a", "packs"},
		{"packs/", "", ""},
		{"packs/", "packs/", "packs/"},
		{"packs/", "packs/a", "packs/a"},
		{"packs/", "packs/a/b/c", "packs/a"},
		{"packs/a", "packs/a/b", "packs/a"},
		{"packs/a", "packs/b", "packs/b"},
		{"packs/", "keys/a", "keys/a"},
		{"packs/", "zoo/a", "zoo/a"},
	} {
		if got := startAfter(test[0], test[1]); got != test[2] {
			t.Errorf("startAfter(%q, %q) = %q; want %q", test[0], test[1], got, test[2])
		}
	}
}

func TestListRefusesBadPrefixesWithoutARequest(t *testing.T) {
	s := openFake(t, func(*http.Request) (*http.Response, error) { return nil, errors.New("asked") })
	for _, prefix := range []string{"../", "/", "a b"} {
		_, err := listed(t.Context(), s, prefix, "")
		wantSentinel(t, prefix, err, objects.ErrRefused)
	}
	if s.Requests() != 0 {
		t.Errorf("%d requests", s.Requests())
	}
}
