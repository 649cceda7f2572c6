// Package s3 keeps objects in a bucket of an S3-compatible store: [Open] takes
// a URL and returns a [Store]. It alone knows minio-go.
//
//	s3://bucket/prefix?endpoint=https://s3.example.org:9000&region=eu-central-1
//
// The prefix may be left out. The parameters, all of them optional:
//
//	endpoint    where the store is, http:// or https:// and host and port; without it Amazon's
//	region      the bucket's; without it AWS_REGION, and without that one more request asks for it
//	path-style  on: https://host/bucket/…, off: https://bucket.host/…, auto: off for Amazon, Google and Aliyun
//	ca          a file of PEM certificates to trust beside those of the system
//	profile     of ~/.aws/credentials and ~/.aws/config; then AWS_ACCESS_KEY_ID is not looked at
//
// Credentials are never part of the URL. They come from AWS_ACCESS_KEY_ID and
// AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), a web identity token, the
// files of a profile, or the container or machine this runs on, in this order.
//
// # What it needs of a store
//
// PUT with "If-None-Match: *", atomic PUT, GET of ranges, and LIST (version 2)
// in byte order, all consistent: Amazon S3, MinIO, Ceph, versitygw and others
// have them. Multipart uploads are never used, since stores lose the condition
// on the way. [objects.Probe] proves a store.
package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"restante/storage/objects"
)

// Store is an [objects.Store] in a bucket.
type Store struct {
	address     address
	core        *minio.Core
	credentials *credentials.Credentials
	wire        *wire
	patience    patience
	silence     *silence
}

// Open returns the store that the URL names. It finds credentials, but asks
// the store itself nothing: the first operation will show whether it is there.
// The log, which may be nil, is told when the store keeps everybody waiting.
func Open(ctx context.Context, rawURL string, log *slog.Logger) (*Store, error) {
	a, err := parseAddress(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open S3 store: %w", err)
	}
	transport, err := newTransport(a.ca)
	if err != nil {
		return nil, fmt.Errorf("open S3 store: %w", err)
	}
	found, err := findCredentials(ctx, a.profile)
	if err != nil {
		return nil, fmt.Errorf("open S3 store %s: %w", a, err)
	}
	return open(a, transport, found, log)
}

func open(a address, transport http.RoundTripper, found *credentials.Credentials, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{address: a, credentials: found, patience: defaultPatience}
	s.silence = &silence{log: log, store: a.String(), first: tellAfter}
	s.wire = &wire{next: transport, patience: &s.patience, silence: s.silence}
	core, err := minio.NewCore(a.host, &minio.Options{
		Creds:        found,
		Secure:       a.secure,
		Region:       a.region,
		BucketLookup: a.lookup,
		Transport:    s.wire,
		MaxRetries:   1, // our own know of Retry-After, and when to stop
	})
	if err != nil {
		return nil, fmt.Errorf("open S3 store %s: %w", a, err)
	}
	s.core = core
	return s, nil
}

// Location implements [objects.Store].
func (s *Store) Location() string { return s.address.String() }

// Requests implements [objects.Requester]: it returns how many HTTP requests
// have been sent to the store, with every retry and every page of a list.
func (s *Store) Requests() int64 { return s.wire.requests.Load() }

// Close closes idle connections. The store can still be used.
func (s *Store) Close() error {
	if t, ok := s.wire.next.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
	return nil
}

// newTransport returns connections of our own, so that their limits are known
// and nothing else in the process shares them.
func newTransport(ca string) (*http.Transport, error) {
	roots, err := trusted(ca)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // an object's octets are what was put
		WriteBufferSize:        64 << 10,
		ReadBufferSize:         64 << 10,
	}, nil
}

// trusted returns the certificates of the system and those in the file ca, or
// nil, which means those of the system, where there is no file.
func trusted(ca string) (*x509.CertPool, error) {
	if ca == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("read the certificates of parameter ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the file %s of parameter ca holds no certificate in PEM form", ca)
	}
	return pool, nil
}

// key returns the key of an object in the bucket.
func (s *Store) key(name string) string {
	if s.address.prefix == "" {
		return name
	}
	return s.address.prefix + "/" + name
}

// name returns the object's name for a key, and false if it is no object of
// this store.
func (s *Store) name(key string) (string, bool) {
	if s.address.prefix != "" {
		var ok bool
		if key, ok = strings.CutPrefix(key, s.address.prefix+"/"); !ok {
			return "", false
		}
	}
	return key, objects.CheckName(key) == nil
}

var _ interface {
	objects.Store
	objects.Requester
} = (*Store)(nil)

// endpointURL is for error messages.
func (a address) endpointURL() string {
	u := url.URL{Scheme: "http", Host: a.host}
	if a.secure {
		u.Scheme = "https"
	}
	return u.String()
}
