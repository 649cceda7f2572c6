package accounts

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"restante/backup/accounts/peer"
)

// Whatever a domain's configuration file says: servers that are found are ones
// that can be written down and read again, for the user that asked or one that
// the file names, and what is wrong is said without control characters.
func FuzzAutoconfig(f *testing.F) {
	const server = `<incomingServer type="imap"><hostname>imap.%EMAILDOMAIN%</hostname><port>993</port><socketType>SSL</socketType><username>%EMAILADDRESS%</username></incomingServer>`
	for _, s := range []string{
		autoconfig(server), autoconfig(strings.ReplaceAll(server, "SSL", "STARTTLS") + server), autoconfig(strings.ReplaceAll(server, "993", "\x1b")),
		autoconfig(strings.ReplaceAll(server, "%EMAILADDRESS%", "&#9;a&b;\u0085")), "<html>&\u0085x", "<?xml version=\"1.0\" encoding=\"latin1\"?>", "", "<a></\u009b>",
		strings.ReplaceAll(autoconfig(server), "imap.%", "[::1]%"), autoconfig(strings.ReplaceAll(server, "imap.", "a/b?c#d@")),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		d := &domain{files: map[string]string{"https://autoconfig.example.org/mail/config-v1.1.xml": file}}
		if strings.HasPrefix(file, "redirect:") {
			return
		}
		found, err := d.discovery().Discover(t.Context(), "alice@example.org")
		checkFound(t, found, err)
	})
}

// FuzzServiceRecords does the same with what DNS says (RFC 6186).
func FuzzServiceRecords(f *testing.F) {
	f.Add("imap.example.org.", uint16(993), "mail.example.org.", uint16(143))
	f.Add(".", uint16(0), "a b/c.", uint16(1))
	f.Add("\u00ad.", uint16(993), "\u3002", uint16(143))
	f.Add("a\x1b@b:1.", uint16(65535), "[::1]", uint16(993))
	f.Fuzz(func(t *testing.T, first string, port uint16, second string, other uint16) {
		d := Discovery{
			HTTP: &http.Client{Transport: new(domain)},
			LookupSRV: func(context.Context, string, string, string) (string, []*net.SRV, error) {
				return "", []*net.SRV{{Target: first, Port: port}, {Target: second, Port: other}}, nil
			},
		}
		found, err := d.Discover(t.Context(), "alice@example.org")
		checkFound(t, found, err)
	})
}

func checkFound(t *testing.T, found []Found, err error) {
	if err != nil {
		if text := strings.ReplaceAll(err.Error(), "\n", " "); peer.Text(text) != strings.TrimSpace(text) {
			t.Errorf("shown as %q", text)
		}
	}
	for _, f := range found {
		text := f.Address.String()
		if again, err := Parse(text); err != nil || again != f.Address {
			t.Errorf("%+v is written as %q, and read as %+v, %v", f.Address, text, again, err)
		}
		if f.Address.Scheme != IMAPS && f.Address.Scheme != IMAP {
			t.Errorf("%q is not encrypted", text)
		}
		if peer.Text(text) != text {
			t.Errorf("an address with control characters: %q", text)
		}
	}
}

// Whatever a list of users has in it, each has a name that no other one has and
// what the columns have, and what is put into addresses, paths and commands
// means nothing there but itself.
func FuzzUsers(f *testing.F) {
	for _, s := range []string{
		"alice\nbob\n", "user,server\nalice,mail.example.org\n\"bob \"\"b\"\"\",x\n", "# nobody\n\nalice@example.org\n", "\ufeffUSER , Home\nalice,/home/alice\n",
		"user,user\n", "a,b\n", "\"a\nb\"\n", "user,host\n../x,$(reboot)\n", "a\x1b[2J\na\x1b[2J\n", "\"\x9b\"x",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		users, err := ParseUsers(list, "users.csv")
		if err != nil {
			if text := err.Error(); !strings.HasPrefix(text, "users.csv") || peer.Text(text) != text {
				t.Errorf("shown as %q", text)
			}
			return
		}
		seen := map[string]bool{}
		for _, u := range users {
			name := u[userColumn]
			if name == "" || seen[name] || len(u) != len(users[0]) {
				t.Errorf("%q among %q", u, users)
			}
			seen[name] = true
			if a, err := u.FillAddress("imaps://{user}@mail.example.org"); err == nil {
				if parsed, err := Parse(a); err == nil && (parsed.User != name || parsed.Host != "mail.example.org") {
					t.Errorf("the user %q makes %q, which is %+v", name, a, parsed)
				}
			}
			if p, err := u.FillPath("/srv/{user}/Maildir"); err == nil && (strings.Count(p, "/") != 3 || strings.Contains(p, "/../") || strings.Contains(p, "/./")) {
				t.Errorf("the user %q makes the path %q", name, p)
			}
			if c, err := u.FillCommand("get {user}"); err == nil && strings.ContainsAny(c[len("get "):], " \t\n;&|<>$`\\\"'*?[]{}()#~!\x00") {
				t.Errorf("the user %q makes the command %q", name, c)
			}
		}
	})
}
