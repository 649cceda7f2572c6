package main

import (
	"context"
	"fmt"
	"time"

	"restante/backup/accounts/oauth"
)

type loginCmd struct {
	Account string `arg:"" help:"Account, by its name in the configuration."`
}

func (*loginCmd) Help() string {
	return `For an account that has oauth in the configuration: says where to go and which code to type there, waits until that is done, keeps the grant in the token file, and tries it at the mail server. From then on backups need nobody, until the grant is taken back; backup says so then.

Example:

  restante login alice`
}

// instructionsJSON is how the instructions are printed for programs.
type instructionsJSON struct {
	URL      string    `json:"url"`
	Code     string    `json:"code,omitempty"`
	Complete string    `json:"url_with_code,omitempty"`
	Until    time.Time `json:"until"`
}

func (c *loginCmd) Run(ctx context.Context, a *app) error {
	acct, err := a.account(ctx, c.Account, "", new(AccountAccess))
	if err != nil {
		return err
	}
	switch {
	case acct.tokens == nil:
		return withHint(wrongUsage(fmt.Errorf("account %q logs in with a password", c.Account)), "for a server that takes tokens add to the account: oauth = { provider = \"google\", client-id = \"…\" }")
	case acct.login == nil:
		return wrongUsage(fmt.Errorf("account %q gets its tokens by itself, and nobody has to log in", c.Account))
	}
	d, err := acct.dialer(a)
	if err != nil {
		return err
	}
	if err := acct.login.Login(ctx, func(i oauth.Instructions) { c.show(a, acct, i) }); err != nil {
		return fmt.Errorf("account %q: log in: %w", c.Account, acct.tokens.advise(err))
	}
	conn, err := d.Dial(ctx)
	if err != nil {
		return fmt.Errorf("account %q: the grant is kept in %s, but: %w", c.Account, acct.login.Path(), err)
	}
	conn.Close()
	if a.JSON {
		return a.printJSON(map[string]string{"account": acct.name, "token_file": acct.login.Path()})
	}
	fmt.Fprintf(a.out, "%s is logged in; the grant is kept in %s\n", acct.name, acct.login.Path())
	return nil
}

// show says what to do.
func (c *loginCmd) show(a *app, acct *account, i oauth.Instructions) {
	if a.JSON {
		a.printJSON(instructionsJSON{i.URL, i.Code, i.Complete, i.Until.UTC()})
		return
	}
	fmt.Fprintf(a.out, "To let Restante read the mail of %s:\n", acct.address.Name())
	if i.Code == "" {
		fmt.Fprintf(a.out, "  1. open this address in a browser of this computer:\n\n%s\n\n", oneLine(i.URL))
		fmt.Fprintf(a.out, "  2. log in there and allow it\n")
		fmt.Fprintf(a.out, "The browser then comes back to %s here; from elsewhere, ssh -L %s:%s takes it there.\n", i.Back, i.Back, i.Back)
	} else {
		fmt.Fprintf(a.out, "  1. open %s in a browser, on any device\n", oneLine(i.URL))
		fmt.Fprintf(a.out, "  2. type the code %s\n", oneLine(i.Code))
		fmt.Fprintf(a.out, "  3. log in there and allow it\n")
		if i.Complete != "" {
			fmt.Fprintf(a.out, "With the code already typed: %s\n", oneLine(i.Complete))
		}
	}
	fmt.Fprintf(a.out, "Waiting until %s.\n", i.Until.Local().Format("15:04"))
}
