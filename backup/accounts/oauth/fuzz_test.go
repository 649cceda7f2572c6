package oauth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever stands in a token file, it is refused without a word of what is in it,
// or gives a grant that can be used.
func FuzzGrantFile(f *testing.F) {
	for _, s := range []string{
		`{"refresh_token":"s3cret","access_token":"at","renew_at":"2026-01-01T00:00:00Z"}`, `{"refresh_token":"s3cret"`, `{"refresh_token":1}`, "null", "", "\xff",
		`{"refresh_token":"s3cret","renew_at":"s3cret"}`,
	} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "token")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := readGrant(path)
		if err != nil {
			if strings.Contains(err.Error(), "s3cret") || g != nil {
				t.Errorf("%v, %v", g, err)
			}
			return
		}
		if token, ok := g.usable(time.Now(), "refused"); g.RefreshToken == "" || ok && (token == "" || token == "refused") {
			t.Errorf("%+v", g)
		}
	})
}

// Whatever a key file has in it, it is refused without a word of it, or gives a
// key that signs.
func FuzzKey(f *testing.F) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		f.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range [][]byte{pkcs8, x509.MarshalPKCS1PrivateKey(key), nil, []byte("s3cret")} {
		f.Add(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})))
	}
	f.Add("-----BEGIN PRIVATE KEY-----\ns3cret")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := parseKey(text)
		if err != nil {
			if strings.Contains(err.Error(), "s3cret") || key != nil {
				t.Errorf("%v", err)
			}
			return
		}
		if signed, err := sign(key, "id", map[string]any{"iss": "x"}); err == nil && strings.Count(signed, ".") != 2 {
			t.Errorf("%q", signed)
		}
	})
}

// Whatever the file of a service account is, no secret of it is shown, and nothing
// is sent where there is no key.
func FuzzServiceAccount(f *testing.F) {
	f.Add(`{"type":"service_account","client_email":"a@b","private_key_id":"1","private_key":"s3cret"}`)
	f.Add(`{"type":"service_account","client_email":"a@b","private_key":3}`)
	f.Add("s3cret")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "BEGIN ") {
			return // FuzzKey has those
		}
		rt := says(200, "{}")
		m := NewServiceAccount(clientOf(rt), func(context.Context) (string, error) { return text, nil }, "alice@example.org")
		if _, err := m.ask(t.Context()); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// Whatever the address of a token server is, secrets go by https to a host, or
// nowhere, and the address is not shown.
func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{"https://login.example.org/token", "http://x", "https://u:s3cret@x", "https://x/#y", "https:x", "//x", "https://\x1b/", "https://[::1]:1/?a=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		err := checkURL(address)
		u, parseErr := url.Parse(address)
		switch {
		case err != nil && len(address) > 8 && strings.Contains(err.Error(), address):
			t.Errorf("shown: %v", err)
		case err == nil && (parseErr != nil || u.Scheme != "https" || u.Hostname() == "" && u.Port() == "" && u.Host == "" || u.User != nil):
			t.Errorf("%q is taken", address)
		}
	})
}
