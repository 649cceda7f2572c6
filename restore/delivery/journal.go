package delivery

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"restante/restore"
	"restante/storage"

	"github.com/gofrs/flock"
)

// A journal is a file that remembers what of a folder was delivered to whom on
// one server. Each line is about one copy of a message and one recipient, and
// ends in the CRC-32 of the rest, so that half a line is not believed:
//
//	sending 1 RECIPE MESSAGE-ID alice%40example.org CRC    before its last octet goes out
//	accepted 1 RECIPE MESSAGE-ID alice%40example.org CRC   the server has it
//	refused 1 …                                             the server has not
//	forgotten 1 … - CRC                                     it may be delivered once more
//
// "sending" reaches the disk before the message can be delivered: what was being
// sent when a process was killed, or the power went, is known to be unknown.
// Whoever has the file open has it to himself.
type journal struct {
	file   *os.File
	lock   *flock.Flock // beside it, against another restore
	copies []*copyOf
	local  map[*copyOf]bool // forgotten for now
}

// A copyOf is one copy of a message.
type copyOf struct {
	id    int
	known restore.Known
	state map[string]string // by recipient: sending, accepted
}

const (
	sending   = "sending"
	accepted  = "accepted"
	refused   = "refused"
	forgotten = "forgotten"
)

func openJournal(dir, location, place string) (*journal, error) {
	if err := restore.MakeDir(dir); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(location + "\x00" + place))
	path := filepath.Join(dir, hex.EncodeToString(sum[:12]))
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: another restore is delivering the same folder there", restore.ErrBusy)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		lock.Close()
		return nil, err
	}
	j := &journal{file: f, lock: lock, local: map[*copyOf]bool{}}
	if err := errors.Join(restore.SyncDir(dir), j.load()); err != nil { // or its name may be gone with the power
		j.close()
		return nil, err
	}
	return j, nil
}

// close lets go of the file.
func (j *journal) close() error { return errors.Join(j.file.Close(), j.lock.Close()) }

// load reads the file.
func (j *journal) load() (err error) {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(j.file, 64<<10)
	var line []byte
	for err == nil || errors.Is(err, bufio.ErrBufferFull) { // what does not fit is no line of ours
		line, err = r.ReadSlice('\n')
		// Each copy has a line of its own at least: there are fewer than octets.
		if kind, id, k, recipient, ok := parseLine(string(line)); ok && 0 <= id && int64(id) < info.Size() {
			j.note(kind, id, k, recipient)
		}
	}
	if len(line) > 0 {
		_, err = j.file.WriteString("\n") // half a line must not spoil the next
		return err
	}
	return nil
}

func journalLine(kind string, id int, k restore.Known, recipient string) string {
	s := fmt.Sprintf("%s %d %x %x %s", kind, id, k.Recipe[:], k.MessageID[:], url.QueryEscape(recipient))
	return fmt.Sprintf("%s %08x\n", s, crc32.ChecksumIEEE([]byte(s)))
}

func parseLine(line string) (kind string, id int, k restore.Known, recipient string, ok bool) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(fields) != 6 {
		return
	}
	recipe, err1 := hex.DecodeString(fields[2])
	messageID, err2 := hex.DecodeString(fields[3])
	id, err3 := strconv.Atoi(fields[1])
	recipient, err4 := url.QueryUnescape(fields[4])
	if errors.Join(err1, err2, err3, err4) != nil || len(recipe) != len(k.Recipe) || len(messageID) != len(k.MessageID) {
		return
	}
	k = restore.Known{Recipe: storage.BlobID(recipe), MessageID: [4]byte(messageID)}
	return fields[0], id, k, recipient, journalLine(fields[0], id, k, recipient) == line
}

// note takes in what a line says.
func (j *journal) note(kind string, id int, k restore.Known, recipient string) {
	for id >= len(j.copies) {
		j.copies = append(j.copies, nil)
	}
	c := j.copies[id]
	if c == nil {
		c = &copyOf{id, k, map[string]string{}}
		j.copies[id] = c
	}
	if c.state == nil {
		return // forgotten, for good
	}
	switch kind {
	case sending, accepted:
		c.state[recipient] = kind
	case refused:
		delete(c.state, recipient)
	case forgotten:
		c.state = nil
	}
}

// add writes lines of one kind, for good where lasting is set, and takes them in.
func (j *journal) add(kind string, c *copyOf, lasting bool, recipients ...string) error {
	var b strings.Builder
	for _, r := range recipients {
		b.WriteString(journalLine(kind, c.id, c.known, r))
	}
	_, err := j.file.WriteString(b.String())
	if err == nil && lasting {
		err = j.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", restore.ErrNotes, err)
	}
	for _, r := range recipients {
		j.note(kind, c.id, c.known, r)
	}
	return nil
}

// all are the copies that are not forgotten.
func (j *journal) all(yield func(*copyOf) bool) {
	for _, c := range j.copies {
		if c != nil && c.state != nil && !j.local[c] && !yield(c) {
			return
		}
	}
}

// next is the copy of a message that is to be delivered to these recipients: one
// that some of them have not got yet, else a new one.
func (j *journal) next(k restore.Known, to []string) *copyOf {
	for c := range j.all {
		if c.known.Recipe == k.Recipe && !c.has(accepted, to, true) && !c.has(sending, to, false) {
			return c
		}
	}
	c := &copyOf{len(j.copies), k, map[string]string{}}
	j.copies = append(j.copies, c)
	return c
}

// has reports whether all, or else any, of the recipients are in a state.
func (c *copyOf) has(state string, to []string, all bool) bool {
	for _, r := range to {
		if (c.state[r] == state) != all {
			return !all
		}
	}
	return all
}
