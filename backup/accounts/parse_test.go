package accounts

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		address, name, canonical string // canonical "" for the address itself
		want                     Address
	}{
		{"imaps://alice@mail.example.org", "alice@mail.example.org", "", Address{Scheme: IMAPS, User: "alice", Host: "mail.example.org", Port: 993}},
		{"imap://alice@mail.example.org:1143", "alice@mail.example.org", "", Address{Scheme: IMAP, User: "alice", Host: "mail.example.org", Port: 1143}},
		{"IMAPS://alice@Mail.Example.ORG:993/", "alice@mail.example.org", "imaps://alice@mail.example.org", Address{Scheme: IMAPS, User: "alice", Host: "mail.example.org", Port: 993}},
		{"imap+insecure://alice@localhost", "alice@localhost", "", Address{Scheme: IMAPInsecure, User: "alice", Host: "localhost", Port: 143}},
		{"imaps://alice@example.org@mail.example.org", "alice@example.org@mail.example.org", "", Address{Scheme: IMAPS, User: "alice@example.org", Host: "mail.example.org", Port: 993}},
		{"imaps://alice%40example.org@mail.example.org", "alice@example.org@mail.example.org", "imaps://alice@example.org@mail.example.org", Address{Scheme: IMAPS, User: "alice@example.org", Host: "mail.example.org", Port: 993}},
		{"imaps://a%2Fb%3Ac%3Fd%25e@h", "a/b:c?d%e@h", "", Address{Scheme: IMAPS, User: "a/b:c?d%e", Host: "h", Port: 993}},
		{"imaps://älice@h", "älice@h", "imaps://%C3%A4lice@h", Address{Scheme: IMAPS, User: "älice", Host: "h", Port: 993}},
		{"imaps://alice@Müller.example", "alice@xn--mller-kva.example", "imaps://alice@xn--mller-kva.example", Address{Scheme: IMAPS, User: "alice", Host: "xn--mller-kva.example", Port: 993}},
		{"imaps://bob*master@h", "bob*master@h", "", Address{Scheme: IMAPS, User: "bob*master", Host: "h", Port: 993}},
		{"imaps://alice@[2001:DB8::1]:994", "alice@2001:db8::1", "imaps://alice@[2001:db8::1]:994", Address{Scheme: IMAPS, User: "alice", Host: "2001:db8::1", Port: 994}},
		{"imaps://alice@[::1]", "alice@::1", "", Address{Scheme: IMAPS, User: "alice", Host: "::1", Port: 993}},
		{"imap://alice@[fe80::1%25eth0]", "alice@fe80::1%eth0", "", Address{Scheme: IMAP, User: "alice", Host: "fe80::1%eth0", Port: 143}},
		{"imaps://admin@h?authzid=alice", "alice@h", "", Address{Scheme: IMAPS, User: "admin", Host: "h", Port: 993, Authzid: "alice"}},
		{"imaps://alice@h?master=admin", "alice@h", "", Address{Scheme: IMAPS, User: "alice", Host: "h", Port: 993, Master: "admin"}},
		{"imaps://a@h?auth=token", "a@h", "", Address{Scheme: IMAPS, User: "a", Host: "h", Port: 993, Auth: imapconn.AnyToken}},
		{"imaps://a@h?auth=XOAuth2", "a@h", "imaps://a@h?auth=xoauth2", Address{Scheme: IMAPS, User: "a", Host: "h", Port: 993, Auth: imapconn.XOAuth2}},
		{"imaps://a@h/?ca=%2Fetc%2Fa%26b.pem&auth=plain", "a@h", "imaps://a@h?auth=plain&ca=%2Fetc%2Fa%26b.pem", Address{Scheme: IMAPS, User: "a", Host: "h", Port: 993, Auth: imapconn.Plain, CA: "/etc/a&b.pem"}},
		{"imaps://a@h?ca=x@y:z", "a@h", "imaps://a@h?ca=x%40y%3Az", Address{Scheme: IMAPS, User: "a", Host: "h", Port: 993, CA: "x@y:z"}},
		{"pop3s://alice@mail.example.org", "alice@mail.example.org", "", Address{Scheme: POP3S, User: "alice", Host: "mail.example.org", Port: 995}},
		{"POP3://alice@mail.example.org:110?auth=APOP", "alice@mail.example.org", "pop3://alice@mail.example.org?auth=apop", Address{Scheme: POP3, User: "alice", Host: "mail.example.org", Port: 110, Auth: "APOP"}},
		{"pop3+insecure://a@localhost:1110?auth=xoauth2", "a@localhost", "", Address{Scheme: POP3Insecure, User: "a", Host: "localhost", Port: 1110, Auth: imapconn.XOAuth2}},
		{"pop3s://admin@h?authzid=alice&ca=%2Fca.pem", "alice@h", "", Address{Scheme: POP3S, User: "admin", Host: "h", Port: 995, Authzid: "alice", CA: "/ca.pem"}},
		{"maildir:/home/alice/Maildir/", "maildir:/home/alice/Maildir", "maildir:/home/alice/Maildir", Address{Scheme: Maildir, Dir: "/home/alice/Maildir"}},
		{"thunderbird:/home/alice/.thunderbird/a.default/", "thunderbird:/home/alice/.thunderbird/a.default", "thunderbird:/home/alice/.thunderbird/a.default", Address{Scheme: Thunderbird, Dir: "/home/alice/.thunderbird/a.default"}},
		{"Thunderbird:", "thunderbird:", "thunderbird:", Address{Scheme: Thunderbird}},
		{"mbox:mail?x=1", "mbox:mail?x=1", "", Address{Scheme: Mbox, Dir: "mail?x=1"}},
		{"mbox:a b@c:d", "mbox:a b@c:d", "", Address{Scheme: Mbox, Dir: "a b@c:d"}},
	} {
		if test.want.Scheme.Local() {
			test.want.Dir = filepath.FromSlash(test.want.Dir)
		}
		got, err := Parse(test.address)
		if err != nil {
			t.Errorf("%s: %v", test.address, err)
			continue
		}
		if got != test.want {
			t.Errorf("%s: %+v", test.address, got)
		}
		if got.Name() != test.name {
			t.Errorf("%s is called %s", test.address, got.Name())
		}
		if test.canonical == "" {
			test.canonical = test.address
		}
		if s := got.String(); s != test.canonical {
			t.Errorf("%s prints as %s", test.address, s)
		}
		if again, err := Parse(got.String()); err != nil || again != got {
			t.Errorf("%s comes back as %+v, %v", got, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"":                                   "does not begin with",
		"alice@example.org":                  "does not begin with",
		"imapss://a@h":                       "imaps:?",
		"pop4s://a@h":                        "pop3s:?",
		"imaps://a@h?auth=apop":              "no way to log in",
		"pop3s://a@h?auth=oauthbearer":       "no way to log in",
		"pop3s://a@h?auth=apop&authzid=b":    "cannot be sent",
		"pop3+insecure://a@h?ca=x":           "no certificates",
		"pop3s://alice:s3cret@h":             "leave it out",
		"maildir:":                           "names no directory",
		"imaps:a@h":                          "no //",
		"imaps://h":                          "no user name",
		"imaps://@h":                         "user name is empty",
		"imaps://alice@":                     "is no host",
		"imaps://alice@h h":                  "is no host",
		"imaps://alice@h\n":                  "control characters",
		"imaps://alice@mü_ller.example":      "no host",
		"imaps://alice@\u202egro.example":    "no host",
		"imaps://alice@h:0":                  "no number from 1",
		"imaps://alice@h:65536":              "no number from 1",
		"imaps://alice@h:":                   "no number from 1",
		"imaps://alice@2001:db8::1":          "in brackets",
		"imaps://alice@[2001:db8::1":         "no IPv6",
		"imaps://alice@[127.0.0.1]":          "no IPv6",
		"imaps://alice@[::1]x":               "no IPv6",
		"imaps://alice@h/INBOX":              "a path",
		"imaps://al%ice@h":                   "%25",
		"imaps://alice:s3cret@h":             "leave it out",
		"imaps://alice:s3#cret@h":            "leave it out",
		"imaps://alice:s3@cret@h":            "leave it out",
		"imaps://alice:@h":                   "leave it out",
		"imaps://alice@h?password=s3cret":    "leave it out",
		"imaps://alice:s3/cret@h":            "leave it out",
		"imaps://alice:s3?cret@h":            "no user name",
		"s3cret@h:imaps":                     "does not begin with",
		"imaps://a@h?aut=plain":              "auth=?",
		"imaps://a@h?certificate=x":          "no \"certificate\"",
		"imaps://a@h?auth=plane":             "plain?",
		"imaps://a@h?auth=":                  "one value",
		"imaps://a@h?ca=a&ca=b":              "one value",
		"imaps://a@h?ca=%zz":                 "not well written",
		"imap+insecure://a@h?ca=x":           "no certificates",
		"imaps://a@h?auth=login&authzid=b":   "cannot be sent",
		"imaps://a@h?auth=xoauth2&authzid=b": "cannot be sent",
		"imaps://a@h?master=m&authzid=b":     "an authzid and a master",
		"imaps://a@h?master=m&auth=token":    "has a password",
	} {
		a, err := Parse(address)
		if err == nil {
			t.Errorf("%q is taken for %+v", address, a)
			continue
		}
		text := err.Error()
		var h interface{ Hint() string }
		if errors.As(err, &h) {
			text += " / " + h.Hint()
		}
		if !strings.Contains(text, want) {
			t.Errorf("%q: %s", address, text)
		}
		if strings.Contains(text, "s3") || strings.Contains(text, "cret") {
			t.Errorf("%q: the password is in %s", address, text)
		}
	}
}

// Whoever opens it, a mailbox is one account, and two are two.
func TestOthersOpenAMailbox(t *testing.T) {
	t.Parallel()
	parse := func(s string) Address {
		a, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	alice := parse("imaps://alice@h?ca=x")
	as, err := alice.LoginAs("admin")
	if want := parse("imaps://admin@h?authzid=alice&ca=x"); err != nil || as != want || as.LoginName() != "admin" || as.Name() != "alice@h" {
		t.Errorf("%+v, %v", as, err)
	}
	master, err := alice.WithMaster("admin")
	if want := parse("imaps://alice@h?master=admin&ca=x"); err != nil || master != want || master.LoginName() != "alice*admin" || master.Name() != "alice@h" {
		t.Errorf("%+v, %v", master, err)
	}
	if _, err := as.WithMaster("m"); err == nil {
		t.Error("a master user and an authzid")
	}
	if _, err := parse("imaps://alice@h?auth=login").LoginAs("admin"); err == nil {
		t.Error("LOGIN with an authzid")
	}
	if _, err := parse("maildir:/mail").LoginAs("admin"); err == nil {
		t.Error("a login to a directory")
	}
	if bob := parse("imaps://admin@h?authzid=bob&ca=x&auth=plain"); bob.Mailbox() == as.Mailbox() || bob.Mailbox() != parse("imaps://admin@h?authzid=bob") {
		t.Errorf("the mailboxes are %s and %s", bob.Mailbox(), as.Mailbox())
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"imaps://alice@h:1?ca=x&auth=plain", "imap://a%40b@[::1]", "maildir:/x", "imap+insecure://a@h", "mbox:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(a.String()); err != nil || again != a {
			t.Errorf("%q: %+v prints as %q, which is %+v, %v", s, a, a, again, err)
		}
	})
}
