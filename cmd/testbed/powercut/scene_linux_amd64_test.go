package powercut

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

func newScene(t *testing.T) *scene {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "restante-powercut-") // where an fsync takes no time
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &scene{T: t, dir: dir}
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
	for _, d := range []string{"root", "stash", "mail/cur", "mail/new", "mail/tmp", "mail/.Sent/cur", "mail/.Sent/new", "mail/.Sent/tmp"} {
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
		"RESTANTE_CACHE_DIR="+s.path("root/cache"), "RESTANTE_IDENTITY="+s.path("identity"), "TMPDIR="+s.path("root/tmp"), "XDG_STATE_HOME="+s.path("root/state"))
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

// account is how restante calls the Maildir.
func (s *scene) account() string { return "maildir:" + s.path("mail") }

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
	for _, snapshot := range r.Snapshots(s.account()) {
		text, err := contents(ctx, r, snapshot)
		if err != nil {
			return nil, err
		}
		snapshots = append(snapshots, text)
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

// A work is what a scene is about. Its files are in root as they are when it
// begins.
type work struct {
	args [][]string // commands of restante, one after another
	// done is an error where the work is not done, or something is lost.
	done func() error
	// again says that an error of the work's next run is as good as none.
	again func(error) bool
}

// shares is how many crash points of a scene are tried without RESTANTE_LONG.
const shares = 2

// everyPoint has each file operation of the work fail in each way. Whatever is
// left then, the next run does the work; whoever was told that it is done finds
// it so, even after a power cut.
func (s *scene) everyPoint(w work) {
	s.Helper()
	base := s.path("base")
	s.must(os.CopyFS(base, os.DirFS(s.path("root"))))
	work := func(p Plan) (r *Result, stderr string, err error) {
		s.must(os.RemoveAll(s.path("root")))
		s.must(os.RemoveAll(s.path("stash")))
		s.must(os.MkdirAll(s.path("stash"), 0o700))
		s.must(os.CopyFS(s.path("root"), os.DirFS(base)))
		s.must(os.MkdirAll(s.path("root/tmp"), 0o700))
		p.Below, p.Stash = []string{s.path("root")}, s.path("stash")
		all := &Result{data: map[inode]*dirty{}}
		var said bytes.Buffer
		for _, args := range w.args {
			cmd := s.command(args...)
			cmd.Stderr = &said
			r, err = Run(cmd, p)
			if r == nil {
				s.Fatal(err)
			}
			all.join(r)
			if p.At -= len(r.Operations); p.Fault == Full && all.Struck != "" {
				p.At = 0 // it stays full
			}
			if err != nil || r.Killed {
				break
			}
		}
		return all, said.String(), err
	}
	whole, stderr, err := work(Plan{At: -1, Fault: Nothing})
	if err != nil {
		s.Fatalf("%v\n%s", err, stderr)
	}
	if err := w.done(); err != nil {
		s.Fatalf("where nothing happens: %v", err)
	}
	s.must(whole.Cut(false))
	if err := w.done(); err != nil {
		s.Fatalf("a power cut at the end: %v", err)
	}
	n := len(whole.Operations)
	step, first := 1, 0
	if os.Getenv("RESTANTE_LONG") == "" {
		step = max(1, n/shares)
		first = rand.IntN(step)
	}
	points, failed := 0, 0
	for at := first; at < n; at += step {
		for i, f := range []Fault{Fail, Lost, Crawl, Full, Kill} {
			cuts := []string{"nothing is lost"}
			switch {
			case f == Kill:
				cuts = []string{"nothing is lost", "octets are lost", "octets and names are lost"}
			case step > 1 && f != Full && (at != first || i != first%3):
				continue // one of them now, and the others another time: an error is tried again for a second
			}
			for _, cut := range cuts {
				points++
				r, stderr, err := work(Plan{At: at, Fault: f})
				where := fmt.Sprintf("operation %d of %d, %s: %s; %s\n%s", at, n, r.Struck, f, cut, stderr)
				if _, isExit := errors.AsType[ExitError](err); err != nil && !isExit {
					s.Fatalf("%s: %v", where, err)
				}
				if err != nil && f == Full && (!strings.Contains(stderr, "no space left") || !strings.Contains(stderr, "hint:")) {
					s.Fatalf("%s: that is not clear", where)
				}
				told := err == nil && !r.Killed
				if cut != "nothing is lost" {
					s.must(r.Cut(cut == "octets are lost"))
				}
				if told {
					if err := w.done(); err != nil {
						s.Fatalf("%s: it said that all is well: %v", where, err)
					}
				} else {
					failed++
				}
				s.later()
				for _, args := range w.args {
					if err := s.run(args...); err != nil && (w.again == nil || !w.again(err)) {
						s.Fatalf("%s: the next run: %v", where, err)
					}
				}
				if err := w.done(); err != nil {
					s.Fatalf("%s: after the next run: %v", where, err)
				}
			}
		}
	}
	s.Logf("%d file operations, %d crash points, from %d on every %d; %d ended it", n, points, first, step, failed)
}

// later makes of now some minutes later, for lock files: of one that has no
// owner written in it, as Dovecot's have none, nobody knows before that it is of
// a program that died.
func (s *scene) later() {
	s.Helper()
	then := time.Now().Add(-5 * time.Minute)
	for name := range s.tree(s.path("root")) {
		if strings.HasSuffix(name, "subscriptions.lock") || strings.HasSuffix(name, "keywords.lock") {
			s.must(os.Chtimes(s.path("root/"+name), then, then))
		}
	}
}

// join appends what came after.
func (r *Result) join(o *Result) {
	r.Operations = append(r.Operations, o.Operations...)
	if o.Struck != "" {
		r.Struck = o.Struck
	}
	r.Killed = r.Killed || o.Killed
	r.lost = append(r.lost, o.lost...)
	for i, d := range o.data {
		r.data[i] = d
	}
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
