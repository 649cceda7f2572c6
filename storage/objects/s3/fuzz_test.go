package s3

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"restante/storage/objects"
)

// FuzzRetryAfter: whatever a store asks for, it is waited no longer than a day,
// and time never goes backwards.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"30", "-1", "0", "99999999999", "-9223372036854775808", "-9223372036854775", "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "1e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if d := retryAfter(header); d < 0 || d > 24*time.Hour {
			t.Errorf("%q is %v", header, d)
		}
	})
}

// FuzzAnswerOfTheStore: whatever a store says in XML, it means one thing, and is
// shown in one line. Nothing but a clear word of S3 means that an object is not
// there, or that it was there before.
func FuzzAnswerOfTheStore(f *testing.F) {
	for _, s := range []string{
		"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>", "<Error><Code>SlowDown</Code></Error>", "<Error><Code>QuotaExceeded</Code><Message>full\u009b[2J</Message></Error>",
		"<html>404</html>", "<Error><Code>PermanentRedirect</Code><Region>eu\n</Region></Error>", "<Error/>", "", "<Error><Code>" + strings.Repeat("x", 1000) + "</Code></Error>",
	} {
		for _, status := range []int{200, 301, 404, 412, 503} {
			f.Add(s, status)
		}
	}
	a, err := parseAddress("s3://bucket?endpoint=https://host")
	if err != nil {
		f.Fatal(err)
	}
	s := &Store{address: a}
	f.Fuzz(func(t *testing.T, body string, status int) {
		var answer minio.ErrorResponse
		if xml.Unmarshal([]byte(body), &answer) != nil {
			answer = minio.ErrorResponse{}
		}
		answer.StatusCode = status
		m := s.translate(answer)
		if m.err == nil {
			t.Fatalf("%q with %d means nothing", body, status)
		}
		if strings.ContainsFunc(m.err.Error(), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) || len(m.err.Error()) > 3000 {
			t.Errorf("shown as %q", m.err)
		}
		if errors.Is(m.err, objects.ErrNotFound) && answer.Code != minio.NoSuchKey {
			t.Errorf("%q with %d means that the object is not there", body, status)
		}
		if errors.Is(m.err, objects.ErrExists) && answer.Code != minio.PreconditionFailed && status != 412 {
			t.Errorf("%q with %d means that the object was there before", body, status)
		}
	})
}
