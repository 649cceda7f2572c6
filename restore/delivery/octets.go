package delivery

import (
	"context"
	"fmt"
	"io"

	"restante/backup/accounts/smtpconn"
	"restante/restore"
)

// longest is how many octets a line may have without its end (RFC 5321 section
// 4.5.3.1.6).
const longest = 998

// A scan finds out what a message's octets need of the way. It is a writer that
// the message is written to.
type scan struct {
	size, at int64 // octets, and within the line
	last     byte
	lf, crlf int64 // line ends
	eight    bool  // octets from 128 on
	nul      bool  // NUL
	cr       bool  // CR with no LF behind it
	long     bool  // a line too long
	unended  bool  // the last line has no end
}

func (s *scan) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case s.last == '\r' && c != '\n':
			s.cr = true
		case c == 0:
			s.nul = true
		}
		if c == '\n' {
			if s.last == '\r' {
				s.crlf++
				s.at--
			} else {
				s.lf++
			}
			s.long = s.long || s.at > longest
			s.at = 0
		} else {
			s.at++
		}
		s.eight = s.eight || c >= 0x80
		s.last = c
	}
	s.size += int64(len(p))
	return len(p), nil
}

// end is called when all was written.
func (s *scan) end() {
	s.cr = s.cr || s.last == '\r'
	s.long = s.long || s.at > longest
	s.unended = s.size > 0 && s.last != '\n'
}

// body is the least that takes the octets as they are, and why.
func (s *scan) body() (b smtpconn.Body, why string) {
	switch {
	case s.nul:
		return smtpconn.Binary, "it has a NUL in it"
	case s.cr:
		return smtpconn.Binary, "it has a CR without LF in it"
	case s.long:
		return smtpconn.Binary, fmt.Sprintf("it has a line of more than %d octets", longest)
	case s.lf > 0:
		return smtpconn.Binary, "its lines end with LF and not CRLF"
	case s.unended:
		return smtpconn.Binary, "its last line has no end"
	case s.eight:
		return smtpconn.EightBit, "it has octets that are not ASCII"
	}
	return smtpconn.SevenBit, ""
}

// asLines is the scan of the message after [lines] has been at it; ok says
// whether that only changes line ends, and all of them alike.
func (s scan) asLines() (after scan, ok bool) {
	if s.nul || s.cr || s.long || s.lf > 0 && s.crlf > 0 {
		return s, false
	}
	s.size += s.lf
	if s.unended {
		s.size += 2
	}
	s.crlf, s.lf, s.unended = s.crlf+s.lf, 0, false
	return s, true
}

// lines writes the LFs of a message as CRLF, and ends its last line.
type lines struct {
	w    io.Writer
	last byte
}

func (l *lines) Write(p []byte) (int, error) {
	var out []byte
	for _, c := range p {
		if c == '\n' && l.last != '\r' {
			out = append(out, '\r')
		}
		out = append(out, c)
		l.last = c
	}
	if _, err := l.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *lines) end() error {
	if l.last == '\n' || l.last == 0 {
		return nil
	}
	_, err := l.w.Write([]byte("\r\n"))
	return err
}

// A letter is a message on its way, as the server takes it.
type letter struct {
	size  int64
	body  smtpconn.Body
	write func(io.Writer) error
}

// fit finds a way for a message that the server takes, and that changes
// nothing; with crlf nothing but line ends. Reason is why there is none.
func fit(ctx context.Context, conn *smtpconn.Conn, o *restore.Outgoing, crlf bool) (l letter, reason string, err error) {
	var s scan
	if err := o.Write(ctx, &s); err != nil {
		return l, "", err
	}
	s.end()
	l = letter{size: s.size, write: func(w io.Writer) error { return o.Write(ctx, w) }}
	var why string
	l.body, why = s.body()
	ok, needed := conn.Takes(l.body)
	if after, can := s.asLines(); !ok && crlf && can {
		l.body, why = after.body()
		l.size = after.size
		l.write = func(w io.Writer) error {
			lines := &lines{w: w}
			if err := o.Write(ctx, lines); err != nil {
				return err
			}
			return lines.end()
		}
		ok, needed = conn.Takes(l.body)
	}
	if !ok {
		reason = fmt.Sprintf("%s, and for that the server would have to know %s", why, needed)
		if _, can := s.asLines(); can && !crlf {
			reason += "; --crlf allows to send it with other line ends"
		}
	}
	return l, reason, nil
}
