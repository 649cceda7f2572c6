package restore

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"restante/storage"
	"restante/storage/objects"
)

// generated is the n-th of many messages.
func generated(n uint32) string {
	return fmt.Sprintf("From: sender %d <s%d@example.org>\r\nSubject: message number %d\r\nMessage-ID: <%s>\r\n\r\n%s\r\n", n%1000, n%1000, n, generatedID(n), strings.Repeat(fmt.Sprintf("%x ", n*2654435761), 20))
}

func generatedID(n uint32) string {
	return fmt.Sprintf("%x@example.org", uint64(n)*2862933555777941757)
}

// A hugeTarget has one folder with as many generated messages as were added.
type hugeTarget struct {
	*fakeTarget
	there uint32
	made  bool
}

func (h *hugeTarget) Folders(context.Context) ([]Folder, error) {
	if !h.made {
		return nil, nil
	}
	return []Folder{{Place: "INBOX"}}, nil
}

func (h *hugeTarget) Create(context.Context, string, Folder) ([]string, error) {
	h.made = true
	return nil, nil
}

func (h *hugeTarget) Open(context.Context, string) (Box, error) { return hugeBox{h}, nil }

type hugeBox struct{ t *hugeTarget }

func (hugeBox) Epoch() uint32  { return 7 }
func (hugeBox) Limits() Limits { return Limits{} }
func (hugeBox) Close() error   { return nil }

func (b hugeBox) Present(_ context.Context, each func(Present) error) error {
	for n := range b.t.there {
		if err := each(Present{ID: fmt.Sprint(n + 1), Size: int64(len(generated(n))), MessageID: generatedID(n)}); err != nil {
			return err
		}
	}
	return nil
}

func (b hugeBox) Read(_ context.Context, ids []string, each func(string, int64, io.Reader) error) error {
	for _, id := range ids {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return err
		}
		octets := generated(uint32(n) - 1)
		if err := each(id, int64(len(octets)), strings.NewReader(octets)); err != nil {
			return err
		}
	}
	return nil
}

func (b hugeBox) Append(ctx context.Context, list []Outgoing, done func(int, string, error)) error {
	for i := range list {
		var octets strings.Builder
		if err := list[i].Write(ctx, &octets); err != nil {
			return err
		}
		if octets.String() != generated(b.t.there) {
			return fmt.Errorf("message %d is another one", b.t.there)
		}
		b.t.there++
		done(i, fmt.Sprint(b.t.there), nil)
	}
	return nil
}

// resident is the most memory that the process has had, in octets, since it was
// asked the last time.
func resident(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // begin anew, where that is allowed
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Skip("no VmHWM here")
	return 0
}

// TestAMillionMessagesStayWithinMemory takes some minutes.
func TestAMillionMessagesStayWithinMemory(t *testing.T) {
	if os.Getenv("RESTANTE_LONG") == "" {
		t.Skip("RESTANTE_LONG is not set")
	}
	many := uint32(1_000_000)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(200 << 20)) // as the program has it
	store, err := objects.CreateDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	repo, err := storage.Init(t.Context(), store, storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	tree := hugeArchive(t, repo, many)
	debug.FreeOSMemory()
	resident(t)
	target := &hugeTarget{fakeTarget: newTarget()}
	o := options()
	for _, c := range []struct {
		what    string
		journal string
		there   uint32 // messages that are there beforehand
	}{
		{"into an empty account", t.TempDir(), 0}, {"again, with notes on what was added", "", many}, {"again, without", t.TempDir(), many}, {"half of it", t.TempDir(), many / 2},
	} {
		if c.journal != "" {
			o.JournalDir = c.journal
		}
		target.there = c.there
		began := time.Now()
		sum := restoreAll(t, repo, tree, target, o).Totals()
		most := resident(t)
		t.Logf("%s: %v, %d MiB resident at most", c.what, time.Since(began).Round(time.Millisecond), most>>20)
		if target.there != many || sum.Appended != int64(many-c.there) {
			t.Fatalf("%s: %d appended, %d there", c.what, sum.Appended, target.there)
		}
		if most > 256<<20 {
			t.Errorf("%s: %d MiB were resident", c.what, most>>20)
		}
	}
}

// hugeArchive makes a snapshot with so many generated messages.
func hugeArchive(t *testing.T, repo *storage.Repository, many uint32) *storage.Tree {
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
	d := w.Draft(nil)
	d.Describe(func(f *storage.Folder) { f.Levels, f.UIDValidity = []string{"INBOX"}, 1 })
	for n := range many {
		octets := generated(n)
		s, err := w.SaveMessage(strings.NewReader(octets), int64(len(octets)))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Add([]storage.Message{{UID: n + 1, Size: int64(len(octets)), Recipe: s.Recipe, Flags: []string{`\Seen`},
			InternalDate: time.Unix(1_500_000_000+int64(n), 0).UTC(), MessageID: storage.HashMessageID(generatedID(n))}}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := d.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := storage.Snapshot{ID: storage.NewID(), Account: "alice"}
	if err := w.SaveTree("test", []storage.SavedFolder{f}, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []storage.Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	tree, err := repo.OpenSnapshot(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
