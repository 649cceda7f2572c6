package main

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"restante/cmd/testbed/servers"
)

func TestWhenACertificateExpiresIsSeen(t *testing.T) {
	for scheme, s := range map[string]servers.Server{"imaps": servers.IMAP(t), "pop3s": servers.POP3(t)} {
		user := servers.NewUser(t)
		t.Setenv("RESTANTE_ACCOUNT_PASSWORD", servers.Password)
		seen := map[string]time.Time{}
		a := &app{Globals: new(Globals), out: io.Discard, err: io.Discard, log: slog.New(slog.DiscardHandler), file: new(config), env: lookupEnv, screen: &screen{w: io.Discard},
			certificate: func(host string, expires time.Time) { seen[host] = expires }}
		acct, err := a.account(t.Context(), scheme+"://"+user+"@"+s.TLSAddress+"?ca="+s.CA, "", new(AccountAccess))
		if err != nil {
			t.Fatal(err)
		}
		src, err := acct.source(a)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		if _, err := src.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		if at := seen[acct.address.Host]; at.Before(time.Now()) || at.After(time.Now().Add(366*24*time.Hour)) {
			t.Errorf("%s: the certificate expires %s", scheme, at)
		}
	}
}
