package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"restante/storage/objects"
)

var sentinels = []error{objects.ErrNotFound, objects.ErrExists, objects.ErrRange, objects.ErrRefused, objects.ErrFull}

// wantSentinel checks that err is that one of the sentinels and no other; nil
// means none of them.
func wantSentinel(t *testing.T, what string, err, want error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error; want %v", what, want)
	}
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) != (sentinel == want) {
			t.Errorf("%s: %v; want %v", what, err, want)
		}
	}
}

// TestAnswers has the store give the same answer again and again.
func TestAnswers(t *testing.T) {
	const once, some, often = 1, 3, 8
	for _, test := range []struct {
		status   int
		code     string
		want     error // nil: none, the outcome is unknown
		requests int64
		says     string
	}{
		{403, "AccessDenied", objects.ErrRefused, once, "may not do this"},
		{401, "", objects.ErrRefused, once, "may not do this"},
		{403, "InvalidAccessKeyId", objects.ErrRefused, once, "does not know this access key"},
		{403, "SignatureDoesNotMatch", objects.ErrRefused, once, "secret key is wrong"},
		{403, "RequestTimeTooSkewed", objects.ErrRefused, once, "clocks"},
		{404, "NoSuchBucket", objects.ErrRefused, once, `no bucket "bucket" at http://fake.test`},
		{301, "PermanentRedirect", objects.ErrRefused, once, "another region: set region=eu-west-3"},
		{400, "AuthorizationHeaderMalformed", objects.ErrRefused, once, "set region=eu-west-3"},
		{307, "", objects.ErrRefused, once, "elsewhere"},
		{400, "InvalidRequest", objects.ErrRefused, once, "did not like"},
		{400, "", nil, some, "not in the way of S3"}, // the request may have been cut on its way
		{400, "ExpiredToken", objects.ErrRefused, 2, "expired"},
		{405, "MethodNotAllowed", objects.ErrRefused, once, ""},
		{501, "NotImplemented", objects.ErrRefused, once, "If-None-Match"},
		{501, "", objects.ErrRefused, once, ""},
		{409, "ObjectParentIsFile", objects.ErrRefused, some, "folder of another"},
		{409, "ExistingObjectIsDirectory", objects.ErrRefused, some, "folder of another"},
		{507, "InsufficientStorage", objects.ErrFull, once, ""},
		{507, "", objects.ErrFull, once, ""},
		{403, "QuotaExceeded", objects.ErrFull, once, ""},
		{400, "XMinioAdminBucketQuotaExceeded", objects.ErrFull, once, ""},
		{507, "XMinioStorageFull", objects.ErrFull, once, ""},
		{500, "InternalError", nil, often, "500 InternalError as told"},
		{502, "", nil, often, "tried 8 times"},
		{503, "SlowDown", nil, often, "SlowDown"},
		{503, "", nil, often, ""},
		{504, "", nil, often, ""},
		{429, "TooManyRequests", nil, often, ""},
		{408, "", nil, often, ""},
		{400, "RequestTimeout", nil, often, ""},
		{400, "BadDigest", nil, often, ""},
		{400, "XAmzContentSHA256Mismatch", nil, often, ""},
		{409, "ConditionalRequestConflict", nil, often, ""},
		{520, "", nil, often, ""},
	} {
		for name, operation := range map[string]func(context.Context, *Store) error{
			"Put":         func(ctx context.Context, s *Store) error { return s.Put(ctx, "a", []byte("x")) },
			"PutIfAbsent": func(ctx context.Context, s *Store) error { return s.PutIfAbsent(ctx, "a", []byte("x")) },
			"Get":         func(ctx context.Context, s *Store) error { _, err := s.Get(ctx, "a", 0, -1); return err },
			"Delete":      func(ctx context.Context, s *Store) error { return s.Delete(ctx, "a") },
			"List": func(ctx context.Context, s *Store) (err error) {
				for _, err = range s.List(ctx, "a", "") {
				}
				return err
			},
		} {
			t.Run(name+"/"+http.StatusText(test.status)+" "+test.code, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := openFake(t, func(*http.Request) (*http.Response, error) {
						if test.code == "" {
							return reply(test.status, "<html>sorry</html>"), nil
						}
						return fault(test.status, test.code, "X-Amz-Bucket-Region", "eu-west-3"), nil
					})
					err := operation(t.Context(), s)
					wantSentinel(t, name, err, test.want)
					if s.Requests() != test.requests {
						t.Errorf("%d requests; want %d", s.Requests(), test.requests)
					}
					if err != nil && !strings.Contains(err.Error(), test.says) {
						t.Errorf("%v; want %q in it", err, test.says)
					}
				})
			})
		}
	}
}

func TestAnswersOfOneOperation(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(context.Context, *Store) error
		with func() *http.Response
		want error // io.EOF stands for no error
	}{
		{"get of an absent object", get(0, -1), func() *http.Response { return fault(404, "NoSuchKey") }, objects.ErrNotFound},
		{"get from a web server", get(0, -1), func() *http.Response { return reply(404, "<html>Not Found</html>") }, objects.ErrRefused},
		{"get from a silent web server", get(0, -1), func() *http.Response { return reply(404, "") }, objects.ErrRefused},
		{"get beyond the end", get(100, 10), func() *http.Response { return fault(416, "InvalidRange") }, objects.ErrRange},
		{"get of nothing of an absent object", get(0, 0), func() *http.Response { return reply(404, "") }, objects.ErrNotFound},
		{"put if absent of what is there", putIfAbsent, func() *http.Response { return fault(412, "PreconditionFailed") }, objects.ErrExists},
		{"put if absent, in few words", putIfAbsent, func() *http.Response { return reply(412, "") }, objects.ErrExists},
		{"delete of an absent object", remove, func() *http.Response { return fault(404, "NoSuchKey") }, io.EOF},
		{"delete with 200", remove, func() *http.Response { return reply(200, "") }, io.EOF},
		{"delete with 204", remove, func() *http.Response { return reply(204, "") }, io.EOF},
		{"delete at a web server", remove, func() *http.Response { return reply(404, "<html>Not Found</html>") }, objects.ErrRefused},
	} {
		synctest.Test(t, func(t *testing.T) {
			err := test.do(t.Context(), openFake(t, inTurn(test.with)))
			if test.want == io.EOF {
				if err != nil {
					t.Errorf("%s: %v", test.name, err)
				}
				return
			}
			wantSentinel(t, test.name, err, test.want)
		})
	}
}

func get(offset, length int64) func(context.Context, *Store) error {
	return func(ctx context.Context, s *Store) error {
		_, err := s.Get(ctx, "a", offset, length)
		return err
	}
}

func putIfAbsent(ctx context.Context, s *Store) error { return s.PutIfAbsent(ctx, "a", []byte("x")) }

func remove(ctx context.Context, s *Store) error { return s.Delete(ctx, "a") }

// TestAnswersAreMadeHarmless has a store write to somebody's terminal.
func TestAnswersAreMadeHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openFake(t, inTurn(func() *http.Response {
			return reply(403, "<Error><Code>Access\nDenied</Code><Message>\xc2\x9b31m"+strings.Repeat("long ", 10_000)+"</Message></Error>")
		}))
		err := s.Put(t.Context(), "a", nil)
		wantSentinel(t, "Put", err, objects.ErrRefused)
		if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\x1b\u009b") {
			t.Errorf("%q", err)
		}
	})
}
