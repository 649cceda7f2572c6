package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (c *Client) scope() string { return strings.Join(c.Scopes, " ") }

// byBrowser logs in with a browser of this computer, which the server sends
// back to a port of ours (RFC 8252 section 7.3). The code that comes with it is
// of no use to others who see it: it takes a secret of this login's own (RFC
// 7636) to spend it.
func (c *Client) byBrowser(ctx context.Context, show func(Instructions)) (*answer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the browser: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, loginTime, errTooLate)
	defer cancel()
	state, verifier := rand.Text(), rand.Text()+rand.Text() // 52 characters; RFC 7636 section 4.1 wants 43
	back := "http://" + l.Addr().String() + "/"
	came := make(chan url.Values, 1)
	server := &http.Server{Handler: landing(state, came), ReadTimeout: requestTime, WriteTimeout: requestTime, MaxHeaderBytes: maxAnswer}
	go server.Serve(l)
	defer func() {
		// The browser is to get all of its page.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Shutdown(ctx)
		server.Close()
	}()

	hash := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {back}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(hash[:])}, "code_challenge_method": {"S256"},
	}
	c.addScopes(query)
	maps.Copy(query, c.AuthParameters)
	separator := "?"
	if strings.Contains(c.AuthURL, "?") {
		separator = "&"
	}
	show(Instructions{URL: c.AuthURL + separator + query.Encode(), Back: l.Addr().String(), Until: time.Now().Add(loginTime)})
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case query = <-came:
	}
	switch code := query.Get("code"); {
	case query.Get("error") == "access_denied":
		return nil, errDenied
	case query.Get("error") != "":
		return nil, &refusal{clean(query.Get("error"), 60, nil), clean(query.Get("error_description"), 300, nil)}
	case !isToken(code):
		return nil, errors.New("the browser came back without a code")
	default:
		return c.token(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "code_verifier": {verifier}})
	}
}

// landing is where the browser comes back to. Who does not know the state is
// somebody else (RFC 6749 section 10.12).
func landing(state string, came chan<- url.Values) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Connection", "close")
		if r.Method != http.MethodGet || r.URL.Path != "/" || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(state)) != 1 {
			http.Error(w, "This is not the login that Restante waits for.", http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, "Restante goes on in its own window. This one can be closed.")
		select {
		case came <- query:
		default: // it came before
		}
	})
}
