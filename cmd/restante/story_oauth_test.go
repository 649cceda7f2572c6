package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// oauth expire USER, oauth revoke USER: the user's access tokens, or the grants
// as well, are worth nothing from now on.
//
// oauth requests CLIENT N: so many tokens has the client asked for until now.
//
// oauth private FILE: what is in the token file is not in what the last command
// printed, and only its owner can read it.
func wordOAuth(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: oauth expire USER | revoke USER | requests CLIENT N | private FILE")
	}
	switch args[0] {
	case "expire", "revoke":
		askTokenServer(ts, http.MethodPost, "/testbed/"+args[0], url.Values{"user": {args[1]}})
	case "requests":
		if got := askTokenServer(ts, http.MethodGet, "/testbed/requests", url.Values{"client": {args[1]}}); got != args[2] {
			ts.Fatalf("%s requests for tokens, want %s", got, args[2])
		}
	case "private":
		info, err := os.Stat(ts.MkAbs(args[1]))
		ts.Check(err)
		if info.Mode().Perm() != 0o600 {
			ts.Fatalf("%s has mode %v", args[1], info.Mode())
		}
		var tokens map[string]any
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &tokens))
		n := 0
		for _, key := range []string{"access_token", "refresh_token"} {
			token, _ := tokens[key].(string)
			if token == "" {
				continue
			}
			n++
			if strings.Contains(ts.ReadFile("stdout")+ts.ReadFile("stderr"), token) {
				ts.Fatalf("the %s was printed", key)
			}
		}
		if n == 0 {
			ts.Fatalf("no tokens in %s", args[1])
		}
	default:
		ts.Fatalf("no such word: oauth %s", args[0])
	}
}

func askTokenServer(ts *testscript.TestScript, method, path string, form url.Values) string {
	pem, err := os.ReadFile(ts.Getenv("CA"))
	ts.Check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	req, err := http.NewRequest(method, ts.Getenv("OAUTH")+path+"?"+form.Encode(), nil)
	ts.Check(err)
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s %s", path, resp.Status, b)
	}
	return strings.TrimSpace(string(b))
}
