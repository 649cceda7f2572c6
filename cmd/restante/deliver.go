package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"restante/backup/accounts"
	"restante/backup/accounts/smtpconn"
	"restante/restore"
	"restante/restore/delivery"
)

// Delivery is the flags of a restore that has mail delivered.
type Delivery struct {
	DeliverTo  []string `name:"deliver-to" placeholder:"ADDRESS" help:"With --to lmtp://… or smtp://…: to whom it is delivered (default: the account's own user)."`
	ReturnPath string   `placeholder:"ADDRESS" help:"With --to smtp://…: who hears that it could not be delivered after all (default: nobody)."`
	CRLF       bool     `name:"crlf" help:"With --to lmtp://… or smtp://…: messages that the server cannot take as they are may be sent with other line ends."`
	Again      bool     `help:"With --to lmtp://… or smtp://…: deliver also what a restore has delivered there before."`
}

// given reports whether any of the flags is.
func (d *Delivery) given() bool {
	return len(d.DeliverTo) > 0 || d.ReturnPath != "" || d.CRLF || d.Again
}

// An envelope is whose mail is delivered, and how.
type envelope struct {
	Delivery
	owner string // who gets it if nobody is named; empty: not known
}

// envelope is that of the mail of an account, given by name or URL.
func (a *app) envelope(d Delivery, nameOrURL string) (e envelope, err error) {
	e.Delivery = d
	if len(d.DeliverTo) > 0 {
		return e, nil
	}
	c, err := a.configuration()
	if err != nil {
		return e, err
	}
	raw := nameOrURL
	if c.hasOwn(nameOrURL) {
		raw = c.Accounts[nameOrURL].URL
	}
	// Something else is an account that is only in the repository, or one of a
	// group: their names tell who it is where they are addresses.
	e.owner, _, _ = strings.Cut(raw, "/")
	if address, err := parseAddress(raw); err == nil {
		if e.owner = address.User; address.Authzid != "" {
			e.owner = address.Authzid
		}
	} else if !strings.Contains(e.owner, "@") {
		e.owner = ""
	}
	return e, nil
}

// delivery is a server that mail is delivered to.
func (acct *account) delivery(a *app, e envelope) (restore.Target, error) {
	if acct.tokens != nil {
		return nil, wrongUsage(errors.New("mail is delivered with a password or without, and not with tokens"))
	}
	to := e.DeliverTo
	if len(to) == 0 && e.owner != "" {
		to = []string{e.owner}
	}
	switch scheme := acct.address.Scheme; {
	case len(to) == 0:
		return nil, withHint(wrongUsage(errors.New("nobody knows to whom to deliver it")), "say so: --deliver-to ADDRESS")
	case !strings.Contains(to[0], "@") && strings.HasPrefix(string(scheme), "smtp"):
		return nil, withHint(wrongUsage(fmt.Errorf("%q is no address that SMTP could deliver to", to[0])), "give one: --deliver-to %s@example.org", to[0])
	}
	d, err := accounts.NewSMTPDialer(acct.address, acct.secret, smtpconn.Options{Hello: hostname(), Log: a.warnings()})
	if err != nil {
		return nil, err
	}
	dir, err := os.UserConfigDir() // what is kept there is not thrown away as caches are
	if err != nil {
		return nil, fmt.Errorf("look for a place to note what is delivered: %w", err)
	}
	return delivery.New(delivery.Options{
		Location: acct.location(), Dial: d.Dial, From: e.ReturnPath, To: to, CRLF: e.CRLF,
		JournalDir: filepath.Join(dir, "restante", "deliveries"), Log: a.log,
	}), nil
}
