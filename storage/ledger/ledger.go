package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"restante/storage/objects"
)

// A Sealer makes and opens the boxes that entries and checkpoints are kept
// in, tied to their number.
type Sealer interface {
	SealEntry(n uint64, plain []byte) ([]byte, error)
	OpenEntry(n uint64, box []byte) ([]byte, error)
	SealCheckpoint(n uint64, plain []byte) ([]byte, error)
	OpenCheckpoint(n uint64, box []byte) ([]byte, error)
}

// A Ledger reads and appends to the ledger in a store. Its methods may be
// called from many goroutines.
type Ledger struct {
	store  objects.Store
	sealer Sealer
	writer string
	// Pause waits before the try after the i-th failed one; tests replace it.
	pause func(ctx context.Context, i int) error

	appending sync.Mutex // one Append or Refresh at a time

	mu    sync.RWMutex // guards state; written to under appending only
	state *State
	// verified says that the object before state.Next was seen in the store,
	// not only in a cache.
	verified bool
	// what tells whether a checkpoint is due; guarded by appending.
	due due
	// tail is what the next entry may repeat: what the last one said, and what
	// that repeats. Guarded by appending.
	tail []repeat
	// end is the number of the first slot that a list has shown to be absent,
	// with all behind it; 0: none has. Guarded by appending.
	end uint64
}

// Errors of reading and appending. Others are the store's.
var (
	// ErrUnknown says that nobody could find out whether an entry was
	// appended. It may be there; nothing may be reported as done.
	ErrUnknown = errors.New("the store did not say whether the entry was written")
	// ErrShorter says that entries which this machine has seen are not there
	// any more.
	ErrShorter = errors.New("the ledger is shorter than it was, or another one; the store was put back to an older state")
	// ErrChain says that an entry does not follow the one before it.
	ErrChain = errors.New("the chain of the ledger is broken")
	// ErrHole says that an entry is not there, though later ones are.
	ErrHole = errors.New("an entry of the ledger is missing, though later ones are there")
	// ErrNone says that there is no ledger: no repository, or a half-made one.
	ErrNone = errors.New("there is no ledger")
)

const (
	// tries is how often an unclear append is asked after; with pauses that
	// grow to some seconds this is about two minutes.
	tries = 40

	// Prefix is what the names of entries begin with.
	Prefix = "ledger/"
)

// First is the name of entry 0, with which a repository begins to exist.
const First = Prefix + "000000000000"

// Slot is the name of entry n.
func Slot(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	return First[:max(len(First)-len(digits), len(Prefix))] + digits
}

// New returns the ledger that begins at the config with this SHA-256. Nothing
// is read yet. Writer is what new entries say of who wrote them.
func New(store objects.Store, sealer Sealer, config [32]byte, writer string) *Ledger {
	s := newState()
	s.Head = config
	return &Ledger{store: store, sealer: sealer, writer: writer, pause: Pause, state: s, verified: true}
}

// Anew returns a ledger in the same store that nothing was read of yet.
func (l *Ledger) Anew(config [32]byte) *Ledger {
	n := New(l.store, l.sealer, config, l.writer)
	n.pause = l.pause
	return n
}

// View calls f with the state, which f may neither change nor keep.
func (l *Ledger) View(f func(*State)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f(l.state)
}

// Entries is how many entries are known.
func (l *Ledger) Entries() (n uint64) {
	l.View(func(s *State) { n = s.Next })
	return n
}

// Refresh reads the entries that were appended since. Where the state came out
// of a cache, it first makes sure that the last entry known of is still there.
func (l *Ledger) Refresh(ctx context.Context) error {
	l.appending.Lock()
	defer l.appending.Unlock()
	if err := l.verify(ctx); err != nil {
		return err
	}
	// Most often there is nothing new, or little. Where there is much, slots
	// are read side by side; what is absent costs a request each, no more.
	for i := 0; ; i++ {
		n := l.state.Next
		boxes, err := l.getSome(ctx, n, 1<<min(max(0, i-5), 4))
		if err != nil {
			return err
		}
		for k, box := range boxes {
			var err error
			if box != nil {
				_, err = l.takeRead(ctx, n+uint64(k), box)
			}
			switch {
			case box == nil, errors.Is(err, objects.ErrNotFound): // what came for it was another one's
				// The first absent slot: the end.
				if l.state.Next == 0 {
					return ErrNone
				}
				return nil
			case err != nil:
				if bridged, bridgeErr := l.bridge(ctx); bridgeErr != nil {
					return errors.Join(err, bridgeErr)
				} else if !bridged {
					return err
				}
			}
			if l.state.Next != n+uint64(k)+1 { // a bridge leads further
				break
			}
		}
	}
}

