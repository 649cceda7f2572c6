package mailfiles

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"
)

// An mboxScan goes through an mbox file once, line by line, and cuts it into
// messages. It holds one window of the file; lines may be longer than that.
type mboxScan struct {
	ctx    context.Context
	b      *Mbox
	survey *lengthSurvey // counts instead of messages, see mboxlength.go

	// The window: buf[pos:end] is to be read, off is where buf[0] lies in the
	// file, buf[hashed:pos] is to be hashed.
	buf              []byte
	off              int64
	pos, end, hashed int

	m       *MboxMessage // the message at hand
	done    bool         // the file was read to its end
	pending []byte       // an empty line that may belong to the next From_ line
	blank   bool         // the line before was empty, or nothing was before
	space   bool         // nothing but white space since the file began
	last    byte         // the octet before pos
	lines   int64        // line feeds in m
	limit   int64        // where m ends by its Content-Length, or -1
	header  mboxHeader
	sum     hash.Hash
	core    hash.Cloner // nil as long as it would be the same as sum
	mute    bool        // core does not get this line

	report MboxReport
	marked int // messages that MboxWriter wrote, unchanged
}

// next returns the next message, io.EOF after the last one.
func (s *mboxScan) next() (*MboxMessage, error) {
	if s.m == nil && !s.done {
		if err := s.fill(lookahead); err != nil {
			return nil, err
		}
		if bytes.HasPrefix(s.buf[:s.end], byteOrderMark) {
			s.skip(len(byteOrderMark))
		}
		s.begin(&MboxMessage{Offset: s.at(), Start: s.at(), Orphan: true})
		s.blank, s.space, s.header.over = true, true, true
	}
	for !s.done {
		if err := s.fill(lookahead); err != nil {
			return nil, err
		}
		if s.limit >= 0 && s.at() == s.limit {
			done, err := s.finishAtLimit()
			if done != nil || err != nil {
				return done, err
			}
			continue
		}
		if s.pos == s.end {
			s.done = true
			if s.m.Orphan && !s.space {
				return nil, ErrNotMbox
			}
			if s.m.Orphan {
				break
			}
			return s.finish(s.at()-int64(len(s.pending)), true), nil
		}
		if from, line, weak := s.separator(); line > 0 {
			var done *MboxMessage
			if !s.m.Orphan || !s.space {
				done = s.finish(s.at()-int64(len(s.pending)), false)
			}
			s.beginAt(from, line, weak)
			if done != nil {
				return done, nil
			}
			continue
		}
		if err := s.content(); err != nil {
			return nil, err
		}
	}
	return nil, io.EOF
}

// finishAtLimit finishes a message that ends here by its Content-Length, and
// begins the next one.
func (s *mboxScan) finishAtLimit() (*MboxMessage, error) {
	s.release()
	s.flush()
	end := s.limit
	s.limit = -1
	s.skip(lineEnds(s.buf[s.pos:s.end]))
	if s.pos == s.end {
		s.done = true
		return s.finish(end, true), nil
	}
	line, _ := cutLine(s.buf[s.pos:s.end])
	if !bytes.HasPrefix(line, fromPrefix) {
		return nil, ErrChanged // it was there when the length was checked
	}
	from, _ := parseFromLine(bytes.TrimRight(line, "\r\n"), s.b.options.Zone)
	done := s.finish(end, false)
	s.beginAt(from, len(line), false)
	return done, nil
}

// beginAt begins the message whose From_ line is at hand.
func (s *mboxScan) beginAt(from FromLine, line int, weak bool) {
	m := &MboxMessage{Index: s.report.Messages, Offset: s.at(), From: from, Weak: weak}
	s.countLine(s.buf[s.pos : s.pos+line])
	s.skip(line)
	m.Start = s.at()
	s.begin(m)
	if s.survey != nil {
		s.survey.begin(m.Offset)
	}
}

func (s *mboxScan) begin(m *MboxMessage) {
	s.m, s.pending, s.blank, s.space, s.lines, s.limit = m, s.pending[:0], false, false, 0, -1
	s.header, s.core, s.mute = mboxHeader{length: -1, value: s.header.value}, nil, false
	if s.sum == nil {
		s.sum = sha256.New()
	}
	s.sum.Reset()
	s.hashed = s.pos
}

