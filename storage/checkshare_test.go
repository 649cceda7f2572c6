package storage

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
	"restante/storage/objects"
)

// TestEveryPackHasItsTurn goes through the days of a round, in each of which
// new packs come.
func TestEveryPackHasItsTurn(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := manyCommits(t, store, t.TempDir())
	defer r.Close()
	const days = 7
	first := DayOf(time.Date(2026, 11, 24, 23, 59, 59, 0, time.UTC))
	born := map[ulid.ULID]int64{} // the day on which a pack was there first
	read := map[ulid.ULID][]int64{}
	mail := testMail(rand.New(rand.NewPCG(9, 9)), 3*days)
	for day := first; day < first+3*days; day++ {
		backUp(t, r, "carol", uint32(day-first+1), mail[day-first:][:1])
		due := 0
		for _, p := range r.packs() {
			if _, known := born[p.ID]; !known {
				born[p.ID] = day
			}
			if (DayShare{Days: days, Day: day}).turn(p.ID) {
				read[p.ID] = append(read[p.ID], day)
				due++
			}
		}
		c, err := r.Check(t.Context(), CheckOptions{ReadShare: &DayShare{Days: days, Day: day}})
		if err != nil {
			t.Fatal(err)
		}
		if c.PacksRead != due || len(c.Findings) > 0 || c.ReadShare == nil || c.ReadShare.Day != day {
			t.Errorf("day %d: %d packs are due; the check says %+v", day, due, *c)
		}
	}
	for id, since := range born {
		if since+days > first+3*days {
			continue
		}
		turns := read[id]
		if len(turns) == 0 || turns[0] >= since+days {
			t.Errorf("pack %s of day %d was read on %v", id, since, turns)
		}
		for i := range turns[1:] {
			if turns[i+1] != turns[i]+days {
				t.Errorf("pack %s was read on %v", id, turns)
			}
		}
	}
}

// TestAShareFindsDamageOnItsDay damages one pack where only reading its data
// tells.
func TestAShareFindsDamageOnItsDay(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := manyCommits(t, store, t.TempDir())
	defer r.Close()
	damaged := damageMail(t, r, store)
	const days = 5
	var found []int64
	for day := int64(-2); day < days-2; day++ { // before 1970, too
		share := DayShare{Days: days, Day: day}
		c, err := r.Check(t.Context(), CheckOptions{ReadShare: &share})
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Findings) > 0 {
			found = append(found, day)
			if c.Findings[0].Object != packName(damaged) || !share.turn(damaged) {
				t.Errorf("day %d: %v", day, c.Findings)
			}
		}
	}
	if len(found) != 1 {
		t.Errorf("the damage was found on the days %v", found)
	}
}

// damageMail flips a bit in the first pack that has a segment of mail.
func damageMail(t *testing.T, r *Repository, store objects.Store) ulid.ULID {
	t.Helper()
	for _, p := range r.packs() {
		v, err := r.vault(t.Context(), p.Vault)
		if err != nil {
			t.Fatal(err)
		}
		d, err := v.readDirectory(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range d {
			if s.Class == pack.Structure {
				continue
			}
			b, err := store.Get(t.Context(), packName(p.ID), 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			b[s.Offset+int64(s.Box)/2] ^= 1
			if err := store.Put(t.Context(), packName(p.ID), b); err != nil {
				t.Fatal(err)
			}
			return p.ID
		}
	}
	t.Fatal("no pack holds mail")
	panic("unreachable")
}

func TestDayOf(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("", 3600)
	for _, c := range []struct {
		at  time.Time
		day int64
	}{
		{time.Unix(0, 0), 0}, {time.Unix(86399, 0), 0}, {time.Unix(86400, 0), 1}, {time.Unix(-1, 0), -1}, {time.Unix(-86400, 0), -1},
		{time.Date(1970, 1, 2, 0, 30, 0, 0, berlin), 0},
	} {
		if got := DayOf(c.at); got != c.day {
			t.Errorf("%v: %d, want %d", c.at, got, c.day)
		}
	}
}
