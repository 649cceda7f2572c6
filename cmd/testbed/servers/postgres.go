package servers

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres is the URL of an empty database on PostgreSQL.
func Postgres(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(lookup(t, "TESTBED_POSTGRES"))
	if err != nil {
		t.Fatalf("TESTBED_POSTGRES: %v", err)
	}
	ctx := context.Background() // of cleanups, too
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	name := "t" + strings.ToLower(rand.Text())
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	server := u.String()
	t.Cleanup(func() {
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Log(err)
			return
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Log(err)
		}
	})
	u.Path = "/" + name
	return u.String()
}