// getSome gets so many entries from n on, side by side. Those that are absent
// are nil.
func (l *Ledger) getSome(ctx context.Context, n uint64, count int) ([][]byte, error) {
	boxes := make([][]byte, count)
	get := func(k int) (err error) {
		boxes[k], err = l.get(ctx, n+uint64(k))
		if err != nil && !errors.Is(err, objects.ErrNotFound) {
			return fmt.Errorf("read ledger entry %d: %w", n+uint64(k), err)
		}
		return nil
	}
	if count == 1 {
		return boxes, get(0)
	}
	var g errgroup.Group
	for k := range boxes {
		g.Go(func() error { return get(k) })
	}
	return boxes, g.Wait()
}

// Complete is Refresh, and also makes sure that nothing stands behind the end:
// a store that lost an entry would else pass for one that never had those
// after it.
func (l *Ledger) Complete(ctx context.Context) error {
	for {
		if err := l.Refresh(ctx); err != nil && !errors.Is(err, ErrNone) {
			return err
		}
		l.appending.Lock()
		seen := l.end > 0 && l.end == l.state.Next
		l.end = 0
		l.appending.Unlock()
		if seen {
			return nil
		}
		next := Slot(l.Entries())
		beyond := ""
		for info, err := range l.store.List(ctx, Prefix, next) {
			if err != nil {
				return fmt.Errorf("list the ledger: %w", err)
			}
			beyond = info.Name
			break
		}
		if beyond == "" {
			if next == First {
				return ErrNone
			}
			return nil
		}
		// Others may have appended both since.
		_, err := l.store.Get(ctx, next, 0, -1)
		if errors.Is(err, objects.ErrNotFound) {
			l.appending.Lock()
			bridged, bridgeErr := l.bridge(ctx)
			l.appending.Unlock()
			if bridgeErr != nil {
				return bridgeErr
			}
			if bridged {
				continue
			}
			return fmt.Errorf("%s: %w (%s)", next, ErrHole, beyond)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", next, err)
		}
	}
}

// Damaged names the entries from the first one on that was not read that are missing,
// cannot be opened, or stand in another's place, and says what is wrong. It is
// for a ledger that Complete could not read to its end.
func (l *Ledger) Damaged(ctx context.Context) (map[string]error, error) {
	damaged := map[string]error{}
	n := l.Entries()
	if l.appending.Lock(); !l.verified && n > 0 {
		n-- // a cache or a checkpoint has it, and nobody has looked
	}
	l.appending.Unlock()
	var names []string
	for info, err := range l.store.List(ctx, Prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list the ledger: %w", err)
		}
		if info.Name >= Slot(n) {
			names = append(names, info.Name)
		}
	}
	for _, name := range names {
		for ; Slot(n) < name; n++ {
			damaged[Slot(n)] = errors.New("the entry is missing")
		}
		if name != Slot(n) {
			continue // not an entry
		}
		var readErr error
		if err := objects.Proven(func() (b []byte, err error) {
			b, readErr = l.get(ctx, n)
			return b, readErr
		}, func(b []byte) error {
			_, err := l.sealer.OpenEntry(n, b)
			return err
		}); readErr != nil {
			return nil, fmt.Errorf("read ledger entry %d: %w", n, readErr)
		} else if err != nil {
			damaged[name] = err
		}
		n++
	}
	return damaged, nil
}

// Verify makes sure that the last entry of a state out of a cache is in the
// store. It does not look for new ones.
func (l *Ledger) Verify(ctx context.Context) error {
	l.appending.Lock()
	defer l.appending.Unlock()
	if l.state.Next == 0 {
		return ErrNone
	}
	return l.verify(ctx)
}

// verify makes sure that the last entry of a state out of a cache or a
// checkpoint is in the store.
func (l *Ledger) verify(ctx context.Context) error {
	if l.verified || l.state.Next == 0 {
		return nil
	}
	n := l.state.Next - 1
	err := objects.Proven(func() ([]byte, error) {
		box, err := l.get(ctx, n)
		if errors.Is(err, objects.ErrNotFound) {
			return nil, fmt.Errorf("ledger entry %d: %w", n, ErrShorter)
		}
		if err != nil {
			return nil, fmt.Errorf("read ledger entry %d: %w", n, err)
		}
		return box, nil
	}, func(box []byte) error {
		if sha256.Sum256(box) == l.state.Head {
			return nil
		}
		if _, err := l.sealer.OpenEntry(n, box); err != nil {
			return fmt.Errorf("open ledger entry %d: %w", n, err)
		}
		return fmt.Errorf("ledger entry %d: %w", n, ErrShorter)
	})
	l.verified = err == nil
	return err
}

func (l *Ledger) get(ctx context.Context, n uint64) ([]byte, error) {
	return l.store.Get(ctx, Slot(n), 0, -1)
}

