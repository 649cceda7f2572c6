package localsource

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"restante/backup"
	"restante/storage/mailfiles"
)

// mboxOptions: hardly any program writes From_ lines in UTC, as qmail's
// mbox(5) has it. They are in the local time of the computer that the mail is
// on, which is this one.
var mboxOptions = mailfiles.MboxOptions{Zone: time.Local}

type mboxTree struct {
	*mailfiles.MboxTree
	reading func() // for tests, see mboxFolder
}

// subscribed: mail programs show all mbox files there are.
func (*mboxTree) subscribed() (func([]string) bool, error) { return all, nil }

func all([]string) bool { return true }

// specialUse is not known: names mean different things in different programs.
func (*mboxTree) specialUse([]string) []string { return nil }
func (*mboxFile) specialUse([]string) []string { return nil }

func (t *mboxTree) begin(path string, known backup.Known, notes *notes) folder {
	open := func() (*mailfiles.Mbox, error) { return t.Open(path, mboxOptions) }
	return &mboxFolder{openFile: open, known: known, notes: notes, reading: t.reading}
}

// An mboxFile is a single mbox file.
type mboxFile struct {
	name   string
	levels []string // of its folder; nil for what the file's name says
}

func (t *mboxFile) Folders(context.Context) ([]mailfiles.Folder, []mailfiles.Skipped, error) {
	if t.levels != nil {
		return []mailfiles.Folder{{Levels: t.levels, Path: "."}}, nil, nil
	}
	return []mailfiles.Folder{mailfiles.FileFolder(t.name)}, nil, nil
}

func (*mboxFile) subscribed() (func([]string) bool, error) { return all, nil }

func (t *mboxFile) begin(_ string, known backup.Known, notes *notes) folder {
	open := func() (*mailfiles.Mbox, error) { return mailfiles.OpenMbox(t.name, mboxOptions) }
	return &mboxFolder{openFile: open, known: known, notes: notes, reading: func() {}}
}

func (*mboxFile) Close() error { return nil }

// A content is what a message in an mbox is known by: the beginning of the
// hash of its octets, without the header fields in which mail programs keep
// its state. So it stays the same message when it is read or flagged, and when
// the file is compacted, sorted or written anew; a file's size and time are
// not asked, since programs put the time back. 120 bits are enough that
// nobody finds two messages with one content.
type content [15]byte

func contentOf(m *mailfiles.MboxMessage) content { return content(m.Core[:15]) }

// key is the content and, from the second copy of a message in a file on, the
// number of the copy.
func (i *indexed) key() string {
	key := base64.RawURLEncoding.EncodeToString(i.content[:])
	if i.copy > 1 {
		key += "#" + strconv.FormatUint(uint64(i.copy), 10)
	}
	return key
}

// An indexed message is one at its position in the file.
type indexed struct {
	content content
	copy    uint32
	uid     uint32 // 0: left out
}

// An mboxFolder is an mbox file in a run. Of its messages only this much is
// held in memory: 28 octets each, and 12 in the census. What else is known of
// a message is found by going through the file again.
type mboxFolder struct {
	openFile func() (*mailfiles.Mbox, error)
	known    backup.Known
	notes    *notes
	reading  func() // called between reading the file and checking it; tests change it then

	mu      sync.Mutex // guards what follows, and the entries' at
	census  *census    // nil until it was opened; then it stays
	index   []indexed  // in the order of the file
	edition int        // how often the file was found to be another one
	// kept are the first new messages by their positions in the file, so that
	// a few new ones in a large file need no second look at it.
	kept map[uint32]mailfiles.MboxMessage
}

const (
	// keepNew is how many new messages are kept.
	keepNew = 1024
	// mostLooks is how often a file that changes while it is read is read.
	mostLooks = 3
	lookAgain = 200 * time.Millisecond
	// restTime is how long after the last change of a file half a message at
	// its end is taken for one that a mail program is still writing.
	restTime = 2 * time.Minute
)

func (f *mboxFolder) open(ctx context.Context) (backup.Mailbox, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b *mailfiles.Mbox
	var err error
	if f.census == nil {
		b, err = f.count(ctx)
	} else {
		b, err = f.openFile()
	}
	if err != nil {
		return nil, err
	}
	return &mboxMailbox{census: f.census, folder: f, file: b, edition: f.edition}, nil
}

// count reads the file and gives every message its UID. The caller holds mu.
func (f *mboxFolder) count(ctx context.Context) (*mailfiles.Mbox, error) {
	numbers, err := newNumbering(f.known)
	if err != nil {
		return nil, err
	}
	b, s, changed, err := f.look(ctx, func() uidGiver {
		n := *numbers // each look begins with the same
		return &n
	})
	if err != nil {
		return nil, err
	}
	switch {
	case s.half:
		s.doubt = fmt.Errorf("%w: the message at the end of the file is not all there yet; the next run reads it", backup.ErrEnumeration)
	case changed:
		s.doubt = fmt.Errorf("%w: a mail program kept writing to the file, or had it locked, all the while", backup.ErrEnumeration)
	}
	f.notes.deleted(s.deleted)
	f.census, f.index, f.kept = s.finish(s.uids.last()), s.index, s.kept
	return b, nil
}

