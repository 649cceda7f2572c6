package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/backup/accounts/smtpconn/smtptest"
	"restante/schedules/queue"
)

func TestWhatAlertsMayBe(t *testing.T) {
	t.Parallel()
	const mail = "[alerts.mail]\nserver = \"smtp+insecure://h\"\nfrom = \"Restante <r@example.org>\"\nto = [\"a@example.org\"]\n"
	for _, test := range []struct {
		text string
		says string // "" if it is good
	}{
		{"", ""},
		{"[alerts]\nreport-at = \"07:30\"\nstale-after = \"48h\"\nrepeat = \"12h\"\nsettle = \"10m\"\nping-every = \"5m\"\nexpiry-before = \"72h\"\n" + mail, ""},
		{"[alerts]\nmail = { server = \"smtps://r@h\", password-command = \"pass\", from = \"r@h\", to = [\"a@h\"] }\nwebhook = [{ url = \"https://h/x\" }, { form = \"slack\", url-file = \"f\" }]", ""},
		{"[[alerts.webhook]]\nform = \"matrix\"\nurl = \"https://h/x\"\ntoken-file = \"t\"\n[[alerts.webhook]]\nform = \"ping\"\nurl = \"https://h/x\"\nfailure-url = \"https://h/y\"", ""},
		{"[[alerts.webhook]]\nurl = \"https://h\"\nkey-file = \"k\"\nevents = [\"opened\", \"report\"]", ""},

		{"[alerts]\nstale-afer = \"1h\"", `restante.toml:2: unknown key "alerts.stale-afer" / did you mean "stale-after"?`},
		{"[alerts.mail]\nsever = \"x\"", `restante.toml:2: unknown key "alerts.mail.sever" / did you mean "server"?`},
		{"[alerts]\nmail = { sever = \"x\" }", `restante.toml:2: unknown key "alerts.mail.sever" / did you mean "server"?`},
		{"[[alerts.webhook]]\nfrom = \"slack\"", `unknown key "alerts.webhook.from" / did you mean "form"?`},
		{"[alerts]\nwebhook = [{ fomr = \"slack\" }]", `:2: unknown key "alerts.webhook.fomr" / did you mean "form"?`},
		{"[alerts.mail]\npassword = \"s3cret\"", "write password-file or password-command"},
		{"[alerts]\nreport-at = \"7\"", `report-at: "7" is no time of the day / write report-at = "07:00"`},
		{"[alerts]\nstale-after = \"2 days\"", "stale-after"},
		{"[alerts]\nrepeat = \"1s\"", "is no time of 1m0s or more"},
		{"[alerts.mail]\nfrom = \"r@h\"", "it has no server"},
		{"[alerts.mail]\nserver = \"imaps://a@h\"", "mail cannot be handed to imaps"},
		{"[alerts.mail]\nserver = \"smtps://r@h\"\nfrom = \"r@h\"\nto = [\"a@h\"]", "where is the password of r?"},
		{"[alerts.mail]\nserver = \"smtps://r:s3cret@h\"", "s"},
		{mail + "password-file = \"x\"", "nobody to log in"},
		{"[alerts.mail]\nserver = \"smtps://r@h\"\npassword-file = \"x\"\npassword-command = \"y\"", "in two ways / leave password-file or password-command out"},
		{"[alerts.mail]\nserver = \"smtp+insecure://h\"\nto = [\"a@h\"]", "it has no sender"},
		{"[alerts.mail]\nserver = \"smtp+insecure://h\"\nfrom = \"r@h\"", "it goes to nobody"},
		{"[alerts.mail]\nserver = \"smtp+insecure://h\"\nfrom = \"r@h\"\nto = [\"admin\"]", `"admin" is no address`},
		{"[alerts.mail]\nserver = \"smtp+insecure://h\"\nfrom = \"r@h\"\nto = \"admin@h\"", `"alerts.mail.to" has to be a list of texts`},
		{"[[alerts.webhook]]", "it has no URL"},
		{"[[alerts.webhook]]\nurl = \"hooks/s3cret\"", "its URL cannot be read / it begins with https://"},
		{"[[alerts.webhook]]\nurl = \"https://h\"\nform = \"pigeon\"", `no form "pigeon" / there are: json, slack, matrix, ntfy, ping`},
		{"[[alerts.webhook]]\nurl = \"https://h\"\nfailure-url = \"https://h\"", "failure-url is for pings"},
		{"[[alerts.webhook]]\nurl = \"https://h\"\nform = \"matrix\"", "an access token"},
		{"[[alerts.webhook]]\nurl = \"https://h\"\nurl-file = \"f\"", "in two ways"},
		{"[[alerts.webhook]]\nurl = \"https://h\"\nevents = [\"oppened\"]", `no event "oppened" / there are: opened, repeated`},
		{"[[alerts.webhook]]\nurl = \"https://h\"\n[[alerts.webhook]]\nurl = \"https://i\"", `two ways to tell alerts are called "json" / give one a name`},
	} {
		_, err := parseConfig("restante.toml", []byte(test.text))
		says := ""
		if err != nil {
			says = err.Error() + " / " + hintFor(err)
		}
		if (err == nil) != (test.says == "") || !strings.Contains(says, test.says) || strings.Contains(says, "s3cret") || err != nil && exitCode(err) != exitUsage {
			t.Errorf("%s\n  says %q, want %q", test.text, says, test.says)
		}
	}
}

