package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"restante/storage/objects"
)

// Put implements [objects.Store].
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	return s.put(ctx, "put", name, data, minio.PutObjectOptions{})
}

// PutIfAbsent implements [objects.Store]. A try whose answer was lost makes the
// next one meet its own object, which is then ErrExists.
func (s *Store) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	var options minio.PutObjectOptions
	options.SetMatchETagExcept("*") // If-None-Match: *
	return s.put(ctx, "put if absent", name, data, options)
}

// put sends the object in one request, with two sums of it. The SHA-256 is
// part of the signature, so that nothing on the way can change a bit even over
// plain HTTP; the MD5 is for buckets with object lock, which insist on it. Both
// are in headers: sums behind the body (minio-go's TrailingHeaders) are more
// than some stores understand.
func (s *Store) put(ctx context.Context, what, name string, data []byte, options minio.PutObjectOptions) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", what, name, err)
	}
	if err := objects.CheckPut(name, data); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	sha, md := sha256.Sum256(data), md5.Sum(data)
	options.DisableMultipart = true
	options.DisableContentSha256 = true // minio-go's own way, which is to sign chunk by chunk
	return s.write(ctx, what, name, func(ctx context.Context) error {
		_, err := s.core.PutObject(ctx, s.address.bucket, s.key(name), bytes.NewReader(data), int64(len(data)),
			base64.StdEncoding.EncodeToString(md[:]), hex.EncodeToString(sha[:]), options)
		return err
	})
}

// Delete implements [objects.Store].
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	if err := objects.CheckName(name); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	err := s.write(ctx, "delete", name, func(ctx context.Context) error {
		err := s.core.RemoveObject(ctx, s.address.bucket, s.key(name), minio.RemoveObjectOptions{})
		var answer minio.ErrorResponse
		if errors.As(err, &answer) && (answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusAccepted) {
			return nil // minio-go wants 204 and nothing else
		}
		return err
	})
	if errors.Is(err, objects.ErrNotFound) {
		return nil // Amazon says 204 here, others NoSuchKey
	}
	return err
}

// size asks how large an object is.
func (s *Store) size(ctx context.Context, name string) (int64, error) {
	info, err := s.core.StatObject(ctx, s.address.bucket, s.key(name), minio.StatObjectOptions{})
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return 0, means("%w", objects.ErrNotFound) // HEAD has no body to say NoSuchKey in
	}
	return info.Size, err
}
