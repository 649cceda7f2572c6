package alerts

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"restante/schedules/queue"
)

func TestReport(t *testing.T) {
	t.Parallel()
	v := view("anna", "bob", "new")
	v.Accounts[0].Group = "board"
	done := queue.Run{Kind: queue.Backup, State: queue.Done, Ended: monday.Add(-time.Hour), Result: []byte(`{"snapshot":{"messages":1000,"bytes":1048576,"stored_bytes":512}}`)}
	for _, name := range []string{"anna", "bob"} {
		done.Account = name
		v.ran(done)
	}
	v.ran(queue.Run{Kind: queue.Check, Schedule: "weekly", State: queue.Done, Ended: monday.Add(-2 * time.Hour)})
	v.Next = []queue.Appointment{{Schedule: "nightly", Account: "anna", Next: monday}, {Schedule: "weekly", Next: monday.Add(time.Hour)}}
	if m, want := Write(v, nil), "3 accounts: 2 good, 1 new\n2,000 messages, 2.0 MiB; the last backups added 1.0 KiB.\nLast check without findings: 2026-06-01 04:00 UTC.\nNext check: 2026-06-01 07:00 UTC.\n"; m.Text != want || m.Title != "all is well: 3 accounts" {
		t.Errorf("%s\n%s", m.Title, m.Text)
	}
	v.ran(queue.Run{Kind: queue.Backup, Account: "bob", State: queue.Failed, Class: queue.Login, Error: "refused", Ended: monday})
	m := Write(v, Find(v))
	for _, part := range []string{"3 accounts: 1 good, 1 failed, 1 new\n", "\n  (no group): 2 accounts: 0 good, 1 failed, 1 new\n  board: 1 account: 1 good\n", "\nbob on mail.example.org cannot log in: refused\n  since 2026-06-01 06:00 UTC\n"} {
		if !strings.Contains(m.Text, part) {
			t.Errorf("there is no %q in\n%s", part, m.Text)
		}
	}
	if m.Title != "1 open alert; 3 accounts: 1 good, 1 failed, 1 new" {
		t.Errorf("%s", m.Title)
	}
	big := view()
	for i := range 50_000 {
		name := fmt.Sprintf("user%d", i)
		big.Accounts = append(big.Accounts, Account{Name: name})
		big.ran(queue.Run{Kind: queue.Backup, Account: name, State: queue.Failed, Error: "refused", Ended: monday})
	}
	if m := Write(big, Find(big)); len(m.Text) > 4000 || !strings.Contains(m.Text, "and 49,980 more") {
		t.Errorf("%d octets: %.2000s", len(m.Text), m.Text)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := comma(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
