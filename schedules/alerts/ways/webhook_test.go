package ways

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/backup/accounts"
	"restante/schedules/alerts"
)

// A request is one that came to a listener.
type request struct {
	method, path, body string
	header             http.Header
}

// A listener keeps what it is sent, and answers with these codes in turn, then
// with 200.
type listener struct {
	*httptest.Server
	mu    sync.Mutex
	codes []int
	got   []request
}

func listen(t *testing.T, codes ...int) *listener {
	l := &listener{codes: codes}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.got = append(l.got, request{r.Method, r.URL.Path, string(b), r.Header})
		if len(l.codes) > 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(l.codes[0])
			l.codes = l.codes[1:]
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) all() []request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got
}

func hook(t *testing.T, o HookOptions) *Hook {
	t.Helper()
	o.Label, o.Computer, o.Pause = "hook", "backup1", time.Millisecond
	h, err := NewHook(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAWebhookSendsADocumentThatIsSigned(t *testing.T) {
	t.Parallel()
	l := listen(t)
	h := hook(t, HookOptions{URL: secret(l.URL + "/in?key=1"), Key: secret("k"), Token: secret("token")})
	m := message(alerts.Opened, "title äöü", "text\n")
	for range 149 {
		m.List = append(m.List, m.List[0])
	}
	if err := h.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	r := l.all()[0]
	if r.method != "POST" || r.path != "/in" || r.header.Get("Content-Type") != "application/json" || r.header.Get("Authorization") != "Bearer token" {
		t.Errorf("%+v", r)
	}
	if got := r.header.Get(SignatureHeader); got != Sign([]byte("k"), []byte(r.body), monday) || !strings.HasPrefix(got, "t=1780293600,v1=") || len(got) != len("t=1780293600,v1=")+64 {
		t.Errorf("signature: %s", got)
	}
	// What programs rely on, name by name.
	var d map[string]any
	if err := json.Unmarshal([]byte(r.body), &d); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"version": 1.0, "event": "opened", "topic": m.Topic, "kind": "failure", "title": "title äöü", "text": "text\n",
		"time": "2026-06-01T06:00:00Z", "since": "2026-06-01T05:00:00Z", "computer": "backup1", "open": 1.0, "count": 150.0} {
		if d[name] != want {
			t.Errorf("%s: %v, want %v", name, d[name], want)
		}
	}
	list := d["alerts"].([]any)
	first := list[0].(map[string]any)
	if len(d) != 12 || len(list) != mostAlerts || len(first) != 5 || first["account"] != "anna" || first["server"] != "mail.example.org" || first["text"] != "refused" || first["kind"] != "failure" || first["since"] != "2026-06-01T05:00:00Z" {
		t.Errorf("%d fields, %d alerts: %v", len(d), len(list), first)
	}
	m.Event, m.List, m.Since = alerts.Cleared, nil, time.Time{}
	if err := h.Send(t.Context(), m); err != nil || !strings.Contains(l.all()[1].body, `"alerts":[]`) || strings.Contains(l.all()[1].body, "since") {
		t.Errorf("%s, %v", l.all()[1].body, err)
	}
}

// TestSignature has what the RFC's HMAC gives, computed by openssl.
func TestSignature(t *testing.T) {
	t.Parallel()
	if got := Sign([]byte("key"), []byte(`{"a":1}`), time.Unix(1, 0)); got != "t=1,v1=6d79bda23417c5d4f1b421c877b89fec92fde17dd9d447f5d140713ed9b8b48f" {
		t.Error(got)
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		form               Form
		event              alerts.Event
		open               int
		method, path, body string
		header, value      string
	}{
		{Slack, alerts.Opened, 1, "POST", "/in", `{"text":"*a \u0026lt;b\u0026gt; ü*\n` + "```" + `text\n` + "```" + `"}`, "Content-Type", "application/json"},
		{Ntfy, alerts.Opened, 1, "POST", "/in", "text\n", "Priority", "high"},
		{Ntfy, alerts.Cleared, 0, "POST", "/in", "text\n", "Tags", "white_check_mark"},
		{Ntfy, alerts.Cleared, 0, "POST", "/in", "text\n", "Title", "a <b> ü"},
		{PingURL, alerts.Ping, 0, "POST", "/in", "a <b> ü", "User-Agent", "restante"},
		{PingURL, alerts.Ping, 1, "POST", "/in/fail", "a <b> ü", "User-Agent", "restante"},
		{PingURL, alerts.Opened, 1, "POST", "/in/fail", "a <b> ü", "User-Agent", "restante"},
		{PingURL, alerts.Test, 1, "POST", "/in", "a <b> ü", "User-Agent", "restante"},
		{Matrix, alerts.Opened, 1, "PUT", "/in/restante-", `{"body":"a \u003cb\u003e ü\n\ntext\n","msgtype":"m.text"}`, "Authorization", "Bearer t"},
	} {
		l := listen(t)
		h := hook(t, HookOptions{URL: secret(l.URL + "/in"), Form: c.form, Token: secret("t")})
		m := message(c.event, "a <b> ü", "text\n")
		m.Open = c.open
		if err := h.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		r := l.all()[0]
		if r.method != c.method || !strings.HasPrefix(r.path, c.path) || c.form != Matrix && r.path != c.path || r.body != c.body || r.header.Get(c.header) != c.value {
			t.Errorf("%s %s: %+v", c.form, c.event, r)
		}
	}
	l := listen(t)
	h := hook(t, HookOptions{URL: secret(l.URL + "/ok"), FailureURL: secret(l.URL + "/down"), Form: PingURL})
	if err := h.Send(t.Context(), message(alerts.Ping, "x", "x")); err != nil || l.all()[0].path != "/down" {
		t.Errorf("%+v, %v", l.all(), err)
	}
	if !h.Takes(alerts.Ping) || h.Takes(alerts.Cleared) || hook(t, HookOptions{URL: secret("x")}).Takes(alerts.Ping) {
		t.Error("a hook takes what does not fit its form")
	}
	if _, err := NewHook(HookOptions{Label: "x", URL: secret("x"), Form: "pigeon"}); err == nil {
		t.Error("there is a form pigeon")
	}
}

func TestAMatrixMessageThatIsSentAgainIsTheSameOne(t *testing.T) {
	t.Parallel()
	l := listen(t, 502)
	h := hook(t, HookOptions{URL: secret(l.URL), Form: Matrix})
	m := message(alerts.Opened, "x", "x")
	if err := h.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m.Topic = "other"
	if err := h.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if r := l.all(); len(r) != 3 || r[0].path != r[1].path || r[1].path == r[2].path {
		t.Errorf("%+v", r)
	}
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		codes    []int
		requests int
		want     string // of the error
	}{
		{[]int{500, 429}, 3, ""},
		{[]int{503, 503, 503}, 3, "answers 503 Service Unavailable"},
		{[]int{404}, 1, "answers 404 Not Found"},
		{[]int{302}, 1, "answers 302 Found"}, // it would take the message elsewhere
	} {
		l := listen(t, c.codes...)
		err := hook(t, HookOptions{URL: secret(l.URL)}).Send(t.Context(), message(alerts.Opened, "x", "x"))
		if len(l.all()) != c.requests || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %d requests, %v", c.codes, len(l.all()), err)
		}
	}
}

