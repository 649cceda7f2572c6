package imapsource

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"

	"restante/backup"
)

// UIDs asks SEARCH for all UIDs. What a SEARCH leaves out would be taken for
// gone, so their number must be the number of messages that the server counts.
// If it is not, UIDs asks again, then goes by FETCH, and then says that the
// server contradicts itself.
func (m *mailbox) UIDs(ctx context.Context) ([]uint32, error) {
	defer m.c.Bind(ctx)()
	var found []uint32
	searched := false
	for range 3 {
		before := m.counted()
		uids, err := m.search()
		if errors.Is(err, backup.ErrRefused) || errors.Is(err, backup.ErrEnumeration) {
			break
		}
		if err != nil {
			return nil, err
		}
		found, searched = uids, true
		// The answer is about the messages that were told of before, and servers
		// tell of what came or went meanwhile with it.
		if n := len(uids); (n == before || n == m.counted()) && m.c.Counted() {
			return uids, nil
		}
		if err := m.c.Noop().Wait(); err != nil { // what has not been told is told with it
			return nil, m.c.explain("NOOP", err)
		}
	}
	before := m.counted()
	listed, err := m.enumerate()
	if err != nil && !(searched && errors.Is(err, backup.ErrRefused) && m.c.Err() == nil) {
		return nil, err
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(found, listed))))
	if n := len(listed); err == nil && n == len(all) && (n == before || n == m.counted()) && m.c.Counted() {
		return listed, nil
	}
	if !m.c.Counted() {
		return all, fmt.Errorf("%w: SEARCH tells of %d messages, and the server does not say how many there are", backup.ErrEnumeration, len(found))
	}
	return all, fmt.Errorf("%w: SEARCH tells of %d messages, FETCH of %d, and the server counts %d", backup.ErrEnumeration, len(found), len(listed), m.counted())
}

func (m *mailbox) search() ([]uint32, error) {
	var options *imap.SearchOptions
	if m.c.Caps().Has(imap.CapESearch) {
		options = &imap.SearchOptions{ReturnAll: true}
	}
	data, err := m.c.UIDSearch(&imap.SearchCriteria{}, options).Wait()
	if err != nil {
		return nil, m.c.explain("UID SEARCH", err)
	}
	set, _ := data.All.(imap.UIDSet)
	return m.expand(set)
}

// expand makes a list of a set, if it is not absurdly large.
func (m *mailbox) expand(set imap.UIDSet) ([]uint32, error) {
	total := uint64(0)
	for _, r := range set {
		if r.Start == 0 || r.Stop < r.Start {
			return nil, fmt.Errorf("UID SEARCH: %w: the set %v", backup.ErrEnumeration, r)
		}
		if total += uint64(r.Stop-r.Start) + 1; total > uint64(m.most()) {
			return nil, fmt.Errorf("UID SEARCH: %w: it tells of %d messages or more, and the server counts %d", backup.ErrEnumeration, total, m.counted())
		}
	}
	uids := make([]uint32, 0, total)
	for _, r := range set {
		for uid := uint64(r.Start); uid <= uint64(r.Stop); uid++ {
			uids = append(uids, uint32(uid))
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// all is every message there is.
var all = imap.UIDSet{imap.UIDRange{Start: 1, Stop: 0}}

// enumerate asks FETCH for all UIDs.
func (m *mailbox) enumerate() (uids []uint32, err error) {
	if m.counted() == 0 {
		return nil, nil // some servers refuse 1:* where there is nothing
	}
	most := m.most()
	err = m.fetch("FETCH UID", all, &imap.FetchOptions{UID: true}, func(f *fetched) error {
		if uids = append(uids, f.uid); len(uids) > most {
			return tooMany(most)
		}
		return nil
	})
	slices.Sort(uids)
	return slices.Compact(uids), err
}

// Still asks FETCH for single messages.
func (m *mailbox) Still(ctx context.Context, uids []uint32) (there []uint32, err error) {
	defer m.c.Bind(ctx)()
	err = m.fetch("FETCH UID", setOf(uids), &imap.FetchOptions{UID: true}, func(f *fetched) error {
		there = append(there, f.uid)
		return nil
	})
	return there, err
}

// tooMany is the error for a server that does not stop telling of messages.
func tooMany(most int) error {
	return fmt.Errorf("%w: it tells of more than %d messages", backup.ErrRefused, most)
}
