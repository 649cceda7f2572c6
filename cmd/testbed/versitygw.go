package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// versitygw serves S3 from a directory: https://github.com/versity/versitygw.
// It is built from source, once.
var versitygw = service{
	name:    "s3",
	build:   buildVersitygw,
	version: versitygwInstalled,
	start:   startVersitygw,
}

const (
	versitygwModule  = "github.com/versity/versitygw"
	versitygwVersion = "v1.8.0"
)

const s3Region = "us-east-1"

// The buckets. They are two because versitygw, in one with versions, answers
// a DELETE with 500 where the name is the beginning of others' names.
const (
	s3Bucket    = "testbed"
	s3Versioned = "testbed-versions"
)

// Who may use them: the owner does everything, the reader gets and lists.
var (
	s3Owner  = s3Account{"testbed", "testbed-owner-secret"}
	s3Reader = s3Account{"testbed-reader", "testbed-reader-secret"}
)

func versitygwPath() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "versitygw-"+versitygwVersion), nil
}

func versitygwInstalled() (string, error) {
	path, err := versitygwPath()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("versitygw " + versitygwVersion + " is not built")
	}
	return "versitygw " + versitygwVersion, nil
}

func buildVersitygw(ctx context.Context, o options) error {
	path, err := versitygwPath()
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return err
	}
	if !o.quiet {
		say("building versitygw %s, once; this takes a minute or two", versitygwVersion)
	}
	bin, err := os.MkdirTemp(filepath.Dir(path), "building-")
	if err != nil {
		return fmt.Errorf("making a directory to build in: %w", err)
	}
	defer os.RemoveAll(bin)
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w",
		versitygwModule+"/cmd/versitygw@"+versitygwVersion)
	// Without what is set for building this project, or for another system.
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOOS=", "GOARCH=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building versitygw: %w\n%s", err, out)
	}
	return os.Rename(filepath.Join(bin, "versitygw"), path)
}

func startVersitygw(ctx context.Context, b *bed) error {
	dir := filepath.Join(b.dir, "s3")
	for _, sub := range []string{"buckets", "versions", "accounts", "attributes"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	accounts, err := json.Marshal(map[string]any{"accessAccounts": map[string]any{
		s3Reader.access: map[string]any{"access": s3Reader.access, "secret": s3Reader.secret, "role": "user"},
	}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "accounts", "users.json"), accounts, 0o600); err != nil {
		return err
	}

	sidecar := false
	for range startTries {
		var port int
		port, err = runVersitygw(ctx, b, dir, sidecar)
		if err == nil {
			return openBuckets(ctx, b, "http://"+loopback(port))
		}
		if ctx.Err() != nil {
			return err
		}
		// It keeps metadata in extended attributes, where the file system of
		// the directory has them.
		sidecar = sidecar || strings.Contains(err.Error(), "xattr")
	}
	return err
}

func runVersitygw(ctx context.Context, b *bed, dir string, sidecar bool) (port int, err error) {
	program, err := versitygwPath()
	if err != nil {
		return 0, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	// A path of this testbed's own, so that nobody else's server answers.
	alive := "/" + filepath.Base(b.dir)
	args := []string{
		"--access", s3Owner.access, "--secret", s3Owner.secret, "--region", s3Region,
		"--port", loopback(ports[0]), "--quiet", "--keep-alive", "--health", alive,
		"--iam-dir", filepath.Join(dir, "accounts"),
		"posix", "--versioning-dir", filepath.Join(dir, "versions"),
	}
	if sidecar {
		args = append(args, "--sidecar", filepath.Join(dir, "attributes"))
	}
	cmd := exec.Command(program, append(args, filepath.Join(dir, "buckets"))...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir} // nothing of AWS_* or VGW_*
	d, err := b.spawn("versitygw", cmd)
	if err != nil {
		return 0, err
	}
	return ports[0], d.await(ctx, func(ctx context.Context) error {
		_, err := s3Request(ctx, s3Owner, http.MethodGet, "http://"+loopback(ports[0])+alive, "")
		return err
	})
}

// openBuckets makes the buckets and says where they are.
func openBuckets(ctx context.Context, b *bed, endpoint string) error {
	for variable, name := range map[string]string{"TESTBED_S3": s3Bucket, "TESTBED_S3_VERSIONS": s3Versioned} {
		if err := openBucket(ctx, endpoint, name); err != nil {
			return err
		}
		b.set(variable, "s3://"+name+"/?endpoint="+endpoint+"&region="+s3Region)
	}
	b.set("TESTBED_S3_READONLY_ACCESS_KEY", s3Reader.access)
	b.set("TESTBED_S3_READONLY_SECRET", s3Reader.secret)
	b.set("AWS_ACCESS_KEY_ID", s3Owner.access)
	b.set("AWS_SECRET_ACCESS_KEY", s3Owner.secret)
	b.set("AWS_SESSION_TOKEN", "")
	return nil
}

func openBucket(ctx context.Context, endpoint, name string) error {
	policy, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{map[string]any{
			"Effect":    "Allow",
			"Principal": map[string]any{"AWS": []string{s3Reader.access}},
			"Action":    []string{"s3:Get*", "s3:List*"},
			"Resource":  []string{"arn:aws:s3:::" + name, "arn:aws:s3:::" + name + "/*"},
		}},
	})
	if err != nil {
		return err
	}
	puts := []struct{ what, query, body string }{
		{"making", "", ""},
		{"letting the reader into", "?policy=", string(policy)},
	}
	if name == s3Versioned {
		puts = append(puts, struct{ what, query, body string }{"turning on versions in", "?versioning=",
			`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`})
	}
	for _, put := range puts {
		if _, err := s3Request(ctx, s3Owner, http.MethodPut, endpoint+"/"+name+put.query, put.body); err != nil {
			return fmt.Errorf("%s bucket %s: %w", put.what, name, err)
		}
	}
	return nil
}

// s3Request sends a signed request and returns the body of a good answer.
func s3Request(ctx context.Context, as s3Account, method, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	as.sign(req, body)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return string(answer), err
}
