package queue

import (
	"path/filepath"
	"sync"
	"testing"

	"restante/cmd/testbed/servers"
)

// TestManyOpenANewDatabaseAtTheSameTime: serve makes its database while somebody
// already asks how it is. The tables come once, and nobody is turned away.
func TestManyOpenANewDatabaseAtTheSameTime(t *testing.T) {
	for name, where := range map[string]func() string{
		"SQLite":     func() string { return filepath.Join(t.TempDir(), "restante.db") },
		"PostgreSQL": func() string { return servers.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				where := where()
				var group sync.WaitGroup
				for range 8 {
					group.Go(func() {
						q, err := Open(t.Context(), where, Options{})
						if err != nil {
							t.Error(err)
							return
						}
						q.Close()
					})
				}
				group.Wait()
			}
		})
	}
}
