package storage

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"restante/storage/objects"
)

// randomMessage makes a message's record; the content does not matter here.
func randomMessage(r *rand.Rand, uid uint32) Message {
	m := Message{UID: uid, Size: r.Int64N(1 << 20), From: fmt.Sprintf("someone %d", r.IntN(30)), Subject: fmt.Sprintf("subject %d", r.IntN(500))}
	binary.BigEndian.PutUint64(m.Recipe[:], r.Uint64())
	if r.IntN(10) > 0 {
		zone := time.FixedZone("", (r.IntN(27*4)-13*4)*15*60)
		m.InternalDate = time.Unix(1_500_000_000+r.Int64N(1e8), 0).In(zone)
	}
	if r.IntN(10) > 0 {
		m.Date = time.Unix(r.Int64N(4e9)-1e9, 0).UTC()
		m.MessageID = [4]byte{byte(r.Uint32()), 1}
	}
	if r.IntN(20) == 0 {
		m.Key = fmt.Sprintf("key-%d", uid)
	}
	m.Flags = randomFlags(r)
	return m
}

func randomFlags(r *rand.Rand) []string {
	var flags []string
	for _, f := range []string{`\Answered`, `\Seen`, "$Forwarded"} {
		if r.IntN(3) == 0 {
			flags = append(flags, f)
		}
	}
	if r.IntN(8) == 0 {
		flags = append(flags, fmt.Sprintf("keyword-%d", r.IntN(100)))
	}
	return flags
}

// sameMessage compares all but the order of flags, which a page need not keep.
func sameMessage(a, b Message) bool {
	same := func(x, y time.Time) bool {
		_, dx := x.Zone()
		_, dy := y.Zone()
		return x.Equal(y) && dx == dy
	}
	dates := same(a.InternalDate, b.InternalDate) && same(a.Date, b.Date)
	fa, fb := slices.Sorted(slices.Values(a.Flags)), slices.Sorted(slices.Values(b.Flags))
	a.InternalDate, a.Date, a.Flags = b.InternalDate, b.Date, b.Flags
	return dates && slices.Equal(fa, fb) && reflect.DeepEqual(a, b)
}

func TestFolderIsWhatWasDoneToIt(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 9))
		repo := newRepository(t, objects.NewMemory(), t.TempDir())
		want := map[uint32]Message{}
		next := uint32(1)
		var parent *Folder
		for round := range 8 {
			vaultID, _ := repo.VaultID(DefaultVault)
			w, err := repo.Writer(t.Context(), vaultID)
			if err != nil {
				t.Fatal(err)
			}
			d := w.Draft(parent)
			d.Describe(func(f *Folder) { f.Levels = []string{"INBOX"} })
			var saved SavedFolder
			for range 1 + r.IntN(3) { // several saves: partial snapshots
				known := slices.Sorted(maps.Keys(want))
				var gone []uint32
				for _, uid := range known {
					switch r.IntN([]int{3, 50, 1000}[int(seed)%3]) {
					case 0:
						gone = append(gone, uid)
						delete(want, uid)
					case 1:
						m := want[uid]
						m.Flags = randomFlags(r)
						d.SetFlags(uid, m.Flags)
						want[uid] = m
					}
				}
				d.Remove(gone)
				chunks := make([][]Message, r.IntN(4))
				for i := range chunks {
					for range r.IntN(700) {
						next += 1 + uint32(r.IntN(3))
						m := randomMessage(r, next)
						want[next] = m
						chunks[i] = append(chunks[i], m)
					}
				}
				r.Shuffle(len(chunks), func(i, j int) { chunks[i], chunks[j] = chunks[j], chunks[i] })
				for _, c := range chunks {
					if err := d.Add(c); err != nil {
						t.Fatal(err)
					}
				}
				if saved, err = d.Save(t.Context()); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			s := Snapshot{ID: NewID(), Account: "a"}
			if err := w.SaveTree("test", []SavedFolder{saved}, &s); err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
				t.Fatal(err)
			}
			w.Close()
			tree, err := repo.OpenSnapshot(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			parent = tree.Folders[0]
			wantFolder(t, fmt.Sprintf("seed %d, round %d", seed, round), parent, want)
		}
	}
}

