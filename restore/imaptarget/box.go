package imaptarget

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/backup/accounts/imapconn"
	"restante/restore"
	"restante/storage/messages"
)

// Open selects a folder.
func (t *Target) Open(ctx context.Context, place string) (restore.Box, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Bind(ctx)()
	data, err := c.Select(place, nil).Wait()
	if err != nil {
		t.release(c)
		return nil, explain(c, "SELECT", err)
	}
	return &box{target: t, c: c, place: place, data: data}, nil
}

type box struct {
	target *Target
	c      *imapconn.Conn
	place  string
	data   *imap.SelectData
}

func (b *box) Epoch() uint32 { return b.data.UIDValidity }

func (b *box) Close() error {
	b.target.release(b.c)
	return nil
}

// Limits come from PERMANENTFLAGS (RFC 9051 section 7.1) and APPENDLIMIT (RFC
// 7889).
func (b *box) Limits() restore.Limits {
	permanent := b.data.PermanentFlags
	keywords := len(permanent) == 0 || slices.Contains(permanent, imap.FlagWildcard)
	l := restore.Limits{Flag: func(flag string) bool {
		if imapconn.CheckFlags([]imap.Flag{imap.Flag(flag)}) != nil {
			return false
		}
		if len(permanent) == 0 {
			return true // a server that does not say keeps all (RFC 9051 section 7.1)
		}
		known := slices.ContainsFunc(permanent, func(p imap.Flag) bool { return strings.EqualFold(string(p), flag) })
		return known || keywords && !strings.HasPrefix(flag, `\`)
	}}
	if limit, ok := b.c.Caps().AppendLimit(); ok && limit != nil {
		l.Size = int64(*limit)
	}
	return l
}

// Present asks for the sizes and Message-IDs of all messages.
func (b *box) Present(ctx context.Context, each func(restore.Present) error) error {
	if b.count() == 0 {
		return nil
	}
	defer b.c.Bind(ctx)()
	all := imap.UIDSet{imap.UIDRange{Start: 1, Stop: 0}}
	options := &imap.FetchOptions{UID: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{{
		Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Message-ID"}, Peek: true}}}
	return b.fetch(all, options, func(msg *imapclient.FetchMessageData) error {
		var p restore.Present
		for item := msg.Next(); item != nil; item = msg.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				p.ID = strconv.FormatUint(uint64(item.UID), 10)
			case imapclient.FetchItemDataRFC822Size:
				p.Size = item.Size
			case imapclient.FetchItemDataBodySection:
				if item.Literal == nil {
					continue
				}
				const enough = 64 << 10
				header, err := io.ReadAll(io.LimitReader(item.Literal, enough))
				if err != nil {
					return err
				}
				p.MessageID = messages.Summarize(header).MessageID
			}
		}
		if p.ID == "" {
			return nil
		}
		return each(p)
	})
}

// count is how many messages the folder has by now.
func (b *box) count() uint32 {
	if sel := b.c.Mailbox(); sel != nil {
		return sel.NumMessages
	}
	return b.data.NumMessages
}

// readAtOnce is how many messages one FETCH asks for.
const readAtOnce = 500

// Read reads messages whole, without setting \Seen.
func (b *box) Read(ctx context.Context, ids []string, each func(id string, size int64, octets io.Reader) error) error {
	defer b.c.Bind(ctx)()
	for part := range slices.Chunk(ids, readAtOnce) {
		var set imap.UIDSet
		for _, id := range part {
			uid, err := strconv.ParseUint(id, 10, 32)
			if err != nil {
				return fmt.Errorf("%q is no UID", id)
			}
			set.AddNum(imap.UID(uid))
		}
		options := &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}
		err := b.fetch(set, options, func(msg *imapclient.FetchMessageData) error {
			id := ""
			for item := msg.Next(); item != nil; item = msg.Next() {
				switch item := item.(type) {
				case imapclient.FetchItemDataUID:
					id = strconv.FormatUint(uint64(item.UID), 10)
				case imapclient.FetchItemDataBodySection:
					// The connection shows the UID before the body.
					if item.Literal == nil || id == "" {
						continue
					}
					if err := each(id, item.Literal.Size(), item.Literal); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *box) fetch(set imap.UIDSet, options *imap.FetchOptions, each func(*imapclient.FetchMessageData) error) error {
	cmd := b.c.Fetch(set, options)
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		if err := each(msg); err != nil {
			reason := b.c.Err()
			b.c.Close() // the rest of the answer is of no use
			cmd.Close()
			if reason != nil {
				return fmt.Errorf("FETCH: %w", reason)
			}
			return err
		}
	}
	if err := cmd.Close(); err != nil {
		return explain(b.c, "FETCH", err)
	}
	return nil
}

const (
	// So many messages, and so many octets of them, may be on their way
	// without an answer.
	aheadMessages = 32
	aheadBytes    = 4 << 20
)

// Append appends messages, several of them before the first answer comes.
func (b *box) Append(ctx context.Context, list []restore.Outgoing, done func(i int, id string, err error)) error {
	defer b.c.Bind(ctx)()
	type sent struct {
		i   int
		cmd *imapclient.AppendCommand
	}
	var waiting []sent
	octets := int64(0)
	answer := func() error {
		s := waiting[0]
		waiting = waiting[1:]
		octets -= list[s.i].Size
		data, err := s.cmd.Wait()
		if err == nil {
			id := ""
			if data.UID != 0 && data.UIDValidity == b.data.UIDValidity {
				id = strconv.FormatUint(uint64(data.UID), 10)
			}
			done(s.i, id, nil)
			return nil
		}
		err = explain(b.c, "APPEND", err)
		no, ok := errors.AsType[*imap.Error](err)
		switch {
		case !ok || b.c.Err() != nil || errors.Is(err, imapconn.ErrBusy) || errors.Is(err, restore.ErrAccess):
			return err
		case no.Code == imap.ResponseCodeOverQuota:
			return fmt.Errorf("%w: %w", restore.ErrRoom, err)
		case no.Code == imap.ResponseCodeTryCreate:
			return err // the folder was deleted under us
		}
		done(s.i, "", fmt.Errorf("%w: %w", restore.ErrNotTaken, err))
		return nil
	}
	// drain takes the answers that are still due, after an error.
	drain := func(err error) error {
		for len(waiting) > 0 && b.c.Err() == nil {
			if answer() != nil {
				break
			}
		}
		return err
	}
	for i := range list {
		for len(waiting) >= aheadMessages || len(waiting) > 0 && octets+list[i].Size > aheadBytes {
			if err := answer(); err != nil {
				return drain(err)
			}
		}
		options := &imap.AppendOptions{Time: list[i].InternalDate}
		for _, f := range list[i].Flags {
			options.Flags = append(options.Flags, imap.Flag(f))
		}
		cmd, err := b.c.Append(b.place, list[i].Size, options)
		if err != nil {
			done(i, "", fmt.Errorf("%w: %w", restore.ErrNotTaken, err)) // nothing was sent
			continue
		}
		if err := list[i].Write(ctx, cmd); err != nil {
			// Half a literal cannot be taken back.
			reason := b.c.Err()
			b.c.Close()
			if reason != nil {
				err = reason
			}
			return fmt.Errorf("APPEND: %w", err)
		}
		if err := cmd.Close(); err != nil {
			return explain(b.c, "APPEND", err)
		}
		waiting = append(waiting, sent{i, cmd})
		octets += list[i].Size
	}
	for len(waiting) > 0 {
		if err := answer(); err != nil {
			return drain(err)
		}
	}
	return nil
}
