package imapsource

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/backup"
	"restante/backup/accounts/imapconn"
)

// Open examines a folder on a connection of its own.
func (s *Source) Open(ctx context.Context, l backup.Listed, _ backup.Known) (backup.Mailbox, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	m := &mailbox{source: s, c: c}
	if err := m.examine(ctx, s.name(&l)); err != nil {
		s.release(c)
		return nil, err
	}
	return m, nil
}

type mailbox struct {
	source *Source
	c      *connection
	status backup.Status
}

func (m *mailbox) examine(ctx context.Context, name string) error {
	defer m.c.Bind(ctx)()
	data, err := m.c.Select(name, &imap.SelectOptions{ReadOnly: true, CondStore: m.c.Caps().Has(imap.CapCondStore)}).Wait()
	if err != nil {
		return m.c.explain("EXAMINE", err)
	}
	m.status = backup.Status{UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext), HighestModSeq: data.HighestModSeq, Messages: data.NumMessages}
	if m.status.UIDValidity == 0 {
		// RFC 9051 section 2.3.1.1: it is never 0. Without it nothing can be
		// told apart from what was there before.
		return fmt.Errorf("EXAMINE: %w: the server names no UIDVALIDITY", backup.ErrRefused)
	}
	return nil
}

func (m *mailbox) Status() backup.Status { return m.status }

func (m *mailbox) Close() error {
	m.source.release(m.c)
	return nil
}

// counted is how many messages the server says there are by now.
func (m *mailbox) counted() int {
	if sel := m.c.Mailbox(); sel != nil {
		return int(sel.NumMessages)
	}
	return int(m.status.Messages)
}

// UIDs asks SEARCH for all UIDs. If their number is not the number of messages
// that the server counts, it asks again, then goes by FETCH, and then says
// that the server contradicts itself.
func (m *mailbox) UIDs(ctx context.Context) ([]uint32, error) {
	defer m.c.Bind(ctx)()
	var uids []uint32
	for range 2 {
		var err error
		if uids, err = m.search(); err != nil {
			return nil, err
		}
		if len(uids) == m.counted() {
			return uids, nil
		}
		// Messages that came or went meanwhile are told of with the next
		// command at the latest.
		if err := m.c.Noop().Wait(); err != nil {
			return nil, m.c.explain("NOOP", err)
		}
	}
	listed, err := m.enumerate()
	if err != nil {
		return nil, err
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(uids, listed))))
	if len(listed) == m.counted() && len(all) == len(listed) {
		return listed, nil
	}
	return all, fmt.Errorf("%w: SEARCH tells of %d, FETCH of %d, and it counts %d", backup.ErrEnumeration, len(uids), len(listed), m.counted())
}

