package mailfiles

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// lengthSurvey tells whether the Content-Length fields of a file can be
// relied on. A sender can write such a field as well as a mail program, and a
// length that is believed hides whatever message comes next; so it takes
// three quarters of all messages with a length that leads to the end of a
// message, or the caller's word.
//
// Messages that begin within another one's length are not counted: they are
// what makes mboxcl2 differ from the others.
type lengthSurvey struct {
	messages int   // that begin outside of other messages
	valid    int   // of these, with a right length
	inside   int   // From_ lines within a length
	covered  int64 // up to here goes the last right length
	outside  bool  // the message at hand is counted
}

func (l *lengthSurvey) begin(offset int64) {
	if l.outside = offset >= l.covered; l.outside {
		l.messages++
	} else {
		l.inside++
	}
}

func (l *lengthSurvey) right(end int64) {
	if l.outside {
		l.valid++
		l.covered = end
	}
}

func (l *lengthSurvey) trusted() bool { return l.valid > 0 && 4*l.valid >= 3*l.messages }

// headerRead takes note that the header at hand ended at start, and uses its
// Content-Length if that can be relied on.
func (s *mboxScan) headerRead(start int64) error {
	s.header.endField()
	dialect := s.b.options.Dialect
	if s.header.length < 0 || s.m.Orphan || dialect == Mboxo || dialect == Mboxrd {
		return nil
	}
	if _, marked := parseMark(s.m.From.Sender); marked {
		return nil // ours, quoted, and with whatever field the sender wrote
	}
	if s.header.length > s.b.size-start {
		return nil
	}
	end := start + s.header.length
	right, err := s.b.boundary(end)
	if err != nil || !right {
		return err
	}
	if s.survey != nil {
		s.survey.right(end)
		return nil
	}
	trusted := dialect == Mboxcl || dialect == Mboxcl2
	if !trusted {
		l, err := s.b.surveyLengths(s.ctx)
		if err != nil {
			return err
		}
		trusted = l.trusted()
	}
	if trusted {
		s.limit = end
	}
	return nil
}

// surveyLengths reads the whole file once more for a lengthSurvey, the first
// time that it matters.
func (b *Mbox) surveyLengths(ctx context.Context) (*lengthSurvey, error) {
	if b.lengths == nil {
		l := &lengthSurvey{}
		s := newMboxScan(ctx, b)
		s.survey = l
		for {
			_, err := s.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("surveying the Content-Length fields: %w", err)
			}
		}
		b.lengths = l
	}
	return b.lengths, nil
}

// boundary reports whether a message can end at end: what follows, after up
// to two line ends, is a From_ line or the end of the file.
func (b *Mbox) boundary(end int64) (bool, error) {
	p, err := b.read(end-1, 1+4+maxFromLine)
	if err != nil {
		return false, err
	}
	before, p := p[0], p[1:]
	n := lineEnds(p)
	line, _ := cutLine(p[n:])
	switch {
	case len(line) == 0:
		return true, nil
	case before != '\n' && n == 0:
		return false, nil // in the middle of a line
	case len(line) > maxFromLine || !bytes.HasPrefix(line, fromPrefix):
		return false, nil
	}
	_, shape := parseFromLine(bytes.TrimRight(line, "\r\n"), b.options.Zone)
	if shape != fromUndated {
		return shape == fromDated, nil
	}
	fields, err := b.read(end+int64(n+len(line)), lookahead)
	return knownFields(fields) > 0, err
}

// read returns n octets from an offset on, or what there are.
func (b *Mbox) read(from int64, n int64) ([]byte, error) {
	p := make([]byte, min(b.size-from, n))
	if got, err := b.r.ReadAt(p, from); got < len(p) {
		if err == io.EOF {
			err = ErrChanged
		}
		return nil, err
	}
	return p, nil
}
