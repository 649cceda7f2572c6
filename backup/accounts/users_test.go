package accounts

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestListsOfUsers(t *testing.T) {
	for _, c := range []struct{ name, list, want string }{
		{"names, one a line", "alice\n\n# nobody\nbob@example.org\r\n  carol  \n", "map[user:alice] map[user:bob@example.org] map[user:carol]"},
		{"columns", "Name, USER\n\"Liddell, Alice\",alice\n", "map[name:Liddell, Alice user:alice]"},
		{"byte order mark", "\ufeffuser\nalice\n", "map[user:alice]"},
		{"nothing", "", ""},
		{"a field is missing", "user,quota\nalice\n", "error: list:2: 1 fields where there should be 2 (user, quota)"},
		{"a column that a terminal would obey", "user,\x1b[2J\nalice\n", "error: list:2: 1 fields where there should be 2 (user,  [2j)"},
		{"more fields than a name", "alice\nbob,x\n", "error: list:2: 2 fields where there should be 1 (user)"},
		{"no user", "user,x\n,y\n", "error: list:2: the user is empty"},
		{"twice", "alice\nbob\nalice\n", `error: list:3: "alice" stands in line 1 already`},
		{"a column twice", "user,x,x\n", "error: list:1: two columns have one name"},
		{"a quote that does not end", "user\n\"alice\n", "error: list:2: extraneous or missing \" in quoted-field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			users, err := ParseUsers([]byte(c.list), "list")
			var got []string
			for _, u := range users {
				got = append(got, fmt.Sprint(u))
			}
			text := strings.Join(got, " ")
			if err != nil {
				text = "error: " + err.Error()
			}
			if text != c.want {
				t.Errorf("%q, want %q", text, c.want)
			}
		})
	}
}

func TestTemplatesAreFilledSoThatNamesMeanNothingElse(t *testing.T) {
	u := User{"user": `a&b=c+d?e/f:g@h%i#j k`, "plain": "alice", "up": "..", "flag": "-x", "shell": "$(id)"}
	filled, err := u.FillAddress("imaps://admin@mail.example.org?authzid={user}")
	if err != nil {
		t.Fatal(err)
	}
	a, err := Parse(filled)
	if err != nil || a.Authzid != u["user"] || a.CA != "" {
		t.Errorf("%s is read as %+v, %v", filled, a, err)
	}
	if filled, err = u.FillAddress("imaps://{user}@mail.example.org"); err != nil {
		t.Fatal(err)
	}
	if a, err = Parse(filled); err != nil || a.User != u["user"] || a.Host != "mail.example.org" {
		t.Errorf("%s is read as %+v, %v", filled, a, err)
	}
	for _, c := range []struct {
		fill           func(string) (string, error)
		template, want string
	}{
		{u.FillAddress, "maildir:/mail/{plain}/Maildir", "maildir:/mail/alice/Maildir"},
		{u.FillAddress, "maildir:/mail/{user}", "error"},
		{u.FillAddress, "maildir:/mail/{up}", "error"},
		{u.FillPath, "/etc/{PLAIN}", "/etc/alice"},
		{u.FillCommand, "pass show mail/{plain}", "pass show mail/alice"},
		{u.FillCommand, "pass show {shell}", "error"},
		{u.FillCommand, "pass {flag}", "error"},
		{u.FillCommand, "pass {nobody}", "error"},
		{u.FillCommand, "pass {plain", "error"},
	} {
		got, err := c.fill(c.template)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%q becomes %q, want %q (%v)", c.template, got, c.want, err)
		}
	}
}

func TestListOfACommandThatFailsIsNoList(t *testing.T) {
	users, err := UsersFromCommand(t.Context(), "echo alice; exit 3", time.Minute)
	if err == nil || len(users) > 0 {
		t.Errorf("%v, %v", users, err)
	}
	users, err = UsersFromCommand(t.Context(), "echo alice", time.Minute)
	if err != nil || len(users) != 1 {
		t.Errorf("%v, %v", users, err)
	}
}
