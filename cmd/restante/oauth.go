package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"restante/backup/accounts"
	"restante/backup/accounts/oauth"
)

// What oauth.grant can be.
const (
	grantLogin       = "login"
	grantService     = "service-account"
	grantCredentials = "client-credentials"
)

// check finds what does not go together in an account's oauth.
func (c *oauthConfig) check(account *accountConfig, acct *account, access *AccountAccess) error {
	grants := []string{grantLogin, grantService, grantCredentials}
	secrets := 0
	for _, s := range []string{c.ClientSecretFile, c.ClientSecretCommand, c.ClientSecretEnv} {
		if s != "" {
			secrets++
		}
	}
	urls := c.TokenURL + c.DeviceURL + c.AuthURL
	switch {
	case acct.address.Scheme.Local():
		return fmt.Errorf("nobody logs in to %s", acct.address)
	case account.PasswordFile+account.PasswordCommand+account.PasswordEnv+account.PasswordKeyring != "":
		return errors.New("there is a password as well; leave one of them out")
	case access.PasswordFile+access.PasswordCommand != "":
		return errors.New("this account logs in with tokens, and a password is given")
	case !slices.Contains(grants, c.Grant):
		return withHint(fmt.Errorf("there is no grant %q", c.Grant), "they are %s", strings.Join(grants, ", "))
	case c.Provider == "" && c.TokenURL == "":
		return withHint(errors.New("it says neither provider nor token-url"), "providers are %s", strings.Join(oauth.Providers(), ", "))
	case c.Provider != "" && !slices.Contains(oauth.Providers(), c.Provider):
		return withHint(fmt.Errorf("no provider %q is known", c.Provider), "they are %s; for others give token-url and device-url", strings.Join(oauth.Providers(), ", "))
	case c.Provider != "" && urls != "":
		return errors.New("a provider has its own URLs; leave one or the other out")
	case secrets > 1:
		return errors.New("there are several client secrets")
	case (c.Grant == grantService) != (c.ServiceAccountFile != ""):
		return fmt.Errorf("grant %s and service-account-file belong together", grantService)
	case c.Grant == grantService && (c.ClientID != "" || secrets > 0):
		return errors.New("a service account has its key, and no client-id or client secret")
	case c.Grant != grantService && c.ClientID == "":
		return errors.New("there is no client-id")
	case c.Grant == grantCredentials && secrets == 0:
		return errors.New("client-credentials are a client-id and a client secret, and there is no secret")
	case c.Grant == grantCredentials && c.Provider == "microsoft" && c.Tenant == "":
		return errors.New("there is no tenant: client-credentials are those of one organisation")
	case c.Grant == grantLogin && c.Provider == "" && c.DeviceURL+c.AuthURL == "":
		return errors.New("there is no device-url (or auth-url) to log in at")
	case c.Grant != grantLogin && c.TokenFile != "":
		return fmt.Errorf("grant %s keeps nothing in a token-file", c.Grant)
	}
	return nil
}

// tokensOf says where an account's tokens come from.
func (a *app) tokensOf(acct *account, name string, configured *accountConfig, access *AccountAccess) error {
	c := *configured.OAuth
	if c.Grant == "" {
		c.Grant = grantLogin
		if c.ServiceAccountFile != "" {
			c.Grant = grantService
		}
	}
	if err := c.check(configured, acct, access); err != nil {
		return wrongUsage(err)
	}
	client, err := a.oauthClient(&c)
	if err != nil {
		return wrongUsage(err)
	}
	tokens, hint := accounts.Tokens(nil), "check the client-id and its secret in the configuration, and what the provider lets this client do"
	switch c.Grant {
	case grantService:
		key := accounts.FromFile(beside(a.file.path, c.ServiceAccountFile), a.log)
		tokens = oauth.NewServiceAccount(client, key, cmp.Or(acct.address.Authzid, acct.address.User))
		hint = "has an administrator of the domain given this service account the scope " + strings.Join(client.Scopes, " ") + ", and is there a mailbox of that name?"
	case grantCredentials:
		if tokens, err = oauth.NewClientCredentials(client); err != nil {
			return err
		}
	default:
		path, err := a.tokenFile(name, &c)
		if err != nil {
			return err
		}
		acct.login = oauth.NewStored(client, path)
		tokens = acct.login
	}
	acct.tokens = &advised{Tokens: tokens, account: shellWord(name), refused: hint}
	return nil
}

// oauthClient is what the provider knows this program as.
func (a *app) oauthClient(c *oauthConfig) (*oauth.Client, error) {
	client := &oauth.Client{TokenURL: c.TokenURL, DeviceURL: c.DeviceURL, AuthURL: c.AuthURL}
	if c.Provider != "" || c.Tenant != "" {
		var err error
		if client, err = oauth.Provider(c.Provider, c.Tenant); err != nil {
			return nil, err
		}
		if c.Grant == grantCredentials && c.Provider == "microsoft" {
			client.Scopes = []string{oauth.MicrosoftApplication}
		}
	}
	client.ID = c.ClientID
	if len(c.Scopes) > 0 {
		client.Scopes = c.Scopes
	}
	switch {
	case c.ClientSecretFile != "":
		client.Secret = accounts.FromFile(beside(a.file.path, c.ClientSecretFile), a.log)
	case c.ClientSecretCommand != "":
		client.Secret = accounts.FromCommand(c.ClientSecretCommand, commandTimeout)
	case c.ClientSecretEnv != "":
		client.Secret = accounts.FromEnvironment(c.ClientSecretEnv)
	}
	client.Transport = oauth.NewTransport(nil)
	if c.CA != "" {
		roots, err := accounts.Authorities(beside(a.file.path, c.CA))
		if err != nil {
			return nil, err
		}
		client.Transport = oauth.NewTransport(roots)
	}
	return client, client.Check()
}

// tokenFile is where an account's grant is kept.
func (a *app) tokenFile(name string, c *oauthConfig) (string, error) {
	if c.TokenFile != "" {
		return beside(a.file.path, c.TokenFile), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", withHint(fmt.Errorf("where to keep its login: %w", err), "say it with token-file")
	}
	return filepath.Join(dir, "restante", "tokens", fileName(name)+".json"), nil
}

// fileName makes a file's name of an account's: what is neither a letter of
// ASCII, a digit nor one of "@._-" becomes %XX.
func fileName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("@._-", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// advised are tokens whose errors say what to do about them.
type advised struct {
	accounts.Tokens
	account string // as it is typed
	refused string // what to do where the client is refused
}

func (t *advised) Token(ctx context.Context, refused string) (string, error) {
	token, err := t.Tokens.Token(ctx, refused)
	return token, t.advise(err)
}

// advise says what to do about an error of a token server.
func (t *advised) advise(err error) error {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, oauth.ErrLoginNeeded):
		return withHint(err, "restante login %s", t.account)
	case errors.Is(err, oauth.ErrRefused):
		return withHint(err, "%s", t.refused)
	case errors.Is(err, oauth.ErrUnavailable):
		return withHint(err, "nothing is wrong with the login as far as is known; try again later")
	case certificate:
		return withHint(err, "a token server with its own authority needs ca = \"FILE\" in the account's oauth")
	}
	return err
}
