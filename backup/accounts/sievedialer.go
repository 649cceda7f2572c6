package accounts

import (
	"context"
	"errors"

	"restante/backup/accounts/sieveconn"
)

// Sieve connects to the filter scripts of the account, which are at address,
// host:port. The password is the one that its mail is read with; that the server
// of the scripts refuses it says nothing of the mail's.
func (d *Dialer) Sieve(ctx context.Context, address string) (conn *sieveconn.Conn, err error) {
	o := sieveconn.Options{Address: address, User: d.options.User, Authorize: d.options.ActAs}
	if d.options.TLS != nil {
		o.TLS = d.options.TLS.Clone()
		o.TLS.ServerName = "" // that of address
	}
	var refused error
	err = d.login.with(ctx, func(secret string) (err error) {
		if o.Password = secret; d.login.tokens != nil {
			o.Password, o.Token = "", secret
		}
		conn, err = sieveconn.Dial(ctx, o)
		if errors.Is(err, sieveconn.ErrLogin) {
			refused = err
			return errSieveLogin
		}
		return err
	})
	if errors.Is(err, errSieveLogin) {
		err = refused
	}
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// errSieveLogin is no refusal that counts.
var errSieveLogin = errors.New("refused by the server of the filter scripts")
