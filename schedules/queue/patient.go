package queue

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// patience is how long PostgreSQL may be silent while somebody waits for it.
// What we ask takes milliseconds, and the job engine, where it waits for news,
// asks every five seconds whether the server is there.
const patience = time.Minute

// bePatient has connections end on which nothing comes any more. Left alone,
// one whose other end is gone without a word keeps whoever waits for it until
// TCP gives up, which may take hours; and a transaction that was open on it
// keeps its locks from all other machines for as long.
func bePatient(c *pgxpool.Config, limit time.Duration) {
	dial := c.ConnConfig.DialFunc
	c.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &patientConn{Conn: conn, limit: limit}, nil
	}
	if c.ConnConfig.ConnectTimeout <= 0 {
		c.ConnConfig.ConnectTimeout = limit
	}
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		// The same from the server's side. A pooler between may refuse what it does
		// not know when a connection begins, so it is said afterwards.
		_, err := conn.Exec(ctx, fmt.Sprintf(`SET idle_in_transaction_session_timeout = %d; SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6`, limit.Milliseconds()))
		return err
	}
}

// A patientConn fails a Read or Write that nothing comes of for some time, or
// until a deadline that was set and is sooner.
type patientConn struct {
	net.Conn
	limit time.Duration

	mu          sync.Mutex // guards what follows, and that it is what Conn knows
	read, write time.Time  // deadlines that were set; zero: none
}

// soonest is when to give up.
func (c *patientConn) soonest(set time.Time) time.Time {
	if end := time.Now().Add(c.limit); set.IsZero() || end.Before(set) {
		return end
	}
	return set
}

// Read implements net.Conn.
func (c *patientConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	err := c.Conn.SetReadDeadline(c.soonest(c.read))
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c *patientConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	err := c.Conn.SetWriteDeadline(c.soonest(c.write))
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// SetDeadline implements net.Conn.
func (c *patientConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *patientConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	return c.Conn.SetReadDeadline(c.soonest(t))
}

// SetWriteDeadline implements net.Conn.
func (c *patientConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = t
	return c.Conn.SetWriteDeadline(c.soonest(t))
}
