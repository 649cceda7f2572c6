package objects_test

import (
	"testing"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

func TestCounterCounts(t *testing.T) {
	ctx := t.Context()
	below := objectstest.NewFaulty(objects.NewMemory(), 1,
		objectstest.Rule{Fault: objectstest.FailBefore, On: objectstest.Put | objectstest.Delete, Prefix: "bad"})
	store := objects.Counted(below)
	store.Put(ctx, "a", make([]byte, 100))
	store.Put(ctx, "bad", make([]byte, 1000)) // fails
	before := store.Snapshot()
	store.PutIfAbsent(ctx, "b", make([]byte, 10))
	store.PutIfAbsent(ctx, "b", make([]byte, 10)) // fails
	store.Get(ctx, "a", 20, 30)
	store.Get(ctx, "absent", 0, -1) // fails
	list := store.List(ctx, "", "")
	collect(list)
	collect(list)
	store.Delete(ctx, "bad") // fails
	store.Delete(ctx, "a")

	want := objects.Counts{Puts: 2, PutsIfAbsent: 2, Gets: 2, Lists: 2, Deletes: 2, Failed: 4, Stored: 110, Fetched: 30, Requests: 10}
	if got := store.Snapshot(); got != want {
		t.Errorf("Snapshot: %+v; want %+v", got, want)
	}
	want = objects.Counts{PutsIfAbsent: 2, Gets: 2, Lists: 2, Deletes: 2, Failed: 3, Stored: 10, Fetched: 30, Requests: 8}
	if got := store.Snapshot().Since(before); got != want {
		t.Errorf("Since: %+v; want %+v", got, want)
	}
	const line = "10 store requests (2 put, 2 put if absent, 2 get, 2 list, 2 delete), 110 octets stored, 30 fetched"
	if got := store.Snapshot().String(); got != line {
		t.Errorf("String: %q; want %q", got, line)
	}
}

// networked needs three requests for each operation.
type networked struct{ *objects.Counter }

func (n networked) Requests() int64 { return 3 * n.Counter.Requests() }

func TestCounterAsksForRealRequests(t *testing.T) {
	store := objects.Counted(networked{objects.Counted(objects.NewMemory())})
	store.Put(t.Context(), "a", nil)
	if got := store.Snapshot(); got.Puts != 1 || got.Requests != 3 {
		t.Errorf("Snapshot: %+v; want 1 put and 3 requests", got)
	}
}