func TestSecretsOfAWebhookAreInNoError(t *testing.T) {
	t.Parallel()
	l := listen(t, 404, 404)
	gone := httptest.NewServer(nil)
	gone.Close()
	hung := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-hung }))
	defer slow.Close()
	defer close(hung)
	for _, where := range []string{l.URL, gone.URL, slow.URL, "https://h:port", "://", "ftp://x"} {
		h := hook(t, HookOptions{URL: secret(where + "/T0/sesame?k=sesame"), Token: secret("sesame"), Key: secret("sesame"), Timeout: 50 * time.Millisecond, Tries: 1})
		err := h.Send(t.Context(), message(alerts.Opened, "x", "x"))
		if err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", where, err)
		}
		if u, broken := url.Parse(where); broken == nil && u.Scheme == "http" && !strings.Contains(err.Error(), u.Host) {
			t.Errorf("%s: %v does not say where", where, err)
		}
	}
	bad := hook(t, HookOptions{URL: secret(l.URL), Token: secret("sesame\r\nX: y"), Tries: 1})
	if err := bad.Send(t.Context(), message(alerts.Opened, "x", "x")); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("%v", err)
	}
}

func TestASecretThatCannotBeHadIsAnError(t *testing.T) {
	t.Parallel()
	l := listen(t)
	lost := errors.New("the file is gone")
	none := accounts.Secret(func(context.Context) (string, error) { return "", lost })
	for _, o := range []HookOptions{{URL: none}, {URL: secret(l.URL), Token: none}, {URL: secret(l.URL), Key: none}, {URL: secret(l.URL), Form: PingURL, FailureURL: none}} {
		if err := hook(t, o).Send(t.Context(), message(alerts.Opened, "x", "x")); !errors.Is(err, lost) {
			t.Errorf("%v", err)
		}
	}
	if len(l.all()) != 0 {
		t.Error("something was sent")
	}
}