func (m *mailbox) search() ([]uint32, error) {
	if m.counted() == 0 {
		return nil, nil
	}
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

// expand makes a list of a set, if it is not absurdly large: a set of a few
// octets can name four billion messages.
func (m *mailbox) expand(set imap.UIDSet) ([]uint32, error) {
	limit := uint64(m.counted()) + 100_000
	total := uint64(0)
	for _, r := range set {
		if r.Start == 0 || r.Stop < r.Start {
			return nil, fmt.Errorf("UID SEARCH: %w: the set %v", backup.ErrEnumeration, r)
		}
		if total += uint64(r.Stop-r.Start) + 1; total > limit {
			return nil, fmt.Errorf("UID SEARCH: %w: it tells of %d messages or more, and counts %d", backup.ErrEnumeration, total, m.counted())
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
		return nil, nil
	}
	limit := m.counted() + 100_000
	err = m.fetch("FETCH", all, &imap.FetchOptions{UID: true}, func(f *fetched) error {
		if uids = append(uids, f.uid); len(uids) > limit {
			return fmt.Errorf("%w: FETCH tells of more than %d messages", backup.ErrEnumeration, limit)
		}
		return nil
	})
	slices.Sort(uids)
	return slices.Compact(uids), err
}

// Flags asks for the flags of the messages that changed since (RFC 7162
// section 3.1.4.1), or of all.
func (m *mailbox) Flags(ctx context.Context, since uint64, each func(uid uint32, flags []string)) error {
	if m.counted() == 0 {
		return nil
	}
	defer m.c.Bind(ctx)()
	return m.fetch("FETCH FLAGS", all, &imap.FetchOptions{UID: true, Flags: true, ChangedSince: since}, func(f *fetched) error {
		if f.hasFlags {
			each(f.uid, f.flags)
		}
		return nil
	})
}

// Fetch reads messages.
func (m *mailbox) Fetch(ctx context.Context, uids []uint32, each func(*backup.Fetched) error) error {
	defer m.c.Bind(ctx)()
	asked := make(map[uint32]bool, len(uids))
	for _, uid := range uids {
		asked[uid] = true
	}
	return m.fetch("FETCH", setOf(uids), &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, BodySection: whole}, func(f *fetched) error {
		// What was not asked for, or came already, is not ours to believe; what
		// came without flags is asked for again.
		if f.body == nil || !f.hasFlags || !asked[f.uid] {
			return nil
		}
		delete(asked, f.uid)
		return each(&backup.Fetched{UID: f.uid, Flags: f.flags, InternalDate: f.date, Body: f.body, Size: f.body.size})
	})
}

// Headers reads headers, for messages that may be in the archive already.
func (m *mailbox) Headers(ctx context.Context, uids []uint32, each func(*backup.Header) error) error {
	defer m.c.Bind(ctx)()
	options := &imap.FetchOptions{UID: true, InternalDate: true, RFC822Size: true, BodySection: header}
	return m.fetch("FETCH", setOf(uids), options, func(f *fetched) error {
		if f.body == nil || f.body.size > headerLimit {
			return nil
		}
		octets, err := io.ReadAll(io.NewSectionReader(f.body, 0, f.body.size))
		if err != nil {
			return err
		}
		return each(&backup.Header{UID: f.uid, InternalDate: f.date, Size: f.size, Octets: octets})
	})
}

var (
	whole  = []*imap.FetchItemBodySection{{Peek: true}}
	header = []*imap.FetchItemBodySection{{Specifier: imap.PartSpecifierHeader, Peek: true}}
)

// headerLimit is how large a header may be to be compared.
const headerLimit = 1 << 20

func setOf(uids []uint32) (set imap.UIDSet) {
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return set
}

// fetched is one message of a FETCH answer.
type fetched struct {
	uid      uint32
	flags    []string
	hasFlags bool
	date     time.Time
	size     int64
	body     *spool // nil: there was none
}

// fetch runs a FETCH and hands over each message when all of it has come. The
// bodies it hands over are gone when each returns.
func (m *mailbox) fetch(what string, set imap.UIDSet, options *imap.FetchOptions, each func(*fetched) error) error {
	cmd := m.c.Fetch(set, options)
	var eachErr error
	for eachErr == nil {
		msg := cmd.Next()
		if msg == nil {
			break
		}
		f, err := m.read(msg)
		if err == nil && f.uid != 0 {
			err = each(f)
		}
		if f != nil {
			f.body.close()
		}
		eachErr = err
	}
	if eachErr != nil {
		reason := m.c.Err()
		m.c.Close() // the rest of the answer is of no use, and may be a gigabyte
		cmd.Close()
		if reason != nil {
			return fmt.Errorf("%s: %w", what, classify(reason))
		}
		return eachErr
	}
	if err := cmd.Close(); err != nil {
		return m.c.explain(what, err)
	}
	return nil
}

// read reads the items of one message.
func (m *mailbox) read(msg *imapclient.FetchMessageData) (*fetched, error) {
	f := new(fetched)
	for {
		switch item := msg.Next().(type) {
		case nil:
			m.complete(f)
			return f, nil
		case imapclient.FetchItemDataUID:
			f.uid = uint32(item.UID)
		case imapclient.FetchItemDataFlags:
			f.hasFlags = true
			for _, flag := range item.Flags {
				f.addFlag(string(flag))
			}
		case imapclient.FetchItemDataInternalDate:
			f.date = item.Time
		case imapclient.FetchItemDataRFC822Size:
			f.size = item.Size
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				continue
			}
			body, err := readSpool(item.Literal, item.Literal.Size(), m.source.o.TempDir)
			if err != nil {
				f.body.close()
				return nil, err
			}
			f.body.close()
			f.body = body
		}
	}
}

func (f *fetched) addFlag(flag string) {
	if !strings.EqualFold(flag, `\Recent`) && !slices.Contains(f.flags, flag) {
		f.flags = append(f.flags, flag)
	}
}

// complete adds what the library could not be shown.
func (m *mailbox) complete(f *fetched) {
	for _, o := range m.c.take(f.uid) {
		switch o.Item {
		case "FLAGS":
			f.hasFlags = true
			if o.Raw != "" && !strings.EqualFold(o.Raw, "NIL") {
				f.addFlag(o.Raw)
			}
		case "INTERNALDATE":
			if f.date.IsZero() {
				f.date = oddDate(o)
			}
		}
	}
}

// oddDate reads internal dates that are not as RFC 9051 has them but can be
// understood; others are zero, as if there were none.
func oddDate(o imapconn.Oddity) time.Time {
	for _, layout := range []string{"_2-Jan-2006 15:04:05 -0700", "_2-Jan-2006 15:04:05", "2-Jan-06 15:04:05 -0700", time.RFC1123Z, time.RFC3339} {
		if t, err := time.Parse(layout, strings.TrimSpace(o.Raw)); err == nil && t.Year() > 1 {
			return t
		}
	}
	return time.Time{}
}
