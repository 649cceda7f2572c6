package storage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
	"restante/storage/internal/seal"
	"restante/storage/ledger"
	"restante/storage/messages"
)

// simTruth knows what is true of the simulated store, from the octets that lie
// in it and not from what any machine believes. It is told of every write when
// that is done, and says at once what must not be:
//
//   - an entry of the ledger, or a config, key or vault, that is removed;
//   - other octets under a name that was used before;
//   - a pack removed that no entry condemned, an index that one names;
//   - a commit that names a pack which is not there, or is condemned;
//   - a snapshot of the ledger one of whose blobs is in no pack that is there,
//     named and not condemned.
//
// Packs are opened and proven when they are written, snapshots are gone
// through, put together and compared with what was saved when their commit is
// written. After that the blobs of each are counted, which is cheap.
type simTruth struct {
	w      *simWorld
	sealer *seal.Sealer
	key    seal.Key
	scope  pack.Scope

	next      uint64            // entry of the ledger
	written   map[string][]byte // what was ever written under a name
	there     map[string]bool   // packs and indexes in the store
	named     map[ulid.ULID]bool
	condemned map[ulid.ULID]bool
	indexes   map[ulid.ULID]bool // that the ledger names
	contents  map[ulid.ULID][]BlobID
	octets    map[BlobID][]byte
	holders   map[BlobID]int // packs that keep it: there, named and not condemned
	needed    map[BlobID]int // snapshots
	snapshots map[ID][]BlobID

	mail         map[ID][][]byte // what a snapshot must hold
	records      map[ID]Snapshot
	acknowledged map[ID]bool
	forgettable  map[ID]bool // somebody asked for it to be forgotten
}

func newSimTruth(r *Repository, v *vault) *simTruth {
	return &simTruth{sealer: r.sealer, key: r.key, scope: v.scope,
		written: map[string][]byte{}, there: map[string]bool{}, named: map[ulid.ULID]bool{}, condemned: map[ulid.ULID]bool{},
		indexes: map[ulid.ULID]bool{}, contents: map[ulid.ULID][]BlobID{}, octets: map[BlobID][]byte{}, holders: map[BlobID]int{},
		needed: map[BlobID]int{}, snapshots: map[ID][]BlobID{}, mail: map[ID][][]byte{}, records: map[ID]Snapshot{},
		acknowledged: map[ID]bool{}, forgettable: map[ID]bool{}}
}

func (t *simTruth) clone(w *simWorld) *simTruth {
	c := *t
	c.w = w
	c.written, c.there, c.named, c.condemned = maps.Clone(t.written), maps.Clone(t.there), maps.Clone(t.named), maps.Clone(t.condemned)
	c.indexes, c.contents, c.octets = maps.Clone(t.indexes), maps.Clone(t.contents), maps.Clone(t.octets)
	c.holders, c.needed, c.snapshots = maps.Clone(t.holders), maps.Clone(t.needed), maps.Clone(t.snapshots)
	c.mail, c.records = maps.Clone(t.mail), maps.Clone(t.records)
	c.acknowledged, c.forgettable = maps.Clone(t.acknowledged), maps.Clone(t.forgettable)
	return &c
}

// put is told that somebody wrote an object.
func (t *simTruth) put(who, name string, data []byte) error {
	kind, rest, _ := strings.Cut(name, "/")
	if kind == "checkpoints" {
		return nil // caches: two machines may write the same one
	}
	if old, used := t.written[name]; used {
		if !bytes.Equal(old, data) {
			return fmt.Errorf("%s writes other octets under the name %s", who, name)
		}
		if kind == "ledger" || t.there[name] {
			return nil
		}
	}
	t.written[name] = data
	switch kind {
	case "packs":
		return t.packPut(name, rest, data)
	case "indexes":
		t.there[name] = true
	case "ledger":
		return t.entryPut(who, rest, data)
	}
	return nil
}

func (t *simTruth) packPut(name, rest string, data []byte) error {
	id, err := ulid.ParseStrict(rest)
	if err != nil {
		return err
	}
	t.there[name] = true
	if _, known := t.contents[id]; !known {
		ids := []BlobID{}
		dir, err := pack.ReadDirectory(&t.scope, id, int64(len(data)), func(offset, length int64) ([]byte, error) { return data[offset:][:length], nil })
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, s := range dir {
			raw, err := t.scope.OpenSegment(s.Class, data[s.Offset:][:s.Box], s.Raw)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for i, blob := range s.IDs {
				t.octets[blob], raw = raw[:s.Lengths[i]:s.Lengths[i]], raw[s.Lengths[i]:]
				ids = append(ids, blob)
			}
		}
		t.contents[id] = ids
	}
	if t.named[id] {
		t.hold(id, 1)
	}
	return nil
}

