package imapsource

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/storage"
)

// Values of a message that the library cannot be shown: flags that are no
// atoms, dates as no standard has them, and Gmail's labels and IDs. The
// connection tells of them beside the library, before the library hands over the
// message.
type oddities struct {
	mu    sync.Mutex // guards byUID
	byUID map[uint32][]imapconn.Oddity
}

// mostOddities is how many messages' odd values are kept until somebody asks:
// the library is not further ahead than that.
const mostOddities = 4096

func (o *oddities) remember(x imapconn.Oddity) {
	if x.Item != "INTERNALDATE" && x.Item != "FLAGS" && x.Item != imapconn.LabelsItem && x.Item != imapconn.MessageIDItem || x.UID == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byUID == nil {
		o.byUID = map[uint32][]imapconn.Oddity{}
	}
	if len(o.byUID) < mostOddities {
		o.byUID[x.UID] = append(o.byUID[x.UID], x)
	}
}

// take returns what was told of a message, once.
func (o *oddities) take(uid uint32) []imapconn.Oddity {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.byUID[uid]
	delete(o.byUID, uid)
	return list
}

func (o *oddities) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.byUID)
}

// addOdd adds what was told of a message until now.
func (m *mailbox) addOdd(f *fetched) {
	for _, o := range m.c.odd.take(f.uid) {
		switch {
		case o.Item == "FLAGS":
			f.addFlag(o.Raw)
		case o.Item == imapconn.LabelsItem:
			if m.c.HasLabels() { // of others nobody asks, and they cannot be relied on
				f.addLabels(o.Raw)
			}
		case o.Item == imapconn.MessageIDItem:
			if m.c.HasLabels() {
				f.key = imapconn.GmailID(o.Raw)
			}
		case f.date.IsZero():
			f.date = oddDate(o.Raw)
		}
	}
}

// addLabels adds Gmail's labels, which the archive has among the flags. Labels
// that cannot be read are kept as they stand.
func (f *fetched) addLabels(raw string) {
	labels, err := imapconn.Labels(raw)
	if err != nil {
		labels = []string{raw}
	}
	for _, l := range labels {
		f.addFlag(storage.LabelFlag(l))
	}
}

// oddDate reads internal dates that are not as RFC 9051 has them but can be
// understood; others are zero, as if there were none.
func oddDate(raw string) time.Time {
	for _, layout := range []string{
		"_2-Jan-2006 15:04:05 -0700", "_2-Jan-2006 15:04:05", "_2-Jan-06 15:04:05 -0700",
		time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 -0700", time.RFC3339,
	} {
		if t, err := time.Parse(layout, strings.TrimSpace(raw)); err == nil && t.Year() > 1 {
			return t
		}
	}
	return time.Time{}
}

// flagSets lets messages that have the same flags share them: of a million
// messages nearly all have one of a few sets.
type flagSets struct {
	sets   map[string][]string
	octets int // about what they take
	key    []byte
}

// mostFlagOctets bounds the memory that a server can fill with flags.
const mostFlagOctets = 32 << 20

// shared returns a set like flags. It must not be changed.
func (s *flagSets) shared(flags []string) ([]string, error) {
	if len(flags) == 0 {
		return nil, nil
	}
	s.key = s.key[:0]
	for _, flag := range flags {
		s.key = append(append(strconv.AppendInt(s.key, int64(len(flag)), 10), ':'), flag...)
	}
	if set, ok := s.sets[string(s.key)]; ok {
		return set, nil
	}
	const overhead = 100
	if s.octets += overhead + len(s.key); s.octets > mostFlagOctets {
		return nil, fmt.Errorf("the messages have %d different sets of flags", len(s.sets))
	}
	if s.sets == nil {
		s.sets = map[string][]string{}
	}
	s.sets[string(s.key)] = flags
	return flags, nil
}
