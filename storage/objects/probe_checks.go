package objects

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// probeChecks are the promises that Probe looks at, the plain ones first.
var probeChecks = []struct {
	name, promise string
	run           func(*prober, context.Context) error
}{
	{"put and get", "what was put last is what comes back", (*prober).checkPutAndGet},
	{"ranges", "a part of an object is exactly the octets asked for", (*prober).checkRanges},
	{"one winner", "of many writers of one name at the same time exactly one succeeds", (*prober).checkOneWinner},
	{"never again", "put-if-absent leaves an object that is there alone", (*prober).checkNeverAgain},
	{"lost replies", "after a put-if-absent without an answer, trying again tells whose object it is", (*prober).checkLostReplies},
	{"list", "a list shows everything that was put, in order, and nothing that was deleted", (*prober).checkList},
	{"delete", "what was deleted is gone", (*prober).checkDelete},
}

func (p *prober) checkPutAndGet(ctx context.Context) error {
	name := p.name("put")
	if _, err := p.store.Get(ctx, name, 0, -1); !errors.Is(err, ErrNotFound) {
		return unexpected(err, "an object that was never put was found")
	}
	for _, data := range [][]byte{randomOctets(3000), {}, randomOctets(70_000), randomOctets(10)} {
		if err := p.store.Put(ctx, name, data); err != nil {
			return err
		}
		if err := p.expect(ctx, name, data, "a put"); err != nil {
			return err
		}
	}
	return nil
}

func (p *prober) checkRanges(ctx context.Context) error {
	const size = 5000
	name, data := p.name("range"), randomOctets(size)
	if err := p.store.Put(ctx, name, data); err != nil {
		return err
	}
	for _, r := range [][2]int64{{0, 1}, {0, size}, {1, size - 2}, {1, -1}, {1234, 567}, {size - 1, 1}, {size - 1, -1}, {size, -1}, {size, 0}} {
		offset, length := r[0], r[1]
		end := offset + length
		if length < 0 {
			end = size
		}
		got, err := p.store.Get(ctx, name, offset, length)
		if errors.Is(err, ErrRange) || errors.Is(err, ErrNotFound) {
			return broke("of an object of %d octets it did not give those from %d to %d: %v", size, offset, end, err)
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(got, data[offset:end]) {
			return broke("asked for the octets from %d to %d of an object, it gave %d others", offset, end, len(got))
		}
	}
	for _, r := range [][2]int64{{0, size + 1}, {size - 1, 2}, {size, 1}, {size + 1, -1}} {
		if _, err := p.store.Get(ctx, name, r[0], r[1]); !errors.Is(err, ErrRange) {
			return unexpected(err, "asked for %d octets from %d on of an object of %d, it did not say that there are not so many", r[1], r[0], size)
		}
	}
	return nil
}

const listed = 8 // octets of each object in checkList

func (p *prober) checkList(ctx context.Context) error {
	folder := p.folder + "list/"
	names := []string{p.name("list/0-a"), p.name("list/0/a"), p.name("list/00"), p.name("list/0_a"), p.name("list/0B"), p.name("list/0a")}
	for i := len(names); i < p.objects; i++ {
		names = append(names, p.name("list/%06d", i))
	}
	slices.Sort(names)
	for i, err := range inParallel(len(names), func(i int) error { return p.store.Put(ctx, names[i], randomOctets(listed)) }) {
		if err != nil {
			return fmt.Errorf("object %d of %d: %w", i+1, len(names), err)
		}
	}
	if err := p.expectList(ctx, folder, "", names); err != nil {
		return err
	}
	half := len(names) / 2
	if err := p.expectList(ctx, folder, names[half], names[half+1:]); err != nil {
		return err
	}
	var some []string // a prefix that ends within a part of a name
	for _, name := range names {
		if strings.HasPrefix(name, folder+"0000") {
			some = append(some, name)
		}
	}
	if err := p.expectList(ctx, folder+"0000", "", some); err != nil {
		return err
	}

	var kept, deleted []string
	for i, name := range names {
		if i%3 == 0 {
			deleted = append(deleted, name)
		} else {
			kept = append(kept, name)
		}
	}
	for _, err := range inParallel(len(deleted), func(i int) error { return p.store.Delete(ctx, deleted[i]) }) {
		if err != nil {
			return deleteError(err)
		}
	}
	return p.expectList(ctx, folder, "", kept)
}

func (p *prober) checkDelete(ctx context.Context) error {
	name := p.name("delete")
	for range 2 {
		if err := p.store.Put(ctx, name, randomOctets(100)); err != nil {
			return err
		}
		for range 2 { // the second time there is nothing to delete
			if err := p.store.Delete(ctx, name); err != nil {
				return deleteError(err)
			}
			if _, err := p.store.Get(ctx, name, 0, -1); !errors.Is(err, ErrNotFound) {
				return unexpected(err, "an object was found after it had been deleted")
			}
		}
	}
	return nil
}

// expect reads an object and compares it. It is after something that decided
// what must be there.
func (p *prober) expect(ctx context.Context, name string, want []byte, after string) error {
	got, err := p.store.Get(ctx, name, 0, -1)
	if errors.Is(err, ErrNotFound) {
		return broke("after %s the object was not there", after)
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return broke("after %s a read gave %d octets that are not the %d that must be there", after, len(got), len(want))
	}
	return nil
}

func (p *prober) expectList(ctx context.Context, prefix, after string, want []string) error {
	var got []string
	for info, err := range p.store.List(ctx, prefix, after) {
		if err != nil {
			return err
		}
		if len(got) > len(want)+p.objects {
			break // a store that never stops
		}
		if info.Size != listed {
			return broke("a list showed an object of %d octets as one of %d", listed, info.Size)
		}
		got = append(got, info.Name)
	}
	if slices.Equal(got, want) {
		return nil
	}
	for i, name := range want {
		if !slices.Contains(got, name) {
			return broke("a list of %d objects left out %s, number %d", len(want), strings.TrimPrefix(name, p.folder), i+1)
		}
	}
	for _, name := range got {
		if !slices.Contains(want, name) {
			return broke("a list of %d objects also showed %s, which had been deleted or was not asked for", len(want), strings.TrimPrefix(shorten(name), p.folder))
		}
	}
	return broke("a list of %d objects showed them in another order, or some twice", len(want))
}

// unexpected is for an answer other than the one error that was right: a
// broken promise if the store said or did something else, and err if it could
// not be asked.
func unexpected(err error, format string, args ...any) error {
	switch {
	case err == nil:
		return broke(format, args...)
	case isAny(err, ErrExists, ErrNotFound, ErrRange):
		return broke("an answer made no sense: %v", err)
	}
	return err
}

func deleteError(err error) error {
	if errors.Is(err, ErrRefused) {
		return fmt.Errorf("%w: %w", errMayNotDelete, err)
	}
	return err
}

func randomOctets(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