// look reads the file through, and again if it changed meanwhile. What it says
// after changed, it says of a file that did not hold still.
func (f *mboxFolder) look(ctx context.Context, uids func() uidGiver) (b *mailfiles.Mbox, s *survey, changed bool, err error) {
	for looks := 1; ; looks++ {
		if b, err = f.openFile(); err != nil {
			return nil, nil, false, err
		}
		s = &survey{counter: newCounter(), uids: uids(), kept: map[uint32]mailfiles.MboxMessage{}}
		err = s.read(ctx, b)
		if err == nil {
			f.reading()
			if err = heldStill(b); err == nil {
				return b, s, false, nil
			}
			changed = errors.Is(err, mailfiles.ErrChanged)
		}
		if changed && looks == mostLooks {
			s.leaveOutLast()
			return b, s, true, nil
		}
		b.Close()
		if !errors.Is(err, mailfiles.ErrChanged) || looks == mostLooks {
			return nil, nil, false, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, false, context.Cause(ctx)
		case <-time.After(lookAgain):
		}
	}
}

// heldStill returns mailfiles.ErrChanged if the file changed since it was
// opened, or if a mail program has it locked: one that writes a file anew
// may pause in the middle of it.
func heldStill(b *mailfiles.Mbox) error {
	if err := b.Check(); err != nil {
		return err
	}
	locked, err := b.InUse()
	if err == nil && locked {
		err = fmt.Errorf("a mail program has it locked: %w", mailfiles.ErrChanged)
	}
	return err
}

// A uidGiver says which UID a message has; 0 leaves it out.
type uidGiver interface {
	uid(i *indexed) (uid uint32, isNew bool, err error)
	last() uint32 // UIDNEXT
}

func (n *numbering) uid(i *indexed) (uint32, bool, error) {
	if uid := n.known[i.key()]; uid != 0 {
		return uid, false, nil
	}
	uid, err := n.fresh()
	return uid, true, err
}

func (n *numbering) last() uint32 { return n.next }

// A survey is one reading of the file.
type survey struct {
	*counter
	uids    uidGiver
	index   []indexed
	kept    map[uint32]mailfiles.MboxMessage
	deleted int  // messages that a mail program has deleted and not removed yet
	half    bool // the last message was left out
	lastNew bool // the last message is a new one
}

func (s *survey) read(ctx context.Context, b *mailfiles.Mbox) error {
	copies := map[content]uint32{}
	for m, err := range b.Messages(ctx) {
		if err != nil {
			return err
		}
		i := indexed{content: contentOf(&m)}
		out, err := isNoMail(b, &m)
		if err != nil {
			return err
		}
		if m.Expunged {
			s.deleted++
		}
		if !out {
			copies[i.content]++
			i.copy = copies[i.content]
			if i.uid, s.lastNew, err = s.uids.uid(&i); err != nil {
				return err
			}
		}
		if s.lastNew && i.uid != 0 && m.Cut && time.Since(b.Modified()).Abs() < restTime {
			i.uid, s.half = 0, true
		}
		if i.uid != 0 {
			at := uint32(len(s.index))
			s.add(i.uid, at, m.Flags)
			if s.lastNew && len(s.kept) < keepNew {
				m.From.Sender = "" // may be long, and is of no use
				s.kept[at] = m
			}
		}
		s.index = append(s.index, i)
	}
	return nil
}

// leaveOutLast leaves the last message out, if it is a new one: nobody knows
// whether all of it was there.
func (s *survey) leaveOutLast() {
	last := len(s.index) - 1
	if last < 0 || !s.lastNew || s.index[last].uid == 0 {
		return
	}
	s.index[last].uid = 0
	s.entries = s.entries[:len(s.entries)-1]
	delete(s.kept, uint32(last))
}

// isNoMail says whether a message is one that its owner deleted, and only the
// mail program has not removed from the file yet; or the pseudo message in
// which c-client keeps data about the folder.
func isNoMail(b *mailfiles.Mbox, m *mailfiles.MboxMessage) (bool, error) {
	if m.Expunged || !m.Internal {
		return m.Expunged, nil
	}
	// A sender could write what c-client writes. What has come a long way, or
	// has a text of its own, is kept.
	const mostOctets = 4 << 10
	if m.Length > mostOctets {
		return false, nil
	}
	text, err := io.ReadAll(b.Open(*m))
	if err != nil {
		return false, err
	}
	header, body, _ := strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n\n")
	for line := range strings.Lines(header) {
		name, _, _ := strings.Cut(line, ":")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "received", "return-path", "delivered-to", "to", "cc":
			return false, nil
		}
	}
	return strings.HasPrefix(body, pseudoText), nil
}

// pseudoText is how the pseudo message begins, since c-client has written it.
const pseudoText = "This text is part of the internal format of your mail folder, and is not\na real message."