func wantFolder(t *testing.T, where string, f *Folder, want map[uint32]Message) {
	t.Helper()
	uids := slices.Sorted(maps.Keys(want))
	i, bytes := 0, int64(0)
	for m, err := range f.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if i >= len(uids) || !sameMessage(m, want[uids[i]]) {
			t.Fatalf("%s: message %d is\n%+v, want\n%+v", where, i, m, want[uids[min(i, len(uids)-1)]])
		}
		bytes += m.Size
		i++
	}
	if i != len(uids) || f.Messages != int64(i) || f.Bytes != bytes {
		t.Fatalf("%s: %d messages and %d octets, the record says %d and %d, want %d messages", where, i, bytes, f.Messages, f.Bytes, len(uids))
	}
	i = 0
	for m, err := range f.Flags(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if i >= len(uids) || m.UID != uids[i] {
			t.Fatalf("%s: flags of %d where %d should be", where, m.UID, uids[i])
		}
		i++
	}
	if i != len(uids) {
		t.Fatalf("%s: flags of %d messages, want %d", where, i, len(uids))
	}
	pages, err := f.MailList.pages(f.load(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for k, p := range pages {
		if k > 0 && pages[k-1].Last >= p.First {
			t.Fatalf("%s: pages overlap", where)
		}
		if p.Count > messagesPerPage*3/2 {
			t.Fatalf("%s: a page of %d messages", where, p.Count)
		}
	}
}

func TestOneFlagOfManyMessagesChangesLittle(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, objects.NewMemory(), t.TempDir())
	vaultID, _ := repo.VaultID(DefaultVault)
	r := rand.New(rand.NewPCG(3, 3))
	save := func(parent *Folder, do func(d *Draft)) (*Folder, int) {
		w, err := repo.Writer(t.Context(), vaultID)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		d := w.Draft(parent)
		do(d)
		saved, err := d.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s := Snapshot{ID: NewID(), Account: "a"}
		if err := w.SaveTree("test", []SavedFolder{saved}, &s); err != nil {
			t.Fatal(err)
		}
		before := liveBoxes(t, repo)
		if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
			t.Fatal(err)
		}
		tree, err := repo.OpenSnapshot(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return tree.Folders[0], liveBoxes(t, repo) - before
	}
	folder, _ := save(nil, func(d *Draft) {
		var list []Message
		for uid := range uint32(100_000) {
			list = append(list, randomMessage(r, uid+1))
		}
		if err := d.Add(list); err != nil {
			t.Fatal(err)
		}
	})
	changed, octets := save(folder, func(d *Draft) { d.SetFlags(70_000, []string{`\Flagged`}) })
	if octets > 3_000 {
		t.Errorf("one flag among 100,000 messages wrote %d octets of segments", octets)
	}
	if !slices.Equal(folder.MailList.refs, changed.MailList.refs) {
		t.Error("a flag changed message pages")
	}
	t.Logf("one flag among 100,000 messages: %d octets of segments", octets)
}

