//go:build unix

package export

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"restante/restore"
	"restante/storage"
	"restante/storage/objects"
)

// inProcess names the variable that makes TestRestoreInAProcess do something:
// store, kind and directory, one in each line.
const inProcess = "RESTANTE_TEST_RESTORE"

// TestRestoreInAProcess is the process that the tests below kill.
func TestRestoreInAProcess(t *testing.T) {
	what := os.Getenv(inProcess)
	if what == "" {
		t.Skip("it is for other tests")
	}
	parts := strings.Split(what, "\n")
	store, err := objects.OpenDir(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	repo, err := storage.Open(t.Context(), store, storage.Passphrase("x"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	latest, _ := repo.Latest("alice")
	restoreTo(t, repo, openTree(t, repo, latest), parts[1], parts[2])
}

func TestKilledRestoreLosesNothingAndAddsNothingTwice(t *testing.T) {
	kills := 30
	if testing.Short() {
		kills = 3
	}
	storeDir := t.TempDir()
	store, err := objects.OpenDir(storeDir)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := storage.Init(t.Context(), store, storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	big := letter{"Subject: big\r\n\r\n" + strings.Repeat("a line\r\n", 300_000), []string{`\Seen`}, time.Unix(1_600_000_000, 0)}
	inbox := append(someLetters("INBOX", 400), someLetters("INBOX", 50)...)
	inbox = append(inbox, big, letter{big.octets + "x", nil, big.at}, letter{"Subject: same but for its line ends\n\n", nil, big.at}, letter{"Subject: same but for its line ends\r\n\r\n", nil, big.at})
	sent := someLetters("Sent", 200)
	for i := range sent {
		sent[i].flags = append(sent[i].flags, "urgent", fmt.Sprintf("k%d", i%20))
	}
	tree := archive(t, repo, folder{levels: []string{"INBOX"}, letters: inbox, subscribed: true}, folder{levels: []string{"Sent"}, letters: sent, subscribed: true},
		folder{levels: []string{"Lists", "go"}, letters: someLetters("go", 100)})

	for _, kind := range []string{"maildir", "mbox"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			keep := system
			if kind == "maildir" {
				keep = nil
			}
			want := viewOf(t, repo, tree, keep)
			start := func(dir string) (*exec.Cmd, <-chan error) {
				cmd := exec.Command(os.Args[0], "-test.run=^TestRestoreInAProcess$")
				cmd.Env = append(os.Environ(), inProcess+"="+storeDir+"\n"+kind+"\n"+dir, "TMPDIR="+t.TempDir())
				var said bytes.Buffer
				cmd.Stdout = &said
				ended := make(chan error, 1)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				go func() {
					if err := cmd.Wait(); err != nil {
						ended <- fmt.Errorf("%w: %s", err, said.String())
					}
					close(ended)
				}()
				return cmd, ended
			}
			check := func(dir string) {
				wantView(t, "in the end", viewOf(t, repo, back(t, repo, kind+dir, kind, dir), keep), want)
			}
			begun := time.Now()
			dir := filepath.Join(t.TempDir(), "export")
			_, ended := start(dir)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			whole := time.Since(begun)
			check(dir)

			dir = filepath.Join(t.TempDir(), "export")
			wholes, partial := 0, 0
			for killed := 0; killed < kills; {
				begun := time.Now()
				cmd, ended := start(dir)
				select {
				case err := <-ended:
					if err != nil {
						t.Fatalf("after %d kills: %v", killed, err)
					}
					// The first one may have been on a busy machine: then hardly any
					// would be killed.
					whole = min(whole, time.Since(begun))
					check(dir)
					dir = filepath.Join(t.TempDir(), "export")
					wholes++
				case <-time.After(rand.N(whole)):
					cmd.Process.Kill()
					if err := <-ended; err != nil {
						killed++
					}
					if len(existing(dir)) > 0 {
						partial++
					}
					passTime(t, dir)
				}
			}
			_, ended = start(dir)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			check(dir)
			sum := restoreTo(t, repo, tree, kind, dir).Totals()
			if sum.Appended != 0 || sum.Missing != 0 {
				t.Errorf("run again, %d were added", sum.Appended)
			}
			t.Logf("%d kills, %d of them left something; %d restores came to their end in between; one takes %v", kills, partial, wholes, whole)
		})
	}
}

// passTime makes the locks that a killed restore left on a Maildir's small
// files two minutes old: then they are taken for what they are.
func passTime(t *testing.T, dir string) {
	for _, pattern := range []string{"/*.lock", "/.*/*.lock"} {
		locks, err := filepath.Glob(dir + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, lock := range locks {
			if strings.HasSuffix(lock, "keywords.lock") || strings.HasSuffix(lock, "subscriptions.lock") {
				before := time.Now().Add(-3 * time.Minute)
				if err := os.Chtimes(lock, before, before); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// existing lists what is in a directory that need not be there.
func existing(dir string) []os.DirEntry {
	list, _ := os.ReadDir(dir)
	return list
}

// A crash after some messages were written and before they were synced leaves
// a file with more in it than the next run takes for good.
func TestMboxThatWasCutBackIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	tree := archive(t, repo, folder{levels: []string{"a", "b"}, letters: someLetters("x", 200)})
	want := viewOf(t, repo, tree, nil)
	for _, missing := range []int{0, 1, 30} { // octets of the last message
		dir, crashed := t.TempDir(), t.TempDir()
		// The files as they are after a hundred messages, in the midst of a batch.
		to := &stopping{Target: target(t, "mbox", dir), after: 100, do: func() {
			if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
				t.Error(err)
			}
		}}
		groups, err := new(restore.Selection).Groups(t.Context(), tree)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := restore.Run(t.Context(), repo, groups, to, restore.Options{Pause: pause}); err != nil {
			t.Fatal(err)
		}
		os.Remove(crashed + "/a.sbd/b.lock")
		text := read(t, crashed+"/a.sbd/b")
		write(t, crashed+"/a.sbd/b", text[:len(text)-missing])
		if n := strings.Count(text, "\nSubject: "); n != 100 {
			t.Fatalf("there are %d messages", n)
		}
		restoreTo(t, repo, tree, "mbox", crashed)
		wantView(t, "after a crash", viewOf(t, repo, back(t, repo, crashed, "mbox", crashed), nil), want)
	}
}

// A stopping target does something after so many messages were written.
type stopping struct {
	restore.Target
	after int
	do    func()
}

func (s *stopping) Open(ctx context.Context, place string) (restore.Box, error) {
	b, err := s.Target.Open(ctx, place)
	return &stoppingBox{b.(*mboxBox), s}, err
}

type stoppingBox struct {
	*mboxBox
	s *stopping
}

func (b *stoppingBox) Append(ctx context.Context, list []restore.Outgoing, done func(int, string, error)) error {
	for i := range list {
		write := list[i].Write
		list[i].Write = func(ctx context.Context, w io.Writer) error {
			if b.s.after--; b.s.after == -1 {
				b.s.do()
			}
			return write(ctx, w)
		}
	}
	return b.mboxBox.Append(ctx, list, done)
}
