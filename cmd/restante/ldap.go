package main

import (
	"context"
	"errors"
	"fmt"

	"restante/backup/accounts"
	"restante/backup/accounts/directory"
)

// ldapConfig is a search in a directory that lists a group's users:
//
//	ldap = { url = "ldaps://ldap.example.org", base = "ou=people,dc=example,dc=org", filter = "(mail=*)", attributes = ["mail"],
//	         bind-dn = "cn=backup,dc=example,dc=org", bind-password-file = "/etc/restante/ldap" }
type ldapConfig struct {
	// URL is ldaps://host, ldap://host (STARTTLS) or ldap+insecure://host.
	URL string `toml:"url"`
	// Base is where the search begins, and Filter what is looked for; all that
	// has a user if empty.
	Base   string `toml:"base"`
	Filter string `toml:"filter"`
	// User is the attribute with the user's name: {user} in the texts of the
	// group; uid if empty. Attributes are others: {mail}.
	User       string   `toml:"user"`
	Attributes []string `toml:"attributes"`
	// BindDN is who asks, with a password from a file or printed by a command;
	// nobody if empty.
	BindDN              string `toml:"bind-dn"`
	BindPasswordFile    string `toml:"bind-password-file"`
	BindPasswordCommand string `toml:"bind-password-command"`
	// CA is a file with certificates of authorities to trust there, in PEM.
	CA string `toml:"ca"`
	// IgnoreReferrals takes the users of this directory where it says that others
	// have more.
	IgnoreReferrals bool `toml:"ignore-referrals"`
}

// prove finds what is wrong without asking.
func (c *ldapConfig) prove() error {
	switch {
	case c.URL == "":
		return errors.New("ldap has no url")
	case c.BindPasswordFile != "" && c.BindPasswordCommand != "":
		return errors.New("ldap has bind-password-file and bind-password-command; leave one of them out")
	case (c.BindDN == "") != (c.BindPasswordFile+c.BindPasswordCommand == ""):
		return errors.New("ldap wants bind-dn and a bind-password-file or bind-password-command, or none of them")
	}
	return nil
}

// users asks the directory.
func (c *ldapConfig) users(ctx context.Context, a *app, path string) ([]accounts.User, error) {
	s := directory.Search{URL: c.URL, BindDN: c.BindDN, Base: c.Base, Filter: c.Filter, User: c.User, Attributes: c.Attributes, IgnoreReferrals: c.IgnoreReferrals}
	var err error
	if c.CA != "" {
		if s.Authorities, err = accounts.Authorities(beside(path, c.CA)); err != nil {
			return nil, err
		}
	}
	if c.BindDN != "" {
		secret := accounts.FromCommand(c.BindPasswordCommand, commandTimeout)
		if c.BindPasswordFile != "" {
			secret = accounts.FromFile(beside(path, c.BindPasswordFile), a.warnings())
		}
		if s.Password, err = secret(ctx); err != nil {
			return nil, fmt.Errorf("password of the directory: %w", err)
		}
	}
	return accounts.UsersFromDirectory(ctx, s)
}
