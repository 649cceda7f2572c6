package retention

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"restante/storage"
	"restante/storage/ledger"
)

// at makes a snapshot that was begun at a time, RFC 3339; marks are letters:
// p partial, i incomplete, a anomalous, d drained.
func at(text, marks string) storage.Snapshot {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return made(t, marks)
}

func made(t time.Time, marks string) storage.Snapshot {
	s := storage.Snapshot{ID: storage.NewID(), Account: "alice", Started: t.Unix(), Finished: t.Unix() + 60}
	for letter, mark := range map[string]ledger.Marks{"p": storage.Partial, "i": storage.Incomplete, "a": storage.Anomalous, "d": storage.Drained} {
		if strings.Contains(marks, letter) {
			s.Marks |= mark
		}
	}
	return s
}

func zone(t testing.TB, name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("no time zones here: %v", err)
	}
	return z
}

// kept says which snapshots are kept, as a string of k and -, newest first.
func kept(decisions []Decision) string {
	var b strings.Builder
	for i := range decisions {
		if decisions[i].Keep() {
			b.WriteByte('k')
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}

func mustParse(t testing.TB, text string) Policy {
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStandingRulesKeepWhatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		what  string
		marks string // newest first, one word each
		want  string
	}{
		{"the latest", "- - -", "k--"},
		{"the latest complete one and the unfinished run after it", "p p - -", "kkk-"},
		{"a partial one that was completed goes", "- p p -", "k---"},
		{"the latest that lacks no message", "i i - -", "k-k-"},
		{"nothing is complete: the run that is not over", "p p p", "kkk"},
		{"an anomalous one and the one before", "- - a - -", "k-kk-"},
		{"between them a partial one", "- a p - -", "kk-k-"},
		{"an anomalous run that is not over", "pa - -", "kk-"},
		{"an anomalous run that was completed", "- pa - -", "kkk-"},
		{"two anomalies one after the other", "- a a - -", "kkkk-"},
		{"the very first is anomalous", "- a", "kk"},
		{"what a policy deleted is in the one before", "- - d - -", "k-kk-"},
		{"what it deleted each night", "d d d - -", "kkkk-"},
	} {
		var list []storage.Snapshot
		for i, m := range strings.Fields(test.marks) {
			list = append(list, made(time.Date(2026, 11, 20-i, 3, 0, 0, 0, time.UTC), m))
		}
		// A rule that keeps no more than the standing ones do here.
		got := kept(mustParse(t, "last 1").Decide(list, nil, When{list[0].StartedAt(), time.UTC}))
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
	}
}

func TestParentOfAnAnomalousSnapshotIsKeptThoughItIsPartial(t *testing.T) {
	t.Parallel()
	list := []storage.Snapshot{at("2026-11-20T03:00:00Z", ""), at("2026-11-19T03:00:00Z", "a"), at("2026-11-18T03:00:00Z", "p"), at("2026-11-17T03:00:00Z", ""), at("2026-11-16T03:00:00Z", "")}
	list[1].Parent = list[2].ID
	if got := kept(mustParse(t, "last 1").Decide(list, nil, When{list[0].StartedAt(), time.UTC})); got != "kkkk-" {
		t.Error(got)
	}
}

func TestHoldKeepsEverythingAndSaysWhy(t *testing.T) {
	t.Parallel()
	list := []storage.Snapshot{at("2026-11-20T03:00:00Z", ""), at("2026-11-19T03:00:00Z", "p"), at("2026-11-18T03:00:00Z", "")}
	d := mustParse(t, "last 1").Decide(list, []string{"case 12"}, When{list[0].StartedAt(), time.UTC})
	if kept(d) != "kkk" || d[1].Reasons[0] != "under a hold: case 12" {
		t.Errorf("%v", d)
	}
}

func TestNoRulesKeepEverything(t *testing.T) {
	t.Parallel()
	list := []storage.Snapshot{at("2026-11-20T03:00:00Z", ""), at("2020-11-19T03:00:00Z", "p"), at("2010-11-18T03:00:00Z", "")}
	if got := kept(Policy(nil).Decide(list, nil, When{list[0].StartedAt(), time.UTC})); got != "kkk" {
		t.Error(got)
	}
}

func TestRulesNameThemselvesInTheirReasons(t *testing.T) {
	t.Parallel()
	list := []storage.Snapshot{at("2026-11-20T03:00:00Z", ""), at("2026-11-19T03:00:00Z", ""), at("2026-11-19T02:00:00Z", "")}
	d := mustParse(t, "last 1, daily 5, monthly 3").Decide(list, nil, When{list[0].StartedAt(), time.UTC})
	for i, want := range [][]string{
		{"the latest complete snapshot", "last 1: 1 of 1", "daily 5: the last of 2026-11-20, 1 of 5", "monthly 3: the last of 2026-11, 1 of 3"},
		{"daily 5: the last of 2026-11-19, 2 of 5"}, nil,
	} {
		if !slices.Equal(d[i].Reasons, want) {
			t.Errorf("%d: %q, want %q", i, d[i].Reasons, want)
		}
	}
}

// A drawn history: snapshots some hours or days apart, with marks.
func drawHistory(r *rapid.T, zone *time.Location) []storage.Snapshot {
	t := time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(r, "month")), rapid.IntRange(1, 28).Draw(r, "day"), 3, 0, 0, 0, zone)
	n := rapid.IntRange(1, 60).Draw(r, "snapshots")
	var list []storage.Snapshot
	for range n {
		marks := rapid.SampledFrom([]string{"", "", "", "", "p", "i", "a", "pa"}).Draw(r, "marks")
		s := made(t, marks)
		if len(list) > 0 && rapid.Bool().Draw(r, "has parent") {
			s.Parent = list[len(list)-1].ID
		}
		list = append(list, s)
		t = t.Add(time.Duration(rapid.IntRange(0, 60*24*9).Draw(r, "minutes")) * time.Minute)
	}
	return list
}

