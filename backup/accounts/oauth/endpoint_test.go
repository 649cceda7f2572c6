package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		is     error
		says   string // "" if it is good
	}{
		"good":                        {200, good, nil, ""},
		"lower case":                  {200, `{"access_token":"x","token_type":"bearer"}`, nil, ""},
		"seconds in a string":         {200, `{"access_token":"x","token_type":"Bearer","expires_in":"3599"}`, nil, ""},
		"seconds that are null":       {200, `{"access_token":"x","token_type":"Bearer","expires_in":null}`, nil, ""},
		"rejected":                    {400, `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`, ErrRefused, "invalid_grant: Token has been expired or revoked."},
		"rejected with 200":           {200, `{"error":"invalid_grant"}`, ErrRefused, "invalid_grant"},
		"unknown client":              {401, `{"error":"invalid_client"}`, ErrRefused, "invalid_client"},
		"busy":                        {503, `{"error":"invalid_grant"}`, ErrUnavailable, "503"},
		"too many":                    {429, ``, ErrUnavailable, "429"},
		"busy in words":               {400, `{"error":"temporarily_unavailable"}`, ErrUnavailable, "temporarily_unavailable"},
		"the secret comes back":       {400, `{"error":"invalid_grant","error_description":"what is s3cret and spent!"}`, ErrRefused, "what is ••• and •••!"},
		"the secret as the error":     {400, `{"error":"s3cret"}`, ErrRefused, "•••"},
		"the secret where it is cut":  {400, `{"error":"e","error_description":"` + strings.Repeat("x", 297) + `s3cret"}`, ErrRefused, "xxx•"},
		"a terminal is steered":       {400, "{\"error\":\"e\\u001b[2J\",\"error_description\":\"a\\r\\nb\"}", ErrRefused, "e [2J: a  b"},
		"elsewhere":                   {307, ``, nil, "elsewhere"},
		"elsewhere with a token":      {302, good, nil, "elsewhere"},
		"not found":                   {404, `<html>`, nil, "HTTP 404"},
		"no JSON":                     {200, `acc3ss=1`, nil, "not the JSON"},
		"half an answer":              {200, good[:40], nil, "not the JSON"},
		"no token":                    {200, `{"token_type":"Bearer"}`, nil, "no access token"},
		"a token with a line end":     {200, `{"access_token":"a\r\nb","token_type":"Bearer"}`, nil, "no access token"},
		"a token with 0x01":           {200, `{"access_token":"a\u0001b","token_type":"Bearer"}`, nil, "no access token"},
		"a very long token":           {200, `{"access_token":"` + strings.Repeat("a", maxToken+1) + `","token_type":"Bearer"}`, nil, "no access token"},
		"a refresh token with a line": {200, `{"access_token":"a","token_type":"Bearer","refresh_token":"a\nb"}`, nil, "refresh token"},
		"another type":                {200, `{"access_token":"acc3ss","token_type":"mac acc3ss"}`, nil, "bearer"},
		"seconds that are none":       {200, `{"access_token":"acc3ss","token_type":"Bearer","expires_in":"NaN"}`, nil, "not the JSON"},
		"more than fits":              {200, `{"x":"` + strings.Repeat("a", maxAnswer) + `"}`, nil, "more than"},
	} {
		c := clientOf(says(test.status, test.body))
		c.Secret = func(context.Context) (string, error) { return "s3cret", nil }
		c.Post = true
		a, err := c.token(t.Context(), url.Values{"refresh_token": {"spent"}})
		if (err == nil) != (test.says == "") || err == nil && a.AccessToken == "" {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err == nil {
			continue
		}
		if !is(err, test.is) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
		for _, secret := range []string{"s3", "spent", "acc3", "r3f", "\x1b", "\n"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %q is in %v", name, secret, err)
			}
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%s: %d octets of an error", name, len(err.Error()))
		}
	}
}

