package objects

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
)

// Counter is a Store that counts what is asked of the one below it, so that a
// run can say what it cost. Make one with [Counted].
type Counter struct {
	store Store

	puts, putsIfAbsent, gets, lists, deletes, failed, stored, fetched atomic.Int64
}

// A Requester is a Store whose operations are requests over a network, and not
// always one each: a long List takes several, a retry is one more.
type Requester interface {
	// Requests returns how many requests have been sent since the store was
	// opened.
	Requests() int64
}

// Counts says how much was asked of a store.
type Counts struct {
	Puts, PutsIfAbsent, Gets, Lists, Deletes int64 // operations
	Failed                                   int64 // how many of them ended with an error, ErrNotFound and ErrExists among them
	Stored, Fetched                          int64 // octets of objects, successfully put and got
	Requests                                 int64 // requests over the network; for a store that has none, the operations
}

// Counted returns a Counter of what is asked of store through it.
func Counted(store Store) *Counter { return &Counter{store: store} }

// Snapshot returns the counts of now.
func (c *Counter) Snapshot() Counts {
	counts := Counts{
		Puts: c.puts.Load(), PutsIfAbsent: c.putsIfAbsent.Load(), Gets: c.gets.Load(),
		Lists: c.lists.Load(), Deletes: c.deletes.Load(), Failed: c.failed.Load(),
		Stored: c.stored.Load(), Fetched: c.fetched.Load(),
	}
	counts.Requests = counts.Operations()
	if r, ok := c.store.(Requester); ok {
		counts.Requests = r.Requests()
	}
	return counts
}

// Operations returns the number of all operations.
func (n Counts) Operations() int64 {
	return n.Puts + n.PutsIfAbsent + n.Gets + n.Lists + n.Deletes
}

// Since returns what was added to earlier.
func (n Counts) Since(earlier Counts) Counts {
	return Counts{
		Puts: n.Puts - earlier.Puts, PutsIfAbsent: n.PutsIfAbsent - earlier.PutsIfAbsent, Gets: n.Gets - earlier.Gets,
		Lists: n.Lists - earlier.Lists, Deletes: n.Deletes - earlier.Deletes, Failed: n.Failed - earlier.Failed,
		Stored: n.Stored - earlier.Stored, Fetched: n.Fetched - earlier.Fetched,
		Requests: n.Requests - earlier.Requests,
	}
}

// String is one line for people.
func (n Counts) String() string {
	return fmt.Sprintf("%d store requests (%d put, %d put if absent, %d get, %d list, %d delete), %d octets stored, %d fetched",
		n.Requests, n.Puts, n.PutsIfAbsent, n.Gets, n.Lists, n.Deletes, n.Stored, n.Fetched)
}

// Requests implements [Requester].
func (c *Counter) Requests() int64 { return c.Snapshot().Requests }

// Location implements [Store].
func (c *Counter) Location() string { return c.store.Location() }

// Put implements [Store].
func (c *Counter) Put(ctx context.Context, name string, data []byte) error {
	c.puts.Add(1)
	return c.put(c.store.Put(ctx, name, data), data)
}

// PutIfAbsent implements [Store].
func (c *Counter) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	c.putsIfAbsent.Add(1)
	return c.put(c.store.PutIfAbsent(ctx, name, data), data)
}

func (c *Counter) put(err error, data []byte) error {
	if err != nil {
		c.failed.Add(1)
		return err
	}
	c.stored.Add(int64(len(data)))
	return nil
}

// Get implements [Store].
func (c *Counter) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	c.gets.Add(1)
	data, err := c.store.Get(ctx, name, offset, length)
	if err != nil {
		c.failed.Add(1)
	}
	c.fetched.Add(int64(len(data)))
	return data, err
}

// List implements [Store].
func (c *Counter) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		c.lists.Add(1)
		for info, err := range c.store.List(ctx, prefix, after) {
			if err != nil {
				c.failed.Add(1)
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Delete implements [Store].
func (c *Counter) Delete(ctx context.Context, name string) error {
	c.deletes.Add(1)
	err := c.store.Delete(ctx, name)
	if err != nil {
		c.failed.Add(1)
	}
	return err
}
