package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"restante/storage"
	"restante/storage/messages"
	"slices"
)

// A chunk is messages that are asked for at once.
type chunk struct {
	uids  []uint32 // still to be read
	tries int      // that ended the connection
}

// again is what is to be tried after the connection was lost: the same once
// more, since connections are lost for many reasons, and then halves, since it
// may be one message that makes the server hang up, always.
func (c *chunk) again() []*chunk {
	if n := len(c.uids); n > 1 && c.tries >= chunkTries {
		return []*chunk{{uids: c.uids[:n/2]}, {uids: c.uids[n/2:]}}
	}
	return []*chunk{c}
}

// read reads the messages into the job's draft. With an error, the chunk has
// those that are still to be read.
func (c *chunk) read(ctx context.Context, j *job, m Mailbox) error {
	if c.tries == 0 { // else it may be what made the server hang up
		left, err := j.takeShared(ctx, m, c.uids)
		if err != nil {
			return err
		}
		if c.uids = left; len(left) == 0 {
			return nil
		}
	}
	rest, err := j.read(ctx, m, c.uids)
	if len(rest) < len(c.uids) {
		c.tries = 0
	}
	c.uids = rest
	return err
}

// read reads messages into the draft. With an error it returns the messages that are still to be read.
func (j *job) read(ctx context.Context, m Mailbox, uids []uint32) (rest []uint32, err error) {
	got, err := j.fetch(ctx, m, uids)
	if errors.Is(err, ErrRefused) && len(uids) > 1 {
		// One of them is the trouble. Halves find it.
		half := len(uids) / 2
		if rest, err := j.read(ctx, m, uids[:half]); err != nil {
			return slices.Concat(rest, uids[half:]), err
		}
		return j.read(ctx, m, uids[half:])
	}
	var left []uint32
	var reason error
	switch {
	case errors.Is(err, ErrRefused):
		left, reason = uids, err
	case err != nil:
		return uids, err
	default:
		left = without(uids, got)
		reason = errors.New("the server left it out of its answer")
	}
	for range messageTries - 1 {
		if len(left) == 0 {
			break
		}
		if left, reason, err = j.again(ctx, m, left, reason); err != nil {
			j.run.o.Progress.MessagesDone.Add(int64(len(uids) - len(left)))
			return left, err
		}
	}
	for _, uid := range left {
		j.setAside(uid, reason.Error())
	}
	j.run.o.Progress.MessagesDone.Add(int64(len(uids)))
	return nil, nil
}

// again asks one by one for messages that did not come, unless they are gone
// by now, and returns those that still do not come and why; with an error,
// those that are still to be read.
func (j *job) again(ctx context.Context, m Mailbox, uids []uint32, reason error) (left []uint32, why error, _ error) {
	exists, err := m.UIDs(ctx)
	if err != nil && !errors.Is(err, ErrEnumeration) {
		return uids, nil, err
	}
	for i, uid := range uids {
		if _, there := slices.BinarySearch(exists, uid); !there && err == nil {
			j.mu.Lock()
			if j.expunged == nil {
				j.expunged = map[uint32]bool{}
			}
			j.expunged[uid] = true
			j.mu.Unlock()
			continue
		}
		got, fetchErr := j.fetch(ctx, m, []uint32{uid})
		switch {
		case errors.Is(fetchErr, ErrRefused):
			left, reason = append(left, uid), fetchErr
		case fetchErr != nil:
			return append(left, uids[i:]...), nil, fetchErr
		case len(got) == 0:
			left = append(left, uid)
		}
	}
	return left, reason, nil
}

// fetch reads messages, saves them and adds them to the draft. It returns the
// UIDs it got.
func (j *job) fetch(ctx context.Context, m Mailbox, uids []uint32) ([]uint32, error) {
	r := j.run
	var list []storage.Message
	var octets, whole int64
	flagless := false
	err := m.Fetch(ctx, uids, func(f *Fetched) error {
		saved, err := r.w.SaveMessage(f.Body, f.Size)
		if err != nil {
			return &LocalError{Err: fmt.Errorf("folder %q, UID %d: %w", j.name, f.UID, err)}
		}
		// After the proof, which is against Body as it is by now.
		if err := f.unchanged(); err != nil {
			return &LocalError{Err: fmt.Errorf("folder %q, UID %d: %w", j.name, f.UID, err)}
		}
		if saved.Whole {
			whole++
			r.o.Log.Warn("a message could not be cut exactly and is stored whole", "account", r.o.Account, "folder", j.name, "uid", f.UID)
		}
		msg, err := summarize(f)
		if err != nil {
			return &LocalError{Err: fmt.Errorf("folder %q, UID %d: %w", j.name, f.UID, err)}
		}
		msg.Recipe = saved.Recipe
		list = append(list, msg)
		octets += f.Size
		flagless = flagless || f.FlagsUnknown
		r.o.Progress.Bytes.Add(f.Size)
		return nil
	})
	if err != nil {
		// Nothing of a FETCH that failed is believed. What was saved of it is
		// found again when it is read again.
		return nil, err
	}
	slices.SortFunc(list, func(a, b storage.Message) int { return int(int64(a.UID) - int64(b.UID)) })
	if err := j.draft.Add(list); err != nil {
		return nil, &LocalError{Err: err}
	}
	j.offer(list)
	got := make([]uint32, len(list))
	for i := range list {
		got[i] = list[i].UID
	}
	if flagless {
		j.mu.Lock()
		j.doubt = true // the next run asks for all flags
		j.mu.Unlock()
		r.setIncomplete()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(list) > 0 {
		j.each = max(1, octets/int64(len(list)))
	}
	r.fetched += int64(len(list))
	r.stats.New += int64(len(list))
	r.stats.Read += octets
	r.uncounted += octets
	r.unnamed += int64(len(list))
	r.whole += whole
	return got, nil
}

// summarize makes the record of a message, without its recipe.
func summarize(f *Fetched) (storage.Message, error) {
	header, err := messages.ReadHeader(f.Body, f.Size, headerLimit)
	if err != nil {
		return storage.Message{}, err
	}
	s := messages.Summarize(header)
	return storage.Message{
		UID: f.UID, Key: f.Key, InternalDate: f.InternalDate, Size: f.Size, Flags: f.Flags,
		From: s.From, To: s.To, Subject: s.Subject, Date: s.Date, MessageID: storage.HashMessageID(s.MessageID),
	}, nil
}

// summarizeOutline makes the record of a message that was not read, without its
// recipe.
func summarizeOutline(o *Outline) (storage.Message, error) {
	m, err := summarize(&Fetched{UID: o.UID, Key: o.Key, Flags: o.Flags, InternalDate: o.InternalDate, Body: bytes.NewReader(o.Octets), Size: int64(len(o.Octets))})
	m.Size = o.Size
	return m, err
}

// without returns what of the sorted all is not in the sorted some.
func without(all, some []uint32) (rest []uint32) {
	for _, uid := range all {
		if _, there := slices.BinarySearch(some, uid); !there {
			rest = append(rest, uid)
		}
	}
	return rest
}