func TestWhenATokenIsRenewed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for expires, want := range map[seconds]time.Duration{
		3600: 59 * time.Minute, 0: 59 * time.Minute, 300: 270 * time.Second,
		-5: 27 * time.Second, 1: 27 * time.Second, 1e300: 24*time.Hour - time.Minute,
	} {
		if got := (&answer{ExpiresIn: expires}).renewAt(now).Sub(now); got != want {
			t.Errorf("a token of %v seconds is renewed after %v", expires, got)
		}
	}
}

func TestHowTheClientProvesItself(t *testing.T) {
	t.Parallel()
	secret := func(context.Context) (string, error) { return "s%cret", nil }
	for name, test := range map[string]struct {
		change func(*Client)
		form   string
		user   string
		pass   string
	}{
		"a public client": {func(*Client) {}, "client_id=restante", "", ""},
		"in the body":     {func(c *Client) { c.Secret, c.Post = secret, true }, "client_id=restante&client_secret=s%25cret", "", ""},
		"by Basic":        {func(c *Client) { c.Secret, c.ID = secret, "a:b" }, "", "a%3Ab", "s%25cret"},
		"nobody":          {func(c *Client) { c.ID = "" }, "", "", ""},
	} {
		f := says(200, good)
		c := clientOf(f)
		test.change(c)
		if _, err := c.token(t.Context(), url.Values{}); err != nil {
			t.Fatal(err)
		}
		user, pass, _ := f.last.BasicAuth()
		if got := f.forms[0].Encode(); got != test.form || user != test.user || pass != test.pass {
			t.Errorf("%s: %q, %q, %q", name, got, user, pass)
		}
	}
	asked := 0
	f := says(200, good)
	c := clientOf(f)
	c.Secret = func(context.Context) (string, error) { asked++; return "x", nil }
	for range 3 {
		c.token(t.Context(), url.Values{})
	}
	c.Secret = func(context.Context) (string, error) { return "", errors.New("no key here") }
	c.secret = ""
	if _, err := c.token(t.Context(), url.Values{}); asked != 1 || f.requests() != 3 || err == nil || !strings.Contains(err.Error(), "no key here") {
		t.Errorf("asked for the secret %d times; %v", asked, err)
	}
}

// A server that sends us elsewhere does not get the secrets to that place.
func TestSecretsGoNowhereElse(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int64
	thief := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewTLSServer(http.RedirectHandler(thief.URL, status))
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		c := clientOf(NewTransport(roots))
		c.TokenURL = server.URL
		if _, err := c.token(t.Context(), url.Values{"refresh_token": {"r3fresh"}}); err == nil || !strings.Contains(err.Error(), "elsewhere") {
			t.Errorf("%d: %v", status, err)
		}
		server.Close()
	}
	if n := stolen.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

