package main

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"restante/backup/accounts"
)

// groupConfig is accounts that are alike: a template, and a list of users.
// {user} in any text of it is the user's name, and {column} what the list says
// in another column.
//
//	[group.staff]
//	list-command = "doveadm user '*@example.org'"
//	url = "imaps://{user}@mail.example.org"
//	master = "backup"
//	password-file = "/etc/restante/master"
//
//	[account."carol@example.org"]   # one of them, with what is her own
//	exclude = ["Lists/**"]
type groupConfig struct {
	// The users: a file with a list of them, or a command that prints it. A
	// first line with a field "user" names the columns of CSV; without one, each
	// line is a user name.
	List        string `toml:"list"`
	ListCommand string `toml:"list-command"`
	// LDAP is a search in a directory, in place of a list.
	LDAP *ldapConfig `toml:"ldap"`
	// Name is what accounts are called; that of the url if empty.
	Name string `toml:"name"`
	// What all of them have. An account of the configuration with such a name
	// and no url has its own keys, and from here those that it does not have;
	// one with a url of its own is none of the group.
	accountConfig
}

// proveGroups finds what is wrong with groups without reading their lists.
func (c *config) proveGroups() error {
	for _, name := range slices.Sorted(maps.Keys(c.Groups)) {
		g := c.Groups[name]
		switch {
		case g.URL == "":
			return withHint(wrongUsage(fmt.Errorf("%s: group %q has no url", c.path, name)), "add a line such as: url = \"imaps://{user}@mail.example.org\"")
		case g.lists() != 1:
			return withHint(wrongUsage(fmt.Errorf("%s: group %q wants either a list or a list-command or ldap", c.path, name)), "add a line such as: list = \"users.csv\"")
		case g.LDAP != nil:
			if err := g.LDAP.prove(); err != nil {
				return withHint(wrongUsage(fmt.Errorf("%s: group %q: %w", c.path, name, err)), "for example: ldap = { url = \"ldaps://ldap.example.org\", base = \"dc=example,dc=org\" }")
			}
		}
	}
	return nil
}

// lists is how many lists of users there are.
func (g *groupConfig) lists() (n int) {
	for _, is := range []bool{g.List != "", g.ListCommand != "", g.LDAP != nil} {
		if is {
			n++
		}
	}
	return n
}

// hasOwn says whether an account stands in the configuration by itself.
func (c *config) hasOwn(name string) bool {
	own := c.Accounts[name]
	return own != nil && own.URL != ""
}

// expanded is the configuration with the accounts of all groups in it. Their
// lists are read once.
func (a *app) expanded(ctx context.Context) (*config, error) {
	c, err := a.configuration()
	if err != nil || a.groupsRead {
		return c, err
	}
	all := map[string]*accountConfig{}
	for _, group := range slices.Sorted(maps.Keys(c.Groups)) {
		members, err := c.Groups[group].members(ctx, a, c.path)
		if err != nil {
			return nil, fmt.Errorf("group %q: %w", group, err)
		}
		for name, m := range members {
			if other := all[name]; other != nil {
				return nil, withHint(wrongUsage(fmt.Errorf("groups %q and %q both have an account %q", other.group, group, name)), "give one of them another name = \"…\"")
			}
			m.group = group
			all[name] = m
		}
	}
	for name, own := range c.Accounts {
		switch m := all[name]; {
		case c.hasOwn(name):
			all[name] = own
		case m != nil && own != nil:
			m.override(own)
		case m == nil:
			return nil, withHint(wrongUsage(fmt.Errorf("%s: account %q has no url, and no group has it", c.path, name)), "add a line such as: url = \"imaps://%s@mail.example.org\"", name)
		}
	}
	c.Accounts, a.groupsRead = all, true
	return c, c.proveKeep()
}

// members are the accounts of a group, by their names.
func (g *groupConfig) members(ctx context.Context, a *app, path string) (map[string]*accountConfig, error) {
	var users []accounts.User
	var err error
	switch {
	case g.List != "":
		users, err = accounts.UsersFromFile(beside(path, g.List))
	case g.LDAP != nil:
		users, err = g.LDAP.users(ctx, a, path)
	default:
		users, err = accounts.UsersFromCommand(ctx, g.ListCommand, commandTimeout)
	}
	if err != nil {
		return nil, wrongUsage(err)
	}
	members := map[string]*accountConfig{}
	for _, u := range users {
		name, m, err := g.member(u)
		if err != nil {
			return nil, wrongUsage(err)
		}
		if members[name] != nil {
			return nil, withHint(wrongUsage(fmt.Errorf("two users have an account %q", name)), "have the users in its name: name = \"{user}\"")
		}
		members[name] = m
	}
	return members, nil
}

// member is the account of a user.
func (g *groupConfig) member(u accounts.User) (name string, m *accountConfig, err error) {
	asIs := func(template string) (string, error) {
		return u.Fill(template, func(value string) (string, error) { return value, nil })
	}
	own := g.accountConfig
	m = &own
	m.Exclude = slices.Clone(m.Exclude)
	for _, text := range m.texts() {
		fill := u.FillPath // what is safe for whatever it is
		switch text {
		case &m.URL:
			fill = u.FillAddress
		case &m.PasswordCommand:
			fill = u.FillCommand
		case &m.LoginAs, &m.Master:
			fill = asIs
		}
		if *text, err = fill(*text); err != nil {
			return "", nil, err
		}
	}
	address, err := accounts.Parse(m.URL)
	if err != nil {
		return "", nil, fmt.Errorf("user %q: %w", u["user"], err)
	}
	if g.Name == "" {
		return address.Name(), m, nil
	}
	name, err = asIs(g.Name)
	return name, m, err
}

// texts are all texts of an account's configuration.
func (c *accountConfig) texts() (list []*string) {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		switch field := v.Field(i); {
		case !field.CanSet():
		case field.Kind() == reflect.String:
			list = append(list, field.Addr().Interface().(*string))
		case field.Type() == reflect.TypeFor[[]string]():
			for k := range field.Len() {
				list = append(list, field.Index(k).Addr().Interface().(*string))
			}
		}
	}
	return list
}

// override takes the keys that own has.
func (c *accountConfig) override(own *accountConfig) {
	to, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(own).Elem()
	for i := range from.NumField() {
		if to.Field(i).CanSet() && !from.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}
