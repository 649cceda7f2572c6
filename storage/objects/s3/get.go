package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"restante/storage/objects"
)

// Get implements [objects.Store].
func (s *Store) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	if err := objects.CheckGet(name, offset); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	// No object reaches further, and offset+length must not overflow.
	offset = min(offset, objects.MaxSize+1)
	length = min(length, objects.MaxSize+1)
	var data []byte
	err := s.do(ctx, "get", name, func(ctx context.Context) (err error) {
		if length == 0 {
			// HTTP has no empty ranges.
			data, err = s.getNothing(ctx, name, offset)
			return err
		}
		data, err = s.get(ctx, name, offset, length)
		if length < 0 && offset > 0 && isStatus(err, http.StatusRequestedRangeNotSatisfiable) {
			// There is nothing from offset on: right at the end that is what
			// was asked for.
			data, err = s.getNothing(ctx, name, offset)
		}
		return err
	})
	return data, err
}

func (s *Store) getNothing(ctx context.Context, name string, offset int64) ([]byte, error) {
	size, err := s.size(ctx, name)
	if err == nil && offset > size {
		err = means("%w: it has %d octets", objects.ErrRange, size)
	}
	if err != nil {
		return nil, err
	}
	return []byte{}, nil
}

// get reads a range that is not empty, and believes nothing of what the store
// says of it.
func (s *Store) get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	var options minio.GetObjectOptions
	ranged := offset > 0 || length > 0
	switch {
	case length > 0:
		options.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case ranged:
		options.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	// Core's, since Client.GetObject reads nothing before the first Read.
	expected := int64(objects.MaxSize)
	if length > 0 {
		expected = min(length, expected)
	}
	body, info, header, err := s.core.GetObject(expectSize(ctx, expected), s.address.bucket, s.key(name), options)
	if err != nil {
		return nil, err
	}
	defer body.Close()

	want := info.Size
	if ranged {
		if want, err = checkRange(header.Get("Content-Range"), offset, length, info.Size); err != nil {
			return nil, err
		}
	}
	if want > objects.MaxSize {
		return nil, means("%w: its %d octets are more than any object of a repository has", objects.ErrRefused, want)
	}
	if want < 0 { // it came in chunks, whose end can be told from a broken connection
		return io.ReadAll(body)
	}
	data := make([]byte, want)
	if n, err := io.ReadFull(body, data); err != nil {
		return nil, fmt.Errorf("after %d octets of %d: %w", n, want, err)
	}
	if n, err := body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, fmt.Errorf("more than the %d octets that were announced (%v)", want, err)
	}
	return data, nil
}

// checkRange returns how many octets the answer to a request for a range must
// have, RFC 9110 section 14.4.
func checkRange(header string, offset, length, announced int64) (int64, error) {
	if header == "" {
		// Without a range it is the whole object, which may be all right.
		if offset == 0 && length == announced {
			return length, nil
		}
		if offset == 0 && announced >= 0 && announced < length {
			return 0, means("%w: it has %d octets", objects.ErrRange, announced)
		}
		return 0, odd("the store ignored the range, which a repository cannot do with")
	}
	first, last, total, ok := parseContentRange(header)
	if !ok || first != offset || last >= total {
		return 0, odd("the store was asked for octets from %d on and answered with %.100q", offset, header)
	}
	want := length
	if length < 0 {
		want = total - offset
	}
	if length > 0 && total < offset+length {
		return 0, means("%w: it has %d octets", objects.ErrRange, total)
	}
	if last-first+1 != want {
		return 0, odd("the store was asked for %d octets from %d on and answered with %.100q", want, offset, header)
	}
	return want, nil
}

// parseContentRange reads "bytes 10-19/100".
func parseContentRange(header string) (first, last, total int64, ok bool) {
	rest, ok := strings.CutPrefix(header, "bytes ")
	span, size, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, false
	}
	for i, s := range []string{from, to, size} {
		n, err := strconv.ParseUint(s, 10, 62)
		if err != nil {
			return 0, 0, 0, false
		}
		*[]*int64{&first, &last, &total}[i] = int64(n)
	}
	return first, last, total, first <= last
}

func isStatus(err error, status int) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == status
}
