package storage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/ledger"
	"restante/storage/messages"
	"restante/storage/objects"
)

// A specimen is a small repository with some of everything, for tests that
// damage copies of it: three accounts in two vaults, packs with and without an
// index, checkpoints, several key slots, and in the ledger one entry of each
// kind. Nothing changes it once it is made.
type specimen struct {
	objects map[string][]byte
	names   []string          // of the objects, in order
	older   map[string][]byte // objects that were there once and are not any more
	cache   map[string][]byte // files in the cache of the machine that made it
	mail    []savedMail
	packs   map[string]pack.Directory // by the pack's name
	vaults  map[string]ID             // by the pack's name
	slot    string                    // the name of the key slot that opens it
}

// savedMail is a snapshot, what it must give back, and where that is.
type savedMail struct {
	snapshot Snapshot
	folders  map[string][]savedMessage
	tree     map[segmentKey]bool // what its list is read from
}

type savedMessage struct {
	uid    uint32
	octets []byte
	flags  string
	parts  map[segmentKey]bool // what it is put together from
}

const secondVault = "apart"

// theSpecimen makes the specimen once for all tests.
var theSpecimen = sync.OnceValues(func() (*specimen, error) { return makeSpecimen(context.Background()) })

func makeSpecimen(ctx context.Context) (*specimen, error) {
	cache, err := os.MkdirTemp("", "restante-specimen-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	store := objects.NewMemory()
	r, err := Init(ctx, store, testLock(), Options{CacheDir: cache})
	if err != nil {
		return nil, err
	}
	sp := &specimen{objects: map[string][]byte{}, older: map[string][]byte{}, cache: map[string][]byte{}, packs: map[string]pack.Directory{}, vaults: map[string]ID{},
		slot: keysPrefix + r.slot.String()}
	add := func(b ledger.Body) {
		if err == nil {
			err = r.ledger.Append(ctx, func(*ledger.State) (ledger.Body, error) { return b, nil })
		}
	}
	remember := func(prefix string) {
		for info, listErr := range store.List(ctx, prefix, "") {
			b, getErr := store.Get(ctx, info.Name, 0, -1)
			if listErr == nil && getErr == nil {
				sp.older[info.Name] = b
			}
		}
	}

	second, vaultErr := r.makeVault(ctx, secondVault)
	if vaultErr != nil {
		return nil, vaultErr
	}
	add(&second)
	if _, err := r.AddKey(ctx, Lock{Passphrase: "the other one", Label: "safe", WorkFactor: 1}); err != nil {
		return nil, err
	}
	if _, err := r.AddKey(ctx, Lock{Recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}); err != nil {
		return nil, err
	}
	gone, err := r.AddKey(ctx, Lock{Passphrase: "removed", WorkFactor: 1})
	if err != nil {
		return nil, err
	}
	remember(keysPrefix)
	if _, err := r.RemoveKey(ctx, gone.ID.String()); err != nil {
		return nil, err
	}

	random := rand.New(rand.NewPCG(77, 1))
	defaultVault, err := r.VaultID(DefaultVault)
	if err != nil {
		return nil, err
	}
	vaultOf := map[string]ID{"alice": defaultVault, "bob": defaultVault, "carol": second.ID}
	last := map[string]savedMail{}
	for round := range 10 {
		for _, account := range []string{"alice", "bob", "carol"} {
			partial := account == "bob" && round%4 == 2
			s, saveErr := saveSpecimenMail(ctx, r, vaultOf[account], account, last[account], random, partial)
			if saveErr != nil {
				return nil, saveErr
			}
			last[account] = s
			if !partial {
				sp.mail = append(sp.mail, s)
			}
		}
		remember("checkpoints/")
		remember("indexes/")
	}
	forgotten := sp.mail[4]
	sp.mail = slices.Delete(sp.mail, 4, 5)
	if err := r.Forget(ctx, []ID{forgotten.snapshot.ID}, "specimen"); err != nil {
		return nil, err
	}
	add(&ledger.Hold{ID: ID{1}, Account: "alice", Reason: "a hold"})
	add(&ledger.Release{ID: ID{1}})
	add(&ledger.Condemn{Condemned: []ledger.Condemned{{Pack: newName()}}})
	if err != nil {
		return nil, err
	}
	if err := sp.survey(ctx, r); err != nil {
		return nil, err
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	for info, err := range store.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		if sp.objects[info.Name], err = store.Get(ctx, info.Name, 0, -1); err != nil {
			return nil, err
		}
		sp.names = append(sp.names, info.Name)
		delete(sp.older, info.Name)
	}
	return sp, fs.WalkDir(os.DirFS(cache), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			sp.cache[path], err = os.ReadFile(filepath.Join(cache, path))
		}
		return err
	})
}

