package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"restante/storage/objects"
)

// TestRepairSavesWhatWasNotHit damages each object in every way, and repairs:
// a plan changes nothing; a repair removes and changes no object; what was not
// hit comes back from every snapshot that can be read and from the newest of
// each account; a backup that brings the lost mail again makes older snapshots
// whole; giving up makes the repository clean, so that it can be pruned.
func TestRepairSavesWhatWasNotHit(t *testing.T) {
	t.Parallel()
	sp := mustSpecimen(t)
	var tried atomic.Int64
	t.Cleanup(func() { t.Logf("%d damages to %d objects", tried.Load(), len(sp.names)) })
	for i, name := range sp.names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(i), 3))
			list := sp.damages(name, r, 2)
			r.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
			if os.Getenv("RESTANTE_LONG") == "" {
				list = list[:min(len(list), 1)]
			}
			tried.Add(int64(len(list)))
			for k, d := range list {
				sp.tryRepair(t, d, (i+k)%2 == 0)
			}
		})
	}
}

func (sp *specimen) tryRepair(t *testing.T, d damage, warm bool) {
	t.Helper()
	what := d.String()
	o := Options{CacheDir: t.TempDir()}
	if warm {
		what += ", warm"
		o.CacheDir = sp.copyCache(t)
	}
	store := sp.damaged(t, d)
	o.Damaged = true
	r, err := Open(t.Context(), store, Passphrase(testPassphrase), o)
	if err != nil {
		if kind(d.name) == "ledger" && !strings.HasPrefix(d.name, "ledger/000000000000") {
			t.Errorf("%s: it cannot be opened to be repaired: %v", what, err)
		}
		return // what may be refused is another test's matter
	}
	if sp.lastEntryGone(d) && !warm {
		r.Close()
		return // nobody can know that there was another
	}
	defer func() { r.Close() }()
	before := allObjects(t, store)
	plan, err := r.Repair(t.Context(), RepairOptions{DryRun: true})
	if err != nil {
		t.Errorf("%s: plan: %v", what, err)
		return
	}
	if after := allObjects(t, store); !sameObjects(before, after) {
		t.Fatalf("%s: a plan changed the store", what)
	}
	done, err := r.Repair(t.Context(), RepairOptions{})
	if err != nil {
		t.Errorf("%s: repair: %v", what, err)
		return
	}
	if got, want := fmt.Sprint(done.Entries, done.Skipped, done.Adopted, len(done.Found), done.Packs, done.Indexes, done.Put, done.Losses, len(done.Snapshots), done.ByHand), fmt.Sprint(plan.Entries, plan.Skipped, plan.Adopted, len(plan.Found), plan.Packs, plan.Indexes, plan.Put, plan.Losses, len(plan.Snapshots), plan.ByHand); got != want {
		t.Errorf("%s: the plan was\n%s\nand was done\n%s", what, want, got)
	}
	after := allObjects(t, store)
	for name, b := range before {
		if got, there := after[name]; (!there || !bytes.Equal(got, b)) && kind(name) != "checkpoints" {
			t.Errorf("%s: the repair changed %s", what, name)
		}
	}
	sp.wantReadable(t, what, d, r)
	switch kind(d.name) {
	case "ledger":
		sp.wantLedger(t, what, d, r, done)
		return
	case "packs", "indexes":
	default:
		return
	}
	if len(done.Snapshots) == 0 { // nothing was lost
		sp.wantClean(t, what, r)
		return
	}
	if err := sp.bringAgain(t, r); err != nil {
		t.Errorf("%s: backup after the repair: %v", what, err)
		return
	}
	healed := sp.opened(t, store)
	if err := sp.everything(t, healed); err != nil {
		t.Errorf("%s: the backup brought all again, and yet: %v", what, err)
	}
	healed.Close()
	if _, err := r.Repair(t.Context(), RepairOptions{GiveUp: true}); err != nil {
		t.Errorf("%s: giving up: %v", what, err)
		return
	}
	sp.wantClean(t, what+", given up", r)
	if _, err := r.Prune(t.Context(), PruneOptions{AllowMuch: true}); err != nil {
		t.Errorf("%s: prune in the end: %v", what, err)
	}
	sp.wantReadable(t, what+", pruned", d, r)
	sp.wantClean(t, what+", pruned", r)
}

