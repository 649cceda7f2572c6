package imaptarget

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn"
	"restante/restore"
)

// Open selects a folder.
func (t *Target) Open(ctx context.Context, place string) (restore.Box, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	b := &box{target: t, c: c, place: place}
	if err := b.open(ctx); err != nil {
		t.release(c)
		return nil, err
	}
	return b, nil
}

type box struct {
	target *Target
	c      *imapconn.Conn
	place  string
	data   *imap.SelectData
	limit  int64    // octets of a message; 0: not known
	next   imap.UID // of the message that is appended next; 0: not known
}

func (b *box) open(ctx context.Context) (err error) {
	defer b.c.Bind(ctx)()
	if b.data, err = b.c.Select(b.place, nil).Wait(); err != nil {
		return aboutFolder(b.c, "SELECT", err)
	}
	b.next = b.data.UIDNext
	limit, ok := b.c.Caps().AppendLimit()
	if ok && limit == nil {
		// Every folder has its own (RFC 7889 section 2).
		status, err := b.c.Status(b.place, &imap.StatusOptions{AppendLimit: true}).Wait()
		if err = b.c.Explain(err); err != nil && !refused(b.c, err) {
			return explain(b.c, "STATUS", err)
		}
		if err == nil {
			limit = status.AppendLimit
		}
	}
	if limit != nil {
		b.limit = int64(*limit)
	}
	return nil
}

func (b *box) Epoch() uint32 { return b.data.UIDValidity }

// Grown implements [restore.GrowingBox].
func (b *box) Grown() uint32 { return cmp.Or(uint32(b.data.UIDNext), b.count()) }

func (b *box) Close() error {
	b.target.release(b.c)
	return nil
}

// Limits come from PERMANENTFLAGS (RFC 9051 section 7.1) and APPENDLIMIT (RFC
// 7889).
func (b *box) Limits() restore.Limits {
	permanent := b.data.PermanentFlags
	keywords := len(permanent) == 0 || slices.Contains(permanent, imap.FlagWildcard)
	return restore.Limits{Size: b.limit, Flag: func(flag string) bool {
		if imapconn.CheckFlags([]imap.Flag{imap.Flag(flag)}) != nil {
			return false
		}
		if len(permanent) == 0 {
			return true // a server that does not say keeps all (RFC 9051 section 7.1)
		}
		known := slices.ContainsFunc(permanent, func(p imap.Flag) bool { return strings.EqualFold(string(p), flag) })
		return known || keywords && isKeyword(flag)
	}}
}

func isKeyword(flag string) bool { return !strings.HasPrefix(flag, `\`) }

// code is the response code of a NO.
func code(err error) imap.ResponseCode {
	if no, ok := errors.AsType[*imap.Error](err); ok {
		return no.Code
	}
	return ""
}
