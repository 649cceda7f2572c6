package crash

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/servers"
	"restante/cmd/testbed/site"
)

// TestAShortShare is a short share of what testbed kill and testbed writers
// do for as long as one likes.
func TestAShortShare(t *testing.T) {
	t.Parallel()
	servers.IMAP(t) // or skip
	newSite := func(t *testing.T) *site.Site {
		s, err := site.New(t.TempDir(), os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		s.Say = t.Logf
		return s
	}
	program, err := newSite(t).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64() >> 16
	kill := func(f func(context.Context, *site.Site, string, Options) (*Report, error), o Options) func(*testing.T) {
		return func(t *testing.T) {
			t.Logf("the seed is %d", o.Seed)
			report, err := f(t.Context(), newSite(t), program, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(report)
			if report.Kills < o.N || report.Compared == 0 || report.Checks == 0 {
				t.Errorf("that is not what was asked for: %+v", report)
			}
		}
	}
	t.Run("kill backups", kill(Backups, Options{N: 6, Seed: seed, Messages: 400, CommitEvery: 20 * time.Millisecond}))
	t.Run("kill restores", kill(Restores, Options{N: 6, Seed: seed, Messages: 400}))
	for name, bucket := range map[string]bool{"writers, directory": false, "writers, S3": true} {
		t.Run(name, func(t *testing.T) {
			if bucket {
				servers.S3(t) // or skip
			}
			commits, err := Writers(t.Context(), newSite(t), program, Options{N: 10, Seed: seed, Messages: 20, Bucket: bucket})
			if err != nil {
				t.Fatal(err)
			}
			t.Log(commits)
		})
	}
}

// TestAShortShareOfTheWeather is a short share of what testbed network does for
// as long as one likes.
func TestAShortShareOfTheWeather(t *testing.T) {
	t.Parallel()
	servers.IMAP(t) // or skip
	servers.S3(t)
	s, err := site.New(t.TempDir(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	s.Say = t.Logf
	program, err := s.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := NetworkOptions{Options: Options{N: 2, Seed: rand.Uint64() >> 16, Messages: 10, Bucket: true}, Quick: true}
	t.Logf("the seed is %d", o.Seed)
	weathered, err := Network(t.Context(), s, program, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(weathered)
	if weathered.Rounds != 1 || len(weathered.Faults) == 0 || weathered.Restored == 0 || weathered.Checks == 0 {
		t.Errorf("that is not what was asked for: %+v", weathered)
	}
}

// message is one in a mailbox.
func message(text string) rawimap.Message { return rawimap.Message{Octets: []byte(text)} }

func at(folder, text string) place { return place{folder, sha256.Sum256([]byte(text))} }

func TestWhatIsMissingOrTwiceOrForeignIsSeen(t *testing.T) {
	t.Parallel()
	arrived := map[place]bool{at("INBOX", "new"): true}
	want := rawimap.Mailbox{Folders: []rawimap.Folder{{Name: "INBOX", Messages: []rawimap.Message{message("one"), message("two")}}, {Name: "Work"}}}
	r := &restores{trial: &trial{report: new(Report)}, want: want, once: places(want)}
	a := &account{ever: map[place]bool{at("INBOX", "one"): true, at("INBOX", "two"): true, at("INBOX", "old"): true}}
	for _, c := range []struct {
		what           string
		inbox, work    []string
		foreign, union int
	}{
		{"all", []string{"one", "two", "new"}, nil, 0, 1},
		{"old mail as well", []string{"one", "two", "old"}, nil, 1, 0},
		{"one missing", []string{"two"}, nil, 0, 1},
		{"one twice", []string{"one", "two", "two"}, nil, 1, 1},
		{"one in another folder", []string{"one"}, []string{"two"}, 1, 2},
	} {
		var got rawimap.Mailbox
		for folder, texts := range map[string][]string{"INBOX": c.inbox, "Work": c.work} {
			f := rawimap.Folder{Name: folder}
			for _, text := range texts {
				f.Messages = append(f.Messages, message(text))
			}
			got.Folders = append(got.Folders, f)
		}
		if wrong := r.foreign(got, arrived); len(wrong) != c.foreign {
			t.Errorf("%s: while it is restored, %q is wrong, and %d should be", c.what, wrong, c.foreign)
		}
		if wrong := a.union(r.once, places(got)); len(wrong) != c.union {
			t.Errorf("%s: in the end, %q is wrong, and %d should be", c.what, wrong, c.union)
		}
	}
}

func TestASnapshotThatIsMissingOrForeignIsSeen(t *testing.T) {
	t.Parallel()
	var all []site.Snapshot
	for i := range 4 {
		all = append(all, site.Snapshot{ID: fmt.Sprint(i), Account: "a", Messages: int64(i)})
	}
	other := slices.Clone(all)
	other[3].Messages = 7
	for what, c := range map[string]struct {
		there []site.Snapshot
		wrong int
	}{
		"the same":         {all, 0},
		"one missing":      {all[:3], 1},
		"one too many":     {append(slices.Clone(all), site.Snapshot{ID: "x"}), 1},
		"one changed":      {other, 2},
		"one listed twice": {append(slices.Clone(all), all[0]), 1},
	} {
		if wrong := compareSnapshots(all, c.there); len(wrong) != c.wrong {
			t.Errorf("%s: %q is wrong, and %d should be", what, wrong, c.wrong)
		}
	}
}
