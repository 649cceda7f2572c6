package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/oauth"
)

func TestWhatOAuthMayBe(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	const url = "url = \"imaps://alice@h\"\n"
	for _, test := range []struct {
		account string // below [account.alice]
		says    string // "" if it is good
	}{
		{url + `oauth = { provider = "google", client-id = "x", client-secret-file = "y" }`, ""},
		{url + `oauth = { provider = "microsoft", client-id = "x" }`, ""},
		{url + `oauth.provider = "microsoft"` + "\n" + `oauth.client-id = "x"` + "\n" + `oauth.tenant = "example.org"`, ""},
		{url + `oauth = { provider = "google", service-account-file = "x" }`, ""},
		{url + `oauth = { provider = "microsoft", grant = "client-credentials", tenant = "t", client-id = "x", client-secret-env = "y" }`, ""},
		{url + `oauth = { token-url = "https://t", device-url = "https://t", client-id = "x" }`, ""},
		{url + `oauth = { token-url = "https://t", auth-url = "https://t", client-id = "x", scopes = ["a"], token-file = "f" }`, ""},
		{url + "login-as = \"admin\"\n" + `oauth = { provider = "google", service-account-file = "x" }`, ""},

		{url + `oauth = { providre = "google" }`, `:3: unknown key "account.alice.oauth.providre" / did you mean "provider"?`},
		{url + "oauth.providre = \"google\"", `unknown key "account.alice.oauth.providre" / did you mean "provider"?`},
		{url + "[account.alice.oauth]\nproviders = \"google\"", `:4: unknown key "account.alice.oauth.providers" / did you mean "provider"?`},
		{url + "vualt = \"x\"", `unknown key "account.alice.vualt" / did you mean "vault"?`},
		{url + "oauth = { zzzzzzzzzzzzzzz = 1 }", "known here are: provider,"},
		{url + `oauth = { client_id = "x" }`, `did you mean "client-id"?`},
		{url + `oauth = "google"`, "restante.toml:3"},
		{url + `oauth = { client-id = "x" }`, "neither provider nor token-url / providers are google, microsoft"},
		{url + `oauth = { provider = "yahoo", client-id = "x" }`, `no provider "yahoo" is known / they are google, microsoft;`},
		{url + `oauth = { provider = "google", token-url = "https://t", client-id = "x" }`, "its own URLs"},
		{url + `oauth = { provider = "google" }`, "no client-id"},
		{url + `oauth = { provider = "google", client-id = "x", tenant = "t" }`, "no tenant at google"},
		{url + `oauth = { token-url = "https://t", device-url = "https://t", client-id = "x", tenant = "t" }`, `no provider ""`},
		{url + `oauth = { provider = "google", client-id = "x", grant = "device" }`, "no grant \"device\" / they are login, service-account, client-credentials"},
		{url + `oauth = { provider = "google", client-id = "x", client-secret-file = "y", client-secret-env = "z" }`, "several client secrets"},
		{url + `oauth = { provider = "google", client-id = "x", service-account-file = "y" }`, "has its key"},
		{url + `oauth = { provider = "google", grant = "service-account" }`, "belong together"},
		{url + `oauth = { provider = "google", grant = "login", service-account-file = "y" }`, "belong together"},
		{url + `oauth = { provider = "google", service-account-file = "y", token-file = "z" }`, "keeps nothing"},
		{url + `oauth = { provider = "microsoft", grant = "client-credentials", tenant = "t", client-id = "x" }`, "there is no secret"},
		{url + `oauth = { provider = "microsoft", grant = "client-credentials", client-id = "x", client-secret-env = "y" }`, "no tenant"},
		{url + `oauth = { token-url = "https://t", client-id = "x" }`, "no device-url"},
		{url + `oauth = { token-url = "http://t", device-url = "https://t", client-id = "x" }`, "the token-url does not begin with https://"},
		{url + `oauth = { token-url = "https://t", device-url = "https://u:s3cret@t", client-id = "x" }`, "the device-url has a user name"},
		{url + `oauth = { provider = "google", client-id = "x", ca = "not-there.pem" }`, "not-there.pem"},
		{url + "password-env = \"x\"\n" + `oauth = { provider = "google", client-id = "x" }`, "a password as well"},
		{url + "password-keyring = \"x/y\"\n" + `oauth = { provider = "google", client-id = "x" }`, "a password as well"},
		{"url = \"maildir:mail\"\n" + `oauth = { provider = "google", client-id = "x" }`, "nobody logs in to maildir:"},
	} {
		path := filepath.Join(t.TempDir(), "restante.toml")
		c, err := parseConfig(path, []byte("[account.alice]\n"+test.account+"\n"))
		var acct *account
		if err == nil {
			acct, err = (&app{Globals: new(Globals), file: c, env: lookupEnv}).account(t.Context(), "alice", "", new(AccountAccess))
		}
		if err == nil {
			_, err = acct.dialer(&app{})
		}
		text := ""
		if err != nil {
			text = strings.ReplaceAll(err.Error(), ": "+errUsage.Error(), "") + " / " + hintFor(err)
		}
		if (err == nil) != (test.says == "") || !strings.Contains(text, test.says) || strings.Contains(text, "s3cret") {
			t.Errorf("%s\n  %s", test.account, text)
		}
		if err != nil && !errors.Is(err, errUsage) {
			t.Errorf("%s\n  exit code %d", test.account, exitCode(err))
		}
		if err == nil && acct.tokens == nil {
			t.Errorf("%s\n  no tokens", test.account)
		}
	}
}

