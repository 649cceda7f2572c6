package localsource

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"restante/backup"
	"restante/storage/mailfiles"
)

// An mboxMailbox reads an mbox file for one worker. It goes through the file
// as it is asked for messages, most of which it is asked for in their order.
type mboxMailbox struct {
	*census
	folder  *mboxFolder
	file    *mailfiles.Mbox
	edition int // of the folder's index that fits the file
	spool   spool

	next func() (mailfiles.MboxMessage, error, bool) // nil: from the beginning
	stop func()
	at   uint32 // position of the message that next gives
}

func (m *mboxMailbox) Close() error {
	m.spool.drop()
	m.rewind()
	return m.file.Close()
}

func (m *mboxMailbox) rewind() {
	if m.next != nil {
		m.stop()
		m.next, m.at = nil, 0
	}
}

// Fetch reads messages. If a mail program has put them elsewhere meanwhile, it
// finds out where they are; those that are gone are left out.
func (m *mboxMailbox) Fetch(ctx context.Context, uids []uint32, each func(*backup.Fetched) error) error {
	left := map[uint32]bool{}
	for _, uid := range uids {
		left[uid] = true
	}
	for looks := 1; ; looks++ {
		err := m.fetch(ctx, left, each)
		switch {
		case !errors.Is(err, mailfiles.ErrChanged):
			return err
		case looks == mostLooks:
			// What was read until now is good; the rest must wait.
			return &fault{err, backup.ErrAccess}
		}
		if err := m.follow(ctx); err != nil {
			return ofFolder(err)
		}
	}
}

// fetch reads messages and takes them out of left.
func (m *mboxMailbox) fetch(ctx context.Context, left map[uint32]bool, each func(*backup.Fetched) error) error {
	wanted, err := m.folder.positions(left, m.edition)
	if err != nil {
		return err
	}
	for _, w := range wanted {
		msg, err := m.message(ctx, w)
		var body *backup.Fetched
		if err == nil {
			body, err = m.read(&msg, w)
		}
		if err != nil {
			if isOurs(err) || errors.Is(err, mailfiles.ErrChanged) {
				return err
			}
			return ofFolder(err)
		}
		if err := each(body); err != nil {
			return err
		}
		delete(left, w.uid)
	}
	return nil
}

// A position is where a message is.
type position struct {
	indexed
	at uint32
}

// positions tells where messages are, in the order of the file. It returns
// ErrChanged if the index is about another edition of the file.
func (f *mboxFolder) positions(uids map[uint32]bool, edition int) ([]position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.edition != edition {
		return nil, mailfiles.ErrChanged
	}
	var list []position
	for uid := range uids {
		if i, ok := f.census.find(uid); ok {
			at := f.census.entries[i].at
			if int(at) < len(f.index) && f.index[at].uid == uid {
				list = append(list, position{f.index[at], at})
			}
		}
	}
	slices.SortFunc(list, func(a, b position) int { return int(int64(a.at) - int64(b.at)) })
	return list, nil
}

// message finds a message in the file, and returns ErrChanged if another one
// is where it was.
func (m *mboxMailbox) message(ctx context.Context, w position) (mailfiles.MboxMessage, error) {
	if msg, ok := m.folder.take(w.at, m.edition); ok {
		return msg, nil
	}
	if m.next == nil || w.at < m.at {
		m.rewind()
		m.next, m.stop = iter.Pull2(m.file.Messages(context.WithoutCancel(ctx)))
	}
	for {
		if err := ctx.Err(); err != nil {
			return mailfiles.MboxMessage{}, err
		}
		msg, err, ok := m.next()
		if !ok {
			err = mailfiles.ErrChanged // it is shorter than it was
		}
		if err == nil && m.at == w.at && contentOf(&msg) != w.content {
			err = mailfiles.ErrChanged
		}
		if err != nil {
			m.rewind()
			return msg, err
		}
		if m.at++; m.at > w.at {
			return msg, nil
		}
	}
}

// take takes a message out of those that were kept.
func (f *mboxFolder) take(at uint32, edition int) (mailfiles.MboxMessage, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	msg, ok := f.kept[at]
	if f.edition != edition {
		return msg, false
	}
	delete(f.kept, at)
	return msg, ok
}

func (m *mboxMailbox) read(msg *mailfiles.MboxMessage, w position) (*backup.Fetched, error) {
	body, size, err := m.spool.read(m.file.Open(*msg))
	if err != nil {
		return nil, fmt.Errorf("reading the message at octet %d: %w", msg.Offset, err)
	}
	if !msg.Exact {
		m.folder.notes.maybeQuoted()
	}
	return &backup.Fetched{UID: w.uid, Key: w.key(), Flags: msg.Flags, InternalDate: msg.From.Date, Body: body, Size: size}, nil
}

// follow opens the file as it is now and finds out where its messages are.
func (m *mboxMailbox) follow(ctx context.Context) error {
	f := m.folder
	f.mu.Lock()
	defer f.mu.Unlock()
	var b *mailfiles.Mbox
	var err error
	if f.edition != m.edition {
		b, err = f.openFile() // another worker was here before
	} else {
		b, err = f.indexAgain(ctx)
	}
	if err != nil {
		return err
	}
	m.rewind()
	m.file.Close()
	m.file, m.edition = b, f.edition
	return nil
}

// indexAgain makes a new index. The census stays, but for messages that are
// gone. The caller holds mu.
func (f *mboxFolder) indexAgain(ctx context.Context) (*mailfiles.Mbox, error) {
	before := make(earlier, len(f.census.entries))
	for i := range f.index {
		if uid := f.index[i].uid; uid != 0 {
			before[indexed{content: f.index[i].content, copy: f.index[i].copy}] = uid
		}
	}
	b, s, changed, err := f.look(ctx, func() uidGiver { return before })
	if err != nil {
		return nil, err
	}
	f.index, f.kept = s.index, nil
	f.edition++
	is := make(map[uint32]uint32, len(f.census.entries))
	for at := range f.index {
		is[f.index[at].uid] = uint32(at)
	}
	for i := range f.census.entries {
		e := &f.census.entries[i]
		at, there := is[e.uid]
		if e.at = at; !there {
			e.at = 0
			if !changed {
				f.census.vanished(e.uid)
			}
		}
	}
	return b, nil
}

// earlier gives messages the UIDs that they had before. New ones are left to
// the next run.
type earlier map[indexed]uint32

func (e earlier) uid(i *indexed) (uint32, bool, error) {
	return e[indexed{content: i.content, copy: i.copy}], false, nil
}

func (e earlier) last() uint32 { return 0 }