// liveBoxes sums up the sealed segments of all packs.
func liveBoxes(t *testing.T, r *Repository) (octets int) {
	t.Helper()
	vaultID, _ := r.VaultID(DefaultVault)
	v, err := r.vault(t.Context(), vaultID)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.packs() {
		d, err := v.readDirectory(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range d {
			octets += s.Box
		}
	}
	return octets
}

func TestPagesReadBackAndRefuseDamage(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 4))
	sets := new(flagSets)
	var list []Message
	var flags []flagItem
	uid := uint32(0)
	for range 300 {
		uid += 1 + uint32(r.IntN(1<<20))
		m := randomMessage(r, uid)
		m.Flags = nil
		list = append(list, m)
		var names []string
		for range r.IntN(5) {
			names = append(names, fmt.Sprintf("k%d", r.IntN(120)))
		}
		slices.Sort(names)
		flags = append(flags, flagItem{uid, sets.number(slices.Compact(names))})
	}
	b := appendMessagePage(nil, list)
	again, err := parseMessagePage(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if !sameMessage(list[i], again[i]) {
			t.Fatalf("message %d: %+v, want %+v", i, again[i], list[i])
		}
	}
	fb := appendFlagPage(nil, flags, sets)
	got, err := parseFlagPage(fb, sets)
	if err != nil {
		t.Fatal(err)
	}
	for i := range flags {
		a, b := slices.Sorted(slices.Values(sets.sets[got[i].set])), sets.sets[flags[i].set]
		if got[i].uid != flags[i].uid || !slices.Equal(a, b) {
			t.Fatalf("flags of %d: %q, want %q", flags[i].uid, a, b)
		}
	}
	for i := range b {
		if _, err := parseMessagePage(b[:i]); err == nil {
			t.Fatalf("a message page cut to %d of %d octets was read", i, len(b))
		}
	}
	for i := range fb {
		if _, err := parseFlagPage(fb[:i], sets); err == nil {
			t.Fatalf("a flag page cut to %d of %d octets was read", i, len(fb))
		}
	}
}

func FuzzPages(f *testing.F) {
	sets := &flagSets{}
	f.Add(appendMessagePage(nil, []Message{{UID: 5, Size: 3, From: "a"}, {UID: 9}}))
	f.Add(appendFlagPage(nil, []flagItem{{3, sets.number([]string{`\Seen`})}, {4, sets.number(nil)}}, sets))
	f.Fuzz(func(t *testing.T, in []byte) {
		if list, err := parseMessagePage(in); err == nil {
			again, err := parseMessagePage(appendMessagePage(nil, list))
			if err != nil || len(again) != len(list) {
				t.Fatalf("written again it reads differently: %v", err)
			}
			for i := range list {
				if !sameMessage(list[i], again[i]) {
					t.Fatalf("message %d is %+v, and written again %+v", i, list[i], again[i])
				}
			}
		}
		sets := new(flagSets)
		if list, err := parseFlagPage(in, sets); err == nil {
			again, err := parseFlagPage(appendFlagPage(nil, list, sets), sets)
			if err != nil || len(again) != len(list) {
				t.Fatalf("written again it reads differently: %v", err)
			}
			for i := range list {
				// A page need not keep the order of names, nor one that stands there twice.
				a, b := slices.Sorted(slices.Values(sets.sets[list[i].set])), slices.Sorted(slices.Values(sets.sets[again[i].set]))
				if list[i].uid != again[i].uid || !slices.Equal(slices.Compact(a), slices.Compact(b)) {
					t.Fatalf("flags of %d: %q, and written again %q", list[i].uid, a, b)
				}
			}
		}
	})
}

// TestFoldersThatAreAlikeAreReadBack: folders saved at the same moment may have
// a page in common, which only one of them stores.
func TestFoldersThatAreAlikeAreReadBack(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, objects.NewMemory(), t.TempDir())
	vaultID, _ := repo.VaultID(DefaultVault)
	w, err := repo.Writer(t.Context(), vaultID)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range uint32(3000) {
		var folders sync.WaitGroup
		for k := range 4 {
			folders.Go(func() {
				d := w.Draft(nil)
				d.Describe(func(f *Folder) { f.Levels, f.UIDValidity = []string{fmt.Sprint(k)}, 7 })
				if err := d.Add([]Message{{UID: i + 1, Size: 1}}); err != nil {
					t.Error(err)
					return
				}
				if _, err := d.Save(t.Context()); err != nil {
					t.Error(err)
					return
				}
				for _, err := range d.Folder().Flags(t.Context()) {
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		folders.Wait()
	}
}
