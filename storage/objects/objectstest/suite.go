// Package objectstest is what every object store must pass: call [Suite] from
// the test of a store and [Benchmark] from its benchmark. [Faulty] is a store
// that fails on purpose, for tests of what is built on stores.
package objectstest

import (
	"bytes"
	"testing"

	"restante/storage/objects"
)

// Suite checks every promise of [objects.Store]. open returns an empty store
// of its own for each call, and cleans up with t.Cleanup; it is called from
// parallel tests. With -short the largest objects are left out.
func Suite(t *testing.T, open func(t *testing.T) objects.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, objects.Store)
	}{
		{"location says something", testLocation},
		{"what is put comes back", testPutAndGet},
		{"large objects come back", testLargeObjects},
		{"put replaces", testPutReplaces},
		{"byte slices are not shared", testSlicesAreNotShared},
		{"ranges are exact", testRanges},
		{"an absent object is not found", testAbsent},
		{"names at the limits are taken", testGoodNames},
		{"bad names and sizes are refused", testBadNames},
		{"put if absent leaves what is there", testPutIfAbsent},
		{"one writer of many wins", testOneWinner},
		{"list is in byte order", testListOrder},
		{"list takes any prefix and any after", testListPrefixAndAfter},
		{"list of thousands is complete", testListThousands},
		{"list can be left early", testListLeftEarly},
		{"delete removes", testDelete},
		{"readers never see half an object", testReadersDuringWrites},
		{"list is complete during writes", testListDuringWrites},
		{"an ended context ends everything", testEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

func testLocation(t *testing.T, store objects.Store) {
	if store.Location() == "" {
		t.Error("Location is empty")
	}
}

// octets returns n octets that differ from those of every other seed from the
// first to the last.
func octets(n int, seed byte) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i*7+i>>8+i>>16) ^ seed*37
	}
	return data
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantObject(t *testing.T, store objects.Store, name string, want []byte) []byte {
	t.Helper()
	got, err := store.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("Get(%s) returned %d octets that are not the %d that were put", name, len(got), len(want))
	}
	return got
}
