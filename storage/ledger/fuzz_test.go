package ledger

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/oklog/ulid/v2"

	"restante/storage/objects"
)

// FuzzEntry: what an entry says, below its seal. It is refused, or applied, and
// the state that comes of it is the same when it was written down and read.
func FuzzEntry(f *testing.F) {
	pack := Pack{ID: ulid.ULID{1}, Vault: ID{1}, Size: 100, Blobs: 3}
	for _, body := range []Body{
		&Init{Vault: Vault{ID: ID{1}, Name: "default"}, Key: Key{ID: ID{2}, How: "passphrase"}}, &Vault{ID: ID{3}, Name: "x"}, &Key{ID: ID{2}, Removed: true, Sum: []byte{1}},
		&Commit{Snapshots: []Snapshot{{ID: ID{4}, Account: "alice", Notes: []string{"odd"}, Marks: Partial}}, Packs: []Pack{pack}, Indexes: []Index{{ID: ulid.ULID{2}, Packs: []ulid.ULID{{1}}}}, Dropped: []ulid.ULID{{3}}},
		&Forget{Snapshots: []ID{{4}}, Reason: "rules"}, &Condemn{Condemned: []Condemned{{Pack: ulid.ULID{1}, Relocated: []ulid.ULID{{2}}}}}, &Hold{ID: ID{5}, Account: "alice"}, &Release{ID: ID{5}},
	} {
		b, err := encMode.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		octets, err := encMode.Marshal(&entry{N: 1, Prev: [32]byte{1}, Writer: "w", Kind: body.kind(), Body: b})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(octets)
	}
	vault, err := encMode.Marshal(&Vault{ID: ID{9}})
	if err != nil {
		f.Fatal(err)
	}
	said := repeat{Prev: make([]byte, prevLength), Time: 1, Kind: "vault", Body: vault}
	octets, err := encMode.Marshal(&entry{N: 1, Prev: [32]byte{1}, Kind: "vault", Body: vault, Earlier: []repeat{said}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(octets)
	f.Add([]byte{0xa1, 0x07, 0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, plain []byte) {
		l := testLedger(objects.NewMemory())
		l.state.Head = [32]byte{}
		leapBox, _ := plainBoxes{}.SealEntry(1, plain)
		if e, err := l.unseal(1, leapBox); err == nil {
			if err := l.takeOver(e, leapBox); (err == nil) != (l.state.Next == 2) {
				t.Errorf("%v, and the next entry is %d", err, l.state.Next)
			}
		}
		l = testLedger(objects.NewMemory())
		for n, box := range [][]byte{plain, plain} { // a second time it may contradict itself
			sealed, _ := plainBoxes{}.SealEntry(1, box)
			l.state.Head = [32]byte{1}
			if _, err := l.take(1, sealed); err != nil {
				return
			}
			if n == 0 && l.due.Reads != 1 {
				t.Errorf("%d entries", l.due.Reads)
			}
		}
		octets, err := l.Export()
		if err != nil {
			t.Fatal(err)
		}
		again := testLedger(objects.NewMemory())
		if err := again.Import(octets); err != nil {
			t.Fatal(err)
		}
		if !Equal(l, again) {
			t.Errorf("%x is another state when it was written down", plain)
		}
	})
}

// FuzzCheckpoint: what a checkpoint, or the state in a local cache, holds. It is
// refused, or a state that is written as it was read.
func FuzzCheckpoint(f *testing.F) {
	l := begin(f, objects.NewMemory())
	if err := commit(l, "alice", ID{1}); err != nil {
		f.Fatal(err)
	}
	octets, err := l.Export()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(octets)
	f.Add([]byte{0xa1, 0x08, 0x9a, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, plain []byte) {
		l := testLedger(objects.NewMemory())
		box, _ := plainBoxes{}.SealCheckpoint(1, plain)
		st, err := l.openCheckpoint(checkpointName(1), box)
		if err == nil && st.Next != 2 {
			t.Errorf("a checkpoint of entry %d in the place of that of 1", st.Next-1)
		}
		if l.Import(plain) != nil {
			return
		}
		first, err := encMode.Marshal(l.state.stored())
		if err != nil {
			t.Fatal(err)
		}
		again := new(stored)
		if err := decMode.Unmarshal(first, again); err != nil {
			t.Fatal(err)
		}
		second, err := encMode.Marshal(again.state().stored())
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%x is written as %x, and that as %x, %v", plain, first, second, err)
		}
		if clone, err := l.Clone(); err != nil || len(clone.Packs) != len(l.state.Packs) || !reflect.DeepEqual(clone.Violations, l.state.Violations) && len(clone.Violations) > 0 {
			t.Errorf("%v", err)
		}
	})
}

// FuzzWritten: whatever texts and numbers an entry is made of, it can be read by
// whoever comes next. What stands in a slot stays there.
func FuzzWritten(f *testing.F) {
	f.Add("alice@example.org", "note", int64(5), uint8(3))
	f.Add("caf\xe9", "\xff\x00\u2028", int64(-1)<<63, uint8(255))
	f.Fuzz(func(t *testing.T, account, text string, n int64, marks uint8) {
		store := objects.NewMemory()
		l := paddedLedger(store)
		if err := l.Append(t.Context(), func(*State) (Body, error) { return &Init{}, nil }); err != nil {
			t.Fatal(err)
		}
		snap := Snapshot{ID: ID{1}, Account: account, Started: n, Finished: -n, Messages: n, Bytes: n, Folders: int(n), Marks: Marks(marks), Notes: []string{text, account}, Host: text, Stats: Stats{New: n}}
		for _, body := range []Body{
			&Commit{Snapshots: []Snapshot{snap}, Packs: []Pack{{ID: ulid.ULID{1}, Size: n, Blobs: int(n)}}}, &Vault{ID: ID{2}, Name: text}, &Key{ID: ID{3}, Label: text, How: account, Recipient: text, Sum: []byte(text)},
			&Hold{ID: ID{4}, Account: account, Reason: text}, &Forget{Snapshots: []ID{{9}}, Reason: text}, &Release{ID: ID{8}, Reason: text},
		} {
			if err := l.Append(t.Context(), func(*State) (Body, error) { return body, nil }); err != nil {
				t.Fatalf("%T: %v", body, err)
			}
		}
		other, leaper := paddedLedger(store), paddedLedger(store)
		if err := errors.Join(other.Refresh(t.Context()), leaper.Leap(t.Context()), leaper.Complete(t.Context())); err != nil {
			t.Fatal(err)
		}
		if !Equal(l, other) || !Equal(l, leaper) {
			t.Error("who reads it has another state than who wrote it")
		}
	})
}
