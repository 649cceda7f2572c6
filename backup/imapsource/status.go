package imapsource

import (
	"github.com/emersion/go-imap/v2"

	"restante/backup"
)

// The states of folders, by which a run sees what it need not open. Without
// HIGHESTMODSEQ (RFC 7162) they prove nothing, and are not asked for.

var statusItems = &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, HighestModSeq: true}

// status is nil where the server does not tell: it may be that the folder
// cannot be selected.
func status(st *imap.StatusData) *backup.Status {
	if st == nil || st.NumMessages == nil {
		return nil
	}
	return &backup.Status{UIDValidity: st.UIDValidity, UIDNext: uint32(st.UIDNext), HighestModSeq: st.HighestModSeq, Messages: *st.NumMessages}
}

// statuses asks for the states that the list did not tell, many commands at a
// time.
func (l *listing) statuses(list []backup.Listed, names []string) error {
	if !l.c.Caps().Has(imap.CapCondStore) {
		return nil
	}
	var open []int
	for i := range list {
		if !list[i].NoSelect && list[i].Status == nil {
			open = append(open, i)
		}
	}
	const ahead = 32
	for len(open) > 0 {
		part := open[:min(ahead, len(open))]
		open = open[len(part):]
		commands := make([]func() (*imap.StatusData, error), len(part))
		for i, at := range part {
			commands[i] = l.c.Status(names[at], statusItems).Wait
		}
		for i, at := range part {
			data, err := commands[i]()
			if l.c.Err() != nil {
				return l.c.explain("STATUS", err)
			}
			if err == nil { // after a NO the folder is opened, which tells why
				list[at].Status = status(data)
			}
		}
	}
	return nil
}
