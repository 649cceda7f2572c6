package imaptarget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/restore"
)

const (
	// So many messages, and so many octets of them, may be on their way
	// without an answer.
	aheadMessages = 32
	aheadBytes    = 4 << 20
)

// Append appends messages, several of them before the first answer comes.
// Where the server refuses a message that has keywords, it may be for their
// sake: so it is offered without them.
func (b *box) Append(ctx context.Context, list []restore.Outgoing, done func(i int, id string, err error)) error {
	defer b.c.Bind(ctx)()
	a := &appending{box: b, list: list, done: done}
	err := a.all(ctx)
	for len(a.waiting) > 0 && (err == nil || b.c.Err() == nil) {
		// After an error, too, answers are still due.
		if answerErr := a.answer(); err == nil {
			err = answerErr
		}
	}
	if err == nil {
		err = a.withoutKeywords(ctx)
	}
	if a.broken {
		b.c.Close()
	}
	return err
}

// appending is one Append.
type appending struct {
	*box
	list    []restore.Outgoing
	done    func(i int, id string, err error)
	waiting []sent // for an answer
	octets  int64  // of them
	doubted []doubt
	broken  bool // half a message was sent
}

type sent struct {
	i   int
	cmd *imapclient.AppendCommand
}

// A doubt is a message that was refused, maybe for its keywords.
type doubt struct {
	i   int
	why error
}

func (a *appending) all(ctx context.Context) error {
	for i := range a.list {
		for len(a.waiting) >= aheadMessages || len(a.waiting) > 0 && a.octets+a.list[i].Size > aheadBytes {
			if err := a.answer(); err != nil {
				return err
			}
		}
		if err := a.send(ctx, i, a.list[i].Flags); err != nil {
			return err
		}
	}
	return nil
}

// send sends a message.
func (a *appending) send(ctx context.Context, i int, flags []string) error {
	m := &a.list[i]
	options := &imap.AppendOptions{Time: m.InternalDate}
	for _, f := range flags {
		options.Flags = append(options.Flags, imap.Flag(f))
	}
	cmd, err := a.c.Append(a.place, m.Size, options)
	if err != nil {
		a.done(i, "", fmt.Errorf("%w: %w", restore.ErrNotTaken, err)) // nothing was sent
		return nil
	}
	if err := m.Write(ctx, cmd); err != nil {
		// Half a literal cannot be taken back, but what was sent before is
		// answered.
		a.broken = true
		if reason := a.c.Err(); reason != nil {
			err = reason
		}
		return fmt.Errorf("APPEND: %w", err)
	}
	if err := cmd.Close(); err != nil {
		return explain(a.c, "APPEND", err)
	}
	a.waiting = append(a.waiting, sent{i, cmd})
	a.octets += m.Size
	return nil
}

// answer takes the answer to the message that was sent first.
func (a *appending) answer() error {
	s := a.waiting[0]
	a.waiting = a.waiting[1:]
	a.octets -= a.list[s.i].Size
	data, err := s.cmd.Wait()
	if err == nil {
		id := ""
		if a.plausible(data, a.list[s.i].Known) {
			id = strconv.FormatUint(uint64(data.UID), 10)
		}
		err := a.label(&a.list[s.i], uint32(data.UID), id != "")
		a.done(s.i, id, nil)
		return err
	}
	err = explain(a.c, "APPEND", err)
	if !refused(a.c, err) {
		return err
	}
	switch code(err) {
	case imap.ResponseCodeOverQuota:
		return fmt.Errorf("%w: %w", restore.ErrRoom, err)
	case imap.ResponseCodeTryCreate, imap.ResponseCodeNonExistent, imap.ResponseCodeNoPerm:
		// The folder was deleted under us, or is not ours to write to.
		return &marked{err, restore.ErrFolder}
	case imap.ResponseCodeTooBig:
	default:
		if slices.ContainsFunc(a.list[s.i].Flags, isKeyword) {
			a.doubted = append(a.doubted, doubt{s.i, err})
			return nil
		}
	}
	a.done(s.i, "", fmt.Errorf("%w: %w", restore.ErrNotTaken, err))
	return nil
}

// plausible says whether a message may have the UID that the server tells. What
// is believed of a message by its UID is checked by its Message-ID later on.
// Where it has none, a server that counts wrong would have others taken for it:
// there its UIDs have to follow on each other from UIDNEXT on.
func (b *box) plausible(told *imap.AppendData, k restore.Known) bool {
	if told.UID == 0 || told.UIDValidity != b.data.UIDValidity {
		b.next = 0
		return false
	}
	if told.UID == b.next {
		b.next++
		return true
	}
	b.next = 0
	return k.MessageID != [4]byte{}
}

// label gives a message that was appended its labels, where the server has some.
// The message is there, whatever becomes of them.
func (a *appending) label(m *restore.Outgoing, uid uint32, known bool) error {
	if len(m.Labels) == 0 || !a.c.HasLabels() {
		return nil
	}
	if known {
		err := a.c.AddLabels(imap.UIDSetNum(imap.UID(uid)), m.Labels)
		if err == nil || !refused(a.c, err) {
			return err
		}
	}
	m.LabelsNotKept()
	return nil
}

// withoutKeywords offers the messages again that were refused with keywords.
func (a *appending) withoutKeywords(ctx context.Context) error {
	doubted, tell := a.doubted, a.done
	for _, d := range doubted {
		flags := slices.Clone(a.list[d.i].Flags)
		a.list[d.i].Flags = slices.DeleteFunc(slices.Clone(flags), isKeyword)
		a.done = func(i int, id string, err error) {
			if errors.Is(err, restore.ErrNotTaken) {
				err = fmt.Errorf("%w: %w", restore.ErrNotTaken, d.why) // it was not for the keywords
			} else if err == nil {
				a.list[i].NotKept(slices.DeleteFunc(flags, func(f string) bool { return !isKeyword(f) }))
			}
			tell(i, id, err)
		}
		if err := a.send(ctx, d.i, a.list[d.i].Flags); err != nil {
			return err
		}
		for len(a.waiting) > 0 {
			if err := a.answer(); err != nil {
				return err
			}
		}
	}
	return nil
}
