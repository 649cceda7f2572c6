package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"restante/backup/localsource"
	"restante/storage"
)

// A computer is the one that this program runs on, with the mail found on it.
type computer struct {
	places localsource.Places
	found  []localsource.Found
}

// thisComputer finds the accounts whose mail is on this computer, or that this
// computer sees in its own way: the local ones and the maildrops of the
// configuration, and one with all that they do not have.
func (a *app) thisComputer(ctx context.Context, name string) ([]*account, error) {
	c, err := a.configuration()
	if err != nil {
		return nil, err
	}
	places, err := localsource.Here()
	if err != nil {
		return nil, err
	}
	found, err := localsource.Find(ctx, places)
	if err != nil {
		return nil, err
	}
	var list []*account
	for _, n := range c.accountNames() {
		acct, err := a.account(ctx, n, "", &AccountAccess{})
		if err != nil {
			return nil, err
		}
		if !acct.address.Scheme.Local() && !acct.address.Scheme.Maildrop() {
			continue
		}
		list = append(list, acct)
		a.say("account %s: %s", acct.name, acct.location())
		found = slices.DeleteFunc(found, func(f localsource.Found) bool { return isSame(f.Dir, acct.address.Dir) })
	}
	if name == "" {
		name = computerName(places.User, hostname())
	}
	for _, f := range found {
		under := f.Name
		if under == "" {
			under = "the top"
		}
		a.say("found on this computer: %s (%s), for %s under %s", f.Dir, f.What, name, under)
	}
	if len(found) > 0 {
		list = append(list, &account{name: name, vault: storage.DefaultVault, computer: &computer{places, found}})
	}
	if len(list) == 0 {
		return nil, withHint(errors.New("there is no mail on this computer"), "looked for were ~/Maildir, ~/mail, ~/Mail, ~/mbox, the system's mailbox of %s and profiles of Thunderbird; mail elsewhere is named: maildir:DIR, mbox:DIR, thunderbird:DIR", places.User)
	}
	return list, nil
}

// thisComputersName is what this computer's mail is called if nobody says.
func thisComputersName() (string, error) {
	places, err := localsource.Here()
	return computerName(places.User, hostname()), err
}

// computerName is what a computer's mail is called: anna@laptop.
func computerName(user, host string) string {
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	if host == "" {
		host = "computer"
	}
	return user + "@" + host
}

// isSame reports whether two names lead to one file.
func isSame(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// say tells a person something; programs read JSON instead.
func (a *app) say(format string, args ...any) {
	if !a.JSON {
		fmt.Fprintln(a.out, oneLine(fmt.Sprintf(format, args...)))
	}
}
