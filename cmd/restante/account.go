package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"restante/backup"
	"restante/backup/accounts"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/oauth"
	"restante/backup/accounts/pop3conn"
	"restante/backup/imapsource"
	"restante/backup/localsource"
	"restante/backup/pop3source"
	"restante/restore"
	"restante/restore/export"
	"restante/restore/imaptarget"
	"restante/storage"
)

// AccountAccess is the flags that say how to get into an account.
type AccountAccess struct {
	PasswordFile    string `placeholder:"FILE" help:"File with the account's password (or set RESTANTE_ACCOUNT_PASSWORD)."`
	PasswordCommand string `placeholder:"COMMAND" help:"Command that prints the account's password."`
	Connections     int    `placeholder:"N" help:"How many connections there may be at once (default 3)."`

	computer string // that a maildrop is seen from, if it was said
}

// An account is one that can be reached: from the configuration or a URL.
type account struct {
	name        string
	address     accounts.Address
	secret      accounts.Secret
	tokens      *advised      // in place of a secret; or nil
	login       *oauth.Stored // where a person has to log in for tokens
	connections int
	exclude     []string
	policy      string // of a maildrop
	sieve       string // where the filter scripts are: host:port, none, or empty
	vault       string
	watch       bool
	computer    *computer // instead of an address: all that was found on this computer
}

// commandTimeout is how long a command may take to print a password, or a
// keyring to give it. Somebody may have to touch a key.
const commandTimeout = 2 * time.Minute

// account finds an account by its name in the configuration, or by a URL.
func (a *app) account(ctx context.Context, nameOrURL, name string, access *AccountAccess) (*account, error) {
	c, err := a.configuration()
	if err == nil && !isURL(nameOrURL) && !c.hasOwn(nameOrURL) {
		c, err = a.expanded(ctx)
	}
	if err != nil {
		return nil, err
	}
	configured := c.Accounts[nameOrURL]
	acct := &account{name: nameOrURL, connections: access.Connections, vault: storage.DefaultVault}
	raw := nameOrURL
	switch {
	case configured != nil:
		raw = configured.URL
		acct.exclude, acct.policy, acct.sieve, acct.watch = configured.Exclude, configured.Policy, configured.Sieve, configured.Watch
		if acct.connections == 0 {
			acct.connections = configured.Connections
		}
		if configured.Vault != "" {
			acct.vault = configured.Vault
		}
	case !isURL(nameOrURL):
		err := wrongUsage(fmt.Errorf("there is no account %q in the configuration", nameOrURL))
		if near := nearest(nameOrURL, c.accountNames()); near != "" {
			return nil, withHint(err, "did you mean %q?", near)
		}
		return nil, withHint(err, "write it as a URL (imaps://%s), or put it into restante.toml; for restore, --to says where to", hostFirst(nameOrURL))
	}
	if acct.address, err = parseAddress(raw); err != nil {
		if configured != nil {
			err = fmt.Errorf("account %q: %w", nameOrURL, err)
		}
		return nil, wrongUsage(err) // without the URL, which may hold a password
	}
	if configured == nil {
		acct.name = acct.address.Name()
	} else {
		acct.address.Dir = beside(c.path, acct.address.Dir)
		acct.address.CA = beside(c.path, acct.address.CA)
		if err := acct.logInAs(configured); err != nil {
			return nil, wrongUsage(fmt.Errorf("account %q: %w", nameOrURL, err))
		}
	}
	switch {
	case name != "":
		acct.name = name
	case acct.address.Scheme.Maildrop():
		if acct.name, err = c.seenFrom(acct.name, configured, access.computer); err != nil {
			return nil, err
		}
	}
	if oneLine(acct.name) != acct.name {
		return nil, withHint(wrongUsage(fmt.Errorf("the account's name %q has control characters in it", acct.name)), "give it another one with --name, or in restante.toml")
	}
	if acct.connections < 0 {
		return nil, withHint(wrongUsage(fmt.Errorf("account %q: %d connections are too few", acct.name, acct.connections)), "leave the number out, or write 1 or more")
	}
	if configured == nil || configured.OAuth == nil {
		acct.secret = a.passwordOf(acct, configured, access)
		return acct, nil
	}
	if err := a.tokensOf(acct, nameOrURL, configured, access); err != nil {
		return nil, fmt.Errorf("account %q: oauth: %w", nameOrURL, err)
	}
	return acct, nil
}

