package export

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/backup"
	"restante/backup/localsource"
	"restante/restore"
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

func pause(ctx context.Context, _ int) error { return ctx.Err() }

// back backs a directory up and returns the snapshot.
func back(t testing.TB, repo *storage.Repository, account, kind, dir string) *storage.Tree {
	t.Helper()
	f := localsource.OpenMaildir
	if kind == "mbox" {
		f = localsource.OpenMbox
	}
	src, err := f(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	result, err := backup.Run(t.Context(), repo, src, backup.Options{Account: account, Vault: vault, Pause: pause})
	if err != nil {
		t.Fatal(err)
	}
	if result.Snapshot.Marks.Has(storage.Incomplete) || len(result.Missing) > 0 {
		t.Fatalf("missing %v, notes %q", result.Missing, result.Snapshot.Notes)
	}
	return openTree(t, repo, result.Snapshot)
}

func openTree(t testing.TB, repo *storage.Repository, s storage.Snapshot) *storage.Tree {
	t.Helper()
	tree, err := repo.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func target(t testing.TB, kind, dir string) restore.Target {
	t.Helper()
	f := OpenMaildir
	if kind == "mbox" {
		f = OpenMbox
	}
	target, err := f(dir)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// restoreTo restores a snapshot.
func restoreTo(t testing.TB, repo *storage.Repository, tree *storage.Tree, kind, dir string) *restore.Report {
	t.Helper()
	report, err := tryRestore(t, repo, tree, kind, dir, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func tryRestore(t testing.TB, repo *storage.Repository, tree *storage.Tree, kind, dir string, o restore.Options) (*restore.Report, error) {
	t.Helper()
	to := target(t, kind, dir)
	defer to.Close()
	groups, err := new(restore.Selection).Groups(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	o.Pause = pause
	return restore.Run(t.Context(), repo, groups, to, o)
}

// A letter is a message.
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
		list = append(list, letter{fmt.Sprintf("Subject: %s %d\r\n%s\r\nbody %d\r\n", folder, i, id, i), [][]string{nil, {`\Seen`}, {`\Seen`, `\Answered`}}[i%3], time.Unix(1_600_000_000+int64(i), 0).UTC()})
	}
	return list
}

type folder struct {
	levels     []string
	subscribed bool
	use        []string
	letters    []letter
}

// archive makes a snapshot of folders.
func archive(t testing.TB, repo *storage.Repository, folders ...folder) *storage.Tree {
	t.Helper()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	w, err := repo.Writer(t.Context(), vault)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var saved []storage.SavedFolder
	for _, f := range folders {
		d := w.Draft(nil)
		d.Describe(func(r *storage.Folder) {
			r.Levels, r.UIDValidity, r.Subscribed, r.SpecialUse = f.levels, 1, f.subscribed, f.use
		})
		var list []storage.Message
		for i, l := range f.letters {
			s, err := w.SaveMessage(strings.NewReader(l.octets), int64(len(l.octets)))
			if err != nil {
				t.Fatal(err)
			}
			p, err := present("", 0, strings.NewReader(l.octets))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, storage.Message{UID: uint32(i + 1), Size: int64(len(l.octets)), Recipe: s.Recipe, Flags: l.flags, InternalDate: l.at, MessageID: storage.HashMessageID(p.MessageID)})
		}
		if err := d.Add(list); err != nil {
			t.Fatal(err)
		}
		one, err := d.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, one)
	}
	s := storage.Snapshot{ID: storage.NewID(), Account: "alice"}
	if err := w.SaveTree("imap", saved, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []storage.Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	return openTree(t, repo, s)
}

// A view is what must come back: by folder, the messages' octets, flags and
// dates, sorted.
type view map[string][]string

func viewOf(t testing.TB, repo *storage.Repository, tree *storage.Tree, keep func(flag string) bool) view {
	t.Helper()
	v := view{}
	for _, f := range tree.Folders {
		v[f.Name()] = nil
		for m, err := range f.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := repo.WriteMessage(t.Context(), &b, tree.Snapshot.Vault, m.Recipe); err != nil {
				t.Fatal(err)
			}
			v[f.Name()] = append(v[f.Name()], describe(letter{b.String(), m.Flags, m.InternalDate}, keep))
		}
		slices.Sort(v[f.Name()])
	}
	return v
}

func describe(l letter, keep func(string) bool) string {
	flags := slices.Sorted(slices.Values(l.flags))
	if keep != nil {
		flags = slices.DeleteFunc(flags, func(f string) bool { return !keep(f) })
	}
	date := "no date"
	if !l.at.IsZero() {
		date = l.at.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%q %s %q", flags, date, l.octets)
}

// system tells the flags that an mbox keeps.
func system(flag string) bool { return strings.HasPrefix(flag, `\`) || flag == "$Forwarded" }

func wantView(t testing.TB, what string, got, want view) {
	t.Helper()
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		t.Fatalf("%s: folders %q, want %q", what, g, w)
	}
	for name := range want {
		if slices.Equal(got[name], want[name]) {
			continue
		}
		for i := range want[name] {
			if i >= len(got[name]) || got[name][i] != want[name][i] {
				t.Fatalf("%s: folder %q has %d messages, want %d; the first that differs: %.300s, want %.300s", what, name, len(got[name]), len(want[name]), append(got[name], "none")[min(i, len(got[name]))], want[name][i])
			}
		}
		t.Fatalf("%s: folder %q has %d messages, want %d", what, name, len(got[name]), len(want[name]))
	}
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

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func maildir(t testing.TB, dir string) string {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// files lists the files below a directory.
func files(t testing.TB, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
