package queue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	_ "modernc.org/sqlite" // the driver
)

//go:embed migrations/*.sql
var migrations embed.FS

// A database is SQLite or PostgreSQL. The same statements run on both: with
// question marks, and times as milliseconds since 1970.
type database struct {
	sql      *sql.DB
	pool     *pgxpool.Pool // nil: SQLite
	postgres bool
	engine   engine // once it serves
}

// An engine is River on one of the databases.
type engine interface {
	Start(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
}

// IsPostgres tells the URL of a PostgreSQL database from a file's path.
func IsPostgres(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

func openDatabase(ctx context.Context, where string, o Options) (_ *database, err error) {
	d := &database{postgres: IsPostgres(where)}
	if d.postgres {
		c, err := pgxpool.ParseConfig(where)
		if err != nil {
			return nil, errors.New("the database's URL cannot be read") // it may hold a password
		}
		if c.MaxConns < 10 {
			c.MaxConns = 10
		}
		bePatient(c, o.patience)
		if d.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
			return nil, fmt.Errorf("open the database: %w", err)
		}
		if o.Wrap == nil {
			d.sql = stdlib.OpenDBFromPool(d.pool)
		} else {
			d.sql = sql.OpenDB(o.Wrap(stdlib.GetPoolConnector(d.pool)))
			d.sql.SetMaxIdleConns(0) // the pool keeps them
		}
	} else {
		if err := os.MkdirAll(filepath.Dir(where), 0o700); err != nil {
			return nil, fmt.Errorf("make the database's directory: %w", err)
		}
		// A transaction takes its lock when it begins: one that finds out later
		// that it has to write would be refused.
		options := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"}}
		name := "file:" + (&url.URL{Path: where}).EscapedPath() + "?" + options.Encode()
		if d.sql, err = sql.Open("sqlite", name); err != nil {
			return nil, fmt.Errorf("open the database: %w", err)
		}
		if o.Wrap != nil {
			plain := d.sql
			d.sql = sql.OpenDB(o.Wrap(named{name, plain.Driver()}))
			plain.Close()
		}
		d.sql.SetMaxOpenConns(1) // River on SQLite asks for it
	}
	if err := d.migrateAlone(ctx, where, o.Log); err != nil {
		d.close()
		return nil, fmt.Errorf("database %s: %w", place(where), err)
	}
	return d, nil
}

// named connects to the database of a name.
type named struct {
	name   string
	driver driver.Driver
}

// Connect implements driver.Connector.
func (n named) Connect(context.Context) (driver.Conn, error) { return n.driver.Open(n.name) }

// Driver implements driver.Connector.
func (n named) Driver() driver.Driver { return n.driver }

// place is where the database is, without a password.
func place(where string) string {
	if !IsPostgres(where) {
		return where
	}
	u, err := url.Parse(where)
	if err != nil {
		return "(its URL cannot be read)"
	}
	u.RawQuery, u.ForceQuery, u.Fragment = "", false, "" // a password may stand there, too
	return u.Redacted()
}

func (d *database) close() error {
	err := d.sql.Close()
	if d.pool != nil {
		d.pool.Close()
	}
	return err
}

// migrateAlone is migrate while nobody else does it: several programs may find
// a new database, or one of an older version, at the same time.
func (d *database) migrateAlone(ctx context.Context, where string, log *slog.Logger) error {
	if !d.postgres {
		lock := flock.New(where+".lock", flock.SetPermissions(0o600))
		if _, err := lock.TryLockContext(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("lock it: %w", err)
		}
		defer lock.Close()
		return d.migrate(ctx, log)
	}
	// A lock of a transaction ends with it, whatever becomes of the connection:
	// one of a session could stay with the pool.
	lock, err := d.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer lock.Rollback()
	if _, err := lock.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil { // it is idle for as long as the update takes
		return err
	}
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lockMigrate); err != nil {
		return err
	}
	return d.migrate(ctx, log)
}

// migrate brings the engine's tables and ours up to date.
func (d *database) migrate(ctx context.Context, log *slog.Logger) error {
	if err := d.sql.PingContext(ctx); err != nil {
		return err
	}
	dialect := goose.DialectSQLite3
	var err error
	if d.postgres {
		dialect = goose.DialectPostgres
		err = migrateEngine(ctx, riverpgxv5.New(d.pool), log)
	} else {
		err = migrateEngine(ctx, riversqlite.New(d.sql), log)
	}
	if err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, d.sql, files, goose.WithTableName("restante_version"))
	if err != nil {
		return err
	}
	if _, err = p.Up(ctx); err != nil {
		return fmt.Errorf("bring the tables up to date: %w", err)
	}
	return nil
}

func migrateEngine[TTx any](ctx context.Context, driver riverdriver.Driver[TTx], log *slog.Logger) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quieter(log)})
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("bring the job engine's tables up to date: %w", err)
	}
	return nil
}

// Advisory locks on PostgreSQL. On SQLite a transaction excludes all others.
const (
	lockMigrate = 0x7265_7374_0001
	lockQueue   = 0x7265_7374_0002
)

// alone runs do in a transaction while no other one of these runs.
func (d *database) alone(ctx context.Context, do func(t tx) error) error {
	inner, err := d.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer inner.Rollback()
	t := tx{ctx, inner, d.postgres}
	if d.postgres {
		if _, err := inner.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lockQueue); err != nil {
			return err
		}
	}
	if err := do(t); err != nil {
		return err
	}
	return inner.Commit()
}

// A querier is a database, or a transaction in one.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// A tx runs statements in a transaction, or, from [database.now], each alone.
type tx struct {
	ctx      context.Context
	q        querier
	postgres bool
}

func (d *database) now(ctx context.Context) tx { return tx{ctx, d.sql, d.postgres} }

// exec returns how many rows changed.
func (t tx) exec(query string, args ...any) (int64, error) {
	r, err := t.q.ExecContext(t.ctx, t.bind(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t tx) row(query string, args ...any) *sql.Row {
	return t.q.QueryRowContext(t.ctx, t.bind(query), args...)
}

// each calls scan for every row of the answer.
func (t tx) each(scan func(row *sql.Rows) error, query string, args ...any) error {
	rows, err := t.q.QueryContext(t.ctx, t.bind(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// bind writes the place of each argument as the database knows it.
func (t tx) bind(query string) string {
	if !t.postgres {
		return query
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}

// clock is the database's own time in milliseconds, which all machines share.
func (t tx) clock() string {
	if t.postgres {
		return "(CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT))"
	}
	return "(CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER))"
}
