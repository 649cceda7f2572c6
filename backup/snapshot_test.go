package backup

import (
	"testing"

	"restante/storage"
)

// TestWhetherASnapshotHasTheOnlyCopyIsHandedOn: also where a run between was not
// over, which has what the one before it had.
func TestWhetherASnapshotHasTheOnlyCopyIsHandedOn(t *testing.T) {
	const partial, draining, drained = storage.Partial, storage.Draining, storage.Drained
	for _, test := range []struct {
		name    string
		before  storage.Marks
		drains  bool
		gone    int64
		partial bool
		want    storage.Marks
	}{
		{"no policy", 0, false, 3, false, 0},
		{"a policy from now on", 0, true, 3, false, draining},
		{"nothing is gone", draining, true, 0, false, draining},
		{"some are gone", draining, true, 3, false, draining | drained},
		{"the policy is gone, too", draining, false, 3, false, drained},
		{"what was gone before is not gone again", drained, false, 3, false, 0},
		{"a run that is not over", draining, false, 0, true, draining},
		{"a run that is not over, some are gone", draining, false, 3, true, draining | drained},
		{"the run after that", partial | draining | drained, false, 0, false, drained},
		{"the run after that finds more gone", partial | draining, false, 3, false, drained},
		{"the run after that finds none gone", partial | draining, true, 0, false, draining},
	} {
		r := &run{o: Options{Drains: test.drains}, before: test.before, parent: new(storage.Tree)}
		r.stats.Gone = test.gone
		if got := r.draining(test.partial); got != test.want {
			t.Errorf("%s: %q, not %q", test.name, got, test.want)
		}
	}
	moved := &run{before: draining}
	if got := moved.draining(false); got != drained {
		t.Errorf("in another vault: %q", got)
	}
}
