package storage

import (
	"fmt"
	"slices"
	"testing"

	"restante/storage/objects"
)

// A place is a message in a folder, for tests that make whole trees.
type place struct {
	uid   uint32
	text  string
	flags []string
}

// commitTree commits a snapshot with these folders; those named Trash and Junk
// have that special use.
func commitTree(t *testing.T, r *Repository, at int64, folders map[string][]place) Snapshot {
	t.Helper()
	vaultID, _ := r.VaultID(DefaultVault)
	w, err := r.Writer(t.Context(), vaultID)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var saved []SavedFolder
	for name, places := range folders {
		d := w.Draft(nil)
		d.Describe(func(f *Folder) {
			f.Levels, f.UIDValidity = FolderLevels(name), 1
			if name == "Trash" || name == "Junk" {
				f.SpecialUse = []string{`\` + name}
			}
		})
		var list []Message
		for _, p := range places {
			m, err := w.SaveMessage(stringReader(p.text), int64(len(p.text)))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, Message{UID: p.uid, Size: int64(len(p.text)), Subject: p.text, Recipe: m.Recipe, Flags: p.flags})
		}
		if err := d.Add(list); err != nil {
			t.Fatal(err)
		}
		f, err := d.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, f)
	}
	s := Snapshot{ID: NewID(), Account: "alice", Started: at, Finished: at}
	if err := w.SaveTree("test", saved, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func changes(list []Change) (out []string) {
	for _, c := range list {
		s := c.Folder + ":" + c.Message.Subject
		if c.To != "" {
			s = c.Folder + ">" + c.To + ":" + c.Message.Subject
		}
		if c.Before != nil {
			s += fmt.Sprint(c.Before, c.Message.Flags)
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func TestCompareTellsMovedFromVanished(t *testing.T) {
	t.Parallel()
	r := newRepository(t, objects.NewMemory(), t.TempDir())
	a := commitTree(t, r, 100, map[string][]place{
		"INBOX": {{1, "stays", []string{`\Seen`}}, {2, "moves", nil}, {3, "deleted", nil}, {4, "flagged", []string{`\Seen`}}, {5, "twice", nil}, {6, "twice", nil}},
		"Old":   {{1, "in old", nil}},
		"Trash": {},
	})
	b := commitTree(t, r, 200, map[string][]place{
		"INBOX": {{1, "stays", []string{`\Seen`}}, {4, "flagged", []string{`\Seen`, `\Flagged`}}, {5, "twice", nil}, {7, "new", nil}},
		"New":   {{1, "in old", nil}},
		"Trash": {{1, "moves", nil}},
	})
	from, err := r.OpenSnapshot(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	to, err := r.OpenSnapshot(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Compare(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		got  []string
		want []string
	}{
		{"added", changes(d.Added), []string{"INBOX:new"}},
		{"removed", changes(d.Removed), []string{"INBOX:deleted", "INBOX:twice"}},
		{"moved", changes(d.Moved), []string{"INBOX>Trash:moves", "Old>New:in old"}},
		{"flagged", changes(d.Flagged), []string{`INBOX:flagged[\Seen] [\Seen \Flagged]`}},
		{"folders added", d.FoldersAdded, []string{"New"}},
		{"folders removed", d.FoldersRemoved, []string{"Old"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	same, err := Compare(t.Context(), to, to)
	if err != nil || len(same.Added)+len(same.Removed)+len(same.Moved)+len(same.Flagged) > 0 {
		t.Errorf("a snapshot differs from itself: %+v %v", same, err)
	}
}

func TestVanishedIsWhatIsNowhereAnyMoreAndWhereItWasLast(t *testing.T) {
	t.Parallel()
	r := newRepository(t, objects.NewMemory(), t.TempDir())
	snapshots := []Snapshot{
		commitTree(t, r, 100, map[string][]place{"INBOX": {{1, "kept", nil}, {2, "deleted at once", []string{`\Answered`}}, {3, "to the trash", nil}, {4, "moved", nil}}, "Trash": {}}),
		commitTree(t, r, 200, map[string][]place{"INBOX": {{1, "kept", nil}, {4, "moved", nil}, {5, "came and went", []string{`\Seen`}}}, "Trash": {{1, "to the trash", []string{`\Seen`}}}}),
		commitTree(t, r, 300, map[string][]place{"INBOX": {{1, "kept", nil}, {6, "new", nil}}, "Archive": {{1, "moved", nil}}, "Trash": {}}),
	}
	list, err := r.FindVanished(t.Context(), snapshots)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range list {
		got = append(got, fmt.Sprint(v.Message.Subject, " ", v.Folder.Name(), " ", v.Origin.Name(), " ", v.Seen.Started, " ", v.Message.Flags))
	}
	slices.Sort(got)
	want := []string{`came and went INBOX INBOX 200 [\Seen]`, `deleted at once INBOX INBOX 100 [\Answered]`, `to the trash Trash INBOX 200 [\Seen]`}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if list, err := r.FindVanished(t.Context(), snapshots[2:]); err != nil || len(list) > 0 {
		t.Errorf("of one snapshot: %v %v", list, err)
	}
}

func TestPointsInTime(t *testing.T) {
	t.Parallel()
	r := newRepository(t, objects.NewMemory(), t.TempDir())
	zone := mustZone(t, "Europe/Berlin")
	at := func(s string) int64 { return mustTime(t, s, zone).Unix() }
	times := []string{"2026-11-18 02:00", "2026-11-19 02:00", "2026-11-20 02:00", "2026-11-20 23:59", "2026-11-21 00:00"}
	var snapshots []Snapshot
	for _, s := range times {
		snapshots = append(snapshots, commitTree(t, r, at(s), map[string][]place{"INBOX": {{1, s, nil}}}))
	}
	now := mustTime(t, "2026-11-22 12:00", zone)
	for text, want := range map[string]int{
		"latest": 4, "": 4, "2026-11-20": 3, "2026-11-19": 1, "2026-11-20 14:00": 2, "2026-11-20 02:00": 2, "2026-11-20 01:59": 1,
		"2026-11-20T14:00:00+01:00": 2, "2026-11-20T00:59Z": 1, "2026-11-20T01:00Z": 2, "3d": 1, "60h": 1, "36h": 4, "1d": 4, "1w": -1, "2026-11-17": -1,
		snapshots[2].ID.String(): 2, snapshots[1].ID.String()[:8]: 1, "ffff": -1,
	} {
		p, err := ParsePoint(text, now)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		s, err := r.At("alice", p)
		if p.id == "" && p.Before(snapshots[0]) != (want < 0) {
			t.Errorf("%q is before the first snapshot: %v", text, p.Before(snapshots[0]))
		}
		switch {
		case want < 0 && err == nil:
			t.Errorf("%q gave the snapshot of %s", text, s.StartedAt().In(zone))
		case want >= 0 && (err != nil || s.ID != snapshots[want].ID):
			t.Errorf("%q gave the snapshot of %s, %v; want that of %s", text, s.StartedAt().In(zone), err, times[want])
		}
	}
	for _, text := range []string{"yesterday", "2026-13-01", "12", "3x", "-3d", "abc", "2026-11-20 25:00"} {
		if p, err := ParsePoint(text, now); err == nil {
			t.Errorf("%q was read as %+v", text, p)
		}
	}
	if p, err := ParsePoint("1234567d", now); err != nil || p.id != "1234567d" {
		t.Errorf("the beginning of an id was read as %+v, %v", p, err)
	}
	if p, _ := ParsePoint("latest", now); true {
		if _, err := r.At("bob", p); err == nil {
			t.Error("an account without snapshots has one")
		}
	}
}
