package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// A repeat is what an entry says again of one before it: all that changes the
// state. An entry is padded, and repeats as many of those right before it as
// the padding has room for; so whoever has nothing at hand reads one entry of
// several, and nobody writes an octet more. FORMAT.md section 8, Repeats.
type repeat struct {
	_    struct{} `cbor:",toarray"`
	Prev []byte   // the first octets of the SHA-256 of the object before that entry
	Time int64
	Kind string
	Body cbor.RawMessage
}

const (
	// prevLength is how long Prev is. It tells apart ledgers that others sealed
	// with the key; nobody without it can look for another with the same.
	prevLength = 8
	// longestRepeat is the length of a body, in octets, above which the padding
	// will not have room for it.
	longestRepeat = 512
	// mostLeap is over how many entries a leap is worth its list. Where there
	// are more, reading them side by side is faster.
	mostLeap = 512
)

// tailOf is what an entry repeats, and what it says itself.
func tailOf(e *entry) []repeat {
	return append(slices.Clip(e.Earlier), repeat{Prev: e.Prev[:prevLength], Time: e.Time, Kind: e.Kind, Body: e.Body})
}

// sealNext makes the box of an entry, which repeats what it can for nothing.
func (l *Ledger) sealNext(e entry) (box []byte, err error) {
	for _, earlier := range [][]repeat{nil, l.tail} {
		if box != nil && len(earlier) == 0 {
			break
		}
		e.Earlier = earlier
		plain, err := encMode.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encode ledger entry: %w", err)
		}
		// What is in a slot stays there: nothing that we could not read ourselves.
		if err := readable(plain); err != nil {
			return nil, fmt.Errorf("encode ledger entry: it could not be read again: %w", err)
		}
		sealed, err := l.sealer.SealEntry(e.N, plain)
		if err != nil {
			return nil, fmt.Errorf("seal ledger entry: %w", err)
		}
		if box == nil || len(sealed) <= len(box) {
			box = sealed
		}
	}
	return box, nil
}

// Leap begins a ledger of which nothing is at hand: with the highest checkpoint,
// and what the last entries repeat of those before them. Complete goes on from
// there. The error is that of the store.
func (l *Ledger) Leap(ctx context.Context) error {
	if err := l.LoadCheckpoint(ctx); err != nil {
		return err
	}
	l.appending.Lock()
	defer l.appending.Unlock()
	end, err := l.listed(ctx)
	if err != nil || end <= l.state.Next {
		return err
	}
	// From the last one backwards, until one repeats the first that is not known.
	type read struct {
		e   *entry
		box []byte
	}
	var way []read
	for n := end - 1; ; {
		box, err := l.get(ctx, n)
		if err != nil {
			return nil // Complete says what is wrong
		}
		e, err := l.unseal(n, box)
		if err != nil || uint64(len(e.Earlier)) > n {
			return nil
		}
		if slices.ContainsFunc(tailOf(e), func(r repeat) bool { return r.Kind == (*Bridge)(nil).kind() }) {
			return nil // who made it knew less of what it bridged than a repeat may
		}
		way = append(way, read{e, box})
		first := n - uint64(len(e.Earlier))
		if first <= l.state.Next {
			break
		}
		n = first - 1
	}
	for _, r := range slices.Backward(way) {
		if err := l.takeOver(r.e, r.box); err != nil {
			return nil // likewise
		}
	}
	l.end = end
	return nil
}

// listed lists the entries that are not known yet and returns the number behind
// the last; 0 where one is missing, or there are too many for a leap.
func (l *Ledger) listed(ctx context.Context) (end uint64, err error) {
	end = l.state.Next
	after := ""
	if end > 0 {
		after = Slot(end - 1)
	}
	for info, err := range l.store.List(ctx, Prefix, after) {
		if err != nil {
			return 0, fmt.Errorf("list the ledger: %w", err)
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(info.Name, Prefix), 10, 64)
		if err != nil || n != end || n-l.state.Next == mostLeap {
			return 0, nil
		}
		end++
	}
	return end, nil
}

var errRepeats = errors.New("what an entry repeats is no use")

// takeOver applies what an entry repeats of those that are not known, and then
// the entry itself. Nothing is applied where it does not follow from what is.
func (l *Ledger) takeOver(e *entry, box []byte) error {
	next := l.state.Next
	all := tailOf(e)
	first := e.N - uint64(len(e.Earlier))
	if first > next || next > e.N {
		return errRepeats
	}
	all = all[next-first:]
	if !bytes.Equal(all[0].Prev, l.state.Head[:prevLength]) {
		return errRepeats
	}
	bodies := make([]Body, len(all))
	for i, r := range all {
		b, err := (&entry{N: next + uint64(i), Kind: r.Kind, Body: r.Body}).body()
		if err != nil {
			return err
		}
		bodies[i] = b
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range bodies {
		l.state.apply(next+uint64(i), all[i].Time, b)
	}
	l.state.Next, l.state.Head = e.N+1, sha256.Sum256(box)
	l.took(e, box)
	return nil
}

// took notes that an entry was read and applied.
func (l *Ledger) took(e *entry, box []byte) {
	l.verified = true
	if l.tail = nil; len(e.Body) <= longestRepeat {
		l.tail = tailOf(e)
	}
	if len(e.Earlier) == 0 || l.due.Reads == 0 { // else it was read in place of the one before
		l.due.Reads++
	}
	l.due.Bytes += int64(len(box))
}
