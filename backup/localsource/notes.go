package localsource

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// notes gathers what is to be said about a run.
type notes struct {
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	alone   []string   // what was left alone, the first of them
	more    int        // how many others there were
	inexact int64      // messages read that may have been quoted
	removed int64      // messages that mail programs have deleted and not removed
}

// mostAlone is how many things are named that were left alone.
const mostAlone = 5

func (n *notes) clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.alone, n.more, n.inexact, n.removed = nil, 0, 0, 0
}

// leftAlone notes something that is no mail, or cannot be read as mail.
func (n *notes) leftAlone(path, reason string) {
	n.log.Info("left alone", "path", path, "reason", reason)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.alone) < mostAlone {
		n.alone = append(n.alone, strings.ToValidUTF8(fmt.Sprintf("%s (%s)", path, reason), "\uFFFD")) // names of files may be anything
	} else {
		n.more++
	}
}

// maybeQuoted counts a message with lines that a mail program may have quoted.
func (n *notes) maybeQuoted() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.inexact++
}

// deleted counts messages that are in the files and in no folder any more.
func (n *notes) deleted(count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.removed += int64(count)
}

func (n *notes) sentences() (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.alone) > 0 {
		text := "left alone: " + strings.Join(n.alone, ", ")
		if n.more > 0 {
			text += fmt.Sprintf(" and %d more", n.more)
		}
		list = append(list, text)
	}
	if n.inexact > 0 {
		list = append(list, fmt.Sprintf("%d new messages have lines that begin with \">From \", and nothing tells whether the \">\" was there before they came into the file; they are kept as they stand", n.inexact))
	}
	if n.removed > 0 {
		list = append(list, fmt.Sprintf("left out are messages that were deleted in Thunderbird and are in its files until it compacts the folders: %d", n.removed))
	}
	return list
}
