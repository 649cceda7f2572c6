package metrics

import (
	"fmt"
	"io"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"restante/schedules/queue"
	"restante/storage/objects"
)

var monday = time.Date(2026, 6, 1, 6, 0, 0, 0, time.UTC)

// site is a queue with the history of two accounts, and one that has none.
func site(t *testing.T) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), filepath.Join(t.TempDir(), "restante.db"), queue.Options{Now: func() time.Time { return monday }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	for name, r := range map[string]queue.Run{
		"anna": {State: queue.Done, Started: monday.Add(-2 * time.Hour), Ended: monday.Add(-time.Hour), Result: []byte(`{"snapshot":{"messages":10,"bytes":2000,"stored_bytes":100}}`)},
		"bob":  {State: queue.Incomplete, Started: monday.Add(-4 * time.Hour), Ended: monday.Add(-3 * time.Hour), Result: []byte(`{"snapshot":{"messages":7,"missing":3,"bytes":500}}`)},
		"old":  {State: queue.Done, Started: monday.Add(-51 * time.Hour), Ended: monday.Add(-50 * time.Hour)},
	} {
		r.Kind, r.Due = queue.Backup, r.Started
		if err := q.Restore(t.Context(), name, []queue.Run{r}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Ask(t.Context(), queue.Backup, "new\xff", "", queue.Asked); err != nil {
		t.Fatal(err)
	}
	if err := q.ReplaceAlerts(t.Context(), "history", []queue.Alert{{Name: "x", Kind: "stale"}, {Name: "y", Kind: "stale"}}); err != nil {
		t.Fatal(err)
	}
	return q
}

func options() Options {
	return Options{
		Accounts: func() []string { return []string{"anna", "bob", "old", "new\xff", "new\xfe"} },
		Now:      func() time.Time { return monday },
		Store: func() objects.Counts {
			return objects.Counts{Puts: 1, PutsIfAbsent: 2, Gets: 3, Lists: 4, Deletes: 5, Failed: 6, Stored: 7, Fetched: 8, Requests: 9}
		},
		Pools: func() map[string]int { return map[string]int{"accounts": 4} },
	}
}

// scrape asks as Prometheus does.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	s := httptest.NewServer(m.Handler())
	defer s.Close()
	answer, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", answer.Status, b, err)
	}
	return string(b)
}

func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(text, "\n"+l+"\n") {
			t.Errorf("there is no line %s", l)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

var totals = []string{
	`restante_accounts{state="good"} 1`, `restante_accounts{state="incomplete"} 1`, `restante_accounts{state="stale"} 1`, `restante_accounts{state="never"} 1`, `restante_accounts{state="failed"} 0`,
	`restante_oldest_good_snapshot_age_seconds 180000`, `restante_server_messages 20`, `restante_archive_messages 17`, `restante_archive_bytes 2500`,
}

func TestScrape(t *testing.T) {
	t.Parallel()
	m := New(site(t), options())
	m.Ended(queue.Run{Kind: queue.Backup, State: queue.Done, Tries: 2, Started: monday, Ended: monday.Add(10 * time.Second), Result: []byte(`{"snapshot":{"stored_bytes":5}}`)})
	m.Ended(queue.Run{Kind: queue.Prune, State: queue.Failed})
	text := scrape(t, m)
	has(t, text, totals...)
	has(t, text,
		`restante_account_last_good_snapshot_age_seconds{account="anna"} 3600`, `restante_account_last_good_snapshot_age_seconds{account="bob"} 10800`,
		`restante_account_last_run_good{account="anna"} 1`, `restante_account_last_run_good{account="bob"} 0`,
		`restante_account_server_messages{account="bob"} 10`, `restante_account_archive_messages{account="bob"} 7`,
		`restante_account_archive_bytes{account="anna"} 2000`, `restante_account_last_stored_bytes{account="anna"} 100`, `restante_account_last_duration_seconds{account="anna"} 3600`,
		`restante_queue_runs{state="waiting"} 1`, `restante_queue_runs{state="running"} 0`, `restante_alerts_open{kind="stale"} 2`, `restante_alerts_open{kind="failure"} 0`,
		`restante_store_operations_total{operation="put_if_absent"} 2`, `restante_store_operations_failed_total 6`, `restante_store_requests_total 9`, `restante_store_bytes_total{direction="fetched"} 8`,
		`restante_pool_size{pool="accounts"} 4`, `restante_database_up 1`,
		`restante_runs_total{kind="backup",state="done"} 1`, `restante_runs_total{kind="prune",state="failed"} 1`, `restante_runs_total{kind="check",state="failed"} 0`,
		`restante_run_retries_total{kind="backup"} 2`, `restante_run_duration_seconds_bucket{kind="backup",le="15"} 1`, `restante_run_duration_seconds_bucket{kind="backup",le="5"} 0`,
		`restante_backup_stored_bytes_total 5`)
}

func TestNamesFollowTheConventions(t *testing.T) {
	t.Parallel()
	m := New(site(t), options())
	for name, problems := range map[string]func() ([]promlint.Problem, error){
		"registry": func() ([]promlint.Problem, error) { return testutil.GatherAndLint(m.registry) },
	} {
		list, err := problems()
		if err != nil || len(list) > 0 {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

func TestAggregateHasNoSeriesOfAccounts(t *testing.T) {
	t.Parallel()
	o := options()
	o.Aggregate = true
	var names []string
	for i := range 50_000 {
		names = append(names, fmt.Sprint("user", i))
	}
	small := o.Accounts
	o.Accounts = func() []string { return append(names, small()...) }
	text := scrape(t, New(site(t), o))
	if strings.Contains(text, `account="`) || strings.Contains(text, "restante_account_") || len(text) > 30_000 {
		t.Errorf("%d octets: %.3000s", len(text), text)
	}
	has(t, text, `restante_accounts{state="never"} 50001`, `restante_server_messages 20`)
}

func TestADatabaseThatIsGoneIsSeen(t *testing.T) {
	t.Parallel()
	q := site(t)
	o, at := options(), monday
	o.Now = func() time.Time { return at }
	m := New(q, o)
	has(t, scrape(t, m), `restante_database_up 1`)
	q.Close()
	has(t, scrape(t, m), `restante_database_up 1`) // it was read just now
	at = at.Add(time.Minute)
	text := scrape(t, m)
	has(t, text, `restante_database_up 0`, `restante_store_requests_total 9`)
	if strings.Contains(text, "restante_accounts") {
		t.Errorf("it tells of accounts: %s", text)
	}
}
