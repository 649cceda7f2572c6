package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// A fakeTarget keeps what it is given, and fails as it is told. The suite on
// a real server is in cmd/restante.
type fakeTarget struct {
	mu      sync.Mutex
	folders map[string]*fakeBox
	room    int64
	// cut is told of every message that arrives and says whether the connection
	// breaks then, and whether the message is kept all the same.
	cut func() (broken, kept bool)
	// refuse says whether a message is not taken.
	refuse func(octets string) bool
	mangle func(octets string) string // what it keeps of a message; nil: all
	lieAt  int64                      // added to every size it tells
	noIDs  bool                       // no UIDPLUS

	reads int
}

type fakeBox struct {
	folder   Folder
	epoch    uint32
	next     int
	messages []fakeMessage
}

type fakeMessage struct {
	id, octets string
	flags      []string
	date       time.Time
}

func newTarget() *fakeTarget { return &fakeTarget{folders: map[string]*fakeBox{}} }

func (t *fakeTarget) Location() string { return "the fake" }

func (t *fakeTarget) Parallel() int { return 2 }

func (t *fakeTarget) Close() error { return nil }

func (t *fakeTarget) Folders(context.Context) (list []Folder, _ error) {
	for _, f := range t.folders {
		list = append(list, f.folder)
	}
	return list, nil
}

func (t *fakeTarget) Place(levels []string, _ []byte, _ string) (string, []string, error) {
	return strings.Join(levels, "."), nil, nil
}

func (t *fakeTarget) Create(_ context.Context, place string, f Folder) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.folders[place] = &fakeBox{folder: f, epoch: uint32(len(t.folders) + 1)}
	return nil, nil
}

func (t *fakeTarget) Subscribe(_ context.Context, place string) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.folders[place].folder.Subscribed = true
	return nil, nil
}

func (t *fakeTarget) Room(context.Context) (int64, bool, error) { return t.room, t.room > 0, nil }

func (t *fakeTarget) Open(_ context.Context, place string) (Box, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &openFake{t, t.folders[place]}, nil
}

type openFake struct {
	t *fakeTarget
	*fakeBox
}

func (b *openFake) Epoch() uint32 { return b.epoch }

func (b *openFake) Close() error { return nil }

func (b *openFake) Limits() Limits {
	return Limits{Flag: func(f string) bool { return f != "$Odd" }, Size: 50_000}
}

func (b *openFake) Present(_ context.Context, each func(Present) error) error {
	b.t.mu.Lock()
	defer b.t.mu.Unlock()
	for _, m := range b.messages {
		id := ""
		if _, rest, ok := strings.Cut(m.octets, "Message-ID: "); ok {
			id, _, _ = strings.Cut(rest, "\r\n")
		}
		if err := each(Present{ID: m.id, Size: int64(len(m.octets)) + b.t.lieAt, MessageID: id}); err != nil {
			return err
		}
	}
	return nil
}

func (b *openFake) Read(_ context.Context, ids []string, each func(string, int64, io.Reader) error) error {
	b.t.mu.Lock()
	messages := slices.Clone(b.messages)
	b.t.reads += len(ids)
	b.t.mu.Unlock()
	for _, m := range messages {
		if slices.Contains(ids, m.id) {
			if err := each(m.id, int64(len(m.octets)), strings.NewReader(m.octets)); err != nil {
				return err
			}
		}
	}
	return nil
}

var errCut = errors.New("connection lost")

func (b *openFake) Append(ctx context.Context, list []Outgoing, done func(int, string, error)) error {
	for i, o := range list {
		var octets bytes.Buffer
		if err := o.Write(ctx, &octets); err != nil {
			return err
		}
		if int64(octets.Len()) != o.Size {
			return fmt.Errorf("%d octets where %d were announced", octets.Len(), o.Size)
		}
		b.t.mu.Lock()
		var broken, kept bool
		if b.t.cut != nil {
			broken, kept = b.t.cut()
		}
		refused := b.t.refuse != nil && b.t.refuse(octets.String())
		id := ""
		if !refused && (!broken || kept) {
			b.next++
			id = fmt.Sprint(b.next)
			kept := octets.String()
			if b.t.mangle != nil {
				kept = b.t.mangle(kept)
			}
			b.messages = append(b.messages, fakeMessage{id, kept, o.Flags, o.InternalDate})
		}
		if b.t.noIDs {
			id = ""
		}
		b.t.mu.Unlock()
		switch {
		case broken:
			return errCut
		case refused:
			done(i, "", fmt.Errorf("%w: NO it has a virus", ErrNotTaken))
		default:
			done(i, id, nil)
		}
	}
	return nil
}
