package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"restante/storage"
)

// fill adds what is missing: labels, then messages.
func (f *folder) fill(ctx context.Context) error {
	if err := f.label(ctx); err != nil {
		return err
	}
	if len(f.missing) == 0 {
		return nil
	}
	f.careful = false
	began, looked := false, !f.report.Create
	err := f.with(ctx, func(ctx context.Context, box Box) error {
		// What became of messages without an answer, only a look can tell. A folder
		// that was to be made may have been there by then, it may be another one
		// than that which was looked into, or something came since.
		if !looked || f.epoch != box.Epoch() || f.grown != grown(box) {
			look := f.lookFirst
			if began {
				look = f.lookAgain
			}
			if err := look(ctx, box); err != nil {
				return err
			}
			if err := f.labelAgain(ctx, box); err != nil {
				return err
			}
			looked = true
		}
		if err := f.enter(ctx, box); err != nil {
			return err
		}
		f.late.doubt = f.late.doubt || f.journal.unended()
		if err := f.late.wait(grown(box)); err != nil {
			return err
		}
		f.journal.begin(f.epoch)
		began, looked = true, false
		return f.append(ctx, box)
	})
	if !f.late.doubt {
		f.journal.end(f.epoch)
	}
	f.journal.close()
	if err == nil {
		f.forget()
	}
	return err
}

// lookFirst finds out what is missing before anything is added.
func (f *folder) lookFirst(ctx context.Context, box Box) error {
	if err := f.compare(ctx, box); err != nil {
		return err
	}
	f.missing = slices.DeleteFunc(f.missing, f.refused.has)
	var octets int64
	for _, i := range f.missing {
		octets += f.selected.list[i].size
	}
	there := f.report.Missing - int64(len(f.missing))
	f.o.Progress.Messages.Add(-there)
	f.o.Progress.Bytes.Add(octets - f.report.Bytes)
	f.report.Present, f.report.Missing, f.report.Bytes = f.report.Present+there, int64(len(f.missing)), octets
	f.wanted = newSet(f.missing)
	return nil
}

// lookAgain finds out what of the missing messages is there by now.
func (f *folder) lookAgain(ctx context.Context, box Box) error {
	if err := f.compare(ctx, box); err != nil {
		return err
	}
	// What was there before may have gone: an mbox is cut back to what was whole.
	for _, i := range f.missing {
		if f.wanted.has(i) || f.refused.has(i) {
			continue
		}
		size := f.selected.list[i].size
		f.wanted.put(i, true)
		f.report.Present, f.report.Missing, f.report.Bytes = f.report.Present-1, f.report.Missing+1, f.report.Bytes+size
		f.o.Progress.Messages.Add(1)
		f.o.Progress.Bytes.Add(size)
	}
	missing := newSet(f.missing)
	limits := box.Limits()
	for i := range uint32(len(f.selected.list)) {
		if f.wanted.has(i) && !f.refused.has(i) {
			f.arrive(i, !missing.has(i), limits)
		}
	}
	return nil
}

// arrive notes that a message is there, or that it is not after all: of two
// that are equal, the other one was.
func (f *folder) arrive(i uint32, there bool, limits Limits) {
	if f.arrived.has(i) == there {
		return
	}
	f.arrived.put(i, there)
	n, size := int64(1), f.selected.list[i].size
	if there {
		f.steps++
	} else {
		n, size = -1, -size
	}
	f.report.Appended += n
	f.o.Progress.MessagesDone.Add(n)
	f.o.Progress.BytesDone.Add(size)
	_, dropped := limits.split(f.selected.sets[f.selected.list[i].flags])
	f.drop(dropped, n)
}

func (f *folder) drop(flags []string, n int64) {
	for _, flag := range flags {
		if f.report.Dropped[flag] += n; f.report.Dropped[flag] == 0 {
			delete(f.report.Dropped, flag)
		}
	}
}

// split tells the flags that are kept from those that are not, and leaves out
// labels.
func (l Limits) split(flags []string) (kept, dropped []string) {
	for _, flag := range flags {
		if _, is := storage.Label(flag); is {
			continue
		}
		if l.Flag == nil || l.Flag(flag) {
			kept = append(kept, flag)
		} else {
			dropped = append(dropped, flag)
		}
	}
	return kept, dropped
}

