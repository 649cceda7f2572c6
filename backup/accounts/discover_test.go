package accounts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A domain answers questions of DNS and HTTP.
type domain struct {
	records map[string][]*net.SRV // by service
	files   map[string]string     // by URL without parameters
	broken  error                 // what DNS answers, if it is set
	asked   []string
}

func (d *domain) discovery() Discovery {
	return Discovery{
		LookupSRV: func(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
			if d.broken != nil {
				return "", nil, d.broken
			}
			list := d.records[fmt.Sprintf("_%s._%s.%s", service, proto, name)]
			if len(list) == 0 {
				return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
			}
			return "", list, nil
		},
		HTTP: &http.Client{Transport: d},
	}
}

// RoundTrip implements http.RoundTripper.
func (d *domain) RoundTrip(r *http.Request) (*http.Response, error) {
	d.asked = append(d.asked, r.URL.String())
	place, _, _ := strings.Cut(r.URL.String(), "?")
	text, there := d.files[place]
	if !there {
		return nil, &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}
	}
	rec := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}
	if target, ok := strings.CutPrefix(text, "redirect:"); ok {
		rec.StatusCode = http.StatusFound
		rec.Header.Set("Location", target)
		return rec, nil
	}
	rec.Body = readCloser{strings.NewReader(text)}
	return rec, nil
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func autoconfig(servers string) string {
	return `<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="example.org"><domain>example.org</domain>` + servers + `</emailProvider></clientConfig>`
}

func TestServersOfADomainAreFound(t *testing.T) {
	const (
		host   = "https://autoconfig.example.org/mail/config-v1.1.xml"
		known  = "https://example.org/.well-known/autoconfig/mail/config-v1.1.xml"
		server = `<incomingServer type="imap"><hostname>%s</hostname><port>%d</port><socketType>%s</socketType><username>%s</username></incomingServer>`
	)
	imaps := fmt.Sprintf(server, "imap.%EMAILDOMAIN%", 993, "SSL", "%EMAILLOCALPART%")
	for _, c := range []struct {
		name string
		domain
		want string
	}{
		{"SRV, encrypted from the start first", domain{records: map[string][]*net.SRV{
			"_imaps._tcp.example.org": {{Target: "mail.example.org.", Port: 993}, {Target: "old.example.org.", Port: 1993}},
			"_imap._tcp.example.org":  {{Target: "mail.example.org.", Port: 143}},
		}}, "imaps://alice@example.org@mail.example.org imaps://alice@example.org@old.example.org:1993 imap://alice@example.org@mail.example.org"},
		{"SRV says that there is none", domain{records: map[string][]*net.SRV{"_imaps._tcp.example.org": {{Target: ".", Port: 0}}, "_imap._tcp.example.org": {{Target: "m.example.org.", Port: 143}}}},
			"imap://alice@example.org@m.example.org"},
		{"SRV with a name that is none", domain{records: map[string][]*net.SRV{"_imaps._tcp.example.org": {{Target: "a b/c.", Port: 993}}}}, ""},
		{"SRV with control characters", domain{records: map[string][]*net.SRV{"_imaps._tcp.example.org": {{Target: "mail\t.example.org.", Port: 993}, {Target: "u@mail.example.org.", Port: 993}}}}, ""},
		{"file at a host of its own", domain{files: map[string]string{host: autoconfig(imaps)}}, "imaps://alice@imap.example.org"},
		{"file at the domain", domain{files: map[string]string{known: autoconfig(fmt.Sprintf(server, "h.example.org", 143, "STARTTLS", "%EMAILADDRESS%") + imaps)}},
			"imaps://alice@imap.example.org imap://alice@example.org@h.example.org"},
		{"nothing in clear text, and no other kinds", domain{files: map[string]string{host: autoconfig(fmt.Sprintf(server, "h", 143, "plain", "x") + strings.Replace(imaps, `"imap"`, `"pop3"`, 1))}}, ""},
		{"a redirect is not followed", domain{files: map[string]string{host: "redirect:http://example.org/x"}}, ""},
		{"a file that is none", domain{files: map[string]string{host: "<html>not found"}}, "error"},
		{"a user with control characters", domain{files: map[string]string{host: autoconfig(fmt.Sprintf(server, "h", 993, "SSL", "a\nb"))}}, ""},
		{"a port that is none", domain{files: map[string]string{host: autoconfig(fmt.Sprintf(server, "h", 70000, "SSL", "a"))}}, ""},
		{"the domain tells nothing", domain{}, ""},
		{"DNS does not answer", domain{broken: errors.New("server misbehaving")}, "error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := c.discovery().Discover(t.Context(), "alice@Example.org")
			var got []string
			for _, f := range found {
				got = append(got, strings.ReplaceAll(f.Address.String(), "Example", "example"))
				if again, err := Parse(f.Address.String()); err != nil || again != f.Address {
					t.Errorf("%s is read as %+v, %v", f.Address, again, err)
				}
			}
			text := strings.Join(got, " ")
			if err != nil {
				text = "error"
			}
			if text != c.want {
				t.Errorf("%q (%v), want %q", text, err, c.want)
			}
			for _, place := range c.asked {
				if !strings.HasPrefix(place, "https://autoconfig.example.org/") && !strings.HasPrefix(place, "https://example.org/") {
					t.Errorf("%s was asked", place)
				}
			}
		})
	}
}

func TestWhatIsNoEmailAddressIsNotAskedFor(t *testing.T) {
	d := new(domain)
	for _, email := range []string{"", "alice", "@example.org", "alice@", "alice@exa mple", "alice@host/path", "alice@host:80", "alice@[::1]"} {
		if found, err := d.discovery().Discover(t.Context(), email); err == nil || found != nil {
			t.Errorf("%q: %v, %v", email, found, err)
		}
	}
	if len(d.asked) > 0 {
		t.Errorf("asked: %q", d.asked)
	}
}
