package queue

import (
	"path/filepath"
	"testing"

	"restante/cmd/testbed/servers"
	"restante/schedules/queue/queuetest"
)

// TestEveryCrashPointOfAMigration has each operation fail with which the tables
// are made: the next program makes the rest, and its runs are done.
func TestEveryCrashPointOfAMigration(t *testing.T) {
	test := func(t *testing.T, most int, fresh func() string) {
		open := func(where string, f *queuetest.FaultyDatabase) error {
			q, err := Open(t.Context(), where, Options{Wrap: f.Wrap})
			if err != nil {
				return err
			}
			return q.Close()
		}
		whole := &queuetest.FaultyDatabase{At: -1}
		if err := open(fresh(), whole); err != nil {
			t.Fatal(err)
		}
		_, n := whole.Hit()
		points := 0
		for at := range queuetest.Points(n, most) {
			for _, what := range queuetest.Faults() {
				where := fresh()
				f := &queuetest.FaultyDatabase{At: at, What: what}
				told := open(where, f)
				struck, _ := f.Hit()
				l := &lane{where: where}
				if _, _, err := l.try(-1, "", ""); err != nil {
					t.Errorf("operation %d of %d, %.80s: %s: it was told %v, and then %v", at, n, struck, what, told, err)
				}
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
