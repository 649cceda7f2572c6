package queue

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzPlace: where a database is can be shown, without a password, wherever in the
// URL one may stand.
func FuzzPlace(f *testing.F) {
	for _, s := range []string{"postgres://u:s3cret@host/db", "postgres://host/db?user=u&password=s3cret", "postgres://u:s3cret@host:x/db", "postgresql://host/db?sslpassword=s3cret#s3cret", "/var/lib/restante.db", "postgres://\x1b@host/db"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, where string) {
		shown := place(where)
		if !IsPostgres(where) {
			return // a path
		}
		u, err := url.Parse(shown)
		if err != nil {
			if strings.Contains(shown, "://") {
				t.Errorf("%q is shown as %q", where, shown)
			}
			return
		}
		if password, _ := u.User.Password(); password != "" && password != "xxxxx" || strings.ContainsAny(shown, "?#\x1b\n") {
			t.Errorf("%q is shown as %q", where, shown)
		}
	})
}
