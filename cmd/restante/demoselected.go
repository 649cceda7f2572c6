package main

import (
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// A demoChosen is a message that a command names.
type demoChosen struct {
	seq   uint32 // as this client counts; 0 if it does not know of it yet
	place uint32 // as the server counts
	*demoMessage
}

// choose finds the messages of a set. The caller holds the server's mu.
func (s *demoSession) choose(set imap.NumSet) (list []demoChosen) {
	for _, c := range s.seen() {
		if s.covers(set, c) {
			list = append(list, c)
		}
	}
	return list
}

func (s *demoSession) seen() []demoChosen {
	list := make([]demoChosen, len(s.folder.messages))
	for i, m := range s.folder.messages {
		list[i] = demoChosen{s.view.EncodeSeqNum(uint32(i + 1)), uint32(i + 1), m}
	}
	return list
}

// covers says whether a set names a message. "*" is the last one there is.
func (s *demoSession) covers(set imap.NumSet, c demoChosen) bool {
	last := s.folder.messages[len(s.folder.messages)-1]
	within := func(start, stop, n, last uint32) bool {
		if start == 0 {
			start = last
		}
		if stop == 0 {
			stop = last
		}
		return n > 0 && min(start, stop) <= n && n <= max(start, stop)
	}
	switch set := set.(type) {
	case imap.UIDSet:
		return slices.ContainsFunc(set, func(r imap.UIDRange) bool {
			return within(uint32(r.Start), uint32(r.Stop), uint32(c.uid), uint32(last.uid))
		})
	case imap.SeqSet:
		known := uint32(len(s.folder.messages))
		for known > 0 && s.view.EncodeSeqNum(known) == 0 {
			known--
		}
		return slices.ContainsFunc(set, func(r imap.SeqRange) bool { return within(r.Start, r.Stop, c.seq, s.view.EncodeSeqNum(known)) })
	}
	return false
}

// Expunge removes what is marked \Deleted. In a folder that was opened with
// EXAMINE it does nothing, as CLOSE must (RFC 9051 section 6.4.1).
func (s *demoSession) Expunge(_ *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	if s.readOnly {
		return nil
	}
	defer s.lock()()
	gone := map[*demoMessage]bool{}
	for _, c := range s.seen() {
		gone[c.demoMessage] = c.has(imap.FlagDeleted) && (uids == nil || s.covers(*uids, c))
	}
	s.folder.remove(func(m *demoMessage) bool { return gone[m] }) // Poll tells of it
	return nil
}

func (s *demoSession) Copy(set imap.NumSet, to string) (*imap.CopyData, error) {
	defer s.lock()()
	data, _, err := s.copy(set, to)
	return data, err
}

// copy copies messages, with all they have. The caller holds the server's mu.
func (s *demoSession) copy(set imap.NumSet, to string) (data *imap.CopyData, copied map[*demoMessage]bool, err error) {
	f, err := s.find(to, imap.ResponseCodeTryCreate)
	if err != nil {
		return nil, nil, err
	}
	chosen := s.choose(set)
	if len(chosen) == 0 {
		return nil, nil, nil
	}
	data, copied = &imap.CopyData{UIDValidity: f.validity}, map[*demoMessage]bool{}
	for _, c := range chosen {
		copied[c.demoMessage] = true
		data.SourceUIDs.AddNum(c.uid)
		data.DestUIDs.AddNum(f.add(c.octets, c.date, c.flags).uid)
	}
	return data, copied, nil
}

func (s *demoSession) Move(w *imapserver.MoveWriter, set imap.NumSet, to string) error {
	if s.readOnly {
		return demoNo("", "the folder was opened to be read only")
	}
	unlock := s.lock()
	data, copied, err := s.copy(set, to)
	if err == nil {
		s.folder.remove(func(m *demoMessage) bool { return copied[m] }) // Poll tells of it
	}
	unlock()
	if err != nil || data == nil {
		return err
	}
	return w.WriteCopyData(data)
}

func (s *demoSession) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, _ *imap.StoreOptions) error {
	if s.readOnly {
		return demoNo("", "the folder was opened to be read only")
	}
	unlock := s.lock()
	chosen := s.choose(set)
	for _, c := range chosen {
		switch flags.Op {
		case imap.StoreFlagsSet:
			c.flags = nil
			fallthrough
		case imap.StoreFlagsAdd:
			c.set(flags.Flags)
		case imap.StoreFlagsDel:
			c.clear(flags.Flags)
		}
		s.folder.tracker.QueueMessageFlags(c.place, c.uid, slices.Clone(c.flags), s.view)
	}
	unlock()
	if flags.Silent {
		return nil
	}
	return s.write(w, chosen, &imap.FetchOptions{UID: true, Flags: true})
}

// Search knows places, UIDs, flags, sizes and internal dates, and refuses to
// look into messages.
func (s *demoSession) Search(kind imapserver.NumKind, criteria *imap.SearchCriteria, _ *imap.SearchOptions) (*imap.SearchData, error) {
	if !searchable(criteria) {
		return nil, demoNo(imap.ResponseCodeCannot, "this server does not search in messages")
	}
	defer s.lock()()
	data := new(imap.SearchData)
	var uids imap.UIDSet
	var seqs imap.SeqSet
	for _, c := range s.seen() {
		n := uint32(c.uid)
		if kind == imapserver.NumKindSeq {
			n = c.seq
		}
		if n == 0 || !s.matches(criteria, c) {
			continue
		}
		uids.AddNum(imap.UID(n))
		seqs.AddNum(n)
		if data.Count++; data.Min == 0 {
			data.Min = n
		}
		data.Max = n
	}
	data.All = uids
	if kind == imapserver.NumKindSeq {
		data.All = seqs
	}
	return data, nil
}

func searchable(c *imap.SearchCriteria) bool {
	ok := len(c.Header)+len(c.Body)+len(c.Text) == 0 && c.SentSince.IsZero() && c.SentBefore.IsZero() && c.ModSeq == nil
	for i := range c.Not {
		ok = ok && searchable(&c.Not[i])
	}
	for i := range c.Or {
		ok = ok && searchable(&c.Or[i][0]) && searchable(&c.Or[i][1])
	}
	return ok
}

func (s *demoSession) matches(criteria *imap.SearchCriteria, c demoChosen) bool {
	// Dates are compared without time and zone (RFC 9051 section 6.4.4).
	day := time.Date(c.date.Year(), c.date.Month(), c.date.Day(), 0, 0, 0, 0, time.UTC)
	size := int64(len(c.octets))
	ok := (criteria.Since.IsZero() || !day.Before(criteria.Since)) && (criteria.Before.IsZero() || day.Before(criteria.Before)) &&
		(criteria.Larger == 0 || size > criteria.Larger) && (criteria.Smaller == 0 || size < criteria.Smaller)
	for _, set := range criteria.SeqNum {
		ok = ok && s.covers(set, c)
	}
	for _, set := range criteria.UID {
		ok = ok && s.covers(set, c)
	}
	for _, flag := range criteria.Flag {
		ok = ok && c.has(flag)
	}
	for _, flag := range criteria.NotFlag {
		ok = ok && !c.has(flag)
	}
	for i := range criteria.Not {
		ok = ok && !s.matches(&criteria.Not[i], c)
	}
	for i := range criteria.Or {
		ok = ok && (s.matches(&criteria.Or[i][0], c) || s.matches(&criteria.Or[i][1], c))
	}
	return ok
}
