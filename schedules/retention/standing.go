package retention

import (
	"fmt"

	"restante/storage"
)

// The standing rules hold for every account, whatever its policy says.

// keepLatest keeps the latest complete snapshot and the latest that lacks no
// message; where there is none, the latest of those that there are.
func keepLatest(list []storage.Snapshot) []string {
	why := make([]string, len(list))
	complete, sound := -1, -1
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].Marks.Has(storage.Partial) {
			complete = i
			if !list[i].Marks.Has(storage.Incomplete) {
				sound = i
			}
		}
	}
	switch {
	case complete >= 0:
		why[complete] = "the latest complete snapshot"
		if sound >= 0 && sound != complete {
			why[sound] = "the latest that lacks no message"
		}
	case len(list) > 0:
		why[0] = "the latest of all, and none is complete"
	}
	return why
}

// keepUnfinished keeps partial snapshots that no complete one supersedes: the
// next run goes on from there.
func keepUnfinished(list []storage.Snapshot) []string {
	why := make([]string, len(list))
	for i := range list {
		if !list[i].Marks.Has(storage.Partial) {
			break
		}
		why[i] = "of a run that is not over"
	}
	return why
}

// keepBeforeAnomaly keeps an anomalous snapshot and the one before: what
// vanished from one to the other may be wanted back by somebody who does not
// know yet. The anomalous one is kept, partial or not, because without it
// nothing would tell that the one before is needed. Both go when somebody names
// them.
func keepBeforeAnomaly(list []storage.Snapshot) []string {
	return keepBefore(list, storage.Anomalous, "anomalous: many messages are gone", "the one before %s, which is anomalous")
}

// keepOnlyCopies keeps a snapshot of a maildrop from which a policy deleted mail
// that the next one has no more, and that next one, likewise.
func keepOnlyCopies(list []storage.Snapshot) []string {
	return keepBefore(list, storage.Drained, "what a policy deleted from the server is in the one before", "it may have the only copy of mail that a policy deleted from the server before %s")
}

// keepBefore keeps the snapshots with a mark, and the one before each.
func keepBefore(list []storage.Snapshot, mark storage.Marks, itself, before string) []string {
	why := make([]string, len(list))
	for i := range list {
		if !list[i].Marks.Has(mark) {
			continue
		}
		why[i] = joined(why[i], itself)
		previous := -1
		for j := i + 1; j < len(list); j++ {
			if list[j].ID == list[i].Parent || previous < 0 && !list[j].Marks.Has(storage.Partial) {
				why[j] = joined(why[j], fmt.Sprintf(before, list[i].ID.Short()))
				if !list[j].Marks.Has(storage.Partial) {
					previous = j
				}
			}
		}
	}
	return why
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
