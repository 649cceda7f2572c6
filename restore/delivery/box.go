package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"restante/backup/accounts/smtpconn"
	"restante/restore"
	"restante/storage"
)

// A box is a folder that is delivered.
type box struct {
	t *Target
	j *journal
}

// Epoch is none.
func (b *box) Epoch() uint32 { return 0 }

// Limits says that no flag is kept.
func (b *box) Limits() restore.Limits {
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	return restore.Limits{Flag: func(string) bool { return false }, Size: b.t.limit}
}

// Close lets others deliver the folder.
func (b *box) Close() error { return b.j.close() }

// Present tells of the messages that all recipients have got.
func (b *box) Present(_ context.Context, each func(restore.Present) error) error {
	for c := range b.j.all {
		if !c.has(accepted, b.t.o.To, true) {
			continue
		}
		if err := each(restore.Present{ID: strconv.Itoa(c.id), Untold: true}); err != nil {
			return err
		}
	}
	return nil
}

// Read has nothing to read.
func (b *box) Read(context.Context, []string, func(string, int64, io.Reader) error) error { return nil }

// Remembered tells what the messages of Present are.
func (b *box) Remembered(known func(id string, k restore.Known)) {
	for c := range b.j.all {
		known(strconv.Itoa(c.id), c.known)
	}
}

// Forget forgets what became of messages.
func (b *box) Forget(list iter.Seq[restore.Known], onlyHere bool) error {
	recipes := map[storage.BlobID]bool{}
	for k := range list {
		recipes[k.Recipe] = true
	}
	for _, c := range slices.Collect(b.j.all) {
		if !recipes[c.known.Recipe] {
			continue
		}
		if b.j.local[c] = true; onlyHere {
			continue
		}
		if err := b.j.add(forgotten, c, false, "-"); err != nil {
			return err
		}
	}
	return nil
}

// unknown is what is said of messages that were sent and not answered.
const unknown = "unknown: an earlier restore sent it and no answer came, so it may have been delivered; --again delivers it once more"

// Withheld are the messages that some recipient may have got.
func (b *box) Withheld() (map[storage.BlobID]int, string) {
	list := map[storage.BlobID]int{}
	for c := range b.j.all {
		if c.has(sending, b.t.o.To, false) {
			list[c.known.Recipe]++
		}
	}
	return list, unknown
}

// mostTries is how often a message is tried that the server refuses for now.
const mostTries = 3

// Append delivers messages, one after another.
func (b *box) Append(ctx context.Context, list []restore.Outgoing, done func(i int, id string, err error)) error {
	for i := range list {
		for try := 0; ; {
			id, again, err := b.deliver(ctx, &list[i])
			notTaken := errors.Is(err, restore.ErrNotTaken)
			if err == nil {
				b.t.tired = false
			}
			if notTaken && again && !b.t.tired {
				if try++; try < mostTries {
					if err := b.t.o.Pause(ctx, try-1); err != nil {
						return err
					}
					continue
				}
				b.t.tired = true // nor does it take the next one, most likely
			}
			if err == nil || notTaken || errors.Is(err, smtpconn.ErrUnknown) {
				done(i, id, err)
			}
			if err != nil && !notTaken {
				return err
			}
			break
		}
	}
	return nil
}

// deliver delivers a message to those recipients that have not got it yet. Again
// says that it was refused for now.
func (b *box) deliver(ctx context.Context, o *restore.Outgoing) (id string, again bool, err error) {
	conn, err := b.t.connect(ctx)
	if err != nil {
		return "", false, err
	}
	l, reason, err := fit(ctx, conn, o, b.t.o.CRLF)
	if err != nil {
		return "", false, err
	}
	if reason != "" {
		return "", false, fmt.Errorf("%w: %s", restore.ErrNotTaken, reason)
	}
	defer conn.Bind(ctx)()
	c := b.j.next(o.Known, b.t.o.To)
	to := slices.DeleteFunc(slices.Clone(b.t.o.To), func(r string) bool { return c.state[r] == accepted })
	m := smtpconn.Message{From: b.t.o.From, To: to, Size: l.size, Body: l.body, Write: l.write,
		Sending: func() error { return b.j.add(sending, c, true, to...) }}
	answers, err := conn.Deliver(m)
	if err != nil {
		b.t.hangUp()
	}
	for i, a := range answers {
		kind := refused
		if a.OK() {
			kind = accepted
		}
		if a.Code != 0 && (c.state[to[i]] == sending || a.OK()) {
			if err := b.j.add(kind, c, false, to[i]); err != nil {
				return "", false, err
			}
		}
	}
	if err != nil && !errors.Is(err, smtpconn.ErrUnknown) {
		return "", false, err
	}
	again, refusal := b.refusal(to, answers, err)
	return strconv.Itoa(c.id), again, refusal
}

// refusal says what became of a message that was not accepted for everybody.
func (b *box) refusal(to []string, answers []smtpconn.Reply, lost error) (again bool, err error) {
	var reasons []string
	alike, temporary := true, true
	for i, a := range answers {
		switch {
		case a.OK():
			alike = false
			continue
		case a.Code == 0:
			alike = false
			reasons = append(reasons, "for "+to[i]+" it is unknown, since "+lost.Error()+"; it may have been delivered")
			continue
		}
		alike = alike && a.Recipient
		temporary = temporary && a.Temporary()
		reasons = append(reasons, "for "+to[i]+": "+a.String())
	}
	if len(reasons) == 0 {
		return false, nil
	}
	reason := strings.Join(reasons, "; ")
	first := answers[0]
	switch {
	case lost != nil:
		return false, &marked{errors.New(reason), smtpconn.ErrUnknown}
	case first.Code == 421: // RFC 5321 section 3.8: it is closing the connection
		b.t.hangUp()
		return false, fmt.Errorf("%w: %s", restore.ErrBusy, first)
	case alike && !temporary && (first.Code == 552 || first.Enhanced("2.2")):
		return false, fmt.Errorf("%w: %s", restore.ErrRoom, reason)
	case alike && !temporary:
		return false, fmt.Errorf("%w: the server takes no mail %s", restore.ErrAccess, reason)
	case first.Code == 530 || first.Code == 535: // RFC 4954 section 6
		return false, fmt.Errorf("%w: %s", restore.ErrAccess, reason)
	}
	return temporary, fmt.Errorf("%w: %s", restore.ErrNotTaken, reason)
}
