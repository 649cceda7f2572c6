package imaptarget

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/restore"
	"restante/storage/messages"
)

// Present asks for the sizes and Message-IDs of all messages.
func (b *box) Present(ctx context.Context, each func(restore.Present) error) error {
	if b.empty() {
		return nil
	}
	defer b.c.Bind(ctx)()
	options := &imap.FetchOptions{UID: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{{
		Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Message-ID"}, Peek: true}}}
	told := map[uint32]bool{} // only where some are not
	var uids []uint32
	tell := func(msg *imapclient.FetchMessageData) error {
		uid, p, err := present(msg)
		if err != nil || uid == 0 || told[uid] {
			return err
		}
		uids = append(uids, uid)
		return each(p)
	}
	err := b.fetch(imap.UIDSet{imap.UIDRange{Start: 1, Stop: 0}}, options, tell)
	if err != nil && !refused(b.c, err) {
		return err
	}
	if err == nil && len(uids) >= int(b.count()) {
		return nil
	}
	// What an answer leaves out is there all the same, and would be added again.
	for _, uid := range uids {
		told[uid] = true
	}
	all, err := b.search(nil)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(all, func(uid uint32) bool { return told[uid] })
	left, err = b.insist(left, func(part []uint32) ([]uint32, error) {
		uids = nil
		err := b.fetch(setOf(part), options, tell)
		for _, uid := range uids {
			told[uid] = true
		}
		return slices.DeleteFunc(slices.Clone(part), func(uid uint32) bool { return told[uid] }), err
	})
	if err != nil {
		return err
	}
	for _, uid := range left {
		b.target.o.Log.Warn("the server does not show a message", "folder", b.place, "uid", uid)
		if err := each(restore.Present{ID: name(uid), Untold: true}); err != nil {
			return err
		}
	}
	return nil
}

// present reads what FETCH says of a message.
func present(msg *imapclient.FetchMessageData) (uid uint32, p restore.Present, err error) {
	for item := msg.Next(); item != nil; item = msg.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = uint32(item.UID)
			p.ID = name(uid)
		case imapclient.FetchItemDataRFC822Size:
			p.Size = item.Size
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				continue
			}
			const enough = 64 << 10
			header, err := io.ReadAll(io.LimitReader(item.Literal, enough))
			if err != nil {
				return uid, p, err
			}
			p.MessageID = messages.Summarize(header).MessageID
		}
	}
	return uid, p, nil
}

// name is a UID as an ID.
func name(uid uint32) string { return strconv.FormatUint(uint64(uid), 10) }

// count is how many messages the folder has by now.
func (b *box) count() uint32 {
	if sel := b.c.Mailbox(); sel != nil {
		return sel.NumMessages
	}
	return b.data.NumMessages
}

// empty says that the folder has no message. A server that does not say how many
// there are has not said that.
func (b *box) empty() bool { return b.count() == 0 && b.c.Counted() }

// readAtOnce is how many messages one FETCH asks for.
const readAtOnce = 500

// Read reads messages whole, without setting \Seen.
func (b *box) Read(ctx context.Context, ids []string, each func(id string, size int64, octets io.Reader) error) error {
	defer b.c.Bind(ctx)()
	for part := range slices.Chunk(ids, readAtOnce) {
		var uids []uint32
		for _, id := range part {
			uid, err := strconv.ParseUint(id, 10, 32)
			if err != nil {
				return fmt.Errorf("%q is no UID", id)
			}
			uids = append(uids, uint32(uid))
		}
		left, err := b.read(uids, each)
		if err == nil && len(left) == 0 {
			continue
		}
		if err != nil && !refused(b.c, err) {
			return err
		}
		// They are gone, or the server does not give them.
		if left, err = b.search(left); err != nil {
			return err
		}
		if left, err = b.insist(left, func(part []uint32) ([]uint32, error) { return b.read(part, each) }); err != nil {
			return err
		}
		for _, uid := range left {
			b.target.o.Log.Warn("the server does not give a message", "folder", b.place, "uid", uid)
			if err := each(name(uid), 0, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads messages and returns the UIDs of those that did not come.
func (b *box) read(uids []uint32, each func(id string, size int64, octets io.Reader) error) ([]uint32, error) {
	left := make(map[uint32]bool, len(uids))
	for _, uid := range uids {
		left[uid] = true
	}
	options := &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}
	err := b.fetch(setOf(uids), options, func(msg *imapclient.FetchMessageData) error {
		uid := uint32(0)
		for item := msg.Next(); item != nil; item = msg.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				uid = uint32(item.UID)
			case imapclient.FetchItemDataBodySection:
				// The connection shows the UID before the body.
				if item.Literal == nil || !left[uid] {
					continue
				}
				if err := each(name(uid), item.Literal.Size(), item.Literal); err != nil {
					return err
				}
				delete(left, uid)
			}
		}
		return nil
	})
	return slices.DeleteFunc(slices.Clone(uids), func(uid uint32) bool { return !left[uid] }), err
}

// insist asks for messages that are there and did not come: once more, and
// then, where the server says no, for ever fewer at once, so that one that
// cannot be had does not take others with it. ask returns those that did not
// come; so does insist.
func (b *box) insist(uids []uint32, ask func([]uint32) ([]uint32, error)) (left []uint32, err error) {
	if len(uids) == 0 {
		return nil, nil
	}
	uids, err = ask(uids)
	switch {
	case err == nil:
		return uids, nil
	case !refused(b.c, err):
		return nil, err
	case len(uids) <= 1:
		return uids, nil
	}
	for _, half := range [][]uint32{uids[:len(uids)/2], uids[len(uids)/2:]} {
		more, err := b.insist(half, ask)
		if err != nil {
			return nil, err
		}
		left = append(left, more...)
	}
	return left, nil
}

// search asks which of some messages are there; of nil, which are there at all.
func (b *box) search(uids []uint32) ([]uint32, error) {
	criteria := new(imap.SearchCriteria)
	if uids != nil {
		criteria.UID = []imap.UIDSet{setOf(uids)}
	}
	var options *imap.SearchOptions
	if b.c.Caps().Has(imap.CapESearch) {
		options = &imap.SearchOptions{ReturnAll: true}
	}
	data, err := b.c.UIDSearch(criteria, options).Wait()
	if err != nil {
		return nil, explain(b.c, "UID SEARCH", err)
	}
	found, _ := data.All.(imap.UIDSet)
	const news = 100_000 // messages that may have come meanwhile
	most, list := uint64(b.count())+news, []uint32{}
	for _, r := range found {
		if r.Start == 0 || r.Stop < r.Start || uint64(r.Stop-r.Start) >= most-uint64(len(list)) {
			return nil, fmt.Errorf("UID SEARCH: the server has %d messages and tells of the set %v", b.count(), found)
		}
		for uid := uint64(r.Start); uid <= uint64(r.Stop); uid++ {
			list = append(list, uint32(uid))
		}
	}
	return list, nil
}

func setOf(uids []uint32) (set imap.UIDSet) {
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return set
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
