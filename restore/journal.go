package restore

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"restante/storage"
)

// A journal is a file that says which message of the archive each message is
// that a restore has added to a folder, or has found there. It spares reading
// them again when the restore is started again, and it keeps messages from
// being added twice to a server that changes what it is given. It is a cache:
// without it, messages are compared.
//
// Several restores may write to it at the same time: each line is written at
// once, at the end.
type journal struct {
	mu    sync.Mutex
	file  *os.File        // nil: there is none
	going map[string]bool // restores that began to add messages, and did not end
	own   string          // this one among them; empty: it has not begun
}

// openJournal opens the journal of a folder of a target, and tells what it says
// about an epoch of the folder.
func openJournal(dir, target, place string, epoch uint32, known func(id string, k Known)) *journal {
	if dir == "" || epoch == 0 {
		return &journal{}
	}
	sum := sha256.Sum256([]byte(target + "\x00" + place))
	path := filepath.Join(dir, hex.EncodeToString(sum[:12]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &journal{}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return &journal{}
	}
	j := &journal{file: f, going: map[string]bool{}}
	r := bufio.NewReaderSize(f, 64<<10)
	var line []byte
	for err == nil || err == bufio.ErrBufferFull { // what does not fit is no line of ours
		line, err = r.ReadSlice('\n')
		if id, k, ok := parseJournal(string(line), epoch); ok {
			known(id, k)
		}
		switch run, mark := parseMark(string(line), epoch); mark {
		case "began":
			j.going[run] = true
		case "ended":
			delete(j.going, run)
		}
	}
	if len(line) > 0 {
		f.WriteString("\n") // half a line must not spoil the next
	}
	return j
}

// journalLine is a message: epoch, its ID in the folder, recipe, Message-ID,
// and the CRC-32 of all that, so that half a line of a run that was killed is
// not believed.
func journalLine(epoch uint32, id string, k Known) string {
	s := fmt.Sprintf("%d %s %x %x", epoch, id, k.Recipe[:], k.MessageID[:])
	return fmt.Sprintf("%s %08x\n", s, crc32.ChecksumIEEE([]byte(s)))
}

func parseJournal(line string, epoch uint32) (id string, k Known, ok bool) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(fields) != 5 || fields[0] != strconv.FormatUint(uint64(epoch), 10) ||
		len(fields[2]) != 2*len(k.Recipe) || len(fields[3]) != 2*len(k.MessageID) {
		return "", k, false
	}
	recipe, err := hex.DecodeString(fields[2])
	if err != nil {
		return "", k, false
	}
	messageID, err := hex.DecodeString(fields[3])
	if err != nil {
		return "", k, false
	}
	k = Known{storage.BlobID(recipe), [4]byte(messageID)}
	return fields[1], k, journalLine(epoch, fields[1], k) == line
}

// add notes a message that was added, or found.
func (j *journal) add(epoch uint32, id string, k Known) {
	if j == nil || j.file == nil || id == "" || strings.ContainsAny(id, " \n") {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.file.WriteString(journalLine(epoch, id, k))
}

// A mark says that a restore began to add messages to an epoch of the folder, or
// that each of those that it had sent was answered.
func markLine(epoch uint32, mark, run string) string {
	s := fmt.Sprintf("%d %s %s", epoch, mark, run)
	return fmt.Sprintf("%s %08x\n", s, crc32.ChecksumIEEE([]byte(s)))
}

func parseMark(line string, epoch uint32) (run, mark string) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(fields) != 4 || markLine(epoch, fields[1], fields[2]) != line {
		return "", ""
	}
	return fields[2], fields[1]
}

// unended says that a restore before this one did not come to its end: some of
// what it sent may come yet.
func (j *journal) unended() bool {
	return j != nil && j.own == "" && len(j.going) > 0
}

// begin notes that messages are going to be sent.
func (j *journal) begin(epoch uint32) {
	if j == nil || j.file == nil || j.own != "" {
		return
	}
	j.own = rand.Text()
	j.going[j.own] = true
	j.file.WriteString(markLine(epoch, "began", j.own))
}

// end notes that nothing more comes of what was sent, by this restore and by
// those before it.
func (j *journal) end(epoch uint32) {
	if j == nil || j.own == "" {
		return
	}
	for run := range j.going {
		j.file.WriteString(markLine(epoch, "ended", run))
	}
}

func (j *journal) close() {
	if j != nil && j.file != nil {
		j.file.Close()
	}
}
