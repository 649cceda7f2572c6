package alerts

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"restante/schedules/queue"
)

var monday = time.Date(2026, 6, 1, 6, 0, 0, 0, time.UTC)

// view is a view of accounts on one server without any runs.
func view(names ...string) View {
	v := View{Now: monday, Last: map[queue.Subject]queue.Run{}, Good: map[queue.Subject]queue.Run{}, StaleAfter: 36 * time.Hour, Patience: 3}
	for _, n := range names {
		v.Accounts = append(v.Accounts, Account{Name: n, Server: "mail.example.org"})
	}
	return v
}

// ran puts the end of a run into a view.
func (v *View) ran(r queue.Run) {
	of := queue.Subject{Kind: r.Kind, Account: r.Account}
	v.Last[of] = r
	if r.State == queue.Done || r.State == queue.Incomplete {
		v.Good[of] = r
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	hours := func(n int) time.Time { return monday.Add(-time.Duration(n) * time.Hour) }
	snapshot := func(text string) json.RawMessage { return json.RawMessage(`{"snapshot":` + text + `}`) }
	for _, c := range []struct {
		what string
		runs []queue.Run
		want string // kind and text of the only alert; empty: there is none
	}{
		{"new", nil, ""},
		{"well", []queue.Run{{Kind: queue.Backup, Account: "a", State: queue.Done, Ended: hours(5), Result: snapshot(`{"messages":7}`)}}, ""},
		{"failed", []queue.Run{{Kind: queue.Backup, Account: "a", State: queue.Failed, Ended: hours(5), Error: "no\nsuch \u202ehost"}}, "failure: no such host"},
		{"failed once, and is tried again", []queue.Run{{Kind: queue.Backup, Account: "a", State: queue.Waiting, Due: hours(5), Tries: 1, Error: "lost"}}, ""},
		{"fails again and again", []queue.Run{{Kind: queue.Backup, Account: "a", State: queue.Waiting, Due: hours(5), Tries: 3, Error: "lost"}}, "failure: lost"},
		{"incomplete", []queue.Run{{Kind: queue.Backup, Account: "a", State: queue.Incomplete, Ended: hours(5), Result: snapshot(`{"messages":7,"missing":2000}`)}}, "incomplete: 2,000 messages could not be had"},
		{"anomalous", []queue.Run{{Kind: queue.Backup, Account: "a", State: queue.Done, Ended: hours(5), Result: snapshot(`{"messages":1,"anomalous":true}`)}}, "anomaly: 1 message are left; the snapshot before is kept"},
		{"just not stale", []queue.Run{{Kind: queue.Backup, Account: "a", State: queue.Done, Ended: hours(36)}}, ""},
		{"stale", []queue.Run{{Kind: queue.Backup, Account: "a", State: queue.Done, Ended: hours(36).Add(-time.Second)}}, "stale: the last good backup is from 2026-05-30 17:59 UTC"},
		{"never done", []queue.Run{{Kind: queue.Backup, Account: "a", State: queue.Waiting, Due: hours(37)}}, "stale: it was never backed up, and should have been at 2026-05-30 17:00 UTC"},
		{"dropped from the configuration", []queue.Run{{Kind: queue.Backup, Account: "gone", State: queue.Failed, Ended: hours(5), Error: "x"}}, ""},
		{"failed export", []queue.Run{{Kind: queue.Export, Account: "a", State: queue.Failed, Ended: hours(5), Error: "disk full"}}, "failure: disk full"},
		{"check", []queue.Run{{Kind: queue.Check, State: queue.Failed, Ended: hours(5), Error: "2 findings"}}, "check: 2 findings"},
		{"rehearsal", []queue.Run{{Kind: queue.Rehearsal, State: queue.Incomplete, Ended: hours(5)}}, "rehearsal: it found something; restante runs says what"},
		{"prune", []queue.Run{{Kind: queue.Prune, State: queue.Failed, Ended: hours(5), Error: "more than a tenth"}}, "prune: more than a tenth"},
		{"check that went well", []queue.Run{{Kind: queue.Check, State: queue.Done, Ended: hours(5)}}, ""},
		{"forget", []queue.Run{{Kind: queue.Forget, State: queue.Failed, Ended: hours(5), Error: "x"}}, "failure: x"},
	} {
		v := view("a")
		for _, r := range c.runs {
			if r.State == queue.Waiting {
				v.Pending = append(v.Pending, r)
			} else {
				v.ran(r)
			}
		}
		got := ""
		for i, a := range Find(v) {
			if i > 0 {
				got += "; "
			}
			got += a.Kind + ": " + a.Text
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestAccountsThatFailAlikeAreOneMessage(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 212 {
		names = append(names, fmt.Sprintf("user%03d@example.org", i))
	}
	v := view(names...)
	for i, n := range names {
		v.ran(queue.Run{Kind: queue.Backup, Account: n, State: queue.Failed, Class: queue.Login, Ended: monday.Add(-time.Hour),
			Error: fmt.Sprintf("log in as user%03d: the server refused the login: session %d", i, i*7)})
	}
	topics := byTopic(Find(v))
	if len(topics) != 1 {
		t.Fatalf("%d topics", len(topics))
	}
	for topic, list := range topics {
		m := compose(Opened, topic, list, monday)
		if m.Title != "212 accounts on mail.example.org cannot log in: log in as user000: the server refused the login: session 0" {
			t.Errorf("title: %s", m.Title)
		}
		if n := strings.Count(m.Text, "\n  user"); n != mostNamed {
			t.Errorf("%d are named:\n%s", n, m.Text)
		}
		if !strings.Contains(m.Text, "and 192 more: restante alerts\n") || m.Since != monday.Add(-time.Hour) {
			t.Errorf("%s\nsince %v", m.Text, m.Since)
		}
	}
}

func TestFailuresThatAreNotTheServersAreOneMessage(t *testing.T) {
	t.Parallel()
	v := view()
	for i := range 6 {
		name := fmt.Sprintf("user%d", i)
		v.Accounts = append(v.Accounts, Account{Name: name, Server: fmt.Sprintf("mail%d.example.org", i%3)})
		text := "write to the store: 503"
		if i == 5 {
			text = "out of memory"
		}
		v.ran(queue.Run{Kind: queue.Backup, Account: name, State: queue.Failed, Class: queue.Passing, Ended: monday, Error: text})
	}
	topics := byTopic(Find(v))
	all := topics["failure/backup/passing/"]
	if len(topics) != 2 || len(all) != 5 || len(topics["failure/backup/passing/mail2.example.org"]) != 1 {
		t.Fatalf("%+v", topics)
	}
	if title := titleOf(all); title != "5 accounts cannot be backed up: write to the store: 503" {
		t.Errorf("title: %s", title)
	}
}

func TestAFactIsAnAlertBeforeItsTime(t *testing.T) {
	t.Parallel()
	const before = 14 * 24 * time.Hour
	f := Fact{Subject: "mail.example.org", Server: true, What: "certificate", Expires: monday.Add(before + time.Second)}
	if a, ok := Expiring(f, monday, before); ok {
		t.Errorf("%+v", a)
	}
	for now, want := range map[time.Time]string{
		monday.Add(time.Second):            "the certificate of mail.example.org expires on 2026-06-15 06:00 UTC",
		monday.Add(before + 2*time.Second): "the certificate of mail.example.org expired on 2026-06-15 06:00 UTC",
	} {
		if a, ok := Expiring(f, now, before); !ok || a.Text != want || a.Server != f.Subject || titleOf([]queue.Alert{a}) != want {
			t.Errorf("%+v", a)
		}
	}
}