func TestReportIsAtItsTimeInItsZone(t *testing.T) {
	t.Parallel()
	c, err := parseConfig("x", []byte("time-zone = \"Europe/Berlin\"\n[alerts]\nreport-at = \"07:30\"\nstale-after = \"48h\""))
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.alertOptions()
	if err != nil || o.StaleAfter != 48*time.Hour {
		t.Fatal(o, err)
	}
	// The clocks change on 29 March 2026.
	at := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
	for _, want := range []string{"28 06:30", "29 05:30", "30 05:30"} {
		if at = o.ReportAt(at); at.UTC().Format("02 15:04") != want {
			t.Errorf("%v, want %s", at.UTC(), want)
		}
	}
}

// alertsBench is a configuration with a database and ways to tell, and what
// comes to a webhook.
func alertsBench(t *testing.T) (do func(args ...string) (out, errOut string, code int), q *queue.Queue, mail *smtptest.Server, hooks func() []string) {
	dir := t.TempDir()
	mail = &smtptest.Server{}
	var mu sync.Mutex
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.URL.Path+" "+string(b))
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	path := filepath.Join(dir, "restante.toml")
	text := fmt.Sprintf("[serve]\ndatabase = \"restante.db\"\n[alerts.mail]\nserver = \"smtp+insecure://%s\"\nfrom = \"r@example.org\"\nto = [\"a@example.org\"]\n"+
		"[[alerts.webhook]]\nurl-file = \"url\"\n[[alerts.webhook]]\nname = \"lost\"\nurl = \"%s/gone\"\n", smtptest.Start(t, mail), s.URL)
	for name, b := range map[string]string{"restante.toml": text, "url": s.URL + "/s3cret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q, err := queue.Open(t.Context(), filepath.Join(dir, "restante.db"), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	do = func(args ...string) (string, string, int) {
		var out, errOut strings.Builder
		code := run(append([]string{"--config", path}, args...), strings.NewReader(""), &out, &errOut)
		return out.String(), errOut.String(), code
	}
	return do, q, mail, func() []string { mu.Lock(); defer mu.Unlock(); return got }
}

func TestAlertsAreListed(t *testing.T) {
	do, q, _, _ := alertsBench(t)
	if out, _, code := do("alerts"); out != "no open alerts\n" || code != exitDone {
		t.Errorf("%d: %s", code, out)
	}
	since := time.Date(2026, 6, 1, 6, 0, 0, 0, time.UTC)
	if err := q.ReplaceAlerts(t.Context(), "history", []queue.Alert{{Name: "n", Topic: "t", Kind: "failure", Account: "anna", Server: "h", Text: "refused", Since: since}}); err != nil {
		t.Fatal(err)
	}
	n := queue.Notice{Topic: "t", Way: "mail", Due: since, Tries: 2, Error: "no such host"}
	if _, err := q.SwapNotice(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	out, _, code := do("alerts")
	for _, part := range []string{"failure", "anna", "refused", "unsent", "2 tries", "no such host"} {
		if !strings.Contains(out, part) || code != exitDone {
			t.Errorf("%d: there is no %q in %s", code, part, out)
		}
	}
	out, _, _ = do("alerts", "list", "--json")
	var list alertsJSON
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Alerts) != 1 || list.Alerts[0] != (alertJSON{"failure", "t", "anna", "h", "refused", since}) || len(list.Unsent) != 1 || list.Unsent[0] != (unsentJSON{"mail", "t", "no such host", 2, since}) {
		t.Errorf("%s: %v", out, err)
	}
}

func TestAlertsTestTriesEveryWay(t *testing.T) {
	do, _, mail, hooks := alertsBench(t)
	out, errOut, code := do("alerts", "test")
	if code != exitFailed || errOut != "" || !strings.Contains(out, "mail: sent\njson: sent\nlost: failed: ") || !strings.Contains(out, "404") || strings.Contains(out, "s3cret") {
		t.Errorf("%d: %s%s", code, out, errOut)
	}
	if got := mail.Got(); len(got) != 1 || !strings.Contains(got[0].Octets, "Subject: [restante] a test") {
		t.Errorf("%+v", got)
	}
	if got := hooks(); len(got) != 2 || !strings.HasPrefix(got[0], "/s3cret ") || !strings.Contains(got[0], `"event":"test"`) {
		t.Errorf("%q", got)
	}
	var tried []triedJSON
	out, _, code = do("alerts", "test", "--json")
	if err := json.Unmarshal([]byte(out), &tried); err != nil || code != exitFailed || len(tried) != 3 || !tried[0].Sent || tried[2].Sent || tried[2].Error == "" {
		t.Errorf("%s: %v", out, err)
	}
}

func TestAlertsTestNeedsAWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "restante.toml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut strings.Builder
	if code := run([]string{"--config", path, "alerts", "test"}, strings.NewReader(""), &out, &errOut); code != exitUsage || !strings.Contains(errOut.String(), "[alerts.mail]") {
		t.Errorf("%d: %s%s", code, &out, &errOut)
	}
}
