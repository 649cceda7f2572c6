package alerts

import (
	"strings"
	"testing"
	"unicode/utf8"

	"restante/schedules/queue"
)

// FuzzWhy: whatever an account is called and its error says, alerts that differ in
// the account only are alike, and what is sent of them has a title of one line.
func FuzzWhy(f *testing.F) {
	f.Add("alice@example.org", "mail.example.org", "log in as alice@example.org at mail.example.org: no \"x\" in 3 s")
	f.Add("a(@b", "h", "a( is a(")
	f.Add("\xff\xfe@x", "", "\xff\xfe")
	f.Add("@", "\n", "\x1b[2J\n")
	f.Fuzz(func(t *testing.T, account, server, text string) {
		a := queue.Alert{Name: "failure " + account, Topic: topic(Failure, "backup", "login", server), Kind: string(Failure), Account: account, Server: server, Text: text}
		why(a)
		found := []queue.Alert{a, a}
		acrossServers(found)
		if title := titleOf(found); !strings.Contains(server, "\n") && strings.Contains(title, "\n") && !strings.Contains(account, "\n") && !strings.Contains(text, "\n") {
			t.Errorf("%q", title)
		}
		if line := oneLine(text); strings.ContainsAny(line, "\r\n") || utf8.ValidString(text) && !utf8.ValidString(line) {
			t.Errorf("%q is the line %q", text, line)
		}
	})
}

// FuzzResult: whatever a run left in the database, alerts come of it that have a
// name and say in one line what is wrong.
func FuzzResult(f *testing.F) {
	f.Add([]byte(`{"snapshot":{"messages":3,"missing":1,"bytes":9,"anomalous":true}}`), "log in: no")
	f.Add([]byte(`{"snapshot":null}`), "\x1b[2J\nx")
	f.Add([]byte(`{"snapshot":{"messages":-1e99}}`), "")
	f.Add([]byte("\xff"), "\xff")
	f.Fuzz(func(t *testing.T, result []byte, text string) {
		of := queue.Subject{Kind: queue.Backup, Account: "alice"}
		for _, state := range []queue.State{queue.Failed, queue.Incomplete, queue.Done} {
			run := queue.Run{Kind: queue.Backup, Account: "alice", State: state, Result: result, Error: text}
			last := map[queue.Subject]queue.Run{of: run, {Kind: queue.Check}: {Kind: queue.Check, State: state, Result: result, Error: text}}
			v := View{Now: run.Ended, Accounts: []Account{{Name: "alice"}}, Last: last, Good: last, StaleAfter: 1}
			for _, a := range Find(v) {
				if a.Name == "" || a.Kind == "" || strings.ContainsAny(a.Text, "\r\n") {
					t.Errorf("%+v", a)
				}
			}
		}
	})
}
