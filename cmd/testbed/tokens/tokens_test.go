package tokens

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// ask posts a form and returns the answer.
func ask(t *testing.T, s *Server, path string, pairs ...string) map[string]any {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil && path != "/go" {
		t.Fatalf("%s: %v in %s", path, err, w.Body)
	}
	return answer
}

func TestALoginAndItsTokens(t *testing.T) {
	t.Parallel()
	s := New("https://t.example")
	l := ask(t, s, "/device", "client_id", "c")
	code := l["device_code"].(string)
	poll := func(client string) map[string]any {
		return ask(t, s, "/token", "client_id", client, "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", code)
	}
	if a := poll("c"); a["error"] != "authorization_pending" {
		t.Error(a)
	}
	ask(t, s, "/go", "code", l["user_code"].(string), "user", "alice", "decision", "allow")
	if a := poll("other"); a["error"] != "invalid_grant" {
		t.Error("another client gets", a)
	}
	first := poll("c")
	if a := poll("c"); a["error"] != "invalid_grant" {
		t.Error("a code is good twice:", a)
	}
	if a := ask(t, s, "/introspect", "token", first["access_token"].(string)); a["active"] != true || a["username"] != "alice" {
		t.Error(a)
	}
	renew := func(token any) map[string]any {
		return ask(t, s, "/token", "client_id", "c", "grant_type", "refresh_token", "refresh_token", token.(string))
	}
	second := renew(first["refresh_token"])
	if second["access_token"] == nil || second["refresh_token"] == first["refresh_token"] {
		t.Fatal(second)
	}
	if a := renew(first["refresh_token"]); a["error"] != "invalid_grant" {
		t.Error("a refresh token is good twice:", a)
	}
	if a := renew(second["refresh_token"]); a["error"] != "invalid_grant" {
		t.Error("the grant is still good after a refresh token came twice:", a)
	}
	if a := ask(t, s, "/introspect", "token", "x"); a["active"] != false {
		t.Error(a)
	}
}

func TestServiceAccountsMustSign(t *testing.T) {
	t.Parallel()
	s := New("https://t.example")
	if _, err := s.NewServiceAccount("robot"); err != nil {
		t.Fatal(err)
	}
	// {"iss":"robot","sub":"alice","aud":"https://t.example/token","exp":9999999999}
	const unsigned = "e30.eyJpc3MiOiJyb2JvdCIsInN1YiI6ImFsaWNlIiwiYXVkIjoiaHR0cHM6Ly90LmV4YW1wbGUvdG9rZW4iLCJleHAiOjk5OTk5OTk5OTl9."
	for _, assertion := range []string{"", "x", unsigned, unsigned + "AAAA"} {
		if a := ask(t, s, "/token", "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", assertion); a["error"] != "invalid_grant" {
			t.Errorf("%q gets %v", assertion, a)
		}
	}
}
