package s3

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// fake answers requests without a network, so that tests can run on the
// virtual time of testing/synctest.
type fake func(*http.Request) (*http.Response, error)

func (f fake) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// openFake returns a store whose requests f answers.
func openFake(t *testing.T, f fake) *Store {
	t.Helper()
	a, err := parseAddress("s3://bucket/pre?endpoint=http://fake.test&region=us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(a, f, credentials.NewStaticV4("id", "secret", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reply is an answer; headers come in pairs.
func reply(status int, body string, headers ...string) *http.Response {
	h := http.Header{"Last-Modified": {"Wed, 01 Jul 2026 12:00:00 GMT"}}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	if h.Get("Content-Length") == "" {
		h.Set("Content-Length", fmt.Sprint(len(body)))
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// fault is an error as S3 writes it.
func fault(status int, code string, headers ...string) *http.Response {
	return reply(status, `<?xml version="1.0"?><Error><Code>`+code+`</Code><Message>as told</Message></Error>`, headers...)
}

// page is one answer to LIST.
func page(next string, keys ...string) *http.Response {
	var b strings.Builder
	fmt.Fprintf(&b, `<ListBucketResult><IsTruncated>%t</IsTruncated><NextContinuationToken>%s</NextContinuationToken>`, next != "", next)
	for _, key := range keys {
		fmt.Fprintf(&b, `<Contents><Key>%s</Key><Size>3</Size><LastModified>2026-07-01T12:00:00Z</LastModified></Contents>`, key)
	}
	b.WriteString(`</ListBucketResult>`)
	return reply(200, b.String())
}

// inTurn answers with each reply once, and with the last for ever.
func inTurn(replies ...func() *http.Response) fake {
	return func(*http.Request) (*http.Response, error) {
		next := replies[0]
		if len(replies) > 1 {
			replies = replies[1:]
		}
		return next(), nil
	}
}

// bodyUntil is a body that gives data and then waits for the request's end.
type bodyUntil struct {
	io.Reader
	request *http.Request
}

func stuckBody(request *http.Request, data string) io.ReadCloser {
	return &bodyUntil{bytes.NewReader([]byte(data)), request}
}

func (b *bodyUntil) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		<-b.request.Context().Done()
		err = b.request.Context().Err()
	}
	return n, err
}

func (b *bodyUntil) Close() error { return nil }

// openServer returns a store on a real connection, each request of which serve
// answers by hand before the connection is closed.
func openServer(t *testing.T, serve func(net.Conn, *http.Request)) *Store {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if request, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					serve(c, request)
				}
			}()
		}
	}()
	a, err := parseAddress("s3://bucket/pre?region=us-east-1&endpoint=http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	transport, err := newTransport("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(a, transport, credentials.NewStaticV4("id", "secret", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
