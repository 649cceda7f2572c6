package restore

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"restante/storage"
)

// A journal is a file that says which message of the archive each message is
// that a restore has added to a folder. It spares reading them again when the
// restore is started again, and it keeps messages from being added twice to a
// server that changes what it is given. It is a cache: without it, messages
// are compared.
type journal struct {
	mu   sync.Mutex
	file *os.File // nil: there is none
}

// journalLine is a message: epoch, its ID in the folder, recipe, Message-ID.
const journalLine = "%d %s %x %x\n"

// openJournal opens the journal of a folder of a target, and returns what it
// says about an epoch of the folder.
func openJournal(dir, target, place string, epoch uint32) (*journal, map[string]Known) {
	known := map[string]Known{}
	if dir == "" || epoch == 0 {
		return &journal{}, known
	}
	sum := sha256.Sum256([]byte(target + "\x00" + place))
	path := filepath.Join(dir, hex.EncodeToString(sum[:12]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &journal{}, known
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return &journal{}, known
	}
	whole, _ := io.ReadAll(f)
	for line := range bytes.Lines(whole) {
		var e uint32
		var id string
		var recipe, messageID []byte
		n, err := fmt.Fscanf(bufio.NewReader(bytes.NewReader(line)), "%d %s %x %x\n", &e, &id, &recipe, &messageID)
		if err != nil || n != 4 || e != epoch || len(recipe) != 16 || len(messageID) != 4 {
			continue // of another epoch, or half a line of a run that was killed
		}
		known[id] = Known{storage.BlobID(recipe), [4]byte(messageID)}
	}
	if len(whole) > 0 && whole[len(whole)-1] != '\n' {
		f.WriteString("\n")
	}
	return &journal{file: f}, known
}

// add notes a message that was added.
func (j *journal) add(epoch uint32, id string, k Known) {
	if j.file == nil || id == "" || strings.ContainsAny(id, " \n") {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(j.file, journalLine, epoch, id, k.Recipe[:], k.MessageID[:])
}

func (j *journal) close() {
	if j != nil && j.file != nil {
		j.file.Close()
	}
}
