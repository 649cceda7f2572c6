package s3

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// testbed opens the real store that TESTBED_S3 names, under a prefix of its
// own, and empties that in the end.
func testbed(t testing.TB) *Store {
	t.Helper()
	raw := os.Getenv("TESTBED_S3")
	if raw == "" {
		if os.Getenv("CI") == "true" && os.Getenv("RESTANTE_TESTBED") == "1" {
			t.Fatal("TESTBED_S3 is not set, and here it must be")
		}
		t.Skip("TESTBED_S3 is not set: no real S3 server to test with")
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/test-" + strings.ToLower(rand.Text())
	store, err := Open(t.Context(), u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context()) // which has ended by now
		for info, err := range store.List(ctx, "", "") {
			if err == nil {
				err = store.Delete(ctx, info.Name)
			}
			if err != nil {
				t.Errorf("clean up: %v", err)
				break
			}
		}
		store.Close()
	})
	return store
}

func TestRealStoreKeepsEveryPromise(t *testing.T) {
	testbed(t).Close() // to skip once, not in each part
	objectstest.Suite(t, func(t *testing.T) objects.Store { return testbed(t) })
}

func TestRealStorePassesTheProbe(t *testing.T) {
	for name, options := range map[string]objects.ProbeOptions{"quick": {}, "thorough": objects.ThoroughProbe} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "thorough" {
				t.Skip("thousands of requests")
			}
			store := objects.Counted(testbed(t))
			report, err := objects.Probe(t.Context(), store, options)
			if err != nil {
				t.Errorf("%v\n%s", err, report)
			}
			t.Logf("%s in %s", store.Snapshot(), report.Took)
		})
	}
}

func BenchmarkRealStore(b *testing.B) {
	objectstest.Benchmark(b, func(b *testing.B) objects.Store { return testbed(b) })
}