func TestAPasswordIsNotForAnAccountWithTokens(t *testing.T) {
	t.Parallel()
	c, err := parseConfig("restante.toml", []byte("[account.alice]\nurl = \"imaps://alice@h\"\noauth = { provider = \"google\", client-id = \"x\", token-file = \"f\" }\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := &app{Globals: new(Globals), file: c, env: lookupEnv}
	if _, err := a.account(t.Context(), "alice", "", &AccountAccess{PasswordFile: "p"}); err == nil || !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "logs in with tokens") {
		t.Error(err)
	}
}

func TestWhereGrantsAreKept(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	a := &app{Globals: new(Globals), file: &config{path: "/etc/restante/restante.toml"}}
	seen := map[string]bool{}
	for _, name := range []string{"alice", "alice@example.org", "..", "../../etc/passwd", "a/b", "a%2Fb", "A:B", "ä", "", "a b"} {
		path, err := a.tokenFile(name, new(oauthConfig))
		if err != nil || filepath.Dir(path) != filepath.Join(home, "config", "restante", "tokens") || seen[path] {
			t.Errorf("%q: %s, %v", name, path, err)
		}
		seen[path] = true
	}
	for file, want := range map[string]string{"x.json": "/etc/restante/x.json", "/var/x.json": "/var/x.json"} {
		if path, err := a.tokenFile("alice", &oauthConfig{TokenFile: file}); path != want || err != nil {
			t.Errorf("%s: %s, %v", file, path, err)
		}
	}
}

func TestTheHintCanBeTyped(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"alice": "alice", "alice@example.org": "alice@example.org", "it's me": `'it'\''s me'`} {
		tokens := &advised{Tokens: failing{oauth.ErrLoginNeeded}, account: shellWord(name)}
		if _, err := tokens.Token(t.Context(), ""); hintFor(err) != "restante login "+want {
			t.Errorf("%q: %s", name, hintFor(err))
		}
	}
	for _, sentinel := range []error{oauth.ErrRefused, oauth.ErrUnavailable} {
		tokens := &advised{Tokens: failing{sentinel}, account: "alice", refused: "x"}
		if _, err := tokens.Token(t.Context(), ""); hintFor(err) == "" || strings.Contains(hintFor(err), "restante login") || errors.Is(err, imapconn.ErrLogin) {
			t.Errorf("%v: %s", err, hintFor(err))
		}
	}
}

// failing is a source that has no tokens.
type failing struct{ err error }

func (f failing) Token(context.Context, string) (string, error) { return "", f.err }
