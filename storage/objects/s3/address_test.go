package s3

import (
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
)

func TestAddress(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "eu-north-1")
	for raw, want := range map[string]address{
		"s3://bucket":                                  {bucket: "bucket", host: "s3.amazonaws.com", secure: true, region: "eu-north-1"},
		"s3://mail-2026/":                              {bucket: "mail-2026", host: "s3.amazonaws.com", secure: true, region: "eu-north-1"},
		"s3://b.c_d/a/b/?region=us-east-1":             {bucket: "b.c_d", prefix: "a/b", host: "s3.amazonaws.com", secure: true, region: "us-east-1"},
		"s3://bucket?endpoint=http://127.0.0.1:7070/":  {bucket: "bucket", host: "127.0.0.1:7070", named: true, region: "eu-north-1"},
		"s3://bucket?endpoint=https%3A%2F%2Fs3.test":   {bucket: "bucket", host: "s3.test", secure: true, named: true, region: "eu-north-1"},
		"s3://bucket?endpoint=https://[::1]:9000":      {bucket: "bucket", host: "[::1]:9000", secure: true, named: true, region: "eu-north-1"},
		"s3://bucket?path-style=on&ca=/etc/ca.pem":     {bucket: "bucket", host: "s3.amazonaws.com", secure: true, region: "eu-north-1", lookup: minio.BucketLookupPath, ca: "/etc/ca.pem"},
		"s3://bucket?path-style=off&profile=archive":   {bucket: "bucket", host: "s3.amazonaws.com", secure: true, region: "eu-north-1", lookup: minio.BucketLookupDNS, profile: "archive"},
		"s3://bucket?path-style=auto&region=me-south1": {bucket: "bucket", host: "s3.amazonaws.com", secure: true, region: "me-south1"},
	} {
		if got, err := parseAddress(raw); err != nil || got != want {
			t.Errorf("parseAddress(%s) = %+v, %v; want %+v", raw, got, err, want)
		}
	}
}

func TestAddressSaysWhatIsWrong(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                    "begins with",
		"http://host/bucket":                  `begins with "http:"`,
		"s3:bucket":                           "no bucket",
		"s3:///prefix":                        "no bucket",
		"s3://x":                              "cannot be the name of a bucket",
		"s3://bad bucket/":                    "cannot be read",
		"s3://bucket:9000/":                   "cannot be the name of a bucket",
		"s3://bucket/../other":                "begins with a dot",
		"s3://bucket/a//b":                    "empty",
		"s3://bucket/with space":              "neither an ASCII letter",
		"s3://bucket#x":                       "'#'",
		"s3://bucket?endpiont=http://x":       `did you mean "endpoint"`,
		"s3://bucket?Region=x":                `did you mean "region"`,
		"s3://bucket?pathstyle=on":            `did you mean "path-style"`,
		"s3://bucket?cafile=on":               `did you mean "profile"`,
		"s3://bucket?region=a&region=b":       "2 times",
		"s3://bucket?region=":                 "empty",
		"s3://bucket?path-style=yes":          "auto, on or off",
		"s3://bucket?endpoint=host:9000":      "https://s3.example.org:9000",
		"s3://bucket?endpoint=ftp://host":     "https://s3.example.org:9000",
		"s3://bucket?endpoint=http://h/minio": "must end after",
		"s3://bucket?endpoint=http://h?x=y":   "must end after",
		"s3://bucket?region=%zz":              "bad '%' escape",
	} {
		if _, err := parseAddress(raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseAddress(%s): %v; want %q in it", raw, err, want)
		}
	}
}

func TestAddressKeepsSecretsOut(t *testing.T) {
	const secret = "wJalrXUtnFEMI"
	for _, raw := range []string{
		"s3://AKIA:" + secret + "@bucket/prefix",
		"s3://AKIA:" + secret + "/x@bucket/prefix",
		"s3://" + secret + ":" + secret + "/bucket",
		"s3://bucket?endpoint=https://AKIA:" + secret + "@host",
		"s3://bucket?endpoint=https://AKIA:" + secret + "/@host",
		"s3://bucket?secret=" + secret,
		"s3://bucket?access-key=" + secret,
		"s3://bucket?AWS_SECRET_ACCESS_KEY=" + secret,
		"s3://bucket?X-Amz-Security-Token=" + secret,
		"s3://bucket?password=" + secret,
		"s3://bucket?key=%zz" + secret,
	} {
		_, err := parseAddress(raw)
		if err == nil {
			t.Errorf("parseAddress(%s) returned no error", raw)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
	for _, raw := range []string{"s3://AKIA:x@bucket", "s3://bucket?secret-key=x", "s3://bucket?endpoint=http://a:b@c"} {
		if _, err := parseAddress(raw); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
			t.Errorf("parseAddress(%s): %v; want a hint where credentials belong", raw, err)
		}
	}
}

func TestLocationHoldsNoMoreThanThePlace(t *testing.T) {
	for raw, want := range map[string]string{
		"s3://bucket/a/b/?region=x&ca=/secret.pem&profile=p": "s3://bucket/a/b",
		"s3://bucket?endpoint=http://h:1&path-style=on":      "s3://bucket?endpoint=http://h:1",
	} {
		a, err := parseAddress(raw)
		if err != nil || a.String() != want {
			t.Errorf("%s became %s, %v; want %s", raw, a, err, want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("s3://bucket/prefix?endpoint=https://host:9000&region=eu-central-1&path-style=on")
	f.Add("s3://a:b@bucket?x=%")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseAddress(raw)
		if err != nil {
			return
		}
		again, err := parseAddress(a.String())
		if err != nil || again.bucket != a.bucket || again.prefix != a.prefix || again.host != a.host || again.secure != a.secure {
			t.Errorf("%q is at %q, which is %+v, %v", raw, a, again, err)
		}
	})
}
