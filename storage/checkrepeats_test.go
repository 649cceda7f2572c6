package storage

import (
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"restante/storage/ledger"
	"restante/storage/objects"
)

// TestCheckFindsWrongRepeats: an entry repeats something that no entry before it
// said. A machine with a cache never looks at it, but others would go by it.
func TestCheckFindsWrongRepeats(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	cache := t.TempDir()
	r := newRepository(t, store, cache)
	for range 2 {
		if err := r.ledger.Append(t.Context(), func(*ledger.State) (ledger.Body, error) { return &ledger.Hold{ID: NewID()}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	const last = 2
	box, err := store.Get(t.Context(), ledger.Slot(last), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := boxes{r}.OpenEntry(last, box)
	if err != nil {
		t.Fatal(err)
	}
	entry := map[uint64]cbor.RawMessage{}
	if err := cbor.Unmarshal(plain, &entry); err != nil {
		t.Fatal(err)
	}
	var repeats [][]any
	if err := cbor.Unmarshal(entry[8], &repeats); err != nil || len(repeats) == 0 {
		t.Fatalf("%v, %d repeats", err, len(repeats))
	}
	r.Close()
	wantNoFindings(t, openRepository(t, store, Options{CacheDir: cache}))

	repeats[len(repeats)-1][3] = map[uint64]any{1: []byte("0123456789abcdef"), 2: "nobody"}
	if entry[8], err = canonical.Marshal(repeats); err != nil {
		t.Fatal(err)
	}
	if plain, err = canonical.Marshal(entry); err != nil {
		t.Fatal(err)
	}
	if box, err = (boxes{r}).SealEntry(last, plain); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), ledger.Slot(last), box); err != nil {
		t.Fatal(err)
	}
	for what, dir := range map[string]string{"nothing at hand": "", "a cache": t.TempDir()} {
		if dir != "" { // one that has the ledger's state entry by entry
			l := ledger.New(store, boxes{r}, r.configSum, "test")
			if err := l.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			warm := openRepository(t, store, Options{CacheDir: dir})
			warm.ledger = l
			if err := warm.Close(); err != nil {
				t.Fatal(err)
			}
		}
		c, err := openRepository(t, store, Options{CacheDir: dir}).Check(t.Context(), CheckOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Findings) == 0 || !strings.Contains(c.Findings[len(c.Findings)-1].Problem, "repeat") {
			t.Errorf("%s: %+v", what, c.Findings)
		}
	}
}