// append adds what is missing, batch by batch.
func (f *folder) append(ctx context.Context, box Box) error {
	limits := box.Limits()
	var batch []prepared
	var octets int64
	flush := func() error {
		err := f.send(ctx, box, limits, batch)
		batch, octets = nil, 0
		return err
	}
	for _, i := range f.missing {
		size := f.selected.list[i].size
		switch {
		case f.refused.has(i):
			continue
		case limits.Size > 0 && size > limits.Size:
			f.refuseNow(i, tooLarge(size, limits.Size))
			continue
		case f.tries[i] >= mostTries:
			steps := f.steps
			f.refuseNow(i, fmt.Sprintf("the connection was lost each of the %d times that it was sent", f.tries[i]))
			if f.lost++; f.lost > mostLost {
				f.steps = steps // a server may keep us waiting for each of them
			}
			continue
		case len(batch) == batchMessages || len(batch) > 0 && (f.careful || octets+size > batchBytes):
			if err := flush(); err != nil {
				return err
			}
		}
		p, err := f.prepare(ctx, i)
		if errors.Is(err, storage.ErrMissing) || errors.Is(err, storage.ErrDamaged) {
			f.refuseNow(i, "it cannot be read from the archive: "+err.Error())
			continue
		}
		if err != nil {
			return &archiveError{fmt.Errorf("UID %d: %w", f.selected.list[i].uid, err)}
		}
		batch = append(batch, p)
		octets += size
	}
	return flush()
}

// refuseNow refuses a message that was counted among those to be appended.
func (f *folder) refuseNow(i uint32, reason string) {
	f.refuse(i, reason)
	f.o.Progress.MessagesDone.Add(1)
	f.o.Progress.BytesDone.Add(f.selected.list[i].size)
}

// prepared is a message of which it is known that the archive gives it.
type prepared struct {
	number uint32
	*item
	octets []byte // nil: it is too large to be kept, and is read once more
}

// keepOctets is how large a message may be that is kept in memory while it is
// sent.
const keepOctets = 1 << 20

// prepare reads a message from the archive. What cannot be read must be known
// before its first octet is promised to a server.
func (f *folder) prepare(ctx context.Context, i uint32) (prepared, error) {
	p := prepared{number: i, item: &f.selected.list[i]}
	n := &counter{w: io.Discard}
	var kept *bytes.Buffer
	if p.size <= keepOctets {
		kept = bytes.NewBuffer(make([]byte, 0, p.size))
		n.w = kept
	}
	err := f.repo.WriteMessage(ctx, n, f.group.Vault, p.recipe)
	if err == nil && n.n != p.size {
		err = fmt.Errorf("it has %d octets where the snapshot says %d: %w", n.n, p.size, storage.ErrDamaged)
	}
	if kept != nil {
		p.octets = kept.Bytes()
	}
	return p, err
}

// send appends a batch.
func (f *folder) send(ctx context.Context, box Box, limits Limits, batch []prepared) error {
	if len(batch) == 0 {
		return nil
	}
	list := make([]Outgoing, len(batch))
	late := make([][]string, len(batch))     // flags that turn out not to be kept
	var archive atomic.Pointer[archiveError] // what went wrong on our side
	for i, m := range batch {
		flags, _ := limits.split(f.selected.sets[m.flags])
		list[i] = Outgoing{Size: m.size, Flags: flags, Labels: labels(f.selected.sets[m.flags]), InternalDate: m.internalDate(), Known: Known{m.recipe, m.messageID}, Write: func(ctx context.Context, w io.Writer) error {
			if m.octets != nil {
				_, err := w.Write(m.octets)
				return err
			}
			err := f.repo.WriteMessage(ctx, &targetWriter{w: w}, f.group.Vault, m.recipe)
			if _, theirs := errors.AsType[*targetError](err); err != nil && !theirs {
				archive.Store(&archiveError{fmt.Errorf("UID %d: %w", m.uid, err)})
			}
			return err
		}, NotKept: func(flags []string) { late[i] = append(late[i], flags...) }}
	}
	err := box.Append(ctx, list, func(i int, id string, err error) {
		m := batch[i]
		f.lost = 0
		if err != nil {
			f.refuseNow(m.number, err.Error())
			return
		}
		f.arrive(m.number, true, limits)
		f.drop(late[i], 1)
		if id != "" {
			k := Known{m.recipe, m.messageID}
			f.match.seen.put(id, k.sight())
			f.journal.add(f.epoch, id, k)
		}
	})
	f.late.doubt = f.late.doubt || err != nil
	if a := archive.Load(); a != nil {
		return a
	}
	switch {
	case err == nil:
		f.careful = false
	case len(batch) == 1 && ctx.Err() == nil && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrNotes):
		f.tries[batch[0].number]++
	}
	return err
}

// A targetWriter tells errors of writing to the target from errors of reading
// the archive.
type targetWriter struct{ w io.Writer }

type targetError struct{ error }

func (e *targetError) Unwrap() error { return e.error }

func (t *targetWriter) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	if err != nil {
		err = &targetError{err}
	}
	return n, err
}
