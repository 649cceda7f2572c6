package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"restante/storage/objects"
)

const checkpointPrefix = "checkpoints/"

func checkpointName(n uint64) string { return fmt.Sprintf("%s%012d", checkpointPrefix, n) }

// due tells when the next checkpoint pays: when reading the entries since
// the last one costs more than reading a checkpoint.
type due struct {
	// Reads is how many entries a reader reads one by one after the last
	// checkpoint: not those that another repeats.
	Reads int64 `cbor:"1,keyasint"`
	Bytes int64 `cbor:"2,keyasint"` // of those entries' objects
	Size  int64 `cbor:"3,keyasint"` // of the last checkpoint
}

const (
	// dueReads is how many entries a reader is made to read one by one, with
	// what they repeat; one less, in fact, since the checkpoint comes at once.
	dueReads = 5
	// dueAnyway is how many it is made to read where writing a checkpoint
	// would be the only large thing that a run does.
	dueAnyway = 6
	// dueSoon is how many it is made to read where a run writes much: the next
	// ones, which may be small, then need not write a checkpoint at once.
	dueSoon = 2
	// much is what is much, in octets.
	much = 8 << 20
	// duePerRead is how large a checkpoint may be for each of them, in octets,
	// without being large: the least that a run writes which writes a pack.
	duePerRead = 64 << 10
)

// stored is a State as CBOR, everything in one order, so that the same state
// always gives the same octets.
type stored struct {
	Next       uint64      `cbor:"1,keyasint"`
	Head       [32]byte    `cbor:"2,keyasint"`
	Vaults     []Vault     `cbor:"3,keyasint"`
	Keys       []Key       `cbor:"4,keyasint"`
	Packs      []Pack      `cbor:"5,keyasint"`
	Condemned  []Condemned `cbor:"6,keyasint"`
	Indexes    []Index     `cbor:"7,keyasint"`
	Snapshots  []Snapshot  `cbor:"8,keyasint"` // by account, then in the order of their entries
	Holds      []Hold      `cbor:"9,keyasint"`
	Violations []string    `cbor:"10,keyasint"`
	Due        due         `cbor:"11,keyasint,omitempty"` // only in a local cache
	Bridged    []uint64    `cbor:"12,keyasint,omitempty"`
	Tail       []repeat    `cbor:"13,keyasint,omitempty"` // only in a local cache
}

func byID[T any](m map[ID]T) []T {
	list := make([]T, 0, len(m))
	for _, id := range slices.SortedFunc(maps.Keys(m), func(a, b ID) int { return bytes.Compare(a[:], b[:]) }) {
		list = append(list, m[id])
	}
	return list
}

func (s *State) stored() *stored {
	st := &stored{Next: s.Next, Head: s.Head, Vaults: byID(s.Vaults), Keys: byID(s.Keys), Holds: byID(s.Holds), Violations: s.Violations, Bridged: s.Bridged}
	for _, id := range slices.SortedFunc(maps.Keys(s.Packs), compareULID) {
		st.Packs = append(st.Packs, s.Packs[id])
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.Condemned), compareULID) {
		st.Condemned = append(st.Condemned, Condemned{Pack: id, Relocated: s.Condemned[id]})
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.Indexes), compareULID) {
		st.Indexes = append(st.Indexes, s.Indexes[id])
	}
	for _, account := range slices.Sorted(maps.Keys(s.Snapshots)) {
		st.Snapshots = append(st.Snapshots, s.Snapshots[account]...)
	}
	return st
}

func compareULID[T interface{ Compare(T) int }](a, b T) int { return a.Compare(b) }

func (st *stored) state() *State {
	s := newState()
	s.Next, s.Head, s.Violations, s.Bridged = st.Next, st.Head, st.Violations, st.Bridged
	for _, v := range st.Vaults {
		s.Vaults[v.ID] = v
	}
	for _, k := range st.Keys {
		s.Keys[k.ID] = k
	}
	for _, p := range st.Packs {
		s.Packs[p.ID] = p
	}
	for _, c := range st.Condemned {
		s.Condemned[c.Pack] = c.Relocated
	}
	for _, i := range st.Indexes {
		s.Indexes[i.ID] = i
	}
	for _, snap := range st.Snapshots {
		s.Snapshots[snap.Account] = append(s.Snapshots[snap.Account], snap)
	}
	for _, h := range st.Holds {
		s.Holds[h.ID] = h
	}
	return s
}

// Export gives the state for a local cache; the octets are in clear.
func (l *Ledger) Export() ([]byte, error) {
	l.appending.Lock()
	defer l.appending.Unlock()
	st := l.state.stored()
	st.Due, st.Tail = l.due, l.tail
	return encMode.Marshal(st)
}

// Import takes up a state that Export gave, if it is further than the one at
// hand. The next Refresh makes sure that the store has it too.
func (l *Ledger) Import(b []byte) error {
	l.appending.Lock()
	defer l.appending.Unlock()
	st := new(stored)
	if err := decMode.Unmarshal(b, st); err != nil {
		return fmt.Errorf("cached state of the ledger: %w", err)
	}
	l.adopt(st)
	return nil
}

