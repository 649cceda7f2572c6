package backup

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"restante/storage"
	"restante/storage/objects"
	"slices"
	"testing"
)

func newRepository(t *testing.T) *storage.Repository { return newRepositoryIn(t, objects.NewMemory()) }

func newRepositoryIn(t *testing.T, store objects.Store) *storage.Repository {
	t.Helper()
	r, err := storage.Init(t.Context(), store, storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func options(t *testing.T, repo *storage.Repository) Options {
	t.Helper()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Account: "alice", Vault: vault, Pause: func(ctx context.Context, _ int) error { return ctx.Err() }}
}

func run1(t *testing.T, repo *storage.Repository, s Source) *Result {
	t.Helper()
	result, err := Run(t.Context(), repo, s, options(t, repo))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A view is all that a snapshot must have kept.
type view map[string]map[string]string // folder → UIDVALIDITY and UID → flags, date and octets

func (s *fakeServer) view() view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{}
	for name, f := range s.folders {
		v[name] = map[string]string{}
		for uid, m := range f.messages {
			v[name][fmt.Sprintf("%d/%d", f.validity, uid)] = fmt.Sprintf("%q %d %s", slices.Sorted(slices.Values(m.flags)), m.date.Unix(), m.body)
		}
	}
	return v
}

func snapshotView(t *testing.T, repo *storage.Repository, s storage.Snapshot) view {
	t.Helper()
	tree, err := repo.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	v := view{}
	for _, f := range tree.Folders {
		v[f.Name()] = map[string]string{}
		for m, err := range f.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := repo.WriteMessage(t.Context(), &b, s.Vault, m.Recipe); err != nil {
				t.Fatal(err)
			}
			v[f.Name()][fmt.Sprintf("%d/%d", f.UIDValidity, m.UID)] = fmt.Sprintf("%q %d %s", slices.Sorted(slices.Values(m.Flags)), m.InternalDate.Unix(), b.String())
		}
	}
	return v
}

func wantView(t *testing.T, what string, got, want view) {
	t.Helper()
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Fatalf("%s: folders %q, want %q", what, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for name := range want {
		for place, m := range want[name] {
			if got[name][place] != m {
				t.Fatalf("%s: folder %q, %s: %.80q, want %.80q", what, name, place, got[name][place], m)
			}
		}
		if len(got[name]) != len(want[name]) {
			t.Fatalf("%s: folder %q has %d messages, want %d", what, name, len(got[name]), len(want[name]))
		}
	}
}
