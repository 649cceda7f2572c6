package peer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSecretsAreNotShown(t *testing.T) {
	const secret = `S3cret"phrase`
	var s Secrets
	s.Keep(secret)
	s.Keep("ab") // nothing would be left of a text
	coded := base64.StdEncoding.EncodeToString([]byte(secret))
	for text, want := range map[string]string{
		"":                                "",
		"about nothing":                   "about nothing",
		"no " + secret + " here":          "no ••• here",
		strings.ToUpper(secret) + "!":     "•••!",
		secret + secret:                   "•••",
		"x" + coded:                       "x•••",
		fmt.Sprintf("it says %q", secret): `it says "•••"`,
	} {
		if got := s.Hide(text); got != want {
			t.Errorf("%q is shown as %q, not as %q", text, got, want)
		}
	}
	// What is quoted is cut somewhere.
	for _, text := range []string{`it says "no S3cret\"phr"`, `it says "phrase and more"`} {
		err := s.Veil(fmt.Errorf("%s: %w", text, errTLS))
		if strings.Contains(strings.ToLower(err.Error()), "phr") || !errors.Is(err, errTLS) {
			t.Errorf("%q is shown as %v", text, err)
		}
	}
	if err := s.Veil(errTLS); err != errTLS {
		t.Errorf("an error without a secret is changed to %v", err)
	}
	if s.Veil(nil) != nil {
		t.Error("no error is one")
	}
}
