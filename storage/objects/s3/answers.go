package s3

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"unicode"

	"github.com/minio/minio-go/v7"

	"restante/storage/objects"
)

// meaning is what an answer of the store means for an operation.
type meaning struct {
	err     error
	again   bool // it is worth another try
	expired bool // with newer credentials
	lost    bool // it may have been carried out, or may be yet
	few     bool // it is worth few tries: more likely than a passing fault is that it stays so
}

// translate finds the meaning of an error of minio-go.
func (s *Store) translate(err error) meaning {
	var own *meaningError
	if errors.As(err, &own) {
		return meaning{err: err}
	}
	var missing *credentialsError
	if errors.As(err, &missing) {
		return meaning{err: err, again: missing.expired}
	}
	if hint := tlsHint(err); hint != "" {
		return meaning{err: fmt.Errorf("%w: %s (%w)", objects.ErrRefused, hint, err)}
	}
	var odd *oddError
	if errors.As(err, &odd) {
		return meaning{err: err, again: true, few: true}
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		var dial *net.OpError // only a connection that never was lost nothing
		return meaning{err: err, again: true, lost: !errors.As(err, &dial) || dial.Op != "dial"}
	}
	return s.translateAnswer(answer)
}

// meaningError marks an error that is ready: wrapped with what it means.
type meaningError struct{ error }

func (e *meaningError) Unwrap() error { return e.error }

// oddError marks an answer to something that was not asked. What stands between
// mixes answers up, or the store cannot be used.
type oddError struct{ error }

func (e *oddError) Unwrap() error { return e.error }

func odd(format string, args ...any) error { return &oddError{fmt.Errorf(format, args...)} }

func means(format string, args ...any) error { return &meaningError{fmt.Errorf(format, args...)} }

// tlsHint says what a person can do about an error of TLS, which no second try
// makes better.
func tlsHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "nobody that is trusted here signed its certificate; name the file with the right one by ca="
	case errors.As(err, &host):
		return "its certificate is for another host"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it speaks http and not https"
	}
	return ""
}

func (s *Store) translateAnswer(answer minio.ErrorResponse) meaning {
	code, status := answer.Code, answer.StatusCode
	refuse := func(reason string) meaning {
		return meaning{err: fmt.Errorf("%w: %s (%s)", objects.ErrRefused, reason, describe(answer))}
	}
	again := meaning{err: errors.New(describe(answer)), again: true}
	lost := meaning{err: again.err, again: true, lost: true}

	// The code first, for it says more than the status.
	switch code {
	case minio.NoSuchKey:
		return s.absent(answer)
	case minio.NoSuchBucket:
		return refuse(fmt.Sprintf("there is no bucket %q at %s", s.address.bucket, s.address.endpointURL()))
	case minio.PreconditionFailed:
		return meaning{err: objects.ErrExists}
	case minio.InvalidRange:
		return meaning{err: objects.ErrRange}
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired":
		m := refuse("the credentials have expired")
		m.again, m.expired = true, true
		return m
	case minio.InvalidAccessKeyID, "InvalidToken", "InvalidClientTokenId", "XAdminUserNotFound":
		return refuse("the store does not know this access key")
	case minio.SignatureDoesNotMatch:
		return refuse("the secret key is wrong, or something on the way changes requests")
	case minio.RequestTimeTooSkewed:
		return refuse("the clocks of this computer and of the store differ too much")
	case minio.AuthorizationHeaderMalformed, minio.InvalidRegion, "PermanentRedirect", "TemporaryRedirect", "Redirect", "IllegalLocationConstraintException":
		hint := "the bucket is in another region"
		if region := harmless(answer.Region); region != "" {
			hint += ": set region=" + region
		}
		return refuse(hint)
	case minio.NotImplemented:
		return refuse("the store cannot do what a repository needs, such as If-None-Match")
	case minio.BadDigest, minio.XAmzContentSHA256Mismatch, "ContentSHA256Mismatch", minio.IncompleteBody, "RequestTimeout":
		// Damaged or cut off on the way there, and not stored.
		return again
	case "ObjectParentIsFile", "ExistingObjectIsDirectory", "XMinioParentIsObject", "XMinioObjectExistsAsDirectory":
		// versitygw also says so where somebody else took the last object out
		// of the folder, and the folder with it, at the same moment.
		m := refuse("this store cannot keep an object that is the folder of another")
		m.again, m.few = true, true
		return m
	}
	for _, word := range []string{"Quota", "StorageFull", "InsufficientStorage", "StorageLimit"} {
		if strings.Contains(code, word) {
			return meaning{err: fmt.Errorf("%w: %s", objects.ErrFull, describe(answer))}
		}
	}

	switch {
	case status == http.StatusNotFound:
		return s.absent(answer)
	case status == http.StatusPreconditionFailed:
		return meaning{err: objects.ErrExists}
	case status == http.StatusRequestedRangeNotSatisfiable:
		return meaning{err: objects.ErrRange}
	case status == http.StatusInsufficientStorage:
		return meaning{err: fmt.Errorf("%w: %s", objects.ErrFull, describe(answer))}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return refuse("these credentials may not do this")
	case status >= 300 && status < 400:
		return refuse("the store is elsewhere")
	case status == http.StatusConflict:
		// Amazon: another conditional write is under way, and it is not
		// certain yet that it will succeed; the next try will tell.
		return again
	case status == http.StatusNotImplemented:
		return refuse("the store cannot do this")
	case status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return again
	case status == http.StatusRequestTimeout, status == 499:
		return lost
	case status == http.StatusBadRequest && answer.XMLName.Local != "Error":
		// No store, but what stands before it, and it may have got half a request.
		return meaning{err: fmt.Errorf("%w, but not in the way of S3: is the endpoint right?", lost.err), again: true, lost: true, few: true}
	case status >= 400 && status < 500:
		return refuse("the store did not like the request")
	}
	return lost
}

// absent is for 404, which many a server says that is no object store at all.
// Believing one would make a full repository look empty. S3 says NoSuchKey in
// XML; only to HEAD it cannot. It may have said so, and the answer was damaged on
// its way.
func (s *Store) absent(answer minio.ErrorResponse) meaning {
	switch {
	case answer.XMLName.Local != "Error":
		return meaning{again: true, few: true, err: fmt.Errorf("%w: %s says \"not found\", but not in the way of S3: is the endpoint right?",
			objects.ErrRefused, s.address.endpointURL())}
	case answer.Code != minio.NoSuchKey:
		return meaning{again: true, few: true, err: fmt.Errorf("%w (%s)", objects.ErrRefused, describe(answer))}
	}
	return meaning{err: objects.ErrNotFound}
}

// describe is the store's own words, made short and harmless.
func describe(answer minio.ErrorResponse) string {
	said := fmt.Sprintf("the store said %d", answer.StatusCode)
	for _, part := range []string{answer.Code, answer.Message} {
		if part = harmless(part); part != "" && !strings.HasSuffix(said, part) {
			said += " " + part
		}
	}
	return said
}

// harmless is a part of the store's words on one line, without what a terminal
// would obey.
func harmless(said string) string {
	said = strings.Join(strings.FieldsFunc(said, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }), " ")
	if runes := []rune(said); len(runes) > 200 {
		said = string(runes[:200]) + "…"
	}
	return said
}
