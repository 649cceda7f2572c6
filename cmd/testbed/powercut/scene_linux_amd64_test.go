package powercut

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"restante/storage"
	"restante/storage/objects"
)

// A scene is a run of restante of which each file operation is a crash point.
type scene struct {
	*testing.T
	dir      string // with root, which the runs change, and all else
	identity *age.X25519Identity
	second   *age.X25519Identity
	name     string // of the account, for restante
}

// built is the directory of the program; empty: nobody needed it.
var built string

var program = sync.OnceValues(func() (string, error) {
	var err error
	if built, err = os.MkdirTemp("", "restante-powercut-"); err != nil {
		return "", err
	}
	path := filepath.Join(built, "restante")
	out, err := exec.Command("go", "build", "-o", path, "restante/cmd/restante").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building restante: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// onlyLong is for scenes of which no share is tried without RESTANTE_LONG.
func onlyLong(t *testing.T) {
	t.Helper()
	if os.Getenv("RESTANTE_LONG") == "" {
		t.Skip("RESTANTE_LONG is not set")
	}
}

func newScene(t *testing.T) *scene {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "restante-powercut-") // where an fsync takes no time
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &scene{T: t, dir: dir, name: "maildir:" + filepath.Join(dir, "mail")}
	for _, which := range []struct {
		name string
		id   **age.X25519Identity
	}{{"identity", &s.identity}, {"second", &s.second}} {
		id, err := age.GenerateX25519Identity()
		s.must(err)
		*which.id = id
		s.must(os.WriteFile(filepath.Join(s.dir, which.name), []byte(id.String()+"\n"), 0o600))
	}
	s.must(os.WriteFile(filepath.Join(s.dir, "restante.toml"), nil, 0o600))
	for _, d := range []string{"root/tmp", "stash", "mail/cur", "mail/new", "mail/tmp", "mail/.Sent/cur", "mail/.Sent/new", "mail/.Sent/tmp"} {
		s.must(os.MkdirAll(filepath.Join(s.dir, d), 0o700))
	}
	s.must(os.WriteFile(filepath.Join(s.dir, "mail/.Sent/maildirfolder"), nil, 0o600))
	return s
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) path(name string) string { return filepath.Join(s.dir, name) }

// receive puts mail into the account: what the folders have in all.
func (s *scene) receive(inbox, sent int) {
	s.Helper()
	for folder, n := range map[string]int{"mail/cur": inbox, "mail/.Sent/cur": sent} {
		for i := range n {
			text := fmt.Sprintf("Subject: %s %d\r\nMessage-ID: <%s.%d@x>\r\n\r\nFrom here\r\nbody %d\r\n%s", folder, i, filepath.Base(filepath.Dir(folder)), i, i, strings.Repeat(fmt.Sprintf("line %d\r\n", i), i*i))
			name := filepath.Join(s.dir, folder, fmt.Sprintf("%d.x%d.host:2,S", 1_600_000_000+i, i))
			s.must(os.WriteFile(name, []byte(text), 0o600))
		}
	}
}

// command is a run of restante.
func (s *scene) command(args ...string) *exec.Cmd {
	s.Helper()
	path, err := program()
	s.must(err)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "RESTANTE_CONFIG="+s.path("restante.toml"), "RESTANTE_REPOSITORY="+s.path("root/repo"),
		"RESTANTE_CACHE_DIR="+s.path("root/cache"), "RESTANTE_IDENTITY="+s.path("identity"), "TMPDIR="+s.path("root/tmp"), "XDG_STATE_HOME="+s.path("root/state"),
		"XDG_CONFIG_HOME="+s.path("root/config"), "RESTANTE_ACCOUNT_PASSWORD=secret")
	return cmd
}

// run runs restante to its end.
func (s *scene) run(args ...string) error {
	s.Helper()
	out, err := s.command(args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// check proves the repository, as another machine with this identity sees it,
// and returns what its snapshots hold: the octets of each one's messages.
func (s *scene) check(id age.Identity) (snapshots []string, err error) {
	store, err := objects.OpenDir(s.path("root/repo"))
	if err != nil {
		return nil, err
	}
	defer store.Close()
	ctx := s.Context()
	r, err := storage.Open(ctx, store, storage.Unlock{Identities: []age.Identity{id}}, storage.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c, err := r.Check(ctx, storage.CheckOptions{ReadData: 1})
	if err != nil {
		return nil, err
	}
	if len(c.Findings) > 0 {
		return nil, fmt.Errorf("the repository does not check clean: %v", c.Findings)
	}
	for _, account := range r.Accounts() {
		for _, snapshot := range r.Snapshots(account) {
			text, err := contents(ctx, r, snapshot)
			if err != nil {
				return nil, err
			}
			snapshots = append(snapshots, text)
		}
	}
	slices.Sort(snapshots)
	return snapshots, nil
}

func contents(ctx context.Context, r *storage.Repository, snapshot storage.Snapshot) (string, error) {
	tree, err := r.OpenSnapshot(ctx, snapshot)
	if err != nil {
		return "", err
	}
	var list []string
	for _, f := range tree.Folders {
		for m, err := range f.All(ctx) {
			if err != nil {
				return "", err
			}
			sum := sha256.New()
			if err := r.WriteMessage(ctx, sum, snapshot.Vault, m.Recipe); err != nil {
				return "", err
			}
			list = append(list, fmt.Sprintf("%s %x %q %v", f.Name(), sum.Sum(nil), m.Flags, m.InternalDate.Unix()))
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\n"), nil
}

// tree lists the files below a directory with what they hold.
func (s *scene) tree(dir string) map[string]string {
	s.Helper()
	list := map[string]string{}
	s.must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		list[strings.TrimPrefix(path, dir+"/")] = string(b)
		return err
	}))
	return list
}

// copied makes a directory that is not there yet one like another, modes
// included, which os.CopyFS does not keep.
func (s *scene) copied(to, from string) {
	s.Helper()
	s.must(filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		path, place := filepath.Join(to, strings.TrimPrefix(path, from)), path
		if d.IsDir() {
			return os.Mkdir(path, info.Mode().Perm())
		}
		b, err := os.ReadFile(place)
		if err != nil {
			return err
		}
		return os.WriteFile(path, b, info.Mode().Perm())
	}))
}
