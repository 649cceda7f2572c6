package pop3source

import (
	"context"
	"errors"
	"io"

	"restante/backup"
	"restante/backup/accounts/pop3conn"
)

// A mailbox is the folder, open in a session.
type mailbox struct {
	source  *Source
	session *session
	census  *census
	spool   spool
}

// Status is the state of the folder.
func (m *mailbox) Status() backup.Status {
	return backup.Status{UIDValidity: validity, UIDNext: m.census.next, Messages: uint32(len(m.census.messages))}
}

// UIDs returns the UIDs of all messages that are not known to be gone.
func (m *mailbox) UIDs(context.Context) ([]uint32, error) {
	uids := make([]uint32, 0, len(m.census.messages))
	for _, msg := range m.census.messages {
		if !msg.gone {
			uids = append(uids, msg.uid)
		}
	}
	return uids, m.census.doubt
}

// Flags tells of every message that it has none: POP3 has no flags.
func (m *mailbox) Flags(ctx context.Context, _ uint64, each func(uid uint32, flags []string)) error {
	uids, err := m.UIDs(ctx)
	for _, uid := range uids {
		each(uid, nil)
	}
	return err
}

// Keys returns the new keys of known messages that have other ones than in the
// last snapshot.
func (m *mailbox) Keys() map[uint32]string { return m.census.renamed }

// Close gives the session back.
func (m *mailbox) Close() error {
	m.spool.drop()
	m.source.release(m.session)
	return nil
}

// Fetch reads messages. One that cannot be read is left out; asked for alone,
// its error tells why.
func (m *mailbox) Fetch(ctx context.Context, uids []uint32, each func(*backup.Fetched) error) error {
	defer m.session.Bind(ctx)()
	var list []pop3conn.Listed
	wanted := map[int]*message{}
	for _, uid := range uids {
		msg := m.census.byUID[uid]
		if msg == nil || msg.gone {
			continue
		}
		l, there := m.session.at[uid]
		if !there && msg.lost == nil {
			msg.lost = errLost
		}
		if msg.lost != nil {
			if len(uids) == 1 {
				return &marked{msg.lost, backup.ErrRefused}
			}
			continue
		}
		list = append(list, l)
		wanted[l.Number] = msg
	}
	var refused error
	var learned []func() // counts only if all of it comes
	err := m.receive(list, func(l pop3conn.Listed, r *received) error {
		msg := wanted[l.Number]
		switch {
		case r.err != nil:
			refused = r.err
			return nil
		case msg.known && r.key.digest != msg.key.digest:
			// The snapshot to come does not have it, so the next run takes it for new.
			learned = append(learned, func() { msg.lost = errOther })
			refused = errOther
			return nil
		}
		k := msg.key
		k.digest, k.head, k.odd = r.key.digest, r.key.head, r.key.odd
		learned = append(learned, func() {
			if k.odd && !msg.read {
				m.source.note(func(n *notes) { n.odd++ })
			}
			msg.read, msg.key = true, k
		})
		return each(&backup.Fetched{UID: msg.uid, Key: k.text(msg.uid), Body: r.body, Size: r.size, Sum: r.sum})
	})
	if which, ok := errors.AsType[*pop3conn.MessageError](err); ok {
		if msg := wanted[which.Number]; msg != nil && m.source.singly() {
			// It ends the connection every time.
			msg.lost = which.Err
		}
	}
	if err != nil {
		return m.source.failed(err)
	}
	for _, learn := range learned {
		learn()
	}
	if refused != nil && len(uids) == 1 {
		return &marked{refused, backup.ErrRefused}
	}
	return nil
}

// errOther is for a message that is not the one that it is known as.
var errOther = errors.New("its unique-id stood for another message until now; the next run reads it as a new one")

// singly says whether messages are asked for one at a time.
func (s *Source) singly() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oneByOne
}

func (s *Source) note(change func(n *notes)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.notes)
}

// received is a message that came whole, or was refused.
type received struct {
	body io.ReaderAt // good until the next one
	size int64
	sum  *backup.Sum // of body as it came; nil: not known
	key  key         // its digests, and whether it is odd
	err  error       // why the server did not give it
}

// receive reads messages and tells each of every one.
func (m *mailbox) receive(list []pop3conn.Listed, each func(l pop3conn.Listed, r *received) error) error {
	listed := map[int]pop3conn.Listed{}
	for _, l := range list {
		listed[l.Number] = l
	}
	sink := func(int) io.Writer {
		m.spool.clear()
		return &m.spool
	}
	return m.session.Retrieve(list, sink, func(b pop3conn.Body) error {
		l := listed[b.Number]
		if b.Err != nil {
			return each(l, &received{err: b.Err})
		}
		body, err := m.spool.reader()
		if err != nil {
			return err
		}
		r := &received{body: body, size: m.spool.size, sum: &m.spool.sum}
		if b.Undoubled(l.Size) {
			r.body, r.size, r.sum = dotted{r.body}, r.size+1, nil
			b.Oddity &^= pop3conn.DotFirst | pop3conn.LoneDot
		} else if l.Size == b.Size {
			b.Oddity &^= pop3conn.DotFirst
		}
		r.key.odd = b.Oddity != 0
		if r.key.digest, r.key.head, err = digestMessage(r.body, r.size); err != nil {
			return ours(err)
		}
		return each(l, r)
	})
}

// compareHeads returns those messages whose headers, as TOP shows them, are not
// what their keys say.
func (m *mailbox) compareHeads(list []pop3conn.Listed, keys map[int]*key) (unlike []pop3conn.Listed, err error) {
	if m.source.avoidsTOP() {
		return list, nil
	}
	heads := make([]pop3conn.Listed, len(list))
	listed := map[int]pop3conn.Listed{}
	for i, l := range list {
		listed[l.Number] = l
		heads[i] = l
		heads[i].Size = -1 // that of the message, not of its header
	}
	var head capped
	err = m.session.Heads(heads, func(int) io.Writer { head.b = head.b[:0]; return &head }, func(b pop3conn.Body) error {
		if b.Err != nil || digestHead(head.b) != keys[b.Number].head {
			unlike = append(unlike, listed[b.Number])
		}
		head.b = head.b[:0]
		return nil
	})
	if err != nil {
		m.source.mu.Lock()
		defer m.source.mu.Unlock()
		m.source.topless = true
		return nil, &marked{err, errWiser}
	}
	return unlike, nil
}

// avoidsTOP says whether messages are told apart without TOP.
func (s *Source) avoidsTOP() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.topless
}

// A capped keeps as much of what is written to it as digestHead looks at.
type capped struct{ b []byte }

func (c *capped) Write(p []byte) (int, error) {
	c.b = append(c.b, p[:min(len(p), mostHead-len(c.b))]...)
	return len(p), nil
}
