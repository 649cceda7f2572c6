package queue

import (
	"errors"
	"path/filepath"
	"testing"

	"restante/cmd/testbed/servers"
	"restante/schedules/queue/queuetest"
)

// TestEveryCrashPointOfAMigration has each operation fail with which the tables
// are made: the next program makes the rest, and its runs are done.
func TestEveryCrashPointOfAMigration(t *testing.T) {
	test := func(t *testing.T, most int, fresh func() string) {
		open := func(where string, f *queuetest.FaultyDatabase) (closed func() error, err error) {
			q, err := Open(t.Context(), where, Options{Wrap: f.Wrap})
			if err != nil {
				return func() error { return nil }, err
			}
			return q.Close, nil
		}
		whole := &queuetest.FaultyDatabase{At: -1}
		closed, err := open(fresh(), whole)
		if err = errors.Join(err, closed()); err != nil {
			t.Fatal(err)
		}
		_, n := whole.Hit()
		points := 0
		for at := range queuetest.Points(n, most) {
			for _, what := range queuetest.Faults() {
				where := fresh()
				f := &queuetest.FaultyDatabase{At: at, What: what}
				closed, told := open(where, f) // and it goes on beside the next one
				struck, _ := f.Hit()
				l := &lane{where: where}
				if _, _, err := l.try(-1, "", ""); err != nil {
					t.Errorf("operation %d of %d, %.80s: %s: it was told %v, and then %v", at, n, struck, what, told, err)
				}
				closed()
				points++
			}
		}
		t.Logf("%d operations, %d crash points", n, points)
	}
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, 8, func() string { return filepath.Join(t.TempDir(), "restante.db") })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		servers.Postgres(t)
		test(t, 3, func() string { return servers.Postgres(t) })
	})
}
