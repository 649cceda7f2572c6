package main

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"restante/cmd/testbed/servers"
)

func TestTheBuckets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		place    func(testing.TB) string
		versions int // after two PUTs
	}{
		"plain":    {servers.S3, 1},
		"versions": {servers.S3Versions, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testBucket(t, c.place(t), c.versions)
		})
	}
}

func testBucket(t *testing.T, at string, versions int) {
	place, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	owner := s3Account{os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")}
	var reader s3Account
	reader.access, reader.secret = servers.S3ReadOnly(t)
	bucket := place.Query().Get("endpoint") + "/" + place.Host
	object := bucket + place.Path + "object"

	do := func(as s3Account, method, url, body string) string {
		t.Helper()
		answer, err := s3Request(t.Context(), as, method, url, body)
		if err != nil {
			t.Errorf("%s %s: %v", method, url, err)
		}
		return answer
	}
	do(owner, http.MethodPut, object, "first")
	do(owner, http.MethodPut, object, "second")
	if got := do(reader, http.MethodGet, object, ""); got != "second" {
		t.Errorf("the reader reads %q", got)
	}
	if got := do(reader, http.MethodGet, bucket, ""); !strings.Contains(got, strings.Trim(place.Path, "/")) {
		t.Errorf("the reader lists %s", got)
	}
	if got := do(owner, http.MethodGet, bucket+"?versions=", ""); strings.Count(got, "<Key>"+place.Path[1:]+"object</Key>") != versions {
		t.Errorf("after two PUTs the versions are %s", got)
	}
	for name, refused := range map[string]struct {
		as     s3Account
		method string
	}{
		"the reader's PUT":     {reader, http.MethodPut},
		"the reader's DELETE":  {reader, http.MethodDelete},
		"a wrong secret's GET": {s3Account{owner.access, "wrong"}, http.MethodGet},
		"a stranger's GET":     {s3Account{"stranger", "secret"}, http.MethodGet},
	} {
		if _, err := s3Request(t.Context(), refused.as, refused.method, object, ""); err == nil || !strings.HasPrefix(err.Error(), "403 ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := do(owner, http.MethodGet, object, ""); got != "second" {
		t.Errorf("afterwards the object is %q", got)
	}
}
