package accounts

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/backup/accounts/peer"
)

// A Found is an address that a domain names for the mail of one of its users.
type Found struct {
	Address Address
	From    string // where it stands, for people
}

// Discovery says how domains are asked. The zero value will do.
type Discovery struct {
	// LookupSRV is net.Resolver's.
	LookupSRV func(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	// HTTP is the client for configuration files; it follows no redirect.
	HTTP *http.Client
}

const (
	maxAutoconfig    = 1 << 20
	discoveryTimeout = 20 * time.Second
)

// Discover finds out where the mail of an e-mail address is: from the SRV
// records of its domain (RFC 6186), and where there are none, from the file
// that mail programs look for there. The best comes first: what is encrypted,
// from the start. Nobody proves that DNS tells the truth, so that a person
// should look at the names before a password goes there. An empty list says
// that the domain tells nothing; the error, why something could not be asked.
func (d Discovery) Discover(ctx context.Context, email string) ([]Found, error) {
	at := strings.LastIndexByte(email, '@')
	if at < 1 {
		return nil, hint("for example alice@example.org", "%q is no e-mail address", email)
	}
	local, domain := email[:at], email[at+1:]
	probe := Address{}
	if err := probe.parseHost(domain); err != nil || strings.ContainsAny(domain, ":/?&") {
		return nil, fmt.Errorf("%q is no domain", domain)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, discoveryTimeout, fmt.Errorf("it did not answer within %v", discoveryTimeout))
	defer cancel()
	found, err := d.records(ctx, email, probe.Host)
	if len(found) > 0 {
		return found, nil
	}
	for _, place := range []string{
		"https://autoconfig." + probe.Host + "/mail/config-v1.1.xml?emailaddress=" + url.QueryEscape(email),
		"https://" + probe.Host + "/.well-known/autoconfig/mail/config-v1.1.xml",
	} {
		list, fileErr := d.file(ctx, place, email, local, probe.Host)
		if len(list) > 0 {
			return list, nil
		}
		err = errors.Join(err, fileErr)
	}
	return nil, err
}

// records asks for SRV records. RFC 6186 section 3.4: a target of "." says that
// there is no such service.
func (d Discovery) records(ctx context.Context, email, domain string) (found []Found, err error) {
	lookup := d.LookupSRV
	if lookup == nil {
		lookup = net.DefaultResolver.LookupSRV
	}
	for _, service := range []struct {
		name   string
		scheme Scheme
	}{{"imaps", IMAPS}, {"imap", IMAP}} {
		_, list, lookupErr := lookup(ctx, service.name, "tcp", domain)
		if dns, ok := errors.AsType[*net.DNSError](lookupErr); lookupErr != nil && !(ok && dns.IsNotFound) {
			err = errors.Join(err, fmt.Errorf("ask for the SRV record _%s._tcp.%s: %w", service.name, domain, lookupErr))
		}
		for _, srv := range list { // in the order of RFC 2782
			host := strings.TrimSuffix(srv.Target, ".")
			if a, ok := foundAddress(service.scheme, email, host, int(srv.Port)); ok {
				found = append(found, Found{a, fmt.Sprintf("SRV record _%s._tcp.%s", service.name, domain)})
			}
		}
	}
	return found, err
}

// foundAddress makes an address of what a domain says, if it can be one.
func foundAddress(scheme Scheme, user, host string, port int) (a Address, ok bool) {
	a = Address{Scheme: scheme, User: user}
	err := errors.Join(a.parseHost(host), a.parsePort(strconv.Itoa(port), true))
	return a, err == nil && user != "" && !strings.Contains(host, ":") && !strings.ContainsFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// clientConfig is the file of version 1.1, as far as it matters here:
// https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat
type clientConfig struct {
	Provider struct {
		Incoming []struct {
			Type     string `xml:"type,attr"`
			Hostname string `xml:"hostname"`
			Port     int    `xml:"port"`
			Socket   string `xml:"socketType"`
			Username string `xml:"username"`
		} `xml:"incomingServer"`
	} `xml:"emailProvider"`
}

// file reads a configuration file, if there is one.
func (d Discovery) file(ctx context.Context, place, email, local, domain string) ([]Found, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{}
	if d.HTTP != nil {
		*client = *d.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if _, dns := errors.AsType[*net.DNSError](err); dns {
		return nil, nil // the usual case: there is no such host
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAutoconfig))
	if err != nil {
		return nil, err
	}
	var c clientConfig
	if err := xml.Unmarshal(text, &c); err != nil { // whose words may be the file's
		return nil, fmt.Errorf("%s is no configuration of mail programs: %s", place, peer.Text(err.Error()))
	}
	fill := strings.NewReplacer("%EMAILADDRESS%", email, "%EMAILLOCALPART%", local, "%EMAILDOMAIN%", domain)
	var found []Found
	for _, s := range c.Provider.Incoming {
		scheme, known := map[string]Scheme{"SSL": IMAPS, "STARTTLS": IMAP}[strings.ToUpper(strings.TrimSpace(s.Socket))]
		if !known || !strings.EqualFold(s.Type, "imap") {
			continue // in clear text, or of another kind
		}
		user := strings.TrimSpace(fill.Replace(s.Username))
		if user == "" {
			user = email
		}
		if a, ok := foundAddress(scheme, user, strings.TrimSpace(fill.Replace(s.Hostname)), s.Port); ok {
			found = append(found, Found{a, place})
		}
	}
	slices.SortStableFunc(found, func(a, b Found) int { // IMAPS before IMAP
		return strings.Compare(string(b.Address.Scheme), string(a.Address.Scheme))
	})
	return found, nil
}
