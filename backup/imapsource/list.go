package imapsource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/storage"
)

// List lists all folders, with their states in the same round trip where the
// server can (RFC 5258, RFC 5819, RFC 6154).
func (s *Source) List(ctx context.Context) ([]backup.Listed, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(c)
	defer c.Bind(ctx)()
	personal, err := namespace(c)
	if err != nil {
		return nil, err
	}
	options := new(imap.ListOptions)
	caps := c.Caps()
	if caps.Has(imap.CapListExtended) {
		options.ReturnSubscribed = true
		options.ReturnSpecialUse = caps.Has(imap.CapSpecialUse)
		if caps.Has(imap.CapListStatus) && caps.Has(imap.CapCondStore) {
			options.ReturnStatus = statusItems(caps)
		}
	}
	data, err := c.List("", "*", options).Collect()
	if err != nil {
		return nil, c.explain("LIST", err)
	}
	subscribed := map[string]bool{}
	if !options.ReturnSubscribed {
		_ = subscribed
	}

	s.mu.Lock()
	clear(s.names)
	s.mu.Unlock()
	var list []backup.Listed
	for _, d := range data {
		l := describe(d, personal)
		l.Subscribed = l.Subscribed || subscribed[d.Mailbox]
		s.mu.Lock()
		// Names that only their octets tell apart, or an INBOX inside INBOX.
		for base, n := l.Levels[len(l.Levels)-1], 2; s.names[storage.FolderName(l.Levels)] != ""; n++ {
			l.Levels[len(l.Levels)-1] = fmt.Sprintf("%s (%d)", base, n)
			l.Raw = wireName(d.Mailbox)
		}
		s.names[storage.FolderName(l.Levels)] = d.Mailbox
		s.mu.Unlock()
		list = append(list, l)
	}
	if options.ReturnStatus == nil && caps.Has(imap.CapCondStore) {
		if err := s.statuses(c, list); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// A prefix is what the names of an account's own folders begin with.
type prefix struct {
	text      string
	delimiter rune
}

// namespace asks for the personal namespace (RFC 2342): where it has a prefix
// such as "INBOX.", the prefix is the server's way and no part of folders'
// names.
func namespace(c *connection) (prefix, error) {
	if !c.Caps().Has(imap.CapNamespace) {
		return prefix{}, nil
	}
	data, err := c.Namespace().Wait()
	if err != nil {
		return prefix{}, c.explain("NAMESPACE", err)
	}
	if len(data.Personal) == 0 {
		return prefix{}, nil
	}
	return prefix{data.Personal[0].Prefix, data.Personal[0].Delim}, nil
}

func statusItems(caps imap.CapSet) *imap.StatusOptions {
	return &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, HighestModSeq: caps.Has(imap.CapCondStore)}
}

// describe makes a folder of what LIST says.
func describe(d *imap.ListData, personal prefix) backup.Listed {
	l := backup.Listed{}
	if d.Delim != 0 {
		l.Delimiter = string(d.Delim)
	}
	l.Levels, l.Raw = levels(d.Mailbox, d.Delim, personal)
	for _, a := range d.Attrs {
		switch attr := string(a); {
		case strings.EqualFold(attr, `\Subscribed`):
			l.Subscribed = true
		case isOneOf(attr, `\Noselect`, `\NonExistent`):
			l.NoSelect = true
			l.Attributes = append(l.Attributes, attr)
		case isOneOf(attr, specialUses...):
			l.SpecialUse = append(l.SpecialUse, attr)
		case isOneOf(attr, `\HasChildren`, `\HasNoChildren`, `\Marked`, `\Unmarked`):
			// They follow from other folders, or change by the hour.
		default:
			l.Attributes = append(l.Attributes, attr)
		}
	}
	slices.Sort(l.SpecialUse)
	slices.Sort(l.Attributes)
	if st := d.Status; st != nil && !l.NoSelect {
		l.Status = status(st)
	}
	return l
}

// specialUses are those of RFC 6154 and RFC 8457.
var specialUses = []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Important`, `\Junk`, `\Sent`, `\Trash`}

func isOneOf(s string, list ...string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

func status(st *imap.StatusData) *backup.Status {
	if st.NumMessages == nil {
		return nil // it may be that the folder cannot be selected
	}
	return &backup.Status{UIDValidity: st.UIDValidity, UIDNext: uint32(st.UIDNext), HighestModSeq: st.HighestModSeq, Messages: *st.NumMessages}
}

// levels cuts a name into levels, without the personal namespace's prefix.
// Raw is set where the name is not the UTF-8 that it should be.
func levels(name string, delimiter rune, personal prefix) (list []string, raw []byte) {
	if octets, isRaw := imapconn.RawName(name); isRaw {
		raw = octets
		name = printable(octets)
	}
	if strings.EqualFold(name, "INBOX") {
		return []string{"INBOX"}, raw
	}
	if p := personal.text; p != "" && len(name) > len(p) && strings.HasPrefix(name, p) && !strings.EqualFold(name[len(p):], "INBOX") {
		name = name[len(p):]
	}
	if delimiter == 0 {
		return []string{name}, raw
	}
	list = strings.Split(name, string(delimiter))
	if strings.EqualFold(list[0], "INBOX") {
		list[0] = "INBOX" // the one name whose case means nothing (RFC 9051 section 5.1)
	}
	return list, raw
}

// printable shows octets that are no name in modified UTF-7: what is no UTF-8
// or no character to look at as %XX.
func printable(octets []byte) string {
	var b strings.Builder
	for len(octets) > 0 {
		r, n := utf8.DecodeRune(octets)
		if r == utf8.RuneError && n == 1 || r < 0x20 || r >= 0x7f && r < 0xa0 {
			for _, c := range octets[:n] {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.Write(octets[:n])
		}
		octets = octets[n:]
	}
	return b.String()
}

// wireName gives the octets of a name on the wire.
func wireName(name string) []byte {
	if octets, isRaw := imapconn.RawName(name); isRaw {
		return octets
	}
	return imapconn.EncodeName(name)
}

// statuses asks for the states of all folders, many commands at a time, on a
// server that cannot tell them with LIST.
func (s *Source) statuses(c *connection, list []backup.Listed) error {
	items := statusItems(c.Caps())
	const ahead = 32
	for from := 0; from < len(list); from += ahead {
		part := list[from:min(from+ahead, len(list))]
		wait := make([]func() (*imap.StatusData, error), len(part))
		for i := range part {
			if part[i].NoSelect {
				continue
			}
			wait[i] = c.Status(s.name(&part[i]), items).Wait
		}
		for i := range part {
			if wait[i] == nil {
				continue
			}
			data, err := wait[i]()
			if c.Err() != nil {
				return c.explain("STATUS", err)
			}
			if err == nil { // after a NO the folder is opened, which tells why
				part[i].Status = status(data)
			}
		}
	}
	return nil
}

// name is what the library calls a folder that List gave.
func (s *Source) name(l *backup.Listed) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[storage.FolderName(l.Levels)]
}