// wantLedger wants the ledger to be whole again: cold readers read it to its
// end, a check is clean, and a prune does its work.
func (sp *specimen) wantLedger(t *testing.T, what string, d damage, r *Repository, done *Repaired) {
	t.Helper()
	if len(done.Snapshots) > 0 { // the lost entry had forgotten them, or condemned what they need
		if _, err := r.Repair(t.Context(), RepairOptions{GiveUp: true}); err != nil {
			t.Errorf("%s: giving up: %v", what, err)
			return
		}
	}
	cold := sp.opened(t, r.store)
	defer cold.Close()
	if len(done.ByHand) == 0 {
		sp.wantClean(t, what, cold)
	}
	if _, err := cold.Prune(t.Context(), PruneOptions{AllowMuch: true}); err != nil {
		t.Errorf("%s: prune: %v", what, err)
	}
	sp.wantReadable(t, what+", pruned", d, cold)
	all := map[ID]bool{}
	for _, account := range cold.Accounts() {
		for _, s := range cold.Snapshots(account) {
			all[s.Root] = true
		}
	}
	for _, s := range sp.mail {
		if !all[s.snapshot.Root] {
			t.Errorf("%s: nothing is left of snapshot %s of %s", what, s.snapshot.ID.Short(), s.snapshot.Account)
		}
	}
}

// wantClean wants a check of all data to find nothing.
func (sp *specimen) wantClean(t *testing.T, what string, r *Repository) {
	t.Helper()
	checked, err := r.Check(t.Context(), CheckOptions{ReadData: 1})
	if err != nil {
		t.Errorf("%s: check: %v", what, err)
		return
	}
	for _, f := range checked.Findings {
		t.Errorf("%s: it is not clean: %v", what, f)
	}
}

// wantReadable reads the newest snapshot of every account: every message of
// the specimen's that was not hit is there with its octets and flags.
func (sp *specimen) wantReadable(t *testing.T, what string, d damage, r *Repository) {
	t.Helper()
	newest := map[string]savedMail{}
	for _, s := range sp.mail {
		newest[s.snapshot.Account] = s
	}
	for account, s := range newest {
		if _, hit := d.objects[vaultName(s.snapshot.Vault)]; hit {
			continue
		}
		latest, ok := r.Latest(account)
		if _, err := r.At(account, Point{id: s.snapshot.ID.String()}); err != nil && kind(d.name) == "ledger" {
			// The entry was lost that said whose snapshot it is.
			for _, found := range r.Snapshots(FoundAccount) {
				if found.Root == s.snapshot.Root {
					latest, ok = found, true
				}
			}
		}
		if !ok {
			t.Errorf("%s: %s has no snapshot left", what, account)
			continue
		}
		tree, err := r.OpenSnapshot(t.Context(), latest)
		if err != nil {
			t.Errorf("%s: the newest snapshot of %s: %v", what, account, err)
			continue
		}
		listHit := sp.hits(d, s, s.tree)
		for name, want := range s.folders {
			f := tree.Folder([]string{name})
			if f == nil {
				if !listHit {
					t.Errorf("%s: folder %s of %s is gone", what, name, account)
				}
				continue
			}
			got := map[uint32]Message{}
			for m, err := range f.All(t.Context()) {
				if err != nil {
					t.Errorf("%s: folder %s of %s: %v", what, name, account, err)
				}
				got[m.UID] = m
			}
			for _, w := range want {
				m, there := got[w.uid]
				if !there {
					if !listHit && !sp.hits(d, s, w.parts) {
						t.Errorf("%s: message %d in %s of %s, which was not hit, is gone", what, w.uid, name, account)
					}
					continue
				}
				var b bytes.Buffer
				if err := r.WriteMessage(t.Context(), &b, latest.Vault, m.Recipe); err != nil || !bytes.Equal(b.Bytes(), w.octets) {
					t.Errorf("%s: message %d in %s of %s is not as it was saved: %v", what, w.uid, name, account, err)
				}
				if flags := strings.Join(m.Flags, " "); flags != w.flags && !(listHit && flags == "") {
					t.Errorf("%s: message %d in %s of %s has the flags %q, not %q", what, w.uid, name, account, flags, w.flags)
				}
			}
		}
	}
}

