// Package tokens is a small token server (OAuth 2) for the testbed: a [Server]
// gives tokens for any user's mailbox, and tells the mail server whose they
// are. It keeps everything in memory and believes everybody.
//
// Logging in on another device (RFC 8628), a person opens /go and types the
// code and a user's name. Tests have no person: a client called allow-NAME has
// one who allows everything as NAME at once, deny-NAME one who does not. The grants
// of a client brief-NAME, who is allowed everything too, are over in ten days.
//
// Refresh tokens are good once; one that comes again ends its grant (RFC 9700
// section 4.14.2). For tests, POST /testbed/expire makes a user's access tokens
// worth nothing, /testbed/revoke the grants as well, and GET /testbed/requests
// tells how often a client has asked for a token.
package tokens

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
)

// A Server answers at /device, /go, /token and /introspect.
type Server struct {
	mux *http.ServeMux
	url string // of itself, without a slash at the end

	mu       sync.Mutex         // guards what follows
	logins   map[string]*login  // by device code
	refresh  map[string]*grant  // by refresh token, spent ones too
	access   map[string]string  // whose an access token is
	requests map[string]int     // for tokens, by client
	keys     map[string]account // of service accounts, by name
}

// A login waits for a person.
type login struct {
	client, userCode string
	user             string // who has allowed it
	denied           bool
}

// A grant is what a person has allowed.
type grant struct {
	client, user string
	current      string // the refresh token that is good
	ended        bool
}

// New returns a server for https://host:port.
func New(url string) *Server {
	s := &Server{
		mux: http.NewServeMux(), url: url, logins: map[string]*login{}, refresh: map[string]*grant{},
		access: map[string]string{}, requests: map[string]int{}, keys: map[string]account{},
	}
	s.mux.HandleFunc("POST /device", s.device)
	s.mux.HandleFunc("/go", s.decide)
	s.mux.HandleFunc("POST /token", s.token)
	s.mux.HandleFunc("POST /introspect", s.introspect)
	s.mux.HandleFunc("POST /testbed/expire", func(w http.ResponseWriter, r *http.Request) { s.end(r.FormValue("user"), false) })
	s.mux.HandleFunc("POST /testbed/revoke", func(w http.ResponseWriter, r *http.Request) { s.end(r.FormValue("user"), true) })
	s.mux.HandleFunc("GET /testbed/requests", s.count)
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mux.ServeHTTP(w, r)
}

type object map[string]any

func say(w http.ResponseWriter, status int, o object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(o)
}

func refuse(w http.ResponseWriter, code, why string) {
	say(w, http.StatusBadRequest, object{"error": code, "error_description": why})
}

// device begins a login (RFC 8628 section 3.2).
func (s *Server) device(w http.ResponseWriter, r *http.Request) {
	text := rand.Text()
	l := &login{client: clientOf(r), userCode: text[:4] + "-" + text[4:8]}
	if user, ok := strings.CutPrefix(strings.Replace(l.client, "brief-", "allow-", 1), "allow-"); ok {
		l.user = user
	}
	l.denied = strings.HasPrefix(l.client, "deny-")
	code := rand.Text()
	s.logins[code] = l
	say(w, http.StatusOK, object{
		"device_code": code, "user_code": l.userCode, "expires_in": 600, "interval": 1,
		"verification_uri": s.url + "/go", "verification_uri_complete": s.url + "/go?code=" + l.userCode,
	})
}

// clientOf is who asks, by HTTP Basic or in the form. Secrets are not looked at.
func clientOf(r *http.Request) string {
	if id, _, ok := r.BasicAuth(); ok {
		return id
	}
	return r.FormValue("client_id")
}

var page = template.Must(template.New("").Parse(`<!DOCTYPE html><title>Testbed</title>
<p>{{.Said}}</p>
<form method="post">Code <input name="code" value="{{.Code}}"> Log in as <input name="user">
<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></form>
`))

// decide is where a person goes.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	said := "A program wants to read mail."
	if r.Method == http.MethodPost {
		said = "There is no such code."
		for _, l := range s.logins {
			if l.userCode == r.FormValue("code") {
				l.denied = r.FormValue("decision") != "allow"
				l.user = r.FormValue("user")
				said = "That is done."
			}
		}
	}
	page.Execute(w, map[string]string{"Said": said, "Code": r.FormValue("code")})
}

// token gives tokens (RFC 6749 section 5).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	client := clientOf(r)
	s.requests[client]++
	switch r.FormValue("grant_type") {
	case "urn:ietf:params:oauth:grant-type:device_code":
		s.fromDevice(w, r, client)
	case "refresh_token":
		s.fromRefresh(w, r, client)
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		s.fromAssertion(w, r)
	default:
		refuse(w, "unsupported_grant_type", "")
	}
}

func (s *Server) fromDevice(w http.ResponseWriter, r *http.Request, client string) {
	code := r.FormValue("device_code")
	l := s.logins[code]
	switch {
	case l == nil || l.client != client:
		refuse(w, "invalid_grant", "no such device code")
	case l.denied:
		refuse(w, "access_denied", "")
	case l.user == "":
		refuse(w, "authorization_pending", "")
	default:
		delete(s.logins, code)
		s.give(w, &grant{client: client, user: l.user})
	}
}

func (s *Server) fromRefresh(w http.ResponseWriter, r *http.Request, client string) {
	token := r.FormValue("refresh_token")
	g := s.refresh[token]
	switch {
	case g == nil || g.client != client:
		refuse(w, "invalid_grant", "no such refresh token")
	case g.ended:
		refuse(w, "invalid_grant", "the grant was revoked")
	case g.current != token:
		g.ended = true
		refuse(w, "invalid_grant", "the refresh token was spent before")
	default:
		s.give(w, g)
	}
}

// give gives an access token and the next refresh token.
func (s *Server) give(w http.ResponseWriter, g *grant) {
	g.current = rand.Text()
	s.refresh[g.current] = g
	o := object{"refresh_token": g.current}
	if strings.HasPrefix(g.client, "brief-") {
		o["refresh_token_expires_in"] = 10 * 24 * 3600
	}
	s.giveAccess(w, g.user, o)
}

func (s *Server) giveAccess(w http.ResponseWriter, user string, o object) {
	token := rand.Text()
	s.access[token] = user
	o["access_token"], o["token_type"], o["expires_in"] = token, "Bearer", 3600
	say(w, http.StatusOK, o)
}

// introspect tells the mail server whose a token is (RFC 7662).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	user, ok := s.access[r.FormValue("token")]
	if !ok {
		say(w, http.StatusOK, object{"active": false})
		return
	}
	say(w, http.StatusOK, object{"active": true, "username": user})
}

// end makes a user's access tokens worth nothing, and the grants too.
func (s *Server) end(user string, grants bool) {
	for token, whose := range s.access {
		if whose == user {
			delete(s.access, token)
		}
	}
	for _, g := range s.refresh {
		g.ended = g.ended || grants && g.user == user
	}
}

func (s *Server) count(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, s.requests[r.FormValue("client")])
}