// hold counts the blobs of a pack that keeps them from now on, or no longer.
func (t *simTruth) hold(id ulid.ULID, n int) {
	for _, blob := range t.contents[id] {
		t.holders[blob] += n
	}
}

// lost says which blob of a pack is in no other one, and needed.
func (t *simTruth) lost(id ulid.ULID) error {
	for _, blob := range t.contents[id] {
		if t.needed[blob] > 0 && t.holders[blob] == 0 {
			return fmt.Errorf("blob %x is lost with pack %s, though %d snapshots need it", blob[:4], id, t.needed[blob])
		}
	}
	return nil
}

// simEntry is an entry of the ledger as FORMAT.md section 8 has it.
type simEntry struct {
	N    uint64          `cbor:"1,keyasint"`
	Kind string          `cbor:"6,keyasint"`
	Body cbor.RawMessage `cbor:"7,keyasint"`
}

func (t *simTruth) entryPut(who, rest string, box []byte) error {
	n, err := strconv.ParseUint(rest, 10, 64)
	if err != nil || n != t.next {
		return fmt.Errorf("%s writes entry %s of the ledger where %d comes next", who, rest, t.next)
	}
	t.next++
	plain, err := t.sealer.Open(&t.key, seal.Ledger, number(n), box, -1)
	if err != nil {
		return err
	}
	var e simEntry
	if err := cbor.Unmarshal(plain, &e); err != nil {
		return err
	}
	switch e.Kind {
	case "commit":
		var c ledger.Commit
		if err := cbor.Unmarshal(e.Body, &c); err != nil {
			return err
		}
		if err := t.bring(c.Packs, c.Indexes, c.Dropped); err != nil {
			return fmt.Errorf("the commit of %s %w", who, err)
		}
		for _, s := range c.Snapshots {
			if err := t.snapshot(s); err != nil {
				return fmt.Errorf("%s commits snapshot %s of %q: %w", who, s.ID.Short(), s.Account, err)
			}
		}
		return t.forget(who, c.Superseded)
	case "forget":
		var f ledger.Forget
		if err := cbor.Unmarshal(e.Body, &f); err != nil {
			return err
		}
		return t.forget(who, f.Snapshots)
	case "condemn":
		var c ledger.Condemn
		if err := cbor.Unmarshal(e.Body, &c); err != nil {
			return err
		}
		if err := t.bring(c.Packs, c.Indexes, c.Dropped); err != nil {
			return fmt.Errorf("the condemn entry of %s %w", who, err)
		}
		for _, p := range c.Condemned {
			if t.condemned[p.Pack] {
				return fmt.Errorf("%s condemns pack %s a second time", who, p.Pack)
			}
			t.condemned[p.Pack] = true
			if t.named[p.Pack] && t.there[packName(p.Pack)] {
				t.hold(p.Pack, -1)
			}
			delete(t.named, p.Pack)
			t.w.counts["condemned"]++
			if len(p.Relocated) > 0 {
				t.w.counts["repacked"]++
			}
		}
		for _, p := range c.Condemned {
			if err := t.lost(p.Pack); err != nil {
				return fmt.Errorf("%s condemns: %w", who, err)
			}
		}
	}
	return nil
}

func (t *simTruth) bring(packs []ledger.Pack, indexes []ledger.Index, dropped []ulid.ULID) error {
	for _, p := range packs {
		switch {
		case t.condemned[p.ID]:
			return fmt.Errorf("names pack %s, which is condemned", p.ID)
		case !t.there[packName(p.ID)]:
			return fmt.Errorf("names pack %s, which is not there", p.ID)
		case t.named[p.ID]:
			return fmt.Errorf("names pack %s a second time", p.ID)
		}
		t.named[p.ID] = true
		t.hold(p.ID, 1)
	}
	for _, id := range dropped {
		delete(t.indexes, id)
	}
	for _, i := range indexes {
		if !t.there[indexName(i.ID)] {
			return fmt.Errorf("names index %s, which is not there", i.ID)
		}
		t.indexes[i.ID] = true
	}
	return nil
}

// snapshot goes through a snapshot that was committed, and compares it.
func (t *simTruth) snapshot(s Snapshot) error {
	if _, again := t.snapshots[s.ID]; again {
		return errors.New("it is committed a second time")
	}
	ids, err := t.reach(s)
	if err != nil {
		return err
	}
	t.snapshots[s.ID], t.records[s.ID] = ids, s
	for _, id := range ids {
		t.needed[id]++
		if t.holders[id] == 0 {
			return fmt.Errorf("blob %x is in no pack that keeps it", id[:4])
		}
	}
	return nil
}

