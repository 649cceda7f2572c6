package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// A simObject is an object in the simulated store.
type simObject struct {
	data     []byte // never changed
	modified time.Time
}

// simStore is how a process sees the store.
type simStore struct {
	a    *simActor
	life *simLife
}

func (s simStore) Location() string { return "the simulated store" }

func (s simStore) ask(ctx context.Context, r *simRequest) (*simRequest, error) {
	r.ctx, r.life, r.actor = ctx, s.life, s.a
	if s.life.direct {
		s.a.w.apply(r)
		return r, r.err
	}
	return r, s.a.park(r)
}

func (s simStore) Put(ctx context.Context, name string, data []byte) error {
	_, err := s.ask(ctx, &simRequest{op: objectstest.Put, name: name, data: s.a.w.taken(data)})
	return err
}

func (s simStore) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	_, err := s.ask(ctx, &simRequest{op: objectstest.PutIfAbsent, name: name, data: s.a.w.taken(data)})
	return err
}

func (s simStore) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	r, err := s.ask(ctx, &simRequest{op: objectstest.Get, name: name, offset: offset, length: length})
	return r.got, err
}

func (s simStore) Delete(ctx context.Context, name string) error {
	_, err := s.ask(ctx, &simRequest{op: objectstest.Delete, name: name})
	return err
}

func (s simStore) List(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
	return func(yield func(objects.Info, error) bool) {
		r, err := s.ask(ctx, &simRequest{op: objectstest.List, name: prefix, after: after})
		for _, info := range r.infos {
			if !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(objects.Info{}, err)
		}
	}
}

// apply does in the store what a request asks for.
func (w *simWorld) apply(r *simRequest) {
	o, there := w.objects[r.name]
	switch r.op {
	case objectstest.Put, objectstest.PutIfAbsent:
		if there && r.op == objectstest.PutIfAbsent {
			r.err = fmt.Errorf("%s: %w", r, objects.ErrExists)
			return
		}
		w.objects[r.name] = simObject{r.data, time.Now()}
		w.fail(w.truth.put(r.actor.name, r.name, r.data))
	case objectstest.Delete:
		delete(w.objects, r.name)
		w.fail(w.truth.removed(r.actor.name, r.name, there))
	case objectstest.Get:
		r.got, r.err = w.get(r, o, there)
	case objectstest.List:
		for name, o := range w.objects {
			if strings.HasPrefix(name, r.name) && name > r.after {
				r.infos = append(r.infos, objects.Info{Name: name, Size: int64(len(o.data)), Modified: o.modified.Add(r.actor.skew)})
			}
		}
		slices.SortFunc(r.infos, func(a, b objects.Info) int { return strings.Compare(a.Name, b.Name) })
	}
}

func (w *simWorld) get(r *simRequest, o simObject, there bool) ([]byte, error) {
	if !there {
		return nil, fmt.Errorf("%s: %w", r, objects.ErrNotFound)
	}
	size := int64(len(o.data))
	length := r.length
	if length < 0 {
		length = max(0, size-r.offset)
	}
	if r.offset > size || length > size-r.offset {
		return nil, fmt.Errorf("%s: %w", r, objects.ErrRange)
	}
	got := o.data[r.offset:][:length:length]
	if w.seed%copyEvery > 0 {
		return got, nil
	}
	given := slices.Clone(got)
	w.shared = append(w.shared, [2][]byte{given, got})
	return given, nil
}

// Nobody writes into octets that the store gave or got: most schedules use the
// store's own, one of so many copies them, and compares them in the end.
const copyEvery = 16

// taken is what the store keeps of octets that somebody writes.
func (w *simWorld) taken(data []byte) []byte {
	if w.seed%copyEvery > 0 {
		return data
	}
	kept := slices.Clone(data)
	w.shared = append(w.shared, [2][]byte{data, kept})
	return kept
}

func (w *simWorld) sameShared() error {
	for _, s := range w.shared {
		if !bytes.Equal(s[0], s[1]) {
			return errors.New("somebody wrote into octets that the store gave or got")
		}
	}
	return nil
}
