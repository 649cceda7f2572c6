// Package ledger keeps the append-only list of what happened to a repository.
// It makes many writers and a pruner safe without locks and without clocks:
// [Ledger.Append] puts an entry into the first free slot, checked against the
// state that all entries before it give. [State] is that state.
//
// FORMAT.md section 8 has the octets and the protocol.
package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/oklog/ulid/v2"
)

// An ID names a snapshot, a vault, a key slot or a hold: 16 random octets.
type ID [16]byte

// IsZero says that there is no id.
func (id ID) IsZero() bool { return id == ID{} }

// String gives 32 hexadecimal digits.
func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// Short gives the first eight digits, for people.
func (id ID) Short() string { return fmt.Sprintf("%x", id[:4]) }

// An entry is one element of the ledger as it is sealed.
type entry struct {
	N      uint64          `cbor:"1,keyasint"`
	Prev   [32]byte        `cbor:"2,keyasint"` // SHA-256 of the object before it
	Nonce  [16]byte        `cbor:"3,keyasint"`
	Writer string          `cbor:"4,keyasint"`
	Time   int64           `cbor:"5,keyasint"` // seconds since 1970; for people
	Kind   string          `cbor:"6,keyasint"`
	Body   cbor.RawMessage `cbor:"7,keyasint"`
	// Earlier repeats the entries right before this one, in their order.
	Earlier []repeat `cbor:"8,keyasint,omitempty"`
}

// A Body is what an entry says happened: *Init, *Vault, *Key, *Commit,
// *Forget, *Condemn, *Hold, *Release or *Bridge.
type Body interface{ kind() string }

// Init is entry 0: the first vault and the first key slot.
type Init struct {
	Vault Vault `cbor:"1,keyasint"`
	Key   Key   `cbor:"2,keyasint"`
}

// A Vault is a set of accounts that share keys.
type Vault struct {
	ID   ID     `cbor:"1,keyasint"`
	Name string `cbor:"2,keyasint"`
}

// A Key is a key slot, there or removed.
type Key struct {
	ID        ID     `cbor:"1,keyasint"`
	Label     string `cbor:"2,keyasint,omitempty"`
	How       string `cbor:"3,keyasint"` // passphrase, x25519 or hybrid
	Recipient string `cbor:"4,keyasint,omitempty"`
	Removed   bool   `cbor:"5,keyasint,omitempty"`
	Added     int64  `cbor:"6,keyasint,omitempty"` // set from the entry's time
	// Sum is the SHA-256 of the slot's object; nothing where it is not known.
	Sum []byte `cbor:"7,keyasint,omitempty"`
}

// A Commit brings snapshots and the packs and indexes that they need.
type Commit struct {
	Snapshots []Snapshot `cbor:"1,keyasint"`
	Packs     []Pack     `cbor:"2,keyasint,omitempty"`
	Indexes   []Index    `cbor:"3,keyasint,omitempty"`
	// Dropped are indexes whose packs one of Indexes covers.
	Dropped []ulid.ULID `cbor:"4,keyasint,omitempty"`
	// Superseded are partial snapshots that one of Snapshots completes.
	Superseded []ID `cbor:"5,keyasint,omitempty"`
}

// A Pack is an object with segments of one vault.
type Pack struct {
	ID    ulid.ULID `cbor:"1,keyasint"`
	Vault ID        `cbor:"2,keyasint"`
	Size  int64     `cbor:"3,keyasint"` // octets
	Blobs int       `cbor:"4,keyasint"`
}

// An Index is an object that repeats the directories of packs of one vault.
type Index struct {
	ID    ulid.ULID   `cbor:"1,keyasint"`
	Vault ID          `cbor:"2,keyasint"`
	Size  int64       `cbor:"3,keyasint"` // octets
	Packs []ulid.ULID `cbor:"4,keyasint"`
}

// A Snapshot is an account at a point in time.
type Snapshot struct {
	ID       ID       `cbor:"1,keyasint"`
	Account  string   `cbor:"2,keyasint"`
	Vault    ID       `cbor:"3,keyasint"`
	Root     [16]byte `cbor:"4,keyasint"`           // blob id of the tree's root
	Parent   ID       `cbor:"5,keyasint,omitempty"` // zero: none
	Started  int64    `cbor:"6,keyasint"`           // seconds since 1970, by the writer's clock
	Finished int64    `cbor:"7,keyasint"`
	Messages int64    `cbor:"8,keyasint"`
	Bytes    int64    `cbor:"9,keyasint"` // octets of all messages, as the source sent them
	Folders  int      `cbor:"10,keyasint"`
	Marks    Marks    `cbor:"11,keyasint,omitempty"`
	// Notes are sentences about what was odd.
	Notes []string `cbor:"12,keyasint,omitempty"`
	Host  string   `cbor:"13,keyasint,omitempty"`
	Stats Stats    `cbor:"14,keyasint,omitempty"`
	// Where is where the root stood when the snapshot was committed, so that
	// whoever has no index at hand needs none to find it; nil: not known.
	Where *Place `cbor:"15,keyasint,omitempty"`
}

// A Place is where a blob of a snapshot's tree stands: in a segment of a pack.
type Place struct {
	_             struct{} `cbor:",toarray"`
	Pack          ulid.ULID
	Offset        int64 // of the segment's box in the pack, in octets
	Box           int   // length of the box
	Raw           int   // length of the segment's blobs together
	Start, Length int   // of the blob among them
}

