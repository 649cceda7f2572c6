package backup

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"restante/storage"
	"restante/storage/objects"
)

// A hugeAccount has one folder with many generated messages.
type hugeAccount struct{ messages, flagged uint32 }

func (h *hugeAccount) Kind() string  { return "huge" }
func (h *hugeAccount) Parallel() int { return 3 }
func (h *hugeAccount) Close() error  { return nil }

func (h *hugeAccount) List(context.Context) ([]Listed, error) {
	return []Listed{{Levels: []string{"INBOX"}, Delimiter: "/", Status: h.status()}}, nil
}

func (h *hugeAccount) status() *Status {
	return &Status{UIDValidity: 1, UIDNext: h.messages + 1, HighestModSeq: uint64(h.messages) + uint64(h.flagged) + 1, Messages: h.messages}
}

func (h *hugeAccount) Open(context.Context, Listed, Known) (Mailbox, error) { return h, nil }
func (h *hugeAccount) Status() Status                                       { return *h.status() }

func (h *hugeAccount) UIDs(context.Context) ([]uint32, error) {
	uids := make([]uint32, h.messages)
	for i := range uids {
		uids[i] = uint32(i + 1)
	}
	return uids, nil
}

func (h *hugeAccount) Flags(_ context.Context, _ uint64, each func(uint32, []string)) error {
	if h.flagged > 0 {
		each(h.flagged, []string{`\Flagged`})
	}
	return nil
}

func (h *hugeAccount) Fetch(_ context.Context, uids []uint32, each func(*Fetched) error) error {
	for _, uid := range uids {
		body := fmt.Sprintf("From: sender %d <s%d@example.org>\r\nTo: somebody@example.org\r\nSubject: message number %d\r\nMessage-ID: <%x@example.org>\r\n\r\n%s\r\n",
			uid%1000, uid%1000, uid, uint64(uid)*2862933555777941757, strings.Repeat(fmt.Sprintf("%x ", uid*2654435761), 60))
		f := &Fetched{UID: uid, Flags: []string{`\Seen`}, InternalDate: time.Unix(1_500_000_000+int64(uid), 0).UTC(), Body: strings.NewReader(body), Size: int64(len(body))}
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

// resident is the most memory that the process has had, in octets.
func resident(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
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

func TestOpeningALargeFolderWithNothingAtHandTakesAHandfulOfRequests(t *testing.T) {
	t.Parallel()
	store := objects.Counted(objects.NewMemory())
	repo, err := storage.Init(t.Context(), store, storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &hugeAccount{messages: 100_000}
	for range 3 {
		if _, err := Run(t.Context(), repo, h, options(t, repo)); err != nil {
			t.Fatal(err)
		}
		h.messages += 10
	}
	repo.Close()
	before := store.Snapshot()
	if repo, err = storage.Open(t.Context(), store, storage.Passphrase("x"), storage.Options{}); err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	opened := store.Snapshot()
	tree, err := repo.OpenSnapshot(t.Context(), must1(repo.Latest("alice")))
	if err != nil {
		t.Fatal(err)
	}
	n := uint32(0)
	for _, err := range tree.Folders[0].All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 100_020 {
		t.Errorf("%d messages", n)
	}
	all, listing := store.Snapshot().Since(before), store.Snapshot().Since(opened)
	t.Logf("opening the repository and listing: %v; listing alone: %d requests", all, listing.Requests)
	if listing.Requests > 10 {
		t.Errorf("listing took %v", listing)
	}
}

// TestAMillionMessagesStayWithinMemory takes a minute or two.
func TestAMillionMessagesStayWithinMemory(t *testing.T) {
	if os.Getenv("RESTANTE_LONG") == "" {
		t.Skip("RESTANTE_LONG is not set")
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(200 << 20))
	store, err := objects.CreateDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	repo, err := storage.Init(t.Context(), store, storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	h := &hugeAccount{messages: 1_000_000}
	for _, what := range []string{"first", "nothing changed", "one flag", "one new message"} {
		switch what {
		case "one flag":
			h.flagged = 500_000
		case "one new message":
			h.messages++
		}
		began := time.Now()
		result, err := Run(t.Context(), repo, h, options(t, repo))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %v, %d octets stored, %d MiB resident at most", what, time.Since(began).Round(time.Millisecond), result.Snapshot.Stats.Stored, resident(t)>>20)
		if result.Snapshot.Messages != int64(h.messages) {
			t.Fatalf("%d messages", result.Snapshot.Messages)
		}
	}
	began := time.Now()
	tree, err := repo.OpenSnapshot(t.Context(), must1(repo.Latest("alice")))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range tree.Folders[0].All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	t.Logf("listing %d messages: %v", n, time.Since(began).Round(time.Millisecond))
	if most := resident(t); most > 256<<20 {
		t.Errorf("%d MiB were resident", most>>20)
	}
}

func must1[T any](v T, _ bool) T { return v }
