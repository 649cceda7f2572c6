package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"

	"restante/storage"
)

// At Gmail a label is a folder, and each message is once more in the folder of
// all messages. So that one is read first, and what of it is in other folders
// is not read there, but taken from it.

// shared has the messages of the folder of all messages, by their keys. There
// may be a million of them, at 32 octets each and what the map takes.
type shared struct {
	parent *storage.Folder // what the last snapshot has of it; nil: nothing

	mu     sync.Mutex // guards what follows
	loaded bool       // what the parent has was taken in
	byKey  map[[8]byte]sharedMessage
}

// A sharedMessage is one of the folder of all messages.
type sharedMessage struct {
	recipe storage.BlobID
	// print is of all that must agree in another folder.
	print [8]byte
}

// share finds the folder of all messages (RFC 6154 section 2) and puts it
// first, if the source shares messages. A full run reads everything everywhere.
func (r *run) share() {
	s, ok := r.src.(SharingSource)
	if !ok || r.o.Full || !s.Sharing() {
		return
	}
	for _, j := range r.jobs {
		if j.listed.NoSelect || !slices.ContainsFunc(j.listed.SpecialUse, func(use string) bool { return strings.EqualFold(use, `\All`) }) {
			continue
		}
		r.all, r.shared = j, &shared{parent: j.parent, byKey: map[[8]byte]sharedMessage{}}
		if i := slices.Index(r.waiting, j); i > 0 {
			r.waiting = slices.Insert(slices.Delete(r.waiting, i, i+1), 0, j)
		}
		return
	}
}

// heldBack says whether the messages of other folders are not to be read yet,
// since the folder of all messages is not read to its end. The caller holds mu.
func (r *run) heldBack() bool {
	return r.all != nil && (r.all.reading > 0 || len(r.all.chunks) > 0 || slices.Contains(r.waiting, r.all))
}

// offer notes what the folder of all messages has, for the others.
func (j *job) offer(list []storage.Message) {
	if j.run.shared != nil && j == j.run.all {
		j.run.shared.put(list)
	}
}

func (s *shared) put(list []storage.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(list)
}

// add adds messages, the first of each key. The caller holds mu.
func (s *shared) add(list []storage.Message) {
	for i := range list {
		m := &list[i]
		if m.Key == "" {
			continue
		}
		key := keyOf(m)
		if _, there := s.byKey[key]; !there {
			s.byKey[key] = sharedMessage{m.Recipe, printOf(m)}
		}
	}
}

// find finds the message with the key of m, and takes in for it what the parent
// has, which is a lot, only when it is none that was read in this run: most
// that is new in a folder is new in all of them.
func (s *shared) find(ctx context.Context, m *storage.Message) (recipe storage.BlobID, ok bool, err error) {
	if m.Key == "" {
		return recipe, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byKey[keyOf(m)]
	if !ok && !s.loaded && s.parent != nil {
		for list, err := range s.parent.PageWise(ctx, nil) {
			if err != nil {
				return recipe, false, &LocalError{Err: err}
			}
			s.add(list)
		}
		s.loaded = true
		found, ok = s.byKey[keyOf(m)]
	}
	return found.recipe, ok && found.print == printOf(m), nil
}

// keyOf is a message's key, in little room.
func keyOf(m *storage.Message) (key [8]byte) {
	sum := sha256.Sum256([]byte(m.Key))
	copy(key[:], sum[:])
	return key
}

// printOf is of a message's key, its size and what lists show of it. A key
// names a message for good, and messages do not change; but one that a server
// gets wrong would put another message in the place of this one. So the key
// only finds it, and the size and the fields that tell messages apart for
// people must agree, too. They are those that the server tells in each folder,
// not in one for all. What does not agree is read.
func printOf(m *storage.Message) (print [8]byte) {
	var b []byte
	for _, s := range []string{m.Key, m.From, m.To, m.Subject, string(m.MessageID[:])} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = binary.AppendVarint(b, m.Size)
	b = binary.AppendVarint(b, m.Date.Unix())
	sum := sha256.Sum256(b)
	copy(print[:], sum[:])
	return print
}

// takeShared adds to the draft those messages that the folder of all messages
// has, and returns the UIDs of the others.
func (j *job) takeShared(ctx context.Context, m Mailbox, uids []uint32) (rest []uint32, err error) {
	r := j.run
	sharing, ok := m.(SharingMailbox)
	if !ok || r.shared == nil || j == r.all {
		return uids, nil
	}
	var list []storage.Message
	err = sharing.Outlines(ctx, uids, func(o *Outline) error {
		msg, err := summarizeOutline(o)
		if err != nil {
			return &LocalError{Err: err}
		}
		recipe, ok, err := r.shared.find(ctx, &msg)
		if err == nil && ok {
			msg.Recipe = recipe
			list = append(list, msg)
		}
		return err
	})
	if errors.Is(err, ErrRefused) {
		return uids, nil
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b storage.Message) int { return int(int64(a.UID) - int64(b.UID)) })
	list = slices.CompactFunc(list, func(a, b storage.Message) bool { return a.UID == b.UID })
	if err := j.draft.Add(list); err != nil {
		return nil, &LocalError{Err: err}
	}
	got := make([]uint32, len(list))
	for i := range list {
		got[i] = list[i].UID
	}
	r.o.Progress.MessagesDone.Add(int64(len(got)))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.New += int64(len(got))
	r.unnamed += int64(len(got))
	return without(uids, got), nil
}
