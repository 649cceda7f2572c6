// Package retention says which snapshots of an account are kept, and why:
// [Parse] reads keep rules as people write them, [Policy.Decide] applies them.
// It forgets nothing itself and reads no clock.
package retention

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"restante/storage"
)

// A Rule keeps some snapshots.
type Rule interface {
	// String is the rule as Parse reads it.
	String() string
	// Keep says for each snapshot why the rule keeps it, with nothing for
	// those it does not keep. The list comes newest first.
	Keep(list []storage.Snapshot, when When) []string
}

// When is the time at which, and the zone in which, rules are applied: days,
// weeks, months and years begin when they do there.
type When struct {
	Now  time.Time
	Zone *time.Location
}

// A Policy is the rules of an account. A snapshot is kept if any of them keeps
// it. One without rules keeps everything.
type Policy []Rule

// String is the policy as Parse reads it.
func (p Policy) String() string {
	texts := make([]string, len(p))
	for i, r := range p {
		texts[i] = r.String()
	}
	return strings.Join(texts, ", ")
}

// A Decision says of a snapshot whether it is kept. It is if there is a reason.
type Decision struct {
	Snapshot storage.Snapshot
	// Reasons are sentences: one for each rule that keeps it.
	Reasons []string
}

// Keep says that the snapshot is kept.
func (d *Decision) Keep() bool { return len(d.Reasons) > 0 }

// Decide says for each snapshot of an account, newest first, which rules keep
// it. Holds are the reasons of those the account is under: each keeps
// everything.
//
// Rules look at complete snapshots only. A partial one is kept until a
// complete one is newer. Whatever the rules say, the latest complete snapshot
// is kept, the latest that lacks no message, an anomalous one and the one before
// it, and one that has the only copy of mail that a policy deleted. The same
// list in another order, or what is left of it after the others were forgotten,
// is decided alike.
func (p Policy) Decide(snapshots []storage.Snapshot, holds []string, when When) []Decision {
	list := NewestFirst(snapshots)
	decisions := make([]Decision, len(list))
	for i := range list {
		decisions[i].Snapshot = list[i]
		for _, reason := range holds {
			decisions[i].Reasons = append(decisions[i].Reasons, "under a hold: "+reason)
		}
	}
	note := func(indices []int, why []string) {
		for k, i := range indices {
			if why[k] != "" {
				decisions[i].Reasons = append(decisions[i].Reasons, why[k])
			}
		}
	}
	var all, complete []int
	var whole []storage.Snapshot // the complete ones
	for i := range list {
		all = append(all, i)
		if !list[i].Marks.Has(storage.Partial) {
			complete = append(complete, i)
			whole = append(whole, list[i])
		}
	}
	note(all, keepLatest(list))
	note(all, keepUnfinished(list))
	note(all, keepBeforeAnomaly(list))
	note(all, keepOnlyCopies(list))
	for _, r := range p {
		why := r.Keep(whole, when)
		for k := range why {
			if why[k] != "" {
				why[k] = r.String() + ": " + why[k]
			}
		}
		note(complete, why)
	}
	if len(p) == 0 {
		note(all, slices.Repeat([]string{"there are no keep rules"}, len(all)))
	}
	return decisions
}

// NewestFirst sorts snapshots as rules want them. Of those begun in the same
// second, the one that comes later in the list is the newer one.
func NewestFirst(snapshots []storage.Snapshot) []storage.Snapshot {
	list := slices.Clone(snapshots)
	slices.SortStableFunc(list, func(a, b storage.Snapshot) int {
		if a.Started != b.Started {
			return compare(a.Started, b.Started)
		}
		return compare(a.Finished, b.Finished)
	})
	slices.Reverse(list)
	return list
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Forgotten are the ids of the snapshots that no rule keeps.
func Forgotten(decisions []Decision) (ids []storage.ID) {
	for i := range decisions {
		if !decisions[i].Keep() {
			ids = append(ids, decisions[i].Snapshot.ID)
		}
	}
	return ids
}

// ordinal is a place in a list, for people.
func ordinal(i, of int) string { return fmt.Sprintf("%d of %d", i, of) }
