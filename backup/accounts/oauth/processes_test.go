package oauth

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// As a child of TestProcessesShareATokenFile the test program renews a token as
// often as it is told to.
func TestMain(m *testing.M) {
	if path := os.Getenv("OAUTH_TEST_FILE"); path != "" {
		pem, err := os.ReadFile(os.Getenv("OAUTH_TEST_CA"))
		roots := x509.NewCertPool()
		if err == nil && roots.AppendCertsFromPEM(pem) {
			err = renewAlways(NewStored(&Client{TokenURL: os.Getenv("OAUTH_TEST_URL"), ID: "restante", Transport: NewTransport(roots)}, path))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func renewAlways(s *Stored) error {
	refused := ""
	for range 20 {
		token, err := s.Token(context.Background(), refused)
		if err != nil {
			return err
		}
		fmt.Println(token)
		refused = token
	}
	return nil
}

// Four processes renew tokens from one file, all at once, at a server that ends
// the grant when it sees a refresh token twice.
func TestProcessesShareATokenFile(t *testing.T) {
	t.Parallel()
	f := rotating()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		status, body, _ := f.answer(0, r.PostForm)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer server.Close()
	path := keep(t, grant{TokenURL: server.URL, ClientID: "restante", RefreshToken: "r1"})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "OAUTH_TEST_FILE="+path, "OAUTH_TEST_CA="+ca, "OAUTH_TEST_URL="+server.URL)
			var complaint strings.Builder
			cmd.Stderr = &complaint
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%v: %s", err, complaint.String())
			}
			seen := map[string]bool{}
			for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
				if seen[lines.Text()] {
					t.Errorf("token %s twice", lines.Text())
				}
				seen[lines.Text()] = true
			}
			if len(seen) != 20 {
				t.Errorf("%d tokens", len(seen))
			}
		})
	}
	wg.Wait()
	if g := content(t, path); g.Rejected != nil {
		t.Errorf("%+v", g)
	}
}
