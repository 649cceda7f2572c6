package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"restante/storage/objects"
)

// bridge goes on from a checkpoint where the next entry cannot be read and a
// repair has said so, in an entry that the checkpoint has: there alone a
// checkpoint counts for more than the entries. The caller holds appending.
func (l *Ledger) bridge(ctx context.Context) (bridged bool, err error) {
	names, err := l.checkpoints(ctx)
	if err != nil {
		return false, err
	}
	for _, name := range slices.Backward(names) {
		st, size, err := l.readCheckpoint(ctx, name)
		if err != nil || st.Next <= l.state.Next || !slices.Contains(st.Bridged, l.state.Next) {
			continue
		}
		st.Due = due{Size: size}
		l.adopt(st)
		return true, l.verify(ctx)
	}
	return false, nil
}

// A Rebuilt is what a Rebuild had to do without.
type Rebuilt struct {
	Lost []uint64 // entries that are missing or cannot be opened
	// Skipped are those of them whose effect is in no state that is at hand:
	// nobody knows what they said.
	Skipped []uint64
}

// Rebuild reads a ledger to its end past entries that are missing or cannot be
// opened: it goes on from the first checkpoint behind them, or from known, a
// state that Export gave, or, where there is neither, without what they said.
// Nothing is written: see Bridge. The error is of the store, or says that
// nothing at all can be read.
func (l *Ledger) Rebuild(ctx context.Context, known []byte) (r Rebuilt, err error) {
	for {
		err := l.Complete(ctx)
		if err == nil || ctx.Err() != nil {
			return r, err
		}
		damaged, damagedErr := l.Damaged(ctx)
		if damagedErr != nil {
			return r, damagedErr
		}
		n := l.Entries()
		if damaged[Slot(n)] == nil {
			return r, err // it cannot be reached, or is not the one that belongs there
		}
		l.appending.Lock()
		skipped, err := l.pass(ctx, damaged, known)
		l.appending.Unlock()
		if err != nil {
			return r, err
		}
		for ; n < l.Entries(); n++ {
			if damaged[Slot(n)] != nil {
				r.Lost = append(r.Lost, n)
				if skipped {
					r.Skipped = append(r.Skipped, n)
				}
			}
		}
	}
}

// pass goes past the next entry, which is damaged.
func (l *Ledger) pass(ctx context.Context, damaged map[string]error, known []byte) (skipped bool, err error) {
	n := l.state.Next
	best := new(stored)
	take := func(st *stored) {
		if st.Next > n && (best.Next == 0 || st.Next < best.Next) {
			best = st
		}
	}
	if st := new(stored); known != nil && decMode.Unmarshal(known, st) == nil {
		take(st)
	}
	names, err := l.checkpoints(ctx)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if st, _, err := l.readCheckpoint(ctx, name); err == nil {
			take(st)
		}
	}
	if best.Next > 0 {
		l.adopt(best)
		if damaged[Slot(best.Next-1)] == nil {
			return false, l.verify(ctx)
		}
		l.verified = true
		return false, nil
	}
	if n == 0 {
		return true, fmt.Errorf("%s: %w", First, damaged[First])
	}
	// What follows says what the SHA-256 of what is lost was.
	next, head := n, [32]byte{}
	for info, err := range l.store.List(ctx, Prefix, Slot(n)) {
		if err != nil {
			return false, fmt.Errorf("list the ledger: %w", err)
		}
		k, err := strconv.ParseUint(strings.TrimPrefix(info.Name, Prefix), 10, 64)
		if err != nil || Slot(k) != info.Name {
			continue
		}
		if damaged[info.Name] != nil {
			next = k
			continue
		}
		e, err := l.peek(ctx, k)
		if err != nil {
			return false, err
		}
		next, head = k-1, e.Prev
		break
	}
	if head == ([32]byte{}) { // it is the last one
		box, err := l.get(ctx, next)
		if err != nil {
			return false, fmt.Errorf("read ledger entry %d: %w", next, err)
		}
		head = sha256.Sum256(box)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Next, l.state.Head, l.verified, l.tail = next+1, head, true, nil
	return true, nil
}

// peek opens an entry without looking what is before it.
func (l *Ledger) peek(ctx context.Context, n uint64) (e *entry, err error) {
	err = objects.Proven(func() ([]byte, error) { return l.get(ctx, n) }, func(box []byte) error {
		plain, err := l.sealer.OpenEntry(n, box)
		if err != nil {
			return err
		}
		e = new(entry)
		return decMode.Unmarshal(plain, e)
	})
	if err != nil {
		return nil, fmt.Errorf("read ledger entry %d: %w", n, err)
	}
	return e, nil
}

// Suppose changes the state at hand as if an entry were appended, and appends
// none: for a plan.
func (l *Ledger) Suppose(b Body) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.apply(l.state.Next, 0, b)
}

// Bridge has every reader go on where Rebuild did: it appends an entry that
// says which ones are lost, and writes a checkpoint that has it. The entry may
// be there where the error is of the checkpoint; then the repair is done again.
func (l *Ledger) Bridge(ctx context.Context, lost []uint64) error {
	if len(lost) == 0 {
		return errors.New("no entry is lost")
	}
	if err := l.Append(ctx, func(*State) (Body, error) { return &Bridge{Lost: lost}, nil }); err != nil {
		return err
	}
	l.appending.Lock()
	defer l.appending.Unlock()
	return l.checkpoint(ctx)
}

// Adopt takes the place of the state at hand with another ledger's of the same
// store, which is at least as far.
func (l *Ledger) Adopt(from *Ledger) error {
	b, err := from.Export()
	if err != nil {
		return err
	}
	st := new(stored)
	if err := decMode.Unmarshal(b, st); err != nil {
		return err
	}
	l.appending.Lock()
	defer l.appending.Unlock()
	if st.Next < l.state.Next {
		return fmt.Errorf("the state ends with entry %d, and %d are known: %w", st.Next, l.state.Next, ErrShorter)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.verified, l.due, l.tail = st.state(), false, st.Due, st.Tail
	return nil
}
