package powercut

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
)

// A tokenServer gives tokens for the account of an imapServer, to whoever logs in
// and at once.
type tokenServer struct {
	*httptest.Server
	mail *imapServer
	// once says that a refresh token is good once, and that one that comes again
	// is the end of the grant (RFC 9700 section 4.14.2).
	once bool

	mu      sync.Mutex // guards what follows
	given   []string   // the grant's refresh tokens, the newest last
	access  string     // the access token that is good
	revoked bool
}

// newTokenServer starts the servers of alice, whom the scene's configuration
// has from then on, and logs her in.
func newTokenServer(s *scene, once bool) *tokenServer {
	s.Helper()
	t := &tokenServer{mail: newIMAPServer(s.T), once: once}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /device", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"device_code": "device", "user_code": "user", "verification_uri": t.URL + "/go", "interval": 1})
	})
	mux.HandleFunc("POST /token", t.token)
	t.Server = httptest.NewUnstartedServer(mux)
	var authority []byte
	t.TLS, authority = imaptest.Certificate(s, time.Now().Add(24*time.Hour), "127.0.0.1")
	t.StartTLS()
	s.Cleanup(t.Close)
	s.must(os.WriteFile(s.path("ca.pem"), authority, 0o600))
	s.must(os.WriteFile(s.path("restante.toml"), fmt.Appendf(nil, `[account.alice]
url = "imap+insecure://alice@%s"
oauth = { token-url = "%s/token", device-url = "%[2]s/device", client-id = "restante", ca = "ca.pem", token-file = %[3]q }
`, t.mail.address, t.URL, s.path("root/tokens/alice.json")), 0o600))
	t.begin(nil)
	s.must(s.run("login", "alice"))
	return t
}

// token gives tokens (RFC 6749 section 5).
func (t *tokenServer) token(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	spent := r.FormValue("refresh_token")
	switch {
	case r.FormValue("device_code") != "":
		t.given, t.revoked = nil, false
	case !slices.Contains(t.given, spent), t.once && spent != t.given[len(t.given)-1]:
		t.revoked = true
	}
	if t.revoked {
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant"})
		return
	}
	t.given, t.access = append(t.given, rand.Text()), rand.Text()
	json.NewEncoder(w).Encode(map[string]any{"refresh_token": t.given[len(t.given)-1], "access_token": t.access, "token_type": "Bearer", "expires_in": 3600})
}

// begin has the servers know a grant by these refresh tokens, and no access token.
func (t *tokenServer) begin(given []string) {
	t.mail.begin()
	t.mail.script.Handle["AUTHENTICATE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
		t.mu.Lock()
		defer t.mu.Unlock()
		_, response, _ := strings.Cut(cmd.Args, " ")
		if b, err := base64.StdEncoding.DecodeString(response); err != nil || t.access == "" || !strings.Contains(string(b), "auth=Bearer "+t.access+"\x01") {
			c.Say("%s NO [AUTHENTICATIONFAILED] this token is no good\r\n", cmd.Tag)
			return
		}
		c.OK(cmd)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.given, t.access, t.revoked = slices.Clone(given), "", false
}

// kept is the refresh token in the file.
func (t *tokenServer) kept(s *scene) (string, error) {
	b, err := os.ReadFile(s.path("root/tokens/alice.json"))
	if err != nil {
		return "", err
	}
	var g struct {
		RefreshToken string `json:"refresh_token"`
		Rejected     any    `json:"rejected"`
	}
	if err := json.Unmarshal(b, &g); err != nil {
		return "", fmt.Errorf("%w in %q", err, b)
	}
	if g.Rejected != nil {
		return "", fmt.Errorf("it is said to be rejected: %s", b)
	}
	return g.RefreshToken, nil
}

// done is an error where the file has not the newest grant, or another one has
// any.
func (t *tokenServer) done(s *scene) error {
	kept, err := t.kept(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && kept != t.given[len(t.given)-1] {
		err = errors.New("the newest grant was not kept")
	}
	for name := range s.tree(s.path("root/tokens")) {
		if name != "alice.json" && name != "alice.json.lock" {
			err = errors.Join(err, fmt.Errorf("there is %s", name))
		}
	}
	return err
}

// TestEveryFileOperationOfATokensRenewal: the file has the old grant or the new
// one, whatever happens. Where the server has spent the old one, a program that
// is ended, or a disk that is full, before the new one is on the disk is all that
// makes somebody log in again.
func TestEveryFileOperationOfATokensRenewal(t *testing.T) {
	t.Parallel()
	for name, once := range map[string]bool{"a refresh token stays good": false, "a refresh token is good once": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !once {
				onlyLong(t)
			}
			s := newScene(t)
			server := newTokenServer(s, once)
			s.must(s.run("init", "--recipient", s.identity.Recipient().String(), "--no-probe"))
			s.must(s.run("backup", "alice"))
			before := server.given
			var last *Result
			logins := 0
			s.everyPoint(work{
				args:  [][]string{{"backup", "alice"}},
				below: "tokens",
				begin: func() { server.begin(before) },
				ended: server.mail.ended,
				done:  func() error { return server.done(s) },
				always: func(r *Result) error {
					last = r
					kept, err := server.kept(s)
					if err == nil && !slices.Contains(server.given, kept) {
						err = errors.New("the file has neither the old grant nor the new one")
					}
					return err
				},
				again: func(err error) bool {
					if !once || !server.revoked || !strings.Contains(err.Error(), "hint: restante login alice") || !last.Killed && !last.full {
						return false
					}
					logins++
					s.must(s.run("login", "alice"))
					return true
				},
			})
			t.Logf("%d of them had alice log in again", logins)
		})
	}
}

// TestEveryFileOperationOfALogin: the file has the old grant or the new one, and
// another login ends well.
func TestEveryFileOperationOfALogin(t *testing.T) {
	t.Parallel()
	onlyLong(t)
	s := newScene(t)
	server := newTokenServer(s, true)
	before := server.given
	s.everyPoint(work{
		args:  [][]string{{"login", "alice"}},
		below: "tokens",
		begin: func() { server.begin(before) },
		ended: server.mail.ended,
		done:  func() error { return server.done(s) },
		always: func(r *Result) error {
			kept, err := server.kept(s)
			if err == nil && !slices.Contains(append(slices.Clone(before), server.given...), kept) {
				err = errors.New("the file has neither the old grant nor the new one")
			}
			return err
		},
	})
}
