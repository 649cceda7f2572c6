package backup

import "sync/atomic"

// Progress counts what a run has done. It may be read at any time.
type Progress struct {
	Folders, FoldersDone   atomic.Int64
	Messages, MessagesDone atomic.Int64 // to be read
	Bytes                  atomic.Int64 // octets of messages read
	Commits                atomic.Int64
	step                   atomic.Pointer[string]
}

// Step says in a word or two what the run is at.
func (p *Progress) Step() string {
	if s := p.step.Load(); s != nil {
		return *s
	}
	return ""
}

func (p *Progress) at(step string) { p.step.Store(&step) }
