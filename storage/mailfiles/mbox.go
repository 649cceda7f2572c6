package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"
)

// Dialect is how an mbox file keeps a line of a message that begins with
// "From " from looking like the beginning of the next message.
type Dialect int

const (
	// DialectUnknown: nothing in the file tells.
	DialectUnknown Dialect = iota
	// Mboxo puts a '>' before "From ". It cannot be undone, since ">From "
	// may have been there before.
	Mboxo
	// Mboxrd puts a '>' before "From ", ">From ", ">>From " and so on. Taking
	// one away restores the message exactly.
	Mboxrd
	// Mboxcl quotes as mboxo does, and has a Content-Length field besides.
	Mboxcl
	// Mboxcl2 has only the Content-Length field and quotes nothing.
	Mboxcl2
)

func (d Dialect) String() string {
	return [...]string{"unknown", "mboxo", "mboxrd", "mboxcl", "mboxcl2"}[d]
}

// MboxOptions are what the caller knows about a file and the file does not
// say. The zero value is right for a file of which nothing is known.
type MboxOptions struct {
	// Dialect is taken for granted if it is not DialectUnknown.
	Dialect Dialect
	// Zone is the zone of From_ lines that name none. Nil means UTC, as
	// qmail's mbox(5) has it; many programs write local time.
	Zone *time.Location
}

// An Mbox is an mbox file: go through its Messages, Open those of interest,
// then ask Check whether the file held still meanwhile and Report what kind of
// file it was. No more of it is held in memory than a window. An Mbox is for one
// goroutine; readers that Open returned may be read in others.
//
//	From joe@example.org Mon Jan  5 08:50:15 2004     the From_ line
//	Subject: hello                                    the message: MboxMessage.Start, Length
//
//	>From my point of view …                          a quoted line
//	                                                  an empty line, not of the message
//	From …
//
// Files end their lines with LF or CRLF; both are taken, and left in messages
// as they are.
type Mbox struct {
	r       io.ReaderAt
	size    int64
	options MboxOptions

	file *os.File    // nil if the caller opened it
	name string      // nothing is opened by it, only looked at
	info fs.FileInfo // when it was opened

	lengths *lengthSurvey // nil until a Content-Length field was met
	report  MboxReport
}

// OpenMbox opens a file. It is left as it is, no lock is taken.
func OpenMbox(name string, options MboxOptions) (*Mbox, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|noWaiting, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the mbox: %w", err)
	}
	return newMbox(file, name, options)
}

func newMbox(file *os.File, name string, options MboxOptions) (*Mbox, error) {
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("opening the mbox %s: %w", name, err)
	}
	b := ReadMbox(file, info.Size(), options)
	b.file, b.name, b.info = file, name, info
	return b, nil
}

// ReadMbox reads size octets of r as an mbox file.
func ReadMbox(r io.ReaderAt, size int64, options MboxOptions) *Mbox {
	if options.Zone == nil {
		options.Zone = time.UTC
	}
	return &Mbox{r: r, size: size, options: options}
}

// Close closes the file if OpenMbox opened it.
func (b *Mbox) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// Size returns the size of the file in octets when it was opened; what was
// added later is not read.
func (b *Mbox) Size() int64 { return b.size }

// Modified returns the file's time when it was opened.
func (b *Mbox) Modified() time.Time {
	if b.info == nil {
		return time.Time{}
	}
	return b.info.ModTime()
}