// content reads one line of a message.
func (s *mboxScan) content() error {
	line, whole := cutLine(s.rest())
	if whole && isEmpty(line) {
		s.emptyLine(line)
		if s.header.over {
			return nil
		}
		s.header.over = true
		return s.headerRead(s.at())
	}
	s.release()
	s.space = s.space && len(bytes.TrimSpace(line)) == 0
	s.blank = s.space
	if !s.header.over {
		s.headerLine(line)
	}
	if line[0] == '>' {
		if err := s.quotes(); err != nil {
			return err
		}
	} else if bytes.HasPrefix(line, fromPrefix) {
		s.report.Unquoted++
	}
	return s.restOfLine()
}

// emptyLine takes an empty line. It belongs to the message only if no From_
// line follows, so it waits.
func (s *mboxScan) emptyLine(line []byte) {
	s.release()
	s.flush()
	s.mute = false
	s.countLine(line)
	s.pending = append(s.pending, line...)
	s.last = '\n'
	s.skip(len(line))
	s.blank = true
}

// headerLine takes a line of the header. Fields that mail programs change do
// not go into core.
func (s *mboxScan) headerLine(line []byte) {
	mute := s.header.line(line)
	if mute == s.mute {
		return
	}
	s.flush()
	if mute && s.core == nil && s.survey == nil {
		// Until here both sums are the same. Clone cannot fail for SHA-256.
		s.core, _ = s.sum.(hash.Cloner).Clone()
	}
	s.mute = mute
}

// release gives the empty line that waited to the message.
func (s *mboxScan) release() {
	if len(s.pending) > 0 {
		s.flush()
		s.write(s.pending)
		s.pending = s.pending[:0]
		s.lines++
	}
}

// quotes reads the '>' at the beginning of a line and looks what follows.
func (s *mboxScan) quotes() error {
	for {
		rest := s.rest()
		n := len(rest) - len(bytes.TrimLeft(rest, ">"))
		s.pos += n
		s.last = '>'
		if err := s.fill(lookahead); err != nil {
			return err
		}
		if rest = s.rest(); len(rest) == 0 || rest[0] != '>' {
			if bytes.HasPrefix(rest, fromPrefix) {
				s.m.Quoted++
			}
			return nil
		}
	}
}

// restOfLine reads up to the end of the line.
func (s *mboxScan) restOfLine() error {
	for {
		piece, whole := cutLine(s.rest())
		if whole {
			if len(piece) > 1 {
				s.last = piece[len(piece)-2]
			}
			s.lines++
			if s.last == '\r' {
				s.report.CRLF++
			} else {
				s.report.LF++
			}
			s.pos += len(piece)
			s.last = '\n'
			return nil
		}
		if len(piece) > 0 {
			s.last = piece[len(piece)-1]
		}
		s.pos += len(piece)
		if s.limit >= 0 && s.at() == s.limit || s.at() == s.b.size {
			return nil
		}
		if err := s.fill(lookahead); err != nil {
			return err
		}
	}
}

// countLine counts a line by its end.
func (s *mboxScan) countLine(line []byte) {
	switch {
	case bytes.HasSuffix(line, []byte("\r\n")):
		s.report.CRLF++
	case bytes.HasSuffix(line, []byte("\n")):
		s.report.LF++
	}
}

// finish finishes the message at hand, whose octets end at end.
func (s *mboxScan) finish(end int64, atEnd bool) *MboxMessage {
	m := s.m
	m.Length, m.AtEnd = end-m.Start, atEnd
	s.report.Messages++
	s.report.Quoted += m.Quoted
	if s.survey != nil {
		return m
	}
	s.flush()
	s.sum.Sum(m.Sum[:0])
	m.Core = m.Sum
	if s.core != nil {
		s.core.Sum(m.Core[:0])
	}
	s.header.endField()
	m.Flags, m.Expunged = s.header.status.found, s.header.status.expunged
	m.Internal = s.header.status.internal(m)
	s.exactness()
	m.Cut = m.Cut || atEnd && m.Length > 0 && s.last != '\n'
	if !m.Exact {
		s.report.Inexact++
	}
	if m.Weak {
		s.report.Weak++
	}
	return m
}
