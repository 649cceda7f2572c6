package restore

import (
	"context"
	"fmt"
	"restante/storage"
	"restante/storage/objects"
	"slices"
	"strings"
	"testing"
	"time"
)

// A letter is a message in a test's snapshot.
type letter struct {
	octets string
	flags  []string
	at     time.Time
}

func someLetters(folder string, n int) (list []letter) {
	for i := range n {
		id := fmt.Sprintf("Message-ID: <%s.%d@x>\r\n", folder, i)
		if i%10 == 0 {
			id = "" // some have none
		}
		list = append(list, letter{fmt.Sprintf("Subject: %s %d\r\n%s\r\nbody %d\r\n", folder, i, id, i), []string{`\Seen`}, time.Unix(1_600_000_000+int64(i), 0).UTC()})
	}
	return list
}

// archive makes a repository with one snapshot.
func archive(t *testing.T, store objects.Store, folders map[string][]letter) (*storage.Repository, *storage.Tree) {
	t.Helper()
	repo, err := storage.Init(t.Context(), store, storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	vault, _ := repo.VaultID(storage.DefaultVault)
	w, err := repo.Writer(t.Context(), vault)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var saved []storage.SavedFolder
	for name, letters := range folders {
		d := w.Draft(nil)
		d.Describe(func(f *storage.Folder) {
			f.Levels, f.UIDValidity, f.Subscribed, f.SpecialUse = storage.FolderLevels(name), 1, true, []string{`\Archive`}
		})
		var list []storage.Message
		for i, l := range letters {
			s, err := w.SaveMessage(strings.NewReader(l.octets), int64(len(l.octets)))
			if err != nil {
				t.Fatal(err)
			}
			m := storage.Message{UID: uint32(i + 1), Size: int64(len(l.octets)), Recipe: s.Recipe, Flags: l.flags, InternalDate: l.at}
			if _, rest, ok := strings.Cut(l.octets, "Message-ID: "); ok {
				id, _, _ := strings.Cut(rest, "\r\n")
				m.MessageID = storage.HashMessageID(id)
			}
			list = append(list, m)
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
	s := storage.Snapshot{ID: storage.NewID(), Account: "alice"}
	if err := w.SaveTree("test", saved, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []storage.Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	tree, err := repo.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return repo, tree
}

func options() Options {
	return Options{Pause: func(ctx context.Context, _ int) error { return ctx.Err() }}
}

func restoreAll(t *testing.T, repo *storage.Repository, tree *storage.Tree, target Target, o Options) *Report {
	t.Helper()
	groups, err := new(Selection).Groups(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), repo, groups, target, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func wantLetters(t *testing.T, target *fakeTarget, place string, want []letter) {
	t.Helper()
	var got, wanted []string
	for _, m := range target.folders[place].messages {
		got = append(got, fmt.Sprint(m.octets, m.flags, m.date.Unix()))
	}
	for _, l := range want {
		wanted = append(wanted, fmt.Sprint(l.octets, l.flags, l.at.Unix()))
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.Fatalf("folder %q has %d messages, want %d, or others", place, len(got), len(wanted))
	}
}
