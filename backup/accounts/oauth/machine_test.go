package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func keyFile(t *testing.T, kind string, der []byte) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "restante@project.example", "private_key_id": "k1", "token_uri": "https://elsewhere.example",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// has is where a key file is.
func has(text string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return text, nil }
}

func TestServiceAccount(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"PKCS #8": keyFile(t, "PRIVATE KEY", pkcs8), "PKCS #1": keyFile(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
	} {
		synctest.Test(t, func(t *testing.T) {
			f := says(200, `{"access_token":"acc3ss","token_type":"Bearer","expires_in":3600}`)
			c := clientOf(f)
			c.ID = ""
			m := NewServiceAccount(c, has(file), "alice@example.org")
			now := time.Now().Unix()
			if token, err := m.Token(t.Context(), ""); token != "acc3ss" || err != nil {
				t.Fatal(name, token, err)
			}
			if f.forms[0].Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || f.forms[0].Has("client_id") {
				t.Errorf("%s: asked with %v", name, f.forms[0])
			}
			header, claims := verify(t, &key.PublicKey, f.forms[0].Get("assertion"))
			if want := map[string]any{"alg": "RS256", "typ": "JWT", "kid": "k1"}; !reflect.DeepEqual(header, want) {
				t.Errorf("%s: header %v", name, header)
			}
			want := map[string]any{
				"iss": "restante@project.example", "sub": "alice@example.org", "scope": "mail offline",
				"aud": "https://t.example/token", "iat": float64(now), "exp": float64(now + 600),
			}
			if !reflect.DeepEqual(claims, want) {
				t.Errorf("%s: claims %v", name, claims)
			}
		})
	}
}

func verify(t *testing.T, key *rsa.PublicKey, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal(token)
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
			t.Fatal(err)
		}
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], raw[2]); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(raw[0], &header); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal(raw[1], &claims); err != nil {
		t.Error(err)
	}
	return header, claims
}

func TestKeyFilesThatAreNone(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for want, file := range map[string]string{
		"no key file":    "s3cret",
		"(JSON with":     `{"type":"authorized_user","client_email":"s3cret","private_key":"s3cret"}`,
		"no private key": `{"type":"service_account","client_email":"a","private_key":"s3cret"}`,
		"no RSA key":     keyFile(t, "PRIVATE KEY", der),
		"is no RSA":      keyFile(t, "PRIVATE KEY", []byte("s3cret")),
	} {
		f := says(200, good)
		if _, err := NewServiceAccount(clientOf(f), has(file), "x").Token(t.Context(), ""); err == nil || f.requests() > 0 || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestTheKeyFileCannotBeHad(t *testing.T) {
	t.Parallel()
	m := NewServiceAccount(clientOf(says(200, good)), func(context.Context) (string, error) { return "", os.ErrPermission }, "x")
	if _, err := m.Token(t.Context(), ""); !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(n int, _ url.Values) (int, string, error) {
			return 200, fmt.Sprintf(`{"access_token":"a%d","token_type":"Bearer","expires_in":3600}`, n), nil
		}}
		c := clientOf(f)
		c.Secret, c.Post, c.Scopes = func(context.Context) (string, error) { return "s3cret", nil }, true, []string{MicrosoftApplication}
		m, err := NewClientCredentials(c)
		if err != nil {
			t.Fatal(err)
		}
		token := func(refused, want string) {
			t.Helper()
			if got, err := m.Token(t.Context(), refused); got != want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
		token("", "a1")
		token("", "a1")
		token("a1", "a2") // not taken by the mail server
		token("a1", "a2") // somebody else has heard of it late
		time.Sleep(time.Hour)
		token("", "a3")
		if got := f.forms[0].Encode(); got != "client_id=restante&client_secret=s3cret&grant_type=client_credentials&scope=https%3A%2F%2Foutlook.office365.com%2F.default" {
			t.Error(got)
		}
	})
	for _, c := range []*Client{{ID: "x"}, {Secret: func(context.Context) (string, error) { return "", nil }}} {
		if _, err := NewClientCredentials(c); err == nil {
			t.Errorf("%+v", c)
		}
	}
}

func TestARefusedMachineDoesNotAskAgain(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(n int, _ url.Values) (int, string, error) {
		if n == 1 {
			return 503, "", nil
		}
		return 400, `{"error":"unauthorized_client"}`, nil
	}}
	m := &Machine{ask: func(ctx context.Context) (*answer, error) { return clientOf(f).token(ctx, url.Values{}) }}
	if _, err := m.Token(t.Context(), ""); !is(err, ErrUnavailable) {
		t.Error(err)
	}
	for range 3 {
		if _, err := m.Token(t.Context(), ""); !is(err, ErrRefused) || !strings.Contains(err.Error(), "unauthorized_client") {
			t.Error(err)
		}
	}
	if n := f.requests(); n != 2 {
		t.Errorf("%d requests", n)
	}
}
