package s3

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"restante/storage/objects"
)

// TestRealStoreFindsDamage flips a bit of what is sent, behind the point where
// it was signed. The store must not keep it.
func TestRealStoreFindsDamage(t *testing.T) {
	s := testbed(t)
	s.patience.tries = 1
	sound := s.wire.next
	damage := func(request *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		body[len(body)/2] ^= 1
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(body))
		return sound.RoundTrip(request)
	}
	s.wire.next = fake(func(request *http.Request) (*http.Response, error) {
		if request.Method != http.MethodPut {
			return sound.RoundTrip(request)
		}
		return damage(request)
	})
	for name, size := range map[string]int{"small": 10, "large": 3 << 20} {
		for what, put := range map[string]func(context.Context, string, []byte) error{"Put": s.Put, "PutIfAbsent": s.PutIfAbsent} {
			err := put(t.Context(), name, make([]byte, size))
			if err == nil {
				t.Errorf("%s: a damaged %s object was taken", what, name)
			}
			t.Log(err)
			if _, err := s.Get(t.Context(), name, 0, -1); !errors.Is(err, objects.ErrNotFound) {
				t.Errorf("afterwards Get says %v; want ErrNotFound", err)
			}
		}
	}
	s.wire.next = sound
}

// TestRealStoreRefuses shows what a person is told who got something wrong.
func TestRealStoreRefuses(t *testing.T) {
	good := testbed(t)
	for _, test := range []struct {
		name       string
		id, secret string // "" is the right one
		bucket     string
		says       string
	}{
		{"wrong secret", "", "wrong-secret", "", "secret key is wrong"},
		{"wrong access key", "nobody", "x", "", "does not know this access key"},
		{"wrong bucket", "", "", "no-such-bucket-here", `no bucket "no-such-bucket-here"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			value, err := good.credentials.GetWithContext(nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.id != "" {
				value.AccessKeyID = test.id
			}
			if test.secret != "" {
				value.SecretAccessKey = test.secret
			}
			a := good.address
			if test.bucket != "" {
				a.bucket = test.bucket
			}
			s, err := open(a, good.wire.next, credentials.NewStaticV4(value.AccessKeyID, value.SecretAccessKey, value.SessionToken), nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, err := range map[string]error{
				"Put": s.Put(t.Context(), "a", nil), "PutIfAbsent": s.PutIfAbsent(t.Context(), "a", nil),
				"Get": get(0, -1)(t.Context(), s), "List": listAll(t.Context(), s), "Delete": s.Delete(t.Context(), "a"),
			} {
				wantSentinel(t, name, err, objects.ErrRefused)
				if err != nil && !strings.Contains(err.Error(), test.says) {
					t.Errorf("%s: %v; want %q in it", name, err, test.says)
				}
			}
			t.Log(s.Put(t.Context(), "a", nil))
		})
	}
}

// TestRealStoreNeedsFewRequests counts what each operation costs.
func TestRealStoreNeedsFewRequests(t *testing.T) {
	s := testbed(t)
	costs := func(what string, want int64, err error) {
		t.Helper()
		if got := s.Requests(); got != want || err != nil {
			t.Errorf("%s: %d requests, %v; want %d", what, got, err, want)
		}
		s.wire.requests.Store(0)
	}
	_, err := s.Get(t.Context(), "absent", 0, -1)
	if !errors.Is(err, objects.ErrNotFound) {
		t.Error(err)
	}
	s.wire.requests.Store(0) // without region= there was one more, the first time
	costs("Put", 1, s.Put(t.Context(), "a", make([]byte, 1<<20)))
	costs("a large Put", 1, s.Put(t.Context(), "large", make([]byte, 32<<20)))
	costs("PutIfAbsent", 1, s.PutIfAbsent(t.Context(), "b", nil))
	_, err = s.Get(t.Context(), "a", 0, -1)
	costs("Get", 1, err)
	_, err = s.Get(t.Context(), "a", 1<<19, 1000)
	costs("Get of a range", 1, err)
	_, err = listed(t.Context(), s, "", "")
	costs("List", 1, err)
	costs("Delete", 1, s.Delete(t.Context(), "a"))
}

// TestCertificates has a server whose certificate nobody signed.
func TestCertificates(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }))
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of what is tested here
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	ca := writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	base := "s3://bucket?region=us-east-1&endpoint="

	remove := func(raw string) error {
		s, err := Open(t.Context(), raw, nil)
		if err != nil {
			return err
		}
		defer s.Close()
		return s.Delete(t.Context(), "a")
	}
	if err := remove(base + server.URL + "&ca=" + ca); err != nil {
		t.Errorf("with ca=: %v", err)
	}
	err := remove(base + server.URL)
	wantSentinel(t, "without ca=", err, objects.ErrRefused)
	if !strings.Contains(err.Error(), "ca=") {
		t.Errorf("%v; want a hint", err)
	}
	err = remove(base + strings.Replace(plain.URL, "http:", "https:", 1))
	wantSentinel(t, "https to http", err, objects.ErrRefused)
	for name, ca := range map[string]string{"no file": "/nonexistent.pem", "no certificate": writeFile(t, "hello")} {
		if err := remove(base + server.URL + "&ca=" + ca); err == nil || !strings.Contains(err.Error(), "parameter ca") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
