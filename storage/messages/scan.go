package messages

import "io"

const (
	// Bodies of fewer octets stay in the recipe: a part costs ids in recipe,
	// pack and index, which do not compress. Four corpora of 356 MB take
	// 65.62 MB with 128 here, 65.57 with 256, 65.70 with 512, 66.33 with 1024
	// (zstd in groups of 4 MiB by kind, ids counted).
	minPart = 256
	// Beyond so many parts, and so deep, the rest of a message is not looked
	// into. It bounds memory and time for messages made to hurt.
	maxParts   = 10_000
	maxNesting = 100
	// Only so much of a Content-Type is read.
	maxField = 4 << 10
)

// A span is a stretch of the text that becomes parts. What is between spans
// stays in the recipe.
type span struct {
	from, to int64
	decode   bool // it is base64
	line     int  // in lines of so many characters, 0 for one without end
	crlf     bool // which end with CRLF
}

// A multipart is open until its closing delimiter, or one of a multipart
// around it.
type multipart struct {
	from, to int // where in boundaries its own stands
	nesting  int
	digest   bool
}

// A scanner finds the spans of a text. It understands MIME (RFC 2045, 2046)
// about as well as the worst sender writes it, and goes over the text once.
type scanner struct {
	*window
	spans []span
	parts int         // entities and spans so far
	open  []multipart // innermost last
	run   run         // base64

	contentType, encoding []byte // of the header being read
	boundaries            []byte // of open, one behind the other
}

// How a header or body ended.
type ending int

const (
	atBody    ending = iota // a header, with an empty line
	atPart                  // a delimiter: another part of the innermost multipart begins
	atClosing               // its closing delimiter
	atEnd                   // the end of the text
)

// scan goes over the text and fills spans.
func (s *scanner) scan(w *window) error {
	s.window = w
	s.spans, s.open, s.parts = s.spans[:0], s.open[:0], 0
	nesting, inDigest := 0, false
	for {
		s.parts++
		end, err := s.header()
		if err != nil {
			return err
		}
		if end == atBody {
			s.boundaries = s.boundaries[:s.used()]
			e := describe(s.contentType, s.encoding, inDigest, s.boundaries)
			if e.message && nesting < maxNesting {
				nesting++
				inDigest = false
				continue
			}
			if len(e.boundary) > 0 && nesting < maxNesting {
				nesting++
				s.boundaries = append(s.boundaries, e.boundary...)
				s.open = append(s.open, multipart{s.used(), len(s.boundaries), nesting, e.digest})
			}
			if end, err = s.body(); err != nil {
				return err
			}
		}
		for end == atClosing {
			s.open = s.open[:len(s.open)-1]
			if end, err = s.body(); err != nil {
				return err
			}
		}
		if end == atEnd {
			return nil
		}
		innermost := s.open[len(s.open)-1]
		nesting, inDigest = innermost.nesting, innermost.digest
	}
}

// used is how much of boundaries belongs to open.
func (s *scanner) used() int {
	if len(s.open) == 0 {
		return 0
	}
	return s.open[len(s.open)-1].to
}

// header goes behind the header that begins here and keeps the two fields
// that matter, each where it stands first.
func (s *scanner) header() (ending, error) {
	s.contentType, s.encoding = s.contentType[:0], s.encoding[:0]
	var field *[]byte // the one being read
	for {
		line, err := s.line()
		if err == io.EOF {
			return atEnd, nil
		}
		if err != nil {
			return 0, err
		}
		if s.first {
			if len(line) == 0 {
				return atBody, nil
			}
			if end, ok := s.delimiter(line); ok {
				return end, nil
			}
			if line[0] != ' ' && line[0] != '\t' {
				field = nil
				if value, ok := fieldValue(line, "content-type"); ok && len(s.contentType) == 0 {
					field, line = &s.contentType, value
				} else if value, ok := fieldValue(line, "content-transfer-encoding"); ok && len(s.encoding) == 0 {
					field, line = &s.encoding, value
				}
			}
		}
		if field != nil {
			*field = append(*field, line[:min(len(line), maxField-len(*field))]...)
		}
	}
}

// fieldValue returns the value of the field that line begins, if its name is
// the lower-case one given.
func fieldValue(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[0]|0x20 != name[0] || !equalFold(line[:len(name)], name) {
		return nil, false
	}
	for i, c := range line[len(name):] {
		switch c {
		case ':':
			return line[len(name)+i+1:], true
		case ' ', '\t': // RFC 5322 section 4.5
		default:
			return nil, false
		}
	}
	return nil, false
}

// body goes behind the body that begins here, and the delimiter after it, and
// makes spans of it. Base64 is looked for in every body, whatever its header
// says: in a bounce that quotes the message it returns, an attachment is the
// same part as in the message itself.
func (s *scanner) body() (ending, error) {
	s.run.begin(s.offset())
	for s.parts <= maxParts {
		start, lineEnd := s.offset(), s.endBefore()
		line, err := s.line()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
		if s.first {
			if end, ok := s.delimiter(line); ok {
				// The line end before a delimiter belongs to it (RFC 2046
				// section 5.1.1).
				s.decoded(s.run.finish())
				s.leaf(s.run.after, start-lineEnd)
				return end, nil
			}
		}
		s.decoded(s.run.add(start, line, s.first, s.end))
	}
	s.decoded(s.run.finish())
	s.leaf(s.run.after, s.length)
	return atEnd, nil
}

// leaf makes a span of what is stored as it is.
func (s *scanner) leaf(from, to int64) {
	if to-from >= minPart {
		s.spans = append(s.spans, span{from: from, to: to})
		s.parts++
	}
}

// decoded makes spans of a finished run of base64, if there is one, and of
// what stands before it.
func (s *scanner) decoded(r span) {
	if (r.to-r.from)/4*3 < minPart {
		return
	}
	s.leaf(s.run.after, r.from)
	s.spans = append(s.spans, r)
	s.parts++
	s.run.after = r.to
}

// delimiter says whether line is a delimiter of an open multipart, and which
// kind. It belongs to the innermost one that knows it; those within that one
// end with it.
func (s *scanner) delimiter(line []byte) (ending, bool) {
	if len(s.open) == 0 || len(line) < 3 || line[0] != '-' || line[1] != '-' {
		return 0, false
	}
	line = line[2:]
	for len(line) > 0 && (line[len(line)-1] == ' ' || line[len(line)-1] == '\t' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	for i := len(s.open) - 1; i >= 0; i-- {
		boundary := s.boundaries[s.open[i].from:s.open[i].to]
		n := len(boundary)
		if len(line) != n && len(line) != n+2 || string(line[:n]) != string(boundary) {
			continue
		}
		if len(line) == n {
			s.open = s.open[:i+1]
			return atPart, true
		}
		if line[n] == '-' && line[n+1] == '-' {
			s.open = s.open[:i+1]
			return atClosing, true
		}
	}
	return 0, false
}