func drawPolicy(r *rapid.T) Policy {
	var p Policy
	for _, name := range Names {
		if !rapid.Bool().Draw(r, name) {
			continue
		}
		n := rapid.IntRange(1, 12).Draw(r, "n")
		value := fmt.Sprint(n)
		if name == "within" {
			value += rapid.SampledFrom([]string{"h", "d", "w", "mo", "y"}).Draw(r, "unit")
		}
		rule, err := NewRule(name, value)
		if err != nil {
			r.Fatal(err)
		}
		p = append(p, rule)
	}
	if p == nil {
		p = Policy{Last(1)}
	}
	return p
}

func TestDecisionsHoldWhatIsPromised(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	rapid.Check(t, func(r *rapid.T) {
		list := drawHistory(r, berlin)
		p := drawPolicy(r)
		when := When{list[len(list)-1].StartedAt().Add(time.Hour), berlin}
		d := p.Decide(list, nil, when)
		if len(d) != len(list) {
			r.Fatalf("%d decisions for %d snapshots", len(d), len(list))
		}

		// What there is to promise whatever the rules.
		complete := slices.IndexFunc(d, func(d Decision) bool { return !d.Snapshot.Marks.Has(storage.Partial) })
		for i := range d {
			s := d[i].Snapshot
			switch {
			case complete < 0 && i == 0, i == complete, complete >= 0 && i < complete:
				if !d[i].Keep() {
					r.Fatalf("the latest is not kept: %s", kept(d))
				}
			}
			if s.Marks.Has(storage.Anomalous) {
				for _, older := range d[i+1:] {
					if !older.Snapshot.Marks.Has(storage.Partial) {
						if !older.Keep() {
							r.Fatalf("the one before an anomalous one is not kept: %s", kept(d))
						}
						break
					}
				}
			}
		}

		// Another rule keeps more, never less; a larger number likewise.
		more := append(slices.Clone(p), Each{Weekly, 5})
		for i, wider := range more.Decide(list, nil, when) {
			if d[i].Keep() && !wider.Keep() {
				r.Fatalf("a rule more keeps less")
			}
		}

		// What is left is decided alike: nothing more is forgotten the next time.
		var left []storage.Snapshot
		for i := range d {
			if d[i].Keep() {
				left = append(left, d[i].Snapshot)
			}
		}
		slices.Reverse(left)
		if again := kept(p.Decide(left, nil, when)); strings.Contains(again, "-") {
			r.Fatalf("the second time forgets more: %s", again)
		}

		// The order in which they come does not matter.
		mixed := rapid.Permutation(list).Draw(r, "mixed")
		same := slices.IsSortedFunc(list, func(a, b storage.Snapshot) int { return compare(a.Started, b.Started) })
		distinct := map[int64]bool{}
		for _, s := range list {
			same = same && !distinct[s.Started]
			distinct[s.Started] = true
		}
		if same && kept(p.Decide(mixed, nil, when)) != kept(d) {
			r.Fatal("another order gives other decisions")
		}

		// Rules are read as they are written.
		read, err := Parse(p.String())
		if err != nil || !slices.Equal(read, p) {
			r.Fatalf("%q is read as %q: %v", p, read, err)
		}
	})
}

