package s3

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"restante/storage/objects"
)

// address is what a URL says.
type address struct {
	bucket, prefix string // the prefix without '/' at either end
	host           string // with the port, if one was given
	secure         bool
	region         string
	lookup         minio.BucketLookupType
	ca, profile    string
	named          bool // an endpoint was given
}

// parameters are all that a URL may have, and what each does with its value.
var parameters = map[string]func(*address, string) error{
	"endpoint": (*address).setEndpoint,
	"region": func(a *address, value string) error {
		a.region = value
		return nil
	},
	"path-style": func(a *address, value string) error {
		lookup, ok := map[string]minio.BucketLookupType{
			"auto": minio.BucketLookupAuto, "on": minio.BucketLookupPath, "off": minio.BucketLookupDNS}[value]
		if !ok {
			return fmt.Errorf("is %q; want auto, on or off", value)
		}
		a.lookup = lookup
		return nil
	},
	"ca": func(a *address, value string) error {
		a.ca = value
		return nil
	},
	"profile": func(a *address, value string) error {
		a.profile = value
		return nil
	},
}

var errSecretInURL = errors.New("credentials do not belong into a URL, which ends up in logs and lists of processes;" +
	" set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws/credentials with profile=")

// parseAddress reads a URL. Its errors do not repeat what they cannot read,
// which may be a secret that does not belong there.
func parseAddress(raw string) (address, error) {
	var a address
	u, err := url.Parse(raw)
	if err != nil {
		return a, errors.New("the URL cannot be read; want s3://bucket/prefix?endpoint=https://host:port")
	}
	switch {
	case u.Scheme != "s3":
		return a, fmt.Errorf("the URL begins with %q; want s3://bucket/prefix", u.Scheme+":")
	case u.User != nil:
		return a, errSecretInURL
	case u.Host == "":
		return a, errors.New("the URL names no bucket; want s3://bucket/prefix")
	case u.Fragment != "":
		return a, errors.New("the URL has a part after '#', which means nothing here")
	}
	a.bucket = u.Host
	if err := s3utils.CheckValidBucketName(a.bucket); err != nil || strings.Contains(a.bucket, ":") {
		return a, fmt.Errorf("%q cannot be the name of a bucket", a.bucket)
	}
	if a.prefix = strings.Trim(u.Path, "/"); a.prefix != "" {
		if err := objects.CheckName(a.prefix); err != nil {
			return a, fmt.Errorf("the prefix must be made like a name: %w", err)
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return a, errors.New("the parameters of the URL cannot be read: there is a ';' or a bad '%' escape")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if err := a.set(name, query[name]); err != nil {
			return a, err
		}
	}
	a.finish()
	return a, nil
}

func (a *address) set(name string, values []string) error {
	set, known := parameters[name]
	switch {
	case !known && looksSecret(name):
		return fmt.Errorf("parameter %q: %w", name, errSecretInURL)
	case !known:
		return fmt.Errorf("there is no parameter %q; did you mean %q? There are %s",
			name, nearest(name), strings.Join(slices.Sorted(maps.Keys(parameters)), ", "))
	case len(values) > 1:
		return fmt.Errorf("parameter %q is given %d times", name, len(values))
	case values[0] == "":
		return fmt.Errorf("parameter %q is empty", name)
	}
	if err := set(a, values[0]); err != nil {
		return fmt.Errorf("parameter %q %w", name, err)
	}
	return nil
}

func (a *address) setEndpoint(value string) error {
	u, err := url.Parse(value)
	switch {
	case err == nil && u.User != nil:
		return errSecretInURL
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must be a URL like https://s3.example.org:9000")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("must end after the host and port: bucket and prefix stand in the s3:// URL itself")
	}
	a.host, a.secure, a.named = u.Host, u.Scheme == "https", true
	return nil
}

// finish fills in what the URL left out.
func (a *address) finish() {
	for _, variable := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if a.region == "" {
			a.region = os.Getenv(variable)
		}
	}
	if !a.named {
		// minio-go goes from here to the endpoint of the region.
		a.host, a.secure = "s3.amazonaws.com", true
	}
}

// String is the URL without what does not say where the objects are.
func (a address) String() string {
	u := url.URL{Scheme: "s3", Host: a.bucket}
	if a.prefix != "" {
		u.Path = "/" + a.prefix
	}
	if a.named {
		u.RawQuery = "endpoint=" + a.endpointURL()
	}
	return u.String()
}

// looksSecret tells whether somebody may have meant to pass a credential.
func looksSecret(name string) bool {
	name = strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name))
	for _, word := range []string{"secret", "accesskey", "keyid", "token", "password", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return name == "key" || name == "user"
}

// nearest returns the parameter whose name needs the fewest changes to become
// this one (the distance of Levenshtein).
func nearest(name string) string {
	best, least := "", 0
	for _, known := range slices.Sorted(maps.Keys(parameters)) {
		if d := distance(name, known); best == "" || d < least {
			best, least = known, d
		}
	}
	return best
}

func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
