package pop3source

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"restante/backup"
	"restante/backup/accounts/pop3conn"
)

// validity is the UIDVALIDITY of the folder: UIDs are given here and never
// used again, so there is only one epoch.
const validity = 1

// A message is one of the maildrop in a run.
type message struct {
	uid uint32
	key key
	// known says that the last snapshot has it; read, that the key's digests
	// are those of its content.
	known, read bool
	// place is its unique-id, if it can be found by that in another session of
	// the run.
	place string
	gone  bool
	lost  error // why it cannot be read in this run
}

// A census says which messages there are in a run.
type census struct {
	next     uint32
	messages []*message // in ascending order of UIDs
	byUID    map[uint32]*message
	doubt    error             // wraps ErrEnumeration where one that is not here need not be gone
	renamed  map[uint32]string // the new keys of known messages that have other ones
}

// An entry is a message of the last snapshot.
type entry struct {
	key
	uid   uint32
	text  string // of its key
	taken bool   // found
}

// lastSnapshot returns what the last snapshot has, in ascending order of UIDs,
// and the next UID.
func lastSnapshot(known backup.Known) (entries []*entry, next uint32, err error) {
	next = 1
	if known.Keys == nil || known.UIDValidity != validity {
		return nil, next, nil // the first time, or what is known is from another kind of source
	}
	next = max(next, known.UIDNext)
	keys, err := known.Keys()
	if err != nil {
		return nil, 0, err
	}
	for _, text := range slices.Sorted(maps.Keys(keys)) {
		uid := keys[text]
		if uid >= next && uid != math.MaxUint32 {
			next = uid + 1
		}
		if k, ok := parseKey(text); ok {
			entries = append(entries, &entry{key: k, uid: uid, text: text})
		}
	}
	slices.SortFunc(entries, func(a, b *entry) int { return int(int64(a.uid) - int64(b.uid)) })
	return entries, next, nil
}

// uniques returns the messages of a listing that have a unique-id that no
// other one has, by their unique-ids.
func uniques(list []pop3conn.Listed) map[string]pop3conn.Listed {
	count := map[string]int{}
	for _, l := range list {
		count[l.UIDL]++
	}
	unique := map[string]pop3conn.Listed{}
	for _, l := range list {
		if l.UIDL != "" && count[l.UIDL] == 1 {
			unique[l.UIDL] = l
		}
	}
	return unique
}

// sameSize says whether two sizes may be those of one message.
func sameSize(a, b int64) bool { return a == b || a < 0 || b < 0 }

// identify finds out which of the messages in the maildrop are known, and gives
// all others UIDs.
func (m *mailbox) identify(known backup.Known) (*census, error) {
	entries, next, err := lastSnapshot(known)
	if err != nil {
		return nil, err
	}
	list := m.session.listing.Messages
	unique := uniques(list)
	found, trusted, err := m.byPlace(list, unique, entries)
	if err != nil {
		return nil, err
	}
	c := &census{next: next, byUID: map[uint32]*message{}, renamed: map[uint32]string{}}
	if !m.session.listing.Sure {
		c.doubt = fmt.Errorf("%w: the server counts %d messages and lists others", backup.ErrEnumeration, m.session.listing.Counted)
	}
	if err := m.byContent(list, entries, found, c); err != nil {
		return nil, err
	}
	n := notes{distrusted: !trusted}
	m.session.at = map[uint32]pop3conn.Listed{}
	for _, l := range list {
		msg := &message{key: key{size: l.Size}}
		e := found[l.Number]
		if e != nil {
			msg.uid, msg.known, msg.read = e.uid, true, true
			msg.key = e.key
			msg.key.size = l.Size
		} else {
			if c.next == math.MaxUint32 {
				return nil, errors.New("the folder has no UIDs left")
			}
			msg.uid = c.next
			c.next++
		}
		msg.key.uidl = unique[l.UIDL].UIDL
		if trusted {
			msg.place = msg.key.uidl
		}
		if msg.key.uidl == "" {
			n.noUIDL++
		}
		if text := msg.key.text(msg.uid); e != nil && text != e.text {
			c.renamed[msg.uid] = text
			n.renamed++
		}
		c.messages = append(c.messages, msg)
		c.byUID[msg.uid] = msg
		m.session.at[msg.uid] = l
	}
	slices.SortFunc(c.messages, func(a, b *message) int { return int(int64(a.uid) - int64(b.uid)) })
	m.source.note(func(all *notes) { *all = n })
	return c, nil
}

// byPlace finds known messages by their unique-ids. It returns them by number,
// and whether unique-ids can be believed; if not, there are none.
func (m *mailbox) byPlace(list []pop3conn.Listed, unique map[string]pop3conn.Listed, entries []*entry) (found map[int]*entry, trusted bool, err error) {
	byUIDL := map[string]*entry{}
	twice := map[string]bool{}
	for _, e := range entries {
		if e.uidl != "" {
			twice[e.uidl] = byUIDL[e.uidl] != nil
			byUIDL[e.uidl] = e
		}
	}
	found, trusted = map[int]*entry{}, true
	var pairs []pair
	for _, l := range list {
		e := byUIDL[l.UIDL]
		if e == nil || twice[l.UIDL] || unique[l.UIDL].UIDL == "" {
			continue
		}
		if !sameSize(e.size, l.Size) {
			trusted = false
			break
		}
		found[l.Number] = e
		pairs = append(pairs, pair{l, &e.key})
	}
	if trusted {
		if trusted, err = m.sample(pairs); err != nil {
			return nil, false, err
		}
	}
	if !trusted {
		return map[int]*entry{}, false, nil
	}
	for _, e := range found {
		e.taken = true
	}
	return found, true, nil
}