// TestAYearOfNights forgets every night for a year and a half and compares what
// is left with what the rules say of all that ever was.
func TestAYearOfNights(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	for _, text := range []string{"last 7, daily 30, weekly 12, monthly 36, yearly 10, within 90d", "daily 7, weekly 4, monthly 6", "hourly 48, within 2w", "yearly 1", "within 6w"} {
		p := mustParse(t, text)
		var all, left []storage.Snapshot
		var anomaly, before storage.ID
		for day := range 540 {
			// 02:30 is not there on one night of the year, and there twice on another.
			at := time.Date(2026, 1, 1+day, 2, 30, 0, 0, berlin)
			runs := []string{""}
			switch {
			case day%50 == 20:
				runs = nil // the server was down
			case day%11 == 5:
				runs = []string{"p", "p", ""} // interrupted, and begun again
			case day == 200:
				runs = []string{"a"}
			}
			for k, marks := range runs {
				s := made(at.Add(time.Duration(k)*time.Hour), marks)
				if marks == "a" {
					anomaly, before = s.ID, left[len(left)-1].ID
				}
				all = append(all, s)
				left = append(left, s)
			}
			now := When{at.Add(4 * time.Hour), berlin}
			gone := Forgotten(p.Decide(left, nil, now))
			left = slices.DeleteFunc(left, func(s storage.Snapshot) bool { return slices.Contains(gone, s.ID) })
			if day%11 != 0 && day != 539 {
				continue
			}
			forgotten := Forgotten(p.Decide(all, nil, now))
			want := slices.DeleteFunc(slices.Clone(all), func(s storage.Snapshot) bool { return slices.Contains(forgotten, s.ID) })
			if !slices.EqualFunc(left, want, func(a, b storage.Snapshot) bool { return a.ID == b.ID }) {
				t.Fatalf("%s: after night %d, %d are left; of all there were the rules keep %d", text, day, len(left), len(want))
			}
		}
		for what, id := range map[string]storage.ID{"the anomalous one": anomaly, "the one before it": before} {
			if !slices.ContainsFunc(left, func(s storage.Snapshot) bool { return s.ID == id }) {
				t.Errorf("%s: %s is gone", text, what)
			}
		}
		perDay, perMonth := map[string]int{}, map[string]int{}
		for _, s := range left {
			perDay[s.StartedAt().In(berlin).Format(time.DateOnly)]++
			perMonth[s.StartedAt().In(berlin).Format("2006-01")]++
		}
		if text[:6] == "last 7" && (len(perMonth) != 18 || len(perDay) < 89 || len(left) > 120) {
			t.Errorf("%s: %d days in %d months, %d snapshots", text, len(perDay), len(perMonth), len(left))
		}
	}
}
