package oauth

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"restante/backup/accounts/peer"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a token server may take and send.
const (
	requestTime = 30 * time.Second
	maxAnswer   = 64 << 10 // octets
	maxToken    = 16 << 10 // octets of a token
)

// NewTransport sends requests by TLS, to servers that roots or, if that is nil,
// the system's authorities vouch for. Every request has a connection of its
// own, so that none is ever sent twice: a refresh token is good once.
func NewTransport(roots *x509.CertPool) http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    requestTime,
		MaxResponseHeaderBytes: maxAnswer,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}

// An answer is what an endpoint says: RFC 6749 sections 5.1 and 5.2, RFC 8628
// section 3.2.
type answer struct {
	AccessToken  string  `json:"access_token"`
	TokenType    string  `json:"token_type"`
	ExpiresIn    seconds `json:"expires_in"`
	RefreshToken string  `json:"refresh_token"`
	// When the grant ends, which few servers say: Google and Microsoft by the
	// first name, Keycloak by the second.
	RefreshExpiresIn seconds `json:"refresh_token_expires_in"`
	RefreshExpires   seconds `json:"refresh_expires_in"`

	DeviceCode string  `json:"device_code"`
	UserCode   string  `json:"user_code"`
	URI        string  `json:"verification_uri"`
	OldURI     string  `json:"verification_url"` // at Google, from before the RFC
	Complete   string  `json:"verification_uri_complete"`
	Interval   seconds `json:"interval"`

	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// seconds are a number, which some servers write as a string.
type seconds float64

func (s *seconds) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	f, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	if err != nil || math.IsNaN(f) {
		return errors.New("not a number of seconds")
	}
	*s = seconds(f)
	return nil
}

// within returns the time, or none where nothing was said; not less than least
// and not more than most.
func (s seconds) within(none, least, most time.Duration) time.Duration {
	if s == 0 {
		return none
	}
	return time.Duration(max(min(float64(s), most.Seconds()), least.Seconds()) * float64(time.Second))
}

// A refusal is an error in the words of the server (RFC 6749 section 5.2, RFC
// 8628 section 3.5).
type refusal struct{ code, description string }

func (r *refusal) Error() string {
	if r.description == "" {
		return r.code
	}
	return r.code + ": " + r.description
}

// Is has a refusal be one of the errors of this package.
func (r *refusal) Is(target error) bool {
	switch r.code {
	case "temporarily_unavailable", "server_error":
		return target == ErrUnavailable
	case "authorization_pending", "slow_down":
		return false
	}
	return target == ErrRefused
}

// ofGrant reports whether what is refused is the grant, and not the client or
// the request. Microsoft has words of its own for what a person has to do.
func (r *refusal) ofGrant() bool {
	return slices.Contains([]string{"invalid_grant", "interaction_required", "login_required", "consent_required"}, r.code)
}

// post sends a form as this client and reads the answer. It goes to that URL
// and nowhere else.
func (c *Client) post(ctx context.Context, endpoint string, form url.Values) (*answer, error) {
	if err := checkURL(endpoint); err != nil {
		return nil, fmt.Errorf("the token server's address %w", err)
	}
	secret, err := c.theSecret(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requestTime, fmt.Errorf("no answer within %v", requestTime))
	defer cancel()
	basic := secret != "" && !c.Post
	if c.ID != "" && !basic {
		form.Set("client_id", c.ID)
	}
	if secret != "" && c.Post {
		form.Set("client_secret", secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the token server's address is no URL")
	}
	req.GetBody = nil // it is not sent again
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "restante")
	if basic { // RFC 6749 section 2.3.1 encodes both before
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(secret))
	}
	client := &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(ctx, req.URL.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, unreachable(ctx, req.URL.Host, err)
	}
	return read(req.URL.Host, resp.StatusCode, body, append(secretsOf(form), secret))
}

// unreachable says why there is no answer. A certificate that is not to be
// trusted will not be so in a minute.
func unreachable(ctx context.Context, host string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.Canceled) {
			return cause
		}
		err = cause
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("token server %s: no trustworthy encryption: %w", host, err)
	}
	return fmt.Errorf("token server %s: %w: %w", host, ErrUnavailable, err)
}

// read understands an answer.
func read(host string, status int, body []byte, secrets []string) (*answer, error) {
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("token server %s: an answer of more than %d octets", host, maxAnswer)
	}
	a := new(answer)
	err := json.Unmarshal(body, a)
	switch {
	case status/100 == 3:
		return nil, fmt.Errorf("token server %s: it sends us elsewhere (HTTP %d), where secrets are not taken", host, status)
	case status/100 == 5 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return nil, fmt.Errorf("token server %s: %w: HTTP %d", host, ErrUnavailable, status)
	case err == nil && a.Error != "":
		r := &refusal{clean(a.Error, 60, secrets), clean(a.Description, 300, secrets)}
		return nil, fmt.Errorf("token server %s: %w", host, r)
	case status != http.StatusOK:
		return nil, fmt.Errorf("token server %s: HTTP %d without a reason; is its address right?", host, status)
	case err != nil: // what it says is not repeated: it may be half a token
		return nil, fmt.Errorf("token server %s: an answer that is not the JSON it should be", host)
	}
	return a, nil
}

// token sends a form to the token endpoint and checks what comes.
func (c *Client) token(ctx context.Context, form url.Values) (*answer, error) {
	a, err := c.post(ctx, c.TokenURL, form)
	if err != nil {
		return nil, err
	}
	switch {
	case !isToken(a.AccessToken):
		return nil, errors.New("the token server's answer has no access token that could be used")
	case a.RefreshToken != "" && !isToken(a.RefreshToken):
		return nil, errors.New("the token server's answer has a refresh token that cannot be used")
	case !strings.EqualFold(a.TokenType, "Bearer"):
		return nil, fmt.Errorf("the token server gives a token of type %q, and mail servers take bearer tokens", clean(a.TokenType, 60, []string{a.AccessToken, a.RefreshToken}))
	}
	return a, nil
}

// renewAt is when a token that came now is to be replaced: a little before it
// expires. Where nothing is said, that is in an hour (RFC 6749 section 5.1).
func (a *answer) renewAt(now time.Time) time.Time {
	lifetime := a.ExpiresIn.within(time.Hour, 30*time.Second, 24*time.Hour)
	return now.Add(lifetime - min(time.Minute, lifetime/10))
}

// ends is when the grant ends that came now, by what is known of the one before;
// zero: the server does not say.
func (a *answer) ends(now time.Time, before *grant) time.Time {
	if left := cmp.Or(a.RefreshExpiresIn, a.RefreshExpires).within(0, 0, 100*365*24*time.Hour); left > 0 {
		return now.Add(left).UTC().Truncate(time.Second)
	}
	if before != nil && (a.RefreshToken == "" || a.RefreshToken == before.RefreshToken) {
		return before.Ends
	}
	return time.Time{}
}

func isToken(s string) bool {
	return s != "" && len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// secretsOf are the values of a form that nobody may see.
func secretsOf(form url.Values) (secrets []string) {
	for _, key := range []string{"refresh_token", "client_secret", "device_code", "code", "code_verifier", "assertion"} {
		secrets = append(secrets, form.Get(key))
	}
	return secrets
}

// clean makes a server's words fit for one line of at most that many octets,
// without secrets in them.
func clean(s string, most int, secrets []string) string {
	var hidden peer.Secrets
	for _, secret := range secrets {
		hidden.Keep(secret)
	}
	s = hidden.Hide(s)
	return peer.Text(s[:min(len(s), most)])
}
