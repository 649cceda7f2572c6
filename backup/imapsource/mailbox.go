package imapsource

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/backup"
	"restante/storage"
)

// Open examines a folder on a connection of its own.
func (s *Source) Open(ctx context.Context, l backup.Listed, _ backup.Known) (backup.Mailbox, error) {
	folder := storage.FolderName(l.Levels)
	s.mu.Lock()
	name, listed := s.names[folder]
	s.mu.Unlock()
	if !listed {
		return nil, fmt.Errorf("%w: it was not listed", backup.ErrGone)
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	m := &mailbox{source: s, c: c, folder: folder}
	if err := m.examine(ctx, name); err != nil {
		s.release(c)
		return nil, err
	}
	return m, nil
}

// A mailbox is a folder that is open.
type mailbox struct {
	source *Source
	c      *connection
	folder string // as backup names it
	status backup.Status
	former *imapclient.SelectedMailbox // what the library had open before
	flags  flagSets
}

// examine opens the folder so that nothing can be changed in it (RFC 9051
// section 6.3.3).
func (m *mailbox) examine(ctx context.Context, name string) error {
	defer m.c.Bind(ctx)()
	m.former = m.c.Mailbox()
	data, err := m.c.Select(name, &imap.SelectOptions{ReadOnly: true, CondStore: m.c.Caps().Has(imap.CapCondStore)}).Wait()
	if err != nil {
		return m.unopened(m.c.explain("EXAMINE", err))
	}
	m.status = backup.Status{UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext), HighestModSeq: data.HighestModSeq, Messages: data.NumMessages}
	if m.status.UIDValidity == 0 {
		// RFC 9051 section 2.3.1.1: it is never 0. Without it nothing can be
		// told apart from what was there before.
		return fmt.Errorf("EXAMINE: %w: it names no UIDVALIDITY", backup.ErrRefused)
	}
	return nil
}

// unopened says of a refusal whether it is of the folder (RFC 9051 section
// 7.1). In the answer to any other command these codes may be about a message.
func (m *mailbox) unopened(err error) error {
	if no, ok := errors.AsType[*imap.Error](err); ok && errors.Is(err, backup.ErrRefused) {
		switch no.Code {
		case imap.ResponseCodeNonExistent:
			return &marked{err, backup.ErrGone}
		case imap.ResponseCodeNoPerm:
			return &marked{err, backup.ErrAccess}
		}
	}
	return err
}

func (m *mailbox) Status() backup.Status { return m.status }

func (m *mailbox) Close() error {
	m.source.release(m.c)
	return nil
}

// counted is how many messages the server says there are by now.
func (m *mailbox) counted() int {
	// The library takes note of the new folder only after it has said that
	// EXAMINE is done, and has the former one until then.
	if sel := m.c.Mailbox(); sel != nil && sel != m.former {
		return int(sel.NumMessages)
	}
	return int(m.status.Messages)
}

// mostMessages is how many messages a folder may have. A server needs only a
// few octets to say that there are four billion.
const mostMessages = 10_000_000

// most is how many messages an answer may be about: as many as the server
// counts, and what may come meanwhile.
func (m *mailbox) most() int { return min(m.counted()+100_000, mostMessages) }
