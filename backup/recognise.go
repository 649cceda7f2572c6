package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"restante/storage"
)

// sampleEvery is of how many recognised messages one is read whole all the
// same, to see that recognising is right.
const sampleEvery = 50

// A likeness is what a message is looked up by before its header is compared.
type likeness struct {
	size int64
	at   int64 // internal date, seconds since 1970
}

// recognise finds messages that the archive has from another epoch or name of
// the folder, adds them to the draft, and returns the UIDs of those that must
// be read. A message is recognised by its size, its internal date to the
// second and every octet of its header, if no other message is like it; and
// one in 50 is read whole to prove the others. At the first that is not what
// it was taken for, all are read.
func (j *job) recognise(ctx context.Context, m HeaderMailbox, d *storage.Draft, from *storage.Folder, fresh []uint32) (rest []uint32, err error) {
	r := j.run
	candidates := map[likeness][]storage.BlobID{}
	for list, err := range from.PageWise(ctx, nil) {
		if err != nil {
			return nil, &LocalError{Err: err}
		}
		for i := range list {
			k := likeness{list[i].Size, list[i].InternalDate.Unix()}
			if !slices.Contains(candidates[k], list[i].Recipe) {
				candidates[k] = append(candidates[k], list[i].Recipe)
			}
		}
	}
	if len(candidates) == 0 || len(fresh) == 0 {
		return fresh, nil
	}
	flags, err := flagsOf(ctx, m, 0)
	if errors.Is(err, ErrRefused) {
		return fresh, nil
	}
	if err != nil && !errors.Is(err, ErrEnumeration) {
		return nil, err
	}
	var found []storage.Message
	for chunk := range slices.Chunk(fresh, chunkSize) {
		err := m.Headers(ctx, chunk, func(h *Header) error {
			recipe, ok, err := j.match(ctx, h, candidates[likeness{h.Size, h.InternalDate.Unix()}])
			f, flagged := flags[h.UID]
			if err != nil || !ok || !flagged {
				return err
			}
			msg, err := summarizeOutline(&Outline{*h, f})
			if err != nil {
				return &LocalError{Err: err}
			}
			msg.Recipe = recipe
			found = append(found, msg)
			return nil
		})
		if errors.Is(err, ErrRefused) {
			return fresh, nil
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b storage.Message) int { return int(int64(a.UID) - int64(b.UID)) })
	right, err := j.sample(ctx, m, found)
	if errors.Is(err, ErrRefused) {
		return fresh, nil
	}
	if err != nil || !right || len(found) == 0 {
		return fresh, err
	}
	if err := d.Add(found); err != nil {
		return nil, &LocalError{Err: err}
	}
	j.offer(found)
	known := make([]uint32, len(found))
	for i := range found {
		known[i] = found[i].UID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// With less than half of its messages it is no folder under another name,
	// but one into which some were copied.
	if name := from.Name(); name != j.name && int64(len(found))*2 > from.Messages {
		delete(r.gone, name)
		r.notes = append(r.notes, fmt.Sprintf("the folder %q is now called %q", name, j.name))
	} else {
		r.stats.New += int64(len(found)) // at new places
	}
	return without(fresh, known), nil
}

// match finds the one candidate that begins with the header.
func (j *job) match(ctx context.Context, h *Header, candidates []storage.BlobID) (recipe storage.BlobID, ok bool, err error) {
	for _, c := range candidates {
		w := &comparer{want: h.Octets}
		err := j.run.repo.WriteMessage(ctx, w, j.run.o.Vault, c)
		if err != nil && !errors.Is(err, errCompared) {
			return recipe, false, &LocalError{Err: err}
		}
		if len(w.want) > 0 || w.differs {
			continue
		}
		if ok {
			return recipe, false, nil // two are like it
		}
		recipe, ok = c, true
	}
	return recipe, ok, nil
}

var errCompared = errors.New("compared")

// A comparer is a writer that compares what is written with what it should
// begin with, and ends the writing as soon as it knows.
type comparer struct {
	want    []byte
	differs bool
}

func (c *comparer) Write(p []byte) (int, error) {
	n := min(len(p), len(c.want))
	if !bytes.Equal(p[:n], c.want[:n]) {
		c.differs = true
		return 0, errCompared
	}
	if c.want = c.want[n:]; len(c.want) == 0 {
		return 0, errCompared
	}
	return n, nil
}

// sample reads some of the recognised messages whole and says whether they
// are what they were taken for.
func (j *job) sample(ctx context.Context, m Mailbox, found []storage.Message) (right bool, err error) {
	recipes := map[uint32]storage.Message{}
	var uids []uint32
	for i := 0; i < len(found); i += sampleEvery {
		recipes[found[i].UID] = found[i]
		uids = append(uids, found[i].UID)
	}
	right = true
	for chunk := range slices.Chunk(uids, chunkSize) {
		err := m.Fetch(ctx, chunk, func(f *Fetched) error {
			want := recipes[f.UID]
			same, err := j.same(ctx, io.NewSectionReader(f.Body, 0, f.Size), want.Recipe)
			if err != nil {
				return &LocalError{Err: err}
			}
			if f.Size != want.Size || !same {
				j.run.o.Log.Warn("a message that was recognised by its header is another one; all are read", "folder", j.name, "uid", f.UID)
				right = false
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return right, nil
}

// same compares a message with one in the archive.
func (j *job) same(ctx context.Context, body io.Reader, recipe storage.BlobID) (bool, error) {
	w := &readerComparer{r: body}
	err := j.run.repo.WriteMessage(ctx, w, j.run.o.Vault, recipe)
	if errors.Is(err, errCompared) {
		return false, nil
	}
	return err == nil, err
}

// A readerComparer is a writer that ends the writing where it differs from a
// reader.
type readerComparer struct {
	r   io.Reader
	buf [32 << 10]byte
}

func (c *readerComparer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), len(c.buf))
		if _, err := io.ReadFull(c.r, c.buf[:n]); err != nil || !bytes.Equal(c.buf[:n], rest[:n]) {
			return 0, errCompared
		}
		rest = rest[n:]
	}
	return len(p), nil
}