// Stats say what the run that made a snapshot did.
type Stats struct {
	New     int64 `cbor:"1,keyasint,omitempty"` // messages that the parent does not have at their place
	Gone    int64 `cbor:"2,keyasint,omitempty"` // messages of the parent that are not at their place any more
	Flagged int64 `cbor:"3,keyasint,omitempty"` // messages whose flags changed
	Read    int64 `cbor:"4,keyasint,omitempty"` // octets of messages read from the source
	Stored  int64 `cbor:"5,keyasint,omitempty"` // octets of packs and indexes written
	Missing int64 `cbor:"6,keyasint,omitempty"` // messages that could not be had
	// Listed are the messages that the source listed, and Unproven those of them
	// that the snapshot does not have, by UID, and that were not expunged while
	// they were read.
	Listed   int64 `cbor:"7,keyasint,omitempty"`
	Unproven int64 `cbor:"8,keyasint,omitempty"`
}

// Marks say what kind of snapshot it is.
type Marks uint8

const (
	// Partial: the run was not over; folders it had not come to are as in the
	// parent, or missing.
	Partial Marks = 1 << iota
	// Incomplete: some messages could not be had.
	Incomplete
	// Anomalous: an unlikely share of the messages is gone.
	Anomalous
	// Draining: behind this run, messages may have been deleted from the server
	// because they are in the snapshot.
	Draining
	// Drained: messages of the snapshot before are gone, and that was Draining. It
	// may have the only copy.
	Drained
)

// Has says whether all of these marks are set.
func (m Marks) Has(all Marks) bool { return m&all == all }

func (m Marks) String() string {
	s := ""
	for i, name := range []string{"partial", "incomplete", "anomalous", "draining", "drained"} {
		if m&(1<<i) != 0 {
			if s != "" {
				s += ", "
			}
			s += name
		}
	}
	return s
}

// StartedAt is Started as a time.
func (s *Snapshot) StartedAt() time.Time { return time.Unix(s.Started, 0) }

// Forget drops snapshots.
type Forget struct {
	Snapshots []ID   `cbor:"1,keyasint"`
	Reason    string `cbor:"2,keyasint,omitempty"`
}

// Condemn says that packs may be deleted, for ever, and brings those that
// hold what was live in them.
type Condemn struct {
	Condemned []Condemned `cbor:"1,keyasint"`
	Packs     []Pack      `cbor:"2,keyasint,omitempty"`
	Indexes   []Index     `cbor:"3,keyasint,omitempty"`
	Dropped   []ulid.ULID `cbor:"4,keyasint,omitempty"`
}

// Condemned is a pack that may be deleted, and where its live blobs are.
type Condemned struct {
	Pack      ulid.ULID   `cbor:"1,keyasint"`
	Relocated []ulid.ULID `cbor:"2,keyasint,omitempty"`
}

// A Hold stops snapshots from being forgotten.
type Hold struct {
	ID      ID     `cbor:"1,keyasint"`
	Account string `cbor:"2,keyasint,omitempty"` // empty: all accounts
	Reason  string `cbor:"3,keyasint,omitempty"`
	// Added is when, in seconds since 1970. The entry says it, so that this is
	// set in the state alone.
	Added int64 `cbor:"4,keyasint,omitempty"`
}

// Release ends a hold.
type Release struct {
	ID     ID     `cbor:"1,keyasint"`
	Reason string `cbor:"2,keyasint,omitempty"`
}

// Bridge says that a repair could not read some entries before it, and from which
// state it went on: that of every checkpoint from here on.
type Bridge struct {
	Lost []uint64 `cbor:"1,keyasint"`
}

func (*Bridge) kind() string  { return "bridge" }
func (*Init) kind() string    { return "init" }
func (*Vault) kind() string   { return "vault" }
func (*Key) kind() string     { return "key" }
func (*Commit) kind() string  { return "commit" }
func (*Forget) kind() string  { return "forget" }
func (*Condemn) kind() string { return "condemn" }
func (*Hold) kind() string    { return "hold" }
func (*Release) kind() string { return "release" }

// ErrNewer says that a newer program wrote the repository.
var ErrNewer = errors.New("written by a newer version of Restante")

var (
	encMode = func() cbor.EncMode {
		m, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
	decMode = func() cbor.DecMode {
		// Entries are authenticated; the limits only guard against accidents. What is
		// no UTF-8 in a text, such as the name of a file, is encoded without a word; to
		// refuse it here would lock the repository for good.
		m, err := cbor.DecOptions{MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 20, MaxNestedLevels: 16, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
)

func (e *entry) body() (Body, error) {
	var b Body
	switch e.Kind {
	case "init":
		b = new(Init)
	case "vault":
		b = new(Vault)
	case "key":
		b = new(Key)
	case "commit":
		b = new(Commit)
	case "forget":
		b = new(Forget)
	case "condemn":
		b = new(Condemn)
	case "hold":
		b = new(Hold)
	case "release":
		b = new(Release)
	case "bridge":
		b = new(Bridge)
	default:
		return nil, fmt.Errorf("ledger entry %d is of kind %q: %w", e.N, e.Kind, ErrNewer)
	}
	if err := decMode.Unmarshal(e.Body, b); err != nil {
		return nil, fmt.Errorf("ledger entry %d (%s): %w", e.N, e.Kind, err)
	}
	return b, nil
}

// readable says why an entry cannot be read.
func readable(plain []byte) error {
	e := new(entry)
	if err := decMode.Unmarshal(plain, e); err != nil {
		return err
	}
	_, err := e.body()
	return err
}
