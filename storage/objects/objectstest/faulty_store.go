package objectstest

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"restante/storage/objects"
)

// Location implements [objects.Store].
func (f *Faulty) Location() string { return f.store.Location() }

// Put implements [objects.Store].
func (f *Faulty) Put(ctx context.Context, name string, data []byte) error {
	return f.write(ctx, Put, name, data, f.store.Put)
}

// PutIfAbsent implements [objects.Store].
func (f *Faulty) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	return f.write(ctx, PutIfAbsent, name, data, f.store.PutIfAbsent)
}

// Delete implements [objects.Store].
func (f *Faulty) Delete(ctx context.Context, name string) error {
	return f.write(ctx, Delete, name, nil, func(ctx context.Context, name string, _ []byte) error {
		return f.store.Delete(ctx, name)
	})
}

func (f *Faulty) write(ctx context.Context, op Op, name string, data []byte, do func(context.Context, string, []byte) error) error {
	switch fault := f.next(ctx, op, name); fault {
	case "":
		return do(ctx, name, data)
	case Lose:
		return nil
	case Overwrite:
		return f.store.Put(ctx, name, data)
	case Flip:
		return do(ctx, name, f.flip(data))
	case Shorten:
		return do(ctx, name, data[:len(data)/2])
	case FailAfter, HangAfter:
		do(ctx, name, data)
		return f.fail(ctx, fault, op, name)
	case FailLate:
		data := slices.Clone(data)
		f.mu.Lock()
		f.late = append(f.late, func() { do(context.WithoutCancel(ctx), name, data) })
		f.mu.Unlock()
		return f.fail(ctx, fault, op, name)
	default:
		return f.fail(ctx, fault, op, name)
	}
}

// Get implements [objects.Store].
func (f *Faulty) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	fault := f.next(ctx, Get, name)
	switch fault {
	case Lose:
		return nil, fmt.Errorf("get %s: %w: %w", name, objects.ErrNotFound, ErrInjected)
	case "", Flip, Shorten:
	default:
		return nil, f.fail(ctx, fault, Get, name)
	}
	data, err := f.store.Get(ctx, name, offset, length)
	switch {
	case err != nil:
		return nil, err
	case fault == Flip:
		return f.flip(data), nil
	case fault == Shorten:
		return data[:len(data)/2], nil
	}
	return data, nil
}

// List implements [objects.Store].
func (f *Faulty) List(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
	return func(yield func(objects.Info, error) bool) {
		fault := f.next(ctx, List, prefix)
		switch fault {
		case "":
			f.store.List(ctx, prefix, after)(yield)
			return
		case Shorten, FailAfter, HangAfter, Lose:
		default:
			yield(objects.Info{}, f.fail(ctx, fault, List, prefix))
			return
		}
		var infos []objects.Info
		for info, err := range f.store.List(ctx, prefix, after) {
			if err != nil {
				yield(objects.Info{}, err)
				return
			}
			infos = append(infos, info)
		}
		if fault == Lose && len(infos) > 0 {
			lost := f.roll(len(infos))
			infos = slices.Delete(infos, lost, lost+1)
		} else {
			infos = infos[:len(infos)/2]
		}
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
		if fault == FailAfter || fault == HangAfter {
			yield(objects.Info{}, f.fail(ctx, fault, List, prefix))
		}
	}
}

// fail returns the error of a fault, in due time.
func (f *Faulty) fail(ctx context.Context, fault Fault, op Op, name string) error {
	var err error
	switch fault {
	case Hang, HangAfter:
		<-ctx.Done()
		err = ctx.Err()
	case Full:
		err = objects.ErrFull
	case Refuse:
		err = objects.ErrRefused
	}
	if err == nil {
		return fmt.Errorf("%s %s: %w (%s)", op, name, ErrInjected, fault)
	}
	return fmt.Errorf("%s %s: %w: %w (%s)", op, name, err, ErrInjected, fault)
}

func (f *Faulty) flip(data []byte) []byte {
	data = slices.Clone(data)
	if len(data) > 0 {
		data[f.roll(len(data))] ^= 1 << f.roll(8)
	}
	return data
}
