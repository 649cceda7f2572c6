package restore

import "sync/atomic"

// A Report is what a restore does, or with a dry run would do.
type Report struct {
	Target string `json:"target"`
	DryRun bool   `json:"dry_run"`
	// Losses are sentences about what messages lose in a target that they are
	// delivered to; there are none in others.
	Losses  []string        `json:"losses,omitempty"`
	Folders []*FolderReport `json:"folders"`
}

// A FolderReport is what becomes of one folder.
type FolderReport struct {
	Folder string `json:"folder"` // in the snapshot
	Place  string `json:"place"`  // in the target
	Create bool   `json:"create"` // it is not there yet
	// Subscribe says that it is there, and was subscribed to, and is not.
	Subscribe bool `json:"subscribe,omitempty"`
	// Selected messages are Present, or Refused before they were sent, or to be
	// appended: Missing of them, with Bytes octets. Appended counts those that
	// were.
	Selected int64 `json:"selected"`
	Present  int64 `json:"present"`
	Missing  int64 `json:"missing"`
	Bytes    int64 `json:"bytes"`
	Appended int64 `json:"appended"`
	// Labelled counts the messages that are there and lack labels of Gmail's, and
	// get them.
	Labelled int64 `json:"labelled,omitempty"`
	// Refused are messages that the target does not take, or that the archive
	// does not give.
	Refused []Refused `json:"refused,omitempty"`
	// Failed says why the folder was given up, with what had been done by then.
	// If that was before it was compared, nothing is Present or Missing.
	Failed string `json:"failed,omitempty"`
	// Dropped counts the messages that lose a flag the target does not keep.
	Dropped map[string]int64 `json:"dropped_flags,omitempty"`
	Notes   []string         `json:"notes,omitempty"`
}

// Refused is a message that the target does not take.
type Refused struct {
	UID       uint32 `json:"uid"`       // in the snapshot
	Reference string `json:"reference"` // FOLDER#UID, where it is in the snapshot
	Reason    string `json:"reason"`
}

// Complete says that nothing was refused and no folder given up.
func (r *Report) Complete() bool {
	for _, f := range r.Folders {
		if len(f.Refused) > 0 || f.Failed != "" {
			return false
		}
	}
	return true
}

// Totals sums up the folders.
func (r *Report) Totals() (sum FolderReport) {
	sum.Dropped = map[string]int64{}
	for _, f := range r.Folders {
		sum.Selected += f.Selected
		sum.Present += f.Present
		sum.Missing += f.Missing
		sum.Bytes += f.Bytes
		sum.Appended += f.Appended
		sum.Labelled += f.Labelled
		sum.Refused = append(sum.Refused, f.Refused...)
		for flag, n := range f.Dropped {
			sum.Dropped[flag] += n
		}
	}
	return sum
}

// Progress counts what a restore has done. It may be read at any time.
type Progress struct {
	Folders, FoldersDone   atomic.Int64 // looked through
	Messages, MessagesDone atomic.Int64 // to be added, once that is known
	Bytes, BytesDone       atomic.Int64 // octets of them
	step                   atomic.Pointer[string]
}

// Step says in a word or two what the restore is at.
func (p *Progress) Step() string {
	if s := p.step.Load(); s != nil {
		return *s
	}
	return ""
}

func (p *Progress) at(step string) { p.step.Store(&step) }
