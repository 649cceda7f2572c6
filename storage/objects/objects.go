// Package objects names what the repository needs of a place that keeps
// objects: the [Store] interface, and the stores that need no library, a
// directory ([OpenDir]) and memory ([NewMemory]). Every store, also one of your
// own, passes the suite in objects/objectstest; [Counted] counts what is asked
// of one.
//
// A store that breaks its word about [Store.PutIfAbsent] costs somebody their
// mail, so [Probe] proves a store before a repository is put into it.
package objects

import (
	"context"
	"errors"
	"iter"
	"time"
)

// MaxSize is the size in octets that every store must take in one object.
// Nothing in a repository is larger.
const MaxSize = 64 << 20

// What a store's errors say. Every error that wraps none of these leaves the
// outcome unknown: the operation may have happened, or may still happen.
var (
	// ErrNotFound: there is no object of that name.
	ErrNotFound = errors.New("no such object")
	// ErrExists: PutIfAbsent found an object of that name and left it alone.
	ErrExists = errors.New("object exists already")
	// ErrRange: the object ends before the range that was asked for does.
	ErrRange = errors.New("object is shorter than the range asked for")
	// ErrRefused: the store said no and did nothing: no permission,
	// read-only, unknown credentials, no such bucket.
	ErrRefused = errors.New("the store refused")
	// ErrFull: there is no space, or a quota is used up. Nothing was stored.
	ErrFull = errors.New("the store is full")
	// ErrBroken: Probe saw the store break its word. It must not be used.
	ErrBroken = errors.New("the store does not keep its word")
)

// A Store keeps objects: byte strings under names like "packs/01J…". A name
// is made of lower-case and upper-case ASCII letters, digits, '.', '-', '_',
// and '/' between its parts, and is at most 200 octets long; no part is empty
// or begins or ends with a '.' ([CheckName]). A store need not be able to keep
// an object that is the folder of another ("a" and "a/b"), nor two that differ
// in case alone: it may refuse the second.
//
// All methods may be called at the same time. Each returns soon after its
// context ends, with an error that wraps the context's; one that is called
// with an ended context does nothing else. The byte slices passed in are not
// kept, those returned belong to the caller. A name that CheckName does not
// like, or data longer than MaxSize, is ErrRefused.
type Store interface {
	// Location says where the objects are, for people and logs. It holds no
	// credentials.
	Location() string

	// Put stores data under name, in place of what was there. After nil the
	// object is durable and every later Get and List sees it. After an error
	// that wraps neither ErrRefused nor ErrFull nobody knows. Over a network
	// a first try can be lost, repeated, and arrive after all, when something
	// newer is there: names whose octets never change are safe from that.
	Put(ctx context.Context, name string, data []byte) error

	// PutIfAbsent is Put where nothing is there yet. Of any number of calls
	// for one name, by anybody, at most one ever returns nil; ErrExists says
	// that the object was there, and that may be because an earlier,
	// unanswered try of this very call stored it.
	PutIfAbsent(ctx context.Context, name string, data []byte) error

	// Get returns length octets from offset, or all from offset on where
	// length is negative. It returns all of what was asked for or an error:
	// ErrNotFound, or ErrRange where the object is too short. Nothing at all
	// can be had from the very end of an object, but not from beyond it. Of
	// an object that is replaced meanwhile it returns the old octets or the
	// new ones, never some of each.
	Get(ctx context.Context, name string, offset, length int64) ([]byte, error)

	// List goes through the objects whose names begin with prefix and are
	// greater than after, in ascending byte order. It sees everything whose
	// Put had returned before List was called, and nothing whose Delete had.
	// Files and keys that cannot be objects by their names are passed over.
	// It ends after the first error; without one it is complete.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]

	// Delete removes the object, durably. It is no error if there was none.
	Delete(ctx context.Context, name string) error
}

// Info is what List tells of an object.
type Info struct {
	Name     string
	Size     int64     // octets
	Modified time.Time // by the store's clock; for people, never for decisions about safety
}