func TestTheTokenServerIsProven(t *testing.T) {
	t.Parallel()
	var came atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { came.Add(1) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	c := clientOf(NewTransport(x509.NewCertPool()))
	c.TokenURL = server.URL
	if _, err := c.token(t.Context(), url.Values{}); !is(err, nil) || err == nil || !strings.Contains(err.Error(), "no trustworthy encryption") {
		t.Errorf("an unknown authority: %v", err)
	}
	c.TokenURL = strings.Replace(server.URL, "https", "http", 1)
	if _, err := c.token(t.Context(), url.Values{}); err == nil || !strings.Contains(err.Error(), "https://") {
		t.Errorf("clear text: %v", err)
	}
	if n := came.Load(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// An answer without end is not read to its end.
func TestAnEndlessAnswer(t *testing.T) {
	t.Parallel()
	body := new(endless)
	_, err := clientOf(body).token(t.Context(), url.Values{})
	if err == nil || !strings.Contains(err.Error(), "more than") || body.n > 2*maxAnswer || !body.closed {
		t.Errorf("%v after %d octets", err, body.n)
	}
}

// endless is a server, and what it answers.
type endless struct {
	n      int
	closed bool
}

func (e *endless) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: e, Request: r}, nil
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n > 10*maxAnswer {
		return 0, io.EOF // for a client that falls for it
	}
	e.n += len(p)
	return len(p), nil
}

func (e *endless) Close() error { e.closed = true; return nil }

func TestASilentTokenServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(silence{})
		began := time.Now()
		_, err := c.token(t.Context(), url.Values{"refresh_token": {"r3fresh"}})
		if !is(err, ErrUnavailable) || time.Since(began) != requestTime || strings.Contains(err.Error(), "r3f") {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := c.token(ctx, url.Values{}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
}

type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"https://t.example/token": "", "": "no token-url", "http://t.example": "https://", "https://": "no URL", "https:x": "no URL",
		"https://u:s3cret@t.example": "user name", "https://t.example/#s3cret": "#", "%zzs3cret": "no URL", "t.example": "no URL",
	} {
		err := (&Client{TokenURL: endpoint}).Check()
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	if err := (&Client{TokenURL: "https://t.example", DeviceURL: "http://t.example"}).Check(); err == nil {
		t.Error("a device-url in clear text")
	}
	for _, name := range Providers() {
		if c, err := Provider(name, ""); err != nil || c.Check() != nil || c.DeviceURL == "" && c.AuthURL == "" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if c, err := Provider("microsoft", "contoso.onmicrosoft.com"); err != nil || c.TokenURL != "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range [][2]string{{"yahoo", ""}, {"google", "x"}, {"microsoft", "a/b"}, {"microsoft", "../x"}} {
		if _, err := Provider(bad[0], bad[1]); err == nil {
			t.Errorf("%q is a provider", bad)
		}
	}
}

// Whatever a token server says, what people are shown of it is one line, without
// secrets in it, and no token that mail servers cannot be sent.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(good))
	f.Add(400, []byte(`{"error":"invalid_grant","error_description":"what is s3cret\u2028?"}`))
	f.Add(200, []byte(`{"access_token":"a\u0001","token_type":"Bearer","expires_in":"1e999"}`))
	f.Add(503, []byte(`<html>`))
	f.Add(400, []byte("{\"error\":\"\xff\xfes3cret\"}"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a, err := clientOf(says(status, string(body))).token(t.Context(), url.Values{"refresh_token": {"s3cret"}})
		if err != nil {
			text := err.Error()
			if strings.Contains(text, "s3cret") || len(text) > 1000 || !utf8.ValidString(text) ||
				strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' }) {
				t.Errorf("%q", text)
			}
			return
		}
		if !isToken(a.AccessToken) || a.RefreshToken != "" && !isToken(a.RefreshToken) || !a.renewAt(time.Now()).After(time.Now()) {
			t.Errorf("%+v", a)
		}
	})
}

func TestWhenAGrantEndsIsWhatTheServerSaidLast(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	before := &grant{RefreshToken: "r1", Ends: now.Add(time.Hour)}
	for name, test := range map[string]struct {
		a      answer
		before *grant
		want   time.Time
	}{
		"Google, Microsoft":                {answer{RefreshToken: "r2", RefreshExpiresIn: 604800}, before, now.Add(7 * 24 * time.Hour)},
		"Keycloak":                         {answer{RefreshToken: "r2", RefreshExpires: 1800}, nil, now.Add(30 * time.Minute)},
		"a new token, and nothing is said": {answer{RefreshToken: "r2"}, before, time.Time{}},
		"no new token":                     {answer{}, before, before.Ends},
		"the same token":                   {answer{RefreshToken: "r1"}, before, before.Ends},
		"the first login":                  {answer{RefreshToken: "r1"}, nil, time.Time{}},
		"less than nothing":                {answer{RefreshToken: "r2", RefreshExpiresIn: -5}, nil, time.Time{}},
		"for ever":                         {answer{RefreshToken: "r2", RefreshExpiresIn: 1e300}, nil, now.Add(100 * 365 * 24 * time.Hour)},
	} {
		if got := test.a.ends(now, test.before); !got.Equal(test.want) {
			t.Errorf("%s: %v, not %v", name, got, test.want)
		}
	}
}
