package mailfiles

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// An MboxWriter writes messages as an mboxrd file from which this package
// reads them back octet by octet, whatever they hold, and which every mail
// program reads. What mboxrd has no room for stands in the From_ lines; see
// mboxmark.go. It is for one goroutine. To add to a file, use [AppendMbox].
type MboxWriter struct {
	w     *bufio.Writer
	spool string // directory for messages too large for memory

	// For every message anew, made once.
	copied []byte
	head   bytes.Buffer
	in     *bufio.Reader
	sum    *bufio.Writer
}

// NewMboxWriter returns a writer to w. Messages of more than a MiB are kept in
// a file in the directory spool while they are written; "" is the system's
// directory for such files.
func NewMboxWriter(w io.Writer, spool string) *MboxWriter {
	return &MboxWriter{
		w: bufio.NewWriterSize(w, 64<<10), spool: spool, copied: make([]byte, 32<<10),
		in: bufio.NewReaderSize(nil, 64<<10), sum: bufio.NewWriterSize(nil, 64<<10),
	}
}

// Write writes one message. Of the flags it keeps those that Maildir has a
// letter for, and of the date whole seconds and the zone; a date outside of
// the years 1 to 9999 is not kept. All octets have been given to the
// underlying writer when it returns. After an error from r nothing was
// written; after any other error the file must not be used.
func (w *MboxWriter) Write(ctx context.Context, d Delivery, r io.Reader) (Delivered, error) {
	m, err := w.readSpool(&contextReader{ctx, r})
	if err != nil {
		return Delivered{}, fmt.Errorf("writing a message to an mbox: %w", err)
	}
	defer m.close()
	done, err := w.write(d, m)
	if err != nil {
		return Delivered{}, fmt.Errorf("writing a message to an mbox: %w", err)
	}
	return done, nil
}

func (w *MboxWriter) write(d Delivery, m *spool) (Delivered, error) {
	letters, keywords, notKept := sortFlags(d.Flags)
	mark := mark{crlf: m.crlf(), open: m.open(), letters: letters}
	date := time.Unix(0, 0).UTC()
	if year := d.Date.UTC().Year(); !d.Date.IsZero() && year >= 1 && year <= 9999 {
		date, mark.zone = d.Date.UTC(), d.Date.Location()
		if _, seconds := d.Date.Zone(); seconds%60 != 0 || max(seconds, -seconds) >= 24*3600 {
			mark.zone = time.UTC
		} else {
			mark.zone = time.FixedZone("", seconds)
		}
	}
	hash := sha256.New()
	w.sum.Reset(hash)
	w.in.Reset(m.reader())
	if err := quote(w.sum, w.in, mark); err != nil {
		return Delivered{}, err
	}
	w.sum.Flush() // a hash takes everything
	mark = mark.sign([32]byte(hash.Sum(nil)))
	fmt.Fprintf(w.w, "From %s %s\n", mark, asctime(date))
	w.in.Reset(m.reader())
	if err := quote(w.w, w.in, mark); err != nil {
		return Delivered{}, err
	}
	w.w.WriteByte('\n')
	if err := w.w.Flush(); err != nil {
		return Delivered{}, err
	}
	return Delivered{Size: m.size, NotKept: append(notKept, keywords...)}, nil
}

// asctime is time.ANSIC with four digits for the year.
func asctime(date time.Time) string {
	return date.Format("Mon Jan _2 15:04:05 ") + fmt.Sprintf("%04d", date.Year())
}

// quote copies a message as mboxrd has it: a '>' before every line of '>'s
// and "From ", LF for CRLF if the mark says so, and a LF at the end if the
// message is open. Lines may be of any length. It returns errors of in; those
// of out show when it is flushed.
func quote(out *bufio.Writer, in *bufio.Reader, mark mark) error {
	lineStart := true
	for {
		if lineStart {
			for {
				run, err := greaters(in)
				if err != nil {
					return err
				}
				if len(run) == 0 {
					break
				}
				out.Write(run)
			}
			if p, _ := in.Peek(len(fromPrefix)); bytes.Equal(p, fromPrefix) {
				out.WriteByte('>')
			}
		}
		line, err := in.ReadSlice('\n')
		lineStart = err == nil
		if mark.crlf {
			// Every CR is before a LF.
			end := len(line)
			line = bytes.TrimRight(line, "\r\n")
			out.Write(line)
			if end > 0 && lineStart {
				out.WriteByte('\n')
			}
		} else {
			out.Write(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
	}
	if mark.open {
		out.WriteByte('\n')
	}
	return nil
}

// A spool holds a message that has to be read several times: in memory, or in
// a file if it is large.
type spool struct {
	head []byte
	file *os.File // the rest, or nil
	size int64

	last      byte
	lf, crlfs int64 // line feeds, and those behind a CR
	cr        int64
}

// spoolMemory is how much of a message is held in memory, in octets.
const spoolMemory = 1 << 20

// readSpool reads r to its end.
func (w *MboxWriter) readSpool(r io.Reader) (m *spool, err error) {
	m = &spool{}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	w.head.Reset()
	if _, err := io.CopyBuffer(io.MultiWriter(&w.head, m), io.LimitReader(r, spoolMemory), w.copied); err != nil {
		return m, err
	}
	m.head = w.head.Bytes()
	if m.size < spoolMemory {
		return m, nil
	}
	if m.file, err = os.CreateTemp(w.spool, ".restante-spool-*"); err != nil {
		return m, err
	}
	os.Remove(m.file.Name()) // it lives until it is closed, except on Windows
	_, err = io.CopyBuffer(io.MultiWriter(m.file, m), r, w.copied)
	return m, err
}

// Write takes note of what p holds.
func (m *spool) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			m.last = rest[len(rest)-1]
			break
		}
		if i > 0 {
			m.last = rest[i-1]
		}
		m.lf++
		if m.last == '\r' {
			m.crlfs++
		}
		m.last = '\n'
		rest = rest[i+1:]
	}
	m.cr += int64(bytes.Count(p, []byte("\r")))
	m.size += int64(len(p))
	return len(p), nil
}

// crlf reports whether all lines end with CRLF, and no CR is anywhere else.
func (m *spool) crlf() bool { return m.lf > 0 && m.lf == m.crlfs && m.cr == m.crlfs }

// open reports whether the last line has no end.
func (m *spool) open() bool { return m.size > 0 && m.last != '\n' }

func (m *spool) reader() io.Reader {
	if m.file == nil {
		return bytes.NewReader(m.head)
	}
	return io.MultiReader(bytes.NewReader(m.head), io.NewSectionReader(m.file, 0, m.size-int64(len(m.head))))
}

func (m *spool) close() error {
	if m.file == nil {
		return nil
	}
	err := m.file.Close()
	if removed := os.Remove(m.file.Name()); removed != nil && !errors.Is(removed, os.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}
