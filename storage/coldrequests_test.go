package storage

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"restante/storage/objects"
)

// mostColdRequests is how many requests a run takes that has nothing at hand,
// where nothing changed.
const mostColdRequests = 15

// TestColdRequestsOfAnOlderRepository counts the requests of a run that has
// nothing at hand, after each of many nights; RESTANTE_LONG has 400 of them.
// With -v it also tells what the nights themselves cost.
func TestColdRequestsOfAnOlderRepository(t *testing.T) {
	free, collect := freeMemory, debug.SetGCPercent(400)
	t.Cleanup(func() { freeMemory = free; debug.SetGCPercent(collect) })
	freeMemory = func() {}
	nights := 60
	if os.Getenv("RESTANTE_LONG") != "" {
		nights = 400
	}
	for _, c := range []struct {
		what     string
		folders  int
		machines int
		fresh    func(night int) int // messages, into one of the folders
	}{
		{"one message every night", 1, 1, func(int) int { return 1 }},
		{"one message every third night", 1, 1, func(n int) int { return max(0, 1-n%3) }},
		{"nothing new", 1, 1, func(int) int { return 0 }},
		{"a message every night, in one of 30 folders", 30, 1, func(int) int { return 1 }},
		{"forty messages every night", 1, 1, func(int) int { return 40 }},
		{"two machines in turn", 3, 2, func(n int) int { return n % 5 % 2 }},
	} {
		t.Run(c.what, func(t *testing.T) {
			store := objects.Counted(objects.NewMemory())
			y := &years{store: store, random: rand.New(rand.NewPCG(1, 6)), folders: c.folders}
			for range c.machines {
				y.caches = append(y.caches, t.TempDir())
			}
			newRepository(t, store, y.caches[0]).Close()
			y.night(t, 0, map[int]int{0: 2000})

			warm, cold := map[int64]int{}, map[int64]int{}
			var requests, written, octets int64
			for n := range nights {
				before := store.Snapshot()
				fresh := map[int]int{}
				if k := c.fresh(n); k > 0 {
					fresh[y.random.IntN(c.folders)] = k
				}
				y.night(t, n, fresh)
				spent := store.Snapshot().Since(before)
				warm[spent.Requests]++
				requests, written, octets = requests+spent.Requests, written+spent.Puts+spent.PutsIfAbsent, octets+spent.Stored
				cold[y.cold(t)]++
			}
			t.Logf("a night: %.2f requests (%s), %.2f objects written, %d octets", float64(requests)/float64(nights), distribution(warm), float64(written)/float64(nights), octets/int64(nights))
			t.Logf("with nothing at hand: %s", distribution(cold))
			for n := range cold {
				if n > mostColdRequests {
					t.Errorf("with nothing at hand %d requests, at most %d are allowed", n, mostColdRequests)
				}
			}
		})
	}
}

// distribution prints how often there were how many requests.
func distribution(of map[int64]int) string {
	s := ""
	for _, n := range slices.Sorted(maps.Keys(of)) {
		s += fmt.Sprintf(" %d×%d", of[n], n)
	}
	return s[min(1, len(s)):]
}

// years are many nights of one account, backed up by machines in turn.
type years struct {
	store   *objects.Counter
	caches  []string // of the machines
	random  *rand.Rand
	folders int
	next    uint32 // UID
}

// night backs up; so many messages are new in these folders.
func (y *years) night(t *testing.T, n int, fresh map[int]int) {
	t.Helper()
	r, err := Open(t.Context(), y.store, Passphrase(testPassphrase), Options{CacheDir: y.caches[n%len(y.caches)], Stale: len(y.caches) == 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(fresh) == 0 {
		commitUnchanged(t, r, "alice")
		return
	}
	w, err := r.Writer(t.Context(), mustVault(t, r))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := Snapshot{ID: NewID(), Account: "alice", Host: "backup.example.org", Started: time.Now().Unix(), Finished: time.Now().Unix()}
	tree := new(Tree)
	if latest, ok := r.Latest("alice"); ok {
		s.Parent = latest.ID
		if tree, err = r.OpenSnapshot(t.Context(), latest); err != nil {
			t.Fatal(err)
		}
	}
	var saved []SavedFolder
	for i := range y.folders {
		levels := []string{fmt.Sprintf("Folder %d", i)}
		parent := tree.Folder(levels)
		if fresh[i] == 0 && parent != nil {
			saved = append(saved, parent.Keep())
			continue
		}
		d := w.Draft(parent)
		d.Describe(func(f *Folder) { f.Levels, f.UIDValidity = levels, 7 })
		list, err := saveMail(w, y.next+1, testMail(y.random, fresh[i]))
		if err != nil {
			t.Fatal(err)
		}
		y.next += uint32(len(list))
		if err := d.Add(list); err != nil {
			t.Fatal(err)
		}
		f, err := d.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, f)
	}
	if err := w.SaveTree("imap", saved, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// cold is how many requests a run takes that has nothing at hand and finds
// nothing changed: those of opening the last snapshot, and one for its entry.
func (y *years) cold(t *testing.T) int64 {
	t.Helper()
	before := y.store.Snapshot()
	r, err := Open(t.Context(), y.store, Passphrase(testPassphrase), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	latest, _ := r.Latest("alice")
	tree, err := r.OpenSnapshot(t.Context(), latest)
	if err != nil {
		t.Fatal(err)
	}
	messages := int64(0)
	for _, f := range tree.Folders {
		messages += f.Messages
	}
	if len(tree.Folders) != y.folders || messages != int64(y.next) {
		t.Fatalf("%d messages in %d folders, and there were %d in %d", messages, len(tree.Folders), y.next, y.folders)
	}
	return y.store.Snapshot().Since(before).Requests + 1
}
