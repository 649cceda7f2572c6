package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"restante/storage/objects"
)

// noCredentials empties the environment of all that could be found.
func noCredentials(t *testing.T) {
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
	} {
		t.Setenv(name, "")
	}
	absent := filepath.Join(t.TempDir(), "absent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", absent)
	t.Setenv("AWS_CONFIG_FILE", absent)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantKey(t *testing.T, found *credentials.Credentials, err error, id, token string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	value, err := found.GetWithContext(nil)
	if err != nil || value.AccessKeyID != id || value.SecretAccessKey == "" || value.SessionToken != token || value.SignerType.IsAnonymous() {
		t.Errorf("found key %q, token %q, %v, %v; want %q, %q", value.AccessKeyID, value.SessionToken, value.SignerType, err, id, token)
	}
}

func TestCredentialsAreFoundInOrder(t *testing.T) {
	noCredentials(t)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, `
[default]
aws_access_key_id = from-file
aws_secret_access_key = s
[archive]
aws_access_key_id = from-archive
aws_secret_access_key = s
aws_session_token = t
`))
	found, err := findCredentials(t.Context(), "")
	wantKey(t, found, err, "from-file", "")

	t.Setenv("AWS_PROFILE", "archive")
	found, err = findCredentials(t.Context(), "")
	wantKey(t, found, err, "from-archive", "t")

	t.Setenv("AWS_ACCESS_KEY_ID", "from-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	t.Setenv("AWS_SESSION_TOKEN", "u")
	found, err = findCredentials(t.Context(), "")
	wantKey(t, found, err, "from-environment", "u")

	// A profile that is named in the URL is meant.
	found, err = findCredentials(t.Context(), "archive")
	wantKey(t, found, err, "from-archive", "t")
}

func TestCredentialsThatAreNotThere(t *testing.T) {
	noCredentials(t)
	refused := func(profile string, says ...string) {
		t.Helper()
		_, err := findCredentials(t.Context(), profile)
		if !errors.Is(err, objects.ErrRefused) && !strings.Contains(fmt.Sprint(err), "only one is set") {
			t.Errorf("%v; want ErrRefused", err)
		}
		for _, word := range says {
			if !strings.Contains(fmt.Sprint(err), word) {
				t.Errorf("%v; want %q in it", err, word)
			}
		}
	}
	refused("", "no credentials", "AWS_ACCESS_KEY_ID", "not set", "~/.aws/credentials", "no such file")
	refused("archive", "profile archive")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, "[default]\nregion = eu-west-1\n"))
	refused("", "(not set)")
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	refused("", "AWS_SECRET_ACCESS_KEY only one is set")
	if _, err := Open(t.Context(), "s3://bucket", nil); !errors.Is(err, objects.ErrRefused) {
		t.Errorf("Open: %v; want ErrRefused", err)
	}
}

// TestCredentialsOfAContainer has a metadata service whose credentials expire,
// and then fails.
func TestCredentialsOfAContainer(t *testing.T) {
	noCredentials(t)
	asked, broken := 0, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if broken {
			http.Error(w, "sorry", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyID":"from-container-%d","SecretAccessKey":"s","Token":"t","Expiration":%q}`,
			asked, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer server.Close()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.URL)
	found, err := findCredentials(t.Context(), "")
	wantKey(t, found, err, "from-container-1", "t")
	wantKey(t, found, nil, "from-container-1", "t") // kept
	found.Expire()
	wantKey(t, found, nil, "from-container-2", "t")

	broken = true
	found.Expire()
	_, err = found.GetWithContext(nil)
	var missing *credentialsError
	if !errors.As(err, &missing) || !missing.expired || !strings.Contains(err.Error(), "expired") {
		t.Errorf("%v; want a credentialsError that says that there were some", err)
	}
}

func TestCredentialsStopWithTheContext(t *testing.T) {
	noCredentials(t)
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-stop }))
	defer server.Close()
	defer close(stop)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := findCredentials(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v; want context.DeadlineExceeded", err)
	}
}

// TestExpiredTokenIsRenewed has a store say that the token is too old, once.
func TestExpiredTokenIsRenewed(t *testing.T) {
	noCredentials(t)
	fetched := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetched++
		fmt.Fprintf(w, `{"AccessKeyID":"key-%d","SecretAccessKey":"s","Token":"t","Expiration":%q}`, fetched, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer server.Close()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.URL)
	found, err := findCredentials(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseAddress("s3://bucket?endpoint=http://fake.test&region=us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(a, fake(func(request *http.Request) (*http.Response, error) {
		if strings.Contains(request.Header.Get("Authorization"), "key-1/") {
			return fault(400, "ExpiredToken"), nil
		}
		return ok(), nil
	}), found, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.patience.first = 1
	if err := s.Put(t.Context(), "a", nil); err != nil || s.Requests() != 2 || fetched != 2 {
		t.Errorf("%d requests, %d fetches of credentials, %v", s.Requests(), fetched, err)
	}
}