// byContent reads the messages that have not been found and have the size of
// a known one that has not been found either, and finds those that are it.
func (m *mailbox) byContent(list []pop3conn.Listed, entries []*entry, found map[int]*entry, c *census) error {
	var left []*entry
	sizes := map[int64]bool{}
	for _, e := range entries {
		if !e.taken {
			left = append(left, e)
			sizes[e.size] = true
		}
	}
	var candidates []pop3conn.Listed
	for _, l := range list {
		if found[l.Number] == nil && len(left) > 0 && (sizes[l.Size] || sizes[-1] || l.Size < 0) {
			candidates = append(candidates, l)
		}
	}
	byDigest := map[string][]*entry{}
	for _, e := range left {
		d := string(e.digest[:])
		byDigest[d] = append(byDigest[d], e)
	}
	return m.examine(candidates, func(l pop3conn.Listed, r *received) error {
		if r.err != nil {
			// It may be any of those that have not been found.
			c.doubt = fmt.Errorf("%w: a message cannot be read to tell which it is: %w", backup.ErrEnumeration, r.err)
			return nil
		}
		same := byDigest[string(r.key.digest[:])]
		if len(same) == 0 {
			return nil
		}
		// Of several copies, the one with the same unique-id is the one.
		i := max(0, slices.IndexFunc(same, func(e *entry) bool { return e.uidl == l.UIDL }))
		found[l.Number] = same[i]
		same[i].taken = true
		byDigest[string(r.key.digest[:])] = slices.Delete(slices.Clone(same), i, i+1)
		return nil
	})
}

// A pair is a message in the listing and what it is taken for.
type pair struct {
	listed pop3conn.Listed
	key    *key
}

// sampleEvery is of how many messages that are taken for known ones one is
// looked at. Where unique-ids are positions, everything behind a message that
// was removed has moved, so the last one shows it, and the first one where the
// newest come first.
const sampleEvery = 50

// sample says whether some messages are what they are taken for.
func (m *mailbox) sample(pairs []pair) (right bool, err error) {
	var list []pop3conn.Listed
	keys := map[int]*key{}
	for i, p := range pairs {
		if i%sampleEvery == 0 || i == len(pairs)-1 {
			list = append(list, p.listed)
			keys[p.listed.Number] = p.key
		}
	}
	unlike, err := m.compareHeads(list, keys)
	if err != nil || len(unlike) == 0 {
		return err == nil, err
	}
	// The server may have no TOP, or show a header in it that is not the
	// message's.
	right = true
	err = m.examine(unlike, func(l pop3conn.Listed, r *received) error {
		right = right && r.err == nil && r.key.digest == keys[l.Number].digest
		return nil
	})
	return right, err
}

// errWiser marks an error that ended a session, but not the next one.
var errWiser = errors.New("the next session does without")

// examine is receive to find out which messages these are. One that ends the
// connection when it is asked for alone is told of as one that was refused, from
// the next session on.
func (m *mailbox) examine(list []pop3conn.Listed, each func(l pop3conn.Listed, r *received) error) error {
	s := m.source
	var rest []pop3conn.Listed
	for _, l := range list {
		s.mu.Lock()
		err := s.deadly[mark(l)]
		s.mu.Unlock()
		if err == nil {
			rest = append(rest, l)
		} else if err := each(l, &received{err: err}); err != nil {
			return err
		}
	}
	done := 0
	err := m.receive(rest, func(l pop3conn.Listed, r *received) error {
		done++
		return each(l, r)
	})
	if _, local := errors.AsType[*backup.LocalError](err); err == nil || local || done == len(rest) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oneByOne {
		s.deadly[mark(rest[done])] = err
	}
	s.oneByOne = true
	return &marked{err, errWiser}
}

// mark is what a message is called in the sessions of a run.
func mark(l pop3conn.Listed) string {
	if l.UIDL != "" {
		return "u" + l.UIDL
	}
	return fmt.Sprint("n", l.Number, " ", l.Size)
}

// findAgain finds the messages of the census in another session of the same
// run, those that have still to be read above all.
func (m *mailbox) findAgain() error {
	list := m.session.listing.Messages
	unique := uniques(list)
	at := map[uint32]pop3conn.Listed{}
	ours := map[string]bool{}
	var pairs []pair
	for _, msg := range m.census.messages {
		l, there := unique[msg.place]
		if msg.place == "" {
			continue
		}
		ours[msg.place] = true
		if there && sameSize(l.Size, msg.key.size) {
			at[msg.uid] = l
			if msg.read {
				pairs = append(pairs, pair{l, &msg.key})
			}
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return a.listed.Number - b.listed.Number })
	right, err := m.sample(pairs)
	if err != nil {
		return err
	}
	if !right {
		clear(at)
		ours = map[string]bool{}
	}
	strangers := map[int64]bool{} // the sizes of messages that may be any
	for _, l := range list {
		if !ours[l.UIDL] || unique[l.UIDL].UIDL == "" {
			strangers[l.Size] = true
		}
	}
	for _, msg := range m.census.messages {
		if _, there := at[msg.uid]; there || msg.read || msg.lost != nil {
			continue
		}
		if msg.place != "" && !strangers[msg.key.size] && !strangers[-1] && msg.key.size >= 0 && m.session.listing.Sure {
			msg.gone = true
			continue
		}
		msg.lost = errLost
	}
	m.session.at = at
	return nil
}

// errLost is for messages that are somewhere in the maildrop.
var errLost = errors.New("the connection was lost before it was read, and nothing tells for certain which one it is in another; the next run reads it")