// Check returns ErrChanged if the file is not what it was when it was opened:
// if it grew or shrank, was written to, or another one has its name now. Then
// a mail program was at work. Messages that Open read to their end are whole
// nevertheless; that one message or another is not in the file proves
// nothing, and the last one may have been half written.
func (b *Mbox) Check() error {
	if b.file == nil {
		return nil
	}
	now, err := b.file.Stat()
	if err != nil {
		return fmt.Errorf("checking the mbox %s: %w", b.name, err)
	}
	named, err := os.Stat(b.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checking the mbox %s: %w", b.name, err)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("it was removed: %w", ErrChanged)
	case !os.SameFile(named, now):
		err = fmt.Errorf("another file took its place: %w", ErrChanged)
	case now.Size() != b.size:
		err = fmt.Errorf("it had %d octets and has %d: %w", b.size, now.Size(), ErrChanged)
	case !now.ModTime().Equal(b.info.ModTime()):
		err = fmt.Errorf("it was written to: %w", ErrChanged)
	default:
		return nil
	}
	return fmt.Errorf("checking the mbox %s: %w", b.name, err)
}

// An MboxMessage is a message in an mbox file.
type MboxMessage struct {
	Index  int   // position in the file, from 0
	Offset int64 // where its From_ line begins
	Start  int64 // where the message begins
	Length int64 // its octets as they stand in the file
	From   FromLine

	// Flags are IMAP's flags and keywords, from the fields that mail programs
	// add: Status, X-Status, X-Keywords, X-Mozilla-Status, X-Mozilla-Keys. The
	// fields stay in the message. Whoever sent a message may have put them
	// there, so they tell nothing about whether it is worth keeping.
	Flags []string
	// Expunged says that Thunderbird has deleted the message and will drop it
	// when it compacts the folder.
	Expunged bool
	// Internal marks what looks like the pseudo message in which c-client keeps
	// data about the folder ("DON'T DELETE THIS MESSAGE").
	Internal bool
	// Orphan marks what stands before the first From_ line of a file. It is
	// no message by the rules, but may be the rest of one.
	Orphan bool

	// Exact says that what Open gives is what was put into the file: no line
	// of it looks quoted, or the quoting was undone with certainty. Otherwise
	// such lines are given as they stand.
	Exact bool
	// Quoted is how many lines begin with '>', any number of them, and "From ".
	Quoted int
	// Weak says that the From_ line was taken for one although it has no empty
	// line before it or no date, because header fields follow.
	Weak bool
	// AtEnd says that the file ends with this message, and Cut that it looks
	// as if it were not all there: the last line has no end, or a message
	// that a MboxWriter wrote is shorter than it was.
	AtEnd, Cut bool

	// Sum is the SHA-256 of the message's octets as they stand in the file.
	// Core is the same without the header fields that mail programs change
	// when somebody reads or flags a message; where there are none, it is Sum.
	// Two messages with one Core are one message in two states.
	Sum, Core [32]byte

	undo undo // what Open has to do
	size int64
}

// Size returns how many octets Open gives.
func (m *MboxMessage) Size() int64 { return m.size }

// MboxReport is what is known about a file after its messages were gone
// through.
type MboxReport struct {
	Dialect Dialect
	// Sure says that the dialect was declared, or is proven, or makes no
	// difference because nothing in the file looks quoted.
	Sure bool
	Why  string // what speaks for it, a clause for people
	// Messages counts them all, Inexact those that are not Exact, Weak those
	// whose From_ line is.
	Messages, Inexact, Weak int
	// Quoted and Unquoted count lines within messages: those that look quoted,
	// and those that begin with "From ".
	Quoted, Unquoted int
	// LF and CRLF count the lines of the file by their ends.
	LF, CRLF int64
}

// Report returns what the last run through all Messages found.
func (b *Mbox) Report() MboxReport { return b.report }

// Messages goes through the messages from the first to the last. It ends
// after the first error, ErrNotMbox where there is something in the file and
// no message.
func (b *Mbox) Messages(ctx context.Context) iter.Seq2[MboxMessage, error] {
	return func(yield func(MboxMessage, error) bool) {
		s := newMboxScan(ctx, b)
		for {
			m, err := s.next()
			if err == io.EOF {
				b.report = s.verdict()
				return
			}
			if err != nil {
				yield(MboxMessage{}, fmt.Errorf("reading the mbox %s: %w", b.name, err))
				return
			}
			if !yield(*m, nil) {
				return
			}
		}
	}
}
