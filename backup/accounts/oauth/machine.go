package oauth

import (
	"context"
	"crypto"
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
	"sync"
	"time"
)

// A Machine gets tokens without a person. It keeps them in memory only, and
// does not ask again once the server has refused.
type Machine struct {
	ask func(context.Context) (*answer, error)

	mu      sync.Mutex // one at a time, and guards what follows
	token   string
	renewAt time.Time
	refused error
}

// Token returns an access token. refused is one that the mail server has not
// taken, or "".
func (m *Machine) Token(ctx context.Context, refused string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.token != "" && m.token != refused && time.Now().Before(m.renewAt) {
		return m.token, nil
	}
	if m.refused != nil {
		return "", m.refused
	}
	a, err := m.ask(ctx)
	if err != nil {
		if r, ok := errors.AsType[*refusal](err); ok && errors.Is(r, ErrRefused) {
			err = fmt.Errorf("%w: %w", ErrRefused, err)
			m.refused = err
		}
		return "", err
	}
	m.token, m.renewAt = a.AccessToken, a.renewAt(time.Now())
	return m.token, nil
}

// NewClientCredentials gets tokens with the client's own secret (RFC 6749
// section 4.4).
func NewClientCredentials(c *Client) (*Machine, error) {
	if c.ID == "" || c.Secret == nil {
		return nil, errors.New("client credentials are a client-id and a secret")
	}
	return &Machine{ask: func(ctx context.Context) (*answer, error) {
		form := url.Values{"grant_type": {"client_credentials"}}
		c.addScopes(form)
		return c.token(ctx, form)
	}}, nil
}

// NewServiceAccount signs for itself (RFC 7523), with what keyFile gets: the
// JSON that Google makes for a service account. It gets tokens for subject's
// mailbox, where an administrator has let it into all of a domain's
// ("domain-wide delegation"). c needs no identifier; errors never repeat the
// key.
func NewServiceAccount(c *Client, keyFile func(ctx context.Context) (string, error), subject string) *Machine {
	return &Machine{ask: func(ctx context.Context) (*answer, error) {
		text, err := keyFile(ctx)
		if err != nil {
			return nil, fmt.Errorf("the service account's key: %w", err)
		}
		var k struct {
			Type  string `json:"type"`
			Email string `json:"client_email"`
			ID    string `json:"private_key_id"`
			Key   string `json:"private_key"`
		}
		if json.Unmarshal([]byte(text), &k) != nil || k.Type != "service_account" || k.Email == "" {
			return nil, errors.New("that is no key file of a service account (JSON with the type service_account)")
		}
		key, err := parseKey(k.Key)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		assertion, err := sign(key, k.ID, map[string]any{
			"iss": k.Email, "sub": subject, "scope": c.scope(), "aud": c.TokenURL,
			"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		})
		if err != nil {
			return nil, err
		}
		return c.token(ctx, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
	}}
}

// parseKey reads an RSA key in PEM.
func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the service account's key file has no private key in it")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if key, ok := key.(*rsa.PrivateKey); ok {
			return key, nil
		}
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, errors.New("the service account's private key is no RSA key")
}

// sign makes a signed token of claims: RFC 7515 with RS256.
func sign(key *rsa.PrivateKey, id string, claims map[string]any) (string, error) {
	header := map[string]any{"alg": "RS256", "typ": "JWT"}
	if id != "" {
		header["kid"] = id
	}
	signed := ""
	for _, part := range []map[string]any{header, claims} {
		b, err := json.Marshal(part)
		if err != nil {
			return "", fmt.Errorf("sign for the service account: %w", err)
		}
		signed += "." + base64.RawURLEncoding.EncodeToString(b)
	}
	signed = signed[1:]
	hash := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash[:])
	if err != nil {
		return "", fmt.Errorf("sign for the service account: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
