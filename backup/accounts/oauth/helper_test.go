package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fake is a token server without a network. It answers each request with
// what answer returns, and keeps the forms.
type fake struct {
	answer func(n int, form url.Values) (status int, body string, err error) // n from 1

	mu    sync.Mutex
	forms []url.Values
	times []time.Time
	last  *http.Request
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.forms, f.times, f.last = append(f.forms, form), append(f.times, time.Now()), r
	n := len(f.forms)
	f.mu.Unlock()
	status, text, err := f.answer(n, form)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text)), Header: http.Header{}, Request: r}, nil
}

func (f *fake) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.forms)
}

// says answers always the same.
func says(status int, body string) *fake {
	return &fake{answer: func(int, url.Values) (int, string, error) { return status, body, nil }}
}

func clientOf(rt http.RoundTripper) *Client {
	return &Client{TokenURL: "https://t.example/token", DeviceURL: "https://t.example/device", ID: "restante", Scopes: []string{"mail", "offline"}, Transport: rt}
}

// keep puts a grant into a file of a new directory.
func keep(t *testing.T, g grant) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens", "alice")
	if g.TokenURL == "" {
		g.TokenURL, g.ClientID = "https://t.example/token", "restante"
	}
	if err := save(path, &g); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) *grant {
	t.Helper()
	g, err := readGrant(path)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// is reports whether err wraps want, and nothing else of this package.
func is(err, want error) bool {
	for _, sentinel := range []error{ErrLoginNeeded, ErrRefused, ErrUnavailable} {
		if errors.Is(err, sentinel) != (sentinel == want) {
			return false
		}
	}
	return true
}

const good = `{"access_token":"acc3ss","token_type":"Bearer","expires_in":3600,"refresh_token":"r3fresh"}`
