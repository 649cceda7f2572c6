package backup

import (
	"context"
	"errors"
	"slices"

	"restante/storage"
)

// compare finds what is new, gone and flagged since the parent, and returns
// the new UIDs. flagsKnown says whether the source told all flags that may have
// changed.
func (j *job) compare(ctx context.Context, m Mailbox, d *storage.Draft, parent *storage.Folder, exists []uint32, doubt bool) (fresh []uint32, flagsKnown bool, err error) {
	since := parent.HighestModSeq
	if m.Status().HighestModSeq < since {
		since = 0 // there is none, or the server was put back to an earlier state
	}
	var changed map[uint32][]string
	var uncertain error
	flagsAsked := (since == 0 || m.Status().HighestModSeq != since) && parent.Messages > 0
	if flagsAsked {
		if changed, err = flagsOf(ctx, m, since); errors.Is(err, ErrEnumeration) {
			uncertain = err
		} else if err != nil {
			return nil, false, err
		}
	}
	var gone []uint32
	untold := map[uint32][]string{} // of all that were asked for; with the flags of the parent
	flagged := int64(0)
	rest := exists
	for known, err := range parent.Flags(ctx) {
		if err != nil {
			return nil, false, &LocalError{Err: err}
		}
		for len(rest) > 0 && rest[0] < known.UID {
			fresh, rest = append(fresh, rest[0]), rest[1:]
		}
		switch {
		case len(rest) > 0 && rest[0] == known.UID:
			rest = rest[1:]
		case doubt:
			continue // left out of an answer is not gone
		default:
			gone = append(gone, known.UID)
			continue
		}
		switch flags, ok := changed[known.UID]; {
		case !ok && flagsAsked && since == 0:
			untold[known.UID] = known.Flags
		case ok && !sameFlags(flags, known.Flags):
			d.SetFlags(known.UID, flags)
			flagged++
		}
	}
	fresh = append(fresh, rest...)
	still, err := stillThere(ctx, m, gone)
	if err != nil {
		return nil, false, err
	}
	more, err := j.askForFlags(ctx, m, d, untold)
	if err != nil {
		return nil, false, err
	}
	switch {
	case len(untold) > 0:
		j.run.note("folder %q: the server did not tell the flags of %s; they stay as they were", j.name, count(int64(len(untold))))
	case uncertain != nil && since != 0:
		j.run.note("folder %q: %v", j.name, uncertain)
	default:
		flagsKnown = true
	}
	if still > 0 {
		j.run.note("folder %q: the server does not list %s that are there when they are asked for; none of its messages is taken for gone", j.name, count(int64(still)))
		gone, flagsKnown = nil, false
	}
	if !flagsKnown {
		j.run.setIncomplete()
	}
	d.Remove(gone)
	j.run.mu.Lock()
	defer j.run.mu.Unlock()
	j.run.stats.Gone += int64(len(gone))
	j.run.stats.Flagged += flagged + more
	return fresh, flagsKnown, nil
}

// mostConfirmed is of how many messages that are gone it is asked twice whether
// they are.
const mostConfirmed = 256

// stillThere counts the messages that the source does not list, and gives when it
// is asked for them: what an index that is broken does, which may list as many as
// there are. Of many messages some are asked for, from everywhere among them.
func stillThere(ctx context.Context, m Mailbox, gone []uint32) (int, error) {
	c, ok := m.(ConfirmingMailbox)
	if !ok || len(gone) == 0 {
		return 0, nil
	}
	step := (len(gone) + mostConfirmed - 1) / mostConfirmed
	var some []uint32
	for i := 0; i < len(gone); i += step {
		some = append(some, gone[i])
	}
	still, err := c.Still(ctx, some)
	if errors.Is(err, ErrRefused) {
		return 0, nil // as some servers do where there is none of what is asked for
	}
	return len(still), err
}

// flagsOf gathers what Flags tells.
func flagsOf(ctx context.Context, m Mailbox, since uint64) (map[uint32][]string, error) {
	list := map[uint32][]string{}
	err := m.Flags(ctx, since, func(uid uint32, flags []string) { list[uid] = flags })
	return list, err
}

// askForFlags asks again for flags that were left out of an answer, which are
// unknown, not unchanged. It takes out of untold those that were told, or whose
// messages are gone by now, and returns how many had changed.
func (j *job) askForFlags(ctx context.Context, m Mailbox, d *storage.Draft, untold map[uint32][]string) (flagged int64, err error) {
	for range messageTries - 1 {
		if len(untold) == 0 {
			break
		}
		exists, err := m.UIDs(ctx)
		if err != nil && !errors.Is(err, ErrEnumeration) {
			return 0, err
		}
		certain := err == nil
		told, err := flagsOf(ctx, m, 0)
		if err != nil && !errors.Is(err, ErrEnumeration) {
			return 0, err
		}
		for uid, known := range untold {
			flags, ok := told[uid]
			if _, there := slices.BinarySearch(exists, uid); !ok && (there || !certain) {
				continue
			}
			if delete(untold, uid); ok && !sameFlags(flags, known) {
				d.SetFlags(uid, flags)
				flagged++
			}
		}
	}
	return flagged, nil
}

// sameFlags compares sets.
func sameFlags(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