// takeRead takes entry n, which was read from the store.
func (l *Ledger) takeRead(ctx context.Context, n uint64, box []byte) (e *entry, err error) {
	err = objects.Proven(func() ([]byte, error) {
		if b := box; b != nil {
			box = nil
			return b, nil
		}
		b, err := l.get(ctx, n)
		if err != nil {
			err = fmt.Errorf("read ledger entry %d: %w", n, err)
		}
		return b, err
	}, func(b []byte) (err error) {
		e, err = l.take(n, b)
		return err
	})
	return e, err
}

// take opens entry n and applies it.
func (l *Ledger) take(n uint64, box []byte) (*entry, error) {
	e, err := l.open(n, l.state.Head, box)
	if err != nil {
		return nil, err
	}
	body, err := e.body()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.apply(n, e.Time, body)
	l.state.Next, l.state.Head = n+1, sha256.Sum256(box)
	l.took(e, box)
	return e, nil
}

func (l *Ledger) open(n uint64, head [32]byte, box []byte) (*entry, error) {
	e, err := l.unseal(n, box)
	if err != nil {
		return nil, err
	}
	if e.Prev != head {
		return nil, fmt.Errorf("ledger entry %d: %w", n, ErrChain)
	}
	return e, nil
}

// unseal opens entry n without looking at what is before it.
func (l *Ledger) unseal(n uint64, box []byte) (*entry, error) {
	plain, err := l.sealer.OpenEntry(n, box)
	if err != nil {
		return nil, fmt.Errorf("open ledger entry %d: %w", n, err)
	}
	e := new(entry)
	if err := decMode.Unmarshal(plain, e); err != nil {
		return nil, fmt.Errorf("ledger entry %d: %w", n, err)
	}
	if e.N != n {
		return nil, fmt.Errorf("ledger entry %d: %w", n, ErrChain)
	}
	return e, nil
}

// Append appends an entry. Propose makes its body from the state that all
// entries before it give; it is called again when others were faster, and ends
// the append with an error. It must not change or keep the state.
//
// The error is ErrUnknown where nobody knows whether the entry is there.
func (l *Ledger) Append(ctx context.Context, propose func(*State) (Body, error)) error {
	l.appending.Lock()
	defer l.appending.Unlock()
	if err := l.verify(ctx); err != nil {
		return err
	}
	e := entry{Writer: l.writer}
	if _, err := rand.Read(e.Nonce[:]); err != nil {
		return err
	}
	for { // once per slot
		if ctx.Err() != nil {
			return context.Cause(ctx) // nothing was sent, and that is known
		}
		body, err := propose(l.state)
		if err != nil {
			return err
		}
		n := l.state.Next
		e.N, e.Prev, e.Kind, e.Time = n, l.state.Head, body.kind(), time.Now().Unix()
		if e.Body, err = encMode.Marshal(body); err != nil {
			return fmt.Errorf("encode ledger entry: %w", err)
		}
		box, err := l.sealNext(e)
		if err != nil {
			return err
		}
		ours, err := l.put(ctx, n, box, e.Nonce)
		if err != nil {
			return fmt.Errorf("append ledger entry %d: %w", n, err)
		}
		if ours {
			return nil
		}
	}
}

// put puts box into slot n until somebody's entry stands there, applies that,
// and tells whether it is ours.
func (l *Ledger) put(ctx context.Context, n uint64, box []byte, nonce [16]byte) (ours bool, err error) {
	unclear := false // an earlier try may have stored the entry, or may still
	for i := 0; ; i++ {
		err := l.store.PutIfAbsent(ctx, Slot(n), box)
		switch {
		case err == nil:
			_, err := l.take(n, box)
			return err == nil, err
		case errors.Is(err, objects.ErrExists):
			// Somebody's, or our own from an unanswered try.
		case errors.Is(err, objects.ErrRefused) || errors.Is(err, objects.ErrFull):
			if !unclear {
				return false, err
			}
		default:
			unclear = true
		}
		if theirs, getErr := l.get(ctx, n); getErr == nil {
			e, err := l.takeRead(ctx, n, theirs)
			if err != nil {
				return false, err
			}
			return e.Nonce == nonce, nil
		}
		// Absent, or unreadable for now: the same octets into the same slot,
		// never the next one.
		if i == tries {
			return false, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		if waitErr := l.pause(ctx, i); waitErr != nil {
			if !unclear {
				return false, waitErr
			}
			return false, fmt.Errorf("%w: %w", ErrUnknown, waitErr)
		}
	}
}

// Pause waits before the try after the i-th failed one: 50 ms, doubled each
// time, at most 5 s.
func Pause(ctx context.Context, i int) error {
	d := min(50*time.Millisecond<<min(i, 10), 5*time.Second)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
