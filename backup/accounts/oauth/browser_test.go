package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoginWithABrowser(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		comes url.Values // beside the state
		says  string     // "" if it is good
	}{
		"allowed":  {url.Values{"code": {"c0de"}}, ""},
		"denied":   {url.Values{"error": {"access_denied"}}, "did not allow"},
		"an error": {url.Values{"error": {"invalid_scope"}, "error_description": {"no\x1bsuch"}}, "invalid_scope: no such"},
		"no code":  {url.Values{}, "without a code"},
		"bad code": {url.Values{"code": {"a\nb"}}, "without a code"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := says(200, good)
			c := clientOf(f)
			c.DeviceURL, c.AuthURL, c.AuthParameters = "", "https://t.example/auth?x=1", url.Values{"prompt": {"consent"}}
			path := filepath.Join(t.TempDir(), "alice")
			var asked url.Values
			err := NewStored(c, path).Login(t.Context(), func(i Instructions) {
				u, err := url.Parse(i.URL)
				if err != nil || i.Code != "" || !strings.HasPrefix(i.URL, "https://t.example/auth?x=1&") {
					t.Errorf("shown: %+v, %v", i, err)
				}
				asked = u.Query()
				if asked.Get("redirect_uri") != "http://"+i.Back+"/" {
					t.Errorf("comes back to %s, and shown is %s", asked.Get("redirect_uri"), i.Back)
				}
				test.comes.Set("state", asked.Get("state"))
				// First somebody who does not know what this login is.
				for _, bad := range []string{"?code=th1ef", "?code=th1ef&state=x", "x?" + test.comes.Encode()} {
					if status, _ := browse(t, asked.Get("redirect_uri")+bad); status != 400 {
						t.Errorf("%s: HTTP %d", bad, status)
					}
				}
				if status, page := browse(t, asked.Get("redirect_uri")+"?"+test.comes.Encode()); status != 200 || !strings.Contains(page, "can be closed") {
					t.Errorf("HTTP %d: %s", status, page)
				}
			})
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Error(err)
			}
			for key, want := range map[string]string{"response_type": "code", "client_id": "restante", "scope": "mail offline", "prompt": "consent", "code_challenge_method": "S256", "x": "1"} {
				if asked.Get(key) != want {
					t.Errorf("%s is %q", key, asked.Get(key))
				}
			}
			// By now another program may have the port, but it has not our page.
			if resp, err := http.Get(asked.Get("redirect_uri")); err == nil {
				page, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if strings.Contains(string(page), "Restante") {
					t.Error("the port is still open")
				}
			}
			if test.says != "" {
				if f.requests() != 0 {
					t.Errorf("asked for a token with %v", f.forms)
				}
				return
			}
			form := f.forms[0]
			hash := sha256.Sum256([]byte(form.Get("code_verifier")))
			if form.Get("grant_type") != "authorization_code" || form.Get("code") != "c0de" || form.Get("redirect_uri") != asked.Get("redirect_uri") ||
				base64.RawURLEncoding.EncodeToString(hash[:]) != asked.Get("code_challenge") || len(form.Get("code_verifier")) < 43 {
				t.Errorf("asked for a token with %v", form)
			}
			if g := content(t, path); g.RefreshToken != "r3fresh" {
				t.Errorf("%+v", g)
			}
		})
	}
}

// browse does what a browser does.
func browse(t *testing.T, address string) (status int, page string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	return resp.StatusCode, string(b)
}
