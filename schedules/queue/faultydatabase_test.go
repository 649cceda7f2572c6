package queue

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"sync"
)

// What may happen to an operation of a database.
const (
	notDone = "an error before it"
	lost    = "it is done, and the answer lost"
	gone    = "the program is gone before it"
)

var errInjected = errors.New("injected fault")

// A faultyDatabase counts the operations on a database, statements and the
// beginnings and ends of transactions, and has the at-th fail.
type faultyDatabase struct {
	driver.Connector
	at int // -1: none
	// commitOf is what a statement begins with; in place of at, the first COMMIT
	// after one is it.
	commitOf string
	what     string
	die      func() // has all else of the program end, too; or nil

	mu     sync.Mutex // guards what follows
	seen   []string
	struck string
}

func (f *faultyDatabase) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := f.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyConn{c, f}, nil
}

// do does an operation, or not.
func (f *faultyDatabase) do(what string, do func() error) error {
	f.mu.Lock()
	n := len(f.seen)
	f.seen = append(f.seen, what)
	fault := ""
	switch {
	case n == f.at, f.commitOf != "" && f.struck == "" && what == "COMMIT" && n > 0 && slices.ContainsFunc(f.seen[:n], func(s string) bool { return strings.HasPrefix(s, f.commitOf) }):
		fault, f.struck = f.what, what
	case f.what == gone && f.struck != "":
		fault = gone
	}
	f.mu.Unlock()
	if fault == gone && f.die != nil {
		f.die()
	}
	switch fault {
	case notDone, gone:
		return errInjected
	case lost:
		return errors.Join(do(), errInjected)
	}
	return do()
}

func (f *faultyDatabase) hit() (operation string, seen int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck, len(f.seen)
}

type faultyConn struct {
	driver.Conn
	f *faultyDatabase
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
	f *faultyDatabase
}

func (t *faultyTx) Commit() error {
	err := t.f.do("COMMIT", t.Tx.Commit)
	if err != nil {
		t.Tx.Rollback() // of one that was not committed; database/sql does not ask for it any more
	}
	return err
}
