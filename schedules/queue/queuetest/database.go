package queuetest

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"sync"
)

// A Fault is what may happen to an operation of a database.
type Fault string

// The faults there are.
const (
	NotDone Fault = "an error before it"
	Lost    Fault = "it is done, and the answer lost"
	Gone    Fault = "the program is gone before it" // no later one is done either
)

var errInjected = errors.New("injected fault")

// A FaultyDatabase stands between a queue and its database (queue.Options.Wrap).
// It counts the operations, which are statements and the beginnings and ends of
// transactions, and has one of them fail.
type FaultyDatabase struct {
	driver.Connector        // set by Wrap
	At               int    // which one, from 0; -1: none
	CommitOf         string // in place of At: the first COMMIT after a statement that begins so
	What             Fault
	Die              func() // called when the program is Gone; or nil

	mu     sync.Mutex // guards what follows
	seen   []string
	struck string
}

// Wrap takes the place of the way to the database.
func (f *FaultyDatabase) Wrap(c driver.Connector) driver.Connector {
	f.Connector = c
	return f
}

// Hit returns the operation that failed, empty if none has, and how many there
// were.
func (f *FaultyDatabase) Hit() (operation string, seen int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck, len(f.seen)
}

// Connect implements driver.Connector.
func (f *FaultyDatabase) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := f.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyConn{c, f}, nil
}

// do does an operation, or not.
func (f *FaultyDatabase) do(what string, do func() error) error {
	f.mu.Lock()
	n := len(f.seen)
	f.seen = append(f.seen, what)
	fault := Fault("")
	switch {
	case n == f.At, f.CommitOf != "" && f.struck == "" && what == "COMMIT" && n > 0 && slices.ContainsFunc(f.seen[:n], func(s string) bool { return strings.HasPrefix(s, f.CommitOf) }):
		fault, f.struck = f.What, what
	case f.What == Gone && f.struck != "":
		fault = Gone
	}
	f.mu.Unlock()
	if fault == Gone && f.Die != nil {
		f.Die()
	}
	switch fault {
	case NotDone, Gone:
		return errInjected
	case Lost:
		return errors.Join(do(), errInjected)
	}
	return do()
}

type faultyConn struct {
	driver.Conn
	f *FaultyDatabase
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Result, err error) {
	err = c.f.do(query, func() (err error) {
		r, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
		return err
	})
	return r, err
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Rows, err error) {
	done := false
	err = c.f.do(query, func() (err error) {
		r, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
		done = err == nil
		return err
	})
	if err != nil && done {
		r.Close()
	}
	return r, err
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (s driver.Stmt, err error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c *faultyConn) Ping(ctx context.Context) error {
	return c.f.do("ping", func() error { return c.Conn.(driver.Pinger).Ping(ctx) })
}

func (c *faultyConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *faultyConn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (t driver.Tx, err error) {
	done := false
	err = c.f.do("BEGIN", func() (err error) {
		t, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
		done = err == nil
		return err
	})
	if err != nil {
		if done {
			t.Rollback() // as when a connection ends
		}
		return nil, err
	}
	return &faultyTx{t, c.f}, nil
}

type faultyTx struct {
	driver.Tx
	f *FaultyDatabase
}

func (t *faultyTx) Commit() error {
	err := t.f.do("COMMIT", t.Tx.Commit)
	if err != nil {
		t.Tx.Rollback() // of one that was not committed; database/sql does not ask for it any more
	}
	return err
}
