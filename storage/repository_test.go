package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/storage/ledger"
	"restante/storage/objects"
)

const testPassphrase = "correct horse"

func testLock() Lock { return Lock{Passphrase: testPassphrase, WorkFactor: 1} }

// newRepository makes a repository in memory.
func newRepository(t testing.TB, store objects.Store, cacheDir string) *Repository {
	t.Helper()
	r, err := Init(t.Context(), store, testLock(), Options{CacheDir: cacheDir})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openRepository(t testing.TB, store objects.Store, o Options) *Repository {
	t.Helper()
	r, err := Open(t.Context(), store, Passphrase(testPassphrase), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// A testMail makes messages that look like mail.
func testMail(r *rand.Rand, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		var b bytes.Buffer
		fmt.Fprintf(&b, "From: sender%d@example.org\r\nSubject: message %d\r\nMessage-ID: <%d@example.org>\r\n\r\n", r.IntN(9), i, r.Uint64())
		for range r.IntN(60) {
			fmt.Fprintf(&b, "line with the words %d and %d\r\n", r.IntN(1000), r.IntN(1000))
		}
		list[i] = b.Bytes()
	}
	return list
}

// backUp commits a snapshot of an account with one folder; the messages get
// UIDs from first on, after those of the parent.
func backUp(t testing.TB, r *Repository, account string, first uint32, mail [][]byte) Snapshot {
	t.Helper()
	s, err := tryBackUp(t.Context(), r, account, first, mail)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tryBackUp tells before of the snapshot before it is committed.
func tryBackUp(ctx context.Context, r *Repository, account string, first uint32, mail [][]byte, before ...func(Snapshot)) (Snapshot, error) {
	var none Snapshot
	vaultID, err := r.VaultID(DefaultVault)
	if err != nil {
		return none, err
	}
	w, err := r.Writer(ctx, vaultID)
	if err != nil {
		return none, err
	}
	defer w.Close()
	s, err := saveNext(ctx, w, account, first, mail)
	if err != nil {
		return none, err
	}
	for _, tell := range before {
		tell(s)
	}
	return s, w.Commit(ctx, []Snapshot{s}, nil, nil)
}

// wantMail fails unless the snapshot's INBOX holds just these messages.
func wantMail(t testing.TB, r *Repository, s Snapshot, mail [][]byte) {
	t.Helper()
	if err := sameMail(t.Context(), r, s, mail); err != nil {
		t.Fatal(err)
	}
}

var errOtherMail = errors.New("it is not the one that was saved")

// sameMail is an error unless the snapshot's INBOX holds just these messages.
func sameMail(ctx context.Context, r *Repository, s Snapshot, mail [][]byte) error {
	tree, err := r.OpenSnapshot(ctx, s)
	if err != nil {
		return err
	}
	i := 0
	for m, err := range tree.Folder([]string{"INBOX"}).All(ctx) {
		if err != nil {
			return err
		}
		var got bytes.Buffer
		if err := r.WriteMessage(ctx, &got, s.Vault, m.Recipe); err != nil {
			return err
		}
		if i >= len(mail) || !bytes.Equal(got.Bytes(), mail[i]) || m.Size != int64(got.Len()) {
			return fmt.Errorf("message %d: %w", i, errOtherMail)
		}
		if !slices.Equal(m.Flags, []string{`\Seen`}) {
			return fmt.Errorf("message %d has flags %q", i, m.Flags)
		}
		i++
	}
	if i != len(mail) || s.Messages != int64(i) {
		return fmt.Errorf("%d messages, the snapshot says %d, %d were saved", i, s.Messages, len(mail))
	}
	return nil
}

func TestEverySnapshotGivesBackItsMail(t *testing.T) {
	t.Parallel()
	for _, warm := range []bool{true, false} {
		store := objects.NewMemory()
		cache := ""
		if warm {
			cache = t.TempDir()
		}
		r := newRepository(t, store, cache)
		mail := testMail(rand.New(rand.NewPCG(1, 1)), 3000)
		var snapshots []Snapshot
		var upTo []int
		for n := 0; n < len(mail); {
			more := min(len(mail)-n, 1+n)
			snapshots = append(snapshots, backUp(t, r, "alice", uint32(n+1), mail[n:n+more]))
			n += more
			upTo = append(upTo, n)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r = openRepository(t, store, Options{CacheDir: cache})
		}
		for i, s := range snapshots {
			wantMail(t, r, s, mail[:upTo[i]])
		}
	}
}

func TestAnotherMachineReadsWhatOneWrote(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	a := newRepository(t, store, t.TempDir())
	b := openRepository(t, store, Options{CacheDir: t.TempDir()})
	mail := testMail(rand.New(rand.NewPCG(1, 2)), 600)
	for n := 0; n < len(mail); n += 20 { // enough commits for indexes and a checkpoint
		backUp(t, a, "alice", uint32(n+1), mail[n:n+20])
	}
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	latest, _ := b.Latest("alice")
	wantMail(t, b, latest, mail)
	cold := openRepository(t, store, Options{})
	wantMail(t, cold, latest, mail)
	indexes, checkpoints := 0, 0
	for info := range store.List(t.Context(), "", "") {
		indexes += strings.Count(info.Name, "indexes/")
		checkpoints += strings.Count(info.Name, "checkpoints/")
	}
	if indexes == 0 || indexes > 5 || checkpoints == 0 || checkpoints > 2 {
		t.Errorf("%d indexes and %d checkpoints after 30 commits", indexes, checkpoints)
	}
	// A snapshot by b, which dedups against a's packs.
	again := backUp(t, b, "bob", 1, mail)
	wantMail(t, a, again, mail)
}

func TestTheSameMailIsStoredOnce(t *testing.T) {
	t.Parallel()
	store := objects.Counted(objects.NewMemory())
	r := newRepository(t, store, t.TempDir())
	mail := testMail(rand.New(rand.NewPCG(1, 3)), 2000)
	backUp(t, r, "alice", 1, mail)
	before := store.Snapshot()
	backUp(t, r, "bob", 1, mail)
	if n := store.Snapshot().Since(before); n.Stored > 70_000 {
		t.Errorf("the same mail once more wrote %d octets: %v", n.Stored, n)
	}
}

func TestWrongPassphraseAndNoRepositoryAreToldApart(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	if _, err := Open(t.Context(), store, Passphrase("x"), Options{}); !errors.Is(err, ErrNoRepository) {
		t.Errorf("no repository: %v", err)
	}
	cache := t.TempDir()
	newRepository(t, store, cache).Close()
	for _, dir := range []string{"", cache} {
		if _, err := Open(t.Context(), store, Passphrase("wrong"), Options{CacheDir: dir}); !errors.Is(err, ErrWrongKey) {
			t.Errorf("wrong passphrase: %v", err)
		}
	}
	if _, err := Init(t.Context(), store, testLock(), Options{}); !errors.Is(err, ErrExists) {
		t.Errorf("init a second time: %v", err)
	}
	openRepository(t, store, Options{CacheDir: cache})
}

func TestInterruptedInitCanBeRunAgain(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	if _, err := initConfig(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{}); err == nil {
		t.Error("a half-made repository was opened")
	}
	newRepository(t, store, "").Close()
	openRepository(t, store, Options{})
}

func TestOfManyInitsOneMakesTheRepository(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	results := make(chan error, 8)
	for range cap(results) {
		go func() {
			r, err := Init(context.Background(), store, testLock(), Options{})
			if err == nil {
				err = r.Close()
			}
			results <- err
		}()
	}
	won := 0
	for range cap(results) {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, ErrExists):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d made it", won, cap(results))
	}
	openRepository(t, store, Options{})
}

func TestCacheOfAnotherRepositoryAtTheSamePlaceIsGivenUp(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	newRepository(t, objects.NewMemory(), cache).Close()
	second := objects.NewMemory() // the same Location
	newRepository(t, second, "").Close()
	r := openRepository(t, second, Options{CacheDir: cache})
	mail := testMail(rand.New(rand.NewPCG(1, 4)), 20)
	wantMail(t, r, backUp(t, r, "alice", 1, mail), mail)
	r.Close()
	if _, err := Open(t.Context(), objects.NewMemory(), Passphrase(testPassphrase), Options{CacheDir: cache}); !errors.Is(err, ErrNoRepository) {
		t.Errorf("the repository is gone: %v", err)
	}
}

func TestStorePutBackToAnOlderStateIsNoticed(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	cache := t.TempDir()
	r := newRepository(t, store, cache)
	backUp(t, r, "alice", 1, testMail(rand.New(rand.NewPCG(1, 5)), 3))
	r.Close()
	if err := store.Delete(t.Context(), "ledger/000000000001"); err != nil {
		t.Fatal(err)
	}
	for _, stale := range []bool{false, true} {
		if _, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{CacheDir: cache, Stale: stale}); !errors.Is(err, ledger.ErrShorter) {
			t.Errorf("stale %v: %v", stale, err)
		}
	}
}

func TestKeySlots(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	r := newRepository(t, store, t.TempDir())
	second, err := r.AddKey(t.Context(), Lock{Passphrase: "second", Label: "office safe", WorkFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	slots, used := r.Keys()
	if len(slots) != 2 || slots[1].Label != "office safe" && slots[0].Label != "office safe" {
		t.Errorf("slots: %+v", slots)
	}
	if _, err := r.RemoveKey(t.Context(), used.String()); err == nil {
		t.Error("the slot in use was removed")
	}
	cache := t.TempDir()
	b, err := Open(t.Context(), store, Passphrase("second"), Options{CacheDir: cache})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RemoveKey(t.Context(), second.ID.String()[:6]); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", cache} { // cold, and with a copy of the slot at hand
		if _, err := Open(t.Context(), store, Passphrase("second"), Options{CacheDir: dir}); !errors.Is(err, ErrWrongKey) {
			t.Errorf("removed slot, cache %q: %v", dir, err)
		}
	}
	openRepository(t, store, Options{})
}

func TestRequestsOfSmallRuns(t *testing.T) {
	t.Parallel()
	store := objects.Counted(objects.NewMemory())
	cache := t.TempDir()
	r := newRepository(t, store, cache)
	mail := testMail(rand.New(rand.NewPCG(1, 6)), 500)
	backUp(t, r, "alice", 1, mail)
	r.Close()

	run := func(what string, most int64, cache string, more [][]byte) {
		t.Helper()
		before := store.Snapshot()
		r, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{CacheDir: cache, Stale: true})
		if err != nil {
			t.Fatal(err)
		}
		if more == nil {
			commitUnchanged(t, r, "alice")
		} else {
			backUp(t, r, "alice", uint32(len(mail)+1), more)
			mail = append(mail, more...)
		}
		r.Close()
		if n := store.Snapshot().Since(before); n.Requests > most {
			t.Errorf("%s took %d requests, at most %d are allowed: %v", what, n.Requests, most, n)
		}
	}
	run("an unchanged account, warm", 3, cache, nil)
	run("one new message, warm", 5, cache, testMail(rand.New(rand.NewPCG(2, 6)), 1))
	run("an unchanged account, warm again", 3, cache, nil)
	run("an unchanged account, cold", 15, t.TempDir(), nil)
}

// commitUnchanged commits a snapshot with the tree of its parent.
func commitUnchanged(t testing.TB, r *Repository, account string) {
	t.Helper()
	latest, _ := r.Latest(account)
	tree, err := r.OpenSnapshot(t.Context(), latest)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Writer(t.Context(), latest.Vault)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := latest
	s.ID, s.Parent = NewID(), latest.ID
	_ = tree
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
}

func stringReader(s string) *strings.Reader { return strings.NewReader(s) }

func mustZone(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func mustTime(t *testing.T, text string, zone *time.Location) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// An init that ended after its first object has made no repository yet.
func TestInitThatWasInterruptedAtOnce(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	if _, err := initConfig(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), store, Unlock{Passphrase: func() (string, error) { return "p", nil }}, Options{})
	if !errors.Is(err, ErrNoRepository) || !strings.Contains(err.Error(), "run init again") {
		t.Error(err)
	}
}

// packs lists the live packs.
func (r *Repository) packs() (list []ledger.Pack) {
	r.ledger.View(func(s *ledger.State) { list = slices.Collect(maps.Values(s.Packs)) })
	return list
}