// logInAs has the configuration's users in the address.
func (acct *account) logInAs(c *accountConfig) (err error) {
	if c.LoginAs != "" {
		if acct.address.Authzid != "" {
			return errors.New("login-as, and an authzid in its url")
		}
		if acct.address, err = acct.address.LoginAs(c.LoginAs); err != nil {
			return err
		}
	}
	if c.Master != "" {
		if acct.address.Master != "" {
			return errors.New("master, and another one in its url")
		}
		acct.address, err = acct.address.WithMaster(c.Master)
	}
	return err
}

// seenFrom is the name of a maildrop as one computer sees it: the one that was
// said, else the one of the configuration, else this one.
func (c *config) seenFrom(name string, configured *accountConfig, computer string) (string, error) {
	if computer == "" && configured != nil {
		computer = configured.Computer
	}
	if computer == "" {
		computer = c.Computer
	}
	if computer == "" {
		computer = hostname()
	}
	if computer == "" || strings.ContainsFunc(computer, func(r rune) bool { return r == '/' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "", withHint(wrongUsage(fmt.Errorf("%q is no name of a computer", computer)), "give it one with --computer, or as computer = \"laptop\" in restante.toml")
	}
	return name + "/" + computer, nil
}

func hostFirst(name string) string {
	if strings.Contains(name, "@") {
		return name
	}
	return name + "@mail.example.org"
}

// isURL tells a URL from a name.
func isURL(s string) bool {
	for _, scheme := range accounts.Schemes() {
		if strings.HasPrefix(strings.ToLower(s), string(scheme)+":") {
			return true
		}
	}
	return strings.Contains(s, "://")
}

// passwordOf says where an account's password comes from: what was said on the
// command line, else the configuration, else the environment, else a person.
func (a *app) passwordOf(acct *account, configured *accountConfig, access *AccountAccess) accounts.Secret {
	switch {
	case access.PasswordFile != "":
		return accounts.FromFile(access.PasswordFile, a.warnings())
	case access.PasswordCommand != "":
		return accounts.FromCommand(access.PasswordCommand, commandTimeout)
	case configured != nil && configured.PasswordFile != "":
		return accounts.FromFile(beside(a.file.path, configured.PasswordFile), a.warnings())
	case configured != nil && configured.PasswordCommand != "":
		return accounts.FromCommand(configured.PasswordCommand, commandTimeout)
	case configured != nil && configured.PasswordEnv != "":
		return accounts.FromEnvironment(configured.PasswordEnv)
	case configured != nil && configured.PasswordKeyring != "":
		return accounts.FromKeyring(configured.PasswordKeyring, commandTimeout)
	}
	if _, ok := a.env(accounts.PasswordVariable); ok {
		return accounts.FromEnvironment(accounts.PasswordVariable)
	}
	return accounts.FromPrompt(func(ctx context.Context, question string) (string, error) {
		p, err := a.ask(ctx, question)
		if err != nil {
			return "", withHint(fmt.Errorf("no password for %s was given, and %w", acct.name, err), "set %s, or give --password-file or --password-command", accounts.PasswordVariable)
		}
		return p, nil
	}, "Password of "+acct.location())
}

// accounts finds several accounts; with none named, all of the configuration.
func (a *app) accounts(ctx context.Context, names []string, name string, access *AccountAccess) ([]*account, error) {
	if len(names) == 0 {
		c, err := a.expanded(ctx)
		if err != nil {
			return nil, err
		}
		for _, n := range c.accountNames() {
			if !c.Accounts[n].Skip {
				names = append(names, n)
			}
		}
	}
	if name != "" && len(names) != 1 {
		return nil, wrongUsage(fmt.Errorf("--name is for one account"))
	}
	var list []*account
	for _, n := range names {
		acct, err := a.account(ctx, n, name, access)
		if err != nil {
			return nil, err
		}
		list = append(list, acct)
	}
	return list, nil
}

// accountName is what an account is called in the repository, given by name
// or URL.
func (a *app) accountName(nameOrURL string) (string, error) {
	c, err := a.configuration()
	if err != nil {
		return "", err
	}
	name, raw := nameOrURL, nameOrURL
	configured := c.Accounts[nameOrURL]
	switch {
	case c.hasOwn(nameOrURL):
		raw = configured.URL
	case !isURL(nameOrURL):
		return name, nil
	}
	address, err := parseAddress(raw)
	if err != nil {
		return "", wrongUsage(err)
	}
	if configured == nil {
		name = address.Name()
	}
	if address.Scheme.Maildrop() {
		return c.seenFrom(name, configured, "")
	}
	return name, nil
}

func (acct *account) dialer(a *app) (d *accounts.Dialer, err error) {
	o := imapconn.Options{ClientName: "restante", ClientVersion: version(), Log: a.log}
	if acct.tokens != nil {
		d, err = accounts.NewTokenDialer(acct.address, acct.tokens, o)
	} else {
		d, err = accounts.NewDialer(acct.address, acct.secret, o)
	}
	if err == nil && a.certificate != nil {
		d.WatchCertificate(func(expires time.Time) { a.certificate(acct.address.Host, expires) })
	}
	return d, err
}

// source is where the account's mail is read.
func (acct *account) source(a *app) (backup.Source, error) {
	if acct.address.Scheme.Delivers() {
		return nil, wrongUsage(fmt.Errorf("account %q: mail can be delivered there, and not read", acct.name))
	}
	if acct.computer != nil {
		return localsource.OpenComputer(acct.computer.places, acct.computer.found, a.log), nil
	}
	switch acct.address.Scheme {
	case accounts.Maildir:
		return localsource.OpenMaildir(acct.address.Dir, a.log)
	case accounts.Mbox:
		return localsource.OpenMbox(acct.address.Dir, a.log)
	case accounts.Thunderbird:
		return localsource.OpenThunderbird(acct.address.Dir, a.log)
	}
	if acct.address.Scheme.Maildrop() {
		return acct.maildrop(a)
	}
	d, err := acct.dialer(a)
	if err != nil {
		return nil, err
	}
	return imapsource.New(imapsource.Options{Dial: d.DialOdd, Parallel: acct.connections, Scripts: acct.scripts(d), Log: a.log}), nil
}

// maildrop is where the mail of an account that is reached by POP3 is read.
func (acct *account) maildrop(a *app) (*pop3source.Source, error) {
	var d *accounts.POP3Dialer
	var err error
	if o := (pop3conn.Options{Log: a.log}); acct.tokens != nil {
		d, err = accounts.NewPOP3TokenDialer(acct.address, acct.tokens, o)
	} else {
		d, err = accounts.NewPOP3Dialer(acct.address, acct.secret, o)
	}
	if err != nil {
		return nil, fmt.Errorf("account %q: %w", acct.name, err)
	}
	if a.certificate != nil {
		d.WatchCertificate(func(expires time.Time) { a.certificate(acct.address.Host, expires) })
	}
	return pop3source.New(pop3source.Options{Dial: d.Dial, Log: a.log}), nil
}

// location says which mailbox it is, whoever opens it and however. What a
// restore notes of a mailbox it notes under this name.
func (acct *account) location() string { return acct.address.Mailbox().String() }

// target is where mail is restored to; e is for where that is a server that it is
// delivered to.
func (acct *account) target(a *app, e envelope) (restore.Target, error) {
	if acct.address.Scheme.Delivers() {
		return acct.delivery(a, e)
	}
	switch acct.address.Scheme {
	case accounts.Maildir:
		return export.OpenMaildir(acct.address.Dir)
	case accounts.Mbox:
		return export.OpenMbox(acct.address.Dir)
	case accounts.Thunderbird:
		return export.OpenThunderbird(acct.address.Dir)
	}
	if acct.address.Scheme.Maildrop() {
		return nil, withHint(wrongUsage(fmt.Errorf("account %q: POP3 cannot put mail into a maildrop", acct.name)), "say where to: --to imaps://USER@HOST, maildir:DIR, mbox:DIR or thunderbird:PROFILE, or have it delivered: --to lmtp://HOST")
	}
	d, err := acct.dialer(a)
	if err != nil {
		return nil, err
	}
	return acct.server(a, d), nil
}

// server is where an IMAP account is written to.
func (acct *account) server(a *app, d *accounts.Dialer) *imaptarget.Target {
	return imaptarget.New(imaptarget.Options{Location: acct.location(), Dial: d.Dial, Parallel: acct.connections, Log: a.log})
}