// saveSpecimenMail commits the account's next snapshot: some more messages in
// two folders, some flags changed, one message gone.
func saveSpecimenMail(ctx context.Context, r *Repository, vaultID ID, account string, parent savedMail, random *rand.Rand, partial bool) (savedMail, error) {
	next := savedMail{folders: map[string][]savedMessage{}, snapshot: Snapshot{ID: NewID(), Account: account, Parent: parent.snapshot.ID,
		Started: cmp.Or(parent.snapshot.Started, time.Now().Unix()-12*3600) + 3600}}
	w, err := r.Writer(ctx, vaultID)
	if err != nil {
		return next, err
	}
	defer w.Close()
	var superseded []ID
	if partial {
		next.snapshot.Marks = Partial
	}
	if parent.snapshot.Marks.Has(Partial) {
		superseded = []ID{parent.snapshot.ID}
		next.snapshot.Parent = ID{}
	}
	var tree *Tree
	if !parent.snapshot.ID.IsZero() {
		if tree, err = r.OpenSnapshot(ctx, parent.snapshot); err != nil {
			return next, err
		}
	}
	var saved []SavedFolder
	for _, name := range []string{"INBOX", "Sent"} {
		var before *Folder
		if tree != nil {
			before = tree.Folder([]string{name})
		}
		list := slices.Clone(parent.folders[name])
		d := w.Draft(before)
		d.Describe(func(f *Folder) { f.Levels, f.UIDValidity = []string{name}, 9 })
		if len(list) > 4 {
			d.Remove([]uint32{list[2].uid})
			list = slices.Delete(list, 2, 3)
			list[1].flags = `\Flagged`
			d.SetFlags(list[1].uid, []string{list[1].flags})
		}
		var fresh []Message
		for range 2 + random.IntN(2) {
			m := savedMessage{uid: 1, octets: specimenMessage(random), flags: `\Seen`}
			if len(list) > 0 {
				m.uid = list[len(list)-1].uid + 1
			}
			s, err := w.SaveMessage(bytes.NewReader(m.octets), int64(len(m.octets)))
			if err != nil {
				return next, err
			}
			fresh = append(fresh, Message{UID: m.uid, Size: int64(len(m.octets)), Recipe: s.Recipe, Flags: []string{m.flags}})
			list = append(list, m)
		}
		if err := d.Add(fresh); err != nil {
			return next, err
		}
		f, err := d.Save(ctx)
		if err != nil {
			return next, err
		}
		saved = append(saved, f)
		next.folders[name] = list
	}
	if err := w.SaveTree("test", saved, &next.snapshot); err != nil {
		return next, err
	}
	return next, w.Commit(ctx, []Snapshot{next.snapshot}, superseded, nil)
}

// specimenMessage makes a message, some of them with an attachment.
func specimenMessage(r *rand.Rand) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: someone@example.org\r\nSubject: number %d\r\n", r.IntN(1000))
	if r.IntN(3) > 0 {
		fmt.Fprintf(&b, "\r\n%s", strings.Repeat(fmt.Sprintf("some words and %d\r\n", r.IntN(50)), 20))
		return b.Bytes()
	}
	attachment := make([]byte, 300+r.IntN(900))
	for i := range attachment {
		attachment[i] = byte(r.Uint32())
	}
	b.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for line := range slices.Chunk(attachment, 57) {
		b.WriteString(base64.StdEncoding.EncodeToString(line) + "\r\n")
	}
	b.WriteString("--b--\r\n")
	return b.Bytes()
}

// survey notes where everything is.
func (sp *specimen) survey(ctx context.Context, r *Repository) error {
	for _, p := range r.packs() {
		v, err := r.vault(ctx, p.Vault)
		if err != nil {
			return err
		}
		if sp.packs[packName(p.ID)], err = v.readDirectory(ctx, p); err != nil {
			return err
		}
		sp.vaults[packName(p.ID)] = p.Vault
	}
	for i := range sp.mail {
		s := &sp.mail[i]
		s.tree = map[segmentKey]bool{}
		v, err := r.vault(ctx, s.snapshot.Vault)
		if err != nil {
			return err
		}
		at := func(set map[segmentKey]bool, id BlobID) index.Location {
			l, found, lookupErr := v.locate(ctx, id)
			if lookupErr != nil || !found {
				err = fmt.Errorf("blob %x: %v %v", id, found, lookupErr)
			}
			set[segmentKey{l.Pack, l.Offset}] = true
			return l
		}
		at(s.tree, s.snapshot.Root)
		tree, openErr := r.OpenSnapshot(ctx, s.snapshot)
		if openErr != nil {
			return openErr
		}
		for _, f := range tree.Folders {
			at(s.tree, f.id)
			for _, p := range slices.Concat(f.MailList.refs, f.FlagList.refs) {
				at(s.tree, p.ID)
			}
			n := 0
			for m, allErr := range f.All(ctx) {
				if allErr != nil {
					return allErr
				}
				want := &s.folders[f.Name()][n]
				n++
				want.parts = map[segmentKey]bool{}
				at(want.parts, m.Recipe)
				recipe, loadErr := v.load(ctx, m.Recipe, recipeDomain)
				if loadErr != nil {
					return loadErr
				}
				refs, refErr := messages.References(recipe)
				if refErr != nil {
					return refErr
				}
				for _, ref := range refs {
					at(want.parts, ref.ID)
				}
			}
			if f.MailList.lists || n != len(s.folders[f.Name()]) {
				return fmt.Errorf("folder %s has %d messages", f.Name(), n)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copy puts the specimen's objects into a store of their own.
func (sp *specimen) copy(t testing.TB) *objects.Memory {
	t.Helper()
	store := objects.NewMemory()
	for name, b := range sp.objects {
		if err := store.Put(context.Background(), name, b); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// copyCache makes a copy of the cache.
func (sp *specimen) copyCache(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range sp.cache {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustSpecimen(t testing.TB) *specimen {
	t.Helper()
	sp, err := theSpecimen()
	if err != nil {
		t.Fatal(err)
	}
	return sp
}
