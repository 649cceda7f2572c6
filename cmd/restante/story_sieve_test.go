package main

import (
	"context"
	"crypto/tls"

	"github.com/rogpeppe/go-internal/testscript"

	"restante/backup/accounts"
	"restante/backup/accounts/sieveconn"
	"restante/cmd/testbed/servers"
)

// sieve USER NAME SCRIPT [active]: puts a filter script on a user's account.
func wordSieve(ts *testscript.TestScript, neg bool, args []string) {
	roots, err := accounts.Authorities(ts.Getenv("CA"))
	ts.Check(err)
	c, err := sieveconn.Dial(context.Background(), sieveconn.Options{Address: ts.Getenv("SIEVE"), User: args[0], Password: servers.Password, TLS: &tls.Config{RootCAs: roots}})
	ts.Check(err)
	defer c.Close()
	ts.Check(c.Put(args[1], []byte(args[2])))
	if len(args) > 3 {
		ts.Check(c.Activate(args[1]))
	}
}
