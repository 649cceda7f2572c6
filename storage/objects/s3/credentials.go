package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"restante/storage/objects"
)

// findCredentials looks where Amazon's own programs look, and in their order.
// minio-go's chain would go on without credentials where it finds none, and
// the store would then say no more than "access denied".
func findCredentials(ctx context.Context, profile string) (*credentials.Credentials, error) {
	files := source{"the profile " + orDefault(profile, "AWS_PROFILE or default") + " of ~/.aws/credentials and ~/.aws/config",
		&credentials.FileAWSCredentials{Profile: profile}}
	machine := source{"this machine or container", &credentials.IAM{}}
	c := &chain{sources: []source{files}}
	if profile == "" {
		// The Kubernetes way, a web identity, is for minio-go a kind of
		// machine; but it is meant where it is set, so it comes before files.
		webIdentity := os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != ""
		c.sources = []source{{"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", environment{}}}
		if webIdentity {
			c.sources = append(c.sources, machine)
		}
		c.sources = append(c.sources, files)
		if !webIdentity && !strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") {
			c.sources = append(c.sources, machine)
		}
	}
	found := credentials.New(c)
	if _, err := found.GetWithContext(&credentials.CredContext{Context: ctx}); err != nil {
		return nil, err
	}
	return found, nil
}

// chain is a provider that takes the first source that has something.
type chain struct {
	sources []source
	current credentials.Provider
}

type source struct {
	name     string
	provider credentials.Provider
}

// credentialsError says that there are no credentials, and why.
type credentialsError struct {
	reasons []string
	expired bool // there were some, so it may be a passing trouble
}

func (e *credentialsError) Error() string {
	what := "no credentials were found"
	if e.expired {
		what = "the credentials have expired and there are no new ones"
	}
	return what + ": " + strings.Join(e.reasons, "; ")
}

func (e *credentialsError) Unwrap() error { return objects.ErrRefused }

// askFor is how long a metadata service may take to answer one request. It is
// on the same machine or not there at all.
const askFor = 5 * time.Second

// RetrieveWithCredContext implements credentials.Provider.
func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	// A client of its own: the one for the store trusts other certificates,
	// and counts.
	own := &credentials.CredContext{Client: &http.Client{Timeout: askFor}}
	if cc != nil {
		own.Context = cc.Context
	}
	failed := &credentialsError{expired: c.current != nil}
	for _, source := range c.sources {
		value, err := source.provider.RetrieveWithCredContext(own)
		if err == nil && value.AccessKeyID != "" && value.SecretAccessKey != "" {
			c.current = source.provider
			return value, nil
		}
		switch {
		case errors.Is(err, errHalfSet):
			return credentials.Value{}, &credentialsError{reasons: []string{err.Error()}}
		case err == nil || errors.Is(err, errNotSet):
			err = errors.New("not set")
		case errors.Is(err, fs.ErrNotExist):
			err = errors.New("no such file")
		}
		failed.reasons = append(failed.reasons, fmt.Sprintf("%s (%v)", source.name, err))
		if own.Context != nil && own.Context.Err() != nil {
			return credentials.Value{}, own.Context.Err()
		}
	}
	return credentials.Value{}, failed
}

// Retrieve implements credentials.Provider.
func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (c *chain) IsExpired() bool { return c.current == nil || c.current.IsExpired() }

// environment is a provider of what the environment holds.
type environment struct{}

var (
	errNotSet  = errors.New("not set")
	errHalfSet = errors.New("of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set")
)

// RetrieveWithCredContext implements credentials.Provider.
func (environment) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	switch {
	case id == "" && secret == "":
		return credentials.Value{}, errNotSet
	case id == "" || secret == "":
		return credentials.Value{}, errHalfSet
	}
	return credentials.Value{
		AccessKeyID: id, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
		SignerType: credentials.SignatureV4,
	}, nil
}

// Retrieve implements credentials.Provider.
func (e environment) Retrieve() (credentials.Value, error) { return e.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (environment) IsExpired() bool { return false }

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