func (l *Ledger) adopt(st *stored) {
	if st.Next <= l.state.Next {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.verified, l.due, l.tail = st.state(), false, st.Due, st.Tail
}

// LoadCheckpoint takes up the state of the highest checkpoint that can be
// opened. Without one the state stays as it is. The error is that of the
// store; a checkpoint that is damaged is only passed over.
func (l *Ledger) LoadCheckpoint(ctx context.Context) error {
	l.appending.Lock()
	defer l.appending.Unlock()
	names, err := l.checkpoints(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		st, size, err := l.readCheckpoint(ctx, name)
		if err != nil {
			continue // removed by a writer of newer ones, damaged, or not to be had: a cache
		}
		st.Due = due{Size: size}
		l.adopt(st)
		return nil
	}
	return nil
}

func (l *Ledger) checkpoints(ctx context.Context) ([]string, error) {
	var names []string
	for info, err := range l.store.List(ctx, checkpointPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list checkpoints: %w", err)
		}
		names = append(names, info.Name)
	}
	return names, nil
}

// DamagedCheckpoints names the checkpoints that cannot be opened, and says why.
// The error is that of the store.
func (l *Ledger) DamagedCheckpoints(ctx context.Context) (map[string]error, error) {
	names, err := l.checkpoints(ctx)
	if err != nil {
		return nil, err
	}
	damaged := map[string]error{}
	for _, name := range names {
		_, _, err := l.readCheckpoint(ctx, name)
		var get *getError
		switch {
		case errors.Is(err, objects.ErrNotFound): // removed by a writer of newer ones
		case errors.As(err, &get):
			return nil, fmt.Errorf("read %s: %w", name, err)
		case err != nil:
			damaged[name] = err
		}
	}
	return damaged, nil
}

// A getError is the store's.
type getError struct{ error }

func (e *getError) Unwrap() error { return e.error }

// readCheckpoint also tells how large it is.
func (l *Ledger) readCheckpoint(ctx context.Context, name string) (st *stored, size int64, err error) {
	err = objects.Proven(func() ([]byte, error) {
		box, err := l.store.Get(ctx, name, 0, -1)
		if err != nil {
			return nil, &getError{err}
		}
		return box, nil
	}, func(box []byte) (err error) {
		size = int64(len(box))
		st, err = l.openCheckpoint(name, box)
		return err
	})
	return st, size, err
}

func (l *Ledger) openCheckpoint(name string, box []byte) (*stored, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, checkpointPrefix), 10, 64)
	if err != nil {
		return nil, errors.New("its name is not a number")
	}
	plain, err := l.sealer.OpenCheckpoint(n, box)
	if err != nil {
		return nil, err
	}
	st := new(stored)
	if err := decMode.Unmarshal(plain, st); err != nil {
		return nil, fmt.Errorf("what it holds: %w", err)
	}
	if st.Next != n+1 {
		return nil, fmt.Errorf("it holds the state after entry %d", st.Next-1)
	}
	return st, nil
}

// Checkpoint writes a checkpoint where one is due, the sooner the more octets
// the caller has written just now. It removes all older ones but one. An error
// means no harm: a checkpoint is a cache.
func (l *Ledger) Checkpoint(ctx context.Context, written int64) error {
	l.appending.Lock()
	defer l.appending.Unlock()
	enough := int64(dueReads)
	switch {
	case written == 0:
		enough = dueAnyway
	case written >= much:
		enough = dueSoon
	}
	large := l.due.Size > l.due.Reads*duePerRead && l.due.Bytes < l.due.Size/4
	if l.due.Reads < enough || large || l.state.Next == 0 {
		return nil
	}
	return l.checkpoint(ctx)
}

// checkpoint writes the state as it is.
func (l *Ledger) checkpoint(ctx context.Context) error {
	n := l.state.Next - 1
	plain, err := encMode.Marshal(l.state.stored())
	if err != nil {
		return fmt.Errorf("encode checkpoint: %w", err)
	}
	box, err := l.sealer.SealCheckpoint(n, plain)
	if err != nil {
		return fmt.Errorf("seal checkpoint: %w", err)
	}
	if int64(len(box)) > objects.MaxSize {
		return fmt.Errorf("checkpoint of %d octets is too large for an object", len(box))
	}
	if err := l.store.Put(ctx, checkpointName(n), box); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	l.tail = nil // whoever begins here needs no more of it
	l.due = due{Size: int64(len(box))}
	names, err := l.checkpoints(ctx)
	if err != nil {
		return err
	}
	older := names[:max(0, len(names)-2)]
	for _, name := range older {
		if name >= checkpointName(n) {
			break
		}
		if err := l.store.Delete(ctx, name); err != nil {
			return fmt.Errorf("remove an old checkpoint: %w", err)
		}
	}
	return nil
}

// Clone returns a copy of the state for the caller to keep.
func (l *Ledger) Clone() (*State, error) {
	b, err := l.Export()
	if err != nil {
		return nil, err
	}
	st := new(stored)
	if err := decMode.Unmarshal(b, st); err != nil {
		return nil, err
	}
	return st.state(), nil
}

// Equal says whether two ledgers have come to the same state.
func Equal(a, b *Ledger) bool {
	var x, y []byte
	var errX, errY error
	a.View(func(s *State) { x, errX = encMode.Marshal(s.stored()) })
	b.View(func(s *State) { y, errY = encMode.Marshal(s.stored()) })
	return cmp.Or(errX, errY) == nil && bytes.Equal(x, y)
}
