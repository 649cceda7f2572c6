package localsource

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"

	"restante/backup"
)

// validity is the UIDVALIDITY of all folders: keys are never used again, so
// there is only one epoch.
const validity = 1

// A numbering gives UIDs to keys.
type numbering struct {
	known map[string]uint32
	next  uint32
}

func newNumbering(known backup.Known) (*numbering, error) {
	n := &numbering{next: 1}
	if known.Keys == nil || known.UIDValidity != validity {
		return n, nil // the first time, or what is known is from another kind of source
	}
	n.next = max(n.next, known.UIDNext)
	var err error
	if n.known, err = known.Keys(); err != nil {
		return nil, err
	}
	delete(n.known, "") // of messages without a key, which an IMAP account has
	for _, uid := range n.known {
		if uid >= n.next {
			n.next = uid + 1
		}
	}
	return n, nil
}

// fresh returns the UID for a key that is not known.
func (n *numbering) fresh() (uint32, error) {
	if n.next == 0 || n.next == math.MaxUint32 {
		return 0, errors.New("the folder has no UIDs left")
	}
	n.next++
	return n.next - 1, nil
}

// A census says which messages a folder has. Nothing of it changes but that
// messages may turn out to be gone.
type census struct {
	next    uint32
	entries []entry // in ascending order of UIDs
	sets    [][]string
	doubt   error // wraps ErrEnumeration where a message that is not here need not be gone
	// flagsUnknown says that flags may be there which could not be read.
	flagsUnknown bool

	mu   sync.Mutex // guards what follows
	gone map[uint32]bool
}

// An entry is a message.
type entry struct {
	uid uint32
	at  uint32 // where its folder finds it
	set uint32 // its flags are sets[set]
}

// A counter makes a census. Messages share their sets of flags: there may be
// a million of the former, and seldom a hundred of the latter.
type counter struct {
	*census
	numbers map[string]uint32 // of sets
}

func newCounter() *counter {
	return &counter{&census{gone: map[uint32]bool{}}, map[string]uint32{}}
}

func (c *counter) add(uid, at uint32, flags []string) {
	name := strings.Join(flags, "\x00")
	set, ok := c.numbers[name]
	if !ok {
		set = uint32(len(c.sets))
		c.sets = append(c.sets, slices.Clone(flags))
		c.numbers[name] = set
	}
	c.entries = append(c.entries, entry{uid: uid, at: at, set: set})
}

func (c *counter) finish(next uint32) *census {
	c.next = next
	slices.SortFunc(c.entries, func(a, b entry) int { return int(int64(a.uid) - int64(b.uid)) })
	return c.census
}

// find returns the position of a UID among the entries.
func (c *census) find(uid uint32) (int, bool) {
	return slices.BinarySearchFunc(c.entries, uid, func(e entry, uid uint32) int { return int(int64(e.uid) - int64(uid)) })
}

// vanished takes note that a message is gone for certain.
func (c *census) vanished(uid uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone[uid] = true
}

// Status is the state of the folder. The number of messages is of those that
// are mail.
func (c *census) Status() backup.Status {
	return backup.Status{UIDValidity: validity, UIDNext: c.next, Messages: uint32(len(c.entries))}
}

// UIDs returns the UIDs of the messages that are not known to be gone.
func (c *census) UIDs(context.Context) ([]uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	uids := make([]uint32, 0, len(c.entries))
	for _, e := range c.entries {
		if !c.gone[e.uid] {
			uids = append(uids, e.uid)
		}
	}
	return uids, c.doubt
}

// Flags tells the flags of all messages, whatever since is.
func (c *census) Flags(_ context.Context, _ uint64, each func(uid uint32, flags []string)) error {
	if c.flagsUnknown {
		return nil // better the last known ones than none
	}
	for _, e := range c.entries {
		each(e.uid, c.sets[e.set])
	}
	return nil
}