// reach names the blobs that a snapshot needs, and compares its messages with
// those that were saved.
func (t *simTruth) reach(s Snapshot) (ids []BlobID, err error) {
	need := func(id BlobID) ([]byte, error) {
		b, ok := t.octets[id]
		if !ok {
			return nil, fmt.Errorf("blob %x was never written", id[:4])
		}
		ids = append(ids, id)
		return b, nil
	}
	var top root
	b, err := need(s.Root)
	if err != nil {
		return nil, err
	}
	if err := cbor.Unmarshal(b, &top); err != nil {
		return nil, err
	}
	want, known := t.mail[s.ID]
	if !known {
		return nil, errors.New("nobody saved it")
	}
	for _, ref := range top.Folders {
		b, err := need(ref.ID)
		if err != nil {
			return nil, err
		}
		var f Folder
		if err := cbor.Unmarshal(b, &f); err != nil {
			return nil, err
		}
		if f.MailList.lists || f.FlagList.lists {
			return nil, errors.New("a folder too large for the simulation")
		}
		for _, p := range f.FlagList.refs {
			if _, err := need(p.ID); err != nil {
				return nil, err
			}
		}
		for _, p := range f.MailList.refs {
			b, err := need(p.ID)
			if err != nil {
				return nil, err
			}
			list, err := parseMessagePage(b)
			if err != nil {
				return nil, err
			}
			for _, m := range list {
				recipe, err := need(m.Recipe)
				if err != nil {
					return nil, err
				}
				var got bytes.Buffer
				if err := messages.Join(&got, recipe, need); err != nil {
					return nil, err
				}
				if len(want) == 0 || !bytes.Equal(got.Bytes(), want[0]) {
					return nil, fmt.Errorf("UID %d is not the message that was saved", m.UID)
				}
				want = want[1:]
			}
		}
	}
	if len(want) > 0 {
		return nil, fmt.Errorf("%d messages are missing", len(want))
	}
	return ids, nil
}

func (t *simTruth) forget(who string, ids []ID) error {
	for _, id := range ids {
		blobs, there := t.snapshots[id]
		if !there {
			return fmt.Errorf("%s forgets snapshot %s, which is not there", who, id.Short())
		}
		if !t.forgettable[id] {
			return fmt.Errorf("%s forgets snapshot %s, which nobody asked for", who, id.Short())
		}
		for _, blob := range blobs {
			t.needed[blob]--
		}
		delete(t.snapshots, id)
	}
	return nil
}

// removed is told that somebody removed an object, there or not.
func (t *simTruth) removed(who, name string, there bool) error {
	kind, rest, _ := strings.Cut(name, "/")
	id, _ := ulid.ParseStrict(rest)
	switch kind {
	case "packs":
		if !t.condemned[id] {
			return fmt.Errorf("%s removes %s, which is not condemned", who, name)
		}
		delete(t.there, name)
		return t.lost(id)
	case "indexes":
		delete(t.there, name)
		if t.indexes[id] {
			return fmt.Errorf("%s removes %s, which the ledger names", who, name)
		}
		return nil
	case "checkpoints":
		return nil
	}
	return fmt.Errorf("%s removes %s", who, name)
}

// acknowledge is told that somebody was told that a snapshot is there.
func (t *simTruth) acknowledge(who string, id ID) error {
	t.acknowledged[id] = true
	if _, there := t.snapshots[id]; !there && !t.forgettable[id] {
		return fmt.Errorf("%s is told that snapshot %s is there, and it is not", who, id.Short())
	}
	return nil
}

// all compares what is counted with what is there, from the beginning: every
// snapshot is gone through again, every blob looked for.
func (t *simTruth) all() error {
	for id := range t.acknowledged {
		if _, there := t.snapshots[id]; !there && !t.forgettable[id] {
			return fmt.Errorf("acknowledged snapshot %s is gone", id.Short())
		}
	}
	kept := map[BlobID]bool{}
	for id := range t.named {
		if _, there := t.w.objects[packName(id)]; there {
			for _, blob := range t.contents[id] {
				kept[blob] = true
			}
		}
	}
	for id := range t.snapshots {
		ids, err := t.reach(t.records[id])
		if err != nil {
			return err
		}
		for _, blob := range ids {
			if !kept[blob] {
				return fmt.Errorf("blob %x of snapshot %s is lost", blob[:4], id.Short())
			}
		}
	}
	return nil
}
