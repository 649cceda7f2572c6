package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"restante/storage/objects"
)

// List implements [objects.Store]. A request that fails is tried again from
// the last object on that was shown.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
	return func(yield func(objects.Info, error) bool) {
		if err := objects.CheckList(prefix, after); err != nil {
			yield(objects.Info{}, fmt.Errorf("list: %w", err))
			return
		}
		if err := ctx.Err(); err != nil {
			yield(objects.Info{}, fmt.Errorf("list %s: %w", prefix, err))
			return
		}
		seen := after
		for {
			before := seen
			err := s.do(ctx, "list", prefix, func(ctx context.Context) error {
				return s.list(ctx, prefix, &seen, func(info objects.Info) bool { return yield(info, nil) })
			})
			if err == nil { // the end, or nobody wants more
				return
			}
			// Tries are counted anew where there was progress.
			if seen == before || ctx.Err() != nil || !isUnclear(err) {
				yield(objects.Info{}, err)
				return
			}
		}
	}
}

// pageTime is how long a list may go on without showing a key: a store that
// sends one empty page after the other would keep us for ever.
const pageTime = 5 * time.Minute

// list shows what comes after *seen, and moves it along, until show says that
// it is enough.
func (s *Store) list(ctx context.Context, prefix string, seen *string, show func(objects.Info) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(pageTime, func() { cancel(fmt.Errorf("%w: pages without keys for %s", errStalled, pageTime)) })
	defer stalled.Stop()

	noOwner := false
	options := minio.ListObjectsOptions{Recursive: true, Prefix: s.key(prefix), FetchOwner: &noOwner, MaxKeys: 1000}
	if after := startAfter(prefix, *seen); after != "" {
		options.StartAfter = s.key(after)
	}
	last := options.StartAfter
	for object := range s.core.ListObjectsIter(ctx, s.address.bucket, options) {
		if object.Err != nil {
			if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
				return means("%w", cause)
			}
			return object.Err
		}
		stalled.Stop()
		if object.Key <= last {
			return odd("the store listed %.250q after %.250q, which a repository cannot do with", object.Key, last)
		}
		if !strings.HasPrefix(object.Key, options.Prefix) {
			return odd("the store was asked for what begins with %.250q and listed %.250q", options.Prefix, object.Key)
		}
		last = object.Key
		name, ok := s.name(object.Key)
		if ok && name > *seen {
			s.silence.leave() // now the store waits for us
			more := show(objects.Info{Name: name, Size: object.Size, Modified: object.LastModified})
			s.silence.enter()
			if !more {
				return nil
			}
			*seen = name
		}
		stalled.Reset(pageTime)
	}
	// minio-go ends without a word when the context ends between two pages,
	// and the list would seem complete.
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return nil
}

// startAfter returns what to send so that everything after the name after is
// listed, and as little else as can be.
//
// MinIO stops too early, and says that it is done, where the name is in a
// folder below that of the prefix and many names beside that folder come
// before it: they count against the page before they are thrown out. Its
// folder's name serves as well; what comes before the name itself is passed
// over here.
func startAfter(prefix, after string) string {
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if below, ok := strings.CutPrefix(after, folder); ok {
		below, _, _ = strings.Cut(below, "/")
		return folder + below
	}
	return after
}

// isUnclear tells whether another try might do better.
func isUnclear(err error) bool {
	var ready *meaningError
	if errors.As(err, &ready) {
		return false
	}
	for _, clear := range []error{objects.ErrRefused, objects.ErrNotFound, objects.ErrExists, objects.ErrRange, objects.ErrFull} {
		if errors.Is(err, clear) {
			return false
		}
	}
	return true
}
