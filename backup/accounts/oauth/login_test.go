package oauth

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const code = `{"device_code":"d3vice","user_code":"ABCD-EFGH","verification_uri":"https://t.example/go","verification_uri_complete":"https://t.example/go?c=ABCD-EFGH","expires_in":600,"interval":7}`

// A poll is what the token server says to one.
type poll struct {
	status int
	body   string
	err    error
}

var (
	pending  = poll{400, `{"error":"authorization_pending"}`, nil}
	slowDown = poll{400, `{"error":"slow_down"}`, nil}
	down     = poll{503, "", nil}
	gone     = poll{0, "", errors.New("connection refused")}
)

func TestLoginOnAnotherDevice(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code  string
		polls []poll // the last one again and again
		after []int  // seconds, when each was asked
		says  string // "" if it is good
	}{
		"at once":                   {code, []poll{{200, good, nil}}, []int{7}, ""},
		"after a while":             {code, []poll{pending, pending, {200, good, nil}}, []int{7, 14, 21}, ""},
		"slow down, and stay slow":  {code, []poll{slowDown, pending, slowDown, {200, good, nil}}, []int{7, 19, 31, 48}, ""},
		"down for a while":          {code, []poll{down, gone, pending, {200, good, nil}}, []int{7, 21, 49, 77}, ""},
		"denied":                    {code, []poll{pending, {400, `{"error":"access_denied"}`, nil}}, []int{7, 14}, "did not allow"},
		"expired":                   {code, []poll{{400, `{"error":"expired_token"}`, nil}}, []int{7}, "in time"},
		"never":                     {strings.Replace(code, "600", "60", 1), []poll{pending}, []int{7, 14, 21, 28, 35, 42, 49, 56}, "in time"},
		"refused":                   {code, []poll{{400, `{"error":"invalid_client","error_description":"d3vice"}`, nil}}, []int{7}, "invalid_client: •••"},
		"no interval":               {strings.Replace(code, `,"interval":7`, "", 1), []poll{pending, {200, good, nil}}, []int{5, 10}, ""},
		"no pause between":          {strings.Replace(code, `"interval":7`, `"interval":-1`, 1), []poll{pending, {200, good, nil}}, []int{1, 2}, ""},
		"old name of the address":   {strings.Replace(code, "verification_uri\"", "verification_url\"", 1), []poll{{200, good, nil}}, []int{7}, ""},
		"no refresh token":          {code, []poll{{200, `{"access_token":"x","token_type":"Bearer"}`, nil}}, []int{7}, "no refresh token"},
		"no code":                   {`{}`, nil, nil, "has none"},
		"an address in clear text":  {strings.Replace(code, "https://t.example/go\"", "http://t.example/go\"", 1), nil, nil, "https://"},
		"a script for an address":   {strings.Replace(code, "https://t.example/go\"", "javascript:x\"", 1), nil, nil, "no URL"},
		"no device code":            {strings.Replace(code, "d3vice", "", 1), nil, nil, "has none"},
		"a refusal":                 {`{"error":"unauthorized_client"}`, nil, nil, "unauthorized_client"},
		"more than a day of asking": {strings.Replace(code, "600", "1e9", 1), []poll{down}, []int{7, 21, 49, 105, 217, 441, 741, 1041, 1341, 1641, 1941, 2241, 2541, 2841, 3141, 3441}, "in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				f := &fake{answer: func(n int, form url.Values) (int, string, error) {
					if n == 1 {
						if form.Encode() != "client_id=restante&scope=mail+offline" {
							t.Errorf("asked for a code with %v", form)
						}
						return 200, test.code, nil
					}
					if form.Get("device_code") != "d3vice" || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:device_code" {
						t.Errorf("asked for a token with %v", form)
					}
					p := test.polls[min(n-2, len(test.polls)-1)]
					return p.status, p.body, p.err
				}}
				path := filepath.Join(t.TempDir(), "alice")
				s := NewStored(clientOf(f), path)
				shown := 0
				err := s.Login(t.Context(), func(i Instructions) {
					shown++
					if i.URL != "https://t.example/go" || i.Code != "ABCD-EFGH" || i.Complete != "https://t.example/go?c=ABCD-EFGH" || !i.Until.After(began) {
						t.Errorf("shown: %+v", i)
					}
				})
				if (err == nil) != (test.says == "") || err != nil && (!strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "d3vice")) {
					t.Error(err)
				}
				if want := min(len(test.polls), 1); shown != want {
					t.Errorf("shown %d times", shown)
				}
				var after []int
				for _, at := range f.times[1:] {
					after = append(after, int(at.Sub(began).Seconds()))
				}
				if !equal(after, test.after) {
					t.Errorf("asked after %v s, want %v", after, test.after)
				}
				if test.says != "" {
					if _, err := readGrant(path); err == nil {
						t.Error("there is a grant")
					}
					return
				}
				if token, err := s.Token(t.Context(), ""); token != "acc3ss" || err != nil || content(t, path).RefreshToken != "r3fresh" {
					t.Error(token, err)
				}
			})
		})
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestLoginEndsARejection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "alice")
		if err := save(path, &grant{TokenURL: "https://t.example/token", ClientID: "restante", RefreshToken: "r0", Rejected: &rejection{Reason: "x"}}); err != nil {
			t.Fatal(err)
		}
		f := &fake{answer: func(n int, _ url.Values) (int, string, error) {
			return 200, []string{code, good}[n-1], nil
		}}
		s := NewStored(clientOf(f), path)
		if _, err := s.Token(t.Context(), ""); !is(err, ErrLoginNeeded) {
			t.Error(err)
		}
		if err := s.Login(t.Context(), func(Instructions) {}); err != nil {
			t.Fatal(err)
		}
		if token, err := s.Token(t.Context(), ""); token != "acc3ss" || err != nil {
			t.Error(token, err)
		}
	})
}

// What can go wrong with the file does so before somebody has typed a code.
func TestLoginTriesTheFileFirst(t *testing.T) {
	t.Parallel()
	f := says(200, code)
	s := NewStored(clientOf(f), filepath.Join(t.TempDir(), strings.Repeat("x", 247)))
	if err := s.Login(t.Context(), func(Instructions) {}); err == nil || f.requests() != 0 {
		t.Error(err, f.requests())
	}
	s = NewStored(&Client{TokenURL: "https://t.example/token"}, filepath.Join(t.TempDir(), "alice"))
	if err := s.Login(t.Context(), func(Instructions) {}); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Error(err)
	}
}

func TestLoginIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(n int, _ url.Values) (int, string, error) {
			if n == 1 {
				return 200, code, nil
			}
			return pending.status, pending.body, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		err := NewStored(clientOf(f), filepath.Join(t.TempDir(), "alice")).Login(ctx, func(Instructions) {})
		if !errors.Is(err, context.Canceled) || f.requests() != 2 {
			t.Error(err, f.requests())
		}
	})
}
