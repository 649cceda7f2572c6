package imapsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/backup"
)

// Flags asks for the flags of the messages that changed since (RFC 7162
// section 3.1.4.1), or of all.
func (m *mailbox) Flags(ctx context.Context, since uint64, each func(uid uint32, flags []string)) error {
	if m.status.Messages == 0 && m.counted() == 0 {
		return nil // some servers refuse 1:* where there is nothing
	}
	defer m.c.Bind(ctx)()
	most, n, untold := m.most(), 0, 0
	err := m.fetch("FETCH FLAGS", all, &imap.FetchOptions{UID: true, Flags: true, ChangedSince: since}, func(f *fetched) error {
		if n++; n > most {
			return tooMany(most)
		}
		if f.hasFlags {
			each(f.uid, f.flags)
		} else {
			untold++
		}
		return nil
	})
	if err == nil && untold > 0 {
		err = fmt.Errorf("%w: %d messages came without the flags that were asked for", backup.ErrEnumeration, untold)
	}
	return err
}

// Fetch reads messages.
func (m *mailbox) Fetch(ctx context.Context, uids []uint32, each func(*backup.Fetched) error) error {
	defer m.c.Bind(ctx)()
	asked := make(map[uint32]bool, len(uids))
	for _, uid := range uids {
		asked[uid] = true
	}
	options := &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true, BodySection: whole}
	return m.fetch("FETCH", setOf(uids), options, func(f *fetched) error {
		switch {
		case f.body == nil, !asked[f.uid]:
			return nil
		case f.body.size == 0 && f.size > 0:
			// What some servers say of a message that they cannot get at now.
			return nil
		case !f.hasFlags && len(uids) > 1:
			return nil // it will be asked for again
		case !f.hasFlags:
			m.source.noteNoFlags(m.folder)
		}
		delete(asked, f.uid)
		return each(&backup.Fetched{UID: f.uid, Key: f.key, Flags: f.flags, FlagsUnknown: !f.hasFlags, InternalDate: f.date, Body: f.body, Size: f.body.size, Sum: &f.body.sum})
	})
}

// Headers reads headers, for messages that may be in the archive already.
func (m *mailbox) Headers(ctx context.Context, uids []uint32, each func(*backup.Header) error) error {
	defer m.c.Bind(ctx)()
	options := &imap.FetchOptions{UID: true, InternalDate: true, RFC822Size: true, BodySection: header}
	return m.fetch("FETCH HEADER", setOf(uids), options, func(f *fetched) error {
		if f.body == nil || f.body.size > headerLimit {
			return nil
		}
		octets, err := io.ReadAll(io.NewSectionReader(f.body, 0, f.body.size))
		if err != nil {
			return &backup.LocalError{Err: err}
		}
		return each(&backup.Header{UID: f.uid, Key: f.key, InternalDate: f.date, Size: f.size, Octets: octets})
	})
}

// Outlines tells what messages are, where the server is Gmail, for those that
// are in another folder, too.
func (m *mailbox) Outlines(ctx context.Context, uids []uint32, each func(*backup.Outline) error) error {
	defer m.c.Bind(ctx)()
	asked := make(map[uint32]bool, len(uids))
	for _, uid := range uids {
		asked[uid] = true
	}
	options := &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true, BodySection: outline}
	return m.fetch("FETCH HEADER.FIELDS", setOf(uids), options, func(f *fetched) error {
		if f.body == nil || f.body.size > headerLimit || !f.hasFlags || f.key == "" || !asked[f.uid] {
			return nil
		}
		delete(asked, f.uid)
		octets, err := io.ReadAll(io.NewSectionReader(f.body, 0, f.body.size))
		if err != nil {
			return &backup.LocalError{Err: err}
		}
		return each(&backup.Outline{
			Header: backup.Header{UID: f.uid, Key: f.key, InternalDate: f.date, Size: f.size, Octets: octets},
			Flags:  f.flags,
		})
	})
}

var (
	whole  = []*imap.FetchItemBodySection{{Peek: true}}
	header = []*imap.FetchItemBodySection{{Specifier: imap.PartSpecifierHeader, Peek: true}}
	// What a list shows of a message.
	outline = []*imap.FetchItemBodySection{{
		Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"From", "To", "Subject", "Date", "Message-ID"}, Peek: true}}
)

// headerLimit is how large a header may be to be compared.
const headerLimit = 1 << 20

func setOf(uids []uint32) (set imap.UIDSet) {
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return set
}

// fetched is one message of a FETCH answer. Of an item that comes several
// times the last counts.
type fetched struct {
	uid      uint32
	key      string // Gmail's ID of the message; empty: it was not told
	flags    []string
	has      map[string]bool // of flags, where there are many
	hasFlags bool
	date     time.Time
	size     int64  // RFC822.SIZE, which may be wrong
	body     *spool // nil: there was none
}

// fetch runs a FETCH and hands over each message when all of it has come. The
// bodies it hands over are gone when each returns.
func (m *mailbox) fetch(what string, set imap.UIDSet, options *imap.FetchOptions, each func(*fetched) error) error {
	cmd := m.c.Fetch(set, options)
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		f, err := m.read(msg, options.BodySection)
		if err == nil && f.uid != 0 {
			err = each(f)
		}
		f.body.close()
		if err != nil {
			reason := m.c.Err()
			m.c.Close() // the rest of the answer is of no use, and may be a gigabyte
			cmd.Close()
			if _, ours := errors.AsType[*backup.LocalError](err); reason != nil && !ours {
				return fmt.Errorf("%s: %w", what, classify(reason))
			}
			return err
		}
	}
	if err := cmd.Close(); err != nil {
		return m.c.explain(what, err)
	}
	return nil
}

// read reads the items of one message. Of bodies only the one that was asked
// for counts: servers send others in its place, or besides.
func (m *mailbox) read(msg *imapclient.FetchMessageData, sections []*imap.FetchItemBodySection) (*fetched, error) {
	f := new(fetched)
	for item := msg.Next(); item != nil; item = msg.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			f.uid = uint32(item.UID)
		case imapclient.FetchItemDataFlags:
			f.flags, f.hasFlags = nil, true
			for _, flag := range item.Flags {
				f.addFlag(string(flag))
			}
		case imapclient.FetchItemDataInternalDate:
			f.date = item.Time
		case imapclient.FetchItemDataRFC822Size:
			f.size = item.Size
		case imapclient.FetchItemDataBodySection:
			if !slices.ContainsFunc(sections, item.MatchCommand) {
				continue
			}
			// What is odd among the flags that came before the body is told of by
			// now, and nothing of those that come behind it.
			m.addOdd(f)
			f.body.close()
			f.body = nil
			if item.Literal == nil {
				continue
			}
			body, err := readSpool(item.Literal, item.Literal.Size(), m.source.o.TempDir)
			if err != nil {
				return f, err
			}
			f.body = body
		}
	}
	m.addOdd(f)
	var err error
	f.flags, err = m.flags.shared(f.flags)
	return f, err
}

func (f *fetched) addFlag(flag string) {
	if strings.EqualFold(flag, `\Recent`) {
		return
	}
	// A message has a few flags; one of a server that means no good may have tens
	// of thousands, and more labels.
	const few = 32
	if len(f.flags) < few {
		if !slices.Contains(f.flags, flag) {
			f.flags = append(f.flags, flag)
		}
		return
	}
	if f.has == nil {
		f.has = map[string]bool{}
		for _, have := range f.flags {
			f.has[have] = true
		}
	}
	if !f.has[flag] {
		f.has[flag] = true
		f.flags = append(f.flags, flag)
	}
}
