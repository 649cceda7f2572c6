package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// config is restante.toml. Every key may be left out.
//
//	repository = "s3://mail-archive/restante?endpoint=https://s3.example.org&region=eu-1"
//	passphrase-file = "/etc/restante/passphrase"
//
//	[account.alice]
//	url = "imaps://alice@mail.example.org"
//	password-command = "pass show mail/alice"
//	exclude = ["Trash", "Junk", "Lists/**"]
type config struct {
	// Repository is a directory, or s3://bucket/prefix?endpoint=…&region=….
	Repository string `toml:"repository"`
	// The passphrase: a file with it, or a command that prints it. Flags and
	// the environment's RESTANTE_PASSPHRASE come first.
	PassphraseFile    string `toml:"passphrase-file"`
	PassphraseCommand string `toml:"passphrase-command"`
	// Identity is a file with age identities that open the repository.
	Identity string `toml:"identity"`
	// CacheDir is the local cache; the user's cache directory if empty.
	CacheDir string `toml:"cache-dir"`
	// Keep are the keep rules of all accounts that have none of their own:
	// "last 7, daily 30, weekly 12, monthly 36, yearly 10, within 90d". Without
	// any, restante forget forgets nothing.
	Keep string `toml:"keep"`
	// TimeZone is where the days and months of keep rules begin, such as
	// "Europe/Berlin"; that of this computer if empty.
	TimeZone string `toml:"time-zone"`
	// Computer is what this computer is called in the names of maildrops (POP3),
	// which each computer sees in its own way; the host name if empty.
	Computer string `toml:"computer"`
	// Accounts, by name. The name is what snapshots are listed under.
	Accounts map[string]*accountConfig `toml:"account"`
	// Groups are accounts from lists, by the group's name.
	Groups map[string]*groupConfig `toml:"group"`
	// Schedules are what restante serve does, by name. Without any it backs
	// everything up each night, and looks after the repository.
	Schedules map[string]*scheduleConfig `toml:"schedule"`
	// Servers are mail servers that take more or fewer at once, by host name.
	Servers map[string]*serverConfig `toml:"server"`
	// Serve is how restante serve works.
	Serve serveConfig `toml:"serve"`
	// Alerts are who is told what is wrong, and how.
	Alerts alertsConfig `toml:"alerts"`

	path string // of the file; empty: there is none
}

// accountConfig is an account.
type accountConfig struct {
	// URL is where the mail is: imaps://user@host, imap://user@host (STARTTLS),
	// imap+insecure://user@host (clear text), maildir:DIR, mbox:DIR,
	// thunderbird:PROFILE; by POP3 pop3s://user@host, pop3://user@host (STLS),
	// pop3+insecure://user@host.
	URL string `toml:"url"`
	// LoginAs is a user who may open the mailbox of the url's user, and whose
	// password it is: an administrator of Cyrus, a proxy user. It is what
	// ?authzid= is in a URL. (SASL authorization identity, RFC 4616.)
	LoginAs string `toml:"login-as"`
	// Master is a master user of Dovecot, who logs in as "alice*master" with a
	// password of their own. It is what ?master= is in a URL.
	Master string `toml:"master"`
	// Computer, for a maildrop (POP3), takes the place of the one above. An
	// account alice on the computer laptop is listed as alice/laptop.
	Computer string `toml:"computer"`
	// The password: a file with it, a command that prints it, the name of an
	// environment variable that has it, or SERVICE/USER in the keyring of the
	// person who is logged in to this computer.
	PasswordFile    string `toml:"password-file"`
	PasswordCommand string `toml:"password-command"`
	PasswordEnv     string `toml:"password-env"`
	PasswordKeyring string `toml:"password-keyring"`
	// OAuth is where access tokens come from, for servers that take those in
	// place of a password.
	OAuth *oauthConfig `toml:"oauth"`
	// Policy, for a maildrop (POP3), says what is deleted from the server when it
	// is proven to be in the repository: "keep" (the default),
	// "delete-after-backup", "delete-after: 30d" or "delete-over: 5GB oldest first".
	Policy string `toml:"policy"`
	// Sieve is where the account's filter scripts are, by ManageSieve (RFC 5804)
	// with STARTTLS: host:port, or "none". Empty: port 4190 of the same host, if
	// anybody answers there.
	Sieve string `toml:"sieve"`
	// Connections is how many there may be at once; 0 for 3.
	Connections int `toml:"connections"`
	// Exclude are patterns of folders that are left out: "Trash", "Lists/*",
	// "Lists/**".
	Exclude []string `toml:"exclude"`
	// Vault is the vault that the account is kept in; empty for the default.
	Vault string `toml:"vault"`
	// Keep are the account's own keep rules.
	Keep string `toml:"keep"`
	// Skip leaves the account out where all accounts are meant.
	Skip bool `toml:"skip"`
	// Watch has restante serve back the account up within seconds of a change, by
	// NOTIFY (RFC 5465) or IDLE (RFC 2177), for which a connection stays open.
	Watch bool `toml:"watch"`
	// Schedules are the names of the schedules that back the account up; those
	// that are for it if empty.
	Schedules []string `toml:"schedules"`

	group string // that it is of; empty: of none
}

