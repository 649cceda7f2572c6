package tokens

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// An account is a service account, which may open every mailbox.
type account struct{ key *rsa.PublicKey }

// NewServiceAccount makes a service account and returns its key file, in the
// JSON that Google gives.
func (s *Server) NewServiceAccount(name string) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	s.mu.Lock()
	s.keys[name] = account{&key.PublicKey}
	s.mu.Unlock()
	return json.MarshalIndent(map[string]string{
		"type": "service_account", "client_email": name, "token_uri": s.url + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}, "", "  ")
}

// fromAssertion gives a service account the token of the mailbox that it has
// signed for (RFC 7523 section 3).
func (s *Server) fromAssertion(w http.ResponseWriter, r *http.Request) {
	var claims struct {
		Iss, Sub, Aud string
		Exp           int64
	}
	signed, signature, _ := cutLast(r.FormValue("assertion"), ".")
	_, payload, _ := strings.Cut(signed, ".")
	raw, err1 := base64.RawURLEncoding.DecodeString(payload)
	sig, err2 := base64.RawURLEncoding.DecodeString(signature)
	if err1 != nil || err2 != nil || json.Unmarshal(raw, &claims) != nil {
		refuse(w, "invalid_grant", "no assertion")
		return
	}
	a, ok := s.keys[claims.Iss]
	hash := sha256.Sum256([]byte(signed))
	switch {
	case !ok || rsa.VerifyPKCS1v15(a.key, crypto.SHA256, hash[:], sig) != nil:
		refuse(w, "invalid_grant", "Invalid JWT Signature.")
	case claims.Aud != s.url+"/token" || time.Now().Unix() > claims.Exp:
		refuse(w, "invalid_grant", "an assertion for somebody else, or from another time")
	case claims.Sub == "" || strings.HasPrefix(claims.Sub, "nobody"):
		refuse(w, "invalid_grant", "Invalid email or User ID")
	default:
		s.giveAccess(w, claims.Sub, object{})
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
