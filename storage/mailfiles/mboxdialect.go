package mailfiles

import "fmt"

// exactness finds out what Open has to undo of what a writer did to the
// message at hand, and whether the outcome is certain.
//
// Quoting is undone where the file was declared mboxrd, and where a mark
// proves that MboxWriter wrote the message. A guess is never good enough: a
// line ">From " comes from an mboxo writer, or from mboxrd, or from a person
// who quoted it, and even ">>From " does, twice quoted. What is not undone is
// kept as it stands.
func (s *mboxScan) exactness() {
	m := s.m
	m.size = m.Length
	if mark, ok := parseMark(m.From.Sender); ok {
		mark.setDate(&m.From)
		if mark.sign(m.Sum) == mark {
			s.marked++
			s.unmark(mark)
			return
		}
		m.Cut = m.AtEnd && len(s.pending) == 0
	}
	switch dialect := s.b.options.Dialect; {
	case dialect == Mboxrd:
		m.Exact = true
		m.undo.unquote = true
		m.size -= int64(m.Quoted)
	case dialect == Mboxcl2, dialect == DialectUnknown && s.b.provenMboxcl2():
		m.Exact = true
	default:
		m.Exact = m.Quoted == 0
	}
}

// unmark applies what a mark says. Nobody has changed the message since, so
// its fields of state were in it before and are not about its state in this
// file; only keywords, which a mark has no room for, are taken from them.
func (s *mboxScan) unmark(mark mark) {
	m := s.m
	m.Exact, m.Expunged = true, false
	_, m.Flags, _ = sortFlags(m.Flags)
	m.undo = undo{unquote: true, crlf: mark.crlf, open: mark.open}
	m.size -= int64(m.Quoted)
	lines := s.lines
	if mark.open {
		m.size--
		lines--
	}
	if mark.crlf {
		m.size += lines
	}
	for i := range mark.letters {
		m.Flags = addFlag(m.Flags, flagOfLetter(mark.letters[i]))
	}
}

// provenMboxcl2 reports whether messages of the file hold From_ lines that
// nobody quoted, which only the Content-Length fields keep apart.
func (b *Mbox) provenMboxcl2() bool {
	return b.lengths != nil && b.lengths.trusted() && b.lengths.inside > 0
}

// verdict says what kind of file it was.
func (s *mboxScan) verdict() MboxReport {
	r := s.report
	lengths := s.b.lengths
	switch {
	case s.b.options.Dialect != DialectUnknown:
		r.Dialect, r.Sure, r.Why = s.b.options.Dialect, true, "it was declared"
	case s.marked > 0 && s.marked == r.Messages:
		r.Dialect, r.Sure, r.Why = Mboxrd, true, "every message bears our mark"
	case s.b.provenMboxcl2():
		r.Dialect, r.Sure = Mboxcl2, true
		r.Why = fmt.Sprintf("%d of %d messages have a right Content-Length, and From_ lines stand unquoted within", lengths.valid, lengths.messages)
	case lengths != nil && lengths.trusted():
		r.Dialect, r.Sure = Mboxcl, r.Quoted == 0
		r.Why = fmt.Sprintf("%d of %d messages have a right Content-Length", lengths.valid, lengths.messages)
	case r.Quoted == 0:
		r.Sure, r.Why = true, "no line looks quoted"
	default:
		r.Dialect, r.Why = Mboxo, "lines look quoted, and nothing tells by which rule"
	}
	return r
}