// oauthConfig is where an account's access tokens come from. A person allows it
// once, with restante login ACCOUNT:
//
//	oauth = { provider = "google", client-id = "…", client-secret-file = "google-secret" }
//	oauth = { provider = "microsoft", client-id = "…" }
//	oauth = { token-url = "https://…", device-url = "https://…", client-id = "restante", scopes = ["imap", "offline_access"] }
//
// or an administrator has let Restante into every mailbox of an organisation,
// and the url's user is whose it is:
//
//	oauth = { provider = "google", service-account-file = "google.json" }
//	oauth = { provider = "microsoft", grant = "client-credentials", tenant = "example.org", client-id = "…", client-secret-file = "…" }
type oauthConfig struct {
	// Provider is google or microsoft. It stands for the URLs and scopes.
	Provider string `toml:"provider"`
	// Tenant is the organisation at Microsoft: its domain or its number.
	Tenant string `toml:"tenant"`
	// Grant is login (a person's; the default), client-credentials, or
	// service-account (the default with a service-account-file).
	Grant string `toml:"grant"`
	// ClientID is what the provider knows this program as. A secret that belongs
	// to it is in a file, printed by a command, or in an environment variable.
	ClientID            string `toml:"client-id"`
	ClientSecretFile    string `toml:"client-secret-file"`
	ClientSecretCommand string `toml:"client-secret-command"`
	ClientSecretEnv     string `toml:"client-secret-env"`
	// ServiceAccountFile is the key of a service account, in JSON, as Google
	// makes it.
	ServiceAccountFile string `toml:"service-account-file"`
	// TokenURL, DeviceURL (RFC 8628) and AuthURL are the endpoints where there is
	// no provider. All begin with https://.
	TokenURL  string `toml:"token-url"`
	DeviceURL string `toml:"device-url"`
	AuthURL   string `toml:"auth-url"`
	// Scopes are what is asked for; the provider's if empty.
	Scopes []string `toml:"scopes"`
	// CA is a file with certificates of authorities to trust there, in PEM.
	CA string `toml:"ca"`
	// TokenFile is where a person's grant is kept. Every use of it may change it,
	// so it must be writable, and a copy of it is soon worth nothing. It is
	// restante/tokens/ACCOUNT.json in the user's configuration directory if empty.
	TokenFile string `toml:"token-file"`
}

// configuration reads the configuration file, once.
func (a *app) configuration() (*config, error) {
	if a.file != nil {
		return a.file, nil
	}
	path := a.Config
	if path == "" {
		for _, p := range configPaths() {
			if _, err := os.Stat(p); err == nil {
				path = p
				break
			}
		}
	}
	c := new(config)
	if path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		if c, err = parseConfig(path, b); err != nil {
			return nil, err
		}
	}
	a.file = c
	return c, nil
}

func configPaths() []string {
	paths := []string{"restante.toml"}
	if dir, err := os.UserConfigDir(); err == nil {
		paths = append(paths, filepath.Join(dir, "restante", "restante.toml"))
	}
	return append(paths, "/etc/restante/restante.toml")
}

// parseConfig reads a configuration file strictly: what it does not know is an
// error with the line, and the key that may have been meant.
func parseConfig(path string, b []byte) (*config, error) {
	c := &config{path: path}
	d := toml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff")))) // some editors begin files with it
	d.DisallowUnknownFields()
	err := d.Decode(c)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		line, _ := strict.Errors[0].Position()
		return nil, unknownKey(path, line, inTable(strict.Errors[0].Key(), b, line))
	}
	if broken, ok := errors.AsType[*toml.DecodeError](err); ok {
		return nil, brokenConfig(path, broken)
	}
	if err != nil {
		return nil, wrongUsage(fmt.Errorf("%s: %w", path, err))
	}
	if err := c.proveGroups(); err != nil {
		return nil, err
	}
	for name, account := range c.Accounts {
		switch {
		case (account == nil || account.URL == "") && len(c.Groups) == 0: // else it may be of a group
			return nil, withHint(wrongUsage(fmt.Errorf("%s: account %q has no url", path, name)), "add a line such as: url = \"imaps://%s@mail.example.org\"", name)
		case account != nil && account.Connections < 0:
			return nil, withHint(wrongUsage(fmt.Errorf("%s: account %q: %d connections are too few", path, name, account.Connections)), "leave the line out, or write 1 or more")
		}
	}
	if err := c.proveKeep(); err != nil {
		return nil, err
	}
	if err := c.proveServe(); err != nil {
		return nil, err
	}
	if err := c.proveAlerts(); err != nil {
		return nil, err
	}
	return c, nil
}

