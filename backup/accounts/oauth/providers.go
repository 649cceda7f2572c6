package oauth

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
)

// Providers are the names that [Provider] knows.
func Providers() []string { return []string{"google", "microsoft"} }

// tenants are how Microsoft's organisations are named: by domain, by number, or
// "common" for all.
var tenants = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$`)

// Provider is a client of one of the large providers, without its identifier.
// tenant is an organisation's name at Microsoft; empty for any.
func Provider(name, tenant string) (*Client, error) {
	if !slices.Contains(Providers(), name) {
		return nil, fmt.Errorf("no provider %q is known", name)
	}
	if tenant != "" && (name != "microsoft" || !tenants.MatchString(tenant)) {
		return nil, fmt.Errorf("%q is no tenant at %s", tenant, name)
	}
	if name == "google" {
		// Google's device flow does not give the scope for mail
		// (https://developers.google.com/identity/protocols/oauth2/limited-input-device#allowedscopes),
		// so people log in with a browser. A refresh token comes with
		// access_type=offline, and with prompt=consent also the second time.
		return &Client{
			TokenURL:       "https://oauth2.googleapis.com/token",
			AuthURL:        "https://accounts.google.com/o/oauth2/v2/auth",
			AuthParameters: url.Values{"access_type": {"offline"}, "prompt": {"consent"}},
			Scopes:         []string{"https://mail.google.com/"},
			Post:           true,
		}, nil
	}
	if tenant == "" {
		tenant = "common"
	}
	base := "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/"
	return &Client{
		TokenURL:  base + "token",
		DeviceURL: base + "devicecode",
		Scopes:    []string{"https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"},
		Post:      true,
	}, nil
}

// MicrosoftApplication is the scope of an application that has been let into
// mailboxes by an administrator; it is for [NewClientCredentials].
const MicrosoftApplication = "https://outlook.office365.com/.default"