// bringAgain backs up all mail that the specimen's snapshots have, as a source
// would bring it that still has everything.
func (sp *specimen) bringAgain(t *testing.T, r *Repository) error {
	for _, s := range sp.mail { // older ones have mail that the newest lacks
		w, err := r.Writer(t.Context(), s.snapshot.Vault)
		if err != nil {
			return err
		}
		defer w.Close()
		snap := Snapshot{ID: NewID(), Account: "again", Started: 1}
		if err := saveAgain(t.Context(), w, s, &snap); err != nil {
			return err
		}
		if err := w.Commit(t.Context(), []Snapshot{snap}, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// saveAgain saves the messages of a snapshot, and its folders as they were.
func saveAgain(ctx context.Context, w *Writer, s savedMail, snap *Snapshot) error {
	var folders []SavedFolder
	for name, list := range s.folders {
		d := w.Draft(nil)
		d.Describe(func(f *Folder) { f.Levels = []string{name} })
		var saved []Message
		for _, m := range list {
			result, err := w.SaveMessage(bytes.NewReader(m.octets), int64(len(m.octets)))
			if err != nil {
				return err
			}
			saved = append(saved, Message{UID: m.uid, Size: int64(len(m.octets)), Recipe: result.Recipe})
		}
		if err := d.Add(saved); err != nil {
			return err
		}
		f, err := d.Save(ctx)
		if err != nil {
			return err
		}
		folders = append(folders, f)
	}
	return w.SaveTree("imap", folders, snap)
}

// everything wants each message of the specimen's snapshots whose list can be
// read to be put together again.
func (sp *specimen) everything(t *testing.T, r *Repository) error {
	for _, s := range sp.mail {
		tree, err := r.OpenSnapshot(t.Context(), s.snapshot)
		if errors.Is(err, ErrMissing) || errors.Is(err, ErrDamaged) {
			continue // lists come from no source again
		}
		if err != nil {
			return err
		}
		for name, want := range s.folders {
			f := tree.Folder([]string{name})
			if f == nil {
				return fmt.Errorf("snapshot %s: folder %s is gone", s.snapshot.ID.Short(), name)
			}
			i := 0
			for m, err := range f.All(t.Context()) {
				if gone(err) {
					break
				}
				if err != nil {
					return err
				}
				var b bytes.Buffer
				if err := r.WriteMessage(t.Context(), &b, s.snapshot.Vault, m.Recipe); err != nil {
					return fmt.Errorf("snapshot %s: message %d: %w", s.snapshot.ID.Short(), m.UID, err)
				}
				if !bytes.Equal(b.Bytes(), want[i].octets) {
					return fmt.Errorf("snapshot %s: message %d: %w", s.snapshot.ID.Short(), m.UID, errOtherMail)
				}
				i++
			}
		}
	}
	return nil
}

func (sp *specimen) opened(t *testing.T, store objects.Store) *Repository {
	t.Helper()
	r, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// damaged is a copy of the specimen that was damaged.
func (sp *specimen) damaged(t *testing.T, d damage) *objects.Memory {
	t.Helper()
	store := sp.copy(t)
	for name, b := range d.objects {
		if b == nil {
			store.Delete(t.Context(), name)
		} else if err := store.Put(t.Context(), name, b); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func allObjects(t *testing.T, store objects.Store) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for info, err := range store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		b, err := store.Get(t.Context(), info.Name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		all[info.Name] = b
	}
	return all
}

func sameObjects(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for name, octets := range a {
		if !bytes.Equal(octets, b[name]) {
			return false
		}
	}
	return true
}