// inTable puts the name of an inline table of an account, a group or the alerts
// into a key on that line, which the decoder leaves out.
func inTable(key []string, file []byte, line int) []string {
	inAccount := len(key) == 3 && (key[0] == "account" || key[0] == "group")
	if !inAccount && (len(key) != 2 || key[0] != "alerts") {
		return key
	}
	text := string(bytes.Split(file, []byte("\n"))[line-1])
	name, table, _ := strings.Cut(text, "=")
	name, table = strings.TrimSpace(name), strings.TrimSpace(table)
	table = strings.TrimSpace(strings.TrimPrefix(table, "["))
	if !strings.HasPrefix(table, "{") || inAccount != (name == "oauth" || name == "ldap") || !inAccount && name != "mail" && name != "webhook" {
		return key
	}
	last := len(key) - 1
	return append(slices.Clone(key[:last]), name, key[last])
}

// unknownKey says what may have been meant by a key.
func unknownKey(path string, line int, key []string) error {
	err := wrongUsage(fmt.Errorf("%s:%d: unknown key %q", path, line, strings.Join(key, ".")))
	known, unknown := tomlKeys(reflect.TypeFor[config]()), key[0]
	switch {
	case len(key) > 3 && key[0] == "group" && key[2] == "ldap":
		known, unknown = tomlKeys(reflect.TypeFor[ldapConfig]()), key[3]
	case len(key) > 3 && key[2] == "oauth":
		known, unknown = tomlKeys(reflect.TypeFor[oauthConfig]()), key[3]
	case len(key) > 2 && key[0] == "account":
		known, unknown = tomlKeys(reflect.TypeFor[accountConfig]()), key[2]
	case len(key) > 2 && key[0] == "group":
		known, unknown = tomlKeys(reflect.TypeFor[groupConfig]()), key[2]
	case len(key) > 2 && key[0] == "schedule":
		known, unknown = tomlKeys(reflect.TypeFor[scheduleConfig]()), key[2]
	case len(key) > 2 && key[0] == "server":
		known, unknown = tomlKeys(reflect.TypeFor[serverConfig]()), key[2]
	case len(key) > 2 && key[0] == "alerts" && key[1] == "mail":
		known, unknown = tomlKeys(reflect.TypeFor[mailConfig]()), key[2]
	case len(key) > 2 && key[0] == "alerts" && key[1] == "webhook":
		known, unknown = tomlKeys(reflect.TypeFor[hookConfig]()), key[len(key)-1]
	case len(key) > 1 && key[0] == "alerts":
		known, unknown = tomlKeys(reflect.TypeFor[alertsConfig]()), key[1]
	case len(key) > 1 && key[0] == "serve":
		known, unknown = tomlKeys(reflect.TypeFor[serveConfig]()), key[1]
	}
	switch near := nearest(unknown, known); {
	case unknown == "password" || unknown == "passphrase":
		return withHint(err, "secrets do not stand in this file: write %s-file or %s-command", unknown, unknown)
	case near != "":
		return withHint(err, "did you mean %q?", near)
	}
	return withHint(err, "known here are: %s", strings.Join(known, ", "))
}

// brokenConfig says where the file cannot be read, and never what stands
// there: it may be a secret that somebody has put into the wrong place.
func brokenConfig(path string, broken *toml.DecodeError) error {
	line, column := broken.Position()
	where := fmt.Sprintf("%s:%d:%d", path, line, column)
	key := broken.Key()
	if !strings.Contains(broken.Error(), "cannot decode") && !strings.Contains(broken.Error(), "cannot store") {
		return withHint(wrongUsage(fmt.Errorf("%s: %s", where, strings.TrimPrefix(broken.Error(), "toml: "))),
			"lines look like: repository = \"/srv/mail-archive\"; accounts begin with: [account.NAME]")
	}
	if len(key) < 2 && (len(key) == 0 || key[0] == "account") || len(key) == 2 && key[0] == "account" {
		return withHint(wrongUsage(fmt.Errorf("%s: an account is a table", where)), "begin it with a line [account.NAME], and the next with url =")
	}
	last := key[len(key)-1]
	form, example := "a text", "\"…\""
	if key[0] == "alerts" && (last == "to" || last == "events") {
		form, example = "a list of texts", "[\"…\"]"
	}
	switch last {
	case "connections", "at-once", "per-server", "check-within", "watch-connections":
		form, example = "a number", "3"
	case "watch", "skip", "skip-missed":
		form, example = "yes or no", "true"
	case "exclude", "accounts", "groups", "schedules", "not-during":
		form, example = "a list of texts", "[\"Trash\", \"Lists/**\"]"
	}
	return withHint(wrongUsage(fmt.Errorf("%s: %q has to be %s", where, strings.Join(key, "."), form)), "write it as: %s = %s", last, example)
}

func tomlKeys(t reflect.Type) (keys []string) {
	for f := range t.Fields() {
		if key := f.Tag.Get("toml"); key != "" {
			keys = append(keys, key)
		} else if f.Anonymous {
			keys = append(keys, tomlKeys(f.Type)...)
		}
	}
	return keys
}

// nearest finds the word that differs least, if it is near.
func nearest(word string, words []string) string {
	best, at := "", 4
	for _, w := range words {
		if d := distance(word, w); d < at && d <= max(len(word), len(w))/2 {
			best, at = w, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// accountNames lists the configured accounts in order.
func (c *config) accountNames() (names []string) {
	for name := range c.Accounts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
