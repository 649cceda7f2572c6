package mailfiles

import (
	"bytes"
	"context"
	"io"
)

const (
	windowSize = 256 << 10
	// lookahead is how much of the window is filled at the beginning of a
	// line, for a From_ line and the header fields behind it.
	lookahead = 16 << 10
)

func newMboxScan(ctx context.Context, b *Mbox) *mboxScan {
	return &mboxScan{ctx: ctx, b: b, buf: make([]byte, min(windowSize, b.size))}
}

// at returns the offset in the file.
func (s *mboxScan) at() int64 { return s.off + int64(s.pos) }

// fill makes at least n octets available, or all there are.
func (s *mboxScan) fill(n int) error {
	if s.end-s.pos >= n || s.off+int64(s.end) == s.b.size {
		return nil
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.flush()
	s.off += int64(s.pos)
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.pos, s.hashed = 0, 0
	want := min(int64(len(s.buf)-s.end), s.b.size-s.off-int64(s.end))
	got, err := s.b.r.ReadAt(s.buf[s.end:s.end+int(want)], s.off+int64(s.end))
	s.end += got
	if int64(got) == want {
		return nil
	}
	if err == io.EOF {
		err = ErrChanged // it was longer when it was opened
	}
	return err
}

// flush hashes what was read.
func (s *mboxScan) flush() {
	s.write(s.buf[s.hashed:s.pos])
	s.hashed = s.pos
}

func (s *mboxScan) write(p []byte) {
	if s.survey != nil || len(p) == 0 {
		return
	}
	s.sum.Write(p)
	if s.core != nil && !s.mute {
		s.core.Write(p)
	}
}

// skip moves on without hashing. What was before must have been flushed.
func (s *mboxScan) skip(n int) {
	s.pos += n
	s.hashed = s.pos
}

// rest returns what the window holds of the file, or of the message if a
// Content-Length ends it before.
func (s *mboxScan) rest() []byte {
	if s.limit >= 0 {
		return s.buf[s.pos:min(int64(s.end), s.limit-s.off)]
	}
	return s.buf[s.pos:s.end]
}

// cutLine returns the first line of p with its end; whole says that it has
// one.
func cutLine(p []byte) (line []byte, whole bool) {
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		return p[:i+1], true
	}
	return p, false
}

// isEmpty reports whether a line has nothing but its end.
func isEmpty(line []byte) bool { return string(line) == "\n" || string(line) == "\r\n" }

// lineEnds returns the length of up to two line ends at the beginning of p.
func lineEnds(p []byte) int {
	n := 0
	for range 2 {
		if line, _ := cutLine(p[n:]); isEmpty(line) {
			n += len(line)
		}
	}
	return n
}
