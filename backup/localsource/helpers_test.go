package localsource

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/backup"
	"restante/storage"
	"restante/storage/objects"
)

func newRepository(t testing.TB) *storage.Repository {
	t.Helper()
	r, err := storage.Init(t.Context(), objects.NewMemory(), storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func options(t testing.TB, repo *storage.Repository) backup.Options {
	t.Helper()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	return backup.Options{Account: "alice", Vault: vault, Pause: func(ctx context.Context, _ int) error { return ctx.Err() }}
}

// run backs up and returns what the snapshot has.
func run(t testing.TB, repo *storage.Repository, src backup.Source) (*backup.Result, view) {
	t.Helper()
	result, err := backup.Run(t.Context(), repo, src, options(t, repo))
	if err != nil {
		t.Fatal(err)
	}
	return result, viewOf(t, repo, result.Snapshot)
}

// runDir backs up a directory, each time with a new source, as from one night
// to the next.
func runDir(t testing.TB, repo *storage.Repository, kind, dir string) (*backup.Result, view) {
	t.Helper()
	src := open(t, kind, dir)
	defer src.Close()
	return run(t, repo, src)
}

func open(t testing.TB, kind, dir string) backup.Source {
	t.Helper()
	f := OpenMaildir
	if kind == "mbox" {
		f = OpenMbox
	}
	src, err := f(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// seen is a message in a snapshot.
type seen struct {
	uid    uint32
	octets string
	flags  string
	date   int64
	recipe storage.BlobID
}

type view map[string][]seen // by folder, in the order of UIDs

func viewOf(t testing.TB, repo *storage.Repository, s storage.Snapshot) view {
	t.Helper()
	tree, err := repo.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	v := view{}
	for _, f := range tree.Folders {
		v[f.Name()] = nil
		for m, err := range f.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := repo.WriteMessage(t.Context(), &b, s.Vault, m.Recipe); err != nil {
				t.Fatal(err)
			}
			date := int64(0)
			if !m.InternalDate.IsZero() {
				date = m.InternalDate.Unix()
			}
			v[f.Name()] = append(v[f.Name()], seen{m.UID, b.String(), flagText(m.Flags), date, m.Recipe})
		}
	}
	return v
}

func flagText(flags []string) string {
	return strings.Join(slices.Sorted(slices.Values(flags)), " ")
}

// octets are those of a folder's messages, in the order of UIDs.
func (v view) octets(folder string) (list []string) {
	for _, m := range v[folder] {
		list = append(list, m.octets)
	}
	return list
}

func (v view) uids(folder string) (list []uint32) {
	for _, m := range v[folder] {
		list = append(list, m.uid)
	}
	return list
}

func (v view) folders() []string { return slices.Sorted(maps.Keys(v)) }

// wantStats checks what a run read, found gone and found flagged, and that
// nothing is missing.
func wantStats(t testing.TB, r *backup.Result, added, gone, flagged int64) {
	t.Helper()
	if s := r.Snapshot.Stats; s.New != added || s.Gone != gone || s.Flagged != flagged || len(r.Missing) > 0 || r.Snapshot.Marks.Has(storage.Incomplete) {
		t.Errorf("%d new, %d gone, %d flagged, missing %v, marked %q %q; want %d new, %d gone, %d flagged",
			s.New, s.Gone, s.Flagged, r.Missing, r.Snapshot.Marks, r.Snapshot.Notes, added, gone, flagged)
	}
	if added == 0 && r.Snapshot.Stats.Read != 0 {
		t.Errorf("%d octets were read", r.Snapshot.Stats.Read)
	}
}

func wantEqual[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, short(got), short(want))
	}
}

func short[T any](list []T) string {
	text := fmt.Sprintf("%d: %q", len(list), fmt.Sprint(list))
	return text[:min(len(text), 600)]
}

// letter is a message.
func letter(n int) string {
	return fmt.Sprintf("From: a@example.org\nSubject: letter %d\nMessage-ID: <%d@example.org>\n\nThe text of letter %d.\n%s", n, n, n, strings.Repeat(fmt.Sprintf("%x\n", sha256.Sum256([]byte{byte(n), byte(n >> 8)})), n%5))
}

func letters(from, to int) (list []string) {
	for n := from; n < to; n++ {
		list = append(list, letter(n))
	}
	return list
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, name string) {
	t.Helper()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}

// age sets a file's time, so that it looks as if nobody wrote to it of late.
func age(t testing.TB, name string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
}

// An interrupted source calls do once, after a folder was opened and before
// its messages are read.
type interrupted struct {
	backup.Source
	once sync.Once
	do   func()
}

func (s *interrupted) Parallel() int { return 1 }

func (s *interrupted) Open(ctx context.Context, l backup.Listed, known backup.Known) (backup.Mailbox, error) {
	m, err := s.Source.Open(ctx, l, known)
	return &interruptedMailbox{m, s}, err
}

type interruptedMailbox struct {
	backup.Mailbox
	s *interrupted
}

func (m *interruptedMailbox) Fetch(ctx context.Context, uids []uint32, each func(*backup.Fetched) error) error {
	m.s.once.Do(m.s.do)
	return m.Mailbox.Fetch(ctx, uids, each)
}

// needsOthers skips a test that needs files that may not be read: the
// superuser reads all.
func needsOthers(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("the superuser may read everything")
	}
}

func chmod(t testing.TB, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(name, 0o700) })
}
